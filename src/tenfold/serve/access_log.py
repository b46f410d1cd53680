"""The access log: one line of JSON for each request, with nothing in it that a client chose."""

import asyncio
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from secrets import token_hex

from tenfold.core.systems import takes_more
from tenfold.serve.messages import Request

METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"})

PIPE_BYTES = 4096
"""The bytes that a writable pipe accepts at once (POSIX's `PIPE_BUF`, on Linux)."""


class AccessLog:
    """Writes lines of JSON to standard error, those of a tenth of a second together.

    Waiting for a reader that has stopped would stop the service. Lines that standard error does not
    accept are therefore dropped, and a later line says how many.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._refused: Counter[int] = Counter()
        self._n_dropped = 0
        self._prefix = token_hex(4)
        self._numbers = count(1)

    def next_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers):x}"

    def write(self, request: Request, number: str, status: int, seconds: float) -> None:
        self._schedule()
        method = request.method if request.method in METHODS else "other"
        fault = f', "fault": "{request.fault}"' if request.fault else ""
        self._lines.append(
            f'{{"time": "{_now()}", "id": "{number}", "method": "{method}", '
            f'"route": {json.dumps(request.route)}, "status": {status}, "items": {request.items}, '
            f'"ms": {1e3 * seconds:.2f}{fault}}}\n'
        )

    def event(self, **facts: str) -> None:
        """Log an event that no request caused."""
        self._schedule()
        self._lines.append(json.dumps({"time": _now(), **facts}) + "\n")

    def refused(self, status: int) -> None:
        """Count a request that was refused before it was read; many of these share one line."""
        self._schedule()
        self._refused[status] += 1

    def _schedule(self) -> None:
        if not self._lines and not self._refused:
            asyncio.get_running_loop().call_later(0.1, self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        for status, n in self._refused.items():
            lines.append(f'{{"time": "{_now()}", "refused": {n}, "status": {status}}}\n')
        self._refused.clear()
        lines.reverse()
        if self._n_dropped and takes_more(sys.stderr):
            lines.append(f'{{"time": "{_now()}", "dropped": {self._n_dropped}}}\n')
            self._n_dropped = 0
        while lines and takes_more(sys.stderr):
            part = lines.pop()
            while lines and len(part) + len(lines[-1]) <= PIPE_BYTES:
                part += lines.pop()
            sys.stderr.write(part)
            sys.stderr.flush()
        self._n_dropped += len(lines)


def _now() -> str:
    """The time in UTC, such as 2026-03-01T09:30:00.125+00:00 (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
