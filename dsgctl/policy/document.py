"""The declarations of a policy file, and its problems with their lines."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypedDict

from dsgctl.core.errors import Invalid

MOST_PROBLEMS = 20  # that an error names
_CHECK = "see 'dsgctl help policy-files'"


class Values(TypedDict, total=False):
    """What a file says of a resource beside its key; an attribute that it does not name is left unchanged.

    ``expires`` is None for a grant without end, and ``ordinal`` for a version outside the order of its branch.
    ``dataset`` and ``version`` are what a name of a service stands for.
    """

    description: str
    public: bool
    leads: bool
    text: str
    expires: datetime | None
    branch: str
    ordinal: int | None
    dataset: str
    version: str


@dataclass(frozen=True, slots=True)
class Declaration:
    """One resource that a file declares.

    Attributes:
        kind, key: identify the resource (resource_types.py); no two declarations of a file have the same.
    """

    kind: str
    key: tuple[str, ...]
    values: Values
    line: int


@dataclass(slots=True)
class Document:
    """A policy file.

    Attributes:
        path: as messages name it.
        directory: the files that it names are below it.
        name: its ``name:``; what it declared earlier is stored under this name.
        problems: one line each; a document with problems is not applied.
    """

    path: Path
    directory: Path = Path()
    name: str = ""
    declarations: list[Declaration] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add_problem(self, line: int, text: str) -> None:
        self.problems.append(f"line {line}: {text}")

    def require_sound(self) -> None:
        """Raises:
        BadFile: there are problems.
        """
        if self.problems:
            raise BadFile(self.path, self.problems)


class BadFile(Invalid):
    """A file that is refused as a whole.

    Attributes:
        path: as messages name it.
        problems: each with its line; the first `MOST_PROBLEMS` of ``count``.
    """

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.count = len(problems)
        self.problems = sorted(problems, key=lambda text: int(text.split()[1].rstrip(":")))[:MOST_PROBLEMS]
        more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        super().__init__(f"{path}: {'; '.join(self.problems)}{more}", f"nothing was changed; {_CHECK}")
