"""Votes of the candidates of `auto`.

Weights are not evaluated on the rows that chose them: each part of the rows is predicted with the
weights that are chosen on the other parts. Test rows never come here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.onnx.fronts import join_encodings
from tenfold.build.problem import Prepared
from tenfold.learners import LEARNERS, Fitted
from tenfold.learners.vote import Member, WeightedVote, vote_weights

VOTE = "vote"
"""The name of a vote in place of the name of a learner."""


@dataclass(frozen=True, eq=False)
class VoteFound:
    """A vote of several candidates.

    Attributes:
      weights: The weight of each member, by the number of the candidate.
      answers: The prediction for each row (n, ...), with the weights that are chosen on the other
        parts.
    """

    weights: Mapping[int, float]
    answers: NDArray[np.float32]


def find_vote(
    answers: Sequence[NDArray[Any]],
    y: NDArray[Any],
    part_of: NDArray[np.int64],
    weight: NDArray[np.float32] | None = None,
) -> VoteFound | None:
    """Find the best vote of candidates.

    Args:
      answers: The predictions of each candidate for rows outside its fit, (n, n_labels) or (n,).
      y: Label codes or values of the rows (n,), in the unit of the answers.
      part_of: The part of each row (n,).
      weight: The weight of each row (n,). None: all rows count the same.

    Returns:
      The vote. None if a single candidate has the lowest loss.
    """
    counted = np.ones(len(y)) if weight is None else weight
    weights = vote_weights(answers, y, counted)
    if np.count_nonzero(weights) < 2:
        return None
    crossed = np.empty(answers[0].shape, np.float32)
    for part in np.unique(part_of):
        own, others = part_of == part, part_of != part
        of_others = vote_weights([one[others] for one in answers], y[others], counted[others])
        crossed[own] = mean_of([one[own] for one in answers], of_others)
    return VoteFound({int(i): float(weights[i]) for i in np.flatnonzero(weights)}, crossed)


def mean_of(answers: Sequence[NDArray[Any]], weights: Iterable[float]) -> NDArray[np.float32]:
    """The weighted mean of several predictions (n, ...)."""
    terms = (weight * one.astype(np.float64) for one, weight in zip(answers, weights, strict=True))
    return np.asarray(sum(terms), np.float32)


def standard_error(
    differences: NDArray[np.float64], group: NDArray[np.int64] | None = None
) -> float:
    """The standard error of the mean of differences (n,). Rows of the same group (n,) are treated
    as dependent. It is infinite with fewer than two rows or groups."""
    centred = differences - differences.mean()
    if group is not None:
        centred = np.bincount(np.unique(group, return_inverse=True)[1], centred)
    n = len(centred)
    if n < 2:
        return np.inf
    return float(np.sqrt(np.square(centred).sum() * n / (n - 1))) / len(differences)


def fit_vote(
    members: Sequence[tuple[Prepared, Fitted]],
    weights: Sequence[float],
    judged: NDArray[np.float32] | None,
) -> tuple[Prepared, Fitted]:
    """Combine fitted learners and their weights into one, with the rows in all their encodings.

    `judged` contains the predictions of the vote for the validation rows if these chose its
    weights, and is None otherwise.
    """
    # Novelty is computed from the first encoding, which has to bring all columns to one scale.
    by_scale = sorted(members, key=lambda one: not LEARNERS[one[1].learner].scaled)
    encodings = list(dict.fromkeys(prepared for prepared, _ in by_scale))
    fits = [fitted for _, fitted in members]
    body = WeightedVote(
        tuple(
            Member(fitted.learner, weight, fitted.body, encodings.index(own))
            for (own, fitted), weight in zip(members, weights, strict=True)
        ),
        tuple(one.train.x.shape[1] for one in encodings),
    )
    prepared = _joined(encodings)
    if judged is None and prepared.validation is not None:
        judged = mean_of([_judged(*member) for member in members], weights)
    notes = [f"{fitted.learner}: {fitted.note}" for fitted in fits if fitted.note]
    limits = [fitted.rows_at_once for fitted in fits if fitted.rows_at_once is not None]
    fitted = Fitted(
        VOTE,
        body,
        sum(fitted.parameters for fitted in fits),
        history=next((fitted.history for fitted in fits if fitted.history), ()),
        note="; ".join(notes) or None,
        judged=judged,
        rows_at_once=min(limits, default=None),
        vote={fitted.learner: weight for fitted, weight in zip(fits, weights, strict=True)},
        at_edge=tuple(f"{fitted.learner}: {edge}" for fitted in fits for edge in fitted.at_edge),
    )
    return prepared, fitted


def _joined(encodings: Sequence[Prepared]) -> Prepared:
    """The rows with the columns of all encodings side by side."""
    first = encodings[0]
    if len(encodings) == 1:
        return first
    train = first.train._replace(x=np.concatenate([one.train.x for one in encodings], axis=1))
    held = [one.validation for one in encodings if one.validation is not None]
    wide = [held[0]._replace(x=np.concatenate([one.x for one in held], axis=1))] if held else []
    return replace(
        first,
        train=train,
        validation=next(iter(wide), None),
        encoding=join_encodings([one.encoding for one in encodings]),
        n_near=first.train.x.shape[1],
    )


def _judged(prepared: Prepared, fitted: Fitted) -> NDArray[np.float32]:
    """The predictions of a member for the validation rows, which did not choose its weight."""
    assert prepared.validation is not None
    return fitted.answers(prepared.validation.x) if fitted.judged is None else fitted.judged
