"""The site as pages show it: each of its fields comes from a setting, and is on a page."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import dsgserve
from dsgctl.config import Config
from dsgserve.http.site import Site

FIELDS = [field.name for field in fields(Site)]
SERVER = Path(dsgserve.__file__).parent


def test_each_field_comes_from_a_setting(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_bytes(b"<svg/>")
    settings = Config(
        site_name="Lab", site_contact="help@example.org", site_logo=logo, viewer_url="https://viewer.example.org/"
    )
    site = Site.open(settings)
    assert [name for name in FIELDS if getattr(site, name) == getattr(Site(), name)] == []


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_on_a_page(name: str) -> None:
    """By itself, or through a property or a method of the site."""
    users = [path for path in SERVER.rglob("*") if path.suffix in (".py", ".tpl") and path.name != "site.py"]
    names = {name for path in users for name in re.findall(r"\bsite\.(\w+)", path.read_text(encoding="utf-8"))}
    derived = [value.fget or value if isinstance(value, property) else value for value in vars(Site).values()]
    sources = [inspect.getsource(value) for value in derived if inspect.isfunction(value) and value.__name__ in names]
    assert name in names or any(f"self.{name}" in source for source in sources)
