"""Filters and connected parts of pictures, equal to those of SciPy's `ndimage`, as tests check.

With them, predicting does not need SciPy, which takes 140 MB and 0.2 s at each start.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float32]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Array = NDArray[Any]


def mean_filter(x: Real, size: int) -> Real:
    """The mean over a square of an odd size around each pixel. The picture is mirrored at its
    borders."""
    height, width = x.shape
    down = np.zeros((height + size, width))
    if x.size < 20_000:
        np.cumsum(x.take(_mirrored(height, size), 0), 0, out=down[1:])
    else:  # `cumsum` along columns takes three times as long, except for small pictures
        rows, total = list(x.astype(np.float64)), down[0]
        for row, out in zip(_mirrored(height, size).tolist(), down[1:], strict=True):
            total = np.add(total, rows[row], out=out)
    mean = _mean(down[size:], down[:-size], size)
    across = np.zeros((height, width + size))
    np.cumsum(mean.take(_mirrored(width, size), 1), 1, out=across[:, 1:])
    return _mean(across[:, size:], across[:, :-size], size)


def _mean(sums: Array, before: Array, size: int) -> Real:
    mean = np.empty(sums.shape, np.float32)
    np.divide(sums - before, size, out=mean, casting="same_kind")
    return mean


@lru_cache(maxsize=256)
def _mirrored(n: int, size: int) -> Counts:
    """The indices 0 to n - 1, with the mirrored indices on both sides that windows of this size
    need."""
    place = np.arange(-(size // 2), n + size - 1 - size // 2) % (2 * n)
    place = np.minimum(place, 2 * n - 1 - place)
    place.flags.writeable = False
    return place


def max_filter(x: Array, size: int, axis: int, outside: Any = None) -> Array:
    """The largest of `size` pixels around each one along an axis.

    Outside the borders the value is `outside`. None: the mirrored picture. A window of an even size
    has its additional pixel before the centre.
    """
    return _extreme(np.maximum, x, size, axis, outside)


def min_filter(x: Array, size: int, axis: int, outside: Any = None) -> Array:
    """The smallest of `size` pixels around each one along an axis; see `max_filter`."""
    return _extreme(np.minimum, x, size, axis, outside)


def _extreme(best: Callable[..., Array], x: Array, size: int, axis: int, outside: Any) -> Array:
    """Compute the extremes over windows of 1, 2, 4, ... pixels. Two of the last ones cover the
    whole size."""
    n = x.shape[axis]

    def part(start: int, stop: int | None) -> tuple[slice, ...]:
        return (slice(None),) * axis + (slice(start, stop),)

    if outside is None:
        wide = x.take(_mirrored(n, size), axis)
    else:
        shape = list(x.shape)
        shape[axis] += size - 1
        wide = np.full(shape, outside, x.dtype)
        wide[part(size // 2, size // 2 + n)] = x
    window = 1
    while 2 * window <= size:
        wide = best(wide[part(0, -window)], wide[part(window, None)])
        window *= 2
    return best(wide[part(0, n)], wide[part(size - window, size - window + n)])


def connected_parts(mask: Mask) -> tuple[NDArray[np.int32], Counts]:
    """The connected parts of a mask, whose pixels touch at sides or corners.

    Returns:
      For each pixel the number of its part, int32 (h, w), from 1 in the order of their first
      pixels, and 0 outside the mask. Also top, bottom, left and right of each part, int64 (n, 4).
      Bottom and right are exclusive.
    """
    height, width = mask.shape
    line_px = width + 1  # a pixel off the mask ends each line
    flat = np.zeros(1 + height * line_px, np.bool_)
    flat[1:].reshape(height, line_px)[:, :-1] = mask
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    start, end = ends[::2], ends[1::2]  # of each horizontal run of pixels
    # The runs on the line above that a run touches have numbers from `above` on.
    above = end.searchsorted(start - line_px)
    n_above = start.searchsorted(end - line_px, "right") - above
    leader = _leaders(above, n_above)
    leads = leader == np.arange(len(leader))
    number = (np.cumsum(leads) - 1)[leader]
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(number + 1, end - start)
    line = start // line_px
    boxes = np.empty((np.count_nonzero(leads), 4), np.int64)
    boxes[:] = (height, 0, width, 0)
    np.minimum.at(boxes[:, 0], number, line)
    np.maximum.at(boxes[:, 1], number, line + 1)
    np.minimum.at(boxes[:, 2], number, start - line * line_px)
    np.maximum.at(boxes[:, 3], number, end - line * line_px)
    return labels, boxes


def _leaders(above: Counts, n_above: Counts) -> Counts:
    """The first run of the part to which each run belongs. A run touches `n_above` runs, beginning
    with the number `above`."""
    own = np.arange(len(above))
    if np.count_nonzero(n_above) == len(above) - 1:  # most digits, whose runs are all connected
        return np.zeros_like(own)
    leader = _settled(np.where(n_above > 0, above, own))
    # If a run touches several runs above, it may join several parts.
    more = np.maximum(n_above - 1, 0)
    joint = np.repeat(own, more)
    other = above[joint] + 1 + np.arange(len(joint)) - np.repeat(np.cumsum(more) - more, more)
    while (leader[joint] != leader[other]).any():
        two = leader[joint], leader[other]
        np.minimum.at(leader, np.maximum(*two), np.minimum(*two))
        leader = _settled(leader)
    return leader


def _settled(leader: Counts) -> Counts:
    """Follow the leaders of each run up to a run that is its own leader."""
    while (leader[leader] != leader).any():
        leader = leader[leader]
    return leader
