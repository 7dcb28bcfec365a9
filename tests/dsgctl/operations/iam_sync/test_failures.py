"""Refusals, lost answers and killed runs are reported in one line each, and the next run repairs them."""

import json
import os
import random
import threading
from typing import Any

import pytest

import dsgctl.operations.iam_sync
from tests.dsgctl.commands.running import Quick, execute
from tests.dsgctl.operations.iam_sync.lab import BOTH, FIXED, OTHERS, VIEWER, Do, ledger, outcome
from tests.e2e.google import Google
from tests.e2e.google_iam import HANG_UP, LIMIT, BucketPolicies, error
from tests.patience import PATIENCE

# Google's answers -> what is message, and what to do; whether the intention stays, because it may have been done.
REFUSALS: dict[str, tuple[str, tuple[int, Any], str, bool]] = {
    "read 403": ("GET", error(403, "no getIamPolicy"), "403: no getIamPolicy|buckets.setIamPolicy", False),
    "read 404": ("GET", error(404, "no such bucket"), "answers 404: no such bucket|there is no bucket", False),
    "read 401": ("GET", error(401, "Invalid Credentials"), "answers 401|no longer valid", False),
    "read 429": ("GET", error(429, "rate limit"), "answers 429: rate limit|in a minute", False),
    "read 500": ("GET", error(500, "backendError"), "answers 500: backendError|run it again", False),
    "read 503, as a page": ("GET", (503, b"<html>"), "answers 503|run it again", False),
    "read no JSON": ("GET", (200, b"<html>hello"), "is not a policy|try again", False),
    "read nested without end": ("GET", (200, b"[" * 100_000), "is not a policy|try again", False),
    "read far too much": ("GET", (200, b" " * 600_000), "does not answer|network", False),
    "read a list": ("GET", (200, []), "is not a policy|try again", False),
    "read no etag": ("GET", (200, {"bindings": []}), "is not a policy|try again", False),
    "read odd bindings": (
        "GET",
        (200, {"etag": "a", "bindings": [{"members": "x"}]}),
        "is not a policy|try again",
        False,
    ),
    "read odd members": (
        "GET",
        (200, {"etag": "a", "bindings": [{"role": "a", "members": [1]}]}),
        "not a policy|",
        False,
    ),
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
    "write somebody deleted": (
        "PUT",
        (
            200,
            {
                "etag": "a",
                "bindings": [
                    {"role": VIEWER, "members": ["deleted:user:ada@example.org?uid=1", "allUsers"]},
                ],
            },
        ),
        "another policy than it was sent|--email",
        True,
    ),
    "write another": ("PUT", (200, {"etag": "a", "bindings": []}), "another policy than it was sent|--email", True),
}


@pytest.mark.parametrize(("method", "answer", "message", "stays"), REFUSALS.values(), ids=REFUSALS)
def test_a_bucket_that_fails_is_reported_and_the_next_run_mends_it(
    do: Do, policies: BucketPolicies, method: str, answer: tuple[int, Any], message: str, stays: bool
) -> None:
    policies.put("other-data", [])
    policies.put("third-data", [])
    for bucket in ("other-data", "third-data"):
        do(f"dataset location add fish2 gs://{bucket}")
        do(f"bucket set {bucket} --iam")
    policies.instead[f"{method} other-data"] = [answer]
    result = do("iam sync -o json", code=1)
    row = outcome(result, "other-data")
    problem, _, hint = message.partition("|")
    assert row["outcome"] == "failed" and problem in row["problem"] and hint in row["do"], row
    assert len(result.err.splitlines()) == 1
    assert json.loads(result.err)["error"] == "1 of 3 buckets failed: other-data"
    for bucket in ("lab-data", "third-data"):
        assert outcome(result, bucket)["outcome"] == "changed"
        assert set(BOTH) <= set(policies.members(bucket))
    assert policies.count("GET other-data") <= dsgctl.operations.iam_sync.TRIES + 1
    rows = json.loads(do("iam show -o json").out)
    expected = dict.fromkeys(BOTH, "intended") if stays else {}
    assert {row["member"]: row["state"] for row in rows if row["bucket"] == "other-data"} == expected

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
    monkeypatch.setattr("dsgctl.bounded_http.READ_SECONDS", 0.3)
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
    environment = {
        name: os.environ[name]
        for name in ("DSG_STORAGE_URL", "DSG_STS_URL", "GOOGLE_APPLICATION_CREDENTIALS", "REQUESTS_CA_BUNDLE")
    }
    running: list[Any] = []

    def kill(bucket: str) -> None:
        running[0].kill()
        running[0].wait()
        policies.before_write = None
        if moment == "before":
            policies.instead[f"PUT {bucket}"] = [(503, b"")]

    policies.before_write = kill
    running.append(dsgctl.start("iam", "sync", env=dsgctl.environment(**environment)))
    running[0].communicate(timeout=PATIENCE)
    policies.instead.clear()
    assert ledger(do) == dict.fromkeys(BOTH, "intended")
    assert set(BOTH) <= set(policies.members("lab-data")) or moment == "before"
    do("user disable bo@example.org")
    do("iam sync")
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org"])
    assert ledger(do) == {"user:ada@example.org": "held"}


