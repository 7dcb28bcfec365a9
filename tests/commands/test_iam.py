"""``dsgctl iam``: policies at Google follow the facts, and nobody else's members are touched."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dsgctl.iam
from tests.commands.running import Quick, Result, execute
from tests.e2e.google import Google, running_google
from tests.e2e.google_iam import HANG_UP, LIMIT, BucketPolicies, error
from tests.e2e.local import make_certificate

VIEWER = "roles/storage.objectViewer"
OTHERS = [
    {"role": "roles/storage.admin", "members": ["projectOwner:lab-project", "group:admins@example.org"]},
    {"role": VIEWER, "members": ["user:guest@example.org", "deleted:user:gone@example.org?uid=123"]},
    {"role": VIEWER, "members": ["user:cy@example.org", "user:temp@example.org"],
     "condition": {"title": "for a while", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')"}},
]  # fmt: skip
FIXED = ["deleted:user:gone@example.org?uid=123", "user:guest@example.org"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"), "localhost")


@pytest.fixture
def google(tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with running_google(tmp_path, certificate) as started:
        for name, value in started.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DSG_STORAGE_URL", f"https://localhost:{started.port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        monkeypatch.setattr(dsgctl.iam, "PAUSE", 0.001)
        yield started


@pytest.fixture
def policies(google: Google) -> BucketPolicies:
    google.policies.put("lab-data", json.loads(json.dumps(OTHERS)))
    return google.policies


Do = Callable[..., Result]


@pytest.fixture
def do(quick: Quick, policies: BucketPolicies) -> Do:
    """Runs ``dsgctl`` where Ada and Bo may view fish2, which lies in lab-data; root is an admin."""

    def run(line: str, code: int = 0) -> Result:
        result = quick(*line.split())
        assert result.code == code, result
        return result

    for line in (
        "group add lab",
        *(f"user add {name}@example.org" for name in ("Ada", "bo", "cy", "guest")),
        "user add root@example.org --admin",
        "service-account add robot",
        "group member add lab bo@example.org",
        "dataset add fish2",
        "dataset location add fish2 gs://lab-data/fish2",
        "grant add fish2 view --user ada@example.org",
        "grant add fish2 edit --group lab",
        "grant add fish2 view --user root@example.org",
        "grant add fish2 view --service-account robot",
        "bucket set lab-data --iam",
    ):
        run(line)
    return run


def outcome(result: Result, bucket: str = "lab-data") -> dict[str, Any]:
    found: dict[str, Any] = {row["bucket"]: row for row in json.loads(result.out)}[bucket]
    return found


def ledger(do: Do) -> dict[str, str]:
    return {row["member"]: row["state"] for row in json.loads(do("iam show -o json").out)}


BOTH = ["user:ada@example.org", "user:bo@example.org"]


def test_a_sync_adds_who_may_view_and_keeps_what_others_put_there(do: Do, policies: BucketPolicies) -> None:
    assert do("iam plan").out.splitlines() == [
        "lab-data: 2 to add, 0 to remove, 0 stay", "  + user:ada@example.org", "  + user:bo@example.org"
    ]  # fmt: skip
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
        "bucket": "lab-data", "outcome": "same", "add": [], "remove": [], "stay": 2, "left_out": [],
        "problem": "", "do": "",
    }  # fmt: skip
    assert policies.calls == [("GET lab-data", 200)]


LOSES = {
    "is disabled": ["user disable bo@example.org"],
    "is offboarded": ["user offboard bo@example.org -y"],
    "is removed": ["user remove bo@example.org -y"],
    "becomes an admin": ["user set bo@example.org --admin"],
    "leaves the group": ["group member remove lab bo@example.org"],
    "the grant is revoked": ["grant revoke fish2 edit --group lab"],
    "the dataset lies elsewhere": ["dataset location remove fish2 gs://lab-data/fish2"],
    "has another address": ["user set bo@example.org --email bob@example.org"],
    "terms are not accepted": ["terms add T --file terms.md --dataset fish2"],
    "the dataset goes": ["dataset remove fish2 -y"],
    "the bucket is no longer chosen": ["bucket set lab-data --no-iam"],
}


@pytest.mark.parametrize("lines", LOSES.values(), ids=LOSES)
def test_who_may_no_longer_view_is_out_after_the_next_sync(
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


def test_whoever_accepts_the_terms_is_in(do: Do, home: Path, policies: BucketPolicies) -> None:
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


def test_a_member_that_somebody_else_put_there_is_never_ours(do: Do, policies: BucketPolicies) -> None:
    policies.put("lab-data", [*OTHERS[:1], {"role": VIEWER, "members": ["user:ada@example.org"]}])
    assert outcome(do("iam sync -o json"))["add"] == ["user:bo@example.org"]
    assert ledger(do) == {"user:bo@example.org": "held"}
    do("user disable ada@example.org")
    do("user disable bo@example.org")
    do("iam sync")
    assert policies.members("lab-data") == ["user:ada@example.org"]


def test_who_has_the_role_on_a_condition_only_gets_it_without(do: Do, policies: BucketPolicies) -> None:
    do("group member add lab cy@example.org")
    do("iam sync")
    assert "user:cy@example.org" in policies.members("lab-data")
    do("group member remove lab cy@example.org")
    do("iam sync")
    assert "user:cy@example.org" not in policies.members("lab-data")
    assert policies.bindings["lab-data"][-1] == OTHERS[2]


def test_what_somebody_else_took_out_is_put_back_while_it_is_wanted(do: Do, policies: BucketPolicies) -> None:
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
    assert {f"roles/r{number}" for number in range(3)} < {one["role"] for one in policies.bindings["lab-data"]}
    assert policies.members("lab-data") == sorted(FIXED + BOTH)


def test_whom_another_editor_adds_in_between_is_theirs(do: Do, policies: BucketPolicies) -> None:
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


# Google's answers -> what is said, and what to do; whether the intention stays, because it may have been done.
REFUSALS: dict[str, tuple[str, tuple[int, Any], str, bool]] = {
    "read 403": ("GET", error(403, "no getIamPolicy"), "403: no getIamPolicy|buckets.setIamPolicy", False),
    "read 404": ("GET", error(404, "no such bucket"), "answers 404: no such bucket|there is no bucket", False),
    "read 401": ("GET", error(401, "Invalid Credentials"), "answers 401|no longer good", False),
    "read 429": ("GET", error(429, "rate limit"), "answers 429: rate limit|in a minute", False),
    "read 500": ("GET", error(500, "backendError"), "answers 500: backendError|run it again", False),
    "read 503, as a page": ("GET", (503, b"<html>"), "answers 503|run it again", False),
    "read no JSON": ("GET", (200, b"<html>hello"), "is no policy|try again", False),
    "read nested without end": ("GET", (200, b"[" * 100_000), "is no policy|try again", False),
    "read far too much": ("GET", (200, b" " * 600_000), "does not answer|network", False),
    "read a list": ("GET", (200, []), "is no policy|try again", False),
    "read no etag": ("GET", (200, {"bindings": []}), "is no policy|try again", False),
    "read odd bindings": ("GET", (200, {"etag": "a", "bindings": [{"members": "x"}]}), "is no policy|try again", False),
    "read odd members": ("GET", (200, {"etag": "a", "bindings": [{"role": "a", "members": [1]}]}), "no policy|", False),
    "read version 4": ("GET", (200, {"etag": "a", "version": 4}), "of version '4'|a newer dsgctl", False),
    "read version 2": ("GET", (200, {"etag": "a", "version": 2}), "of version '2'|a newer dsgctl", False),
    "read version x": ("GET", (200, {"etag": "a", "version": "3"}), "of version '3'|a newer dsgctl", False),
    "read silence": ("GET", (HANG_UP, None), "does not answer|network", False),
    "read elsewhere": ("GET", (302, {}), "answers 302|doctor", False),
    "write 403": ("PUT", error(403, "no setIamPolicy"), "403: no setIamPolicy|buckets.setIamPolicy", False),
    "write 404": ("PUT", error(404, "no such bucket"), "answers 404|there is no bucket", False),
    "write 412 again and again": ("PUT", error(412, "conditionNotMet"), "answers 412: conditionNotMet|again", False),
    "write 409 again and again": ("PUT", error(409, "conflict"), "answers 409: conflict|run it again", False),
    "write 400": ("PUT", error(400, "Invalid argument."), "answers 400: Invalid argument.|nothing", False),
    "write 429": ("PUT", error(429, "rate limit"), "answers 429|in a minute", False),
    "write 500": ("PUT", error(500, "backendError"), "answers 500|run it again", True),
    "write 503": ("PUT", (503, b""), "answers 503|run it again", True),
    "write no JSON": ("PUT", (200, b"<html>"), "does not say whether|run it again", True),
    "write silence": ("PUT", (HANG_UP, None), "does not answer|run it again", True),
    "write another": ("PUT", (200, {"etag": "a", "bindings": []}), "another policy than it was sent|--email", True),
}  # fmt: skip


@pytest.mark.parametrize(("method", "answer", "said", "stays"), REFUSALS.values(), ids=REFUSALS)
def test_what_google_refuses_is_told_the_others_are_done_and_the_next_run_mends_it(
    do: Do, policies: BucketPolicies, method: str, answer: tuple[int, Any], said: str, stays: bool
) -> None:
    policies.put("other-data", [])
    policies.put("third-data", [])
    for bucket in ("other-data", "third-data"):
        do(f"dataset location add fish2 gs://{bucket}")
        do(f"bucket set {bucket} --iam")
    policies.instead[f"{method} other-data"] = [answer]
    result = do("iam sync -o json", code=1)
    row = outcome(result, "other-data")
    what, _, hint = said.partition("|")
    assert row["outcome"] == "failed" and what in row["problem"] and hint in row["do"], row
    assert len(result.err.splitlines()) == 1
    assert json.loads(result.err)["error"] == "1 of 3 buckets failed: other-data"
    for bucket in ("lab-data", "third-data"):
        assert outcome(result, bucket)["outcome"] == "changed"
        assert set(BOTH) <= set(policies.members(bucket))
    assert policies.count("GET other-data") <= dsgctl.iam.TRIES + 1
    shown = json.loads(do("iam show -o json").out)
    expected = dict.fromkeys(BOTH, "intended") if stays else {}
    assert {one["member"]: one["state"] for one in shown if one["bucket"] == "other-data"} == expected

    table = do("iam sync", code=1)
    assert f"other-data: failed: {row['problem']}" in table.out
    assert len(table.err.splitlines()) == 1
    assert do("iam plan", code=0 if method == "PUT" else 1)

    policies.instead.clear()
    assert outcome(do("iam sync -o json"), "other-data")["outcome"] == "changed"
    assert policies.members("other-data") == BOTH


def test_an_answer_that_takes_too_long_is_given_up(
    do: Do, policies: BucketPolicies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgctl.calls.READ_SECONDS", 0.3)
    policies.before_write = lambda bucket: threading.Event().wait(1)  # type: ignore[assignment, func-returns-value]
    assert "does not answer" in outcome(do("iam sync -o json", code=1))["problem"]


def test_an_answer_that_was_lost_is_mended_by_the_next_run(do: Do, policies: BucketPolicies) -> None:
    policies.lost.add("lab-data")
    do("iam sync", code=1)
    assert policies.members("lab-data") == sorted(FIXED + BOTH)
    assert ledger(do) == dict.fromkeys(BOTH, "intended")
    policies.lost.clear()
    do("user disable bo@example.org")
    do("iam sync")
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org"])
    assert ledger(do) == {"user:ada@example.org": "held"}

    policies.lost.add("lab-data")
    do("user disable ada@example.org")
    do("iam sync", code=1)
    assert policies.members("lab-data") == FIXED
    policies.lost.clear()
    do("iam sync")
    assert ledger(do) == {}


def test_an_intention_that_came_to_nothing_is_forgotten(do: Do, policies: BucketPolicies) -> None:
    policies.instead["PUT lab-data"] = [(503, b"")]
    do("iam sync", code=1)
    policies.instead.clear()
    do("user disable bo@example.org")
    do("iam sync")
    assert ledger(do) == {"user:ada@example.org": "held"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_is_mended_by_the_next(do: Do, dsgctl: Any, policies: BucketPolicies, moment: str) -> None:
    environment = {name: os.environ[name] for name in (
        "DSG_STORAGE_URL", "DSG_STS_URL", "GOOGLE_APPLICATION_CREDENTIALS", "REQUESTS_CA_BUNDLE")}  # fmt: skip
    running: list[Any] = []

    def kill(bucket: str) -> None:
        running[0].kill()
        running[0].wait()
        policies.before_write = None
        if moment == "before":
            policies.instead[f"PUT {bucket}"] = [(503, b"")]

    policies.before_write = kill
    running.append(dsgctl.start("iam", "sync", env=dsgctl.environment(**environment)))
    running[0].communicate(timeout=60)
    policies.instead.clear()
    assert ledger(do) == dict.fromkeys(BOTH, "intended")
    assert set(BOTH) <= set(policies.members("lab-data")) or moment == "before"
    do("user disable bo@example.org")
    do("iam sync")
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org"])
    assert ledger(do) == {"user:ada@example.org": "held"}


def test_two_runs_at_once_are_one_after_the_other(do: Do, quick: Quick, policies: BucketPolicies) -> None:
    with dsgctl.iam.alone(quick.database):
        assert "another 'dsgctl iam sync' is under way" in do("iam sync", code=4).err
        do("iam plan")
    do("iam sync")


def test_a_policy_stays_within_googles_limit_and_who_must_go_goes(do: Do, policies: BucketPolicies) -> None:
    do("iam sync")
    do("user disable bo@example.org")
    many = {"role": "roles/storage.objectUser", "members": [f"user:u{number}@x.org" for number in range(LIMIT - 7)]}
    policies.put("lab-data", [*policies.bindings["lab-data"], many])
    do("user add di@example.org")
    do("group member add lab di@example.org")
    do("group member add lab cy@example.org")
    do("iam plan", code=1)
    row = outcome(do("iam sync -o json", code=1))
    assert row["problem"] == "the policy would have 1502 principals, and Google takes 1500: nobody was added"
    assert "Google group" in row["do"]
    assert (row["add"], row["remove"]) == ([], ["user:bo@example.org"])
    assert row["left_out"] == ["user:cy@example.org", "user:di@example.org"]
    bindings = policies.bindings["lab-data"]
    policies.put("lab-data", [*bindings[:-1], bindings[-1] | {"members": bindings[-1]["members"][:-2]}])
    do("iam sync")
    assert sum(len(one["members"]) for one in policies.bindings["lab-data"]) == LIMIT


def test_who_has_no_google_account_keeps_out_nobody_else(do: Do, policies: BucketPolicies) -> None:
    policies.unknown.add("ada@example.org")
    result = do("iam sync", code=1)
    assert "Google does not take ada@example.org: User ada@example.org does not exist." in result.out
    assert "  ! user:ada@example.org is left out" in result.out
    assert ledger(do) == {"user:bo@example.org": "held"}
    do("user disable ada@example.org")
    do("iam sync")


@pytest.mark.parametrize("answer", [error(400, "Invalid argument."), error(412, "no permitted customer")])
def test_whom_google_does_not_take_holds_up_nobodys_leaving(do: Do, policies: BucketPolicies, answer: Any) -> None:
    do("iam sync")
    do("user disable bo@example.org")
    do("group member add lab cy@example.org")
    read = policies._write

    def strict(bucket: str, body: Any) -> Any:
        return answer if "cy@example.org" in str(body["bindings"][1]) else read(bucket, body)

    policies._write = strict  # type: ignore[method-assign]
    row = outcome(do("iam sync -o json", code=1))
    assert (row["add"], row["remove"], row["left_out"]) == ([], ["user:bo@example.org"], ["user:cy@example.org"])
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org"])


def test_a_person_whom_google_calls_otherwise_is_told_and_still_ours(do: Do, policies: BucketPolicies) -> None:
    write = policies._write

    def renames(bucket: str, body: Any) -> Any:
        return write(bucket, json.loads(json.dumps(body).replace("user:bo@", "user:robert@")))

    policies._write = renames  # type: ignore[method-assign]
    row = outcome(do("iam sync -o json", code=1))
    assert "user:bo@example.org, user:robert@example.org" in row["problem"] and "--email" in row["do"]
    policies._write = write  # type: ignore[method-assign]
    do("user set bo@example.org --email robert@example.org")
    do("iam sync")
    assert ledger(do) == {"user:ada@example.org": "held", "user:robert@example.org": "held"}
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org", "user:robert@example.org"])


def test_a_credential_that_is_none_is_told(do: Do) -> None:
    do("bucket set lab-data --credential /nowhere/key.json")
    row = outcome(do("iam plan -o json", code=1))
    assert row["problem"] == "there is no Google credential (/nowhere/key.json)"
    assert "dsgctl bucket set" in row["do"]


def test_each_bucket_is_asked_for_with_its_own_credential(do: Do, google: Google, policies: BucketPolicies) -> None:
    do(f"bucket set lab-data --credential {google.credentials}")
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = "/nowhere.json"  # the fixture puts it back
    do("iam sync")
    assert policies.members("lab-data") == sorted(FIXED + BOTH)


def test_only_the_buckets_of_a_dataset(do: Do, policies: BucketPolicies) -> None:
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


def test_a_bucket_that_was_not_chosen_is_not_asked_for(do: Do, policies: BucketPolicies) -> None:
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


def test_who_reads_more_than_they_may_view_is_said_when_a_bucket_is_chosen(do: Do) -> None:
    do("dataset add fly")
    do("dataset location add fly gs://lab-data/fly")
    do("bucket set lab-data --no-iam")
    said = do("bucket set lab-data --iam").err
    assert said == "whoever may view one of fish2, fly will read all of gs://lab-data\n"


def test_every_change_of_the_ledger_is_in_the_log(do: Do, policies: BucketPolicies) -> None:
    do("iam sync")
    do("user disable bo@example.org")
    do("iam sync")
    records = json.loads(do("audit list --target bucket:lab-data -o json").out)
    assert [f"{row['action']} {row['target'].partition(' ')[2]}".strip() for row in reversed(records)] == [
        "bucket.set", *(f"iam.add {one}" for one in BOTH),
        "iam.remove user:bo@example.org",
    ]  # fmt: skip
    do("audit verify")


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "value", "table"])
def test_every_format(do: Do, format_: str) -> None:
    for line in ("iam plan", "iam sync", "iam show"):
        assert do(f"{line} -o {format_}").out.strip()
