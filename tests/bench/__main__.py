"""Measures how fast the gateway is, as ratios of pairs that are measured in turn in one run.

python -m tests.bench [--quick|--full] [--json FILE] [NAME...]
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench import (
    apis,
    commands,
    first_answers,
    layers,
    maintenance,
    memory,
    processes,
    staleness,
    stress,
    user_cache,
)
from tests.bench.bench import Bench, Row
from tests.bench.progress import Progress

MEASUREMENTS = {
    measure.__name__: measure
    for measure in (
        memory.memory,
        user_cache.warm,
        user_cache.sizes,
        user_cache.changes,
        first_answers.first_answers,
        staleness.staleness,
        processes.processes,
        apis.apis,
        layers.layers,
        stress.hanging,
        stress.dribbling,
        stress.importing,
        commands.starts,
        commands.lists,
        maintenance.importing_csv,
        maintenance.checking,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios measured in one run, pair by pair.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all if none")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="shorter runs: to see that it works, not to judge")
    size.add_argument("--full", action="store_true", help="maintenance with a million people, which takes minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    for program in ("wrk", "nginx", "openssl"):
        if not shutil.which(program):
            sys.exit(f"make bench needs {program}: apt-get install wrk nginx-light openssl")
    unknown = set(arguments.names) - MEASUREMENTS.keys()
    if unknown:
        sys.exit(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    rows = []
    names = arguments.names or list(MEASUREMENTS)
    progress = Progress(len(names))
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), progress, quick=arguments.quick, full=arguments.full)
        for name in names:
            progress.begin(name)
            for row in MEASUREMENTS[name](bench):
                rows.append(row)
                progress.clear()
                _print(row)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) | {"reached": row.reached} for row in rows], indent=1) + "\n")
    sys.exit(0 if all(row.reached for row in rows) else 1)


def _print(row: Row) -> None:
    limits = ((">=", row.at_least), ("<=", row.at_most))
    limit_text = " ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    verdict = "" if row.reached else "NOT REACHED"
    line = f"{row.what:88} {row.value:8.2f}  {limit_text:8}{verdict:11}  {row.remark}"
    print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
