"""The site as pages show it: name, contact, logo and viewer, all from the settings."""

import base64
import json
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dsgctl.config import Config
from dsgctl.core.errors import Invalid

MAX_LOGO = 50 * 1024  # bytes; every page contains the logo, so that a browser loads nothing else

# The first bytes of each kind of picture -> its media type. An SVG in an <img> runs no script.
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"<svg": "image/svg+xml",
    b"<?xml": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Site:
    """One object per process.

    Attributes:
        contact: an email or web address; empty if none is set. ``contact_url``: the same as a link.
        logo: the picture as a ``data:`` address; empty if none is set.
        viewer: address of a Neuroglancer; empty if none is set.
    """

    name: str = "DatasetGateway"
    contact: str = ""
    logo: str = ""
    viewer: str = ""

    @classmethod
    def open(cls, config: Config) -> "Site":
        """The site of these settings.

        Raises:
            Invalid: the logo cannot be read, is too large, or is not a PNG, JPEG or SVG.
        """
        logo = _read_logo(config.site_logo) if config.site_logo else ""
        return cls(name=config.site_name, contact=config.site_contact, logo=logo, viewer=config.viewer_url)

    @property
    def contact_url(self) -> str:
        return self.contact if "://" in self.contact else f"mailto:{self.contact}"

    @property
    def contact_name(self) -> str:
        """The contact as part of a sentence, as in "Ask …"."""
        return self.contact or "the people who run this site"

    def viewer_link(self, name: str, source: str) -> str:
        """The address that opens a data source in the viewer; empty if no viewer is set.

        The state is JSON after ``#!``, as Neuroglancer writes it. A layer of type ``auto`` becomes an image or a
        segmentation, depending on the source.
        """
        if not self.viewer:
            return ""
        layer = {"type": "auto", "source": source, "name": name}
        state = {"layers": [layer], "selectedLayer": {"visible": True, "layer": name}}
        return f"{self.viewer}#!{quote(json.dumps(state, separators=(',', ':')), safe='')}"


# The site of the request that this thread answers (app.py); every page shows it.
CURRENT: ContextVar[Site] = ContextVar("site", default=Site())  # noqa: B039  Site is frozen


def _read_logo(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LOGO + 1)
    except OSError as error:
        raise Invalid(
            f"DSG_SITE_LOGO: cannot read {path}: {error.strerror}", "the server's user must be able to"
        ) from None
    kind = next((kind for beginning, kind in _KINDS.items() if content.startswith(beginning)), None)
    if kind is None or len(content) > MAX_LOGO:
        raise Invalid(f"DSG_SITE_LOGO: {path} cannot be shown", "use a PNG, JPEG or SVG file of at most 50 KB")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
