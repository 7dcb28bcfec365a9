"""Connections to other database servers through peewee; a driver is loaded only when it is needed."""

import importlib
import os
import sys
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dsgctl.core.errors import Invalid
from dsgctl.core.hidden_characters import has_control
from dsgctl.core.validation import quote
from dsgctl.store.queries import peewee

CONNECT_TIMEOUT = 10  # seconds
LOCK_TIMEOUT = 5  # seconds to wait for a writer of a table
_FORM = "write postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"


class _Psycopg(peewee.Psycopg3Adapter):
    def check_driver(self) -> None:
        pass  # `_load_driver` does

    def connect(self, db: Any, **params: Any) -> Any:
        return _load_driver("psycopg", "psycopg[binary]").connect(db.database, **params)


class _Postgresql(peewee.PostgresqlDatabase):
    psycopg2_adapter = psycopg3_adapter = _Psycopg


class _Mysql(peewee.MySQLDatabase):
    def _connect(self) -> Any:
        driver = _load_driver("pymysql", "pymysql")
        return driver.connect(database=self.database, autocommit=True, **self.connect_params)


def _load_driver(name: str, package: str) -> Any:
    """A driver's module, which is not imported with peewee (store/queries.py).

    Raises:
        Invalid: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        hint = f"{sys.executable} -m pip install '{package}', or import CSV dumps"
        raise Invalid(f"{name}, which reads such a database, is not installed", hint) from None


# The statements that begin a read-only transaction on one snapshot of all tables, which does not wait for ever.
_POSTGRESQL = (
    "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'",
)
_MYSQL = (
    f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT}",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)


def address(url: str) -> str:
    """A URL for messages: without password and parameters.

    Raises:
        Invalid: it is not the URL of a database that can be read here.
    """
    parts = _split(url)
    user = f"{parts.username}@" if parts.username else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{_engine(parts)}://{user}{host}{port}{parts.path}"


def has_password(url: str) -> bool:
    """Whether a URL has a password, which everybody who can list processes sees."""
    return bool(_split(url).password)


def _engine(parts: SplitResult) -> str:
    """``postgresql`` or ``mysql``; a program's own URL may name its driver too: ``mysql+pymysql``."""
    engines = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
    engine = engines.get(parts.scheme.partition("+")[0])
    if engine is None:
        raise Invalid(f"{quote(parts.scheme)} is not a kind of database that can be read here", _FORM)
    return engine


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # only this checks it
    except ValueError:
        raise Invalid("that is not the URL of a database", _FORM) from None
    _engine(parts)
    if has_control(url) or not parts.path.strip("/"):
        raise Invalid("the URL names no database", _FORM)
    return parts


def build_database(url: str) -> tuple[peewee.Database, tuple[str, ...]]:
    """The database of a URL, not connected yet, and the statements that begin its transaction.

    PostgreSQL's own settings apply: PGPASSWORD, a password file, a service file, a socket.
    """
    parts = _split(url)
    if _engine(parts) == "postgresql":
        plain = "postgresql:" + url.partition(":")[2]
        # With another encoding, the driver would read text of a database without one (SQL_ASCII) as bytes.
        return _Postgresql(plain, connect_timeout=CONNECT_TIMEOUT, client_encoding="UTF8"), _POSTGRESQL
    parameters = dict(parse_qsl(parts.query))
    unknown = sorted(parameters.keys() - {"unix_socket", "charset"})
    if unknown:
        raise Invalid(f"the URL has a parameter {quote(unknown[0])} that is not known here", _FORM)
    settings: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or "") or None,
        "password": _mysql_password(parts),
        "connect_timeout": CONNECT_TIMEOUT,
        **parameters,
    }
    return _Mysql(
        unquote(parts.path.strip("/")), **{key: setting for key, setting in settings.items() if setting}
    ), _MYSQL


def _mysql_password(parts: SplitResult) -> str:
    return unquote(parts.password) if parts.password else os.environ.get("MYSQL_PWD", "")
