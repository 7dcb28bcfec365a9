"""Repetitions are found without keeping all texts."""

import tracemalloc

from dsgctl.core.repetitions import PossibleRepetitions


def test_every_text_that_occurs_again_is_found_and_few_others() -> None:
    single = [f"s{number}@x.org" for number in range(20_000)]
    repeated = [f"r{number}@x.org" for number in range(500)]
    possible = PossibleRepetitions(iter([*repeated, *single, *reversed(repeated)]), 21_000)
    assert all(text in possible for text in repeated)
    assert sum(text in possible for text in single) < 2_000


def test_no_text_or_a_wrong_count_is_no_fault() -> None:
    assert "a" not in PossibleRepetitions([], 0)
    assert "a" in PossibleRepetitions(["a", "b", "a"], -1)


def test_a_text_takes_few_bytes() -> None:
    tracemalloc.start()
    PossibleRepetitions((f"s{number}@x.org" for number in range(50_000)), 50_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50_000 * 20
