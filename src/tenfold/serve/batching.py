"""Batching: requests that are waiting are answered together, each exactly as it would be alone.

The self-test of the model, before the first request, finds out how many rows a batch may have.
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
"""The largest number of rows in a batch."""

ALIGNMENT = 16
"""A batch is filled up to a multiple of this, so that an answer does not depend on other rows.

The last bits of ONNX Runtime's results depend on the number of rows: it multiplies a single row by
another routine, and computes what does not fill a vector register with other functions. Of 2,048
digits, 158 have another probability alone than in a batch of 32, and 5 have another novelty in a
batch of 2. In batches of 4, 8, 16 or 64 there is no difference, at any position (AMD EPYC). 16
numbers fill the widest register (AVX-512).
"""

CHEAP_SECONDS = 0.003
WORTH = 3.0
"""Batches are filled up if 16 rows take less time than this, or than `WORTH` times a single row.
Neither holds for a `cnn`: its rows are answered one by one, which is as fast."""

INLINE_SECONDS = 0.004
"""A model that answers 32 rows in less than this runs in the event loop itself. A thread would cost
more (0.45 ms of processor time for each request instead of 0.2, measured), and refusals of other
requests do not wait long."""

Outcome = Prediction | Value | Exception
"""It is an exception if the model failed on this item, or if its answer is not a number."""


@dataclass(frozen=True)
class BatchProfile:
    """How a model is asked: batches are filled up to a multiple of `alignment` rows.

    With an alignment of 0 each row is answered by itself. `seconds` is the time that 32 rows take.
    """

    alignment: int
    seconds: float


def profile_model(run: Run) -> BatchProfile:
    """The profile of a run's model, which must answer the run's examples with finite numbers."""
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
    """The seconds that an answer takes: the least of three, as other programs only add time."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        run.model.answer(rows)
        found.append(time.perf_counter() - start)
    return min(found)


def _is_alike(run: Run, rows: Any, whole: Sequence[Any], first: int) -> bool:
    """Whether the 16 rows from `first` on get the same answers alone as in the batch of 32."""
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
    """Answers the requests for one model in batches; `waiting` is the number of rows in the queue.

    A batch consists of the rows that are waiting when the model is free, at most 32. No request
    waits for others to arrive.
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
            for part in parts:  # an abandoned request is not computed
                part.answered.cancel()

    def _next(self) -> None:
        """Take the next batch from the queue; called when the model is free."""
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
        except Exception as error:  # such as too little memory; later requests are still answered
            return [error] * sum(map(len, parts))
        if self._profile.alignment:
            try:
                return self._filled(rows)
            except Exception:
                pass  # one row is at fault: each is asked alone, so that the others are answered
        return [self._alone(rows[i : i + 1]) for i in range(len(rows))]

    def _filled(self, rows: Any) -> list[Outcome]:
        """The answers to a batch, which is filled up with its last row to the alignment."""
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
