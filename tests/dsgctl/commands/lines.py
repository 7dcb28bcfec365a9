"""Runs a command that a table has as one line, and reads its answer."""

import json
import shlex
from typing import Any

from tests.dsgctl.commands.running import Result
from tests.dsgctl.commands.world import World


def run_line(here: World, line: str, *more: str) -> Result:
    words = shlex.split(line)
    return here.quick(*words, *more, input=here.token if words[:2] == ["token", "inspect"] else "").ok()


def read_records(text: str) -> list[dict[str, Any]]:
    answer = json.loads(text)
    return answer if isinstance(answer, list) else [answer]
