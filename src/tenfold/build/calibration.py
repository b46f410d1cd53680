"""Compute the constants of the graph from validation rows: temperature, interval, thresholds.

Test rows never come here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.build.widths import RowWidths
from tenfold.core.errors import DataError
from tenfold.core.text import shorten
from tenfold.learners.classical import loss_of

SMALLEST = 1e-7
"""Probabilities are raised to at least this before their logarithm is taken."""

LEAST_GAIN = 1e-4
"""Minimum improvement of the log loss. With less, no temperature is added to the graph."""

MIN_ROWS = 50
"""With fewer rows, a temperature would be fitted to chance."""

MIN_OF_EACH = 5
"""With fewer positive or negative rows, a threshold would be chosen by chance."""


@dataclass(frozen=True)
class Constants:
    """What calibration adds to a graph. The defaults change nothing.

    Attributes:
      temperature: Log-probabilities are divided by it. Above 1 it makes predictions less confident.
      label_factors: Factors for each label's probability before that, (n_labels,); empty means 1.
      set_thresholds: The probability at or above which each label is in a prediction set,
        (n_labels,). If it is empty, there are no sets.
      target_mean, target_scale: Mean and standard deviation of the target in its unit, by which the
        learner's targets are standardised.
      half_width: Half the width of the interval of a value, in the target's unit. It is infinite if
        there are too few rows to calibrate it.
      widths: If the width depends on the row, these replace `half_width`, in standardised units.
    """

    temperature: float = 1.0
    label_factors: tuple[float, ...] = ()
    set_thresholds: tuple[float, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0
    half_width: float = np.inf
    widths: RowWidths | None = None

    def apply(self, answers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate the learner's output as the end of the graph does: return probabilities (n,
        n_labels) at the temperature, or convert standardised values (n,) to the target's unit."""
        if answers.ndim == 1:
            wide = answers.astype(np.float64) * self.target_scale + self.target_mean
            return wide.astype(np.float32)
        if not self.changes_probabilities:
            return answers
        factors = np.array(self.label_factors or 1.0)
        return at_temperature(answers, self.temperature, factors).astype(np.float32)

    @property
    def changes_probabilities(self) -> bool:
        """Whether the end of the graph changes probabilities."""
        return self.temperature != 1 or bool(self.label_factors)


def at_temperature(
    probabilities: ArrayLike, temperature: float, factors: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """softmax(log(p * factors) / temperature), with p at least 1e-7, float64 (n, n_labels).

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2, on logits; log-probabilities are logits.
    """
    cut = np.clip(np.asarray(probabilities, np.float64), SMALLEST, 1)
    scaled = (np.log(cut) + np.log(np.asarray(factors, np.float64))) / temperature
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def fit_temperature(
    probabilities: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
) -> float:
    """The temperature with the lowest log loss on validation rows, p (n, n_labels) and codes (n,).

    It is between 0.05 and 100, and 1 with fewer than 50 rows, or if no temperature improves the log
    loss by at least 1e-4.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2. The loss is convex in 1/temperature, so
      that as a function of log(temperature) it has one minimum.
    """
    from scipy.optimize import minimize_scalar

    p, codes = np.asarray(probabilities, np.float64), np.asarray(y, np.int64)
    weights = None if weight is None else np.asarray(weight, np.float64)
    check_lengths(probabilities=len(p), y=len(codes))
    if len(codes) < MIN_ROWS:
        return 1.0

    def loss(log_temperature: float) -> float:
        return loss_of(at_temperature(p, float(np.exp(log_temperature))), codes, weights)

    found = minimize_scalar(
        loss, bounds=(np.log(0.05), np.log(100)), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.exp(found.x)) if found.fun < loss(0.0) - LEAST_GAIN else 1.0


def choose_threshold(
    probability_of_positive: ArrayLike,
    is_positive: ArrayLike,
    cost_false_negative: float,
    cost_false_positive: float,
) -> float:
    """The threshold with the lowest cost on validation rows (n,). Probabilities at or above it are
    positive.

    It is halfway between the two predictions it separates. Of several with the same cost it is the
    nearest to `cost_false_positive / (cost_false_positive + cost_false_negative)`, which is optimal
    if the probabilities are calibrated (Elkan 2001, IJCAI). That threshold is also used if fewer
    than 5 rows are positive, or negative, because these are too few to choose from.

    Raises:
      DataError: Lengths differ, or a cost is not positive.
    """
    p, positive = np.asarray(probability_of_positive, np.float64), np.asarray(is_positive, bool)
    check_lengths(probability_of_positive=len(p), is_positive=len(positive))
    if not (cost_false_negative > 0 and cost_false_positive > 0):
        raise DataError(
            "E606",
            "A cost is out of range",
            expected="above 0",
            cost_false_negative=cost_false_negative,
            cost_false_positive=cost_false_positive,
        )
    ideal = cost_false_positive / (cost_false_positive + cost_false_negative)
    if min(positive.sum(), (~positive).sum()) < MIN_OF_EACH:
        return ideal
    values, which = np.unique(p, return_inverse=True)
    positives = np.bincount(which, positive, minlength=len(values))
    negatives = np.bincount(which, ~positive, minlength=len(values))
    missed = np.r_[0, np.cumsum(positives)]  # a threshold above the first i values misses these
    alarms = np.r_[negatives.sum() - np.r_[0, np.cumsum(negatives)]]
    costs = missed * cost_false_negative + alarms * cost_false_positive
    cheapest = np.flatnonzero(costs <= costs.min() * (1 + 1e-12))
    low, high = np.r_[0.0, values][cheapest], np.r_[values, 1.0][cheapest]
    # Use the ideal threshold itself if it separates the same rows, or else the middle of the gap.
    fits = (low < ideal) & (ideal <= high)
    candidates = np.where(fits, ideal, (low + high) / 2)
    return float(candidates[np.argmin(np.abs(candidates - ideal))])


def left_out(
    labels: Sequence[str], fitted_to: NDArray[Any], calibrated_by: NDArray[Any]
) -> str | None:
    """The labels of rows that a learner was fitted to, by their codes (n,), which no calibration
    row has (m,). None: there is none."""
    codes = np.setdiff1d(fitted_to, calibrated_by)
    if not len(codes):
        return None
    names = shorten([repr(labels[code]) for code in codes.tolist()])
    return f"calibrated without {names}: with a single training photo, every fit needs it"


def check_lengths(**lengths: int) -> None:
    """Refuse arrays that do not have one element per row."""
    facts: dict[str, Any] = dict(lengths)
    if len(set(lengths.values())) > 1:
        raise DataError(
            "E607", "The arrays differ in length", expected="one element for each row", **facts
        )
