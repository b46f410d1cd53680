"""A check of photos: test photos that nearly equal a training photo."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.photos import PhotoFeatures
from tenfold.build.problem import Problem
from tenfold.core.records import Check
from tenfold.core.text import and_more, percent
from tenfold.data.dataset import Dataset
from tenfold.evaluation import MEASURES
from tenfold.evaluation.checks import check
from tenfold.learners import LEARNERS
from tenfold.runs.csv_files import read_predictions
from tenfold.runs.record import Run

MAX_TEST = 2_000
"""Maximum number of test photos that are compared. They are evenly spaced. Their features are
computed for this, which takes about 20 ms for each on one core."""

MAX_OF_OTHERS = 1_000
"""Maximum number of photos that are compared if the learner needs no features, because those of all
training photos are then computed for this. More are compared if `auto` has computed them."""

LEAST_PX = 64
"""For other learners, smaller photos are not compared. They are enlarged to 224 pixels, which makes
their features alike."""

NEARLY = 0.92
"""Two photos whose features have at least this cosine similarity are near duplicates. None of
44,850 pairs of 300 photos of flowers has more than 0.895. Of altered copies of these photos, all
mirrored ones have more, 98% of those that are a quarter brighter or cropped to 92% of their sides,
and 70% of those that are cropped to 85%."""

OF_USUAL = 0.5
"""The angle between near duplicates must also be at most this share of the median angle between
photos of the same label. That angle is 64 degrees for the flowers, and small if all photos show the
same place."""

OF_LABEL = 200
"""Maximum number of photos of each label from which the median angle is computed."""

MAX_NAMED = 5


def near_photos(run: Run, problem: Problem) -> Iterator[Check]:
    """Find test photos that nearly equal a training photo, and the accuracy on the other test
    photos that were compared."""
    data, split = photos_of(run, problem), problem.split
    if data is None:
        return
    accepted: Any = data.input
    known = np.sort(np.concatenate([split.train, split.validation]))
    test = split.test[_spread(len(split.test), MAX_TEST)]
    # Copies are reported elsewhere.
    test = test[~np.isin(data.duplicate_of[test], data.duplicate_of[known])]
    if not len(test):
        return
    features = problem.features.of(data.images, known, accepted)
    # These features are computed separately, because the stored features must not contain those of
    # test photos.
    asked = PhotoFeatures(listener=problem.features.listener).of(data.images, test, accepted)
    nearest, cosine = _nearest(asked, features)
    is_near = cosine >= max(NEARLY, np.cos(OF_USUAL * _usual_angle(features, data.y[known])))
    if not is_near.any():
        return
    order = np.flatnonzero(is_near)[np.argsort(-cosine[is_near], kind="stable")]
    pairs = list(zip(test[order].tolist(), known[nearest[order]].tolist(), strict=True))
    compared = "" if len(test) == len(split.test) else "compared "
    share = f"{len(pairs):,} of {len(test):,} {compared}test photos"
    n_other = sum(int(data.y[a] != data.y[b]) for a, b in pairs)
    answers = f", {n_other:,} of them with another label" if n_other else ""
    named = ", ".join(f"{data.keys[a]} is nearly {data.keys[b]}" for a, b in pairs[:MAX_NAMED])
    named += and_more(MAX_NAMED, len(pairs))
    text = f"{share} ({percent(is_near.mean())}) are nearly a training photo{answers}: {named}"
    others = np.isin(split.test, test[~is_near])
    yield check("C01", f"{text}. {_accuracy(run, others, compared)}")


def photos_of(run: Run, problem: Problem) -> Dataset | None:
    """The data as photos whose features are known or cheap, or None: they are no photos in colour,
    or too many."""
    data, split, learner = problem.data, problem.split, run.model.contract.learners[0]
    if LEARNERS[learner].photos:
        return data.seen_as(run.model.contract.input)
    photos = None if data.pictures is None else data.pictures.photos
    if photos is None or data.x.ndim < 4 or min(photos.input.shape[:2]) < LEAST_PX:
        return None
    known = np.concatenate([split.train, split.validation])
    is_few = len(known) + len(split.test) <= MAX_OF_OTHERS
    return data.as_photos() if is_few or problem.features.are_known(known) else None


def _spread(n: int, at_most: int) -> NDArray[np.int64]:
    """At most so many numbers below n, spread over all."""
    return np.linspace(0, n - 1, min(n, at_most)).astype(np.int64)


def _nearest(
    x: NDArray[np.float32], others: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each row (n,), the number of the other row with the smallest angle, and the cosine of
    that angle."""
    rows = _directions(x)
    nearest, best = np.zeros(len(x), np.int64), np.full(len(x), -np.inf, np.float32)
    for start in range(0, len(others), AT_ONCE):
        cosines = rows @ _directions(others[start : start + AT_ONCE]).T
        found = cosines.argmax(axis=1)
        cosine = cosines[np.arange(len(x)), found]
        is_nearer = cosine > best
        nearest[is_nearer], best[is_nearer] = start + found[is_nearer], cosine[is_nearer]
    return nearest, best


AT_ONCE = 4_096
"""Number of training photos that are compared at once: at most 32 MB of cosines."""


def _directions(x: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(lengths, 1e-12))


def _usual_angle(x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """The median angle between photos of the same label, in radians. It is a right angle if no
    label has two photos."""
    found = []
    for code in np.unique(y):
        rows = np.flatnonzero(y == code)
        own = _directions(x[rows[_spread(len(rows), OF_LABEL)]])
        found.append((own @ own.T)[np.triu_indices(len(own), 1)])
    angles = np.arccos(np.clip(np.concatenate(found), -1, 1))
    return float(np.median(angles)) if angles.size else np.pi / 2


def _accuracy(run: Run, is_counted: NDArray[np.bool], compared: str) -> str:
    """The accuracy on the given rows of the test set."""
    stored, measure = read_predictions(run), MEASURES["classification"]
    right = (stored.predicted == stored.true).astype(np.float64)[is_counted]
    if not len(right):
        return f"No other {compared}test photo is left"
    score = measure.of_rows(right, stored.true[is_counted])
    return f"The accuracy on the other {len(right):,} {compared}photos is {measure.shown(score)}"
