"""Several models on the same rows, each beside the best: paired, and corrected for their number."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.evaluation.intervals import MAX_RESAMPLED, Floats, Score, Verdict, percentile_interval

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


def compare_with_best(row_scores: Floats, best: int, seed: int = 0) -> list[Beside | None]:
    """Compare every model with one of them, on the same rows; None stands for the best itself.

    `row_scores` are (n_models, n), more is better, of several seeds their mean; `best` was chosen
    on other rows. A paired bootstrap over the rows (Efron and Tibshirani 1993, chapter 16); the p
    values are corrected by `holm`.

    Raises:
      DataError: No rows, or no such model.
    """
    n_models = len(row_scores)
    if row_scores.ndim != 2 or not row_scores.shape[1] or not 0 <= best < n_models:
        expected = "(n_models, n) with rows, and the number of one of them"
        raise DataError(
            "E622", "Nothing to compare", expected=expected, shape=row_scores.shape, best=best
        )
    others = [i for i in range(n_models) if i != best]
    tests = [
        _paired(row_scores[i] - row_scores[best], np.random.default_rng((seed, i))) for i in others
    ]
    corrected = holm([p for _, p in tests])
    results: list[Beside | None] = [None] * n_models
    for i, (change, _), p in zip(others, tests, corrected, strict=True):
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


def mean_interval(row_scores: Floats, seed: int = 0) -> Score:
    """The mean of rows (n,) with the 95% interval of its bootstrap."""
    means = _resampled_means(row_scores, np.random.default_rng(seed))
    return percentile_interval(float(row_scores.mean()), means)


def _paired(differences: Floats, rng: np.random.Generator) -> tuple[Score, float]:
    """The mean difference with its interval, and how likely one as large is by chance."""
    means = _resampled_means(differences, rng)
    below, above = int((means <= 0).sum()), int((means >= 0).sum())
    p = min(1.0, 2 * (1 + min(below, above)) / (len(means) + 1))
    return percentile_interval(float(differences.mean()), means), p


def _resampled_means(values: NDArray[Any], rng: np.random.Generator) -> Floats:
    n = len(values)
    cells, sizes = np.unique(values, return_counts=True)
    if len(cells) <= MAX_CELLS:
        means: Floats = rng.multinomial(n, sizes / n, size=N_DRAWS) @ cells / n
        return means
    if n > MAX_RESAMPLED:  # so many rows have a normal mean
        return rng.normal(values.mean(), values.std() / np.sqrt(n), N_DRAWS)
    step = max(1, MAX_DRAWN // n)
    sizes_of = [min(step, N_DRAWS - start) for start in range(0, N_DRAWS, step)]
    return np.concatenate([values[rng.integers(n, size=(k, n))].mean(axis=1) for k in sizes_of])
