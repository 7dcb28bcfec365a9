"""`make install` into a root of its own, and the wheel alone: what an operator gets works."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def clone(place: Path) -> Path:
    """The working tree as git has it, so that building it leaves nothing here."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in listed:
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    return place


def run(*words: object, cwd: Path, **more: str) -> str:
    # Not as a part of the make that may run these tests: it would print which directory it enters.
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    process = subprocess.run(
        [str(word) for word in words], cwd=cwd, env={**outer, **more}, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout").mkdir()
    return clone(tmp_path / "checkout")


def test_install_and_uninstall(checkout: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    arguments = [f"DESTDIR={dest}", "PREFIX=/srv/dsg", f"PYTHON={sys.executable}"]
    lines = run("make", "install", *arguments, cwd=checkout).splitlines()
    assert lines[0] == f"installing into {dest}/srv/dsg ..." and lines[-1] == "next: dsgctl setup"
    assert lines[-2].startswith("installed dsgctl 0.1.0") and len(lines) == 3  # no command is echoed
    # The programs name the place where they will be; here they are run from where they are now.
    assert (dest / "srv/dsg/bin/dsgctl").read_text().startswith("#!/srv/dsg/bin/python")
    assert (dest / "usr/local/bin/dsgserve").readlink() == Path("/srv/dsg/bin/dsgserve")
    python, database = dest / "srv/dsg/bin/python", tmp_path / "dsg.sqlite3"
    assert "has schema" in run(python, "-m", "dsgctl", "db", "migrate", cwd=tmp_path, DATABASE_PATH=str(database))
    assert "--listen" in run(python, "-m", "dsgserve", "--help", cwd=tmp_path)
    units = {unit.name: unit.read_text() for unit in (dest / "etc/systemd/system").iterdir()}
    assert "ExecStart=/srv/dsg/bin/dsgserve\n" in units["dsgserve@.service"]
    assert not any("/opt/dsg" in line for text in units.values() for line in text.splitlines() if "Exec" in line)
    assert {
        "dsgserve.socket",
        "dsgserve@.socket",
        "dsg-backup.timer",
        "dsg-prune.timer",
        "dsg-iam.timer",
    } <= units.keys()
    assert "complete" in (dest / "usr/share/bash-completion/completions/dsgctl").read_text()
    assert run(python, "-m", "dsgctl", "help", "tokens", cwd=tmp_path) == (ROOT / "dsgctl/guide/tokens.md").read_text()
    documents = dest / "srv/dsg/share/doc/dsg"
    for target in re.findall(r"\]\(([^):]+)\)", (documents / "README.md").read_text()):
        assert (documents / target).is_file(), target
    assert stat.S_IMODE((dest / "etc/dsg").stat().st_mode) == 0o750
    assert stat.S_IMODE((dest / "var/lib/dsg").stat().st_mode) == 0o2770
    assert stat.S_IMODE((dest / "etc/sudoers.d/dsg").stat().st_mode) == 0o440
    (dest / "etc/dsg/dsg.env").write_text("DSG_PORT=1\n")
    (dest / "var/lib/dsg/dsg.sqlite3").write_text("facts")
    assert run("make", "install", *arguments, cwd=checkout).endswith(
        "next: dsgctl db migrate && systemctl restart 'dsgserve*.service' && dsgctl doctor\n"
    )
    _enable(dest)
    # A program of that name stands in for systemd: it is not to be had in a test.
    program, requirements = tmp_path / "bin" / "systemctl", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {requirements}\n[ "$1" != list-units ] || '
        'printf "dsgserve@1.socket loaded\\ndsgserve@1.service loaded\\n"\n'
    )
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    run("make", "uninstall", *arguments, "LIVE=yes", f"SYSTEMD={tmp_path}", cwd=checkout, PATH=path)
    assert requirements.read_text().splitlines()[1:3] == ["stop dsgserve@1.socket dsgserve@1.service", "daemon-reload"]
    left = {str(file.relative_to(dest)) for file in dest.rglob("*") if file.is_symlink() or not file.is_dir()}
    assert left == {"etc/dsg/dsg.env", "var/lib/dsg/dsg.sqlite3"}


def _enable(dest: Path) -> None:
    """The links that ``systemctl enable`` makes, of instances and of somebody else's unit too."""
    units = dest / "etc/systemd/system"
    for folder, names in (
        ("sockets.target.wants", ["dsgserve.socket", "dsgserve@1.socket", "dsgserve@2.socket"]),
        ("multi-user.target.wants", ["dsgserve.service", "dsgserve@1.service"]),
        ("timers.target.wants", ["dsg-backup.timer", "dsg-prune.timer", "dsg-iam.timer"]),
    ):
        (units / folder).mkdir()
        for name in names:
            file = name if "@" not in name else f"{name.partition('@')[0]}@{name[name.index('.') :]}"
            assert (units / file).exists()
            (units / folder / name).symlink_to(units / file)


def test_the_wheel_installs_both_programs(checkout: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", ".", cwd=checkout)
    (wheel,) = (checkout / "dist").glob("dsgctl-*.whl")
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel, cwd=tmp_path)
    # What it needs is found where these tests run; dsgctl and dsgserve in the wheel alone.
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import dsgctl, dsgserve.http.responses; "
        f"assert dsgctl.__file__.startswith({str(target)!r}); from dsgserve.http.responses import page; "
        "page('success', title='x'); from dsgctl.store.migrations import list_migrations; print(len(list_migrations()))"
    )
    assert int(run(sys.executable, "-c", code, cwd=tmp_path)) >= 2
    pages = {path.name for path in (ROOT / "dsgctl" / "guide").glob("*.md")}
    assert {path.name for path in (target / "dsgctl" / "guide").glob("*.md")} == pages
    assert (target / "dsgserve" / "contract.md").is_file()


def test_the_installed_packages_are_those_of_pyproject() -> None:
    """Every dependency, and nothing without a hash or from anywhere but the registry."""
    import tomllib

    lines = (ROOT / ".requirements.txt").read_text().replace("\\\n", " ").splitlines()
    pinned = {line.partition("==")[0].partition("[")[0].lower() for line in lines}
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
    assert not any(mark in line for line in lines for mark in ("://", "--index", " @ "))
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in requirements:
        assert requirement.partition(">")[0].partition("[")[0].lower() in pinned
