"""Several processes that share the port of a service: started, restarted and ended together."""

import queue
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

from tenfold.core import systems
from tenfold.core.processes import Child, Inbox, Parent
from tenfold.serve.access import AccessPolicy
from tenfold.serve.limits import Limits

QUICK_SECONDS = 2.0
"""A process that ends so soon after its start would fail again."""

CANNOT_START = 3
"""The exit status of a process that cannot use its runs or its port. It would fail again, however
long it took to find out."""

LOOK_SECONDS = 0.2
"""How long the supervisor waits at once: on Windows no signal interrupts it."""


all_leave = threading.Event()
"""In a worker: whether the supervisor has told this worker and all others to leave."""


class WorkerTask(NamedTuple):
    """The task of a worker process, which it receives on its standard input.

    The input is closed when the worker is to leave, and when the supervisor ends in any way.
    """

    listener: str
    runs: list[str]
    limits: dict[str, float]
    hosts: list[str]
    token: str | None

    @classmethod
    def receive(cls) -> Self:
        """Wait for the task; from then on this process leaves when its supervisor says so."""

        def leave() -> None:
            all_leave.set()
            signal.raise_signal(signal.SIGTERM)

        return cls(**Parent(at_end=leave).receive())

    def access(self) -> AccessPolicy:
        """The access policy of the service."""
        return AccessPolicy(frozenset(self.hosts), self.token)


class Supervisor:
    """Keeps several processes alive that share a socket."""

    def __init__(
        self, runs: Sequence[Path], listener: socket.socket, limits: Limits, access: AccessPolicy
    ) -> None:
        self._listener = listener
        self._task: dict[str, Any] = {
            "runs": [str(path) for path in runs],
            "limits": limits.model_dump(),
            "hosts": sorted(access.hosts),
            "token": access.token,
        }
        self._inbox: Inbox = queue.SimpleQueue()
        self._started: dict[Child, float] = {}
        self._leaving = False

    def run(self, workers: int) -> int:
        """Keep this many processes alive until a signal to leave, and return the exit status.

        It is 1 if a process ended so soon that starting it again would not help.
        """
        for number in systems.leaving_signals():
            signal.signal(number, self._leave)
        for _ in range(workers):
            self._start()
        status = 0
        while self._started:
            try:
                child, _ = self._inbox.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            started = self._started.pop(child)
            is_refused = child.process.wait() == CANNOT_START
            child.end()
            if self._leaving:
                continue
            if is_refused or time.monotonic() - started < QUICK_SECONDS:
                status = 1
                self._leave()
            else:
                self._start()
        return status

    def _start(self) -> None:
        if self._leaving:
            return
        files = systems.files_to_inherit(self._listener)
        child = Child("tenfold.serve", (), {}, self._inbox, files=files, keeps_errors=False)
        self._started[child] = time.monotonic()
        listener = systems.hand_over(self._listener, child.process.pid)
        child.send({"listener": listener, **self._task})
        if self._is_leaving():  # the signal came before the process was known
            child.leave()

    def _is_leaving(self) -> bool:
        return self._leaving

    def _leave(self, sig: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self._leaving = True
        for child in list(self._started):
            child.leave()
