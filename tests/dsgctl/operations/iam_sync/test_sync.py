"""A sync makes policies at Google follow the database, and touches no members of others."""

import json
from pathlib import Path

import pytest

from tests.dsgctl.commands.running import Quick, execute
from tests.dsgctl.operations.iam_sync.lab import BOTH, FIXED, OTHERS, VIEWER, Do, ledger, outcome
from tests.e2e.google import Google
from tests.e2e.google_iam import BucketPolicies, error


def test_a_sync_adds_who_may_view_and_keeps_what_others_put_there(do: Do, policies: BucketPolicies) -> None:
    assert do("iam plan").out.splitlines() == [
        "lab-data: 2 to add, 0 to remove, 0 stay",
        "  + user:ada@example.org",
        "  + user:bo@example.org",
    ]
    assert do("iam sync --dry-run -o value").out == "planned\n"
    assert policies.bindings["lab-data"] == OTHERS and ledger(do) == {}
    policies.calls.clear()
    assert do("iam sync").out.startswith("lab-data: 2 added, 0 removed, 0 as before\n")
    assert policies.calls == [("GET lab-data", 200), ("PUT lab-data", 200)]
    assert policies.members("lab-data") == sorted(FIXED + BOTH)
    assert policies.bindings["lab-data"][0] == OTHERS[0] and policies.bindings["lab-data"][2] == OTHERS[2]
    assert ledger(do) == dict.fromkeys(BOTH, "held")
    policies.calls.clear()
    assert outcome(do("iam sync -o json")) == {
        "bucket": "lab-data",
        "outcome": "same",
        "add": [],
        "remove": [],
        "stay": 2,
        "left_out": [],
        "problem": "",
        "do": "",
    }
    assert policies.calls == [("GET lab-data", 200)]


def test_offboarding_removes_the_person_from_buckets_or_reports_the_failure(do: Do, policies: BucketPolicies) -> None:
    do("iam sync")
    offboarded = do("user offboard bo@example.org -y")
    assert "removed bo@example.org from the policies of lab-data" in offboarded.err
    assert "user:bo@example.org" not in policies.members("lab-data")
    policies.instead["PUT lab-data"] = [error(403, "no")]
    failed = do("user offboard ada@example.org -y", code=1)
    assert "they may still read lab-data with their own Google account; dsgctl iam sync" in failed.err
    assert "tokens" in failed.out or "grant" in failed.out  # here they are out


LOSES = {
    "is disabled": ["user disable bo@example.org"],
    "is removed": ["user remove bo@example.org -y"],
    "becomes an admin": ["user set bo@example.org --admin"],
    "leaves the group": ["group member remove lab bo@example.org"],
    "the grant is revoked": ["grant revoke fish2 edit --group lab"],
    "the dataset lies elsewhere": ["dataset location remove fish2 gs://lab-data/fish2 -y"],
    "has another address": ["user set bo@example.org --email bob@example.org"],
    "terms are not accepted": ["terms add T --file terms.md --dataset fish2"],
    "the dataset goes": ["dataset remove fish2 -y"],
    "the bucket is no longer chosen": ["bucket set lab-data --no-iam"],
}


@pytest.mark.parametrize("lines", LOSES.values(), ids=LOSES)
def test_the_next_sync_removes_a_person_who_may_no_longer_view(
    do: Do, home: Path, policies: BucketPolicies, lines: list[str]
) -> None:
    (home / "terms.md").write_text("Be kind.\n")
    do("iam sync")
    for line in lines:
        do(line)
    assert "user:bo@example.org" in outcome(do("iam sync -o json"))["remove"]
    assert "user:bo@example.org" not in policies.members("lab-data")
    assert "user:bo@example.org" not in ledger(do)
    assert set(FIXED) <= set(policies.members("lab-data"))


def test_accepting_the_terms_makes_a_person_a_member(do: Do, home: Path, policies: BucketPolicies) -> None:
    (home / "terms.md").write_text("Be kind.\n")
    do("terms add T --file terms.md --dataset fish2")
    do("terms accept 1 ada@example.org")
    do("iam sync")
    assert ledger(do) == {"user:ada@example.org": "held"}


def test_a_grant_on_one_version_does_not_open_the_bucket_of_another(do: Do, policies: BucketPolicies) -> None:
    do("dataset version add fish2 v1")
    do("grant add fish2 view --user cy@example.org --version v1")
    do("iam sync")
    assert "user:cy@example.org" not in policies.members("lab-data")
    do("dataset location add fish2 gs://lab-data/v1 --version v1")
    do("iam sync")
    assert "user:cy@example.org" in policies.members("lab-data")


def test_a_member_added_by_somebody_else_is_never_removed(do: Do, policies: BucketPolicies) -> None:
    policies.put("lab-data", [*OTHERS[:1], {"role": VIEWER, "members": ["user:ada@example.org"]}])
    assert outcome(do("iam sync -o json"))["add"] == ["user:bo@example.org"]
    assert ledger(do) == {"user:bo@example.org": "held"}
    do("user disable ada@example.org")
    do("user disable bo@example.org")
    do("iam sync")
    assert policies.members("lab-data") == ["user:ada@example.org"]


def test_a_member_with_a_conditional_role_also_gets_the_unconditional_one(do: Do, policies: BucketPolicies) -> None:
    do("group member add lab cy@example.org")
    do("iam sync")
    assert "user:cy@example.org" in policies.members("lab-data")
    do("group member remove lab cy@example.org")
    do("iam sync")
    assert "user:cy@example.org" not in policies.members("lab-data")
    assert policies.bindings["lab-data"][-1] == OTHERS[2]


