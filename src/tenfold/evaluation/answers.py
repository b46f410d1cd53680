"""How answers of known sureness turn out: reliability, and accuracy against the share answered."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation.intervals import Floats, wilson

N_BINS = 10
MAX_STEPS = 200
"""Steps of a curve that is to be drawn; more cannot be seen."""


class Reliability(NamedTuple):
    """Bins of stated confidence that have rows (b,): mean, share right with its interval, rows."""

    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def reliability(confidence: Floats, right: NDArray[np.bool], n_bins: int = N_BINS) -> Reliability:
    """Rows in equally wide bins of stated confidence.

    Args:
      confidence: Of each answer (n,), 0 to 1.
      right: Whether it was right (n,).
      n_bins: How many bins; empty ones are left out.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2; Wilson intervals.
    """
    bin_of = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    n = np.bincount(bin_of, minlength=n_bins)
    stated = np.bincount(bin_of, confidence, n_bins)[n > 0] / n[n > 0]
    hits = np.bincount(bin_of, right, n_bins)[n > 0].astype(int)
    scores = [wilson(hit, rows) for hit, rows in zip(hits.tolist(), n[n > 0].tolist(), strict=True)]
    value, low, high = np.array([(s.value, s.low, s.high) for s in scores]).T
    return Reliability(stated, value, low, high, n[n > 0])


def share_answered(confidence: Floats, right: NDArray[Any]) -> tuple[Floats, Floats]:
    """Accuracy of the surest answers against their share of all, at most 200 steps.

    Rows of equal confidence are answered together. The last step answers everything.

    Returns:
      Share answered (s,) rising to 1, and the accuracy among those (s,).
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    accuracy = np.cumsum(right[order])[last] / (last + 1)
    share = (last + 1) / len(falling)
    if len(last) > MAX_STEPS:
        steps = np.unique(np.linspace(0, len(last) - 1, MAX_STEPS).round().astype(int))
        share, accuracy = share[steps], accuracy[steps]
    return share, accuracy
