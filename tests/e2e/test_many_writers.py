"""Twenty write at once while many read: nobody is turned away, nothing is lost, no answer is of two states."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dsgctl.core import audit_chain, datasets, grants, groups, tokens, user_queries, users
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Subject, Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.visitor import Visitor
from tests.level_table import included_levels

WRITERS, LOGINS, READERS = 20, 3, 4
EACH = 3  # commands or logins of each
EMAIL = "shared@example.org"
STATES = ({"groups": ["inside"], "fish2": sorted(included_levels("edit"))}, {"groups": ["outside"], "fly": ["view"]})


def test_twenty_concurrent_writers_lose_no_change(
    serve: Callable[..., Server], database: Database, path: Path, tmp_path: Path
) -> None:
    token = _populate(database)
    server = serve(DSG_DEV_LOGIN="1")
    stop, mixed = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            answer = server.ask(token).json()
            permissions = {"groups": answer["groups"], **answer["permissions_v2"]}
            if permissions not in STATES:
                mixed.append(permissions)

    def exchange() -> None:
        """From one state to the other and back, each in one change."""
        inside = True
        while not stop.is_set():
            with begin_change(database, "os:test") as change:
                (_to_outside if inside else _to_inside)(change)
            inside = not inside
        database.close()

    with ThreadPoolExecutor(READERS + 1 + WRITERS + LOGINS) as several:
        background = [several.submit(read) for _ in range(READERS)] + [several.submit(exchange)]
        writers = [several.submit(_write, path, tmp_path, number) for number in range(WRITERS)]
        logins = [several.submit(_sign_in, server.origin) for _ in range(LOGINS)]
        try:
            errors = [line for writer in writers for line in writer.result()]
            login_tokens = [login for login in logins for login in login.result()]
        finally:
            stop.set()
        for job in background:
            job.result()

    assert errors == []
    assert mixed == []
    assert all(server.ask(login).status_code == 200 for login in login_tokens)
    shared = user_queries.show(database, EMAIL)
    everybody = [f"{number}-{time}" for number in range(WRITERS) for time in range(EACH)]
    # Each added to what the others had written: a lost update would lack a line.
    assert sorted(shared["notes"].splitlines()) == sorted(f"note {write}" for write in everybody)
    assert shared["affiliations"] == sorted(f"Institute {write}" for write in everybody)
    assert audit_chain.verify(database) is None
    assert database.integrity_problems() == []
    assert "locked" not in server.log.read_text()


def _populate(database: Database) -> str:
    """A person who is in one group and may edit one dataset, and a token of theirs."""
    with begin_change(database, "os:test") as change:
        for group in ("inside", "outside"):
            groups.add(change, group)
        for dataset in ("fish2", "fly", "crowd"):
            datasets.add(change, dataset)
        ada, _ = users.add(change, "ada@example.org")
        users.add(change, "login@example.org")
        users.add(change, EMAIL)
        groups.add_member(change, "inside", ada.email)
        grants.add(change, _ada(change), Target("fish2", "edit"))
        return tokens.mint(change, ada)[1]


def _ada(change: Change) -> Subject:
    return principal_subject(users.find(change.database, "ada@example.org"))


def _to_outside(change: Change) -> None:
    groups.remove_member(change, "inside", "ada@example.org")
    grants.revoke(change, _ada(change), Target("fish2", "edit"))
    groups.add_member(change, "outside", "ada@example.org")
    grants.add(change, _ada(change), Target("fly", "view"))


def _to_inside(change: Change) -> None:
    groups.remove_member(change, "outside", "ada@example.org")
    grants.revoke(change, _ada(change), Target("fly", "view"))
    groups.add_member(change, "inside", "ada@example.org")
    grants.add(change, _ada(change), Target("fish2", "edit"))


def _write(path: Path, place: Path, number: int) -> list[str]:
    """Commands one after the other, each a process that adds to one person. What they said of failures."""
    errors = []
    for time in range(EACH):
        source = place / f"{number}-{time}.csv"
        source.write_text(f"email,affiliation,notes\n{EMAIL},Institute {number}-{time},note {number}-{time}\n")
        command = subprocess.run(
            [sys.executable, "-m", "dsgctl", "import", "csv", source, "--dataset", "crowd"],
            env={"PATH": os.environ["PATH"], "DATABASE_PATH": str(path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if command.returncode:
            errors.append(command.stderr)
    return errors


def _sign_in(origin: str) -> list[Any]:
    return [Visitor(origin).sign_in("login@example.org") for _ in range(EACH * 5)]
