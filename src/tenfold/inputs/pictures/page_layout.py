"""Find several digits on a page: join them from their strokes, and order them in lines.

docs/guide/handwriting.md describes the same steps, for a second implementation.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.inputs.pictures.mnist_box import (
    Box,
    Grey,
    Ink,
    Mask,
    Parts,
    Polarity,
    Real,
    find_ink,
    gap,
    parts_of,
    stroke_width,
    to_box,
    union,
)

WORK_PX = 1280
"""Longer side of the page during the search. With this size, a digit of 1/60 of the page is still
20 pixels high."""

MAX_PARTS = 400
"""Maximum number of strokes of a page that are considered, beginning with those with the most ink.
Noise has thousands."""

TALL = 0.6
"""A digit has at least this share of the height of its neighbour, unlike a dash or a speck."""

Bounds = NDArray[np.int64]  # top, bottom, left, right; bottom and right are exclusive


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit of a page.

    Attributes:
      image: What the network sees: uint8 (28, 28), light on dark.
      box: x, y, width and height in pixels of the picture.
    """

    image: Grey
    box: Box


@dataclass(frozen=True, eq=False)
class Page:
    """The lines of a page from top to bottom, each with its digits from left to right.

    Attributes:
      grey: The reduced picture, uint8 (h, w).
      ink: The ink on it, uint8 (h, w), light on dark.
      polarity: Whether the ink is dark on light paper or the reverse.
    """

    lines: tuple[tuple[Digit, ...], ...]
    grey: Grey
    ink: Grey
    polarity: Polarity


def read_page(grey: NDArray[Any], *, where: object = None) -> Page:
    """Find the digits on a page.

    Args:
      grey: A picture of a page, uint8 (h, w), of any size, polarity and lighting.
      where: Its name in messages.

    Raises:
      mnist_box.NothingDrawn: Nothing is drawn on it.
      DataError: The array has another shape or dtype.
    """
    ink = find_ink(grey, _all_strokes, work_px=WORK_PX, where=where)
    parts = parts_of(ink.strokes, ink.amount)
    lines = tuple(
        tuple(_digit(ink, parts, group, cut) for group in line for cut in _cuts(ink, parts, group))
        for line in _lines(parts, _groups(parts))
    )
    return Page(lines, ink.grey, ink.picture, ink.polarity)


def count_side_by_side(grey: NDArray[Any], *, where: object = None) -> int:
    """Count the digits in the longest line, without those much lower than the tallest.

    The arguments and errors are those of `read_page`.
    """
    ink = find_ink(grey, _all_strokes, where=where)
    parts = parts_of(ink.strokes, ink.amount)
    lines = _lines(parts, _groups(parts))
    tall = TALL * max((_height(group.bounds) for line in lines for group in line), default=0)
    return max(
        (
            sum(len(_cuts(ink, parts, group)) for group in line if _height(group.bounds) >= tall)
            for line in lines
        ),
        default=0,
    )


def _all_strokes(mask: Mask, contrast: Real) -> Mask:
    """All parts except those along the border and those that are specks compared with the typical
    part."""
    parts = parts_of(mask, contrast)
    keep = parts.contact < 0.5
    if not keep.any():
        return mask
    heavy = parts.mass > 0.02 * _typical(parts.mass[keep], parts.mass[keep])
    return parts.mask([int(part) for part in np.flatnonzero(keep & heavy)])


def _typical(values: NDArray[Any], weights: NDArray[Any]) -> float:
    """The weighted median: half of the total weight belongs to larger values."""
    order = np.argsort(values)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order[min(int(half), len(order) - 1)]])


# Strokes to digits.


def _height(bounds: Bounds) -> int:
    return int(bounds[1] - bounds[0])


def _width(bounds: Bounds) -> int:
    return int(bounds[3] - bounds[2])


def _overlap(a: Bounds, b: Bounds, axis: int) -> int:
    """The number of pixels by which two boxes overlap along an axis (0 is vertical, 1 is
    horizontal). If negative, it is their distance."""
    low, high = 2 * axis, 2 * axis + 1
    return int(min(a[high], b[high]) - max(a[low], b[low]))


@dataclass(frozen=True, eq=False)
class _Group:
    """Parts that make one digit, or several touching digits."""

    parts: list[int]
    bounds: Bounds


