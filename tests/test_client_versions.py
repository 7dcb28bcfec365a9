"""The manual names the versions of clients that the end-to-end tests run."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# The client, and the pages that name its version.
PAGES = {
    "caveclient": ("cave",),
    "cloud-volume": ("cave", "gate", "tokens"),
    "middle_auth_client": ("cave",),
    "neuprint-python": ("neuprint-and-clio",),
}


def read_versions() -> dict[str, str]:
    """The version of each client that the tests install."""
    requirements = (REPOSITORY / "tests" / "e2e" / "python" / "requirements.txt").read_text(encoding="utf-8")
    guard = re.search(r'"middle-auth-client>=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert guard
    return {**dict(re.findall(r"^([\w-]+)==([\d.]+)", requirements, re.MULTILINE)), "middle_auth_client": guard[1]}


@pytest.mark.parametrize("client", PAGES)
def test_the_manual_names_the_version_of_each_client_that_is_tested(client: str) -> None:
    version = read_versions()[client]
    for page in PAGES[client]:
        text = (REPOSITORY / "dsgctl" / "guide" / f"{page}.md").read_text(encoding="utf-8")
        named = set(re.findall(rf"{client}\s+(\d+(?:\.\d+)+)", text))
        assert named == {version}, page


def test_every_client_that_is_installed_is_named() -> None:
    assert read_versions().keys() == PAGES.keys()
