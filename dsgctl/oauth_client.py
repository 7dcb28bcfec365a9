"""The OAuth client that signs people in, from the file of the provider's console."""

from dataclasses import dataclass
from pathlib import Path

from dsgctl.core.errors import Invalid
from dsgctl.json_text import NotJson, parse, read_member

CALLBACK_PATH = "/accounts/google/login/callback/"  # the redirect URI on this server (contract.md, "Routes")


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """This gateway's registration at the provider."""

    id: str
    secret: str


def read_oauth_client(path: Path) -> OAuthClient:
    """The client in the JSON file that Google offers for download.

    Raises:
        Invalid: the file cannot be read, or is another file.
    """
    try:
        document = parse(path.read_bytes())
        kind = "web" if isinstance(document, dict) and document.get("web") else "installed"
        client = read_member(document, kind, dict)
        return OAuthClient(read_member(client, "client_id", str), read_member(client, "client_secret", str))
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", "check CLIENT_CREDENTIALS_PATH") from None
    except NotJson:
        raise Invalid(f"{path} is not an OAuth client file", "download it again from the provider's console") from None