def test_a_member_removed_by_somebody_else_is_added_again_while_they_may_view(do: Do, policies: BucketPolicies) -> None:
    do("iam sync")
    policies.put("lab-data", OTHERS)
    assert outcome(do("iam sync -o json"))["add"] == BOTH
    policies.put("lab-data", OTHERS)
    do("user disable ada@example.org")
    do("user disable bo@example.org")
    assert outcome(do("iam sync -o json"))["outcome"] == "same"
    assert ledger(do) == {}


def test_another_editor_in_between_loses_nothing(do: Do, policies: BucketPolicies) -> None:
    edits = iter(range(3))

    def edit(bucket: str) -> None:
        if (number := next(edits, None)) is not None:
            policies.put(bucket, [*policies.bindings[bucket], {"role": f"roles/r{number}", "members": ["allUsers"]}])

    policies.before_write = edit
    do("iam sync")
    assert [status for call, status in policies.calls if call == "PUT lab-data"] == [412, 412, 412, 200]
    assert policies.count("GET lab-data") == 4
    assert {f"roles/r{number}" for number in range(3)} < {binding["role"] for binding in policies.bindings["lab-data"]}
    assert policies.members("lab-data") == sorted(FIXED + BOTH)


def test_a_member_whom_another_editor_adds_meanwhile_is_not_ours(do: Do, policies: BucketPolicies) -> None:
    def edit(bucket: str) -> None:
        policies.before_write = None
        policies.put(bucket, [*OTHERS, {"role": VIEWER, "members": ["user:ada@example.org"]}])

    policies.before_write = edit
    assert outcome(do("iam sync -o json"))["add"] == ["user:bo@example.org"]
    assert ledger(do) == {"user:bo@example.org": "held"}


def test_a_permission_lost_in_between_is_not_given(do: Do, quick: Quick, policies: BucketPolicies) -> None:
    def edit(bucket: str) -> None:
        policies.before_write = None
        policies.put(bucket, OTHERS)
        execute(quick.database, "UPDATE principals SET active = 0 WHERE email = 'bo@example.org'")

    policies.before_write = edit
    assert outcome(do("iam sync -o json"))["add"] == ["user:ada@example.org"]


def test_a_missing_credential_is_reported(do: Do) -> None:
    do("dataset location add fish2 gs://other-data")
    for bucket in ("other-data", "lab-data"):
        do(f"bucket set {bucket} --iam --credential /nowhere/key.json")
    assert "2 of 2 buckets failed" in do("iam plan", code=1).err
    row = outcome(do("iam plan -o json", code=1))
    assert row["problem"] == "there is no Google credential (/nowhere/key.json)"
    assert "dsgctl bucket set" in row["do"]


def test_each_bucket_is_asked_for_with_its_own_credential(
    do: Do, google: Google, policies: BucketPolicies, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(f"bucket set lab-data --credential {google.credentials}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    do("iam sync")
    assert policies.members("lab-data") == sorted(FIXED + BOTH)


def test_a_sync_of_one_dataset_changes_its_buckets_only(do: Do, policies: BucketPolicies) -> None:
    policies.put("fly-data", [])
    do("dataset add fly")
    do("dataset location add fly gs://fly-data")
    do("grant add fly view --user cy@example.org")
    do("iam sync --dataset fly")
    assert policies.calls == []
    do("bucket set fly-data --iam")
    do("iam sync --dataset fly")
    assert policies.members("fly-data") == ["user:cy@example.org"]
    assert policies.bindings["lab-data"] == OTHERS
    assert do("iam show --dataset fly -o value").out == "user:cy@example.org\n"
    assert do("iam show --dataset fish2 -o value").out == ""
    for verb in ("plan", "sync", "show"):
        assert "there is no dataset 'none'" in do(f"iam {verb} --dataset none", code=3).err


def test_a_sync_does_not_ask_for_a_bucket_that_was_not_chosen(do: Do, policies: BucketPolicies) -> None:
    do("bucket set lab-data --no-iam")
    assert do("iam sync").err == "(none): no bucket is chosen; dsgctl bucket set NAME --iam\n"
    assert do("iam sync -o json").out == "[]\n"
    assert policies.calls == []


def test_a_bucket_that_is_gone_is_forgotten_once_it_is_no_longer_chosen(do: Do, policies: BucketPolicies) -> None:
    do("iam sync")
    del policies.bindings["lab-data"]
    row = outcome(do("iam sync -o json", code=1))
    assert "--no-iam" in row["do"]
    assert ledger(do) == dict.fromkeys(BOTH, "held")
    do("bucket set lab-data --no-iam")
    do("iam plan")
    assert ledger(do) == dict.fromkeys(BOTH, "held")
    do("iam sync")
    assert ledger(do) == {}
    assert do("iam sync").err.startswith("(none)")


def test_choosing_a_bucket_with_several_datasets_warns_of_the_wider_access(do: Do) -> None:
    do("dataset add fly")
    do("dataset location add fly gs://lab-data/fly")
    do("bucket set lab-data --no-iam")
    output = do("bucket set lab-data --iam").err
    assert output == ("everybody who may view one of fish2, fly can read all of gs://lab-data after the next sync\n")


def test_every_change_of_the_ledger_is_in_the_log(do: Do, policies: BucketPolicies) -> None:
    do("iam sync")
    do("user disable bo@example.org")
    do("iam sync")
    records = json.loads(do("audit list --target bucket:lab-data -o json").out)
    assert [f"{row['action']} {row['target'].partition(' ')[2]}".strip() for row in reversed(records)] == [
        "bucket.set",
        *(f"iam.add {member}" for member in BOTH),
        "iam.remove user:bo@example.org",
    ]
    do("audit verify")


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "value", "table"])
def test_every_command_prints_every_format(do: Do, format_: str) -> None:
    for line in ("iam plan", "iam sync", "iam show"):
        assert do(f"{line} -o {format_}").out.strip()
