"""Encrypts bundles to age recipients, and decrypts them (https://age-encryption.org/v1)."""

from pathlib import Path
from typing import Any

from dsgctl.core.errors import DsgError, Invalid, NotFound

AGE_HEADER = b"age-encryption.org/v1"

Recipient = Any  # pyrage.x25519.Recipient or pyrage.ssh.Recipient: pyrage has no types, and is imported when needed


def read_recipients(path: Path) -> list[Recipient]:
    """The age recipients of a file, one a line; ``#`` begins a comment.

    Raises:
        Invalid: the file cannot be read or has no recipient, or a line is not one.
    """
    from pyrage import RecipientError, ssh, x25519  # only for backups

    hint = "age-keygen prints a public key; put it there, one a line, or use --in-clear"
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise Invalid(f"no age recipients: {path}: {error.strerror}", hint) from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not text", hint) from None
    recipients = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            kind = ssh if line.startswith("ssh-") else x25519
            recipients.append(kind.Recipient.from_str(line))
        except RecipientError:
            raise Invalid(f"{path}, line {number}: not an age recipient", hint) from None
    if not recipients:
        raise Invalid(f"{path} has no age recipient", hint)
    return recipients


def is_encrypted(bundle: Path) -> bool:
    """Whether a bundle begins with age's header.

    Raises:
        NotFound: there is no such file.
    """
    if not bundle.is_file():
        raise NotFound(f"there is no file {bundle}", "dsgctl backup list")
    with bundle.open("rb") as file:
        return file.read(len(AGE_HEADER)) == AGE_HEADER


def encrypt(bundle: Path, recipients: list[Recipient]) -> Path:
    """Encrypt a file. Returns the new file, beside it."""
    from pyrage import encrypt_io  # only for backups

    encrypted = bundle.with_name(bundle.name + ".age")
    with bundle.open("rb") as source, encrypted.open("wb") as target:
        encrypt_io(source, target, recipients)
    return encrypted


def decrypt(bundle: Path, target: Path, identity: Path | None) -> None:
    """Decrypt a bundle into a new file.

    Args:
        identity: a file with age identities, or an SSH key.

    Raises:
        Invalid: there is no identity file, or none of its identities decrypts the bundle.
        DsgError: the bundle is damaged.
    """
    from pyrage import DecryptError, decrypt_io  # only for backups

    identities = _read_identities(bundle, identity)
    try:
        with bundle.open("rb") as source, target.open("wb") as output:
            decrypt_io(source, output, identities)
    except DecryptError as error:
        raise Invalid(f"{bundle.name} cannot be decrypted: {error}", "it is damaged, or encrypted to others") from None
    except OSError as error:
        if error.errno is not None:
            raise  # an error of the disk; pyrage's own, of a truncated or altered bundle, has no number
        raise DsgError(f"{bundle.name} is damaged: {error}", "use another backup") from None


def _read_identities(bundle: Path, identity: Path | None) -> list[Any]:
    from pyrage import IdentityError, ssh, x25519  # only for backups

    hint = "use --identity FILE, or set DSG_BACKUP_AGE_IDENTITY_FILE"
    if identity is None:
        raise Invalid(f"{bundle.name} is encrypted", hint)
    try:
        content = identity.read_bytes()
        if content.startswith(b"-----BEGIN"):
            return [ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode().splitlines()]
        return [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except OSError as error:
        raise Invalid(f"{identity}: {error.strerror}", hint) from None
    except (IdentityError, UnicodeDecodeError):
        raise Invalid(f"{identity} is not a file of age identities", hint) from None
