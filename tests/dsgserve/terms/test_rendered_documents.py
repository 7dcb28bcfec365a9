"""The cache of rendered documents is bounded in bytes."""

import tracemalloc

import pytest

from dsgserve.terms.rendered_documents import Documents


def test_the_cache_of_rendered_documents_is_bounded_in_bytes() -> None:
    documents = Documents(capacity=100_000)
    texts = [f"{number} " + "word " * 4_000 for number in range(10)]
    for text in texts:
        documents.html(text, 2)
    assert documents.rendered == 10
    documents.html(texts[-1], 2)
    assert documents.rendered == 10
    documents.html(texts[0], 2)  # gone
    documents.html(texts[-1], 3)  # another page
    assert documents.rendered == 12
    assert documents.html("x" * 90_000, 2) == documents.html("x" * 90_000, 2)
    assert documents.rendered == 13


@pytest.mark.parametrize("text", ["{}", "{} " + "word " * 50, "{} \u6c34", "{} \U0001f42c" + "x" * 100])
def test_the_number_of_cached_documents_is_bounded(text: str) -> None:
    """With all that Python needs around them, which is more than a short one has itself."""
    capacity = 200_000
    documents = Documents(capacity)
    documents.html("what is made once, of a library", 2)
    tracemalloc.start()
    try:
        for number in range(1500):
            documents.html(text.format(number), 2)
        assert tracemalloc.get_traced_memory()[0] < 1.5 * capacity
    finally:
        tracemalloc.stop()
