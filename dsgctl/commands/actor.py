"""The operating-system user who runs a command, as the audit log names them."""

import os
import pwd


def os_actor() -> str:
    """``os:NAME``, the operating-system user; with sudo, ``os:NAME as USER``.

    SUDO_USER comes from the environment, so the user that the kernel reports is named beside it.
    """
    user = _user_name(os.getuid())
    through_sudo = os.environ.get("SUDO_USER")
    if through_sudo and through_sudo != user and through_sudo.isprintable():
        return f"os:{through_sudo} as {user}"
    return f"os:{user}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
