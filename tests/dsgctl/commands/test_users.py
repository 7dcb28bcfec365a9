"""``dsgctl user``: what it reports beside the answer."""

import json

from dsgctl.operations.doctor.database import check_people
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.commands.running import execute
from tests.dsgctl.commands.world import World


def test_disabling_a_parent_reports_the_child_accounts_that_end_with_it(filled: World) -> None:
    execute(filled.database, "UPDATE principals SET parent_id = 1 WHERE email = 'bo@example.org'")
    result = filled.quick("user", "disable", "ada@example.org").ok()
    assert "1 child account ended with it: bo@example.org" in result.err


def test_probable_duplicates_and_renamed_people_are_reported(filled: World) -> None:
    filled.quick("user", "add", "ken@gmail.com").ok()
    added = filled.quick("user", "add", "k.en+lab@googlemail.com").ok()
    assert "is this the same person as ken@gmail.com?" in added.err
    assert filled.quick("user", "add", "k.en+lab@googlemail.com").ok().err == "", "it is there already"
    execute(filled.database, "UPDATE principals SET seen_email = 'ada@new.example.org' WHERE id = 1")
    shown = json.loads(filled.quick("user", "show", "ada@example.org", "-o", "json").ok().out)
    assert shown["seen_email"] == "ada@new.example.org"
    refused = filled.quick("user", "add", "Ada@new.example.org")
    assert refused.code == 4
    assert "dsgctl user set ada@example.org --email ada@new.example.org" in refused.err
    findings = [check.finding for check in check_people(SqliteDatabase(filled.database))]
    assert findings == [
        "ada@example.org signs in as ada@new.example.org now",
        "ken@gmail.com and k.en+lab@googlemail.com are probably one person",
    ]
