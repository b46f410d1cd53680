"""The fit to the MNIST box: turns a grey picture of any size into 28x28, light on dark, like MNIST.

docs/guide/handwriting.md describes and measures the same steps, for a second implementation.

Source of the box: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
document recognition", Proc. IEEE 86 (1998), section III.A.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.inputs.pictures.filters import connected_parts, max_filter, mean_filter, min_filter

WORK_PX = 640
"""Longer side of the picture during the fit. With this size, a digit of 1/30 of the picture is
still as large as the box."""

SIDE_PX = 28
BOX_PX = 20
OVERSAMPLING = 4
"""Thin strokes are widened at 4 times the size of the box and then averaged, for smooth edges."""

STROKE_PX = 1.8
"""Strokes thinner than this in the box are widened to it (docs/guide/handwriting.md)."""

SAMPLE_PX = 140
"""Size at which statistics of the whole picture are computed, from about 20,000 pixels."""

LINE_SPAN = 0.9
"""Share of the picture's width or height that a ruled line runs over."""

CLEAR_SKEWNESS = 0.4
"""Minimum absolute skewness by which the polarity is decided. On 5,480 synthetic pictures this rule
alone fails for 12, and the skewness of all of these is below 0.14."""

MAX_PIECES = 50
"""Maximum number of parts that are considered. A broken digit has a few, and noise has
thousands."""

MIN_CONTRAST = 12.0
"""If paper and ink differ by fewer grey levels than this, the picture is regarded as empty."""

Polarity = Literal["dark on light", "light on dark"]
Grey = NDArray[np.uint8]
Real = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
Choice = Callable[[Mask, Real], Mask]


class NothingDrawn(DataError):
    """A picture without ink."""


@dataclass(frozen=True, eq=False)
class Ink:
    """The ink on a picture.

    Attributes:
      grey: The reduced picture, uint8 (h, w): its longer side is at most the work size.
      amount: Ink per pixel, float32 (h, w), from 0 for paper to 1 for a full stroke, without specks
        and ruled lines.
      strokes: The cores of the strokes, without soft edges, bool (h, w).
      polarity: Whether the ink is dark on light paper or the reverse.
      scale: Pixels of the picture per pixel of `grey`, (vertical, horizontal).
    """

    grey: Grey
    amount: Real
    strokes: Mask
    polarity: Polarity
    scale: tuple[float, float]

    @property
    def picture(self) -> Grey:
        """The amount as uint8 (h, w), light on dark."""
        return np.rint(self.amount * 255).astype(np.uint8)

    def box(self, amount: Real) -> Box:
        """x, y, width and height of the ink of `amount`, in pixels of the picture."""
        rows, columns = np.flatnonzero(amount.any(axis=1)), np.flatnonzero(amount.any(axis=0))
        y, x = rows[0] * self.scale[0], columns[0] * self.scale[1]
        height = (rows[-1] + 1) * self.scale[0] - y
        width = (columns[-1] + 1) * self.scale[1] - x
        return round(x), round(y), max(1, round(width)), max(1, round(height))


@dataclass(frozen=True, eq=False)
class Fit:
    """A digit in the MNIST box, and the steps to it, as in `preprocess.PictureSteps`.

    The image is uint8 (28, 28), and the box is in pixels of the original picture.
    """

    image: Grey
    grey: Grey
    ink: Grey
    box: Box
    polarity: Polarity


def fit(grey: NDArray[Any], *, where: object = None) -> Fit:
    """Fit one digit to the MNIST box.

    Args:
      grey: A picture of one digit, uint8 (h, w), of any size, polarity and lighting.
      where: Its name in messages.

    Raises:
      NothingDrawn: Nothing is drawn on the picture.
      DataError: The array has another shape or dtype.
    """
    ink = find_ink(grey, one_digit, where=where)
    return Fit(to_box(ink.amount), ink.grey, ink.picture, ink.box(ink.amount), ink.polarity)


