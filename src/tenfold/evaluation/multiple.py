"""Several models on the same rows, each beside the best: paired, and corrected for their number."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.evaluation.intervals import (
    MAX_RESAMPLED,
    Floats,
    Score,
    Verdict,
    Z,
    percentile_interval,
    unseen,
)

N_DRAWS = 9_999
"""Resamples of a test: 1,000 see no p below 0.002, which five comparisons ask for."""

MAX_CELLS = 1_000
"""Up to so many different differences they are drawn by count: a row is right or wrong."""

MAX_DRAWN = 2**22


class Beside(NamedTuple):
    """A model beside the best one: its mean minus that of the best with its 95% interval, not
    corrected; the two-sided p value, corrected for the number of models; and the verdict at 5%."""

    change: Score
    p_value: float
    verdict: Verdict


def compare_with_best(
    row_scores: Floats,
    best: int,
    *,
    largest: float | None = None,
    size: float = 0.0,
    seed: int = 0,
) -> list[Beside | None]:
    """Compare every model with one of them, on the same rows; None stands for the best itself.

    The p values are those of `sign_flip_p`, corrected by `holm`, the intervals those of
    `mean_difference`.

    Args:
      row_scores: Of each model and row (n_models, n), more is better; of several seeds their mean.
      best: Number of the model that was chosen, on other rows.
      largest: By how much two row scores can differ at most: 1 of labels; None: by any amount.
      size: What a row of the worst answers may score, where the rows have no such one: the variance
        of what is true.
      seed: Decides resamples and signs.

    Raises:
      DataError: No rows, or no such model.
    """
    n_models = len(row_scores)
    if row_scores.ndim != 2 or not row_scores.shape[1] or not 0 <= best < n_models:
        expected = "(n_models, n) with rows, and the number of one of them"
        raise DataError(
            "E622",
            "There is nothing to compare",
            expected=expected,
            shape=row_scores.shape,
            best=best,
        )
    others = [i for i in range(n_models) if i != best]
    differences = [row_scores[i] - row_scores[best] for i in others]
    p_values = holm([sign_flip_p(values, (seed, i)) for i, values in enumerate(differences)])
    size = max(size, float(np.abs(row_scores).max()))
    results: list[Beside | None] = [None] * n_models
    for i, values, p in zip(others, differences, p_values, strict=True):
        change = mean_difference(values, largest, size, seed=(seed, i))
        decided: Verdict = "better" if change.value > 0 else "worse"
        results[i] = Beside(change, p, decided if p <= 0.05 else "not distinguishable")
    return results


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number: one under 5% among them is right in 95 of 100 cases.

    Example:
      >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
      [0.03, 0.06, 0.06]

    Source: S. Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6 (2), 65-70.
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable").tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def mean_difference(
    differences: Floats,
    largest: float | None = None,
    size: float = 0.0,
    seed: int | tuple[int, ...] = 0,
) -> Score:
    """The mean of differences between two models, row by row (n,), with its 95% interval.

    Differences of at most `largest`: two rows more, one of them all for the first model, one for
    the second, then the normal interval; of rows right or wrong this is the adjusted Wald interval
    of D. G. Bonett and R. M. Price 2012, Journal of Educational and Behavioral Statistics 37 (4),
    479-488. Others: percentiles of resampled means; if all differences are equal, the rows that
    are `unseen` may differ by `size`.
    """
    n, value = len(differences), float(differences.mean())
    if largest is not None:
        centre = value * n / (n + 2)
        squares = (float((differences**2).sum()) + 2 * largest**2) / (n + 2)
        reach = Z * math.sqrt((squares - centre**2) / (n + 2))
    elif np.ptp(differences) == 0:
        centre, reach = value, unseen(n) * size
    else:
        means = _resampled_means(differences, np.random.default_rng(seed))
        return percentile_interval(value, means)
    return Score(value=value, low=min(value, centre - reach), high=max(value, centre + reach))


def sign_flip_p(differences: Floats, seed: int | tuple[int, ...] = 0) -> float:
    """How likely a mean difference as large, either way, is where both models are alike (n,).

    Then each row's difference might as well have the other sign; 9,999 times all signs are drawn
    anew. Of one seed's rows, right or wrong, it is McNemar's exact test: below six rows that differ
    nothing is told apart. Approximate randomization, E. W. Noreen 1989, Computer-Intensive Methods
    for Testing Hypotheses, chapter 2.
    """
    rng = np.random.default_rng(seed)
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if len(sizes) <= MAX_CELLS:
        sums = (2 * rng.binomial(counts, 0.5, size=(N_DRAWS, len(sizes))) - counts) @ sizes
    elif len(differences) > MAX_RESAMPLED:  # so many rows have a normal sum
        sums = rng.normal(0, math.sqrt(float((differences**2).sum())), N_DRAWS)
    else:
        sums = _in_parts(
            len(differences), lambda shape: (2 * rng.integers(0, 2, shape) - 1) @ differences
        )
    reached = np.abs(sums) >= abs(float(differences.sum())) * (1 - 1e-9)
    return float((1 + reached.sum()) / (N_DRAWS + 1))


def _resampled_means(values: NDArray[Any], rng: np.random.Generator) -> Floats:
    n = len(values)
    cells, sizes = np.unique(values, return_counts=True)
    if len(cells) <= MAX_CELLS:
        means: Floats = rng.multinomial(n, sizes / n, size=N_DRAWS) @ cells / n
        return means
    if n > MAX_RESAMPLED:  # so many rows have a normal mean
        return rng.normal(values.mean(), values.std() / np.sqrt(n), N_DRAWS)
    return _in_parts(n, lambda shape: values[rng.integers(n, size=shape)].mean(axis=1))


def _in_parts(n: int, draw: Callable[[tuple[int, int]], Floats]) -> Floats:
    """Draws of n rows each (9999,), a few at a time: `draw` takes how many, and n."""
    step = max(1, MAX_DRAWN // n)
    parts = [min(step, N_DRAWS - start) for start in range(0, N_DRAWS, step)]
    return np.concatenate([draw((k, n)) for k in parts])
