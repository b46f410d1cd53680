"""Several processes of a service that share its port: started, restarted, ended together."""

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
"""A process that ends so soon after its start will not do better next time."""

CANNOT_START = 3
"""Exit status of a process that was refused its runs or its port: nor will that one, however long
it took to find out."""

LOOK_SECONDS = 0.2
"""How often the supervisor looks up: on Windows no signal ends its waiting."""


all_leave = threading.Event()
"""In a worker: whether its supervisor has told it to leave, and with it all others."""


class WorkerTask(NamedTuple):
    """What one of the processes is to do, as it is told on its standard input.

    That closes when it is to leave, or when its supervisor has ended, however that ended.
    """

    listener: str
    runs: list[str]
    limits: dict[str, float]
    hosts: list[str]
    token: str | None

    @classmethod
    def receive(cls) -> Self:
        """Wait for the task; from now on this process leaves in order when its supervisor says."""

        def leave() -> None:
            all_leave.set()
            signal.raise_signal(signal.SIGTERM)

        return cls(**Parent(at_end=leave).receive())

    def access(self) -> AccessPolicy:
        """Who may ask."""
        return AccessPolicy(frozenset(self.hosts), self.token)


class Supervisor:
    """Processes that share a socket; one that dies is started again."""

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
        """Keep so many processes alive until a signal to leave; returns the exit status.

        It is 1 when a process ended so soon that starting it again helps nothing.
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
        if self._is_leaving():  # the signal came in between, and missed it
            child.leave()

    def _is_leaving(self) -> bool:
        return self._leaving

    def _leave(self, sig: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self._leaving = True
        for child in list(self._started):
            child.leave()
