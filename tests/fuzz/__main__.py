"""Feed one target with what reaches more and more of its code: python -m tests.fuzz NAME [options of libFuzzer]."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dsgctl", "dsgserve", "bottle", "markdown_it"]):
    from tests.fuzz.targets import SEEDS, TARGETS


def main() -> None:
    """Ends with 0 if nothing was found in the time; else prints what, and the bytes that did it."""
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/", corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
