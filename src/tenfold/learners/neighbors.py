"""The learner `neighbors`: the vote of the most similar training rows.

Coordinates are rounded to a grid. It is fine enough that accuracy does not suffer, and coarse
enough that every squared distance is an integer below 2**53. Sums of integers are exact in float64
in any order, so that every runtime finds the same neighbours. If distances are equal, the first row
wins.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.settings import Settings
from tenfold.inputs.features import features
from tenfold.learners.choice import Choice
from tenfold.learners.job import Examples, Fitted, TrainingJob

MAX_DIMENSIONS = 50
"""Pictures, and rows with more columns than this, are reduced to this many principal components."""

CHOICES = (3, 5, 10, 20, 50)
"""Numbers of neighbours that are tried by default."""

MAX_CHOOSING = 2_000
"""Maximum number of validation rows with which the number of neighbours is chosen."""

AT_ONCE_BYTES = 1 << 27
"""Maximum number of distances in memory."""

NEAR_ZERO = 1e-6
"""Added to each distance, in steps of the grid. It is so small that an equal row outvotes all
others."""


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Training rows on a grid, and their votes.

    The place of a row is `rint((x - center) / step)` or, if there are axes, `rint(x @ axes +
    offset)`, clipped to `limit`.

    Attributes:
      center: float64 (d,).
      axes: Principal components divided by the step, float64 (d, c), or None.
      limit: Largest coordinate.
      places: The training rows on the grid, int32 (m, c).
      votes: For each training row, its weighted vote for each label, or its weighted value, and
        finally the weight itself, float32 (m, k + 1).
      k: Number of neighbours that vote. With `by_distance`, their weights are 1 / distance.
      is_value: Whether the prediction is a value instead of probabilities.
    """

    center: NDArray[np.float64]
    step: float
    axes: NDArray[np.float64] | None
    limit: int
    places: NDArray[np.int32]
    votes: NDArray[np.float32]
    k: int
    by_distance: bool
    is_value: bool

    @property
    def offset(self) -> NDArray[np.float64]:
        """The number added to `x @ axes`, float64 (c,)."""
        assert self.axes is not None
        return -(self.center @ self.axes)

    @property
    def rows_at_once(self) -> int:
        """Number of rows whose distances to all training rows fit into 128 MiB."""
        return max(1, AT_ONCE_BYTES // (8 * len(self.places)))

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        distances, rows = self.nearest(x, self.k)
        return self.vote(distances, rows, self.by_distance)

    def nearest(self, x: NDArray[Any], k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances in steps of the grid, and numbers, of the `k` nearest training rows, both (n,
        k).

        They are sorted by distance, and equal ones by the order of the training rows.
        """
        found = [
            self._nearest(x[start : start + self.rows_at_once], k)
            for start in range(0, len(x), self.rows_at_once)
        ]
        distances, rows = zip(*found, strict=True)
        return np.concatenate(distances), np.concatenate(rows)

    def _nearest(self, x: NDArray[Any], k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        places = self.place(features(x))
        known = self.places.astype(np.float64)
        closeness = 2 * places @ known.T - (known**2).sum(axis=1)
        last = np.partition(closeness, -k, axis=1)[:, [-k]]
        near = [np.flatnonzero(row) for row in closeness >= last]  # ties may add more
        rows = np.array(
            [
                found[np.argsort(-line[found], kind="stable")[:k]]
                for line, found in zip(closeness, near, strict=True)
            ]
        )
        squares = (places**2).sum(axis=1, keepdims=True) - np.take_along_axis(closeness, rows, 1)
        return np.sqrt(squares), rows

    def place(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The integer coordinates of rows (n, d), float64 (n, c)."""
        wide = x.astype(np.float64)
        if self.axes is None:
            exact = (wide - self.center) / self.step
        else:
            exact = wide @ self.axes + self.offset
        return np.clip(np.rint(exact), -self.limit, self.limit)

    def vote(
        self, distances: NDArray[np.float64], rows: NDArray[np.int64], by_distance: bool
    ) -> NDArray[np.float32]:
        """Predictions from neighbours, both (n, k)."""
        votes = self.votes[rows].astype(np.float64)  # (n, k, labels + 1)
        if by_distance:
            votes *= (1 / (distances + NEAR_ZERO))[:, :, None]
        total = votes.sum(axis=1)
        answers: NDArray[np.float32] = (total[:, :-1] / total[:, -1:]).astype(np.float32)
        return answers[:, 0] if self.is_value else answers


def fit_neighbors(job: TrainingJob) -> Fitted:
    """Store the training rows, and choose how they vote by the squared error on the validation
    rows.

    Rows of weight 0 are left out. Without validation rows, 5 neighbours vote with equal weights.
    """
    settings, n_labels = job.settings, job.n_labels
    train = job.train.take(job.train.weights > 0)
    x, y, weight = features(train.x), train.y, train.weights[:, None]
    is_picture = train.x.dtype == np.uint8
    votes = y[:, None].astype(np.float32) if n_labels is None else np.eye(n_labels)[y]
    body = Neighbors(
        **_grid(x, is_picture, settings.seed),
        votes=np.concatenate([votes * weight, weight], axis=1).astype(np.float32),
        k=min(settings.n_neighbors or 5, len(y)),
        by_distance=False,
        is_value=n_labels is None,
    )
    body, note, judged = _choose(body, job.validation, settings)
    is_most = judged is not None and not settings.n_neighbors and body.k == max(CHOICES)
    return Fitted(
        "neighbors",
        body,
        body.places.size,
        note=note,
        judged=judged,
        rows_at_once=body.rows_at_once,
        at_edge=(f"n_neighbors {body.k}, the most that were tried",) if is_most else (),
    )


def _grid(x: NDArray[np.float32], is_picture: bool, seed: int) -> dict[str, Any]:
    """Center, step, axes and limit of the grid, and the places of `x` on it, as in `Neighbors`."""
    axes = None
    if is_picture or x.shape[1] > MAX_DIMENSIONS:
        from sklearn.decomposition import PCA

        analysis = PCA(min(MAX_DIMENSIONS, *x.shape), random_state=seed).fit(x)
        axes = analysis.components_.T.astype(np.float64)
    center = x.mean(axis=0, dtype=np.float64)
    exact = x.astype(np.float64) - center
    exact = exact if axes is None else exact @ axes
    # Squared distances reach c * (2 * limit)**2.
    limit = int(np.sqrt(2**53 / (4 * exact.shape[1])))
    # Rows to predict may be four times as far from the centre before they are clipped.
    step = float(np.abs(exact).max() * 4 / limit) or 1.0
    places = np.rint(exact / step).astype(np.int32)
    axes = axes if axes is None else axes / step
    return dict(center=center, step=step, axes=axes, limit=limit, places=places)


def _choose(
    body: Neighbors, validation: Examples | None, settings: Settings
) -> tuple[Neighbors, str, NDArray[np.float32] | None]:
    """Choose how many neighbours vote, and whether nearer ones have more weight. Also returns
    predictions for the validation rows, each with a choice made without the row."""
    if validation is None:
        return body, f"{body.k} neighbours, all alike", None
    few = validation.take(slice(MAX_CHOOSING))
    x, y, weight = few.x, few.y, few.weight
    true = y if body.is_value else np.eye(body.votes.shape[1] - 1)[y]
    tried = [settings.n_neighbors] if settings.n_neighbors else CHOICES
    tried = sorted({min(k, len(body.places)) for k in tried})
    distances, rows = body.nearest(x, max(tried))
    errors, choice = {}, Choice(few, y.shape if body.is_value else true.shape)
    for k in tried:
        for by_distance in (False, True):
            answers = body.vote(distances[:, :k], rows[:, :k], by_distance)
            squares = ((answers - true) ** 2).reshape(len(y), -1).sum(axis=1)
            choice.offer(answers, squares)
            errors[k, by_distance] = float(np.average(squares, weights=weight))
    k, by_distance = min(errors, key=lambda choice: errors[choice])
    how = "weighted by 1 / distance" if by_distance else "all alike"
    body = replace(body, k=k, by_distance=by_distance)
    more = validation.x[MAX_CHOOSING:]  # these took no part in any choice
    judged = np.concatenate([choice.answers, body.answers(more)]) if len(more) else choice.answers
    return body, f"{k} neighbours, {how}, chosen on the validation rows", judged
