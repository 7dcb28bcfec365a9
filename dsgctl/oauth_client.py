"""The OAuth client that signs people in, as the provider's console gives it."""

import json
from dataclasses import dataclass
from pathlib import Path

from dsgctl.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Client:
    """Our registration at the provider."""

    id: str
    secret: str


def read_client(path: Path) -> Client:
    """The client in the JSON file that Google offers for download.

    Raises:
        Invalid: it is not such a file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        web = found.get("web") or found["installed"]
        return Client(str(web["client_id"]), str(web["client_secret"]))
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", "check CLIENT_CREDENTIALS_PATH") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Invalid(f"{path} is not an OAuth client file", "download it again from the provider's console") from None
