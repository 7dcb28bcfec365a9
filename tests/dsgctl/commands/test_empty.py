"""An empty value is nowhere as good as none: a script whose variable is unset must not get, for everybody, what it
wanted for one. Made from the commands themselves, so that a new option is among them."""

from collections.abc import Iterator

import click
import pytest

from dsgctl.commands import cli
from dsgctl.commands.invocation import MAY_BE_EMPTY
from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            yield from _commands(subcommand, (*path, name))
    else:
        yield path, command


def _takes_a_value(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument) or not getattr(parameter, "is_flag", False)


# A line for each option and each argument of every command: the one in question is empty, the others say something.
LINES = [
    (
        *path,
        *[("" if other is parameter else "x") for other in command.params if isinstance(other, click.Argument)],
        *([spelling, ""] if isinstance(parameter, click.Option) else []),
    )
    for path, command in _commands(cli)
    for parameter in command.params
    for spelling in parameter.opts
    if _takes_a_value(parameter) and spelling not in MAY_BE_EMPTY
]
ROOT = [
    (*(spelling, ""), "user", "list")
    for parameter in cli.params
    if _takes_a_value(parameter)
    for spelling in parameter.opts
]


@pytest.fixture
def world(built_world: World) -> Iterator[World]:
    before = dump(built_world.database)
    yield built_world
    assert dump(built_world.database) == before


@pytest.mark.parametrize("line", [*LINES, *ROOT], ids=" ".join)
def test_an_empty_value_is_refused(world: World, line: tuple[str, ...]) -> None:
    at = line.index("")
    for words in (line, (*line[: at - 1], f"{line[at - 1]}=", *line[at + 1 :]) if line[at - 1][:2] == "--" else line):
        result = world.quick(*words, input="")
        code = 5 if "--as" in line else 2
        assert (result.code, result.out, is_one_line(result)) == (code, "", True), result
        assert " is empty; leave it out" in result.err or code == 5


def test_every_option_that_may_be_empty_exists_and_names_nothing() -> None:
    spellings = {
        spelling for _, command in _commands(cli) for parameter in command.params for spelling in parameter.opts
    }
    assert spellings >= MAY_BE_EMPTY
    assert not MAY_BE_EMPTY & {"--user", "--group", "--dataset", "--version", "--scope", "--service", "--expires"}


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_the_shell_refuses_an_empty_name_for_as(filled: World, value: str) -> None:
    """As in a forced command whose variable is unset."""
    for env in ({"SSH_ORIGINAL_COMMAND": "user list"}, {}):
        result = filled.run("--as", value, "shell", env=env, input="user list\n")
        assert result.code in (2, 5) and result.out == "", result


@pytest.mark.parametrize("name", ["DSG_ENV_FILE", "DATABASE_PATH", "DSG_ALLOWED_EMAIL_DOMAINS", "SSH_ORIGINAL_COMMAND"])
def test_an_empty_variable_is_refused(filled: World, name: str) -> None:
    result = filled.run("--as", "ada@example.org", "shell", env={name: ""}, input="user show ada@example.org\n")
    assert (result.code, result.out) == (2, ""), result
    assert "empty" in result.err
