"""Choose a candidate by its loss on validation rows, and predict each row by a candidate that was
chosen without it.

A learner chooses an epoch, a penalty or a number of trees on validation rows, and the model is then
calibrated on the same rows. Therefore the rows are divided into parts, and each row is also
predicted by the candidate that is best on the other parts. This is cross-validatory choice and
assessment (Stone 1974). It needs no further fit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.settings import Settings
from tenfold.learners.job import Examples, Purpose, stream

PARTS = 5
"""Number of parts of the validation rows. For each part, the candidate is chosen on the other
four."""

BLOCKS = 50
"""Neighbouring rows, such as those of one day or one label, stay together in this many blocks,
which are assigned to the parts in turn."""


def validation_parts(n: int, group: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The part of each of n validation rows, from 0 (n,). Groups (n,) stay in one part, unless all
    rows are of one group.

    Example:
      >>> validation_parts(7).tolist()
      [0, 1, 2, 3, 4, 0, 1]
    """
    if group is not None and len(different := np.unique(group)) > 1:
        return np.searchsorted(different, group) % PARTS
    return np.arange(n) // max(1, n // BLOCKS) % PARTS


def parts_by_answer(
    settings: Settings, y: NDArray[Any], n_parts: int, group: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The part of each row (n,), from 0. Each part has about the same number of rows of each label,
    or of similar values. The seed shuffles equal ones. Groups (n,) stay in the part of their first
    row."""
    if group is not None:
        _, first, which = np.unique(group, return_index=True, return_inverse=True)
        return parts_by_answer(settings, y[first], n_parts)[which]
    shuffled = stream(settings, Purpose.CHOICE).permutation(len(y))
    by_answer = shuffled[np.argsort(y[shuffled], kind="stable")]
    part_of = np.empty(len(y), np.int64)
    part_of[by_answer] = np.arange(len(y)) % n_parts
    return part_of


class Choice:
    """Receives candidates one after the other, and chooses the first with the lowest loss.

    Attributes:
      answers: For each validation row, the prediction of the candidate that is best on the other
        parts, float32 (n, k) or (n,). Before the first candidate it contains zeros.
      lowest: For each part, the lowest summed loss of the rows of the other parts, float64
        (PARTS,).
    """

    def __init__(self, rows: Examples, shape: tuple[int, ...]) -> None:
        """Prepare for predictions of this shape for all `rows`."""
        self._part_of, self._weights = (
            validation_parts(len(rows.y), rows.group),
            rows.weights.astype(np.float64),
        )
        self.answers = np.zeros(shape, np.float32)
        self.lowest = np.full(PARTS, np.inf)

    def offer(self, answers: NDArray[Any], losses: NDArray[np.floating[Any]]) -> None:
        """Offer a candidate's predictions for the rows, and the loss of each (n,)."""
        of_part = np.bincount(self._part_of, losses * self._weights, PARTS)
        without = of_part.sum() - of_part
        is_better = without < self.lowest
        self.lowest = np.where(is_better, without, self.lowest)
        rows = is_better[self._part_of]
        self.answers[rows] = answers[rows]


def row_losses(answers: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """The log loss of probabilities (n, n_labels), or the squared error of values (n,), by row."""
    if answers.ndim == 1:
        squares: NDArray[np.float64] = (answers.astype(np.float64) - y) ** 2
        return squares
    likelihood = answers[np.arange(len(y)), y].astype(np.float64)
    return np.asarray(-np.log(np.clip(likelihood, 1e-7, 1)))


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The probabilities (n, n_labels) that correspond to logits."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
