"""Taking over facts from other systems: one module a source. Each reads and checks its source, then calls core."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[int, int], None]  # told how many of how many rows are done


@dataclass(slots=True)
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
        (self.added if new else self.unchanged)[kind] += 1
