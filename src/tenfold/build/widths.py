"""Prediction intervals whose width depends on the row: they are wider where held-out rows had
larger errors.

A random forest learns the absolute error of a prediction from rows that were not used for fitting.
The width of a row's interval is a constant factor times the error that the forest expects: split
conformal prediction with normalised residuals (Lei et al. 2018, section 5.2). Out-of-bag trees take
the place of another calibration set (Johansson et al. 2014, doi:10.1007/s10994-014-5453-0). No test
rows are used.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.conformal import FEWEST_FOR_WIDTHS, conformal_half_width

MAX_ROWS, MAX_COLUMNS = 20_000, 1_000
"""Maximum number of rows whose errors are used, and maximum number of features. With more features
all intervals have the same width."""

N_TREES, DRAWN, LEAVES, SMALLEST_LEAF = 50, 5_000, 40, 15
"""Number of trees, maximum number of rows that each draws, and approximate number and minimum size
of its leaves. Leaves are large because the error of a single row is mostly noise."""

FLOOR = 0.05
"""Added to the expected error of each row, as a share of the mean error, so that no interval
has a width near zero."""

WORTH = 0.98
"""Widths that depend on the row are used if their mean is at most this share of the constant
width."""


@dataclass(frozen=True, eq=False)
class RowWidths:
    """Half the width of a row's interval: the error that the forest expects, plus `floor`, times
    `factor`.

    The inputs of the forest are the features and the prediction (n, d + 1). Errors, `floor` and
    widths have the unit of the target.
    """

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
    """Fit widths that depend on the row.

    Args:
      x: Features (n, d) of independent rows that were not used for fitting.
      y: Their true values (n,).
      answers: The predictions of the learner (n,), in the same unit.
      seed: Seed of the rows that each tree draws.

    Returns:
      The widths, or None if there are too few rows or too many features, or if such intervals would
      not be narrower than intervals of one width.
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
    # For the trees that did not draw a row, it is like a new row.
    floor = FLOOR * float(errors.mean())
    expected = forest.oob_prediction_ + floor
    factor = conformal_half_width(errors / expected, np.zeros(len(few)))
    constant = conformal_half_width(errors, np.zeros(len(few)))
    if factor * expected.mean() > WORTH * constant:
        return None
    return RowWidths(forest, floor, factor)


def _columns(x: NDArray[Any], answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inputs of the forest: features and predictions, missing or finite."""
    most = np.finfo(np.float32).max
    return np.clip(np.column_stack([x, answers]).astype(np.float32), -most, most)
