"""The JSON of an answer of dsgserve, or of whatever answers in its place."""

from dataclasses import dataclass

from dsgctl.json_text import NotJson, parse_object


@dataclass(frozen=True, slots=True)
class Answer:
    """Each field is None if the answer does not have it as text.

    Attributes:
        error: the code of a refusal (contract.md, "GET /api/v1/user/cache").
        version: the release, in an answer to ``GET /health``.
        client: the address that the server sees; only in an answer to a signed probe.
    """

    error: str | None = None
    version: str | None = None
    client: str | None = None


def parse_answer(content: bytes) -> Answer:
    """The answer in a body; empty if it is not a JSON object."""
    try:
        fields = parse_object(content)
    except NotJson:
        return Answer()
    texts = {name: fields[name] for name in ("error", "version", "client") if isinstance(fields.get(name), str)}
    return Answer(**texts)