def _groups(parts: Parts) -> list[_Group]:
    """Join the strokes of each digit, and drop dots and dashes that belong to none."""
    if not len(parts):
        return []
    heights = parts.boxes[:, 1] - parts.boxes[:, 0]
    usual = _typical(heights, parts.mass)
    heaviest = np.argsort(-parts.mass, kind="stable")[:MAX_PARTS].tolist()
    groups = dict(enumerate(_Group([part], parts.boxes[part]) for part in heaviest))
    n = len(groups)
    pairs: list[tuple[int, int, int]] = []

    def pair(i: int) -> None:
        for j, other in groups.items():
            if j < i and _belong(groups[i].bounds, other.bounds, usual):
                heappush(pairs, (gap(groups[i].bounds, other.bounds), i, j))

    for i in range(len(groups)):
        pair(i)
    # The nearest pair comes first, so that the bar of a 5 is joined to its own digit and not to a
    # neighbour.
    while pairs:
        _, i, j = heappop(pairs)
        if i in groups and j in groups:
            a, b = groups.pop(i), groups.pop(j)
            n += 1
            groups[n] = _Group(a.parts + b.parts, union(a.bounds, b.bounds))
            pair(n)
    tall = 0.45 * usual
    return [group for group in groups.values() if _height(group.bounds) >= tall]


def _belong(a: Bounds, b: Bounds, usual: float) -> bool:
    """Whether two strokes belong to one digit: a piece close to the rest, or one above the
    other."""
    both = union(a, b)
    if _height(both) > 1.5 * usual or _width(both) > 1.3 * max(usual, _height(both)):
        return False
    smaller, apart = min(_height(a), _height(b)), gap(a, b)
    if _overlap(a, b, 1) >= 0.5 * min(_width(a), _width(b)):
        return apart <= 0.25 * usual
    return (smaller < 0.5 * usual and apart <= 0.15 * usual) or (
        # The pen was lifted, or the removal of a ruled line cut the stroke.
        smaller < 0.7 * usual and apart <= 0.08 * usual
    )


# Digits to lines.


def _lines(parts: Parts, groups: list[_Group]) -> list[list[_Group]]:
    """Assign digits to lines from left to right. A digit continues the line whose height is most
    similar to its own."""
    lines: list[list[_Group]] = []
    for group in sorted(groups, key=lambda group: int(group.bounds[2])):
        level = [
            (_overlap(line[-1].bounds, group.bounds, 0), -k)
            for k, line in enumerate(lines)
            if _overlap(line[-1].bounds, group.bounds, 0)
            >= 0.4 * min(_height(line[-1].bounds), _height(group.bounds))
        ]
        if level:
            lines[-max(level)[1]].append(group)
        else:
            lines.append([group])
    return sorted(lines, key=lambda line: float(np.mean([g.bounds[:2].mean() for g in line])))


# Touching digits.


def _cuts(ink: Ink, parts: Parts, group: _Group) -> list[tuple[int, int]]:
    """The columns (from, to) of the digits of a group. It is only divided if it clearly consists of
    two digits."""
    width, seam = ink.amount.shape[1], _seam(ink, parts, group)
    return [(0, width)] if seam is None else [(0, seam), (seam, width)]


def _seam(ink: Ink, parts: Parts, group: _Group) -> int | None:
    """Return the column between two touching digits, or None if they may be a single digit.

    They are clearly two if they are a fifth wider than high, and if in the middle third there is a
    column that the pen crosses once and not along, with 30 to 70% of the ink and 70% of the height
    on either side.
    """
    top, bottom, left, right = group.bounds
    if right - left < 1.2 * (bottom - top):
        return None
    crop = np.where(parts.mask(group.parts), ink.amount, 0)[top:bottom, left:right]
    columns = crop.sum(axis=0, dtype=np.float64)
    inked = np.pad(crop > 0.5, ((1, 0), (0, 0)))
    n_runs = (inked[1:] & ~inked[:-1]).sum(axis=0)
    third = len(columns) // 3
    at = third + int(np.where(n_runs > 1, np.inf, columns)[third:-third].argmin())
    share = columns[:at].sum() / columns.sum()
    once = n_runs[at] <= 1 and columns[at] <= 3 * stroke_width(crop)
    tall = [side.any(axis=1).mean() >= 0.7 for side in (crop[:, :at], crop[:, at:])]
    if not once or not 0.3 <= share <= 0.7 or not all(tall):
        return None
    return int(left) + at


def _digit(ink: Ink, parts: Parts, group: _Group, cut: tuple[int, int]) -> Digit:
    """Fit the ink of one group between two columns, soft edges included."""
    top, bottom, left, right = (int(side) for side in group.bounds)
    edge = 1 + max(ink.grey.shape) // 300
    left = max(0, left - edge) if cut[0] == 0 else max(left, cut[0])
    right = right + edge if cut[1] == ink.amount.shape[1] else min(right, cut[1])
    window = (slice(max(0, top - edge), bottom + edge), slice(left, right))
    labels = parts.labels[window]
    amount = np.where(
        np.isin(labels, [0, *(part + 1 for part in group.parts)]), ink.amount[window], 0
    )
    whole = np.zeros_like(ink.amount)
    whole[window] = amount
    return Digit(to_box(amount), ink.box(whole))
