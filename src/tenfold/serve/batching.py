"""Requests that wait are answered together, and each gets what it would have got alone."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tenfold.columns import Table
from tenfold.model import Answers, Estimate, Model, Prediction, Predictions
from tenfold.serve.metrics import Histogram
from tenfold.serve.questions import Rows

MAX_BATCH = 32

Outcome = Prediction | Estimate | None
"""None: the model could not answer this item."""


@dataclass(eq=False)
class _Waiting:
    rows: Rows
    answered: asyncio.Future[list[Outcome]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher:
    """One model, asked by many.

    A batch is what waits when the model is free, at most 32 rows: nobody waits for company.

    Attributes:
      waiting: Rows in the queue.
    """

    def __init__(self, model: Model, sizes: Histogram) -> None:
        self._model = model
        self._sizes = sizes
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._busy = False
        self.waiting = 0

    async def answer(self, rows: Rows) -> list[Outcome]:
        """The answers to some rows, in order."""
        parts = [
            _Waiting(rows[start : start + MAX_BATCH]) for start in range(0, len(rows), MAX_BATCH)
        ]
        self._queue.extend(parts)
        self.waiting += len(rows)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._next)
        return [one for part in parts for one in await part.answered]

    def _next(self) -> None:
        """Take what waits; called when the model is free."""
        batch: list[_Waiting] = []
        n = 0
        while self._queue and n + len(self._queue[0].rows) <= MAX_BATCH:
            part = self._queue.popleft()
            self.waiting -= len(part.rows)
            if not part.answered.cancelled():
                batch.append(part)
                n += len(part.rows)
        if not batch:
            self._busy = False
            return
        self._sizes.add(n)
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._thread, self._answered, [part.rows for part in batch])
        done.add_done_callback(lambda found: self._deliver(batch, found.result()))

    def _deliver(self, batch: Sequence[_Waiting], found: list[Outcome]) -> None:
        for part in batch:
            mine, found = found[: len(part.rows)], found[len(part.rows) :]
            if not part.answered.cancelled():
                part.answered.set_result(mine)
        self._next()

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False)

    def _answered(self, parts: Sequence[Rows]) -> list[Outcome]:
        rows = joined(parts)
        try:
            return _checked(self._model.answer(rows))
        except Exception:  # one of them: each is asked alone
            return [self._alone(rows[i : i + 1]) for i in range(len(rows))]

    def _alone(self, row: Rows) -> Outcome:
        try:
            return _checked(self._model.answer(row))[0]
        except Exception:  # whatever the runtime says about a row, it is this row's
            return None


def _checked(answers: Answers) -> list[Outcome]:
    numbers = answers.probabilities if isinstance(answers, Predictions) else answers.value[:, None]
    good = np.isfinite(numbers).all(axis=1)
    return [answers[i] if good[i] else None for i in range(len(answers))]


def joined(parts: Sequence[Rows]) -> Any:
    """Rows of several requests as one array or table."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Table):
        tables = [part.columns for part in parts if isinstance(part, Table)]
        return Table({name: np.concatenate([t[name] for t in tables]) for name in tables[0]})
    return np.concatenate(parts)
