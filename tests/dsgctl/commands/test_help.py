"""Help: every command has it, with an example; and every example does what it says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pyrage
import pytest

from dsgctl.commands import NOUNS, cli
from tests.dsgctl.commands.running import Quick
from tests.dsgctl.commands.test_secrets import PRINT_A_SECRET, SECRET
from tests.dsgctl.commands.world import World
from tests.dsgctl.importers.cases import CASES

# `demo` runs until Ctrl-C and has tests of its own.
TESTED = [noun for noun in NOUNS if noun != "demo"]


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))


def _all_commands() -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(cli)
    commands: list[tuple[tuple[str, ...], click.Command]] = []
    for noun in TESTED:
        command = cli.get_command(context, noun)
        assert command is not None
        commands += _commands(command, (noun,))
    return commands


COMMANDS = [" ".join(path) for path, _ in _all_commands()]
LEAVES = [" ".join(path) for path, command in _all_commands() if not isinstance(command, click.Group)]


def examples(text: str) -> list[str]:
    """The example lines at the end of a help text."""
    _, separator, lines = text.partition("Example:\n")
    assert separator, text
    return [line.strip() for line in lines.strip().splitlines()]


def _example_lines() -> list[str]:
    return [
        line
        for _, command in _all_commands()
        if not isinstance(command, click.Group)
        for line in examples(str(command.epilog))
    ]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_says_what_a_command_does_on_stdout(quick: Quick, command: str, option: str) -> None:
    result = quick(*command.split(), option).ok()
    assert result.out.startswith(f"Usage: dsgctl {command} ")
    assert result.err == ""
    assert max(map(len, result.out.splitlines())) <= 100
    assert "\b" not in result.out


@pytest.mark.parametrize("command", LEAVES)
def test_help_of_a_command_shows_an_example_of_it(quick: Quick, command: str) -> None:
    for line in examples(quick(*command.split(), "--help").out):
        assert line.startswith(f"dsgctl {command}"), line


@pytest.mark.parametrize("command", LEAVES)
def test_help_explains_every_option(quick: Quick, command: str) -> None:
    lines = quick(*command.split(), "--help").out.split("Options:")[1].split("Example:")[0].splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  -"):
            following = lines[number + 1] if number + 1 < len(lines) else ""
            # the explanation stands beside the option, or on the next line if the option is long
            assert "  " in line.strip() or following.startswith(" " * 10), line


def test_help_of_the_program_names_every_noun_and_the_exit_codes(quick: Quick) -> None:
    text = quick("--help").ok().out
    for noun in NOUNS:
        assert f"\n  {noun} " in text
    assert "2 wrong usage" in text


def _backup_settings(directory: Path) -> dict[str, str]:
    """A key pair and a directory for backups, and the settings that name them."""
    identity = pyrage.x25519.Identity.generate()
    (directory / "recipients").write_text(f"{identity.to_public()}\n")
    (directory / "identity").write_text(f"{identity}\n")
    (directory / "backups").mkdir()
    return {
        "DSG_BACKUP_DIR": str(directory / "backups"),
        "DSG_BACKUP_AGE_RECIPIENTS_FILE": str(directory / "recipients"),
        "DSG_BACKUP_AGE_IDENTITY_FILE": str(directory / "identity"),
    }


@pytest.mark.parametrize("line", _example_lines())
def test_the_example_in_the_help_runs(
    new_world: Callable[[], World], empty_database: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = new_world()
    settings = _backup_settings(here.directory) if "backup" in line or "db restore" in line else {}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    if "db restore" in line or "dsgctl backup" in line:
        bundle = Path(here.quick("db", "backup", "-o", "value").ok().out.strip())
        bundle.rename(here.directory / "dsg-backup-20261123T010000Z.tar.gz.age" if "restore" in line else bundle)
    if "completion" in line:
        for folder in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
            (here.directory / folder).mkdir(parents=True)
    if line.startswith("dsgctl import "):
        _, _, name, source, *_ = line.split()
        here.database.write_bytes(empty_database.read_bytes())
        if "--dataset fish2" in line:
            here.quick("dataset", "add", "fish2").ok()
        CASES[name].write(here.directory / source)
    if "doctor" in line:  # of which much is failed on a machine that tests
        monkeypatch.setattr("dsgctl.operations.doctor.examine", lambda *_: iter(()))
    if "dsgctl setup" in line:
        monkeypatch.setenv("DSG_ENV_FILE", str(here.directory / "dsg.env"))
    words = line.split()
    needs_shell = any(mark in line for mark in "<>|&'")
    result = (here.run.shell(line, **settings) if needs_shell else here.quick(*words[1:])).ok()
    silent = line.startswith("dsgctl diff") or "nothing to do" in result.err
    if SECRET.search(result.out):
        assert " ".join(words[1:3]) in PRINT_A_SECRET
    assert result.out or "(none)" in result.err or ">" in line or silent, result


def test_a_group_of_commands_alone_shows_its_help_and_is_wrong_usage(quick: Quick) -> None:
    for words in ([], ["user"], ["group", "member"], ["dataset", "version"], ["service", "root"]):
        result = quick(*words)
        assert result.code == 2
        assert "Usage: dsgctl" in result.err
        assert result.out == ""