@pytest.mark.parametrize("seed", range(4))
def test_the_next_run_mends_any_sequence_of_failures(do: Do, quick: Quick, policies: BucketPolicies, seed: int) -> None:
    """Facts that change, others who edit, and answers that are lost or refused, in any order."""
    chance = random.Random(seed)
    people = [f"{name}@example.org" for name in ("ada", "bo", "cy", "guest")]
    everybody = [f"user:{email}" for email in people]
    do("grant add fish2 view --user cy@example.org")
    theirs = set(FIXED)  # without a condition

    def by_hand(bucket: str = "lab-data") -> None:
        """Somebody else puts a member in or takes it out."""
        member, there = chance.choice(everybody), set(policies.members(bucket))
        if member in there:
            there.discard(member)
            theirs.discard(member)
        elif member not in in_doubt():
            there.add(member)
            theirs.add(member)
        others = [
            binding for binding in policies.bindings[bucket] if binding["role"] != VIEWER or "condition" in binding
        ]
        policies.put(bucket, [*others, {"role": VIEWER, "members": sorted(there)}])

    def in_doubt() -> set[str]:
        """Whom nobody can tell apart (core/iam_ledger.py)."""
        return {str(member) for (member,) in execute(quick.database, "SELECT member FROM iam_members")}

    for _ in range(25):
        policies.instead.clear()
        policies.lost.clear()
        policies.before_write = None
        active = chance.randrange(2)
        execute(quick.database, "UPDATE principals SET active = ? WHERE email LIKE ?", active, chance.choice(people))
        if chance.random() < 0.5:
            by_hand()
        match chance.randrange(5):
            case 0:
                policies.lost.add("lab-data")
            case 1:
                policies.instead["PUT lab-data"] = [chance.choice([(503, b""), error(403, "no"), error(412, "no")])]
            case 2:
                policies.before_write = lambda bucket: by_hand() if chance.random() < 0.5 else None
        quick("iam", "sync")
        assert theirs <= set(policies.members("lab-data"))
    policies.instead.clear()
    policies.lost.clear()
    policies.before_write = None
    do("iam sync")
    active_ones = execute(
        quick.database,
        "SELECT 'user:' || lower(email) FROM principals WHERE active AND email IN "
        "('Ada@example.org', 'bo@example.org', 'cy@example.org')",
    )
    wanted = {str(member) for (member,) in active_ones}
    assert set(policies.members("lab-data")) == theirs | wanted
    assert ledger(do) == dict.fromkeys(sorted(wanted - theirs), "held")
    assert policies.bindings["lab-data"][:1] == OTHERS[:1] and OTHERS[2] in policies.bindings["lab-data"]


