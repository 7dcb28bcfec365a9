"""Writes the settings file of a gateway, and the file of the OAuth client beside it."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core.errors import DsgError
from dsgctl.env_file import read_text, replace_values
from dsgctl.files import SETTINGS_MODE, write_file
from dsgctl.operations.setup import require_consistent


def write_settings(path: Path, settings: Mapping[str, str]) -> bool:
    """Write settings into a file; all other lines stay unchanged. Returns whether anything changed.

    Raises:
        DsgError: it cannot be written.
    """
    old = read_text(str(path), required=False) or ""
    new = replace_values(old, settings)
    if new == old:
        return False
    try:
        write_file(path, new.encode(), mode=SETTINGS_MODE, owner=_owner(path.parent), replace=True)
    except OSError as error:
        raise DsgError(f"cannot write {path}: {error.strerror}", "run it as root: sudo dsgctl setup") from error
    return True


def _owner(directory: Path) -> tuple[int, int] | None:
    """Root, and the group of the directory, which is the service's. None for the user of this process."""
    return (0, directory.stat().st_gid) if os.geteuid() == 0 else None


def copy_client(source: Path, directory: Path) -> Path:
    """Copy the file of the OAuth client beside the settings, readable by the service. Returns the copy.

    Raises:
        DsgError: it cannot be written.
    """
    target = directory / "client_credentials.json"
    if source.resolve() != target.resolve():
        try:
            with source.open("rb") as file:
                write_file(target, file, mode=SETTINGS_MODE, owner=_owner(directory), replace=True)
        except OSError as error:
            raise DsgError(f"cannot write {target}: {error.strerror}", "run it as root: sudo dsgctl setup") from error
    return target


def new_key() -> str:
    """A random signing key."""
    return secrets.token_urlsafe(32)


def rotate_keys(keys: str) -> str:
    """A new signing key, followed by the former one, which still verifies; older keys are dropped."""
    former = keys.split(",", maxsplit=1)[0].strip()
    return f"{new_key()},{former}" if former else new_key()


class SettingsWriter:
    """Adds answers to a settings file, each as soon as it is accepted, so that none has to be given again.

    Attributes:
        config: all settings so far.
        done: a sentence for each write.
    """

    def __init__(self, path: Path, settings: Mapping[str, str], *, offline: bool) -> None:
        """
        Args:
            settings: those in the file.
            offline: never ask the provider.
        """
        self._path = path
        self._settings = dict(settings)
        self._offline = offline
        self.config = Config()
        self.done: list[str] = []

    def accept(self, answers: Mapping[str, str]) -> None:
        """Write answers that `check_answer` returned, and a signing key if there is none.

        Raises:
            Invalid: they contradict other settings; nothing is written.
            DsgError: the file cannot be written.
        """
        new = dict(answers)
        if not self._settings.get("DSG_SECRET_KEY"):
            new["DSG_SECRET_KEY"] = new_key()
        # The provider is asked only about an answer that concerns it.
        offline = self._offline or not new.keys() & {"CLIENT_CREDENTIALS_PATH", "DSG_OIDC_ISSUER"}
        self.config = require_consistent({**self._settings, **new}, offline=offline)
        if source := new.get("CLIENT_CREDENTIALS_PATH"):
            new["CLIENT_CREDENTIALS_PATH"] = str(copy_client(Path(source), self._path.parent))
        changed = [name for name, value in new.items() if self._settings.get(name) != value]
        self._settings.update(new)
        if write_settings(self._path, new):
            self.done.append(f"wrote {', '.join(changed)} to {self._path}")
        self.config = require_consistent(self._settings, offline=True)
