"""Find images that show the same picture in different files, or nearly the same, by their
pixels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tenfold.data.disk_images import AnyImages, few

CELLS = 4
CELL_STEP = 10.0
"""Maximum Euclidean distance between the 4 x 4 mean colours of a picture and of a re-encoded
copy."""

TREE_AXES, NEAREST = 8, 16
"""The number of principal axes for the search of candidates, and the number of candidates."""

NEARLY_CELLS, NEARLY_SHARE = 8.0, 0.25
"""Maximum distances (root mean square) for `nearly_same`: of mean colours in levels, and of greys
in standard deviations."""

AT_ONCE, READ_AT_ONCE = 1024, 4096
"""The numbers of images that are compared together and read together. They limit memory."""

SAME_SHARE = 0.12
"""Maximum root mean square difference between a picture and a re-encoded copy, in standard
deviations of its greys."""


def first_of_each(x: AnyImages) -> NDArray[np.int64]:
    """For each image, the position of the first one that is identical to it."""
    # Equal rows have equal sums of their words times odd numbers, modulo 2^64. The bytes
    # distinguish other rows with equal sums. This takes 0.02 s for MNIST; digests of each image
    # take 0.12 s.
    n_words = -(-int(np.prod(x.shape[1:])) // 8)
    factors = np.random.default_rng(0).integers(2**64, size=n_words, dtype=np.uint64) | 1
    sums = np.concatenate([_words(part, n_words) @ factors for part in parts(x)])
    _, first, group = np.unique(sums, return_index=True, return_inverse=True)
    leader = first[group]
    again = np.flatnonzero(leader != np.arange(len(x)))
    pairs = zip(parts(x, again), parts(x, leader[again]), strict=True)
    if all((repeats == firsts).all() for repeats, firsts in pairs):
        return leader.astype(np.int64)
    seen: dict[bytes, int] = {}
    rows = (row for part in parts(x) for row in part)
    return np.array([seen.setdefault(row.tobytes(), i) for i, row in enumerate(rows)], np.int64)


def parts(x: AnyImages, order: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield all images, or the given rows, as rows of bytes (n, d), a few thousand at a time."""
    n, step = len(x) if order is None else len(order), few(x, READ_AT_ONCE)
    for start in range(0, max(1, n), step):
        part = slice(start, start + step)
        rows = x[part] if order is None else x[order[part]]
        yield np.ascontiguousarray(rows).reshape(len(rows), int(np.prod(x.shape[1:])))


def _words(rows: NDArray[np.uint8], n_words: int) -> NDArray[np.uint64]:
    """Rows of bytes (n, d) as words of 8 bytes (n, n_words), padded with 0."""
    return np.pad(rows, ((0, 0), (0, 8 * n_words - rows.shape[1]))).view(np.uint64)


def same_pictures(x: AnyImages) -> NDArray[np.int64]:
    """For each image (as `AnyImages`), the first one that shows the same picture, or itself (n,).

    Images are the same if their greys differ by at most 0.12 of their standard deviation, or one
    level (root mean square), and their 4 x 4 mean colours are near, as after re-encoding. Single
    colours may differ more, because JPEG stores them at half the size. Each image is compared with
    the 16 nearest by mean colours, so that many similar pictures take no longer than others. Each
    copy must be similar to the first one itself, so that the frames of a film do not all count as
    one picture.
    """
    from scipy.sparse import coo_array

    def that_are_the_same(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        return pairs[_apart(x, pairs, SAME_SHARE) <= 1]

    first = first_of_each(x)
    single = np.flatnonzero(first == np.arange(len(x)))
    points = _principal_axes(_cells(x[single]))
    pairs = np.sort(_near(points, points, NEAREST + 1, CELL_STEP), axis=1)
    edges = that_are_the_same(single[np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)])
    ends = (np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]])
    graph = coo_array((np.ones(len(ends[0])), ends), (len(x), len(x))).tocsr()
    leader, is_placed = np.arange(len(x)), np.zeros(len(x), bool)
    for row in np.unique(edges):
        reached = np.array([row] if not is_placed[row] else [], np.int64)
        while reached.size:
            leader[reached], is_placed[reached] = row, True
            others = np.unique(graph[reached].indices)
            others = others[~is_placed[others]]
            reached = that_are_the_same(np.stack([np.full_like(others, row), others], axis=1))[:, 1]
    return leader[first]


