"""What a model is like to ask, found out before the first request: its self-test."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.core.contract import FeaturesInput, ImageInput
from tenfold.core.errors import ModelError
from tenfold.data.from_table import with_earlier_values
from tenfold.inputs.tables.columns import Table, read_rows
from tenfold.model.model import read_cells
from tenfold.model.predictions import Answers, Estimates
from tenfold.runs.csv_files import EXAMPLE_ROWS
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
    rows = _rows(run)
    model = run.model
    whole = _numbers(model.answer(rows))
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


def _is_alike(run: Run, rows: Any, whole: list[Any], first: int) -> bool:
    """Whether 16 rows from the first one on have the answers that they have among 32."""
    part = _numbers(run.model.answer(rows[first : first + ALIGNMENT]))
    return all(
        np.array_equal(some, every[first : first + ALIGNMENT], equal_nan=True)
        for some, every in zip(part, whole, strict=True)
    )


def _numbers(answers: Answers) -> list[Any]:
    if isinstance(answers, Estimates):
        return [answers.value, answers.low, answers.high]
    return [answers.probabilities] + ([] if answers.novelty is None else [answers.novelty])


def _rows(run: Run) -> Any:
    """32 rows to try: noise for pictures and features, a table's stored examples in turn."""
    accepted, rng = run.model.contract.input, np.random.default_rng(0)
    if isinstance(accepted, ImageInput):
        return rng.integers(0, 256, (BATCH, *accepted.shape), np.uint8)
    if isinstance(accepted, FeaturesInput):
        return rng.normal(size=(BATCH, *accepted.shape))
    cells, _ = with_earlier_values(read_cells(run.path / EXAMPLE_ROWS, accepted.names), accepted)
    table: Table = read_rows(cells, accepted)[0]
    return table[np.arange(BATCH) % len(table)]
