"""Every noun and verb, in the words that scripts and operators type, and what each answers in every format."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from dsgctl.store.migrations import LATEST
from tests.dsgctl.commands.lines import read_records, run_line
from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.test_help import LEAVES
from tests.dsgctl.commands.world import ROOT, World

TESTS = Path(__file__).parents[2]
CHANGED = "id name changed"


PLAN = "action target before after"


USER_HOLDS = "grants groups tokens acceptances children"


DATASET_HOLDS = "versions locations grants terms service_tables translations"


TOKEN = "id token of prefix expires"
GRANT = "dataset permission subject version scope expires changed service"
REVOKED = "dataset permission subject version scope changed service"
HOLDING = "dataset who kind permission version through until state granted_by service"


# Command -> the keys of its JSON, in their order; [..] if it is a list of such objects.
COMMANDS: dict[str, str] = {
    "user add cy@example.org --name 'Cy Twombly' --display-name Cy --admin --read-only --pi Boss "
    "--affiliation HHMI --affiliation Janelia --note 'asked by phone'": "id email changed",
    "user list --search ada --group lab-1 --limit 5": "[id email name display_name admin active read_only created]",
    "user list --admin": "[id email name display_name admin active read_only created]",
    "user list --disabled": "[id email name display_name admin active read_only created]",
    "user show ada@example.org": "id email name display_name admin active read_only pi notes picture_url issuer "
    f"subject created created_by parent affiliations leads {USER_HOLDS} last_used",
    "user set ada@example.org --name 'Ada King' --display-name Ada --admin --read-only --pi Boss "
    "--affiliation Janelia --note noted --email ada@lab.example.org --unbind": "email changed",
    "user set ada@example.org --no-admin --no-read-only": "email changed",
    "user disable bo@example.org": "email changed",
    "user enable old@example.org": "email changed",
    "user offboard bo@example.org -y": "email changed disabled tokens grants groups service_accounts",
    "user offboard bo@example.org --os-user bo --service-accounts disable --dry-run": f"[{PLAN}]",
    "user remove bo@example.org -y": f"email changed {USER_HOLDS}",
    "user remove bo@example.org --dry-run": f"[{PLAN}]",
    "group add lab-2": CHANGED,
    "group list": "[id name members leads]",
    "group show lab-1": "id name created leads members grants scoped_grants",
    "group member add lab-1 bo@example.org --lead": "group email changed",
    "group member add lab-1 ada@example.org --no-lead": "group email changed",
    "group member remove lab-1 ada@example.org": "group email changed",
    "group remove lab-1 --yes": "name changed members grants scoped_grants",
    "group remove lab-1 --dry-run": f"[{PLAN}]",
    "dataset add mouse --description 'A mouse' --public": CHANGED,
    "dataset list": "[id name access terms description]",
    "dataset show fish2": f"id name description access own_terms created {DATASET_HOLDS}",
    "dataset set fish2 --description New --public": "name changed",
    "dataset set fly --closed": "name changed",
    "dataset remove fish2 -y": f"name changed {DATASET_HOLDS}",
    "dataset remove fish2 --dry-run": f"[{PLAN}]",
    "dataset version add fish2 v2 --public": "dataset version changed",
    "dataset version add fish2 v1.2 --closed": "dataset version changed",
    "dataset version add fish2 v3 --branch side --ordinal 0": "dataset version changed",
    "dataset version set fish2 v1.2 --closed --branch side --ordinal 9": "dataset version changed",
    "dataset version set fish2 v1.2 --no-ordinal": "dataset version changed",
    "dataset version list fish2": "[id name public branch ordinal]",
    "dataset version remove fish2 v1.2 -y": "dataset version changed grants locations terms translations",
    "dataset version remove fish2 v1.2 --dry-run": f"[{PLAN}]",
    "dataset location add fish2 gs://other-bucket": "dataset location version changed",
    "dataset location add fish2 gs://other-bucket/deep/er --version v1.2": "dataset location version changed",
    "dataset location list fish2": "[id location version]",
    "dataset location remove fish2 gs://lab-data/fish2 -y": "dataset location changed",
    "dataset location remove fish2 gs://lab-data/fish2/ --version v1.2 -y": "dataset location changed",
    "dataset location remove fish2 gs://lab-data/fish2 --dry-run": f"[{PLAN}]",
    "bucket list": "[name datasets iam credential project]",
    "bucket set lab-data --iam": "name changed",
    "bucket remove old-data -y": "name changed",
    "bucket remove old-data --dry-run": f"[{PLAN}]",
    "bucket set lab-data --credential /etc/dsg/key.json --project lab-project": "name changed",
    "grant add fly admin --user ada@example.org": GRANT,
    "grant add fly edit --group lab-1 --expires 90d": GRANT,
    "grant add fly manage --service-account nightly-export --expires 2999-01-31": GRANT,
    "grant add fish2 edit --user bo@example.org --version v1.2 --scope lab-1 --expires 2w": GRANT,
    "grant add fish2 view --group lab-1 --service neuprint": GRANT,
    "grant revoke fly view --service-account nightly-export --service clio": REVOKED,
    "grant revoke fish2 edit --user ada@example.org": REVOKED,
    "grant revoke fish2 view --group lab-1": REVOKED,
    "grant revoke fish2 view --service-account nightly-export": REVOKED,
    "grant revoke fish2 view --user bo@example.org --version v1.2 --scope lab-1": REVOKED,
    "grant list --dataset fish2 --user bo@example.org --expiring 30d": "[id dataset version permission user group "
    "service_account scope expires granted_by source created service]",
    "grant list --service clio": "[id dataset version permission user group service_account scope expires granted_by "
    "source created service]",
    "grant list --group lab-1": "[id dataset version permission user group service_account scope expires granted_by "
    "source created service]",
    "grant list --service-account nightly-export": "[id dataset version permission user group service_account scope "
    "expires granted_by source created service]",
    "terms add 'New terms' --file fish2.md": CHANGED,
    "terms add 'New terms' --file fish2.md --dataset fish2": CHANGED,
    "terms add 'New terms' --file fish2.md --dataset fish2 --version v1.2 --service clio "
    "--effective 2999-01-31": CHANGED,
    "terms list": "[id name dataset version service own effective retired accepted]",
    "terms show 3": "id name dataset version service own effective retired accepted invite_token text accept_url",
    "terms retire 3": "id changed",
    "terms retire 2 --on 2999-01-31": "id changed",
    "terms accept 3 bo@example.org": "id email changed",
    "terms pending": "[user dataset terms name service accept_url]",
    "terms pending --user bo@example.org --dataset fly": "[user dataset terms name service accept_url]",
    "service add cave --display-name CAVE --url https://cave.example.org": CHANGED,
    "service list": "[id name display_name url mode]",
    "service show clio": "id name display_name url mode terms grants translations",
    "service set clio --mode dag": "name changed",
    "service translation add neuprint pisces fly": "service name name_version dataset version changed",
    "service translation add clio 'a b' fish2 --name-version r1 --version v1.2": (
        "service name name_version dataset version changed"
    ),
    "service translation list": "[id service name name_version dataset version]",
    "service translation list --service neuprint --dataset fish2": ("[id service name name_version dataset version]"),
    "service translation remove neuprint pisces --name-version r1": "service name name_version changed",
    "service remove clio -y": "name terms changed grants translations",
    "service remove clio --dry-run": f"[{PLAN}]",
    "service table add datastack fish2_v2 fish2": "service table dataset changed",
    "service table check datastack fish2_v1 ada@example.org": "allowed service table dataset reason",
    "service table list": "[id service table dataset]",
    "service table list --service datastack": "[id service table dataset]",
    "service table remove datastack fish2_v1 -y": "service table public_roots changed",
    "service table remove datastack fish2_v1 --dry-run": f"[{PLAN}]",
    "service root add datastack fish2_v1 17": "service table root_id changed",
    "service root list datastack fish2_v1": "[root_id]",
    f"service root remove datastack fish2_v1 {ROOT}": "service table root_id changed",
    "service-account add weekly --description 'weekly report'": CHANGED,
    "service-account list": "[id name description active tokens last_used]",
    "service-account show nightly-export": "id name description active created created_by grants tokens",
    "service-account disable nightly-export": "name changed",
    "service-account enable nightly-export": "name changed",
    "service-account remove nightly-export -y": "name changed grants tokens",
    "service-account remove nightly-export --dry-run": f"[{PLAN}]",
    "client add demo --origin https://demo.example.org --owner ada@example.org --app-url https://data.example.org "
    "--app-url https://more.example.org:8443": CHANGED,
    "client list": "[id name origin owner active created]",
    "client show atlas": "id name origin owner active created app_urls keys consents",
    "client set atlas --origin https://atlas.example.org --owner bo@example.org --app-url https://x.example.org": (
        "name changed"
    ),
    "client set viewer --no-app-urls": "name changed",
    "client disable atlas": "name changed",
    "client enable viewer": "name changed",
    "client remove atlas -y": "name changed keys consents",
    "client remove atlas --dry-run": f"[{PLAN}]",
    "token mint --user ada@example.org --expires 90d --description laptop": TOKEN,
    "token mint --service-account nightly-export --expires 2999-01-31": TOKEN,
    "token list": "[id user service_account kind prefix description created expires last_used]",
    "token list --user ada@example.org": "[id user service_account kind prefix description created expires last_used]",
    "token list --service-account nightly-export --all": "[id user service_account kind prefix description created "
    "expires last_used revoked]",
    "token show 1": "id of state kind prefix description created expires revoked last_used",
    "token revoke 17": "id changed",
    "token rotate 17": f"{TOKEN} replaces",
    "token rotate 17 --overlap 7d": f"{TOKEN} replaces",
    "token inspect": "id of state kind prefix description created expires revoked last_used",
    "token prune --older-than 1d -y": "tokens changed",
    "access show ada@example.org --service clio": "id parent_id service_account name email admin pi picture_url "
    "affiliations groups groups_admin permissions permissions_v2 permissions_v2_ignore_tos missing_tos datasets_admin",
    "access show nightly-export": "id parent_id service_account name email admin pi picture_url "
    "affiliations groups groups_admin permissions permissions_v2 permissions_v2_ignore_tos missing_tos datasets_admin",
    "access check ada@example.org fish2 edit": "allowed reason",
    "access explain bo@example.org fly": "allowed reason why who dataset permission holds grants expired_grants "
    "missing_terms locations notes next service_grants",
    "access explain ada@example.org fish2 edit": "allowed reason why who dataset permission holds grants "
    "expired_grants missing_terms locations notes next service_grants",
    "access who fish2": "[id who kind holds through]",
    "access who fish2 edit": "[id who kind holds through]",
    "access who fish2 --service clio": "[id who kind holds through]",
    "export --grants": f"[{HOLDING}]",
    "export --grants --dataset fish2 --dataset fly": f"[{HOLDING}]",
    "audit list": "[id at actor action target]",
    "audit list --actor os: --target ada --since 30d --limit 3": "[id at actor action target]",
    "audit list --since 2020-01-31": "[id at actor action target]",
    "audit verify": "head",
    "audit verify --seen 0:" + "0" * 64: "head",
    "audit export --after 40": "[id at actor action target before after imported_from hash]",
    "audit show 1": "id at actor action target before after imported_from hash",
    "db migrate": "path schema changed former",
    "db check": "path sound",
    "db info": "path schema schema_of_this_release engine bytes owner mode",
    "status": "version database origin apis servers requests denied failed answers_kept answers_built logins "
    "logins_failed gcs_tokens gcs_tokens_refused calls calls_refused "
    "revision users disabled_users admins service_accounts groups datasets grants "
    "grants_ending_within_30_days tokens clients terms audit_records pending_terms last_backup",
}


# Commands whose answers need more than the database of world.py -> the directory or file with their tests.
ELSEWHERE = {
    "apply": "dsgctl/policy",
    "backup": "dsgctl/operations/backup",
    "completion": "dsgctl/commands/test_completing.py",
    "config": "dsgctl/commands/test_settings.py",
    "db backup": "dsgctl/operations/backup",
    "db clock": "e2e/test_trouble.py",
    "db restore": "dsgctl/operations/backup",
    "db shell": "dsgctl/commands/test_db.py",
    "diff": "dsgctl/policy",
    "doctor": "dsgctl/operations/doctor",
    "help": "dsgctl/commands/test_manual.py",
    "iam": "dsgctl/operations/iam_sync",
    "setup": "dsgctl/commands/test_setup.py",
    "shell": "dsgctl/commands/test_shell.py",
}


def test_every_command_is_in_the_table_or_has_tests_elsewhere() -> None:
    def is_in(lines: Iterable[str], command: str) -> bool:
        return any(f"{line} ".startswith(f"{command} ") for line in lines)

    missing = {command for command in LEAVES if not is_in(COMMANDS, command)}
    assert {command for command in missing if not any(is_in([command], name) for name in ELSEWHERE)} == set()
    assert all(any(is_in([command], name) for command in missing) for name in ELSEWHERE)
    assert all((TESTS / path).exists() for path in ELSEWHERE.values())


# What an answer is about when a script wants one word.
VALUES = {
    "user add cy@example.org": r"[0-9]+",
    "group add lab-2": r"[0-9]+",
    "dataset add mouse": r"[0-9]+",
    "service-account add weekly": r"[0-9]+",
    "dataset location list fish2": r"gs://lab-data/fish2/\ngs://lab-data/fish2/",
    "token mint --user ada@example.org": r"dsgt[0-9A-Za-z]{39}",
    "token rotate 17": r"dsgt[0-9A-Za-z]{39}",
    "token show 17": "valid",
    "access who fish2 edit": "ada@example.org",
    "user list --admin": "root@example.org",
    "access check ada@example.org fish2 edit": "true",
    "user disable bo@example.org": "true",
    "user enable bo@example.org": "false",
    "db check": "true",
    "status": r"([a-z0-9_]+=[^\n]*\n)+[a-z0-9_]+=[^\n]*",
}


def without_warnings(text: str) -> str:
    """What stands on standard error beside warnings, which have tests of their own (test_public_datasets.py)."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("warning: "))


