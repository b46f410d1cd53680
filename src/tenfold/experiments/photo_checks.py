"""Checks of photos: those of the test set that are nearly a photo of the training set."""

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
"""Photos of the test set that are looked at, at most, spread over all: their features are computed
once more, some 10 ms each on a core."""

NEARLY = 0.92
"""Cosine of the features of two photos from which on they are nearly one. Of 44,850 pairs of 300
flowers none has more than 0.895. Mirrored copies of these all have more, 98% of those that are
brighter by a quarter or cut to 92% of their sides, and 70% of those cut to 85%."""

OF_USUAL = 0.5
"""Nearly one are only photos whose angle is at most this share of the usual one between photos of
a label, which is small where all photos show one place: among the flowers it is 64 degrees."""

OF_LABEL = 200
"""Photos of a label whose angles are measured, at most."""

MAX_NAMED = 5


def near_photos(run: Run, problem: Problem, accepted: ImageInput) -> Iterator[Check]:
    """Test photos that are nearly a training photo, and the accuracy without them.

    `accepted` are photos as the run's model takes them, `problem` is about these.
    """
    data, split, images = problem.data, problem.split, problem.data.images
    known = np.sort(np.concatenate([split.train, split.validation]))
    test = split.test[
        np.linspace(0, len(split.test) - 1, min(len(split.test), MAX_TEST)).astype(int)
    ]
    test = test[~np.isin(data.duplicate_of[test], data.duplicate_of[known])]  # those are said
    if not len(test):
        return
    features = problem.features.of(images, known, accepted)
    # By themselves: what is kept of training photos holds no test photo.
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
    """Of each row (n,) the number of the other one at the least angle, and its cosine."""
    cosines = _directions(x) @ _directions(others).T
    nearest = cosines.argmax(axis=1)
    return nearest, cosines[np.arange(len(x)), nearest]


def _directions(x: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(lengths, 1e-12))


def _usual_angle(x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """The median angle between photos of one label, in radians; a right one where none has two."""
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
    """The score without those rows of the test set."""
    stored, measure = read_predictions(run), MEASURES["classification"]
    right = (stored.predicted == stored.true).astype(np.float64)[~is_near]
    if not len(right):
        return "No other test photo is left"
    score = measure.of_rows(right, stored.true[~is_near])
    return f"Without them the accuracy is {measure.shown(score)}"
