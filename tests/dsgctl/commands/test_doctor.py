"""``dsgctl doctor`` on a terminal."""

import re

from tests.dsgctl.commands.running import Process
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.operations.doctor.conftest import here, site  # noqa: F401  fixtures
from tests.dsgctl.operations.doctor.installation import Installation


def test_doctor_on_a_terminal_breaks_no_word_and_can_leave_out_colours(here: Installation) -> None:  # noqa: F811
    here.write(DSG_ORIGIN="http://localhost:9", DSG_PORT="9", GOOGLE_APPLICATION_CREDENTIALS=f"/{'long-name/' * 12}x")
    process = Process(here.place, here.database)

    def run(**env: str) -> str:
        with on_a_terminal(process, "--env-file", str(here.env), "doctor", COLUMNS="80", **env) as terminal:
            assert terminal.end() == 1
        return terminal.seen.replace("\r\n", "\n")

    text = run(NO_COLOR="1")
    assert "\x1b" not in text and "\x1b" not in run(TERM="dumb") and "\x1b[3" in run()
    assert f"/{'long-name/' * 12}x" in text  # a name is never broken
    lines = [line for line in text.splitlines() if "long-name" not in line]
    assert lines and max(map(len, lines)) <= 80
    plain = process("--env-file", str(here.env), "doctor").out
    words = {word for word in plain.split() if not word.isdigit()}  # the room on the disk is another each time
    assert words <= set(text.split())  # each word, none broken
    assert re.search(r"^failed   server: .+\n         start it: dsgserve$", plain, re.MULTILINE)
