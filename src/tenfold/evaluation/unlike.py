"""How a new batch of rows differs from the training rows: novel rows, shifted columns."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.records import BACKGROUND
from tenfold.core.text import percent, shorten
from tenfold.evaluation.checks import difference_p, some_rows
from tenfold.evaluation.multiple import holm
from tenfold.inputs.tables.columns import Table
from tenfold.model.background import read_background
from tenfold.model.model import Model
from tenfold.model.predictions import Answers

MIN_ROWS, COMPARED, LEVEL = 30, 5_000, 0.01
"""Minimum number of rows on both sides; maximum number of new rows; and the p value, after Holm's
correction, below which a column counts as different."""


class Unlike(NamedTuple):
    """A way in which rows differ from the training rows: its name, and a sentence."""

    name: str
    text: str


@files.os_errors()
def unlike_file(path: Path, model: Model, source: Path, answers: Answers) -> list[Unlike]:
    """Describe a file, with its answers, that was predicted with a run folder or a `model.onnx`.

    Fewer than 30 rows are not compared. Without the training rows that a run folder keeps beside
    its model, only novel rows are counted.
    """
    if not _can_compare(model, answers):
        return []
    folder = path if path.is_dir() else path.parent
    return list(unlike_rows(model, folder, model.reader.read(source).rows, answers))


def unlike_rows(
    model: Model, folder: Path, x: Table, answers: Answers, groups: NDArray[np.int64] | None = None
) -> Iterator[Unlike]:
    """Describe how rows of a table, with their answers, differ from the training rows.

    Only clear differences are found, because the run folder keeps 100 training rows (`shifts`).
    If rows are in `groups` (n,), one row of each is compared.
    """
    if not _can_compare(model, answers):
        return
    threshold = model.contract.novelty_threshold
    if model.labels and threshold is not None:
        n_novel = int((answers.outputs[1] > threshold).sum())
        share = percent(n_novel / len(answers))
        text = f"{n_novel:,} of {len(answers):,} rows ({share}) are unlike the training rows"
        yield Unlike("novel", text)
    compared = x[some_rows(np.arange(len(answers)), groups, COMPARED)]
    found = shifts(model, folder, compared, is_independent=groups is not None)
    differ = [f"{name} (p {p:.1g})" for name, p in found.items() if p < LEVEL]
    if differ:
        text = f"columns with another distribution than in training: {shorten(differ)}"
        yield Unlike("shifted columns", text)


def shifts(
    model: Model, folder: Path, x: Table, *, is_independent: bool = False
) -> dict[str, float]:
    """Test whether the columns of some rows have another distribution than in training.

    Each column except texts is compared with the 100 training rows that the run folder keeps.

    Args:
      model: The model.
      folder: Its run folder.
      x: The rows.
      is_independent: Whether they are of different groups, if the model was trained on groups. Rows
        whose groups are unknown are not compared. Rows of one group resemble each other, so that
        their distribution always seems to be different.

    Returns:
      The p value of each column after Holm's correction. Empty with fewer than 30 rows on a side.
    """
    accepted = model.contract.input
    if accepted.kind != "table" or (accepted.group is not None and not is_independent):
        return {}
    kept = read_background(folder / BACKGROUND)
    if kept is None or min(len(kept), len(x)) < MIN_ROWS:
        return {}
    known = model.reader.read(kept).rows
    has_scipy = find_spec("scipy") is not None  # tenfold-slim has no SciPy, so it skips categories
    compared = [
        column.name
        for column in accepted.columns
        if column.kind != "text" and (has_scipy or known.columns[column.name].dtype != object)
    ]
    p_values = [difference_p(known.columns[name], x.columns[name]) for name in compared]
    return dict(zip(compared, holm(p_values), strict=True))


def _can_compare(model: Model, answers: Answers) -> bool:
    """Whether these rows can be compared: enough rows of a table. Rows in the order of time cannot,
    because they always differ."""
    accepted = model.contract.input
    return accepted.kind == "table" and accepted.order is None and len(answers) >= MIN_ROWS
