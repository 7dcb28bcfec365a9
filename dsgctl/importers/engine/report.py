"""The report of an import, and the errors of one with bad or conflicting rows."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dsgctl.core.errors import Conflict, Invalid

Progress = Callable[[int, int], None]  # called with the number of rows that are done, and of all rows


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did.

    Attributes:
        added, unchanged: kind of record -> how many were new, or existed already.
        left_out: records of the source that were not imported, with the reason, a line each.
        noted: other differences from the source, a line each: details that have no place here, and existing values
            that were left unchanged.
        remarks: what is worth knowing about what was imported, a line each.
    """

    added: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> list[str]:
        """Everything that was not imported."""
        return self.left_out + self.noted

    @property
    def changed(self) -> bool:
        return any(self.added.values())

    def count(self, kind: str, *, new: bool) -> None:
        self.count_many(kind, new=int(new), of=1)

    def count_many(self, kind: str, *, new: int, of: int) -> None:
        """Count ``of`` records of a kind, of which ``new`` were added."""
        self.added[kind] += new
        self.unchanged[kind] += of - new


class BadRows(Invalid):
    """Rows that cannot be imported.

    Attributes:
        problems: a line for each, with its place and what is wrong.
    """

    def __init__(self, source: object, problems: Sequence[str], hint: str) -> None:
        rows = "row" if len(problems) == 1 else "rows"
        super().__init__(f"{source}: {len(problems)} bad {rows}: {join_problems(problems)}", hint)
        self.problems = list(problems)


class Conflicts(Conflict):
    """Rows that conflict with each other or with what exists here.

    Attributes:
        problems: as of `BadRows`; bad rows among them.
    """

    def __init__(self, source: object, problems: Sequence[str], hint: str) -> None:
        super().__init__(f"{source}: {join_problems(problems)}", hint)
        self.problems = list(problems)


def join_problems(problems: Sequence[str], limit: int = 20) -> str:
    """The first problems in one line, and the number of the others."""
    more = f"; and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(problems[:limit]) + more