def find_ink(
    grey: NDArray[Any], choose: Choice, *, work_px: int = WORK_PX, where: object = None
) -> Ink:
    """Separate ink from paper, without shadows, gradients, ruled lines, specks and borders.

    A picture whose longer side exceeds `work_px` is reduced. `choose` receives the mask of all
    strokes and the contrast, and chooses the connected strokes to keep.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
        raise DataError(
            "E322",
            "The array is not a grey picture",
            where=where,
            expected="a uint8 array (height, width) without a dimension of 0",
            dtype=str(grey.dtype),
            shape=grey.shape,
        )
    work = shrink(grey, work_px)
    dark = is_dark_on_light(work)
    paper_light = work if dark else 255 - work
    radius = max(work.shape) // 300  # removes noise; 0 for small pictures, which have none
    smooth = local_mean(paper_light, radius)
    first = _first_guess(smooth, choose)
    if not first.any():
        raise _nothing_drawn(where, contrast=0.0)
    paper, noise = _paper(smooth, stroke_width(first.astype(np.float32)))
    # Ink absorbs a share of the light, so that its contrast is lower in a shadow.
    light = np.maximum(paper, np.float32(64))
    light = _sample(light).mean() / light
    contrast = (paper - smooth) * light
    level = _upper_quartile(contrast[first])
    if level < max(MIN_CONTRAST, 5 * noise):
        raise _nothing_drawn(where, contrast=round(level, 1))
    inked = contrast > level / 2
    strokes = choose(without_rules(contrast, level / 2), contrast)
    contrast = (paper - paper_light) * light
    level = _upper_quartile(contrast[strokes]) if strokes.any() else 0.0
    if level < MIN_CONTRAST:
        raise _nothing_drawn(where, contrast=round(level, 1))
    # The soft edge of a stroke consists of pixels next to it whose contrast is above the noise, and
    # that were not removed.
    noise *= 2 * radius + 1
    size = 2 * max(2, 1 + radius) + 1
    near = max_filter(max_filter(strokes, size, 0, False), size, 1, False)
    least = max(min(3 * noise, 0.5 * level), 0.02 * level)
    soft = near & (contrast > least) & (strokes | ~inked)
    amount = np.zeros_like(contrast)
    amount[soft] = np.clip(contrast[soft] / np.float32(level), 0, 1)
    scale = (grey.shape[0] / work.shape[0], grey.shape[1] / work.shape[1])
    polarity: Polarity = "dark on light" if dark else "light on dark"
    return Ink(np.rint(work).astype(np.uint8), amount, strokes, polarity, scale)


def _nothing_drawn(where: object, contrast: float) -> NothingDrawn:
    return NothingDrawn(
        "E321",
        "Nothing is drawn on the picture",
        where=where,
        expected=f"ink {MIN_CONTRAST:g} grey levels and 5 times the noise from the paper",
        contrast=contrast,
    )


# Ink from paper.


def is_dark_on_light(x: Real) -> bool:
    """Whether the ink is darker than the paper.

    Strokes are rare and far from the local mean, so that the skewness of this distance has their
    sign, whatever the lighting. If it is weak (ink covers much of the picture), the paper is the
    side of the Otsu threshold with the larger share of the border and of the picture.
    """
    x = _block_means(x, max(1, max(x.shape) // SAMPLE_PX))
    away = (x - local_mean(x, _reach(x))).astype(np.float64)
    square = float((away**2).mean())
    skewness = float((away**3).mean()) / square**1.5 if square > 0 else 0.0
    if abs(skewness) > CLEAR_SKEWNESS:
        return skewness < 0
    dark = x < otsu(x)
    edge = max(1, min(x.shape) // 16)
    border = np.ones(x.shape, bool)
    border[edge:-edge, edge:-edge] = False
    return bool(dark[border].mean() + dark.mean() < 1)


def _reach(x: Real) -> int:
    """A radius so large that it contains paper beside any stroke: 1/8 of the picture."""
    longer: int = max(x.shape)
    return max(6, longer // 8)


def _first_guess(smooth: Real, choose: Choice) -> Mask:
    """Find strokes by a local mean alone, which is precise enough to measure their width and
    contrast."""
    reach = _reach(smooth)
    contrast = local_mean(smooth, reach) - smooth
    sample = np.sort(_sample(contrast), axis=None)
    level = float(sample[-max(4, sample.size // 1000) :].mean())
    dark = contrast > max(level / 2, 1)
    # Repeat with the mean of the paper alone, so that wide strokes are not hollow.
    bare = local_mean((~dark).astype(np.float32), reach)
    paper = local_mean(np.where(dark, np.float32(0), smooth), reach)
    contrast = (paper / np.maximum(bare, 1e-3)).astype(np.float32) - smooth
    return choose(without_rules(contrast, max(level / 2, 1)), contrast)


def _paper(smooth: Real, width: float) -> tuple[Real, float]:
    """The grey level of the paper at each pixel, and the spread of its noise.

    The paper is the closing by a square that is six strokes wide. It removes strokes and keeps the
    edges of shadows in place, so that these have no contrast. Noise raises a closing; the median
    contrast of the paper corrects that.
    """
    size = int(min(max(6 * width, 9.0), max(smooth.shape) / 2)) | 1
    widened = max_filter(max_filter(smooth, size, 0), size, 1)
    paper: Real = min_filter(min_filter(widened, size, 0), size, 1)
    sample = _sample(paper - smooth)
    empty = sample[sample < otsu(sample)]
    if not empty.size:
        return paper, 0.0
    lifted = np.median(empty)
    return paper - lifted, 1.4826 * float(np.median(np.abs(empty - lifted)))


def _upper_quartile(values: Real) -> float:
    """`np.percentile(values, 75)` in 10 us instead of 60 us for a small picture."""
    position = 0.75 * (len(values) - 1)
    low = int(position)
    high = min(low + 1, len(values) - 1)
    a, b = np.partition(values, (low, high))[[low, high]]
    share = position - low
    # Interpolate from the nearer end, as NumPy does.
    return float(a + (b - a) * share if share < 0.5 else b - (b - a) * (1 - share))


def _sample(x: Real) -> Real:
    step = max(1, max(x.shape) // SAMPLE_PX)
    return x[::step, ::step]


def local_mean(x: Real, radius: int) -> Real:
    """The mean over a square whose side is 2 radius + 1. The picture is mirrored at its borders."""
    return mean_filter(x, 2 * radius + 1) if radius else x


def otsu(x: Real) -> float:
    """The threshold that best separates two classes of values (Otsu 1979), over 128 bins."""
    low, high = float(x.min()), float(x.max())
    if high <= low:
        return low
    edges = np.linspace(low, high, 129, dtype=np.float32)
    counts = _counts(x, edges)
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][int(between.argmax())])


def _counts(x: Real, edges: Real) -> NDArray[np.int64]:
    """Number of values between each two edges: a `np.histogram` that is three times as fast for a
    small picture."""
    last = len(edges) - 2
    place = (
        ((x - edges[0]) / (edges[-1] - edges[0]) * np.float32(last + 1)).ravel().astype(np.int64)
    )
    np.minimum(place, last, out=place)
    x = x.ravel()
    place -= x < edges[place]
    place += (x >= edges[place + 1]) & (place < last)
    return np.bincount(place, minlength=last + 1)


def without_rules(contrast: Real, threshold: float) -> Mask:
    """The pixels whose contrast is above the threshold, without thin lines from border to border.

    Such lines are on ruled and squared paper. They are searched for at half the threshold, at which
    a faint line has fewer holes. Strokes that cross a line stay whole. Small pictures, in which a
    stroke may be as long, are left unchanged, and so are pictures on which nothing else would
    remain.
    """
    mask: Mask = contrast > threshold
    if max(mask.shape) < 100:
        return mask
    faint: Mask = contrast > threshold / 2
    rest = mask & ~(_level_lines(faint) | _level_lines(faint.T).T)
    return rest if rest.any() else mask


def _level_lines(mask: Mask) -> Mask:
    """Pixels of nearly horizontal lines that span nine tenths of the width."""
    height, width = mask.shape
    # True of most pictures, for which this saves two thirds of the time.
    if mask.any(axis=0).mean() < LINE_SPAN:
        return np.zeros_like(mask)
    length = max(15, width // 12)
    thick = max_filter(mask, 3, 0)  # this keeps the run of a sloping line together
    runs = max_filter(min_filter(thick, length, 1, True), length, 1)
    # A faint line has gaps, and a stroke across it makes another one. Close them.
    bridge = width // 4 | 1
    bridged = max_filter(max_filter(runs, 3, 0), bridge, 1)
    bridged = min_filter(bridged, bridge, 1, True)
    labels, boxes = connected_parts(bridged)
    spans = np.append(0, boxes[:, 3] - boxes[:, 2])
    lines: Mask = (spans > LINE_SPAN * width)[labels] & mask & runs
    if not lines.any():
        return lines
    thickness = _vertical_runs(mask)
    # Strokes along a line are thicker than the line.
    usual = float(np.percentile(thickness[lines], 25))
    if usual > height / 25:  # a border or a shadow
        return np.zeros_like(mask)
    return lines & (thickness <= 1.5 * usual + 1)


def _vertical_runs(mask: Mask) -> NDArray[np.int64]:
    """The length of the vertical run that each pixel of the mask is in; arbitrary elsewhere."""
    height = len(mask)
    row = np.arange(height)[:, None]
    above = np.maximum.accumulate(np.where(mask, -1, row), axis=0)
    below = np.minimum.accumulate(np.where(mask, height, row)[::-1], axis=0)[::-1]
    runs: NDArray[np.int64] = below - above - 1
    return runs


@dataclass(frozen=True, eq=False)
class Parts:
    """The connected strokes of a mask (8 neighbours), numbered from 0.

    Attributes:
      labels: int (h, w): the number plus 1, or 0 outside the strokes.
      boxes: Top, bottom, left and right of each stroke, (n, 4); bottom and right are exclusive.
      contrast: Contrast of each pixel, (h, w).
    """

    labels: NDArray[np.int32]
    boxes: NDArray[np.int64]
    contrast: Real

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def mass(self) -> NDArray[np.float64]:
        """The sum of the contrast of each stroke, (n,)."""
        inked = self.labels > 0
        sums = np.bincount(self.labels[inked], self.contrast[inked], len(self) + 1)
        return sums[1:].astype(np.float64)

    @cached_property
    def contact(self) -> NDArray[np.float64]:
        """Pixels on the picture's border, relative to the longer side of the box, (n,)."""
        labels, boxes = self.labels, self.boxes
        rim = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
        longer = np.maximum(boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2])
        share: NDArray[np.float64] = np.bincount(rim, minlength=len(self) + 1)[1:] / longer
        return share

    def mask(self, keep: list[int]) -> Mask:
        """The mask of the parts with these numbers."""
        return np.isin(self.labels, [part + 1 for part in keep])


