"""Child processes that share the work. They are programs of this package and exchange lines of
JSON.

`Child` represents such a process in the parent, and `Parent` represents the parent in the child.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tenfold.core import systems
from tenfold.core.errors import TenfoldError, restored

Message = dict[str, Any]

Inbox = queue.SimpleQueue[tuple["Child", Message | None]]
"""The messages of children, each with its sender. The last message of a child that has ended is
None."""


def python_path() -> str:
    """The `PYTHONPATH` with which a process imports the same Tenfold as this one."""
    source = str(Path(__file__).parents[2])
    return os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])


class Child:
    """A process that this one started. It ends when this one does, also if this one is killed."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[object],
        environment: Mapping[str, str],
        inbox: Inbox,
        *,
        files: Sequence[int] = (),
        keeps_errors: bool = True,
    ) -> None:
        """Start `python -m MODULE ARGUMENTS`, a program that first makes a `Parent`.

        It gets the environment of this process and additional variables, and its messages are put
        into the inbox. Its standard error is kept for `end`, or is that of this process. It
        inherits `files`.
        """
        self._how = ""
        self._log = tempfile.TemporaryFile() if keeps_errors else None  # noqa: SIM115  # see `end`
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": python_path(), **environment},
            pass_fds=files,
            **systems.apart(),  # only this process handles Ctrl-C
        )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: Inbox) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(ValueError):  # printed before `Parent` existed, or truncated
                if isinstance(message := json.loads(line), dict):
                    inbox.put((self, message))
        # The output of a process ends slightly before the process itself.
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        inbox.put((self, None))

    def send(self, message: Message) -> None:
        """Send a message. If the process has died, the message is lost, and the inbox says so."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def leave(self) -> None:
        """Ask the process to exit, because there will be no more messages."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def end(self) -> str:
        """End the process if it is alive, and say how it ended. May be called again.

        The result is `SIGKILL` or `exit 1: the last line of its standard error`.
        """
        if self._how:
            return self._how
        self.process.kill()
        self._how = systems.how_ended(self.process.wait())
        self.leave()
        with suppress(OSError):
            assert self.process.stdout is not None
            self.process.stdout.close()
        if self._log is not None:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            self._log.close()
            if lines and self._how != "SIGKILL":  # a process that was killed did not write why
                self._how = f"{self._how}: {lines[-1]}"
        return self._how


class Parent:
    """The parent of this process, which runs a program for `Child`.

    Output of libraries goes to standard error, so that it does not mix with the messages. This
    process ends when its input ends, which is when the parent ends, however that happens.
    """

    def __init__(self, at_end: Callable[[], object] = lambda: os._exit(0)) -> None:
        """Listen for messages. `at_end` is called in a thread when no more messages will come."""
        self._output = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", newline="\n")
        os.dup2(2, 1)
        # While a thread waits on standard input, Windows lets nothing else use it, not
        # even imported libraries. They get an empty one.
        self._input = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(at_end,), daemon=True).start()

    def _listen(self, at_end: Callable[[], object]) -> None:
        for line in _lines(self._input):
            self._inbox.put(json.loads(line))
        at_end()

    def receive(self) -> Message:
        """Wait for the next message and return it."""
        return self._inbox.get()

    def send(self, message: Message) -> None:
        """Send a message."""
        self._output.write(json.dumps(message) + "\n")

    def send_error(self, error: TenfoldError) -> None:
        """Send an error, which `raise_error` raises in the parent."""
        self.send({"error": type(error).__name__, "code": error.code, "text": str(error)})


def raise_error(message: Message) -> None:
    """Raise the error that a message contains, as it was in the sender. Ignore other messages."""
    if "error" in message:
        raise restored(message["error"], message["code"], message["text"])


def _lines(file: int) -> Iterator[bytes]:
    """The lines of a descriptor. They are not read through a Python file object: a thread that
    waits in one holds its lock, and the interpreter would abort at exit."""
    rest = b""
    while part := os.read(file, 1 << 16):
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
