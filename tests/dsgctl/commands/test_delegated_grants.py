"""Grants that a delegate gave: in the log, in reports of their end, and in documents."""

import json
from pathlib import Path

from tests.dsgctl.commands.running import Quick, dump, execute
from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"


def test_the_log_has_the_email_as_it_is_stored(lab_world: World) -> None:
    lab_world.quick("--as", ADA.upper(), "group", "member", "add", "lab-1", BO).ok()
    record = json.loads(lab_world.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith(f"user:{ADA} by os:")
    kelvin = ADA.replace("a", "\u212a")
    assert lab_world.quick("--as", kelvin, "access", "show", ADA).code == 5


def test_a_change_reports_to_the_operator_how_many_delegated_grants_end(lab_world: World) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    plan = lab_world.quick("user", "offboard", ADA, "--dry-run", "-o", "json").ok()
    assert {row["target"] for row in json.loads(plan.out)} >= {f"dataset:fish2 user:{BO}", f"group:lab-1 user:{BO}"}
    result = lab_world.quick("grant", "revoke", "fish2", "manage", "--user", ADA).ok()
    label = "grants and memberships that depended on this and ended, or now end sooner"
    assert result.err == f"{label}: 3; 'dsgctl audit list' names each\n"
    assert lab_world.quick("group", "show", "lab-1", "-o", "json").ok().out.count(BO) == 0
    lab_world.quick("db", "check").ok()


def test_db_check_reports_and_mends_delegated_grants_without_support(lab_world: World) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    execute(lab_world.database, "DELETE FROM grants WHERE permission = 'manage'")
    result = lab_world.quick("db", "check")
    assert result.code == 1 and "1 to take back or shorten" in result.err and "db check --mend" in result.err
    lab_world.quick("db", "check", "--mend").ok()
    lab_world.quick("db", "check").ok()
    assert BO not in lab_world.quick("group", "show", "lab-1", "-o", "json").ok().out


def test_an_export_and_an_import_keep_delegated_grants_with_their_delegates(
    lab_world: World, empty_database: Path
) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    document = lab_world.quick("export", "--with-token-hashes").ok().out
    (lab_world.directory / "facts.json").write_text(document)
    other = lab_world.directory / "other.sqlite3"
    other.write_bytes(empty_database.read_bytes())
    there = Quick(lab_world.directory, other)
    there("import", "export", "facts.json").ok()
    there("db", "check").ok()
    for table in ("delegated_members", "grants", "memberships"):
        assert dump(other)[table] == dump(lab_world.database)[table]
    there("grant", "revoke", "fish2", "manage", "--user", ADA).ok()
    assert BO not in there("group", "show", "lab-1", "-o", "json").ok().out


def test_an_exported_policy_leaves_out_delegated_grants(lab_world: World) -> None:
    before = lab_world.quick("export", "-o", "yaml", "--dataset", "fish2").ok().out
    lab_world.quick("user", "add", "cy@example.org").ok()
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", "cy@example.org").ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", "cy@example.org", "--scope", "lab-1").ok()
    assert lab_world.quick("export", "-o", "yaml", "--dataset", "fish2").ok().out == before
