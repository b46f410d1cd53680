"""How wide an interval around an answer must be, from the errors of rows that nobody fitted to."""

import numpy as np
from numpy.typing import ArrayLike

from tenfold.core.errors import DataError


def conformal_half_width(true: ArrayLike, predicted: ArrayLike, coverage: float = 0.9) -> float:
    """Half the width of an interval that holds the true value in `coverage` of all cases.

    `true` and `predicted` (n,) are of rows that the learner was not fitted to, in one unit. It is
    the ceil((n + 1) * coverage)-th smallest |true - predicted|, infinite with fewer rows than that
    (9 for 90%): no finite width can promise it.

    Example:
      >>> conformal_half_width(range(9), [0.0] * 9)
      8.0

    Source: Lei et al. 2018, doi:10.1080/01621459.2017.1307116, split conformal prediction:
    at least `coverage`, as long as new rows come from where these came from.
    """
    y, answers = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    if len(y) != len(answers):
        raise DataError(
            "E607",
            "The arrays differ in length",
            expected="one of each per row",
            true=len(y),
            predicted=len(answers),
        )
    errors = np.abs(y - answers)
    if not 0 < coverage < 1:
        raise DataError(
            "E104",
            "The coverage is out of range",
            expected="above 0 and below 1",
            coverage=coverage,
        )
    # 10 * 0.9 must not become 9.000000000000002.
    rank = int(np.ceil(np.round((len(errors) + 1) * coverage, 9)))
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else np.inf
