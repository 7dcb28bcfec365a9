"""Taking over facts from other systems: one module a source. Each reads and checks its source, then calls core."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsgctl.core.errors import Invalid

Progress = Callable[[int, int], None]  # told how many of how many rows are done


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did.

    Attributes:
        added, unchanged: kind of fact -> how many were new here, or here already.
        skipped: what could not be taken over, each with its reason, a line each.
    """

    added: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return any(self.added.values())

    def count(self, kind: str, *, new: bool) -> None:
        self.counts(kind, new=int(new), of=1)

    def counts(self, kind: str, *, new: int, of: int) -> None:
        """Of so many facts of a kind, so many were new."""
        self.added[kind] += new
        self.unchanged[kind] += of - new


class BadRows(Invalid):
    """Rows that cannot be imported.

    Attributes:
        problems: each of them, in a line that says where it stands and what is wrong.
    """

    def __init__(self, source: Path, problems: Sequence[str], hint: str) -> None:
        rows = "row" if len(problems) == 1 else "rows"
        super().__init__(f"{source}: {len(problems)} bad {rows}: {first_of(problems)}", hint)
        self.problems = list(problems)


def first_of(problems: Sequence[str], limit: int = 20) -> str:
    """Problems in one line, and how many more there are."""
    more = f"; and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(problems[:limit]) + more
