"""Filters of pictures and their connected parts: what SciPy's `ndimage` gives, held to it by tests.

They are here so that predicting needs no SciPy: it takes 140 MB and 0.2 s of each start.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float32]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Array = NDArray[Any]


def mean_filter(x: Real, size: int) -> Real:
    """Mean over a square of an odd size around each pixel, the picture mirrored at its borders."""
    return _mean_of_rows(_mean_of_rows(x, size).T, size).T


def _mean_of_rows(x: Real, size: int) -> Real:
    """Running sums, a row at a time: a third of the time of `cumsum` along columns."""
    x = np.ascontiguousarray(x, np.float64)
    rows = _mirrored(len(x), size)
    total = np.zeros((len(rows) + 1, x.shape[1]))
    for i, row in enumerate(rows.tolist()):
        np.add(total[i], x[row], out=total[i + 1])
    mean = total[size:] - total[:-size]
    mean /= size
    return mean.astype(np.float32)


def _mirrored(n: int, size: int) -> Counts:
    """Places 0 to n - 1, and those before and behind that windows of a size reach into."""
    place = np.arange(-(size // 2), n + size - 1 - size // 2) % (2 * n)
    return np.minimum(place, 2 * n - 1 - place)


def max_filter(x: Array, size: int, axis: int, outside: Any = None) -> Array:
    """The largest of `size` pixels around each one along an axis.

    Beyond the borders there is `outside`; None: the picture, mirrored. Of an even size the one
    pixel more is before.
    """
    return _extreme(np.maximum, x, size, axis, outside)


def min_filter(x: Array, size: int, axis: int, outside: Any = None) -> Array:
    """The smallest of `size` pixels around each one along an axis, as `max_filter`."""
    return _extreme(np.minimum, x, size, axis, outside)


def _extreme(best: Callable[..., Array], x: Array, size: int, axis: int, outside: Any) -> Array:
    """By windows of 1, 2, 4, ... pixels; two of the last kind cover the size."""
    n = x.shape[axis]
    if outside is None:
        wide = np.moveaxis(x.take(_mirrored(n, size), axis), axis, 0)
    else:
        shape = list(x.shape)
        shape[axis] += size - 1
        wide = np.moveaxis(np.full(shape, outside, x.dtype), axis, 0)
        wide[size // 2 : size // 2 + n] = x if axis == 0 else x.T
    window = 1
    while 2 * window <= size:
        wide = best(wide[:-window], wide[window:])
        window *= 2
    return np.moveaxis(best(wide[:n], wide[size - window :][:n]), 0, axis)


def connected_parts(mask: Mask) -> tuple[NDArray[np.int32], Counts]:
    """The parts of a mask whose pixels touch, at corners too.

    Returns:
      For each pixel the number of its part, int32 (h, w), from 1 in the order of their first
      pixels, 0 off the mask; and top, bottom, left and right of each part, int64 (n, 4), where
      bottom and right are one past the last.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).view(np.int8), axis=1)
    line, start = np.nonzero(edges == 1)  # of each horizontal run of pixels
    end = np.nonzero(edges == -1)[1]
    below, above = _touching(line * (mask.shape[1] + 2), start, end, mask.shape[1] + 2)
    leaders, number = np.unique(_first_of_part(len(line), below, above), return_inverse=True)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(number + 1, end - start)
    boxes = np.empty((len(leaders), 4), np.int64)
    boxes[:] = (mask.shape[0], 0, mask.shape[1], 0)
    np.minimum.at(boxes[:, 0], number, line)
    np.maximum.at(boxes[:, 1], number, line + 1)
    np.minimum.at(boxes[:, 2], number, start)
    np.maximum.at(boxes[:, 3], number, end)
    return labels, boxes


def _touching(line: Counts, start: Counts, end: Counts, width: int) -> tuple[Counts, Counts]:
    """Pairs of runs, one below the other: neither ends before the other begins."""
    first = np.searchsorted(line + end, line - width + start, "left")
    n = np.maximum(np.searchsorted(line + start, line - width + end, "right") - first, 0)
    below = np.repeat(np.arange(len(line)), n)
    behind = np.arange(len(below)) - np.repeat(np.cumsum(n) - n, n)
    return below, first[below] + behind


def _first_of_part(n: int, a: Counts, b: Counts) -> Counts:
    """For each of `n` runs the first one of its part, where the runs `a` and `b` touch in pairs."""
    first = np.arange(n)
    while (first[a] != first[b]).any():
        ends = first[a], first[b]
        np.minimum.at(first, np.maximum(*ends), np.minimum(*ends))
        while (first[first] != first).any():
            first = first[first]
    return first
