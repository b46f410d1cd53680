"""Several fitted learners that predict together, by the weighted mean of their predictions.

The weights are found by ensemble selection: Caruana, Niculescu-Mizil, Crew and Ksikes 2004,
"Ensemble selection from libraries of models", ICML, doi:10.1145/1015330.1015432.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.learners.job import Body

STEPS = 20
"""The number of steps. A candidate may be added several times, so that the weights are multiples of
one twentieth or more."""


@dataclass(frozen=True, eq=False)
class Member:
    """A learner of a vote, its weight, and the number of the encoding that it takes."""

    learner: str
    weight: float
    body: Body
    encoding: int


@dataclass(frozen=True, eq=False)
class WeightedVote:
    """Learners that predict together. The features are those of all encodings side by side.

    Attributes:
      members: Their weights add up to 1.
      widths: The number of features of each encoding.
    """

    members: tuple[Member, ...]
    widths: tuple[int, ...]

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, n_labels), or values (n,)."""
        parts = self._parts(x)
        terms = [
            member.weight * member.body.answers(parts[member.encoding]).astype(np.float64)
            for member in self.members
        ]
        return np.asarray(sum(terms), np.float32)

    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32] | None:
        """The last hidden activations of the first network (n, d); None without a network."""
        parts = self._parts(x)
        for member in self.members:
            of_body = getattr(member.body, "hidden", None)
            if of_body is not None:
                found: NDArray[np.float32] = of_body(parts[member.encoding])
                return found
        return None

    def _parts(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        return np.split(x, np.cumsum(self.widths)[:-1], axis=1)


def vote_weights(
    answers: Sequence[NDArray[Any]], y: NDArray[Any], counted: NDArray[Any]
) -> NDArray[np.float64]:
    """The weights with which the mean of candidates has the lowest loss, by ensemble selection.

    In each of `STEPS` steps, the candidate that lowers the loss of the mean most is added, possibly
    again. The weights are those of the step after which the loss was lowest.

    Args:
      answers: The probabilities (n, n_labels) or values (n,) of each candidate, for rows that it
        was not fitted to.
      y: Label codes (n,), or values (n,) in the same unit.
      counted: The weight of each row (n,).

    Returns:
      A weight for each candidate, which add up to 1, float64 (n_candidates,).
    """
    # For the log loss only the probability of the true label is needed, and for the squared error
    # only the error of each value.
    is_labels = answers[0].ndim == 2
    seen = np.stack([one[np.arange(len(y)), y] if is_labels else one - y for one in answers])
    seen = seen.astype(np.float64)
    total, counts = np.zeros(len(y)), np.zeros(len(answers))
    lowest, kept = np.inf, counts
    for n_members in range(1, STEPS + 1):
        means = (total + seen) / n_members
        each = -np.log(np.clip(means, 1e-7, 1)) if is_labels else means**2
        losses = each @ counted / counted.sum()
        best = int(losses.argmin())
        total, counts = total + seen[best], counts + (np.arange(len(answers)) == best)
        if losses[best] < lowest:
            lowest, kept = losses[best], counts / n_members
    return kept
