"""The floor: waitress with the gateway's settings, and an application that sends the same bytes each time.

python -m tests.bench.bare PORT FILE
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from waitress import serve


def main(port: str, file: str) -> None:
    """Serve on a port of loopback.

    Args:
        file: JSON: the status line, the headers and the body to send, and waitress's settings.
    """
    response = json.loads(Path(file).read_text())
    status, body = response["status"], response["body"].encode()
    headers = [(name, value) for name, value in response["headers"]]

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, headers)
        return [body]

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a log line for each queued request would slow it down
    serve(app, listen=f"127.0.0.1:{port}", **response["settings"])


if __name__ == "__main__":
    main(*sys.argv[1:])
