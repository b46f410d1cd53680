"""What a model is like to ask, found out before the first request: its self-test."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.columns import Table, read_rows
from tenfold.contract import FeaturesInput, ImageInput
from tenfold.errors import ModelError, message
from tenfold.model import Answers, Estimates, read_cells
from tenfold.runs import EXAMPLE_ROWS, Run
from tenfold.tabular import with_earlier_values

BATCH = 32
"""Rows that are answered together, at most."""

GRAINS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Nature:
    """Of a model.

    Attributes:
      grain: Batches are filled up to a multiple of this, so that a row's answer does not depend on
        its company; 0: no such number was found, and every row is asked alone.
      seconds: What a batch of 32 takes.
    """

    grain: int
    seconds: float


def find_nature(run: Run) -> Nature:
    """Ask a run's model in batches of many sizes.

    The products of a single row take another way through ONNX Runtime than those of two, and round
    differently in the last bit; with AMD EPYC an odd number of rows does, an even one does not.

    Raises:
      ModelError: It gives no finite answer to any row.
    """
    rows = _rows(run)
    model = run.model
    whole = _numbers(model.answer(rows))
    start = time.perf_counter()
    model.answer(rows)
    seconds = time.perf_counter() - start
    if not np.isfinite(whole[0]).all():
        raise ModelError(message("The model gives no numbers", where=run.path))
    for grain in GRAINS:
        sizes = [size for size in (grain, 2 * grain, 3 * grain, 5 * grain) if size <= BATCH]
        if all(_is_alike(run, rows, whole, size) for size in sizes):
            return Nature(grain, seconds)
    return Nature(0, seconds)


def _is_alike(run: Run, rows: Any, whole: list[Any], size: int) -> bool:
    """Whether rows in batches of a size have the answers that they have in one of 32."""
    for start in range(0, BATCH - size + 1, size):
        part = _numbers(run.model.answer(rows[start : start + size]))
        for some, every in zip(part, whole, strict=True):
            if not np.array_equal(some, every[start : start + size], equal_nan=True):
                return False
    return True


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
