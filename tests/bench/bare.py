"""The baseline: waitress with an application that sends the same bytes each time.

python -m tests.bench.bare PORT THREADS FILE
"""

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from waitress import serve


def main(port: str, threads: str, file: str) -> None:
    body = Path(file).read_bytes()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return [body]

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a log line for each queued request would slow it down
    serve(app, listen=f"127.0.0.1:{port}", threads=int(threads))


if __name__ == "__main__":
    main(*sys.argv[1:])
