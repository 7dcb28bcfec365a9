"""``dsgctl demo``"""

import json
import sys
from pathlib import Path

import click

from dsgctl.commands.messages import echo
from dsgctl.operations import demo


@click.command(epilog="\b\nExample:\n  dsgctl demo --port 8300")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    default=8200,
    show_default=True,
    help="The port of the server.",
)
@click.option("--once", is_flag=True, help="End after the tour, instead of waiting for Ctrl-C.")
def command(port: int, once: bool) -> None:
    """Run a small gateway with made-up people, and show what it does.

    Everything is in a temporary directory, which is deleted at the end.
    """
    demo.stop_on_sigterm()
    with demo.run_demo(port) as running:
        _tour(running)
        _try_yourself(running)
        if once:
            return
        echo("\nThe server runs until you press Ctrl-C.")
        try:
            running.server.wait()
        except KeyboardInterrupt:
            echo("\nStopped. The temporary directory is deleted.")
            return
        raise click.ClickException("the server ended by itself")


def _tour(running: demo.Demo) -> None:
    echo(f"A gateway with made-up people answers on {running.origin}. A tour of what it does:")

    _title("Allowed: Ada asks for her permissions")
    _ask(running, "ada", "name", "permissions_v2")

    _title("Refused: Cy asks the same")
    _ask(running, "cy", "error", "message")
    _run(running, "access", "explain", "cy@example.org", "fish2")

    _title("Held back: Bo has a grant on fly, but has not accepted its terms")
    _ask(running, "bo", "permissions_v2", "missing_tos")
    _run(running, "access", "explain", "bo@example.org", "fly")

    _title("Revoked: the very next request is refused")
    token_id = json.loads(running.dsgctl("token", "list", "--service-account", "nightly", "-o", "json"))[0]["id"]
    _ask(running, "nightly", "name", "permissions_v2")
    _run(running, "token", "revoke", str(token_id))
    _ask(running, "nightly", "error", "message")


def _title(text: str) -> None:
    echo(f"\n{text}", bold=True)


def _ask(running: demo.Demo, name: str, *keys: str) -> None:
    status, answer = running.ask(running.secrets[name])
    text = json.dumps({key: answer[key] for key in keys}, ensure_ascii=False)
    echo(f'  $ curl -H "Authorization: Bearer ${name.upper()}" {running.origin}/api/v1/user/cache')
    echo(f"    {status} {text}")


def _run(running: demo.Demo, *words: str) -> None:
    echo("  $ dsgctl " + " ".join(words))
    for line in running.dsgctl(*words).splitlines():
        echo(f"    {line}")


def _try_yourself(running: demo.Demo) -> None:
    bin_ = Path(sys.executable).parent
    echo("\nTry it yourself", bold=True)
    echo(f"Open {running.origin}/ and sign in as anybody;")
    echo("or in another terminal:\n")
    echo(f'  export DSG_ENV_FILE={running.env_file} PATH="{bin_}:$PATH"')
    for name in ("ada", "bo", "cy"):
        echo(f"  {name.upper()}={running.secrets[name]}")
    echo(f"""
  curl -H "Authorization: Bearer $ADA" {running.origin}/api/v1/user/cache
  dsgctl grant revoke fish2 edit --group lab-1     # then ask again as Ada
  dsgctl user enable cy@example.org                # then ask again as Cy
  dsgctl terms accept 1 bo@example.org             # then ask again as Bo
  dsgctl access who fish2
  dsgctl audit list --limit 5""")
