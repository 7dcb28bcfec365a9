"""Keeps a start fast: modules that a command may not need are imported when it first uses them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _LazyFinder:
    """Finds modules as the standard finder does, and leaves running their code to their first use."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def imports_on_use() -> Iterator[None]:
    """Inside, ``from package import module`` finds a module, and runs it when one of its attributes is first used.

    It is for the commands, which have one thread: two threads must not use such a module for the first time together
    (https://docs.python.org/3/library/importlib.html#importlib.util.LazyLoader).
    """
    sys.meta_path.insert(0, _LazyFinder)
    try:
        yield
    finally:
        sys.meta_path.remove(_LazyFinder)