@pytest.mark.parametrize("line", COMMANDS)
def test_every_format_has_the_same_stable_keys(new_world: Callable[[], World], line: str) -> None:
    keys = COMMANDS[line].strip("[]").split()
    is_list = COMMANDS[line].startswith("[")

    answer = run_line(new_world(), line, "-o", "json")
    assert isinstance(json.loads(answer.out), list) == is_list
    records = read_records(answer.out)
    assert records, "a list of nothing shows no keys"
    assert all(list(record) == keys for record in records), records
    if not line.startswith("token"):
        assert without_warnings(answer.err) == ""

    lines = run_line(new_world(), line, "--output=jsonl").out.splitlines()
    assert [list(json.loads(each)) for each in lines] == [keys] * len(records)

    table = list(csv.reader(io.StringIO(run_line(new_world(), line, "-o", "csv").out)))
    assert table[0] == keys
    assert [len(row) for row in table[1:]] == [len(keys)] * len(records)

    for format_ in ("value", "table"):
        plain = run_line(new_world(), line, "--output", format_).out
        assert plain.strip()
        assert "\x1b" not in plain


@pytest.mark.parametrize("line", VALUES)
def test_the_value_format_prints_one_word_for_a_script(filled: World, line: str) -> None:
    assert re.fullmatch(VALUES[line] + "\n", run_line(filled, line, "-o", "value").out)


