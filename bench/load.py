"""An open-loop load generator for HTTP/1.1: requests leave when they are due, whatever comes back.

A latency runs from the intended send time: a server that stalls is charged for all who had to wait
(Gil Tene's "coordinated omission", as in wrk2).
"""

import argparse
import asyncio
import json
import os
import random
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
CLOSE = re.compile(rb"\r\nconnection: *close", re.I)
LABEL = re.compile(rb'"label": ?"([^"]*)"')


class Sent:
    """A request: its bytes, and the label that is the right answer."""

    def __init__(self, content: bytes, label: bytes) -> None:
        self.content = content
        self.label = label


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._answer = b""
        self.due = 0.0
        self.sent: Sent | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, due: float, sent: Sent) -> None:
        """Send a request."""
        assert self._transport
        self.due, self.sent, self._answer = due, sent, b""
        self._transport.write(sent.content)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._answer[:end]
        length = LENGTH.search(head)
        if length is None or len(self._answer) < end + 4 + int(length[1]):
            return
        sent, self.sent = self.sent, None
        assert sent and self._transport
        status = int(head[9:12])
        right = True
        if status == 200:
            label = LABEL.search(self._answer, end)
            right = label is not None and label[1] == sent.label
        self._load.answered(status, time.perf_counter() - self.due, right)
        if CLOSE.search(head):
            self._transport.close()
        else:
            self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.sent is not None:
            self._load.answered(0, time.perf_counter() - self.due, True)
        self._load.lost(self)


class Load:
    """Requests at a rate, for some seconds."""

    def __init__(self, host: str, port: int, requests: Sequence[Sent], most: int) -> None:
        self._address = host, port
        self._requests = requests
        self._most = most
        self._idle: list[Connection] = []
        self._open = 0
        self._opening = 0
        self._late: deque[tuple[float, Sent]] = deque()
        self.seen: list[tuple[int, float, bool]] = []

    async def run(self, rate: float, seconds: float, is_poisson: bool) -> None:
        """Send, then wait until everything is answered, two seconds at most."""
        await asyncio.gather(*(self._connect() for _ in range(min(64, self._most))))
        start = time.perf_counter() + 0.05
        due = _times(rate, is_poisson)
        next_due, n = start + next(due), 0
        while next_due < start + seconds:
            now = time.perf_counter()
            while next_due <= now:
                self._send(next_due, self._requests[n % len(self._requests)])
                n += 1
                next_due = start + next(due)
            await asyncio.sleep(max(0.0, min(0.001, next_due - time.perf_counter())))
        until = time.perf_counter() + 2
        while len(self.seen) < n and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        self.seen += [(-1, 2.0, True)] * (n - len(self.seen))

    def _send(self, due: float, sent: Sent) -> None:
        if self._idle:
            self._idle.pop().ask(due, sent)
            return
        self._late.append((due, sent))
        if self._open + self._opening < self._most:
            self._opening += 1
            task = asyncio.get_running_loop().create_task(self._connect(reserved=True))
            task.add_done_callback(lambda done: done.exception())

    async def _connect(self, reserved: bool = False) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: Connection(self), *self._address)
        finally:
            self._opening -= reserved
        self._open += 1
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """A connection can be used again."""
        if self._late:
            connection.ask(*self._late.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def answered(self, status: int, latency: float, right: bool) -> None:
        """Note an answer: status 0 is a connection lost with a request under way."""
        self.seen.append((status, latency, right))


def _times(rate: float, is_poisson: bool) -> Iterator[float]:
    at, chance = 0.0, random.Random(0)
    while True:
        yield at
        at += chance.expovariate(rate) if is_poisson else 1 / rate


def summary(seen: Sequence[tuple[int, float, bool]], seconds: float) -> dict[str, Any]:
    """Figures of a load: rates a second, latencies in ms."""
    found: dict[str, Any] = {
        "offered": len(seen) / seconds,
        "status": {str(code): n for code, n in sorted(Counter(s for s, _, _ in seen).items())},
        "wrong": sum(not right for _, _, right in seen),
    }
    for name, codes in (("answered", (200,)), ("refused", (429, 503))):
        times = np.array([latency for status, latency, _ in seen if status in codes])
        found[name] = {"rate": len(times) / seconds}
        if len(times):
            marks = np.percentile(times, [50, 99, 100]) * 1e3
            found[name] |= dict(zip(("p50", "p99", "max"), marks.round(2).tolist(), strict=True))
    return found


def main() -> None:
    """Read requests from a file, offer them, print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path, help="JSON: [[path, type, body in latin-1, label]]")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--poisson", action="store_true")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--core", type=int, default=None)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    requests = [
        Sent(request_bytes(path, kind, body.encode("latin-1")), label.encode())
        for path, kind, body, label in json.loads(options.requests.read_text())
    ]
    load = Load("127.0.0.1", options.port, requests, options.connections)
    uvloop.run(load.run(options.rate, options.seconds, options.poisson))
    json.dump(summary(load.seen, options.seconds), sys.stdout)


def request_bytes(path: str, content_type: str, body: bytes) -> bytes:
    """A POST as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()
