"""Compare two models on the same rows, with a paired test."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.core.errors import DataError
from tenfold.core.text import percent
from tenfold.evaluation.classification import f1_scores, log_losses
from tenfold.evaluation.intervals import (
    Finite,
    Floats,
    Ratio,
    Score,
    Verdict,
    mcnemar,
    mcnemar_p,
    percentile_interval,
    ratios,
    resampled_counts,
    unseen,
    unseen_odds,
    verdict_of,
)
from tenfold.evaluation.multiple import mean_difference
from tenfold.evaluation.regression import ROUNDING

LARGEST = 1e300
"""Used in place of an infinite ratio to an error of 0."""

MAX_JOINT = 100_000
"""Maximum number of cells (true label, prediction of the first, prediction of the second). It is
reached with 46 labels."""


class Difference(Frozen):
    """The difference of one score between two models.

    `change` is `second - first`, or `second / first` if `is_ratio`, with its 95% interval. The
    verdict tells whether the second model is better or worse than the first.
    """

    score: str
    first: Finite
    second: Finite
    change: Score
    is_ratio: bool
    verdict: Verdict

    @property
    def change_text(self) -> str:
        """The change with its interval, for people."""
        if self.change.high >= LARGEST:
            return f"from 0, at least {self.change.low:.4g} times"
        if self.is_ratio:
            value, low, high = self.change.ends(lambda end, digits: f"{end - 1:+.{digits}%}", 1)
            return f"{value} [{low}, {high}]"
        value, low, high = self.change.ends(lambda end, digits: f"{100 * end:+.{digits}f}", 2)
        return f"{value} points [{low}, {high}]"

    def shown(self, value: float) -> str:
        """One of the two scores, for people. Shares are percentages."""
        return f"{value:.6g}" if self.is_ratio else percent(value, 2)


class Comparison(Frozen):
    """The comparison of two models on the same rows, to which neither was fitted.

    Attributes:
      only_first, only_second: Rows that only one of the two predicts correctly. None for
        regression.
      p_value: The p value of the two-sided exact McNemar test. None for regression.
      differences: The difference of each score. The first one decides `verdict`.
    """

    task: Literal["classification", "regression"]
    first: str
    second: str
    n: int
    only_first: int | None = None
    only_second: int | None = None
    p_value: Finite | None = None
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """In words, which of the two is better."""
        main = self.differences[0]
        if main.verdict == "not distinguishable":
            return f"Not distinguishable: on these {self.n:,} rows the difference is within chance."
        better, other = self.second, self.first
        if main.verdict == "worse":
            better, other = other, better
        return f"{better} is better than {other}."

    @property
    def p_text(self) -> str:
        """The p value for people. The smallest float64 is about 1e-308."""
        return f"p = {self.p_value:.2g}" if self.p_value else "p < 1e-300"

    def lines(self) -> list[str]:
        """The comparison for people, one line each."""
        lines = [f"{self.n:,} rows answered by both, change from the first to the second, 95%"]
        if self.p_value is not None:
            lines.append(
                f"only the first right {self.only_first:,}, only the second {self.only_second:,} "
                f"(exact McNemar test, {self.p_text})"
            )
        for difference in self.differences:
            scores = " -> ".join(map(difference.shown, (difference.first, difference.second)))
            change, verdict = difference.change_text, difference.verdict
            lines.append(f"{difference.score:<18} {scores:<24} {change}  {verdict}")
        return [*lines, self.verdict]


def compare_labels(
    true: NDArray[np.integer[Any]],
    first: tuple[NDArray[np.integer[Any]], Floats],
    second: tuple[NDArray[np.integer[Any]], Floats],
    names: tuple[str, str] = ("first", "second"),
    seed: int = 0,
) -> Comparison:
    """Compare predicted labels: exact McNemar test for the accuracy, paired bootstrap for the rest.

    `true` are label codes (n,). `first` and `second` are the codes (n,) and probabilities (n,
    n_labels) that each model predicted. `seed` is that of the bootstrap.

    Raises:
      DataError: There are no rows, or shapes disagree.
    """
    n_labels = _check_labels(true, first, second)
    rights = [answers == true for answers, _ in (first, second)]
    only_first, only_second = (int((a & ~b).sum()) for a, b in (rights, reversed(rights)))
    losses = [log_losses(true, p.astype(np.float64)) for _, p in (first, second)]
    rng = np.random.default_rng(seed)
    differences = [
        _accuracy(rights[0], rights[1]),
        _ratio("log loss", losses[0], losses[1], 1.0, rng),
    ]
    if n_labels**3 <= MAX_JOINT:
        differences.append(_macro_f1(true, first[0], second[0], n_labels, rng))
    return Comparison(
        task="classification",
        first=names[0],
        second=names[1],
        n=len(true),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p(only_first, only_second),
        differences=tuple(differences),
    )


def compare_values(
    true: Floats,
    first: Floats,
    second: Floats,
    names: tuple[str, str] = ("first", "second"),
    seed: int = 0,
) -> Comparison:
    """Compare predicted values (n,) by the ratios of their squared and of their absolute errors,
    paired by row."""
    if true.ndim != 1 or len(true) < 2 or not true.shape == first.shape == second.shape:
        raise _no_pairs("values (n,) of both, n at least 2", true, first, second)
    errors = [np.abs(true - value) for value in (first, second)]
    rng = np.random.default_rng(seed)
    differences = [
        _ratio("RMSE", errors[0] ** 2, errors[1] ** 2, 0.5, rng),
        _ratio("MAE", errors[0], errors[1], 1.0, rng),
    ]
    return Comparison(
        task="regression",
        first=names[0],
        second=names[1],
        n=len(true),
        differences=tuple(differences),
    )


def _check_labels(true: NDArray[Any], *answers: tuple[NDArray[Any], Floats]) -> int:
    n_labels = answers[0][1].shape[-1]
    for codes, probabilities in answers:
        if (
            not len(true)
            or true.ndim != 1
            or codes.shape != true.shape
            or probabilities.shape != (len(true), n_labels)
        ):
            expected = "codes (n,) and probabilities (n, n_labels) of both, n at least 1"
            raise _no_pairs(expected, true, codes, probabilities)
    return int(n_labels)


def _no_pairs(expected: str, *arrays: NDArray[Any]) -> DataError:
    shapes = [array.shape for array in arrays]
    return DataError(
        "E620",
        "The predictions of the two models have different shapes",
        expected=expected,
        shapes=shapes,
    )


def _accuracy(first: NDArray[np.bool], second: NDArray[np.bool]) -> Difference:
    """The difference of the accuracies. Its interval is that of paired proportions, and its verdict
    is that of the exact test."""
    values = (float(first.mean()), float(second.mean()))
    change = mean_difference(second.astype(np.float64) - first, largest=1)
    return _difference("accuracy", values, change, mcnemar(second, first))


def _ratio(
    score: str, first: Floats, second: Floats, power: float, rng: np.random.Generator
) -> Difference:
    """The errors of the second model divided by those of the first. Below 1, the second model is
    better."""
    values = (float(first.mean()) ** power, float(second.mean()) ** power)
    odds = min(unseen_odds(int((first != second).sum())) ** power, LARGEST)
    if np.abs(first - second).max() <= ROUNDING * first.max():  # the predictions are the same
        change = Ratio(1.0, 1 / (1 - unseen(len(first)))).score(power)
    elif not values[0]:
        change = Score(value=LARGEST, low=1 / odds, high=LARGEST)
    elif not values[1]:
        change = Score(value=0, low=0, high=odds)
    else:
        change = ratios([(second, first)], rng)[0].score(power)
    verdict = verdict_of(change, equal=1, more_is_better=False)
    return _difference(score, values, change, verdict, is_ratio=True)


def _macro_f1(
    true: NDArray[np.integer[Any]],
    first: NDArray[np.integer[Any]],
    second: NDArray[np.integer[Any]],
    k: int,
    rng: np.random.Generator,
) -> Difference:
    """Yield both confusion matrices from the same resamples of the true label and both
    predictions."""
    joint = np.bincount((true * k + first) * k + second, minlength=k**3)
    used = np.flatnonzero(joint)

    def scores(counts: Floats) -> tuple[Floats, Floats]:
        cells = np.zeros((len(counts), k**3))
        cells[:, used] = counts
        cube = cells.reshape(-1, k, k, k)
        first_f1, second_f1 = (
            np.nanmean(f1_scores(cube.sum(axis=axis)), axis=1) for axis in (3, 2)
        )
        return first_f1, second_f1

    values = [float(f1[0]) for f1 in scores(joint[used][None].astype(float))]
    changes = []
    for draw in resampled_counts(joint[used], rng):
        for lines in np.array_split(draw, max(1, len(draw) * k**3 // 2**22)):
            first_f1, second_f1 = scores(lines)
            changes.append(second_f1 - first_f1)
    resampled = np.concatenate(changes)
    change = percentile_interval(values[1] - values[0], resampled)
    # If all rows or predictions are equal, the verdict is no stronger than that of the accuracy.
    if np.ptp(resampled) == 0:
        rights = [(answers == true).astype(np.float64) for answers in (first, second)]
        change = mean_difference(rights[1] - rights[0], largest=1)
    verdict = verdict_of(change, equal=0, more_is_better=True)
    return _difference("macro F1", values, change, verdict)


def _difference(
    score: str, values: Sequence[float], change: Score, verdict: Verdict, is_ratio: bool = False
) -> Difference:
    first, second = values
    return Difference(
        score=score, first=first, second=second, change=change, is_ratio=is_ratio, verdict=verdict
    )
