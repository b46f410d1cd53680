"""Drift: whether the columns of recent rows still have the distribution of the training rows."""

from collections import deque
from threading import Lock

from tenfold.evaluation.unlike import MIN_ROWS, shifts
from tenfold.inputs.tables.columns import concatenate
from tenfold.model.readers import Rows
from tenfold.runs.record import Run

RECENT = 1_000
"""The number of newest rows that are compared."""


class Drift:
    """Keeps the newest rows of a table that a run was asked about, in memory alone."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = Lock()  # requests arrive in the event loop, and metrics are read in a thread
        self._parts: deque[Rows] = deque()
        self._n = 0

    def add(self, rows: Rows) -> None:
        """Keep these rows, and release the oldest ones beyond `RECENT`."""
        with self._lock:
            self._parts.append(rows)
            self._n += len(rows)
            while self._n - len(self._parts[0]) >= RECENT:
                self._n -= len(self._parts.popleft())

    def p_values(self) -> dict[str, float]:
        """The p value of each column, as `evaluation.unlike.shifts` defines it; empty with fewer
        than 30 rows."""
        with self._lock:
            parts, n = list(self._parts), self._n
        if n < MIN_ROWS:
            return {}
        return shifts(self._run.model, self._run.path, concatenate(parts))
