"""The pictures of a regression: predicted against true, what is left over, and a forecast."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tenfold.core.colours import AGAINST, INK
from tenfold.core.text import in_unit
from tenfold.evaluation import RegressionEvaluation
from tenfold.report.plots import VALIDATION, Floats, lay_out, new_figure, plain, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

MAX_WHISKERS = 200
"""Up to this many rows each shows its interval; more would be a thicket."""

MAX_POINTS = 3000
"""Up to this many rows are points; more are counted in hexagons."""

MAX_TICKS = 8


def predicted_vs_true_figure(
    evaluation: RegressionEvaluation,
    true: Floats,
    value: Floats,
    low: Floats | None = None,
    high: Floats | None = None,
) -> "Figure":
    """Predicted values against true ones (n,), with the diagonal on which they are equal."""
    figure = new_figure(5.8, 5.6)
    axes = figure.subplots()
    shown = [true, value]
    if low is not None and high is not None and len(true) <= MAX_WHISKERS:
        axes.vlines(true, low, high, color=VALIDATION, alpha=0.3, lw=1)
        shown += [low, high]
    cells = _cloud(axes, true, value)
    if cells is not None:
        figure.colorbar(cells, ax=axes, label="rows", shrink=0.8)
    ends = _limits(np.concatenate(shown))
    axes.plot(ends, ends, color=INK, lw=1, ls="--")
    name = short(evaluation.target)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", xlim=ends, ylim=ends)
    axes.set_aspect("equal")
    _numbers(axes.xaxis, axes.yaxis)
    plain(axes)
    r2 = f", R2 {evaluation.r2}" if evaluation.r2 else ""
    figure.suptitle(
        f"{short(evaluation.data)}: {evaluation.n:,} {evaluation.part} rows\n"
        f"RMSE {evaluation.rmse.in_unit}{r2}",
        color=INK,
        fontsize=11,
    )
    lay_out(figure, twice=True)
    return figure


def residuals_figure(evaluation: RegressionEvaluation, true: Floats, value: Floats) -> "Figure":
    """What is left over, true minus predicted (n,): against predicted, and how often."""
    left_over = true - value
    figure = new_figure(9.0, 4.0)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    _cloud(left, value, left_over)
    left.set(xlabel=f"predicted {short(evaluation.target)}", ylabel="true - predicted")
    n_bins = min(60, max(8, len(true) // 10))
    right.hist(left_over, bins=n_bins, orientation="horizontal", color=VALIDATION, alpha=0.8)
    right.set(xlabel="rows")
    _numbers(left.xaxis, left.yaxis)
    for axes in (left, right):
        axes.axhline(0, color=INK, lw=1, ls="--")
        plain(axes)
    figure.suptitle(
        f"{short(evaluation.data)}: what is left over of {short(evaluation.target)}, "
        f"mean {in_unit(float(np.mean(left_over)))}",
        color=INK,
        fontsize=11,
    )
    return figure


def forecast_figure(
    true: Floats,
    predicted: Floats,
    low: Floats | None,
    high: Floats | None,
    axis_labels: Sequence[str],
    *,
    target: str = "value",
) -> "Figure":
    """The test rows over time: true and predicted values (n,), the intervals as a band.

    `axis_labels` are the times of the rows, as they are written under the axis.
    """
    figure = new_figure(10.0, 4.2)
    axes = figure.subplots()
    at = np.arange(len(true))
    mark = "o" if len(true) <= 60 else ""
    if low is not None and high is not None:
        axes.fill_between(at, low, high, color=AGAINST, alpha=0.2, lw=0, label="interval")
    axes.plot(at, true, color=INK, lw=1, marker=mark, ms=3, label="true")
    axes.plot(at, predicted, color=AGAINST, lw=1, marker=mark, ms=3, label="predicted")
    ticks = np.unique(np.linspace(0, len(true) - 1, min(MAX_TICKS, len(true))).round().astype(int))
    long = max(len(axis_labels[tick]) for tick in ticks) > 10
    axes.set_xticks(ticks, [short(axis_labels[tick], 24) for tick in ticks])
    if long:
        for label in axes.get_xticklabels():
            label.set(rotation=25, ha="right")
    _numbers(axes.yaxis)
    axes.set(ylabel=short(target))
    plain(axes)
    figure.legend(loc="outside upper right", frameon=False, ncols=3)
    return figure


def _cloud(axes: "Axes", x: Floats, y: Floats) -> "PolyCollection | None":
    """Rows as points, or counted in hexagons where points would hide each other."""
    if len(x) <= MAX_POINTS:
        alpha = float(np.clip(300 / len(x), 0.15, 0.8))
        axes.plot(x, y, "o", ms=4, mew=0, color=VALIDATION, alpha=alpha)
        return None
    from matplotlib.colors import LinearSegmentedColormap

    # Blues begin with white, in which single rows would be lost.
    blues = LinearSegmentedColormap.from_list("rows", ["#b5d0ea", "#08306b"])
    return axes.hexbin(x, y, gridsize=60, bins="log", mincnt=1, cmap=blues, linewidths=0.1)


def _numbers(*scales: "Axis") -> None:
    """Few ticks, with whole numbers in full: those of house prices ran into each other."""
    from matplotlib.ticker import MaxNLocator

    for scale in scales:
        scale.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        scale.set_major_formatter("{x:,.10g}")


def _limits(numbers: Floats) -> tuple[float, float]:
    low, high = float(numbers.min()), float(numbers.max())
    margin = 0.04 * (high - low) or max(1.0, abs(high)) * 0.1
    return low - margin, high + margin