def parts_of(mask: Mask, contrast: Real) -> Parts:
    """Find the connected strokes."""
    return Parts(*connected_parts(mask), contrast)


def one_digit(mask: Mask, contrast: Real) -> Mask:
    """The strokes of the main digit: the heaviest part, and parts near enough to belong to it.

    The weight of parts along the picture's border (the edge of a table, a frame) is divided by 20.
    """
    parts = parts_of(mask, contrast)
    if len(parts) < 2:
        return mask
    score = parts.mass * (1 - 0.95 * np.minimum(1, parts.contact))
    main = int(score.argmax())
    most_contact = 0.5 if parts.contact[main] else 0.2
    heavy_enough = (score > 0.01 * score[main]) & (parts.contact < most_contact)
    heaviest = np.argsort(-score, kind="stable")[:MAX_PIECES].tolist()
    waiting = [part for part in heaviest if heavy_enough[part] and part != main]
    kept, box = [main], parts.boxes[main]
    while True:
        reach = 0.25 * max(box[1] - box[0], box[3] - box[2])
        near = next((part for part in waiting if gap(box, parts.boxes[part]) <= reach), None)
        if near is None:
            return parts.mask(kept)
        waiting.remove(near)
        kept.append(near)
        box = union(box, parts.boxes[near])


