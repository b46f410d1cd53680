"""What a model is like to ask, found out before the first request: its self-test."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.core.errors import ModelError
from tenfold.runs.csv_files import example_inputs
from tenfold.runs.record import Run

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


@dataclass(frozen=True)
class BatchProfile:
    """Of a model.

    Attributes:
      alignment: What batches are filled up to a multiple of; 0: every row is asked alone.
      seconds: What 32 rows take.
    """

    alignment: int
    seconds: float


def profile_model(run: Run) -> BatchProfile:
    """Ask a run's model once with few rows and many.

    Raises:
      ModelError: It gives no finite answer to any row.
    """
    model = run.model
    rows = model.reader.sample(BATCH, example_inputs(run.path))
    whole = model.answer(rows).outputs
    if not np.isfinite(whole[0]).all():
        raise ModelError("E918", "The model gives no numbers", where=run.path)
    single, some, many = (_seconds(run, rows[:n]) for n in (1, ALIGNMENT, BATCH))
    is_worth = some < CHEAP_SECONDS or some < WORTH * single
    if is_worth and all(_is_alike(run, rows, whole, first) for first in (0, 5, 16)):
        return BatchProfile(ALIGNMENT, many)
    return BatchProfile(0, BATCH * single)


def _seconds(run: Run, rows: Any) -> float:
    start = time.perf_counter()
    run.model.answer(rows)
    return time.perf_counter() - start


def _is_alike(run: Run, rows: Any, whole: Sequence[Any], first: int) -> bool:
    """Whether 16 rows from the first one on have the answers that they have among 32."""
    part = run.model.answer(rows[first : first + ALIGNMENT]).outputs
    return all(
        np.array_equal(some, every[first : first + ALIGNMENT], equal_nan=True)
        for some, every in zip(part, whole, strict=True)
    )
