"""What processes that share the work are told."""

import os
import queue
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tenfold
from tenfold.core.errors import FileError
from tenfold.core.processes import Child, Inbox, python_path, raise_error
from tenfold.core.systems import usable_cores


def test_a_confined_process_counts_its_own_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert usable_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == os.cpu_count()


def test_a_process_imports_this_tenfold_and_keeps_the_users_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = str(Path(tenfold.__file__).parents[1])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert python_path() == source
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert python_path() == os.pathsep.join([source, "/mine"])


PROGRAM = """
import os, sys
from tenfold.core.errors import FileError
from tenfold.core.processes import Parent

print("a file that runs at the start of Python prints this", 3, sep="\\n", flush=True)
parent = Parent()
print("a library prints this")
parent.send({"arguments": sys.argv[1:], "threads": os.environ["THREADS"]})
while True:
    value = parent.receive()["value"]
    if value == "fail":
        parent.send_error(FileError("E999", "Cannot write", where="here", n_bytes=3))
    elif value == "exit":
        sys.exit("no more")
    else:
        parent.send({"twice": 2 * value})
"""


@pytest.fixture
def inbox() -> Inbox:
    return queue.SimpleQueue()


@pytest.fixture
def child(inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """A process that doubles numbers."""
    (tmp_path / "doubles.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    child = Child("doubles", (7,), {"THREADS": "1"}, inbox)
    assert inbox.get(timeout=60) == (child, {"arguments": ["7"], "threads": "1"})
    yield child
    child.end()


def test_a_child_answers_and_says_how_it_ended(child: Child, inbox: Inbox) -> None:
    child.send({"value": 21})
    assert inbox.get(timeout=60) == (child, {"twice": 42})
    child.send({"value": "exit"})
    assert inbox.get(timeout=60) == (child, None)
    child.send({"value": 1})  # lost, and no error
    assert child.end() == child.end() == "exit 1: no more"


def test_an_error_of_a_child_is_raised_here_as_it_was(child: Child, inbox: Inbox) -> None:
    child.send({"value": "fail"})
    _, message = inbox.get(timeout=60)
    assert message is not None
    with pytest.raises(FileError) as raised:
        raise_error(message)
    assert str(raised.value) == "Cannot write: n_bytes=3 (here)." and raised.value.code == "E999"
    raise_error({"twice": 42})  # no error


def test_a_killed_child_is_named_by_its_signal(child: Child, inbox: Inbox) -> None:
    os.kill(child.process.pid, signal.SIGKILL)
    assert inbox.get(timeout=60) == (child, None)
    assert child.end() == "SIGKILL"


def test_a_child_ends_with_its_parent(child: Child) -> None:
    assert child.process.stdin is not None
    child.process.stdin.close()
    start = time.monotonic()
    assert child.process.wait(timeout=60) == 0 and time.monotonic() - start < 30
