"""Requests that wait are answered together, and each gets what it would have got alone.

How many together is found out before the first request: by the self-test of the model.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tenfold.core.errors import ModelError
from tenfold.inputs.tables.columns import concatenate
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Prediction, Value
from tenfold.model.readers import Rows
from tenfold.runs.csv_files import example_inputs
from tenfold.runs.record import Run
from tenfold.serve.metrics import Histogram

BATCH = 32
"""Rows that are answered together, at most."""

ALIGNMENT = 16
"""Rows to whose multiple a batch is filled up, so that a row's answer is the same in any company.

ONNX Runtime rounds a row's last bits by the number of rows: a single one takes another product, and
what does not fill a vector register other functions. Of 2,048 digits 158 have another probability
alone than among 32, 5 another novelty among 2, none among 4, 8, 16 or 64, at any place (AMD EPYC).
16 numbers fill the widest register (AVX-512).
"""

CHEAP_SECONDS = 0.003
WORTH = 3.0
"""Batches are filled where 16 rows take no more than this, or than so many times a single one. A
`cnn` is neither: its rows are asked one by one, which is as quick."""

INLINE_SECONDS = 0.004
"""A model whose batch of 32 is quicker is asked where the requests arrive: a thread costs more than
that (0.45 ms of processor time a request against 0.2, measured), and no refusal waits for long."""

Outcome = Prediction | Value | Exception
"""An exception: the model failed on this item, or its answer is no number."""


@dataclass(frozen=True)
class BatchProfile:
    """What batches of a model are filled up to a multiple of, and the seconds that 32 rows take.

    With an alignment of 0 every row is asked alone.
    """

    alignment: int
    seconds: float


def profile_model(run: Run) -> BatchProfile:
    """Ask a run's model once with few rows and many; it must give finite numbers."""
    model = run.model
    rows = model.reader.sample(BATCH, example_inputs(run.path))
    whole = model.answer(rows).outputs
    if not np.isfinite(whole[0]).all():
        raise ModelError("E918", "The model did not return numbers", where=run.path)
    single, some, many = (_seconds(run, rows[:n]) for n in (1, ALIGNMENT, BATCH))
    is_worth = some < CHEAP_SECONDS or some < WORTH * single
    if is_worth and all(_is_alike(run, rows, whole, first) for first in (0, 5, 16)):
        return BatchProfile(ALIGNMENT, many)
    return BatchProfile(0, BATCH * single)


def _seconds(run: Run, rows: Any) -> float:
    """How long an answer takes: the least of three, for other programs only add to it."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        run.model.answer(rows)
        found.append(time.perf_counter() - start)
    return min(found)


def _is_alike(run: Run, rows: Any, whole: Sequence[Any], first: int) -> bool:
    """Whether 16 rows from the first one on have the answers that they have among 32."""
    part = run.model.answer(rows[first : first + ALIGNMENT]).outputs
    return all(
        np.array_equal(some, every[first : first + ALIGNMENT], equal_nan=True)
        for some, every in zip(part, whole, strict=True)
    )


@dataclass(eq=False)
class _Waiting:
    rows: Rows
    answered: asyncio.Future[list[Outcome]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher:
    """One model, asked by many; `waiting` counts the rows in the queue.

    A batch is what waits when the model is free, at most 32 rows: nobody waits for company.
    """

    def __init__(self, model: Model, profile: BatchProfile, sizes: Histogram) -> None:
        self._model = model
        self._profile = profile
        self._sizes = sizes
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._busy = False
        self.waiting = 0

    async def answer(self, rows: Rows) -> list[Outcome]:
        parts = [_Waiting(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        self._queue.extend(parts)
        self.waiting += len(rows)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._next)
        try:
            return [outcome for part in parts for outcome in await part.answered]
        finally:
            for part in parts:  # whoever gave up is not to be computed for
                part.answered.cancel()

    def _next(self) -> None:
        """Take what waits; called when the model is free."""
        batch: list[_Waiting] = []
        n = 0
        while self._queue and n + len(self._queue[0].rows) <= BATCH:
            part = self._queue.popleft()
            self.waiting -= len(part.rows)
            if not part.answered.cancelled():
                batch.append(part)
                n += len(part.rows)
        if not batch:
            self._busy = False
            return
        self._sizes.add(n)
        loop, parts = asyncio.get_running_loop(), [part.rows for part in batch]
        if self._profile.seconds < INLINE_SECONDS:
            self._deliver(batch, self._answered(parts))
            loop.call_soon(self._next)
            return
        done = loop.run_in_executor(self._thread, self._answered, parts)
        done.add_done_callback(lambda ended: self._deliver(batch, ended.result()))
        done.add_done_callback(lambda _: self._next())

    def _deliver(self, batch: Sequence[_Waiting], outcomes: list[Outcome]) -> None:
        for part in batch:
            of_part, outcomes = outcomes[: len(part.rows)], outcomes[len(part.rows) :]
            if not part.answered.cancelled():
                part.answered.set_result(of_part)

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def _answered(self, parts: Sequence[Rows]) -> list[Outcome]:
        try:
            rows = concatenate(parts)
        except Exception as error:  # for want of memory, say; the next ones are to be answered
            return [error] * sum(map(len, parts))
        if self._profile.alignment:
            try:
                return self._filled(rows)
            except Exception:
                pass  # of one of them, and none of the others is to know: each is asked alone
        return [self._alone(rows[i : i + 1]) for i in range(len(rows))]

    def _filled(self, rows: Any) -> list[Outcome]:
        """Answers of a batch, filled up with its last row so that all have the same arithmetic."""
        n = len(rows)
        if lacking := -n % (self._profile.alignment or 1):
            rows = rows[np.minimum(np.arange(n + lacking), n - 1)]
        return _checked(self._model.answer(rows), n)

    def _alone(self, row: Any) -> Outcome:
        try:
            return self._filled(row)[0]
        except Exception as error:
            return error


def _checked(answers: Answers, n: int) -> list[Outcome]:
    good: Any = np.isfinite(answers.outputs[0]).reshape(len(answers), -1).all(axis=1)
    none = ModelError("E969", "The model did not return a number for this input")
    return [answers[i] if good[i] else none for i in range(n)]