def nearly_same(
    x: AnyImages, train: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Pairs (m, 2): test rows, each with the training row that looks nearly the same.

    Images are nearly the same if their greys differ by at most a quarter of their standard
    deviation (root mean square; a correlation of 0.97). Each is compared with the 16 nearest by
    mean colours, so that a few are missed. The most similar pairs come first.
    """
    if not len(train) or not len(test):
        return np.empty((0, 2), np.int64)
    cells = _cells(x)
    points, bound = _principal_axes(cells), NEARLY_CELLS * cells.shape[1] ** 0.5
    near = _near(points[test], points[train], NEAREST, bound)
    pairs = np.stack([test[near[:, 0]], train[near[:, 1]]], axis=1)
    apart = _apart(x, pairs, NEARLY_SHARE)
    pairs, apart = pairs[apart <= 1], apart[apart <= 1]
    order = np.lexsort((pairs[:, 0], apart))
    _, first = np.unique(pairs[order, 0], return_index=True)
    nearest: NDArray[np.int64] = pairs[order[np.sort(first)]]
    return nearest


def _near(
    points: NDArray[np.float64], others: NDArray[np.float64], k: int, bound: float
) -> NDArray[np.int64]:
    """Pairs (m, 2) of points (n, axes): each point with those of its `k` nearest neighbours that
    are within a distance."""
    from scipy.spatial import cKDTree

    k = min(k, len(others))
    neighbours = cKDTree(others).query(points, k, distance_upper_bound=bound)[1].reshape(-1, k)
    point, column = np.nonzero(neighbours < len(others))
    return np.stack([point, neighbours[point, column]], axis=1)


def _principal_axes(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project cells (n, c) onto at most eight principal axes. The projected distances are never
    larger, so that no pair is missed, and a search tree is fast with so few axes."""
    centred = cells - cells.mean(axis=0)
    axes: NDArray[np.float64] = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -TREE_AXES:]
    return axes


def _cells(x: AnyImages) -> NDArray[np.float64]:
    """The mean grey or colour of each of 4 x 4 parts of each image (n, at most 48)."""
    edges = [np.unique(np.linspace(0, side, CELLS + 1).astype(int)[:-1]) for side in x.shape[1:3]]
    areas = [np.diff([*at, side]) for at, side in zip(edges, x.shape[1:3], strict=True)]
    cells = np.empty((len(x), len(edges[0]), len(edges[1]), *x.shape[3:]))
    area = np.outer(*areas).reshape(len(edges[0]), len(edges[1]), *(1,) * (x.ndim - 3))
    step = few(x, AT_ONCE)
    for start in range(0, len(x), step):
        part = x[start : start + step].astype(np.float32)
        sums = np.add.reduceat(np.add.reduceat(part, edges[0], axis=1), edges[1], axis=2)
        cells[start : start + step] = sums / area
    return cells.reshape(len(x), -1)


def _grey(x: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert to grey (n, h * w) with the weights of ITU-R BT.601, which JPEG and Pillow use."""
    wide = x.astype(np.float32)
    grey = wide if wide.ndim == 3 else wide @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey.reshape(len(x), -1)


def _apart(x: AnyImages, pairs: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """The root mean square difference between the greys of two images, in standard deviations."""
    step, apart = few(x, AT_ONCE), [np.empty(0)]
    for start in range(0, len(pairs), step):
        a, b = (_grey(x[rows]) for rows in pairs[start : start + step].T)
        least = np.maximum(1, share * np.minimum(a.std(axis=1), b.std(axis=1)))
        apart.append(np.sqrt(((a - b) ** 2).mean(axis=1)) / least)
    return np.concatenate(apart)
