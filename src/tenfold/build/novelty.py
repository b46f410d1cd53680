"""Novelty: how much an input differs from the training rows, by distances that are fitted to
training rows and a threshold from validation rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.build.calibration import SMALLEST, check_lengths
from tenfold.build.strangers import Images, bent, draw_strangers
from tenfold.core.contract import ImageInput
from tenfold.inputs.features import features

UNSURE_SHARE = 0.02
"""Share of validation rows whose novelty exceeds the threshold."""

UNSURE_PICTURES = 1 / 60
"""The same share for pictures other than photos. If 5,000 of them set the threshold, at most 2% of
new ones exceed it in 95 of 100 cases (the standard error is 0.2 points)."""

UNSURE_PHOTOS = 0.04
"""The same share for photos. With 20 photos of each of five flowers, 2% would be the two most
unusual ones. With this share, 96.7% of the pictures of other things are unsure, and 3.2% of the
test photos (`python -m bench.photos`)."""

MAX_AXES = 64
"""Maximum number of principal axes, which limits the file."""

WIDE_SHARE = 0.1
"""If less than this share of the variance is off the axes, float32 causes errors of 1e-4
(observed)."""

FINE_DETAIL = 20
"""If the variance of the rows is more than this many times the variance that counts as 1 off the
axes and the root of the number of columns, float32 causes such errors, too. So it is with a few
numbers beside a thousand words, whose differences of 0.02 count as much as those of 1."""

ROWS_PER_CENTRE = 20

MAX_EXACT = 1_000
"""With more columns than this, the axes are found by random projections, which takes seconds."""

LEAST_SPREAD = 1e-2
"""Directions with less than this share of the mean variance are treated as if they had this
share."""

OFF = 4.0
"""Weight of the squared distance off the axes, compared with that along them. A weight of 1 detects
a few more letters, 4 detects more clothes, and 8 detects fewer letters (`python -m
bench.novelty`)."""

DOUBT = 0.5
"""Weight of the doubt of a prediction, compared with a distance and the strangeness of the same
rows. If it did not grow with strangeness, 15 of 87 wrong validation digits would be unsure instead
of 38 (network)."""

LEAST_DOUBT = 0.01
"""Doubt that varies less than a hundredth of a probability is not magnified further, because the
last bits of a probability would decide what is unsure (observed for a label of one row in a
hundred, whose doubt varied by 0.00002)."""


STRANGE = 1.0
"""Weight of strangeness, compared with the distance of the same rows. With three times as much, 4
to 8 more of 100 letters are unsure, and 6 to 8 more of 100 of scikit-learn's digits."""

MAX_KNOWN = 20_000
"""Maximum number of pictures that are told from as many strangers. 60,000 find 67 instead of 63% of
letters (network), and take three times as long."""

MAX_VALUES = 20_000_000
"""Maximum number of values in rows to which a part is fitted, down to 1,000 rows: 80 MB."""

NEURONS, BATCH, EPOCHS, RATE = 64, 256, 10, 2e-3
"""The network that tells strangers: its hidden layer, and its training by Adam with a falling
rate."""


MAX_AT_ONCE = 1 << 21
"""Number of values that are computed with at a time: 16 MB in float64, about five times."""


