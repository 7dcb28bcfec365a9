"""What an import did, and how it says what is wrong with its source."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dsgctl.core.errors import Conflict, Invalid

Progress = Callable[[int, int], None]  # told how many of how many rows are done


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did.

    Attributes:
        added, unchanged: kind of fact -> how many were new here, or here already.
        left_out: facts of the source that are not here now, each with its reason, a line each.
        noted: what else is otherwise than there, a line each: details that have no place here, and
            what differs here and stays.
        remarks: what is worth knowing of that which was taken over.
    """

    added: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> list[str]:
        """All that was not taken over."""
        return self.left_out + self.noted

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

    def __init__(self, source: object, problems: Sequence[str], hint: str) -> None:
        rows = "row" if len(problems) == 1 else "rows"
        super().__init__(f"{source}: {len(problems)} bad {rows}: {first_of(problems)}", hint)
        self.problems = list(problems)


class Conflicts(Conflict):
    """Rows against which stands what is here, or another row.

    Attributes:
        problems: as of `BadRows`; bad rows among them.
    """

    def __init__(self, source: object, problems: Sequence[str], hint: str) -> None:
        super().__init__(f"{source}: {first_of(problems)}", hint)
        self.problems = list(problems)


def first_of(problems: Sequence[str], limit: int = 20) -> str:
    """Problems in one line, and how many more there are."""
    more = f"; and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(problems[:limit]) + more
