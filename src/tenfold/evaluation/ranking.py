"""Two labels, one of them looked for: how well its probability puts its rows first."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.evaluation.intervals import (
    Finite,
    Floats,
    Score,
    resampled_counts,
    share_interval,
)

RECALL = 0.8


class PrecisionAtRecall(Frozen):
    """How many of the marked rows are positive when enough are marked to find `recall` of them.

    Rows are marked from the highest probability down; `threshold` is the last probability marked.
    """

    recall: Finite
    precision: Score
    threshold: Finite


class Ranking(NamedTuple):
    """Rows by falling probability of the positive label; equal probabilities are one step.

    Attributes:
      thresholds: The probability of each step (g,), falling.
      found: Positive rows down to that step (g,), float64.
      marked: All rows down to that step (g,), float64.
    """

    thresholds: Floats
    found: Floats
    marked: Floats

    @classmethod
    def of(cls, positive: NDArray[np.bool], probability: Floats) -> "Ranking":
        """Rank rows: whether each is positive (n,), and its probability of being so (n,)."""
        order = np.argsort(-probability, kind="stable")
        falling = probability[order]
        last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
        found = np.cumsum(positive[order], dtype=np.float64)[last]
        return cls(falling[last], found, last + 1.0)

    @property
    def recall(self) -> Floats:
        """Share of the positive rows that is found down to each step (g,)."""
        recall: Floats = self.found / self.found[-1]
        return recall

    @property
    def precision(self) -> Floats:
        """Share of the marked rows that is positive, down to each step (g,)."""
        precision: Floats = self.found / self.marked
        return precision

    def scores(
        self, rng: np.random.Generator, recall: float = RECALL
    ) -> tuple[Score, PrecisionAtRecall] | None:
        """Average precision and precision at a recall, or None where no row is positive."""
        if not self.found[-1]:
            return None
        # Only steps that find something count; the rows between two of them are one cell, so that
        # rare positives among many rows need few counts.
        new = np.diff(self.found, prepend=0.0)
        steps = np.flatnonzero(new)
        others = np.diff((self.marked - self.found)[steps], prepend=0.0)
        rest = self.marked[-1] - self.marked[steps[-1]]
        sizes = np.concatenate([new[steps], others, [rest]])
        resampled = np.concatenate(
            [
                _measures(counts[:, : len(steps)], counts[:, len(steps) : -1], recall)
                for counts in resampled_counts(sizes, rng)
            ]
        )
        value, precision = _measures(new[steps][None], others[None], recall)[0].tolist()
        step = steps[_reaching(self.found[steps], recall)]
        marked = int(self.marked[step])
        return (
            share_interval(value, resampled[:, 0], int(self.found[-1]), int(self.marked[-1])),
            PrecisionAtRecall(
                recall=recall,
                precision=share_interval(precision, resampled[:, 1], marked, marked),
                threshold=float(self.thresholds[step]),
            ),
        )


def _measures(new: Floats, others: Floats, recall: float) -> Floats:
    """Average precision and precision at a recall (lines, 2) of positives and others (lines, g).

    Average precision is the sum over the steps of the precision there times the recall gained:
    no interpolation, as scikit-learn's `average_precision_score` defines it.
    """
    found = np.cumsum(new, axis=1)
    precision = found / np.maximum(found + np.cumsum(others, axis=1), 1)
    every = found[:, -1]
    with np.errstate(invalid="ignore"):  # a resample without a positive row has neither
        average = (new * precision).sum(axis=1) / every
    at_recall = precision[np.arange(len(found)), _reaching(found, recall)]
    return np.stack([average, np.where(every > 0, at_recall, np.nan)], axis=1)


def _reaching(found: Floats, recall: float) -> NDArray[Any]:
    """The first step (...) at which the share `recall` of all positives is found (..., g)."""
    # 0.8 * 5 is 4.000000000000001 in some products: rounding must not ask for one row more.
    enough: NDArray[Any] = (found >= recall * found[..., -1:] * (1 - 1e-12)).argmax(axis=-1)
    return enough
