"""What the answers to the test rows show: calibration, and what unsure answers would spare."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.core.colours import INK
from tenfold.evaluation import Floats, Reliability, reliability, share_answered
from tenfold.evaluation.robustness import Robustness
from tenfold.report.plots import TRAIN, VALIDATION, new_charts, new_figure, plain, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_COLUMNS = 30
"""Columns of the plot of importance, the dearest first."""


def calibration_figure(confidence: Floats, right: NDArray[np.bool]) -> "Figure":
    """Share right (n,) against stated confidence (n,), in bins, with 95% intervals."""
    bins: Reliability = reliability(confidence, right)
    figure, (axes,) = new_charts(4.6, 4.0)
    axes.plot((0, 1), (0, 1), color=TRAIN, ls="--", lw=1, label="as sure as right")
    value = bins.accuracy
    below, above = value - bins.low, bins.high - value
    axes.errorbar(
        bins.confidence,
        value,
        yerr=(below, above),
        fmt="o",
        ms=5,
        lw=1.2,
        color=VALIDATION,
        label="share right, 95%",
    )
    axes.set(xlabel="stated confidence", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("Calibration")
    plain(axes)
    axes.legend(frameon=False, loc="upper left")
    return figure


def answered_figure(confidence: Floats, right: NDArray[np.bool]) -> "Figure":
    """Accuracy of the surest answers against the share of rows that are answered."""
    share, accuracy = share_answered(confidence, right)
    figure, (axes,) = new_charts(4.6, 4.0)
    axes.plot(share, accuracy, color=VALIDATION, lw=1.6)
    axes.plot(share[-1:], accuracy[-1:], "o", color=INK, ms=5)
    axes.annotate(
        f"all answered: {accuracy[-1]:.2%}",
        (share[-1], accuracy[-1]),
        (-8, -4),
        color=INK,
        textcoords="offset points",
        ha="right",
        va="top",
    )
    low = float(accuracy.min())
    axes.set(xlabel="share answered, the surest first", ylabel="accuracy of those answered")
    axes.set(xlim=(0, 1.03), ylim=(low - 0.35 * (1.0001 - low), 1 + 0.1 * (1.0001 - low)))
    axes.set_title("What unsure would spare")
    plain(axes)
    return figure


def importance_figure(robustness: Robustness) -> "Figure":
    """What shuffling each column costs, the dearest on top, with the spread of the repeats."""
    columns = robustness.columns[:MAX_COLUMNS][::-1]
    cost, least, greatest = np.array([(c.mean, c.least, c.greatest) for c in columns]).T
    spread = (cost - least, greatest - cost)
    figure = new_figure(6.4, 1.2 + 0.28 * len(columns))
    axes = figure.subplots()
    at = np.arange(len(columns))
    axes.barh(at, cost, xerr=spread, color=VALIDATION, alpha=0.85, height=0.65, ecolor=INK)
    axes.set_yticks(at, [short(column.column, 24) for column in columns])
    change = "lost" if robustness.measure.more_is_better else "gained"
    axes.set(xlabel=f"{robustness.score} {change}")
    axes.set_title("Importance of the columns")
    axes.axvline(0, color=TRAIN, lw=1)
    plain(axes)
    return figure
