"""The manual is true: its commands run, its links lead somewhere, its generated parts are those of the program."""

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from dsgctl import guide
from dsgctl.commands import cli
from dsgctl.config import LIBRARIES, REPLACEMENTS, SETTINGS
from dsgserve import apis
from dsgserve.http.routing import ROUTES
from tests.conftest import FIXTURES
from tests.dsgctl.importers.cave_dumps import copy_dumps
from tests.generated_pages import BEGIN, END, PAGES, update_page
from tests.guide_run import FIRST_DATASET, run_script, shell_blocks

ROOT = Path(__file__).parents[1]
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *(ROOT / "dsgserve").glob("contract*.md"), *sorted(guide.DIRECTORY.glob("*.md")))
}


# Form


def test_every_page_is_a_topic_and_every_topic_a_page() -> None:
    assert sorted(f"{topic}.md" for topic in guide.TOPICS) == sorted(path.name for path in guide.DIRECTORY.glob("*.md"))


@pytest.mark.parametrize("topic", guide.TOPICS)
def test_a_page_begins_with_what_it_is_for_and_ends_with_what_to_read_next(topic: str) -> None:
    title, blank, purpose, end = guide.read_page(topic).splitlines()[:4]
    assert re.fullmatch(r"# [A-Za-z].*[^.]", title)
    assert (blank, end) == ("", "")
    assert re.fullmatch(r"[A-Z].*\.", purpose) and len(purpose) <= 120
    headings = guide.list_headings(guide.read_page(topic))
    assert headings[-1] == "Read next"
    assert guide.read_page(topic).partition("## Read next")[2].count("](") >= 1


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_part_of_a_page_is_that_of_the_program(page: str) -> None:
    assert update_page(page, TEXTS[page]) == TEXTS[page], "run: make guide"


_WIDEST_CODE = 78  # columns in `dsgctl help` on a terminal of 80; a command that wraps cannot be copied


@pytest.mark.parametrize("topic", guide.TOPICS)
def test_a_command_fits_into_a_terminal_of_80_columns(topic: str) -> None:
    by_hand = re.sub(f"{BEGIN}.*?{END}", "", guide.read_page(topic), flags=re.DOTALL)
    code = "\n".join(re.findall(r"^ *```[a-z]*\n(.*?)^ *```", by_hand, re.DOTALL | re.MULTILINE))
    # A line of authorized_keys cannot be broken.
    lines = [line for line in code.splitlines() if not line.startswith("command=")]
    assert [line for line in lines if len(line) > _WIDEST_CODE] == []


