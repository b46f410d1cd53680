"""Checks of a training by code: what each is about, and tests whether two samples differ."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.records import Check

MAX_LEVELS = 50
"""Levels of a category that are counted by themselves, at most; the others are one."""


class CheckKind(NamedTuple):
    """What a code is about: a title, when it is found, and what to do then."""

    title: str
    when: str
    advice: str


CHECKS = {
    "C01": CheckKind(
        "leak",
        "A column by itself tells the answer of rows that were not looked at (98% of what could be "
        "told), or test rows stand in the training part, or the test set repeats itself. With "
        "`transfer` also photos of the test set that are nearly a photo of the training set: the "
        "cosine of their features is at least 0.92, and the angle at most half of what it usually "
        "is between photos of one label. Of a larger test set 500 photos are looked at.",
        "Leave the column out with `--drop COLUMN` if it is not known when the answer is needed. "
        "Take test rows from examples of their own: photos of one scene belong into one part, as "
        "`train/` and `test/` in the folder.",
    ),
    "C02": CheckKind(
        "useless column",
        "A column has the same value everywhere, or shuffling it among 500 validation rows changes "
        "no answer by more than 0.001: a probability, or a value in standard deviations of the "
        "target.",
        "The model can do without it: leave it out with `--drop COLUMN`, or look whether it was "
        "read as intended.",
    ),
    "C03": CheckKind(
        "few of a label",
        "A label has fewer than 20 training rows, or fewer than 10 photos where the learner is "
        "`transfer`.",
        "Collect more examples of it, join it with another label, or read its scores with their "
        "intervals.",
    ),
    "C04": CheckKind(
        "identifier learned from",
        "A column of whole numbers that are all different and follow each other, or a category "
        "with a level for more than half of the rows, is learned from.",
        "Leave it out with `--drop COLUMN`: a number of a row says nothing of new rows.",
    ),
    "C05": CheckKind(
        "training and test rows differ",
        "The values of a column are distributed otherwise in the test rows: two-sample tests at "
        "1%, corrected for the number of columns (Kolmogorov-Smirnov for numbers and dates, "
        "chi-squared for categories; Holm).",
        "Find out how the test rows were chosen. Rows in the order of time need `--time COLUMN`.",
    ),
    "C06": CheckKind(
        "overfitting",
        "The model is at least 10 points of accuracy better on training rows than on test rows, or "
        "the RMSE of test rows is at least 1.5 times as large, and the intervals do not overlap. "
        "Forests, neighbours and `transfer` (with 1,280 features) answer training rows from memory "
        "and are not judged by them.",
        "Collect more rows, or take a simpler model: fewer epochs or rounds, more weight decay.",
    ),
    "C07": CheckKind(
        "not better than a simpler learner",
        "On the validation rows a simpler learner loses less, or no more than chance explains in a "
        "third of the time. With `auto` these are its candidates, else `logistic` or `linear` is "
        "fitted beside tables of at most 20,000 training rows.",
        "Take the simpler learner, or `--learner auto`, which chooses by these rows.",
    ),
    "C08": CheckKind(
        "a setting at the edge of its range",
        "The loss of the validation rows was lowest in the last epoch.",
        "Allow more epochs with `--epochs`.",
    ),
    "C09": CheckKind(
        "shortcut",
        "The file type, the size or the camera of a picture alone tells its label, or the "
        "brightness of a photo does: of what always the most frequent label gets wrong, at least "
        "half is right then.",
        "Bring all pictures to one type and size before training, and take photos of each label "
        "with the same camera in the same light.",
    ),
}
"""Code to what it is about. A code keeps its meaning."""


def check(code: str, text: str) -> Check:
    """What was found by a check."""
    return Check(code=code, title=CHECKS[code].title, text=text)


def difference_p(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The p value that two samples of a column come from one distribution.

    Numbers and dates, missing ones lowest, are compared by Kolmogorov-Smirnov, whose p value is too
    high where values repeat; texts, "" where missing, by chi-squared.
    """
    if first.dtype == object:
        return _chi_squared_p(first, second)
    return _kolmogorov_p(*(_lowest_missing(sample) for sample in (first, second)))


def _lowest_missing(sample: NDArray[Any]) -> NDArray[np.float64]:
    gone = np.isnat(sample) if sample.dtype.kind == "M" else np.isnan(sample)
    numbers = sample.view(np.int64) if sample.dtype.kind == "M" else sample
    return np.where(gone, -np.inf, numbers).astype(np.float64)


def _kolmogorov_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Stephens 1970 (doi:10.1111/j.2517-6161.1970.tb00821.x): the limit, corrected for n."""
    places = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(one), places, "right") / len(one) for one in (first, second)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    root = np.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series does not converge, and is 1 to 12 digits
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2 * ((-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)).sum(), 0, 1))


def _chi_squared_p(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Pearson's test of the counts; levels of fewer than 10 rows count together."""
    from scipy.special import chdtrc

    levels, which = np.unique(np.concatenate([first, second]).astype(str), return_inverse=True)
    totals = np.bincount(which, minlength=len(levels))
    kept = np.argsort(-totals, kind="stable")[:MAX_LEVELS]
    kept = kept[totals[kept] >= 10]
    group = np.full(len(levels), len(kept))
    group[kept] = np.arange(len(kept))
    is_second = np.arange(len(which)) >= len(first)
    counts = np.zeros((2, len(kept) + 1))
    np.add.at(counts, (is_second.astype(int), group[which]), 1)
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:
        return 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(chdtrc(counts.shape[1] - 1, ((counts - expected) ** 2 / expected).sum()))
