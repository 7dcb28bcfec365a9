"""``dsgctl`` with settings for backups, and an age key."""

from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from tests.dsgctl.commands.running import Quick, Result

Run = Callable[..., Result]


SECRET = "GOOGLE_CLIENT_SECRET=the-clients-secret"


@pytest.fixture
def keys(home: Path) -> Path:
    """A file with a secret age key; its recipient is in ``recipients.txt`` beside it."""
    identity = pyrage.x25519.Identity.generate()
    (home / "recipients.txt").write_text(f"# Ann\n{identity.to_public()}\n\n")
    (home / "identity").write_text(f"# created: 2026-11-20\n{identity}\n")
    return home / "identity"


@pytest.fixture
def settings(home: Path, path: Path, keys: Path) -> Path:
    """A settings file for backups."""
    (home / "out").mkdir()
    file = home / "dsg.env"
    file.write_text(f"""
DATABASE_PATH={path}
DSG_BACKUP_DIR={home}/out
DSG_BACKUP_STAGING_DIR={home}
DSG_BACKUP_AGE_RECIPIENTS_FILE={home}/recipients.txt
{SECRET}
""")
    return file


@pytest.fixture
def run(quick: Quick, settings: Path) -> Run:
    """``dsgctl`` in this process, with those settings."""
    return lambda *words, **options: quick("--env-file", str(settings), *words, **options)


def find_bundles(home: Path) -> list[Path]:
    return sorted((home / "out").glob("*.age"))
