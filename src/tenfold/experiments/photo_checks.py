"""A check of photos: test photos that nearly equal a training photo."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tenfold.build.photos import PhotoFeatures
from tenfold.build.problem import Problem
from tenfold.core.contract import ImageInput
from tenfold.core.records import Check
from tenfold.core.text import and_more, percent
from tenfold.evaluation import MEASURES
from tenfold.evaluation.checks import check
from tenfold.runs.csv_files import read_predictions
from tenfold.runs.record import Run

MAX_TEST = 500
"""Maximum number of test photos that are checked. They are evenly spaced. Their features are
computed once more, which takes about 10 ms for each on one core."""

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


def near_photos(run: Run, problem: Problem, accepted: ImageInput) -> Iterator[Check]:
    """Find test photos that nearly equal a training photo, and the accuracy without them.

    `accepted` contains the photos in the form that the run's model takes, and `problem` uses the
    same photos.
    """
    data, split, images = problem.data, problem.split, problem.data.images
    known = np.sort(np.concatenate([split.train, split.validation]))
    test = split.test[
        np.linspace(0, len(split.test) - 1, min(len(split.test), MAX_TEST)).astype(int)
    ]
    # They are reported elsewhere.
    test = test[~np.isin(data.duplicate_of[test], data.duplicate_of[known])]
    if not len(test):
        return
    features = problem.features.of(images, known, accepted)
    # These features are computed separately, because the stored features must not contain those of
    # test photos.
    asked = PhotoFeatures(listener=problem.features.listener).of(images, test, accepted)
    nearest, cosine = _nearest(asked, features)
    is_near = cosine >= max(NEARLY, np.cos(OF_USUAL * _usual_angle(features, data.y[known])))
    if not is_near.any():
        return
    order = np.flatnonzero(is_near)[np.argsort(-cosine[is_near], kind="stable")]
    pairs = list(zip(test[order].tolist(), known[nearest[order]].tolist(), strict=True))
    share = f"{len(pairs):,} of {len(test):,} test photos ({percent(len(pairs) / len(test))})"
    n_other = sum(int(data.y[a] != data.y[b]) for a, b in pairs)
    answers = f", {n_other:,} of them with another label" if n_other else ""
    named = ", ".join(f"{data.keys[a]} is nearly {data.keys[b]}" for a, b in pairs[:MAX_NAMED])
    named += and_more(MAX_NAMED, len(pairs))
    text = f"{share} are nearly a training photo{answers}: {named}"
    yield check("C01", f"{text}. {_without(run, np.isin(split.test, test[order]))}")


def _nearest(
    x: NDArray[np.float32], others: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each row (n,), the number of the other row with the smallest angle, and the cosine of
    that angle."""
    cosines = _directions(x) @ _directions(others).T
    nearest = cosines.argmax(axis=1)
    return nearest, cosines[np.arange(len(x)), nearest]


def _directions(x: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(lengths, 1e-12))


def _usual_angle(x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """The median angle between photos of the same label, in radians. It is a right angle if no
    label has two photos."""
    found = []
    for code in np.unique(y):
        rows = np.flatnonzero(y == code)
        own = _directions(
            x[rows[np.linspace(0, len(rows) - 1, min(len(rows), OF_LABEL)).astype(int)]]
        )
        found.append((own @ own.T)[np.triu_indices(len(own), 1)])
    angles = np.arccos(np.clip(np.concatenate(found), -1, 1))
    return float(np.median(angles)) if angles.size else np.pi / 2


def _without(run: Run, is_near: NDArray[np.bool]) -> str:
    """The score of the test set without the given rows."""
    stored, measure = read_predictions(run), MEASURES["classification"]
    right = (stored.predicted == stored.true).astype(np.float64)[~is_near]
    if not len(right):
        return "No other test photo is left"
    score = measure.of_rows(right, stored.true[~is_near])
    return f"Without them the accuracy is {measure.shown(score)}"
