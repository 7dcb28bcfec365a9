"""What a program is told when terms are to be accepted first: which, and where."""

from collections.abc import Sequence

from dsgctl.core.rules.terms import Terms
from dsgctl.wire_contract import accept_path


def describe_missing(origin: str, documents: Sequence[Terms]) -> dict[str, object]:
    """Terms as keys of a refusal: ``url``, where a person accepts them, and each as an entry of ``missing_tos``.

    Args:
        origin: of this server.
    """
    urls = [origin + accept_path(document.id) for document in documents]
    return {
        "url": urls[0] if len(urls) == 1 else f"{origin}/activate",
        "missing_tos": [
            {"tos_id": document.id, "tos_name": document.name, "url": url}
            for document, url in zip(documents, urls, strict=True)
        ],
    }
