"""Audit records of the original's database."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import audit, audit_chain
from dsgctl.importers import datasetgateway
from dsgctl.store import Database
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers.datasetgateway.original import moment, query_original, spoil


def test_audit_records_are_taken_over(target: Database) -> None:
    records = [audit.show(target, row["id"]) for row in audit.list_records(target)]
    from_source = [record for record in records if record["imported_from"] is not None]
    assert sorted(
        (r["action"], r["target"], r["at"], r["actor"], r["before"], json.dumps(r["after"])) for r in from_source
    ) == sorted(
        (f"datasetgateway.{action}", f"{kind}:{number}", moment(at), f"user:{email}", None, after)
        for action, kind, number, at, email, after in query_original(
            "SELECT action, target_type, target_id, timestamp, email, after_state FROM audit_log"
            " JOIN dsg_user u ON u.id = actor_id"
        )
    )
    assert audit_chain.verify(target) is None
    assert len(records) > len(from_source)  # what the import itself did stands beside them


class TestHistory:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ('{"a": 1}', {"a": 1}),
            ("[1, 2]", {"value": [1, 2]}),
            ('"text"', {"value": "text"}),
            ("null", {"value": None}),
            ("1e999", {"text": "1e999"}),  # more than our own records can say
            ('{"a": "\\ud800"}', {"text": '{"a": "\\ud800"}'}),
        ],
    )
    def test_any_json_is_kept(self, run: Run, source: Path, state: str, expected: Any) -> None:
        spoil(source, f"UPDATE audit_log SET after_state = '{state}' WHERE id = 4")
        run(datasetgateway.Importer().run, source)
        assert [record["after"] for record in run.records() if record["target"] == "Grant:3"] == [expected]
        assert audit_chain.verify(run.database) is None
        assert not run(datasetgateway.Importer().run, source).changed

    def test_a_token_in_it_is_not(self, run: Run, source: Path) -> None:
        key = query_original("SELECT key FROM api_key WHERE id = 1")[0][0]
        spoil(source, f"""UPDATE audit_log SET after_state = '{{"old": "key {key}."}}' WHERE id = 4""")
        run(datasetgateway.Importer().run, source)
        states = [record["after"] for record in run.records() if record["target"] == "Grant:3"]
        assert states == [{"old": "key (a token)."}]

    def test_a_record_without_an_actor(self, run: Run, source: Path) -> None:
        spoil(source, "UPDATE audit_log SET actor_id = NULL WHERE id = 4")
        run(datasetgateway.Importer().run, source)
        assert [record["actor"] for record in run.records() if record["target"] == "Grant:3"] == ["unknown"]
