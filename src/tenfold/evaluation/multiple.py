"""Compare several models with the best one on the same rows, by paired tests with correction for
multiple comparisons."""

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
    effective_size,
    percentile_interval,
    resampled_means,
    unseen,
)

N_DRAWS = 9_999
"""Number of resamples of a test. With 1,000, p could not fall below 0.002, but five comparisons
require smaller values."""

MAX_CELLS = 1_000
"""Up to this number of distinct differences, only their counts are drawn. There are few, for
example, if each row is either right or wrong."""

MAX_DRAWN = 2**22


class Beside(NamedTuple):
    """The comparison of a model with the best one: its mean minus that of the best, with an
    uncorrected 95% interval, the two-sided p value, corrected for the number of models, and the
    verdict at 5%."""

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
    groups: NDArray[np.int64] | None = None,
) -> list[Beside | None]:
    """Compare every model with one of them, on the same rows. The result for that one is None.

    The p values are those of `sign_flip_p`, corrected by `holm`, and the intervals those of
    `mean_difference`.

    Args:
      row_scores: The score of each model on each row, averaged over seeds (n_models, n). Larger is
        better.
      best: Index of the best model, chosen on other rows.
      largest: The largest possible difference of two row scores, which is 1 for labels. None: there
        is no limit.
      size: How much the score of an unseen row may differ if all differences are equal: the
        variance of the true values.
      seed: Seed of the resamples and of the random signs.
      groups: The group of each row (n,), if rows were drawn in groups. Intervals and p values then
        refer to new groups.

    Raises:
      DataError: There are no rows, or `best` is not the index of a model.
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
    p_values = holm(
        [sign_flip_p(values, (seed, i), groups) for i, values in enumerate(differences)]
    )
    size = max(size, float(np.abs(row_scores).max()))
    results: list[Beside | None] = [None] * n_models
    for i, values, p in zip(others, differences, p_values, strict=True):
        change = mean_difference(values, largest, size, seed=(seed, i), groups=groups)
        decided: Verdict = "better" if change.value > 0 else "worse"
        results[i] = Beside(change, p, decided if p <= 0.05 else "not distinguishable")
    return results


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, so that in 95 of 100 cases no true null hypothesis is
    rejected at 5%.

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
    groups: NDArray[np.int64] | None = None,
) -> Score:
    """The mean of differences between two models, paired by row (n,), with its 95% interval.

    If differences are at most `largest`, two rows are added, one with the largest difference in
    favour of each model, and the normal interval is used. For rows that are right or wrong, this is
    the adjusted Wald interval of D. G. Bonett and R. M. Price 2012, Journal of Educational and
    Behavioral Statistics 37 (4), 479-488. Otherwise the interval consists of percentiles of
    resampled means. If all differences are equal, it assumes that a share `unseen` of new rows may
    differ by `size`.

    For rows that were drawn in groups (n,), the `effective_size` is used, or whole groups are
    resampled.
    """
    n, value = effective_size(differences, groups), float(differences.mean())
    if largest is not None:
        centre = value * n / (n + 2)
        squares = (n * float((differences**2).mean()) + 2 * largest**2) / (n + 2)
        reach = Z * math.sqrt((squares - centre**2) / (n + 2))
    elif np.ptp(differences) == 0:
        centre, reach = value, unseen(n) * size
    else:
        rng = np.random.default_rng(seed)
        if groups is None:
            means = _resampled_means(differences, rng)
        else:
            means = resampled_means(differences[:, None], rng, groups)[:, 0]
        return percentile_interval(value, means)
    return Score(value=value, low=min(value, centre - reach), high=max(value, centre + reach))


def sign_flip_p(
    differences: Floats,
    seed: int | tuple[int, ...] = 0,
    groups: NDArray[np.int64] | None = None,
) -> float:
    """The p value of differences (n,): how probable a mean at least as far from 0 is if the models
    are equally good.

    In that case, each row's difference could as well have the other sign. The signs are drawn 9,999
    times (approximate randomization, E. W. Noreen 1989, Computer-Intensive Methods for Testing
    Hypotheses, chapter 2). If rows are in groups (n,), the sum of each group gets a random sign.
    For rows of one seed that are right or wrong, this approximates McNemar's exact test, which
    finds no difference with fewer than six rows that differ.
    """
    if groups is not None:
        own = np.unique(groups, return_inverse=True)[1]
        differences = np.asarray(np.bincount(own, differences), np.float64)
    rng = np.random.default_rng(seed)
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if len(sizes) <= MAX_CELLS:
        sums = (2 * rng.binomial(counts, 0.5, size=(N_DRAWS, len(sizes))) - counts) @ sizes
    elif len(differences) > MAX_RESAMPLED:  # the sum of so many rows is normally distributed
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
    if n > MAX_RESAMPLED:  # the mean of so many rows is normally distributed
        return rng.normal(values.mean(), values.std() / np.sqrt(n), N_DRAWS)
    return _in_parts(n, lambda shape: values[rng.integers(n, size=shape)].mean(axis=1))


def _in_parts(n: int, draw: Callable[[tuple[int, int]], Floats]) -> Floats:
    """The results of 9,999 draws of n rows, a few draws at a time. `draw` is called with their
    number and n."""
    step = max(1, MAX_DRAWN // n)
    parts = [min(step, N_DRAWS - start) for start in range(0, N_DRAWS, step)]
    return np.concatenate([draw((k, n)) for k in parts])