NOUNS = {
    "user": "user list --search ada -o value",
    "group": "group show lab-1 -o value",
    "dataset": "dataset list -o jsonl",
    "grant": "grant list --dataset fish2 -o csv",
    "terms": "terms list",
    "service": "service table list -o json",
    "service-account": "service-account list -o csv",
    "client": "client show atlas -o json",
    "token": "token list --user ada@example.org -o json",
    "access": "access who fish2",
    "export": "export --grants -o csv",
    "audit": "audit list --limit 2",
    "db": "db info -o json",
    "status": "status",
}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_process_answers_as_a_call_does(filled: World, noun: str) -> None:
    assert filled.run(*NOUNS[noun].split()) == filled.quick(*NOUNS[noun].split()).ok()


READS = [
    line
    for line in COMMANDS
    if set(line.split()[:3])
    & {"list", "show", "inspect", "pending", "check", "explain", "who", "export", "info", "status", "--dry-run"}
]


@pytest.mark.parametrize("line", READS)
def test_a_command_that_only_reads_writes_nothing(filled: World, line: str) -> None:
    before = dump(filled.database)
    run_line(filled, line)
    assert dump(filled.database) == before


# Doing it again: success that says so, and not one more record in the log.
AGAIN = {
    "user add ada@example.org --name 'Ada Lovelace' --affiliation HHMI": (
        "user ada@example.org already exists, unchanged"
    ),
    "user add ADA@EXAMPLE.ORG": "user ada@example.org already exists, unchanged",
    "user set ada@example.org --name 'Ada Lovelace'": "user ada@example.org is unchanged",
    "user disable old@example.org": "user old@example.org is already disabled",
    "user enable ada@example.org": "user ada@example.org is already enabled",
    "group add lab-1": "group lab-1 already exists",
    "group member add lab-1 ada@example.org": "ada@example.org is already a member of group lab-1",
    "group member add lab-1 ada@example.org --no-lead": "ada@example.org is already a member of group lab-1",
    "group member remove lab-1 bo@example.org": "bo@example.org is not in group lab-1",
    "dataset add fish2 --description 'Zebrafish brain'": "dataset fish2 already exists, unchanged",
    "dataset set fish2 --closed": "dataset fish2 is unchanged",
    "dataset version add fish2 v1.2 --public": "dataset fish2 already has version v1.2",
    "dataset location add fish2 gs://lab-data/fish2": "dataset fish2 already has location gs://lab-data/fish2",
    "dataset location add fish2 gs://lab-data/fish2/ --version v1.2": "dataset fish2 already has location gs://lab-data/fish2/",
    "grant add fish2 edit --user ada@example.org": "user:ada@example.org already has edit on fish2",
    "grant add fly view --service-account nightly-export --service clio": (
        "service-account:nightly-export already has view on fly"
    ),
    "grant add fish2 view --group lab-1": "group:lab-1 already has view on fish2",
    "grant add fish2 view --service-account nightly-export": "service-account:nightly-export already has view on fish2",
    "terms add 'Fly terms' --file fish2.md --dataset fly": "terms 3 already exist, unchanged",
    "service add clio --display-name Clio --url https://clio.example.org": "service clio already exists, unchanged",
    "service table add datastack fish2_v1 fish2": "table datastack/fish2_v1 already belongs to dataset fish2",
    f"service root add datastack fish2_v1 {ROOT}": f"root {ROOT} of datastack/fish2_v1 is already public",
    "service-account add nightly-export --description 'exports synapses'": (
        "service account nightly-export already exists, unchanged"
    ),
    "client add atlas --origin https://lab.github.io --owner LEE@example.org": "client atlas already exists, unchanged",
    "client set atlas --origin https://lab.github.io": "client atlas is unchanged",
    "client enable atlas": "client atlas is already enabled",
    "client disable viewer": "client viewer is already disabled",
    "service-account enable nightly-export": "service account nightly-export is already enabled",
    "db migrate": f"has schema {LATEST} already",
}


