"""The server of the service: its socket, its deadlines, and its orderly shutdown."""

import asyncio
import contextlib
import gc
import ipaddress
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from tenfold.core import systems
from tenfold.core.errors import FileError, SettingsError
from tenfold.serve.access import AccessPolicy
from tenfold.serve.application import Application
from tenfold.serve.connection import Connection
from tenfold.serve.limits import Limits
from tenfold.serve.served_runs import RunWatcher, build, find_runs
from tenfold.serve.supervisor import Supervisor, all_leave

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

NOTICE_SECONDS = 0.5
"""The time from "not ready" to the last new connection, in which supervisors can notice it."""

LAST_SECONDS = 0.25
"""The time in which connections that already exist are accepted and may send a request."""

TICK_SECONDS = 0.1
"""The interval at which the deadlines of connections are checked."""

BACKLOG = 2048
MIN_TOKEN = 16
SWITCH_SECONDS = 0.001
"""How long a thread that reads bodies keeps the interpreter while the event loop waits for it;
Python's own 5 ms would delay every refusal."""

STUCK_SECONDS = 0.5
"""How long threads may take to end after the last answer."""


def serve(
    runs: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    hosts: Sequence[str] = (),
    workers: int = 1,
    limits: Limits | None = None,
) -> int:
    """Answer requests until SIGTERM or Ctrl-C; accepted requests are answered first.

    Args:
      runs: Run folders, or folders of runs; the first run answers where none is named.
      host, port: Where to listen; port 0 is any free one.
      token: What requests must show. Needed for any address but this machine's own.
      hosts: Further names that a request's Host may have.
      workers: Processes that share the port.
      limits: See `Limits`.

    Returns:
      The exit status: 0, or 1 when a process could not be kept alive.

    Raises:
      SettingsError: No token, or too short a one; two runs of one name.
      RunError, ModelError, FileError: A run that cannot be opened, a port that cannot be had.
    """
    limits = limits or Limits()
    _check_token(host, token)
    own = [] if host in ("0.0.0.0", "::") else [f"[{host}]" if ":" in host else host]
    access = AccessPolicy(frozenset(name.lower() for name in (*LOOPBACK, *own, *hosts)), token)
    with _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        print(f"service  http://{shown}:{listener.getsockname()[1]}/", flush=True)
        if workers == 1:
            work(runs, listener, limits, access)
            return 0
        return Supervisor(runs, listener, limits, access).run(workers)


def _check_token(host: str, token: str | None) -> None:
    if token is not None and len(token) < MIN_TOKEN:
        raise SettingsError(
            "E919",
            "The token is too short",
            expected=f"at least {MIN_TOKEN} characters",
            fix="Make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
            n_characters=len(token),
        )
    try:
        is_own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_own = False
    if token is None and not is_own:
        raise SettingsError(
            "E920",
            "A service that others can reach needs a token",
            expected="--token or TENFOLD_TOKEN, or --host 127.0.0.1",
            host=host,
        )


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(
            "E921",
            "The address is not available",
            where=reason,
            expected="a free port of this machine",
            fix="--port 0 takes any free one",
            host=host,
            port=port,
        ) from error


def work(
    runs: Sequence[Path],
    listener: socket.socket,
    limits: Limits,
    access: AccessPolicy,
    *,
    shares_port: bool = False,
) -> None:
    """Run one process of the service, which has its port alone or shares it with others."""
    if (most := systems.most_connections(shares_port=shares_port)) is not None:
        limits = limits.model_copy(update={"connections": min(limits.connections, most)})
    found = find_runs(runs)
    application = build(found, limits, access, lists_runs=[run.path for run in found] != list(runs))
    gc.freeze()  # what is loaded now stays, and need not be looked through
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=systems.event_loop(shares_port=shares_port)) as runner:
        runner.get_loop()  # made first, so that the server alone handles Ctrl-C
        runner.run(Server(application, listener, runs, shares_port=shares_port).run())
    application.close()
    _leave_stuck_threads()


def _leave_stuck_threads() -> None:
    """End the process even if a thread is still computing for an abandoned request.

    Python waits for its threads when it exits, and a thread cannot be stopped.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    deadline = time.monotonic() + STUCK_SECONDS
    for thread in others:
        if not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() and not thread.daemon for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class Server:
    """Accepts connections until a signal to leave, and checks their deadlines."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        runs: Sequence[Path],
        *,
        shares_port: bool,
    ) -> None:
        self._application = application
        self._watcher = RunWatcher(application, runs)
        self._listener, self._shares_port = listener, shares_port
        self._connections: set[Connection] = set()
        self._leave_at = math.inf

    async def run(self) -> None:
        """Answer requests until a signal to leave, and then those that were accepted before it."""
        loop, made = asyncio.get_running_loop(), self._connections
        new = partial(Connection, self._application, made)
        accepting = await loop.create_server(new, sock=self._listener, backlog=BACKLOG)
        with self._signals():
            self._application.open()
            watching = loop.create_task(self._watcher.watch())
            while time.monotonic() < self._leave_at:
                await self._tick()
            watching.cancel()
            if not self._shares_port or all_leave.is_set():
                systems.ignore_connections(self._listener)
            await asyncio.sleep(LAST_SECONDS)
            accepting.close()
            for connection in list(made):
                connection.shutdown()
            until = time.monotonic() + self._application.admission.limits.drain_seconds
            while made and time.monotonic() < until:
                await self._tick(0.02)
            for connection in list(made):
                connection.abort()
            await asyncio.sleep(0)

    async def _tick(self, seconds: float = TICK_SECONDS) -> None:
        await asyncio.sleep(seconds)
        self._application.tick()
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            connection.check(now)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = systems.leaving_signals()
        before = {number: signal.signal(number, self._leave) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        """Become not ready, and later accept no new connections; a second signal exits at once.

        A signal within the same second does not count: systemd signals every process of a group,
        and so does the supervisor.
        """
        if self._application.state.leaving:
            if time.monotonic() > self._leave_at + NOTICE_SECONDS:
                os._exit(1)
            return
        self._application.state.leaving = True
        self._leave_at = time.monotonic() + NOTICE_SECONDS
