"""What is written down about requests: a line of JSON each, with nothing that a sender chose."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex

from tenfold.core.systems import takes_more

METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"})

PIPE_BYTES = 4096
"""What a pipe that can be written to takes at once (POSIX's `PIPE_BUF`, on Linux)."""


@dataclass(eq=False)
class RequestRecord:
    """What is known of a request: `items` are pictures or rows that were answered.

    `fault` is the kind of exception, where the service or its model failed.
    """

    request_id: str
    method: str
    route: str = "other"
    status: int = 0
    items: int = 0
    fault: str = ""
    start: float = field(default_factory=time.perf_counter)

    def line(self, seconds: float) -> str:
        method = self.method if self.method in METHODS else "other"
        fault = f', "fault": "{self.fault}"' if self.fault else ""
        return (
            f'{{"time": {time.time():.3f}, "id": "{self.request_id}", "method": "{method}", '
            f'"route": "{self.route}", "status": {self.status}, "items": {self.items}, '
            f'"ms": {1e3 * seconds:.2f}{fault}}}\n'
        )


class AccessLog:
    """Lines of JSON on standard error: a tenth of a second of them in one write.

    Whoever reads them may stop reading: lines that standard error does not take are dropped, and
    counted in a later line, for waiting would stop the service.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._refused: Counter[int] = Counter()
        self._n_dropped = 0
        self._prefix = token_hex(4)
        self._numbers = count(1)

    def next_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers):x}"

    def write(self, line: str) -> None:
        self._schedule()
        self._lines.append(line)

    def refused(self, status: int) -> None:
        """Count a request that was refused before it was read: many of them share a line."""
        self._schedule()
        self._refused[status] += 1

    def _schedule(self) -> None:
        if not self._lines and not self._refused:
            asyncio.get_running_loop().call_later(0.1, self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        for status, n in self._refused.items():
            lines.append(f'{{"time": {time.time():.3f}, "refused": {n}, "status": {status}}}\n')
        self._refused.clear()
        lines.reverse()
        if self._n_dropped and takes_more(sys.stderr):
            lines.append(f'{{"time": {time.time():.3f}, "dropped": {self._n_dropped}}}\n')
            self._n_dropped = 0
        while lines and takes_more(sys.stderr):
            part = lines.pop()
            while lines and len(part) + len(lines[-1]) <= PIPE_BYTES:
                part += lines.pop()
            sys.stderr.write(part)
            sys.stderr.flush()
        self._n_dropped += len(lines)
