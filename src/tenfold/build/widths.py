"""How wide the interval of each row is: wider where answers of held-out rows were further off.

A forest learns how far answers are off, from errors of rows that no one fitted to, and the width of
an interval is so many times what it expects of the row: split conformal prediction of normalised
residuals (Lei et al. 2018, section 5.2), with out-of-bag trees in place of another set of rows
(Johansson et al. 2014, doi:10.1007/s10994-014-5453-0). Test rows never come here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.conformal import FEWEST_FOR_WIDTHS, conformal_half_width

MAX_ROWS, MAX_COLUMNS = 20_000, 1_000
"""Rows whose errors are looked at, and columns of the features that a forest is asked to know, at
most; of more columns the width is the same for all rows."""

N_TREES, DRAWN, LEAVES, SMALLEST_LEAF = 50, 5_000, 40, 15
"""Trees, rows that each draws at most, and its leaves: some 40 of at least 15 rows. Leaves are
large because the error of a row says little of what to expect."""

FLOOR = 0.05
"""The least that is expected of a row, as a share of the mean error."""

WORTH = 0.98
"""Widths follow the row where the mean one is at most this share of the constant width."""


@dataclass(frozen=True, eq=False)
class RowWidths:
    """Half the width of a row's interval: what the forest expects, from the features and the answer
    behind them (n, d + 1), and `floor` more, times `factor`; all in the unit of the answers."""

    forest: Any
    floor: float
    factor: float

    def half_widths(self, x: NDArray[Any], answers: NDArray[np.float32]) -> NDArray[np.float64]:
        """Half the width of the interval of each row (n,), from features (n, d), answers (n,)."""
        expected = self.forest.predict(_columns(x, answers))
        return np.asarray(self.factor * (expected + self.floor))


def fit_widths(
    x: NDArray[Any], y: NDArray[Any], answers: NDArray[np.float32], seed: int
) -> RowWidths | None:
    """Widths that follow the row, or None: where there are too few rows or too many columns, or
    where they would not be narrower than a constant one.

    Args:
      x: Features (n, d) of rows that nobody fitted to, each independent of the others.
      y: What is true of them (n,).
      answers: What the learner answers (n,), in the same unit.
      seed: Decides which rows each tree draws.
    """
    from sklearn.ensemble import RandomForestRegressor

    if x.shape[1] > MAX_COLUMNS or len(y) < FEWEST_FOR_WIDTHS:
        return None
    few = np.linspace(0, len(y) - 1, min(len(y), MAX_ROWS)).astype(np.int64)
    errors = np.abs(y[few].astype(np.float64) - answers[few])
    if not errors.any():
        return None
    n_drawn = min(len(few), DRAWN)
    forest = RandomForestRegressor(
        N_TREES,
        min_samples_leaf=max(SMALLEST_LEAF, n_drawn // LEAVES),
        max_features=0.5,
        max_samples=n_drawn if n_drawn < len(few) else None,
        oob_score=True,
        random_state=seed,
    ).fit(_columns(x[few], answers[few]), errors)
    # What trees that did not draw a row expect of it: as of a new one.
    floor = FLOOR * float(errors.mean())
    expected = forest.oob_prediction_ + floor
    factor = conformal_half_width(errors / expected, np.zeros(len(few)))
    constant = conformal_half_width(errors, np.zeros(len(few)))
    if factor * expected.mean() > WORTH * constant:
        return None
    return RowWidths(forest, floor, factor)


def _columns(x: NDArray[Any], answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features and answers as the forest takes them: cells may be missing, but none is infinite."""
    most = np.finfo(np.float32).max
    return np.clip(np.column_stack([x, answers]).astype(np.float32), -most, most)
