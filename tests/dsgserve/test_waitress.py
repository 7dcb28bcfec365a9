"""The parts of waitress that dsgserve relies on beyond its documented interface are those that it was written for."""

import hashlib
import inspect

import pytest
from waitress import channel, parser, server, task, trigger, wasyncore

# part -> the SHA-256 of its source, the first 16 digits
PARTS = {
    channel.HTTPChannel: "aa3da44fa1741b69",
    parser.HTTPRequestParser: "f2b09de756c11493",
    server.create_server: "2e506b208edceac2",
    server.BaseWSGIServer: "82ab2f37dc852df3",
    task.ThreadedTaskDispatcher: "541f30c57f083fdf",
    task.Task: "407d67e516390fb5",
    task.WSGITask: "9d14cf12c73aa868",
    trigger.trigger: "48bf86fea4c84cec",
    wasyncore.dispatcher: "4d74dc7e94b4be53",
    wasyncore.read: "65efa0038062243e",
    wasyncore.write: "da89ca259756b2d1",
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_waitress_is_as_it_was(part: object) -> None:
    digest = hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:16]  # type: ignore[arg-type]
    assert digest == PARTS[part], (
        f"waitress has another {part.__name__}: read what is different, compare it with dsgserve/http/wire.py, "
        f"process/event_loop.py and process/dispatcher.py, run all tests, and write {digest} here"
    )
