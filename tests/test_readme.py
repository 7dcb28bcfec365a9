"""README says what is so: its commands run, its lists are complete.

To renew the table of settings: python tests/test_readme.py
"""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dsgctl.commands import NOUNS, cli
from dsgctl.config import describe_settings
from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_SETTINGS = re.compile(r"(<!-- settings: .*? -->\n).*?(<!-- end of settings -->)", re.DOTALL)


def settings_table() -> str:
    rows = [f"| `{row['name']}` | {_code(row['default'])} | {row['help']} |" for row in describe_settings()]
    return "\n".join(["| name | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _code(default: str) -> str:
    return f"`{default}`".replace("|", "\\|") if default else ""


def renewed(text: str) -> str:
    return _SETTINGS.sub(lambda found: found[1] + settings_table() + found[2], text)


def test_the_table_of_settings_is_that_of_the_program() -> None:
    text = README.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python tests/test_readme.py"


def verbs(group: click.Group, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        found |= verbs(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {f"{prefix}{name}"}
    return found


@pytest.mark.parametrize("noun", NOUNS)
def test_the_table_of_commands_has_every_verb(noun: str) -> None:
    command = cli.get_command(click.Context(cli), noun)
    line = next(line for line in README.read_text(encoding="utf-8").splitlines() if re.match(rf"\| .*`{noun}`", line))
    if not isinstance(command, click.Group):
        return
    told: set[str] = set()
    for part in line.split("|")[2].split(";"):
        sub = re.match(r"\s*`([a-z]+)` ", part)
        words = part[sub.end() :] if sub else part
        told |= {f"{sub[1]} {word.strip()}" if sub else word.strip() for word in words.split(",")}
    assert told == verbs(command)


def test_first_steps_run_as_they_stand(tmp_path: Path) -> None:
    """Everything but the installation, which `make` has done for the tests."""
    done = run_section("First steps", tmp_path)
    assert '"permissions_v2":{"fish2":["view"]}' in done
    assert "ada@example.org may not edit fish2" in done
    assert "group.member.add" in done


def test_moving_out_runs_as_it_stands(tmp_path: Path) -> None:
    before = 'export DATABASE_PATH="$PWD/dsg.sqlite3"\ndsgctl db migrate\ndsgctl dataset add fish2\n'
    assert "1 dataset" in run_section("Moving out", tmp_path, before)


def run_section(title: str, directory: Path, before: str = "") -> str:
    """Run the commands of a section of README, after others. Returns what they print; each must succeed."""
    section = README.read_text(encoding="utf-8").split(f"## {title}")[1].split("\n## ")[0]
    script = before + "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    script = re.sub(r"^python3 -m venv .*$", "", script, flags=re.MULTILINE)
    programs = Path(sys.executable).parent
    script = script.replace("$PWD/.venv/bin", str(programs)).replace(":8200", ":$DSG_PORT")
    script = f'set -euo pipefail\nset -m\nexport DSG_PORT={_free_port()} PATH="{programs}:$PATH"\n' + script
    done = subprocess.run(
        ["bash", "-c", script], cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_backup_and_restore_run_as_they_stand(tmp_path: Path) -> None:
    """But for systemd, the place of the recipients, and the question that a restore asks."""
    section = README.read_text(encoding="utf-8").split("## Backups")[1].split("\n## ")[0]
    make, backup, restore = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    script = f"""set -euo pipefail
        systemctl() {{ true; }}
        export PATH="{Path(sys.executable).parent}:$PATH" DATABASE_PATH="$PWD/dsg.sqlite3" DSG_BACKUP_DIR="$PWD/bundles"
        export DSG_BACKUP_AGE_RECIPIENTS_FILE="$PWD/recipients.txt" DSG_BACKUP_INCLUDE_SECRETS=0
        mkdir bundles
        dsgctl db migrate
        dsgctl user add ada@example.org
        {{ {make} }} > recipients.txt
        {backup}
        dsgctl user remove ada@example.org --yes
        {restore.replace("--apply", "--apply --yes")}
        dsgctl user show ada@example.org -o value"""
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ada@example.org\n")


def test_the_policy_file_is_applied_as_it_stands(tmp_path: Path) -> None:
    """After what the first steps do."""
    section = README.read_text(encoding="utf-8").split("## Policy as a file")[1].split("\n## ")[0]
    (tmp_path / "policy.yaml").write_text(re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0])
    commands = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0]
    script = f"""set -euo pipefail
        export PATH="{Path(sys.executable).parent}:$PATH" DATABASE_PATH="$PWD/dsg.sqlite3"
        dsgctl db migrate
        dsgctl group add lab-1
        dsgctl dataset add fish2 --description 'A zebrafish brain'
        dsgctl grant add fish2 view --group lab-1
        dsgctl user add ada@example.org --name 'Ada Lovelace'
        dsgctl group member add lab-1 ada@example.org --lead
        {commands}
        dsgctl apply written.yaml
        dsgctl diff policy.yaml && dsgctl terms accept 1 ada@example.org
        dsgctl access check ada@example.org brain edit"""
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("yes\n")
    assert "permission: edit" in (tmp_path / "written.yaml").read_text()


NAMED = sorted(set(re.findall(r"\bdsgctl ((?:[a-z][a-z-]* ?)+)", README.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("words", NAMED)
def test_every_command_that_it_names_is_there(words: str) -> None:
    """As far as its words go that are no values: ``token mint`` of ``dsgctl token mint --user …``."""
    command: click.Command = cli
    for word in words.split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"there is no dsgctl {words}"
        command = found


def test_every_option_that_it_names_is_there() -> None:
    for noun, verb, option in re.findall(
        r"\bdsgctl ([a-z-]+)(?: ([a-z]+))?(?: [^-`\n|]*)? (--[a-z-]+)", README.read_text(encoding="utf-8")
    ):
        command = cli.get_command(click.Context(cli), noun)
        if isinstance(command, click.Group) and verb in command.commands:
            command = command.commands[verb]
        assert command is not None
        if not isinstance(command, click.Group):
            assert any(option in (*parameter.opts, *parameter.secondary_opts) for parameter in command.params), (
                f"{noun} {verb} {option}"
            )


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