# What it names


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown text's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in guide.list_headings(text)}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[name]):
        if re.match("https://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        assert ROOT in file.resolve().parents, target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


_TYPED = re.compile(r"\bdsgctl ((?:[a-z][a-z-]* ?)+)")


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_that_it_names_exists(name: str) -> None:
    """As far as its words are no values: ``token mint`` of ``dsgctl token mint --user …``."""
    for typed in set(_TYPED.findall(_code(TEXTS[name]))):
        words = typed.split()
        if words[0] == "help" and len(words) == 2:
            assert words[1] in guide.TOPICS, typed
            continue
        command: click.Command = cli
        for word in words:
            if not isinstance(command, click.Group):
                break
            inner = command.get_command(click.Context(command), word)
            assert inner is not None, f"{name}: there is no dsgctl {typed}"
            command = inner


@pytest.mark.parametrize("name", TEXTS)
def test_every_option_that_it_names_exists(name: str) -> None:
    for line in _code(TEXTS[name]).splitlines():
        typed = re.search(r"\bdsgctl (?:--as \S+ )?((?:[a-z][a-z-]* ?)+)(.*)", line)
        if typed is None:
            continue
        command: click.Command = cli
        for word in typed[1].split():
            if not isinstance(command, click.Group):
                break
            command = command.get_command(click.Context(command), word) or command
        allowed = {
            "--help",
            "-h",
            *(option for each in command.params for option in (*each.opts, *each.secondary_opts)),
        }
        for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", re.split(r"[|&;#]", typed[2])[0]):
            assert option in allowed, f"{name}: {line}"


def _code(text: str) -> str:
    """The lines of the code blocks, and what stands between backticks, in what is written by hand."""
    text = re.sub(f"{BEGIN}.*?{END}", "", text, flags=re.DOTALL)
    blocks = re.findall(r"^ *```(?:sh)?\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))
    return "\n".join([*blocks, *(" ".join(span.split()) for span in spans)])


CONFIGURATIONS = {
    f"{path.parent.name}/{path.name}": path.read_text(encoding="utf-8")
    for folder in ("nginx", "systemd")
    for path in sorted((ROOT / folder).iterdir())
}


@pytest.mark.parametrize("name", [*TEXTS, *CONFIGURATIONS])
def test_every_setting_that_it_names_exists(name: str) -> None:
    text = {**TEXTS, **CONFIGURATIONS}[name]
    names = set(re.findall(r"\b(?:DSG|NGAUTH|GOOGLE|AUTH)_[A-Z_]+[A-Z]\b", text))
    elsewhere = {"DSG_ENV_FILE", "AUTH_URL", *REPLACEMENTS, *LIBRARIES}  # AUTH_URL: of CAVE's services
    settings = {*SETTINGS, *elsewhere}
    assert {each for each in names if not any(setting.startswith(each) for setting in settings)} == set()


@pytest.mark.parametrize("name", TEXTS)
def test_every_unit_that_it_names_exists(name: str) -> None:
    units = re.findall(r"\bdsg(?:serve|-[a-z]+)(?:@[0-9]?)?\.(?:service|socket|timer)\b", TEXTS[name])
    for unit in units:
        assert (ROOT / "systemd" / re.sub("@[0-9]", "@", unit)).exists(), unit


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_of_the_repository_that_it_names_exists(name: str) -> None:
    for path in re.findall(r"`((?:dsgctl|dsgserve|tests|systemd|nginx)/[\w./-]*)`", TEXTS[name]):
        assert (ROOT / path).exists(), path


def test_the_contract_lists_the_routes_of_the_server_and_no_others() -> None:
    table = TEXTS["dsgserve/contract.md"].partition("## Routes")[2].partition("\n## ")[0]
    listed = set()
    for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for methods, path in re.findall(r"((?:`[A-Z]+`, )*`[A-Z]+) (/[^`]*)`", cell):
            listed |= {(method, path) for method in re.findall("[A-Z]+", methods)}
    routes = {(method, re.sub("<[a-z_]+:int>", "<id>", route.path)) for route in ROUTES for method in route.methods}
    assert listed == routes


def test_the_contract_of_services_lists_the_routes_of_the_apis() -> None:
    cells = re.findall(r"^\| (`[A-Z]+ /[^|]*`) \|", TEXTS["dsgserve/contract-services.md"], re.MULTILINE)
    listed = {route for cell in cells for route in re.findall("`([A-Z]+) ([^`]*)`", cell)}
    routes = {(method, route.path) for route in apis.load_routes(("cave",)) for method in route.methods}
    assert routes <= listed


# Its commands run


def _sources(directory: Path) -> None:
    """One file for each importer."""
    shutil.copy(FIXTURES / "datasetgateway.sqlite3", directory / "old.sqlite3")
    copy_dumps(directory / "dumps", whole=True)
    (directory / "clio.json").write_text('{"users": {"cy@example.org": {}}, "datasets": {"vnc": {}}}')
    (directory / "authorized.json").write_text('{"cy@example.org": "readonly"}')
    (directory / "people.csv").write_text("email,name,affiliation,notes\ndi@example.org,Di,,\n")


def _policy(directory: Path) -> None:
    """The policy that the page shows."""
    (yaml,) = re.findall(r"```yaml\n(.*?)```", guide.read_page("policy-files"), re.DOTALL)
    (directory / "policy.yaml").write_text(yaml)


def _settings_file(directory: Path) -> None:
    (directory / "bundles").mkdir()
    (directory / "dsg.env").write_text(
        f"""DATABASE_PATH={directory}/dsg.sqlite3
DSG_BACKUP_DIR={directory}/bundles
DSG_BACKUP_AGE_RECIPIENTS_FILE={directory}/recipients.txt
DSG_BACKUP_INCLUDE_SECRETS=0
"""
    )


@dataclass(frozen=True, slots=True)
class Run:
    """How the commands of a page are run.

    Attributes:
        first_dataset: whether the database has what the page of that name leaves.
        before: a script that leaves what else the page assumes.
        after: a script that shows what the page promises; its output ends with ``ends``.
        files: writes the files that the page assumes.
        replace: text of the page -> what is run instead.
        until: the heading at which to stop: what follows it is run by another test.
    """

    first_dataset: bool = True
    before: str = ""
    after: str = ""
    ends: str = ""
    files: Callable[[Path], None] = lambda directory: None
    replace: dict[str, str] = field(default_factory=dict)
    until: str = ""


_EMPTY = "dsgctl db migrate\n"
_ANEW = "rm -f dsg.sqlite3*\ndsgctl db migrate\n"
RUNS = {
    "first-dataset": Run(
        first_dataset=False,
        before=_EMPTY,
        after="dsgctl access check ada@example.org atlas edit || dsgctl access check ada@example.org fish2 view",
        ends="yes\n",
    ),
    "policy-files": Run(
        files=_policy,
        after="""dsgctl apply written.yaml
            dsgctl diff policy.yaml && dsgctl terms accept 1 ada@example.org
            dsgctl access check ada@example.org brain edit""",
        ends="yes\n",
    ),
    "backup-and-restore": Run(
        files=_settings_file,
        before="export DSG_ENV_FILE=$PWD/dsg.env",
        replace={
            "age-keygen -y dsg-backup.key ": "age-keygen -y dsg-backup.key > recipients.txt ",
            "systemctl stop dsgserve.socket dsgserve": "dsgctl user remove ada@example.org --yes",
            "--apply\n": "--apply --yes\n",
        },
        until="## Restore on a new host",  # tests/e2e/test_new_host.py
        after="dsgctl user show ada@example.org -o value",
        ends="ada@example.org\n",
    ),
    "import": Run(
        files=_sources,
        first_dataset=False,
        before=_EMPTY,
        replace={
            "dsgctl import middle-auth dumps --dry-run": f"{_ANEW}dsgctl import middle-auth dumps --dry-run",
            "dsgctl import clio": f"{_ANEW}dsgctl dataset add fish2\ndsgctl dataset add fly\ndsgctl import clio",
        },
        after="dsgctl user show di@example.org -o value",
        ends="di@example.org\n",
    ),
    "gate": Run(
        replace={
            "/etc/ssl/private/": "",
            "/etc/ssl/certs/": "",
            "/opt/dsg/share": str(ROOT),
            "/etc/nginx/conf.d/": "",
            "nginx -t": "grep -q 'server_name data.example.net' gate.conf",
            "DATA=data.example.org": "DATA=data.example.net",
        },
        after="dsgctl client list -o value",
        ends="viewer\n",
    ),
    "export": Run(after="dsgctl dataset list -o value", ends="fish2\n"),
    "people-and-groups": Run(after="dsgctl user list --disabled -o value", ends="bo@example.org\n"),
    "developing": Run(before=f"cd {ROOT}", replace={".venv/bin/python": sys.executable}),
    "terms": Run(after="dsgctl terms list -o value"),
    "tokens": Run(after="dsgctl token inspect -o value < token.txt; wc -l < new-token.txt", ends="1\n"),
}
ELSEWHERE = {"install": "tests/e2e/test_nginx.py"}  # needs root's directories; its test replaces them


@pytest.fixture(scope="module")
def first_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that the page of that name leaves; copy it."""
    directory = tmp_path_factory.mktemp("first-dataset")
    run_script(FIRST_DATASET, directory)
    return directory / "dsg.sqlite3"


@pytest.mark.parametrize("topic", [topic for topic in guide.TOPICS if topic not in ELSEWHERE])
def test_the_commands_of_a_page_run(topic: str, first_dataset: Path, tmp_path: Path) -> None:
    run = RUNS.get(topic, Run())
    if run.first_dataset:
        shutil.copy(first_dataset, tmp_path)
    run.files(tmp_path)
    page = guide.read_page(topic)
    if run.until:
        page, heading, _ = page.partition(run.until)
        assert heading
    blocks = shell_blocks(page)
    assert blocks, "a page has commands to run"
    script = "\n".join(blocks)
    for shown, instead in run.replace.items():
        assert shown in script, shown
        script = script.replace(shown, instead)
    assert run_script(f"{run.before}\n{script}\n{run.after}", tmp_path).endswith(run.ends)


@pytest.mark.parametrize("topic", ELSEWHERE)
def test_another_test_runs_the_commands_of_this_page(topic: str) -> None:
    assert f"{topic}.md" in (ROOT / ELSEWHERE[topic]).read_text(encoding="utf-8")
