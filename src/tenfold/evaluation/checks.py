"""The checks of a training by code, and tests of whether two samples differ."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.records import Check

MAX_LEVELS = 50
"""Maximum number of categories that are counted separately. All others count as one."""


class CheckKind(NamedTuple):
    """The meaning of a code: a title, when it is found, and what to do."""

    title: str
    when: str
    advice: str


CHECKS = {
    "C01": CheckKind(
        "leak",
        "A column alone predicts the target of rows that were not used to find it (98% of what can "
        "be explained), or test rows are also training rows, or the test set repeats itself. With "
        "`transfer`, and with other learners on up to 1,000 colour photos, this is also found if "
        "photos of the test set nearly equal a photo of the training set: the cosine of their "
        "features is at least 0.92, and the angle at most half of the usual one between photos of "
        "one label. At most 2,000 test photos are compared, and the accuracy counts only these.",
        "Leave the column out with `--drop COLUMN` if it is not known when you predict. Take test "
        "rows that are independent of the training rows: photos of one scene belong in one set, "
        "with the folders `train/` and `test/`.",
    ),
    "C02": CheckKind(
        "useless column",
        "A column has the same value in all rows, or shuffling it among 500 validation rows "
        "changes no prediction by more than 0.001 (a probability, or a value in standard "
        "deviations of the target).",
        "The model does not need it: leave it out with `--drop COLUMN`, or check that it was read "
        "as intended.",
    ),
    "C03": CheckKind(
        "few examples of a label",
        "A label has fewer than 20 training rows, or fewer than 10 photos if the learner is "
        "`transfer`.",
        "Collect more examples of it, merge it with another label, or rely on the intervals of its "
        "scores.",
    ),
    "C04": CheckKind(
        "identifier used for learning",
        "The model learns from a column of consecutive, distinct integers, or from a category with "
        "a different level for more than half of the rows.",
        "Leave it out with `--drop COLUMN`: the number of a row says nothing about new rows.",
    ),
    "C05": CheckKind(
        "training and test rows differ",
        "The values of a column have another distribution in the test rows, by two-sample tests at "
        "1%, corrected for the number of columns (Kolmogorov-Smirnov for numbers and dates, "
        "chi-squared for categories; Holm).",
        "Find out how the test rows were chosen. Rows in the order of time need `--time COLUMN`.",
    ),
    "C06": CheckKind(
        "overfitting",
        "The model is at least 10 points of accuracy better on training rows than on test rows, or "
        "the RMSE on test rows is at least 1.5 times as large, and the intervals do not overlap. "
        "Forests, neighbours and `transfer` (with 1,280 features) memorise training rows and are "
        "not checked.",
        "Collect more rows, or use a simpler model: fewer epochs or rounds, more weight decay.",
    ),
    "C07": CheckKind(
        "not better than a simpler learner",
        "A simpler learner has a lower loss on rows that neither was fitted to, or a loss that is "
        "higher only within chance while it takes a third of the time. With `auto`, the simpler "
        "learners are its candidates, and the rows those that chose. Otherwise the learner (one "
        "network for a vote) and `logistic` or `linear` are both fitted to the training rows of a "
        "table of at most 10,000, and the validation rows take no part in either fit.",
        "Use the simpler learner, or `--learner auto`, which chooses by such rows.",
    ),
    "C08": CheckKind(
        "a setting at the edge of its range",
        "The loss of held-out rows was lowest in the last epoch, after the last round of "
        "`boosting`, with the largest number of neighbours that was tried, or, by 1% or more, with "
        "the smallest or the largest penalty of a linear model.",
        "Allow more epochs with `--epochs` or more rounds with `--rounds`. Compare further "
        "penalties or numbers of neighbours with `tenfold sweep`.",
    ),
    "C09": CheckKind(
        "shortcut",
        "The file type, the size or the camera of a picture, or the brightness of a photo, alone "
        "reveals its label: it corrects at least half of the errors of always predicting the most "
        "frequent label.",
        "Convert all pictures to one type and size before training, and take photos of each label "
        "with the same camera in the same light.",
    ),
}
"""The checks by code. A code keeps its meaning."""


def check(code: str, text: str) -> Check:
    """Make a finding of a check."""
    return Check(code=code, title=CHECKS[code].title, text=text)


def some_rows(
    rows: NDArray[np.int64], groups: NDArray[np.int64] | None, most: int
) -> NDArray[np.int64]:
    """Draw independent rows to compare, always the same ones.

    Args:
      rows: Row numbers of a dataset.
      groups: The group of each row of the dataset. One row of each group is drawn. None: there are
        no groups.
      most: The maximum number of rows.

    Returns:
      Row numbers in ascending order.
    """
    drawn = np.random.default_rng(0).permutation(rows)
    if groups is not None:
        drawn = drawn[np.sort(np.unique(groups[drawn], return_index=True)[1])]
    return np.sort(drawn[:most])


def difference_p(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The p value of a test whether two samples of a column come from the same distribution.

    Numbers and dates (missing ones count as the smallest) are compared by the Kolmogorov-Smirnov
    test, whose p value is too high if values repeat. Texts ("" if missing) are compared by the
    chi-squared test.
    """
    if first.dtype == object:
        return _chi_squared_p(first, second)
    return _kolmogorov_p(*(_lowest_missing(sample) for sample in (first, second)))


def _lowest_missing(sample: NDArray[Any]) -> NDArray[np.float64]:
    gone = np.isnat(sample) if sample.dtype.kind == "M" else np.isnan(sample)
    numbers = sample.view(np.int64) if sample.dtype.kind == "M" else sample
    return np.where(gone, -np.inf, numbers).astype(np.float64)


def _kolmogorov_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The asymptotic p value, corrected for n (Stephens 1970,
    doi:10.1111/j.2517-6161.1970.tb00821.x)."""
    places = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(one), places, "right") / len(one) for one in (first, second)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    root = np.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series does not converge; p is 1 to 12 digits
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2 * ((-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)).sum(), 0, 1))


def _chi_squared_p(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Pearson's chi-squared test of the counts. Categories with fewer than 10 rows are merged."""
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
