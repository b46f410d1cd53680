"""Which candidate validation rows choose, and what each row is answered where it had no say.

A learner chooses an epoch, a penalty or a number of trees by validation rows, and the same rows
calibrate what was chosen. So each row is also answered by the candidate that the rows of the other
parts choose: cross-validatory choice and assessment (Stone 1974), without another fit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.settings import Settings
from tenfold.learners.job import Examples, Purpose, stream

PARTS = 5
"""Parts that validation rows are cut into; four of them choose for the fifth."""

BLOCKS = 50
"""Neighbours among the rows, of one day or one label, stay together in so many blocks, which are
dealt out to the parts in turn."""


def validation_parts(n: int, group: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The part of each of n validation rows, from 0 (n,); groups (n,) stay in one.

    Example:
      >>> validation_parts(7).tolist()
      [0, 1, 2, 3, 4, 0, 1]
    """
    if group is not None:
        return np.unique(group, return_inverse=True)[1] % PARTS
    return np.arange(n) // max(1, n // BLOCKS) % PARTS


def parts_by_answer(
    settings: Settings, y: NDArray[Any], n_parts: int, group: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The part of each row (n,), from 0: of each label, or of like values, about as many in each.
    The seed deals equal ones out. Groups (n,) stay in one part, which their first row decides."""
    if group is not None:
        _, first, which = np.unique(group, return_index=True, return_inverse=True)
        return parts_by_answer(settings, y[first], n_parts)[which]
    shuffled = stream(settings, Purpose.CHOICE).permutation(len(y))
    by_answer = shuffled[np.argsort(y[shuffled], kind="stable")]
    part_of = np.empty(len(y), np.int64)
    part_of[by_answer] = np.arange(len(y)) % n_parts
    return part_of


class Choice:
    """Candidates are offered one after the other; the first with the least loss is chosen.

    Attributes:
      answers: To each validation row those of the candidate that the other parts choose, zeros
        before the first candidate: float32 (n, k) or (n,), as they are offered.
      lowest: The least summed loss of the rows without each part, float64 (PARTS,).
    """

    def __init__(self, rows: Examples, shape: tuple[int, ...]) -> None:
        """Nothing is offered yet; answers to all `rows` are of this shape."""
        self._part_of, self._weights = (
            validation_parts(len(rows.y), rows.group),
            rows.weights.astype(np.float64),
        )
        self.answers = np.zeros(shape, np.float32)
        self.lowest = np.full(PARTS, np.inf)

    def offer(self, answers: NDArray[Any], losses: NDArray[np.floating[Any]]) -> None:
        """A candidate's answers to the rows, and the loss of each (n,)."""
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
    """Probabilities (n, n_labels) of logits."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
