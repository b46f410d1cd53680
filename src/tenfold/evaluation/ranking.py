"""Curves that show whether the most confident predictions are right: ranking by a label,
reliability, and the accuracy at a share of answered rows."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.evaluation.intervals import (
    Finite,
    Floats,
    Score,
    resampled_cells,
    resampled_counts,
    share_interval,
    wilson,
)

RECALL = 0.8

N_BINS = 10

MAX_STEPS = 200
"""Maximum number of steps of a curve that is drawn. More steps would not be visible."""


class PrecisionAtRecall(Frozen):
    """The precision if as many rows are predicted as positive as are needed to find the share
    `recall` of the positive rows.

    Rows are taken in the order of falling probability. `threshold` is the probability of the last
    one.
    """

    recall: Finite
    precision: Score
    threshold: Finite


class Drawn(NamedTuple):
    """Rows that were drawn in groups, in the order of their ranking, and whether each is
    positive."""

    positive: NDArray[np.bool]
    groups: NDArray[np.int64]


class Ranking(NamedTuple):
    """Rows in the order of falling probability of the positive label. Rows of equal probability
    form one step.

    `thresholds` are the falling probabilities of the steps (g,). `found` is the number of positive
    rows and `marked` that of all rows down to each step, float64 (g,).
    """

    thresholds: Floats
    found: Floats
    marked: Floats
    drawn: "Drawn | None" = None

    @classmethod
    def of(
        cls,
        positive: NDArray[np.bool],
        probability: Floats,
        groups: NDArray[np.int64] | None = None,
    ) -> "Ranking":
        """Rank rows by their probability of being positive (n,), given whether each is positive
        (n,)."""
        order = np.argsort(-probability, kind="stable")
        falling = probability[order]
        last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
        found = np.cumsum(positive[order], dtype=np.float64)[last]
        drawn = None if groups is None else Drawn(positive[order], groups[order])
        return cls(falling[last], found, last + 1.0, drawn)

    @property
    def recall(self) -> Floats:
        """The share of the positive rows that is found down to each step (g,)."""
        recall: Floats = self.found / self.found[-1]
        return recall

    @property
    def precision(self) -> Floats:
        """The share of the rows down to each step that is positive (g,)."""
        precision: Floats = self.found / self.marked
        return precision

    def scores(
        self, rng: np.random.Generator, recall: float = RECALL
    ) -> tuple[Score, PrecisionAtRecall] | None:
        """Average precision and precision at a recall, or None if no row is positive."""
        if not self.found[-1]:
            return None
        # Only steps with a positive row change the scores. The rows between two such steps are one
        # cell, so that few counts are needed if positive rows are rare.
        new = np.diff(self.found, prepend=0.0)
        steps = np.flatnonzero(new)
        others = np.diff((self.marked - self.found)[steps], prepend=0.0)
        rest = self.marked[-1] - self.marked[steps[-1]]
        sizes = np.concatenate([new[steps], others, [rest]])
        resampled = np.concatenate(
            [
                _measures(counts[:, : len(steps)], counts[:, len(steps) : -1], recall)
                for counts in self._draws(sizes, steps, rng)
            ]
        )
        value, precision = _measures(new[steps][None], others[None], recall)[0].tolist()
        step = steps[_reaching(self.found[steps], recall)]
        marked = int(self.marked[step])
        sizes_of = [int(self.found[-1]), int(self.marked[-1]), marked]
        if self.drawn is not None:  # the number of groups that would give the same precision
            sizes_of = [min(size, len(np.unique(self.drawn.groups))) for size in sizes_of]
        n_found, n_rows, n_marked = sizes_of
        return (
            share_interval(value, resampled[:, 0], n_found, n_rows),
            PrecisionAtRecall(
                recall=recall,
                precision=share_interval(precision, resampled[:, 1], n_marked, n_marked),
                threshold=float(self.thresholds[step]),
            ),
        )

    def _draws(
        self, sizes: Floats, steps: NDArray[np.int64], rng: np.random.Generator
    ) -> Iterator[Floats]:
        """Resampled counts of the positives of each step, of the others, and of the rest."""
        if self.drawn is None:
            return resampled_counts(sizes, rng)
        step_of = np.searchsorted(self.marked[steps], np.arange(int(self.marked[-1])), "right")
        cells = np.where(self.drawn.positive, step_of, len(steps) + step_of)
        return resampled_cells(cells, len(sizes), rng, self.drawn.groups)


def _measures(new: Floats, others: Floats, recall: float) -> Floats:
    """Average precision and precision at a recall (lines, 2) from positives and others (lines, g).

    Average precision is the sum over the steps of the precision there times the gain in recall,
    without interpolation, as in scikit-learn's `average_precision_score`.
    """
    found = np.cumsum(new, axis=1)
    precision = found / np.maximum(found + np.cumsum(others, axis=1), 1)
    every = found[:, -1]
    with np.errstate(invalid="ignore"):  # undefined for a resample without a positive row
        average = (new * precision).sum(axis=1) / every
    at_recall = precision[np.arange(len(found)), _reaching(found, recall)]
    return np.stack([average, np.where(every > 0, at_recall, np.nan)], axis=1)


def _reaching(found: Floats, recall: float) -> NDArray[Any]:
    """The first step (...) at which the share `recall` of all positives is found (..., g)."""
    # Rounding must not require another row: 0.8 * 5 may become 4.000000000000001.
    enough: NDArray[Any] = (found >= recall * found[..., -1:] * (1 - 1e-12)).argmax(axis=-1)
    return enough


class Reliability(NamedTuple):
    """The non-empty bins of confidence (b,): mean confidence, share of correct predictions with its
    interval, and number of rows."""

    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def reliability(confidence: Floats, right: NDArray[np.bool], n_bins: int = N_BINS) -> Reliability:
    """Divide predictions (n,) by their confidence into bins of equal width from 0 to 1. Empty bins
    are left out.

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
    """The shares of answered rows (s,), rising to 1, and the accuracy (s,) among the most confident
    predictions of each share.

    There are at most 200 steps. Rows of equal confidence are in one step, and the last step has all
    rows.
    """
    ranking = Ranking.of(right, confidence)
    share, accuracy = ranking.marked / len(right), ranking.precision
    if len(share) > MAX_STEPS:
        steps = np.unique(np.linspace(0, len(share) - 1, MAX_STEPS).round().astype(int))
        share, accuracy = share[steps], accuracy[steps]
    return share, accuracy
