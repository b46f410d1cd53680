"""Several processes of a service that share its port: started, restarted, ended together."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Self

from tenfold.core.processes import python_path
from tenfold.serve.access import AccessPolicy
from tenfold.serve.limits import Limits

QUICK_SECONDS = 2.0
"""A process that ends so soon after its start will not do better next time."""

CANNOT_START = 3
"""Exit status of a process that was refused its runs or its port: nor will that one, however long
it took to find out."""


# asm-generic/socket.h; the socket module has no names for them.
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


class WorkerTask(NamedTuple):
    """What one of the processes is to do, as its command line has it.

    It gets the descriptors of the listening socket and of a pipe that ends with the supervisor.
    """

    listener_fd: int
    supervisor_fd: int
    runs: list[str]
    limits: dict[str, float]
    hosts: list[str]

    @classmethod
    def read(cls, text: str) -> Self:
        """The task that `text` says, and from now on an end with the supervisor's."""
        task = cls(**json.loads(text))
        threading.Thread(target=_end_with, args=(task.supervisor_fd,), daemon=True).start()
        return task

    def access(self) -> AccessPolicy:
        """Who may ask; the token comes in the environment, for command lines can be read."""
        return AccessPolicy(frozenset(self.hosts), os.environ.pop("TENFOLD_TOKEN", None) or None)


def _end_with(pipe: int) -> None:
    """Leave in order when the supervisor has ended, however that ended."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


class Supervisor:
    """Processes that share a socket; one that dies is started again."""

    def __init__(
        self, runs: Sequence[Path], listener: socket.socket, limits: Limits, access: AccessPolicy
    ) -> None:
        self._listener = listener
        watched, self._held = os.pipe()  # never written to: it ends when this process does
        task = WorkerTask(
            listener.fileno(),
            watched,
            [str(path) for path in runs],
            limits.model_dump(),
            sorted(access.hosts),
        )
        self._files = [listener.fileno(), watched]
        self._command = [sys.executable, "-m", "tenfold.serve", json.dumps(task._asdict())]
        self._environment = {
            **os.environ,
            "PYTHONPATH": python_path(),
            "TENFOLD_TOKEN": access.token or "",
        }
        self._children: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._leaving = False

    def run(self, workers: int) -> int:
        """Keep so many processes alive until a signal to leave; returns the exit status.

        It is 1 when a process ended so soon that starting it again helps nothing.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        for _ in range(workers):
            self._start()
        status = 0
        while self._children:
            pid, wait_status = os.wait()
            child = self._children.pop(pid, None)
            if child is None or self._leaving:
                continue
            is_refused = os.waitstatus_to_exitcode(wait_status) == CANNOT_START
            if is_refused or time.monotonic() - child[1] < QUICK_SECONDS:
                status = 1
                self._leave(signal.SIGTERM, None)
            else:
                self._start()
        return status

    def _start(self) -> None:
        welcome_connections(self._listener)
        if self._leaving:
            return
        child = subprocess.Popen(self._command, pass_fds=self._files, env=self._environment)
        self._children[child.pid] = child, time.monotonic()
        if self._is_leaving():  # the signal came in between, and missed it
            child.terminate()

    def _is_leaving(self) -> bool:
        return self._leaving

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        self._leaving = True
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def ignore_connections(listener: socket.socket) -> None:
    """Let a socket ignore who comes; who is in its queue can still be accepted.

    Closing it resets those in its queue, who think that they are connected and have asked: with
    eight clients, 1 to 6 requests at each of 20 ends (88 of 9,260), and none of 8,656 with this.
    On Linux alone: a filter that passes no packet (socket(7), Documentation/networking/filter.rst:
    one instruction, BPF_RET | BPF_K with 0) makes others try again, and be refused at the end.
    """
    if sys.platform == "linux":
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HL", 1, ctypes.addressof(nothing))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def welcome_connections(listener: socket.socket) -> None:
    """Take off the filter that another process left on the socket when it was told to leave."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
