"""The program ``dsgserve``."""

import sys

import click

from dsgctl import __version__
from dsgctl.core.errors import DsgError
from dsgctl.memory import forbid_core_dumps
from dsgctl.settings import load_from_environment
from dsgctl.store import StoreError
from dsgserve import server


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--listen",
    "addresses",
    metavar="HOST:PORT|unix:PATH",
    multiple=True,
    help="Address to listen on, besides the sockets of systemd. Without either, 127.0.0.1:$DSG_PORT.",
)
@click.option(
    "--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests answered at the same time."
)
@click.option("--env-file", metavar="FILE", help="File with settings, instead of $DSG_ENV_FILE or /etc/dsg/dsg.env.")
@click.version_option(__version__, message="dsgserve %(version)s")
def _cli(addresses: tuple[str, ...], threads: int, env_file: str | None) -> None:
    """Serve sign-in, ngauth and /api/v1/user/cache until SIGTERM or Ctrl-C.

    \b
    Example:
      dsgserve --listen 127.0.0.1:8200 --env-file /etc/dsg/dsg.env
    """
    forbid_core_dumps()
    server.run(load_from_environment(env_file), addresses, threads=threads)


def main() -> None:
    """Run the server. An error in its settings is one line on standard error, and exit code 1 or 2."""
    try:
        _cli.main(prog_name="dsgserve")
    except (DsgError, StoreError) as error:
        print(f"dsgserve: {error.message}; {error.hint}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