@pytest.mark.parametrize("line", AGAIN)
def test_repeating_a_command_succeeds_and_says_that_nothing_changed(filled: World, line: str) -> None:
    before = dump(filled.database)
    answer = run_line(filled, line)
    assert AGAIN[line] in answer.out
    assert without_warnings(answer.err) == ""
    assert json.loads(run_line(filled, line, "-o", "json").out)["changed"] is False
    assert dump(filled.database) == before


@pytest.mark.parametrize(
    "line",
    [
        "terms accept 3 bo@example.org",
        "terms retire 3",
        "terms retire 2",
        "token revoke 17",
        "user disable bo@example.org",
    ],
)
def test_the_second_time_changes_nothing_more(filled: World, line: str) -> None:
    run_line(filled, line)
    before = dump(filled.database)
    assert "already" in run_line(filled, line).out
    assert dump(filled.database) == before


def test_each_change_is_recorded_once_with_before_and_after(filled: World) -> None:
    run_line(filled, "user set ada@example.org --name 'Ada King'")
    record = read_records(run_line(filled, "audit list --limit 1 -o json").out)[0]
    shown = read_records(run_line(filled, f"audit show {record['id']} -o json").out)[0]
    assert (shown["action"], shown["target"]) == ("user.set", "user:ada@example.org")
    assert (shown["before"], shown["after"]) == ({"name": "Ada Lovelace"}, {"name": "Ada King"})