def in_parts(
    measure: Callable[[NDArray[np.float32]], NDArray[np.float64]], rows: NDArray[Any], width: int
) -> NDArray[np.float64]:
    """One number (n,) for each of the rows (n, width), or pictures, measured a few at a time."""
    step = max(1, MAX_AT_ONCE // width)
    parts = (rows[start : start + step] for start in range(0, len(rows), step))
    return np.concatenate([np.empty(0), *(measure(features(part)) for part in parts)])


@dataclass(frozen=True, eq=False)
class Distance:
    """The distance of rows from the training rows, in standard deviations or unscaled.

    With x = row - mean and y = x @ axes, its square is min |y @ whitening - centre|**2 + (|x|**2 -
    |y|**2) / rest.

    Attributes:
      mean: The mean of the training rows, (d,).
      axes: Their principal axes, orthonormal, (d, c).
      whitening: Makes the spread around the centres 1 in each direction, (c, c), or None.
      centres: The centres of the training rows, whitened, (m, c).
      rest: The variance off the axes that is scaled to 1.
      wide: Whether |x|**2 - |y|**2 is computed in float64, because the part off the axes is small.
      middle: The distance that is scaled to 0: the median of the validation rows.
      scale: The difference between the distance at the threshold, which is scaled to 1, and
        `middle`.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    whitening: NDArray[np.float32] | None
    centres: NDArray[np.float32]
    rest: float
    wide: bool = True
    middle: float = 0.0
    scale: float = 1.0

    def of(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """The scaled distance (n,) of rows (n, d), or of pictures, computed a few at a time."""
        return in_parts(self._of, rows, len(self.mean))

    def _of(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        x = rows.astype(np.float64) - self.mean
        y = x @ self.axes.astype(np.float64)
        off = ((x**2).sum(axis=1) - (y**2).sum(axis=1)) / self.rest
        z, centres = y, self.centres.astype(np.float64)
        if self.whitening is not None:
            z = y @ self.whitening.astype(np.float64)
        closeness = 2 * z @ centres.T - (centres**2).sum(axis=1)
        square = np.maximum((z**2).sum(axis=1) - closeness.max(axis=1) + off, 0)
        distance: NDArray[np.float64] = (np.sqrt(square) - self.middle) / self.scale
        return distance


@dataclass(frozen=True, eq=False)
class Angle:
    """The distance of the directions of rows from those of the training rows: 1 - their cosine.

    Each feature of a photo adds up how strongly a pattern occurs in it. The overall strength of the
    features carries little information, but their proportions depend on what the photo shows.

    Attributes:
      centres: Directions of the training rows, of length 1, (m, d).
      middle, scale: As in `Distance`.
    """

    centres: NDArray[np.float32]
    middle: float = 0.0
    scale: float = 1.0

    def of(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """The scaled distance (n,) of rows (n, d) from the nearest centre."""
        x, centres = rows.astype(np.float64), self.centres.astype(np.float64)
        length = np.maximum(np.sqrt((x**2).sum(axis=1)), SHORTEST)
        angle = 1 - (x @ centres.T).max(axis=1) / length
        distance: NDArray[np.float64] = (angle - self.middle) / self.scale
        return distance


SHORTEST = 1e-6
"""Minimum length of rows, because a row whose features are all 0 has no direction."""


@dataclass(frozen=True, eq=False)
class Strangeness:
    """The log-odds of a row to be a stranger instead of a training row, by a network with one
    hidden layer.

    Attributes:
      of_hidden: Whether the rows are hidden values, and not features.
      kernel, bias: Of the hidden layer, (d, h) and (h,).
      output, output_bias: Of the output, (h,) and a number.
      middle, scale: As in `Distance`.
    """

    of_hidden: bool
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: float
    middle: float = 0.0
    scale: float = 1.0

    def of(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """The scaled log-odds (n,) of rows (n, d), or of pictures."""
        return in_parts(self._of, rows, len(self.kernel))

    def _of(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        awake = np.maximum(rows @ self.kernel + self.bias, 0)
        odds = (awake @ self.output).astype(np.float64) + self.output_bias
        scaled: NDArray[np.float64] = (odds - self.middle) / self.scale
        return scaled


@dataclass(frozen=True, eq=False)
class Novelty:
    """How much a row differs from the training rows: 0 for the median validation row, 1 at the
    threshold.

    It is (distance of the features + distance of the hidden values + strangeness + doubt) / unit,
    where doubt is (-log(largest probability) - doubt_middle) * doubt_weight. Features (n, d) are
    the learner's input, and hidden values a network's last hidden activations; other learners have
    none. Only pictures have strangeness.
    """

    features: Distance | Angle
    hidden: Distance | None
    doubt_middle: float = 0.0
    doubt_weight: float = 0.0
    unit: float = 1.0
    strangeness: Strangeness | None = None

    def of(
        self,
        features: NDArray[Any],
        hidden: NDArray[np.float32] | None,
        probabilities: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The novelty (n,) of rows, as the graph computes it: from the learner's input (n, d), or
        pictures uint8 (n, ...), hidden values (n, h) and calibrated probabilities (n, n_labels)."""
        total = self.features.of(features)
        if self.hidden is not None and hidden is not None:
            total += self.hidden.of(hidden)
        if self.strangeness is not None:
            rows = hidden if self.strangeness.of_hidden else features
            assert rows is not None  # as the strangeness was fitted to such rows
            total += self.strangeness.of(rows)
        total += self.doubt_weight * (_doubt(probabilities) - self.doubt_middle)
        return (total / self.unit).astype(np.float32)


def _doubt(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    best = probabilities.max(axis=1).astype(np.float64)
    doubt: NDArray[np.float64] = -np.log(np.maximum(best, SMALLEST))
    return doubt


def fit_distance(
    rows: ArrayLike, y: ArrayLike, *, per_label: int = 1, whitened: bool = True
) -> Distance | None:
    """Fit axes and centres to training rows (n, d), or pictures uint8, with label codes (n,).

    The result is None if they do not vary.

    Each label has a centre for every 20 of its rows, at most `per_label`. Unless `whitened`,
    distances are in the unit of the rows instead of standard deviations around the centres. This is
    better for pictures, whose pixels all have the same unit: small details do not get too much
    weight.

    Source: Lee et al. 2018, arXiv:1807.03888, section 2.1, Mahalanobis distance to the nearest
      label's mean. The part off the axes is as in Wang et al. 2022, arXiv:2203.10807.
    """
    x, codes = features(np.asarray(rows)), np.asarray(y, np.int64)
    check_lengths(rows=len(x), y=len(codes))
    mean = x.mean(axis=0, dtype=np.float64)
    x = x - mean.astype(np.float32)
    total = float(np.square(x).mean(axis=0, dtype=np.float64).sum())
    if total <= 0:
        return None
    values, axes = _principal_axes(x)
    n_axes = int((values > LEAST_SPREAD * total / x.shape[1]).sum())
    axes = axes[:, :n_axes]
    off = max(total - float(values[:n_axes].sum()), LEAST_SPREAD * total)
    rest = off / max(1, x.shape[1] - n_axes)
    place = (x @ axes).astype(np.float64)
    found, which = np.unique(codes, return_inverse=True)
    groups = [place[which == label] for label in range(len(found))]
    whitening = _whitening(groups) if whitened else None
    if whitening is None:
        rest = 1 / OFF
    else:
        groups = [rows @ whitening for rows in groups]
    centres = np.concatenate([_centres(rows.astype(np.float32), per_label) for rows in groups])
    return Distance(
        mean.astype(np.float32),
        axes.astype(np.float32),
        None if whitening is None else whitening.astype(np.float32),
        centres,
        rest,
        off < WIDE_SHARE * total or total > FINE_DETAIL * x.shape[1] ** 0.5 * rest,
    )


def known_and_strange(
    x: Any, y: NDArray[np.int64], accepted: ImageInput, labels: Sequence[str]
) -> tuple[Images, Images]:
    """Training pictures (n, ...), bent, with label codes (n,), and about as many strangers, both in
    random order."""
    n = min(2 * len(y), MAX_KNOWN, max(1_000, MAX_VALUES // x[0].size))
    rng = np.random.default_rng(0)
    rows = np.linspace(0, len(y) - 1, n).astype(np.int64)
    order = rng.permutation(n)
    images, codes = np.asarray(x[rows], np.uint8)[order], y[rows][order]
    return bent(images, rng), draw_strangers(images, codes, accepted, labels, rng)


def fit_strangeness(
    known: NDArray[Any], strange: NDArray[Any], *, of_hidden: bool = False
) -> Strangeness:
    """Fit the network that tells strangers from training rows, each (n, d) or pictures uint8.

    Adam in NumPy, because JAX would compile for a second for each number of rows; on one thread,
    because others wait for each other at each of the small products, and so that the bits do not
    depend on their number.

    Source: Hendrycks et al. 2019, arXiv:1812.04606; Kingma and Ba 2015, arXiv:1412.6980.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    x = np.concatenate([known.reshape(len(known), -1), strange.reshape(len(strange), -1)])
    y = np.repeat(np.array([0, 1], np.float32), [len(known), len(strange)])
    unit = np.float32(features(x[::97]).std()) or np.float32(1)
    d, h = x.shape[1], NEURONS
    arrays = [
        rng.normal(0, np.sqrt(2 / d), (d, h)).astype(np.float32),
        np.zeros(h, np.float32),
        rng.normal(0, np.sqrt(2 / h), h).astype(np.float32),
        np.zeros(1, np.float32),
    ]
    first, second = ([np.zeros_like(array) for array in arrays] for _ in range(2))
    per_epoch = max(1, len(x) // BATCH)
    n_steps = EPOCHS * per_epoch
    with threadpool_limits(1):
        for step in range(n_steps):
            if step % per_epoch == 0:
                order = rng.permutation(len(x))
            batch = order[step % per_epoch :: per_epoch]
            gradients = _gradients(arrays, features(x[batch]) / unit, y[batch])
            rate = RATE * (1 - step / n_steps)
            rate *= np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
            for array, gradient, mean, square in zip(arrays, gradients, first, second, strict=True):
                mean += np.float32(0.1) * (gradient - mean)
                square += np.float32(0.001) * (gradient**2 - square)
                array -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
    kernel, bias, output, output_bias = arrays
    return Strangeness(of_hidden, kernel / unit, bias, output, float(output_bias[0]))


def _gradients(
    arrays: Sequence[NDArray[np.float32]], rows: NDArray[np.float32], y: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """The gradients of the mean cross-entropy of rows (n, d) with answers 0 or 1 (n,)."""
    kernel, bias, output, output_bias = arrays
    awake = np.maximum(rows @ kernel + bias, 0)
    odds = awake @ output + output_bias
    error = (np.tanh(odds / 2) / 2 + np.float32(0.5) - y) / np.float32(len(y))
    behind = np.outer(error, output) * (awake > 0)
    return [rows.T @ behind, behind.sum(axis=0), awake.T @ error, error.sum(keepdims=True)]


def fit_angle(x: NDArray[Any], y: NDArray[Any]) -> Angle:
    """The directions of training rows (n, d) with label codes (n,). Each label has one for every 20
    of its rows, and at most 20."""
    units = _directions(x)
    groups = [units[y == label] for label in np.unique(y)]
    return Angle(np.concatenate([_directions(_centres(rows, MAX_ANGLES)) for rows in groups]))


MAX_ANGLES = 20
"""Maximum number of directions of each label."""


def _directions(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1, keepdims=True))
    directions: NDArray[np.float32] = (rows / np.maximum(length, SHORTEST)).astype(np.float32)
    return directions


def distances_to_others(
    fit: Callable[[Any, Any], Distance | Angle | None],
    x: NDArray[Any],
    y: NDArray[Any],
    part_of: NDArray[np.int64],
) -> NDArray[np.float64] | None:
    """The distance of each row (n,) from the rows of the other parts. `fit` is given rows and their
    label codes. None if some of them do not vary."""
    distances = np.zeros(len(x))
    for part in np.unique(part_of):
        own = part_of == part
        found = fit(x[~own], y[~own])
        if found is None:
            return None
        distances[own] = found.of(x[own])
    return distances


def _whitening(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """A matrix (c, c) that scales the spread of groups of rows (n, c) around their means to 1 in
    each direction."""
    around = np.concatenate([rows - rows.mean(axis=0) for rows in groups])
    spread, directions = np.linalg.eigh(around.T @ around / len(around))
    floor = LEAST_SPREAD * float(spread.mean()) or float(np.square(np.concatenate(groups)).sum())
    whitening: NDArray[np.float64] = directions / np.sqrt(np.maximum(spread, floor))
    return whitening


def _principal_axes(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Variances, largest first, and axes (d, c) of centred rows (n, d), at most `MAX_AXES`."""
    if x.shape[1] <= MAX_EXACT:
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        return values[::-1][:MAX_AXES], vectors[:, ::-1][:, :MAX_AXES]
    from sklearn.utils.extmath import randomized_svd

    n_axes = min(MAX_AXES, *x.shape)
    _, singular, transposed = randomized_svd(x, n_axes, random_state=0)
    return singular**2 / len(x), transposed.T


def _centres(rows: NDArray[np.float32], at_most: int) -> NDArray[np.float32]:
    """The centres after ten steps of Lloyd's algorithm on rows (n, c), starting from evenly spaced
    rows.

    Source: Lloyd 1982, doi:10.1109/TIT.1982.1056489.
    """
    k = min(at_most, max(1, len(rows) // ROWS_PER_CENTRE))
    centres = rows[np.linspace(0, len(rows) - 1, k).astype(np.int64)]
    for _ in range(10):
        nearest = (2 * rows @ centres.T - (centres**2).sum(axis=1)).argmax(axis=1)
        members = np.eye(k, dtype=np.float32)[nearest]
        counts = members.sum(axis=0)[:, None]
        # A centre without rows stays where it is.
        centres = np.where(counts > 0, members.T @ rows / np.maximum(counts, 1), centres)
    return centres


class Measured(NamedTuple):
    """A part of the novelty that is not scaled yet, its value for each row that was not fitted to
    (n,), and its weight."""

    part: Distance | Angle | Strangeness
    values: NDArray[np.float64]
    weight: float = 1.0


def are_enough(n: int, share: float) -> bool:
    """Whether n rows can set the threshold that the share exceeds: from 49 on for 2%, and from 59
    on for pictures."""
    return _rank(n, share) <= n


def fit_novelty(
    features: Measured,
    hidden: Measured | None,
    strangeness: Measured | None,
    probabilities: NDArray[np.float32],
    share: float = UNSURE_SHARE,
) -> Novelty | None:
    """Fit the novelty so that a share of the rows, which were not fitted to, exceed 1.

    Each part is scaled so that its median is 0 and the given share exceeds 1, and multiplied by its
    weight. Doubt has half the weight of the features and their strangeness.

    Args:
      features, hidden, strangeness: The parts; their rows have calibrated `probabilities`
        (n, n_labels).

    Returns:
      The novelty. None if there are too few rows for such a share.
    """
    n = len(probabilities)
    if not are_enough(n, share):
        return None
    rank, total = _rank(n, share), np.zeros(n)

    def scaled(measured: Measured | None) -> Any:
        nonlocal total
        if measured is None:
            return None
        middle, scale = _span(measured.values, rank)
        scale = (scale or 1.0) / measured.weight
        total = total + (measured.values - middle) / scale
        return replace(measured.part, middle=middle, scale=scale)

    parts = scaled(features), scaled(hidden)
    doubt, strange = _doubt(probabilities), scaled(strangeness)
    middle, high = _span(doubt, rank)
    weight = DOUBT * (1 if strange is None else 1 + STRANGE) / max(high, LEAST_DOUBT)
    unit = float(np.sort(total + weight * (doubt - middle))[rank - 1])
    return Novelty(*parts, middle, weight, unit, strange) if unit > 0 else None


def _rank(n: int, share: float) -> int:
    """The rank, among n sorted values, that the given share of new values exceeds. It is larger
    than n if n is too small."""
    return int(np.ceil(np.round((n + 1) * (1 - share), 9)))


def _span(values: NDArray[np.float64], rank: int) -> tuple[float, float]:
    """The median of the values, and the difference between the value at a rank and the median."""
    middle = float(np.median(values))
    return middle, float(np.sort(values)[rank - 1]) - middle
