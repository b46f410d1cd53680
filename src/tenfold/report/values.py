"""The charts of a regression: predicted against true values, residuals, and a forecast."""

from collections.abc import Sequence

import numpy as np

from tenfold.core.text import in_unit
from tenfold.evaluation import RegressionEvaluation
from tenfold.report.charts import (
    Axis,
    Band,
    Boxes,
    Chart,
    Curve,
    Dots,
    Floats,
    Mark,
    Panel,
    Whiskers,
    few_names_axis,
    number_axis,
    short,
)

MAX_WHISKERS = 200
"""Up to this number of rows, the interval of each is drawn. More would be unreadable."""

MAX_POINTS = 2000
"""Up to this number of rows, each is drawn as a point. More are counted in cells."""

MAX_DATED = 120
"""Up to this number of rows, each row of a forecast has a tooltip."""

N_CELLS = 50
"""Number of cells along each axis."""


def predicted_vs_true_chart(
    evaluation: RegressionEvaluation,
    true: Floats,
    value: Floats,
    low: Floats | None = None,
    high: Floats | None = None,
) -> Chart:
    """Predicted values against true ones (n,), with the diagonal on which they are equal."""
    shown, marks = [true, value], list[Mark]()
    if low is not None and high is not None and len(true) <= MAX_WHISKERS:
        marks.append(Whiskers(true, low, high, "accent", opacity=0.4))
        shown += [low, high]
    name = short(evaluation.target)
    x = number_axis(f"true {name}", *shown)
    y = number_axis(f"predicted {name}", *shown)
    ends = [x.low, x.high]
    marks += [*_cloud(x, y, true, value), Curve(ends, ends, "ink", "equal", dashed=True)]
    r2 = f", R2 {evaluation.r2}" if evaluation.r2 else ""
    return Chart(
        "Predicted against true",
        [Panel(x, y, marks, width=420, height=420, is_square=True)],
        f"{short(evaluation.data)}: {evaluation.n:,} {evaluation.part} rows, "
        f"RMSE {evaluation.rmse.in_unit}{r2}",
        "Each point is a row. On the dashed line the prediction equals the true value; above it "
        "the prediction is too high.",
    )


def residuals_chart(evaluation: RegressionEvaluation, true: Floats, value: Floats) -> Chart:
    """The residuals, true minus predicted (n,): against the prediction, and their frequencies."""
    residuals = true - value
    x = number_axis(f"predicted {short(evaluation.target)}", value)
    y = number_axis("true - predicted", residuals)
    zero = Curve([x.low, x.high], [0, 0], "ink", dashed=True)
    n_bins = min(60, max(8, len(true) // 10))
    counts, edges = np.histogram(residuals, bins=n_bins, range=(y.low, y.high))
    titles = [
        f"{n:,} rows between {in_unit(a)} and {in_unit(b)}"
        for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
    bars = Boxes((np.zeros(n_bins), counts), (edges[:-1], edges[1:]), titles=titles)
    rows = number_axis("rows", [0, counts.max()], whole=True, zero=True)
    return Chart(
        "Residuals",
        [
            Panel(x, y, [*_cloud(x, y, value, residuals), zero], width=500),
            Panel(rows, y, [bars], width=240),
        ],
        f"{short(evaluation.data)}: residuals of {short(evaluation.target)}, "
        f"mean {in_unit(float(np.mean(residuals)))}",
        "A residual is the true value minus the prediction. Residuals should scatter around zero "
        "without a pattern; a curve or a funnel is something that the model has missed.",
    )


def forecast_chart(
    true: Floats,
    predicted: Floats,
    low: Floats | None,
    high: Floats | None,
    times: Sequence[str],
    *,
    target: str = "value",
) -> Chart:
    """The test rows over time: true and predicted values (n,), with intervals as a band.

    `times` are the times of the rows as written under the axis.
    """
    marks, shown = list[Mark](), [true, predicted]
    at = np.arange(len(true))
    if low is not None and high is not None:
        marks.append(Band(at, low, high, "against", "prediction interval"))
        shown += [low, high]
    marks += [Curve(at, true, "ink", "true"), Curve(at, predicted, "against", "predicted")]
    if len(true) <= MAX_DATED:
        pairs = zip(times, true, predicted, strict=True)
        titles = [f"{t}: true {in_unit(a)}, predicted {in_unit(b)}" for t, a, b in pairs]
        marks += [
            Dots(at, true, "ink", titles=titles, radius=2.5),
            Dots(at, predicted, "against", titles=titles, radius=2.5),
        ]
    axis = few_names_axis("", [short(time, 24) for time in times])
    return Chart(
        "The test rows over time",
        [Panel(axis, number_axis(short(target), *shown), marks, width=860, height=320)],
        about="These rows are later than all rows that the model has learned from.",
        is_wide=True,
    )


def _cloud(x: Axis, y: Axis, across: Floats, along: Floats) -> list[Mark]:
    """Rows as points, or counted in cells if points would hide each other."""
    if len(across) <= MAX_POINTS:
        opacity = float(np.clip(300 / len(across), 0.15, 0.8))
        titles = [f"{in_unit(a)}, {in_unit(b)}" for a, b in zip(across, along, strict=True)]
        return [Dots(across, along, titles=titles, opacity=opacity)]
    counts, *edges = np.histogram2d(
        across, along, bins=N_CELLS, range=((x.low, x.high), (y.low, y.high))
    )
    i, j = np.nonzero(counts)
    n = counts[i, j]
    # Logarithms keep single rows visible next to hundreds. No cell is paler than one fifth.
    shades = 0.2 + 0.8 * np.log(n) / max(np.log(n.max()), 1e-9)
    return [
        Boxes(
            (edges[0][i], edges[0][i + 1]), (edges[1][j], edges[1][j + 1]), shades=shades,
            titles=[f"{count:,.0f} rows" for count in n],
        )
    ]  # fmt: skip