def test_two_runs_at_once_are_one_after_the_other(do: Do, quick: Quick, policies: BucketPolicies) -> None:
    with dsgctl.operations.iam_sync.lock_sync(quick.database):
        assert "another 'dsgctl iam sync' is under way" in do("iam sync", code=4).err
        do("iam plan")
    do("iam sync")


def test_a_policy_at_googles_limit_gets_no_additions_but_its_removals(do: Do, policies: BucketPolicies) -> None:
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
    assert sum(len(binding["members"]) for binding in policies.bindings["lab-data"]) == LIMIT


def test_a_person_without_a_google_account_does_not_stop_the_others(do: Do, policies: BucketPolicies) -> None:
    policies.unknown.add("ada@example.org")
    result = do("iam sync", code=1)
    assert "Google does not take ada@example.org: User ada@example.org does not exist." in result.out
    assert "  ! user:ada@example.org is left out" in result.out
    assert ledger(do) == {"user:bo@example.org": "held"}
    do("user disable ada@example.org")
    do("iam sync")


@pytest.mark.parametrize("answer", [error(400, "Invalid argument."), error(412, "no permitted customer")])
def test_a_person_whom_google_refuses_does_not_stop_removals(do: Do, policies: BucketPolicies, answer: Any) -> None:
    do("iam sync")
    do("user disable bo@example.org")
    do("group member add lab cy@example.org")
    read = policies._write

    def refuse_cy(bucket: str, body: Any) -> Any:
        return answer if "cy@example.org" in str(body["bindings"][1]) else read(bucket, body)

    policies._write = refuse_cy  # type: ignore[method-assign]
    row = outcome(do("iam sync -o json", code=1))
    assert (row["add"], row["remove"], row["left_out"]) == ([], ["user:bo@example.org"], ["user:cy@example.org"])
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org"])


def test_a_person_whom_google_renames_is_reported_and_stays_ours(do: Do, policies: BucketPolicies) -> None:
    write = policies._write

    def rename_bo(bucket: str, body: Any) -> Any:
        return write(bucket, json.loads(json.dumps(body).replace("user:bo@", "user:robert@")))

    policies._write = rename_bo  # type: ignore[method-assign]
    row = outcome(do("iam sync -o json", code=1))
    assert "user:bo@example.org, user:robert@example.org" in row["problem"] and "--email" in row["do"]
    policies._write = write  # type: ignore[method-assign]
    do("user set bo@example.org --email robert@example.org")
    do("iam sync")
    assert ledger(do) == {"user:ada@example.org": "held", "user:robert@example.org": "held"}
    assert policies.members("lab-data") == sorted([*FIXED, "user:ada@example.org", "user:robert@example.org"])


def test_a_failing_google_is_asked_once_for_the_gateways_own_token(do: Do, google: Google) -> None:
    """google.auth by itself asks three times, and waits in between."""
    for status in (500, 503, 429):
        google.source_error, google.source_requests = status, 0
        row = outcome(do("iam sync -o json", code=1))
        assert "does not answer" in row["problem"]
        assert google.source_requests == 1
    google.source_error = 0
    do("iam sync")


def test_a_bucket_that_takes_too_long_is_left_to_the_next_run(
    do: Do, policies: BucketPolicies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dsgctl.operations.iam_sync, "BUCKET_SECONDS", 0.0)
    policies.instead["PUT lab-data"] = [error(412, "conditionNotMet")]
    outcome(do("iam sync -o json", code=1))
    assert policies.count("PUT lab-data") == 1


def test_our_token_in_googles_words_does_not_reach_the_screen(do: Do, google: Google, policies: BucketPolicies) -> None:
    policies.put("lab-data", [])
    secret = "ya29.a0AfH6SMBx" + "Qz7" * 30
    for words in (f"bad token {secret}", secret, f"Bearer {secret} of source-0123456789abcdef"):
        policies.instead["GET lab-data"] = [error(403, f"no: {words}")]
        result = do("iam plan", code=1)
        assert "answers 403: no:" in result.out
        for part in (secret, "a0AfH6", "0123456789abcdef"):
            assert part not in result.out + result.err
