"""``dsgctl help``: the manual on a terminal, in a pipe, by word; and nobody gets a shell out of it."""

import re
from pathlib import Path

import pytest

from dsgctl import guide
from dsgctl.commands import NOUNS
from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World


def test_help_without_a_topic_lists_each_topic_with_its_purpose(quick: Quick) -> None:
    lines = quick("help").ok().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(guide.TOPICS)
    assert all(line.endswith(guide.read_purpose(topic)) for line, topic in zip(lines, guide.TOPICS, strict=True))


@pytest.mark.parametrize("topic", guide.TOPICS)
def test_a_page_in_a_pipe_is_markdown(quick: Quick, topic: str) -> None:
    result = quick("help", topic).ok()
    assert (result.out, result.err) == (guide.read_page(topic), "")


@pytest.mark.parametrize("words", ["user", "user add", "group member", "group member add", "doctor"])
def test_a_command_shows_its_help(quick: Quick, words: str) -> None:
    assert quick("help", *words.split()).ok().out == quick(*words.split(), "--help").ok().out


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["tokns"], "tokens"),
        (["trouble"], ""),
        (["usr"], "user"),
        (["user", "ad"], "add"),
        (["user", "add", "ada"], ""),
        (["tokens", "x"], ""),
        (["../../README"], ""),
        (["\x1b[2J"], ""),
    ],
)
def test_an_unknown_topic_is_one_line_with_the_nearest(quick: Quick, words: list[str], nearest: str) -> None:
    result = quick("help", *words)
    assert (result.code, result.out, is_one_line(result)) == (3, "", True), result
    assert f"did you mean {nearest}?" in result.err if nearest else "'dsgctl help' lists the topics" in result.err
    assert "\x1b" not in result.err


TOPICS = {name: noun.topic for name, noun in NOUNS.items() if noun.topic is not None}


@pytest.mark.parametrize("noun", TOPICS)
def test_the_help_of_a_noun_names_its_page(quick: Quick, noun: str) -> None:
    assert quick(noun, "--help").ok().out.endswith(f"\n  Manual: dsgctl help {TOPICS[noun]}\n")
    assert TOPICS[noun] in guide.TOPICS


def test_a_search_shows_page_heading_and_line(quick: Quick) -> None:
    lines = quick("help", "--search", "MIDDLE_AUTH_token").ok().out.splitlines()
    assert lines[0] == "cave: Point the services at the gateway"
    assert (
        lines[1] == "    - Add the cookie name that CAVE's client reads: `DSG_TOKEN_NAMES=dsg_token,middle_auth_token`."
    )


def test_a_search_covers_headings_and_the_whole_manual(quick: Quick) -> None:
    lines = quick("help", "--search", "restore on a new host").ok().out.splitlines()
    assert lines == ["backup-and-restore: Restore on a new host"]
    output = quick("help", "--search", "dsgctl").ok().out
    assert all(f"{topic}: " in output for topic in ("install", "tokens", "commands", "settings"))


def test_a_search_without_a_match_is_an_error(quick: Quick) -> None:
    result = quick("help", "--search", "xyzzy")
    assert (result.code, result.out, is_one_line(result)) == (3, "", True)
    assert quick("help", "tokens", "--search", "x").code == 2


def test_topics_are_completed(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_DSGCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "dsgctl help te")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert quick().out == "plain,terms\n"


# On a terminal


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_the_list_of_topics_breaks_no_word_on_a_terminal(filled: World, columns: int) -> None:
    with on_a_terminal(filled.run, "help", COLUMNS=str(columns)) as terminal:
        assert terminal.end() == 0
    *lines, _ = terminal.seen.splitlines()
    width = max(map(len, guide.TOPICS)) + 2
    assert max(map(len, lines)) <= min(columns, 100)
    assert [line[:width].strip() for line in lines if line[0] != " "] == list(guide.TOPICS)
    shown = " ".join(line[width:] for line in lines)
    assert shown.split() == " ".join(map(guide.read_purpose, guide.TOPICS)).split()


def _less(world: World | Process, directory: Path) -> str:
    """A PATH on which ``less`` writes down its environment and shows what it gets."""
    programs = directory / "programs"
    programs.mkdir()
    less = programs / "less"
    less.write_text(f'#!/bin/sh\nprintenv > "{directory}/less.env"\necho PAGED\ncat\n')
    less.chmod(0o755)
    return f"{programs}:/usr/bin:/bin"


def test_a_page_on_a_terminal_is_rendered_and_paged_without_a_way_to_a_shell(filled: World) -> None:
    path = _less(filled, filled.directory)
    with on_a_terminal(filled.run, "help", "troubleshooting", PATH=path, PAGER="/bin/false", LESS="x") as terminal:
        assert terminal.end() == 0
    assert "PAGED" in terminal.seen
    assert "## " not in terminal.seen and "](" not in terminal.seen
    assert "\x1b[" in terminal.seen
    environment = (filled.directory / "less.env").read_text().splitlines()
    assert {"LESSSECURE=1", "LESS=FRX"} <= set(environment)


@pytest.mark.parametrize("words", [["--as", "ada@example.org", "help", "tokens"], ["--as", "ada@example.org", "shell"]])
def test_a_delegate_gets_no_pager(filled: World, words: list[str]) -> None:
    path = _less(filled, filled.directory)
    with on_a_terminal(filled.run, *words, PATH=path) as terminal:
        if "shell" in words:
            terminal.wait_for("dsgctl> ")
            terminal.type("help tokens\r")
            terminal.wait_for("Read next")
            terminal.press("\x04")
        terminal.end()
    assert "Issue a token" in terminal.seen and "PAGED" not in terminal.seen
    assert not (filled.directory / "less.env").exists()


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_page_has_no_colour_where_none_is_wanted(filled: World, env: dict[str, str]) -> None:
    with on_a_terminal(filled.run, "help", "tokens", PATH="/nonexistent", **env) as terminal:
        assert terminal.end() == 0
    assert "\x1b[3" not in terminal.seen and "\x1b[4" not in terminal.seen.replace("\x1b[4m", "")
    assert "Issue a token" in terminal.seen


@pytest.mark.parametrize("topic", ["settings", "developing", "security"])
def test_a_page_on_a_terminal_cuts_nothing_off(filled: World, topic: str) -> None:
    """Names of settings and paths in a table continue on the next line."""
    with on_a_terminal(filled.run, "help", topic, PATH="/nonexistent", TERM="dumb", COLUMNS="80") as terminal:
        assert terminal.end() == 0
    assert terminal.seen.count("…") == guide.read_page(topic).count("…")


def test_a_list_of_commands_shows_whole_sentences() -> None:
    page = guide.read_page("commands")
    assert not [line for line in page.splitlines() if re.search(r"[a-z]\.\.\.$", line)]
