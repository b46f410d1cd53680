"""Processes that share the work: programs of this package that exchange lines of JSON.

`Child` is such a process as the one that started it sees it; `Parent` is the other end, inside it.
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
"""What children say, each with who said it; None is the last of a child: it has ended."""


def python_path() -> str:
    """`PYTHONPATH` of a process that is to import the Tenfold of this one."""
    source = str(Path(__file__).parents[2])
    return os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])


class Child:
    """A process that this one started. It ends when this one does, however that ends."""

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
        """Start `python -m MODULE ARGUMENTS`, a program that makes a `Parent` first.

        It has the environment of this process and more; its messages are put into the inbox. Its
        standard error is kept for `end`, or is that of this process. It inherits `files`.
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
            **systems.apart(),  # Ctrl-C is handled by this process alone
        )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: Inbox) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(ValueError):  # printed before there was a `Parent`, or cut off by its end
                if isinstance(message := json.loads(line), dict):
                    inbox.put((self, message))
        with suppress(subprocess.TimeoutExpired):  # its output ends a little before it does
            self.process.wait(timeout=10)
        inbox.put((self, None))

    def send(self, message: Message) -> None:
        """Send a message. One to a process that has died is lost: the inbox says that it died."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def leave(self) -> None:
        """Ask the process to end: there will be no more messages."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def end(self) -> str:
        """End the process if it lives, and say how it ended; may be called again.

        As `SIGKILL` or `exit 1: the last line of its standard error`.
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
    """The process that started this one, as a program that `Child` runs sees it.

    What libraries print goes to standard error, so that it does not stand between the messages.
    This process ends when its input does: with the one that started it, however that ended.
    """

    def __init__(self, at_end: Callable[[], object] = lambda: os._exit(0)) -> None:
        """Listen; `at_end` is called in a thread when no more messages will come."""
        self._output = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", newline="\n")
        os.dup2(2, 1)
        # While a thread waits at it, Windows lets nobody else look at standard input, not even the
        # libraries that are imported: they see an empty one.
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
        """The next message; waits for it."""
        return self._inbox.get()

    def send(self, message: Message) -> None:
        """Send a message."""
        self._output.write(json.dumps(message) + "\n")

    def send_error(self, error: TenfoldError) -> None:
        """Send an error, to be raised there by `raise_error`."""
        self.send({"error": type(error).__name__, "code": error.code, "text": str(error)})


def raise_error(message: Message) -> None:
    """Raise the error that a message holds, as it was where it was sent; others pass."""
    if "error" in message:
        raise restored(message["error"], message["code"], message["text"])


def _lines(file: int) -> Iterator[bytes]:
    """The lines of a descriptor. No object of Python's reads it: a thread that waits in one holds
    its lock, and the interpreter aborts at its end."""
    rest = b""
    while part := os.read(file, 1 << 16):
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
