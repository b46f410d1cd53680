"""Split conformal prediction: the width of an interval, and the threshold of the probability at
which a label is in a prediction set, computed from held-out rows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.core.errors import DataError

INTERVAL_COVERAGE = 0.9
"""The share of rows whose true value intervals should contain."""

SET_COVERAGE = 0.95
"""The share of the rows of each label whose prediction set should contain the label."""

FEWEST_FOR_WIDTHS = 200
"""With fewer rows than this all intervals have the same width, because an estimate of how errors
depend on the row would be random."""

ROUNDING = 2.0**-18
"""A threshold is lowered by this share of itself, 32 steps of float32. The graph and the learner
round differently, and equal probabilities, which are frequent with trees, must be on the same side
of the threshold."""


def conformal_half_width(
    true: ArrayLike, predicted: ArrayLike, coverage: float = INTERVAL_COVERAGE
) -> float:
    """Half the width of an interval that contains the true value in `coverage` of all cases.

    `true` and `predicted` (n,) are of rows that the learner was not fitted to, in the same unit.
    The result is the ceil((n + 1) * coverage)-th smallest |true - predicted|. With fewer rows than
    that (9 for 90%) it is infinite, because no finite width guarantees the coverage.

    Example:
      >>> conformal_half_width(range(9), [0.0] * 9)
      8.0

    Source: Lei et al. 2018, doi:10.1080/01621459.2017.1307116, split conformal prediction: coverage
      of at least `coverage`, if new rows come from the same source.
    """
    y, answers = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    if len(y) != len(answers):
        raise DataError(
            "E607",
            "The arrays differ in length",
            expected="one element for each row",
            true=len(y),
            predicted=len(answers),
        )
    errors = np.abs(y - answers)
    rank = _rank(len(errors), coverage)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else np.inf


def set_thresholds(
    probabilities: ArrayLike, y: ArrayLike, coverage: float = SET_COVERAGE
) -> NDArray[np.float64]:
    """The thresholds (n_labels,) of prediction sets. A label belongs to a set if its probability is
    at least its threshold, so that the set contains the true label in `coverage` of the rows of
    each label.

    A threshold is the floor((n + 1) * (1 - coverage))-th smallest probability of the label among
    its n rows. With fewer rows than `fewest_rows` it is 0, so that every set contains the label.

    Args:
      probabilities: (n, n_labels), for rows that the learner was not fitted to.
      y: Their true codes (n,).
      coverage: Above 0 and below 1.

    Example:
      >>> p = [0.9, 0.8, 0.7, 0.6]
      >>> set_thresholds([[a, 1 - a] for a in p], [0, 0, 0, 0], coverage=0.8).round(4).tolist()
      [0.6, 0.0]

    Source: label-conditional split conformal prediction (Vovk 2012, arXiv:1209.2673, section 3)
    with the probability of the label as its score (Sadinle, Lei and Wasserman 2019,
    doi:10.1080/01621459.2017.1395341: the smallest sets on average). A finite threshold needs n + 1
    >= 1 / (1 - coverage). With fewer rows every set contains the label (Ding et al. 2023,
    arXiv:2306.09335, section 2).
    """
    p, codes = np.asarray(probabilities, np.float64), np.asarray(y, np.int64)
    thresholds = np.zeros(p.shape[1])
    for code in range(p.shape[1]):
        own = np.sort(p[codes == code, code])
        place = len(own) - _rank(len(own), coverage)
        if place >= 0:
            thresholds[code] = own[place] * (1 - ROUNDING)
    return thresholds


def fewest_rows(coverage: float) -> int:
    """The minimum number of rows for a finite width or threshold with this coverage.

    Example:
      >>> fewest_rows(0.95), fewest_rows(0.9)
      (19, 9)
    """
    return int(np.ceil(np.round(coverage / (1 - coverage), 9)))


def _rank(n: int, coverage: float) -> int:
    """The rank, from the smallest, of the error that `coverage` of n errors do not exceed. It is n
    + 1 if n is too small."""
    if not 0 < coverage < 1:
        raise DataError(
            "E104",
            "The coverage is out of range",
            expected="above 0 and below 1",
            coverage=coverage,
        )
    # 10 * 0.9 must not become 9.000000000000002.
    return int(np.ceil(np.round((n + 1) * coverage, 9)))
