"""What an importer is, and where importers are found.

Each module or package of dsgctl/importers, except this one, is a source system. It has a class ``Importer``, which
describes its command and does the import. ``dsgctl import`` finds it by the name of the module, and nothing else
lists it.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from dsgctl import importers
from dsgctl.core.change import Change
from dsgctl.importers.engine.report import Progress, Report

_METADATA = "dsgctl.importers.option"


@dataclass(frozen=True, slots=True)
class Option:
    """A required option of an importer's command.

    Attributes:
        completes: what its values name, which the shell completes.
        multiple: whether it may be given several times; its value is a tuple then.
    """

    help: str
    completes: Literal["dataset", "group"]
    multiple: bool = False


def option(help_text: str, *, completes: Literal["dataset", "group"], multiple: bool = False) -> Any:
    """A field of an importer, of type ``str`` or ``tuple[str, ...]``, that is an option of its command."""
    return field(metadata={_METADATA: Option(help_text, completes, multiple)})


class BaseImporter(ABC):
    """One import from one kind of source. The docstring of a subclass is the help text of its command.

    A subclass is a dataclass; its fields made with `option` are the options of its command. An instance runs once.

    Attributes:
        example: a command line for the help text.
        metavar: how the help text names the source.
        can_skip_conflicts: whether the command has the option --skip-conflicts.
    """

    example: ClassVar[str]
    metavar: ClassVar[str] = "FILE"
    can_skip_conflicts: ClassVar[bool] = True

    @staticmethod
    def label(source: str) -> str:
        """The source as messages and the audit log name it, without secrets."""
        return source

    @abstractmethod
    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        """Import a source in the caller's transaction.

        What exists here is left unchanged, and a second run changes nothing.

        Args:
            source: as typed: a path or a URL.
            skip_conflicts: leave out rows that conflict or cannot be stored here, and all that depends on them.
            progress: called with the number of rows that are done and their total.

        Raises:
            Invalid, BadRows: the source cannot be read, or rows are bad.
            Conflicts: rows conflict with each other or with what exists here.
            NotFound: an option names something that does not exist.
            OSError: a file cannot be read.
        """

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The options of its command, by the names of their fields."""
        return {spec.name: spec.metadata[_METADATA] for spec in fields(cls) if _METADATA in spec.metadata}  # type: ignore[arg-type]


def list_names() -> Iterator[str]:
    """The names of all importers as typed on the command line."""
    for module in pkgutil.iter_modules(importers.__path__):
        if module.name != "engine":
            yield module.name.replace("_", "-")


def load(name: str) -> type[BaseImporter] | None:
    """The importer of this name, or None. Only its module is imported."""
    if name not in list_names():
        return None
    module = importlib.import_module(f"{importers.__name__}.{name.replace('-', '_')}")
    importer: type[BaseImporter] = module.Importer
    return importer