def gap(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    """The distance in pixels between two boxes, along the axis on which it is larger. It is
    negative if they overlap."""
    return int(max(b[0] - a[1], a[0] - b[1], b[2] - a[3], a[2] - b[3]))


def union(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The box around two boxes."""
    return np.array([min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])])


# Ink to box.


def to_box(amount: Real) -> Grey:
    """Place ink in the MNIST box: 20x20 with its proportions, centre of mass in the middle of
    28x28.

    The amount of ink (h, w), from 0 to 1 and not all 0, becomes uint8 (28, 28), with 255 for a full
    stroke.
    """
    crop = _cropped(amount)
    long = max(crop.shape)
    whole, wanted = OVERSAMPLING * BOX_PX, OVERSAMPLING * STROKE_PX
    width = min(stroke_width(crop), 0.9 * long)
    # Widening by `radius` on each side also makes the digit larger. The widened digit has to fit
    # into the box.
    thin = width * whole / long < wanted
    radius = (wanted - width * (whole - wanted) / (long - width)) / 2 if thin else 0.0
    sides = [side * (whole - 2 * radius) / long + 2 * radius for side in crop.shape]
    height, width_ = (max(1, round(side / OVERSAMPLING)) for side in sides)
    inner = [max(1, round(OVERSAMPLING * side - 2 * radius)) for side in (height, width_)]
    drawn = _cropped(widen(resize(crop, inner[0], inner[1]), radius))
    small = resize(drawn, height, width_)
    small = small / small.max()
    top, left = (
        min(max(0, round(SIDE_PX / 2 - _centre(small, axis))), SIDE_PX - small.shape[axis])
        for axis in (0, 1)
    )
    image = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    image[top : top + height, left : left + width_] = np.rint(small * 255)
    return image


def _cropped(x: Real) -> Real:
    rows, columns = np.flatnonzero(x.any(axis=1)), np.flatnonzero(x.any(axis=0))
    return x[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centre(x: Real, axis: int) -> float:
    """Centre of mass along an axis, in pixel numbers. In MNIST it is at 14.0, not at 13.5."""
    along = x.sum(axis=1 - axis, dtype=np.float64)
    return float((along * np.arange(len(along))).sum() / along.sum())


def stroke_width(amount: Real) -> float:
    """Mean width in pixels: twice the ink over the length of its outline.

    The outline is the number of pixel edges times pi / 4, exact for a circle and on average over
    directions (Cauchy-Crofton).
    """
    full = np.zeros((amount.shape[0] + 2, amount.shape[1] + 2), bool)
    full[1:-1, 1:-1] = amount > 0.5
    n_edges = int((full[1:] != full[:-1]).sum() + (full[:, 1:] != full[:, :-1]).sum())
    return 2 * float(amount.sum()) / (max(n_edges, 4) * np.pi / 4)


def widen(x: Real, radius: float) -> Real:
    """Widen strokes by a disc of this radius with a soft edge. Returns a larger array."""
    reach = int(np.ceil(radius - 0.5))
    if reach < 1:
        return x
    height, width = x.shape
    out = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            share = min(1.0, radius + 0.5 - float(np.hypot(dy, dx)))
            if share > 0:
                part = out[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
                np.maximum(part, x * np.float32(share), out=part)
    return out


# Resampling.


def shrink(x: NDArray[Any], most_px: int) -> Real:
    """Reduce a picture to a longer side of at most `most_px`, float32; small ones are unchanged."""
    x = _block_means(x, max(1, max(x.shape) // most_px))  # a 12-megapixel photo takes 20 ms
    ratio = min(1.0, most_px / max(x.shape))
    return resize(x, *(max(1, round(side * ratio)) for side in x.shape))


def _block_means(x: NDArray[Any], step: int) -> Real:
    """Mean of each whole block of step x step. Pictures narrower than a block are unchanged."""
    if step == 1 or min(x.shape) < step:
        return x.astype(np.float32)
    height, width = (side // step * step for side in x.shape)
    total = np.zeros((height // step, width // step), np.float32)
    for dy in range(step):
        for dx in range(step):
            total += x[dy:height:step, dx:width:step]
    total /= step * step
    return total


def resize(x: NDArray[Any], height: int, width: int) -> Real:
    """Area resampling: each pixel is the mean over the area of the picture that it covers."""
    return _resize(_resize(x.astype(np.float32), height).T, width).T


def _resize(x: Real, n: int) -> Real:
    old = len(x)
    if n == old:
        return x
    total = np.zeros((old + 1, x.shape[1]))
    np.cumsum(x, axis=0, out=total[1:])
    at = np.arange(n + 1) * (old / n)
    low = np.minimum(at.astype(np.int64), old - 1)
    total = total[low] + x[low] * (at - low)[:, None]
    return ((total[1:] - total[:-1]) * (n / old)).astype(np.float32)
