"""Robustness: how much a score falls if rows are altered slightly. Unaltered test rows do not show
this."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.core.text import in_unit
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.duplicates import nearly_same
from tenfold.evaluation.intervals import Finite, Score
from tenfold.evaluation.measures import MEASURES, Measure
from tenfold.inputs.tables.columns import Table
from tenfold.model.model import Model

MAX_ROWS = 2_000
"""Maximum number of rows that are altered and predicted again. There are about twenty kinds of
changes."""

MAX_PAIRS = 12
"""Maximum number of near duplicates of training images that are named."""

N_SHUFFLES = 5
"""Number of times that each column is shuffled. Several give the spread of the costs."""

Images = NDArray[np.uint8]
Kind = Literal["shift", "rotation", "scale", "noise", "pen", "missing column"]


class Change(Frozen):
    """The score if all rows are altered in one way."""

    kind: Kind
    amount: str
    value: Score


class ColumnCost(Frozen):
    """The cost of shuffling a column: the mean over the repeats, with the smallest and the largest.

    Permutation importance: L. Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """

    column: str
    mean: Finite
    least: Finite
    greatest: Finite


class NearlySeen(Frozen):
    """Test images that nearly equal a training image, and the accuracy without them.

    Attributes:
      n: The number of such test images.
      without: The accuracy on the other test rows. None if there are none.
      pairs: Keys of test rows and of the training rows that they resemble, most similar first.
    """

    n: int
    without: Score | None
    pairs: tuple[tuple[str, str], ...]


class Robustness(Frozen):
    """The robustness of a model to altered rows.

    Attributes:
      n: The number of altered rows.
      score: `accuracy`, or `RMSE` in the target's unit.
      base: The score of the unaltered rows.
      changes: The score under each change.
      columns: For a table, the cost of shuffling each column, most expensive first: accuracy lost,
        or RMSE gained.
      nearly: Test images that nearly equal a training image. None for tables, or if there was no
        search for them.
    """

    format: Literal[1] = 1
    part: str
    n: int
    score: Literal["accuracy", "RMSE"]
    base: Score
    changes: tuple[Change, ...]
    columns: tuple[ColumnCost, ...] = ()
    nearly: NearlySeen | None = None

    @property
    def about(self) -> str:
        """A sentence that says what was measured."""
        rows = f"{self.n:,} {self.part} rows were changed and asked again."
        if not self.columns:
            return f"{rows} Directions are dealt evenly; a pen is widened or thinned by that much."
        return f"{rows} Each column was left out, and shuffled {N_SHUFFLES} times."

    @property
    def measure(self) -> Measure:
        """The meaning of the score."""
        return next(measure for measure in MEASURES.values() if measure.score == self.score)

    def shown(self, score: Score) -> str:
        """A score with its interval, for people."""
        return self.measure.shown(score)

    @property
    def worst(self) -> str:
        """The change of each kind that lowers the score most, with its score, in one line."""
        sign = 1 if self.measure.more_is_better else -1
        worst: dict[str, Change] = {}
        for change in sorted(self.changes, key=lambda change: sign * change.value.value):
            worst.setdefault(change.kind, change)
        number = self.measure.number
        return ", ".join(f"{c.kind} {c.amount} {number(c.value.value)}" for c in worst.values())

    def lines(self) -> Iterator[str]:
        """The result for people, one line each."""
        yield self.about
        yield f"{'as it is':<34} {self.score} {self.shown(self.base)}"
        for change in self.changes:
            name = f"{change.kind}: {change.amount}"
            yield f"{name:<34} {self.score} {self.shown(change.value)}"
        for cost in self.columns:
            name = f"without the information in {cost.column}"
            spread = f"({in_unit(cost.least)} to {in_unit(cost.greatest)})"
            yield f"{name:<34} costs {in_unit(cost.mean)} {spread}"
        if self.nearly is not None:
            yield self.nearly_text

    @property
    def nearly_text(self) -> str:
        """A sentence about test images that nearly equal a training image."""
        if self.nearly is None:
            return ""
        without = self.shown(self.nearly.without) if self.nearly.without else "no rows"
        rows = f"{self.nearly.n:,} {self.part} rows look nearly like a training row."
        return f"{rows} Without them: {self.score} {without}."


def measure_robustness(
    model: Model, x: Any, y: NDArray[Any], part: str, seed: int = 0
) -> Robustness:
    """Predict altered rows, which are not training rows, with their codes or values (n,). The seed
    determines the directions, the noise and the shuffles, and which rows are used if there are more
    than 2,000."""
    rng = np.random.default_rng(seed)
    if len(y) > MAX_ROWS:
        rows = np.sort(rng.choice(len(y), MAX_ROWS, replace=False))
        x, y = x[rows], y[rows]
    measure = MEASURES[model.task.kind]

    def row_scores(x: Any) -> NDArray[np.float64]:
        return model.answer(x).row_scores(y)

    accepted = model.contract.input
    names = accepted.names if accepted.kind == "table" else ()
    changes = [RowChange("missing column", name, partial(_without, name=name)) for name in names]
    if accepted.kind != "table":
        changes = image_changes(rng, x)
    return Robustness(
        part=part,
        n=len(y),
        score=measure.score,
        base=measure.of_rows(row_scores(x), y),
        changes=tuple(
            Change(kind=kind, amount=amount, value=measure.of_rows(row_scores(change(x)), y))
            for kind, amount, change in changes
        ),
        columns=_importance(lambda x: measure.error(row_scores(x)), x, names, rng),
    )


def nearly_seen(
    data: Dataset, train: RowNumbers, test: RowNumbers, row_scores: NDArray[np.float64]
) -> NearlySeen:
    """Search for test images that nearly equal training images. `row_scores` are the scores of the
    predictions for the test rows (n_test,)."""
    pairs = nearly_same(data.x, train, test)
    is_fresh = ~np.isin(test, pairs[:, 0])
    fresh = row_scores[is_fresh]
    return NearlySeen(
        n=len(pairs),
        without=MEASURES[data.task.kind].of_rows(fresh, data.y[test[is_fresh]])
        if len(fresh)
        else None,
        pairs=tuple((data.keys[a], data.keys[b]) for a, b in pairs[:MAX_PAIRS].tolist()),
    )


class RowChange(NamedTuple):
    """One way to alter rows, and how strongly."""

    kind: Kind
    amount: str
    change: Callable[[Any], Any]


# Tables.


def _without(x: Table, name: str) -> Table:
    """The table with one column empty."""
    values = x.columns[name]
    nothing: Any = {"M": np.datetime64("NaT", "s"), "O": ""}.get(values.dtype.kind, np.nan)
    return Table({**x.columns, name: np.full_like(values, nothing)})


def _importance(
    error: Callable[[Table], float], x: Any, names: Sequence[str], rng: np.random.Generator
) -> tuple[ColumnCost, ...]:
    base = error(x) if names else 0.0
    columns = []
    for name in names:
        costs = [
            error(Table({**x.columns, name: rng.permutation(x.columns[name])})) - base
            for _ in range(N_SHUFFLES)
        ]
        mean = float(np.mean(costs))
        columns.append(ColumnCost(column=name, mean=mean, least=min(costs), greatest=max(costs)))
    return tuple(sorted(columns, key=lambda column: -column.mean))


# Images: uint8 (n, height, width) or (n, height, width, 3) in and out.
# Beyond the edges of a picture, its border is repeated.


def image_changes(rng: np.random.Generator, x: Images) -> list[RowChange]:
    """All changes that are tried, the mildest of each kind first.

    The width of strokes is only changed in grey images, because colour photos have no strokes.
    Strokes are assumed to be dark if most pixels are lighter than their mean, because strokes cover
    the smaller part of an image.
    """
    noise = rng.spawn(1)[0]
    changes = [RowChange("shift", f"{px} px", partial(shifted, px=px)) for px in (1, 2, 3, 4)]
    changes += [
        RowChange("rotation", f"{degrees} degrees", partial(rotated, degrees=degrees))
        for degrees in (5, 10, 15, 20, 30)
    ]
    changes += [
        RowChange("scale", f"x {factor}", partial(scaled, factor=factor))
        for factor in (0.7, 0.85, 1.15, 1.3)
    ]
    for deviation in (16, 32, 64):
        change = partial(noisy, deviation=deviation, rng=noise)
        changes.append(RowChange("noise", f"{deviation} grey levels", change))
    if x.ndim > 3:
        return changes
    dark = bool(np.median(x) > x.mean())
    return changes + [
        RowChange("pen", amount, partial(penned, px=px, dark=dark))
        for amount, px in (("1 px thinner", -1), ("1 px thicker", 1), ("2 px thicker", 2))
    ]


def shifted(x: Images, px: int) -> Images:
    """Shift every fourth image up, down, left and right."""
    from scipy import ndimage

    out = np.empty_like(x)
    for start, (down, right) in enumerate(((px, 0), (-px, 0), (0, px), (0, -px))):
        by = (0, down, right) + (0,) * (x.ndim - 3)
        out[start::4] = ndimage.shift(x[start::4], by, order=0, mode="nearest")
    return out


def rotated(x: Images, degrees: float) -> Images:
    """Rotate every other image counterclockwise, and the others clockwise."""
    from scipy import ndimage

    out = np.empty_like(x)
    for start, sign in ((0, 1), (1, -1)):
        out[start::2] = ndimage.rotate(
            x[start::2], sign * degrees, axes=(2, 1), reshape=False, order=1, mode="nearest"
        )
    return out


def scaled(x: Images, factor: float) -> Images:
    """Enlarge or reduce all images about their centre."""
    from scipy import ndimage

    height, width = x.shape[1:3]
    matrix = np.ones(x.ndim)
    matrix[1:3] = 1 / factor
    offset = np.zeros(x.ndim)
    offset[1:3] = np.array([height - 1, width - 1]) / 2 * (1 - 1 / factor)
    out: Images = ndimage.affine_transform(x, matrix, offset, order=1, mode="nearest")
    return out


def noisy(x: Images, deviation: float, rng: np.random.Generator) -> Images:
    """Add normal noise to every pixel, clipped at 0 and 255."""
    changed = x + rng.normal(0, deviation, x.shape).astype(np.float32)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def penned(x: Images, px: int, dark: bool = False) -> Images:
    """Make strokes of grey images, dark on light or light on `dark`, wider or thinner by this many
    pixels."""
    from scipy import ndimage

    size = (1, abs(px) + 1, abs(px) + 1)
    change = ndimage.maximum_filter if (px > 0) is not dark else ndimage.minimum_filter
    out: Images = change(x, size=size, mode="nearest")
    return out
