"""The checks of ``dsgctl doctor``: each line is a finding with its cause, and the next command.

One module a concern; `SECTIONS` is the list. A section whose settings are bad is skipped with a warning, and one that
raises an error is a failed line, so that no fault hides another.
"""

from collections.abc import Callable
from typing import NamedTuple

from dsgctl.core.errors import DsgError
from dsgctl.operations.doctor import (
    backups,
    data_sites,
    database,
    files,
    google,
    proxy,
    server,
    settings,
    sign_in,
    viewers,
)
from dsgctl.operations.doctor.check import (
    DATABASE,
    ORIGIN,
    Case,
    Check,
    Checks,
    Host,
    Status,
    explain_os_error,
    failure,
    warning,
)
from dsgctl.store import StoreError

__all__ = ["SECTIONS", "Case", "Check", "Checks", "Host", "Status", "examine"]


class Section(NamedTuple):
    """Checks of one concern.

    Attributes:
        needs: the settings that they read; if one is bad, they are skipped.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[[Case], Checks]


SECTIONS = (
    Section("settings", (), lambda case: settings.check_settings(case.settings)),
    Section("settings file", (), files.check_files),
    Section("signing keys", ("DSG_SECRET_KEY", "DSG_ORIGIN"), settings.check_keys),
    Section("viewers", ("NGAUTH_ALLOWED_ORIGINS",), lambda case: viewers.check_viewers(case.config)),
    Section("redirects", ("DSG_ALLOWED_REDIRECTS", "DSG_TOKEN_REDIRECTS"), settings.check_redirects),
    Section("apis", ("DSG_APIS", "DSG_TOKEN_NAMES"), settings.check_apis),
    Section("google", ("DSG_STS_URL", "DSG_STORAGE_URL", "DSG_ORIGIN"), settings.check_left_from_tests),
    Section(DATABASE, ("DATABASE_PATH",), database.check_database_files),
    Section(DATABASE, ("DATABASE_PATH", "DSG_ALLOWED_EMAIL_DOMAINS"), database.check_database),
    Section("disk", ("DATABASE_PATH", "DSG_BACKUP_STAGING_DIR"), database.check_disk),
    Section("oauth client", ("CLIENT_CREDENTIALS_PATH", "DSG_ORIGIN", "DSG_DEV_LOGIN"), sign_in.check_client),
    Section("provider", ("DSG_OIDC_ISSUER",), lambda case: sign_in.check_provider(case.config, case.at)),
    Section("credential", ("DATABASE_PATH",), google.check_credentials),
    Section("buckets", ("DATABASE_PATH",), google.check_buckets),
    Section("server", ("DSG_PORT", "DATABASE_PATH"), server.check_servers),
    Section(ORIGIN, ("DSG_ORIGIN",), settings.check_origin),
    Section(ORIGIN, ("DSG_ORIGIN", "DSG_TOKEN_NAMES"), proxy.check_front),
    Section(data_sites.NAME, ("DATABASE_PATH", "DSG_ORIGIN"), data_sites.check_data_sites),
    Section("units", ("DSG_BACKUP_DIR",), server.check_units),
    Section("backup", ("DSG_BACKUP_DIR", "DSG_BACKUP_AGE_RECIPIENTS_FILE", "DATABASE_PATH"), backups.check_backups),
    Section("age key", (), files.check_secret_keys),
)


def examine(case: Case) -> Checks:
    """Run every section in turn."""
    bad = {name for problem in case.settings.problems for name in problem.names}
    for section in SECTIONS:
        if unusable := sorted(bad.intersection(section.needs)):
            yield warning(section.name, f"not checked: {', '.join(unusable)} is bad", "correct it, and run it again")
            continue
        yield from _run(section, case)


def _run(section: Section, case: Case) -> Checks:
    try:
        yield from section.run(case)
    except (DsgError, StoreError) as error:
        yield failure(section.name, error.message, error.hint or "dsgctl --debug doctor")
    except OSError as error:
        yield explain_os_error(section.name, error)
