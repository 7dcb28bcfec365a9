"""What an answer costs that is built anew after a change: counted in statements, not in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgserve.apis.cave.tables import DatasetQuestion
from dsgserve.apis.gate import GateQuestion
from dsgserve.apis.native.user import UserQuestion
from dsgserve.user_cache.endpoint import UserCacheQuestion
from dsgserve.user_cache.question import Question
from dsgserve.user_cache.response_cache import ResponseCache

T = "2026-01-01T00:00:00.000000Z"
TOKEN = "ana"
FEW, MANY = 2, 300

# Ana, whose id is 1, and ``count`` of everything that an answer to her is built from, and of other people.
WORLD = f"""
    INSERT INTO services (id, name) VALUES (1, 'atlas');
    INSERT INTO principals (id, kind, email, created, created_by) VALUES (1, 'user', 'ana@x.org', '{T}', 'x');
    INSERT INTO tokens (principal_id, kind, hash, prefix, created)
      VALUES (1, 'api', x'{sha256(TOKEN.encode()).hexdigest()}', '', '{T}');
    CREATE TEMP TABLE n AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {{count}})
      SELECT x FROM n;
    INSERT INTO principals (kind, email, created, created_by) SELECT 'user', 'p' || x || '@x.org', '{T}', 'x' FROM n;
    INSERT INTO groups (id, name, created) SELECT x, 'group-' || x, '{T}' FROM n;
    INSERT INTO datasets (id, name, access, created)
      SELECT x, 'set-' || x, iif(x % 2, 'public', 'closed'), '{T}' FROM n;
    INSERT INTO terms (id, name, text, dataset_id, service_id, invite_token, effective)
      SELECT x, 'own', 'x', x, NULL, 'own-' || x, '{T}' FROM n UNION ALL
      SELECT x + 1000, 'of a service', 'x', x, 1, 'service-' || x, '{T}' FROM n;
    UPDATE datasets SET own_terms_id = id;
    INSERT INTO affiliations SELECT 1, 'place-' || x FROM n;
    INSERT INTO memberships SELECT 1, x, x % 2 FROM n UNION ALL SELECT id, 1, 0 FROM principals WHERE id > 1;
    INSERT INTO grants (principal_id, group_id, dataset_id, permission, source, granted_by, created)
      SELECT 1, NULL, x, 'edit', 'manual', 'x', '{T}' FROM n UNION ALL
      SELECT NULL, x, x, 'view', 'manual', 'x', '{T}' FROM n;
    INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by) SELECT 1, x, '{T}', 'x' FROM n WHERE x > 1;
    INSERT INTO service_tables (service, name, dataset_id) SELECT 'atlas', 'table-' || x, x FROM n;
"""
# Question -> the most statements of its first answer after a change: of those, 6 learn what was changed.
COSTS: dict[str, tuple[Question, int]] = {
    "user/cache": (UserCacheQuestion(), 15),
    "user/cache of a service": (UserCacheQuestion("atlas"), 16),
    "native user": (UserQuestion(), 11),
    "gate": (GateQuestion(dataset="set-1"), 17),
    "table": (DatasetQuestion(table="table-1", table_service="atlas"), 11),
}


@contextmanager
def trace(database: Database) -> Iterator[list[str]]:
    """The statements that this thread runs inside."""
    statements: list[str] = []

    def note(cursor: object, sql: str, bindings: object) -> bool:
        statements.append(sql)
        return True

    database.connection().exec_trace = note
    yield statements
    database.connection().exec_trace = None


def list_statements(path: Path, question: Question) -> list[str]:
    """Those of the first answer after a change of Ana."""
    reader, writer = open_current(path, read_only=True), apsw.Connection(str(path))
    cache = ResponseCache(reader)
    cache.get(TOKEN, question)  # now it knows the services and the tokens
    writer.execute("UPDATE principals SET name = 'Ana' WHERE id = 1")
    with trace(reader) as statements:
        content = cache.get(TOKEN, question).content
        assert content is not None and cache.complete(question, content).status in (200, 403)
    writer.close()
    reader.close()
    return statements


@pytest.mark.parametrize("name", COSTS)
def test_a_first_answer_takes_the_same_statements_however_much_there_is(
    name: str, empty_database: Path, tmp_path: Path
) -> None:
    question, most = COSTS[name]
    runs = []
    for count in (FEW, MANY):
        path = tmp_path / f"{count}.sqlite3"
        path.write_bytes(empty_database.read_bytes())
        connection = apsw.Connection(str(path))
        connection.execute(WORLD.format(count=count))
        connection.close()
        runs.append(list_statements(path, question))
    few, many = runs
    assert few == many
    assert len(many) <= most
