"""Charts of columns: their importance, and how the predictions depend on the most important
ones."""

from collections.abc import Sequence

import numpy as np

from tenfold.core.records import COLUMNS_FILE
from tenfold.core.text import in_unit
from tenfold.evaluation.column_effects import ColumnEffects, Dependence
from tenfold.evaluation.measures import Measure
from tenfold.evaluation.robustness import Robustness
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
    Tone,
    Whiskers,
    few_names_axis,
    name_axis,
    number_axis,
    share_axis,
    short,
)
from tenfold.report.svg import chart_html
from tenfold.runs.record import Run

MAX_COLUMNS = 30
"""The maximum number of columns in the chart of importance. The most important ones come first."""

TONES: Sequence[Tone] = ("accent", "against", "ink", "grey")


def column_effects_of(run: Run) -> ColumnEffects | None:
    """The importance of the columns of a table. None for other inputs and for runs of earlier
    versions."""
    return run.document(ColumnEffects, COLUMNS_FILE)


def column_figures(run: Run) -> list[str]:
    """The charts of the importance of columns. For runs of earlier versions, those of
    `--robustness`."""
    effects, robustness = column_effects_of(run), run.robustness
    if effects is not None and not effects.matter:
        return []
    if effects is not None:
        target = getattr(run.model.contract.input, "target", "")
        curves = [dependence_chart(one, target) for one in effects.strongest]
        return [chart_html(chart) for chart in (effects_chart(effects), *curves)]
    if robustness is not None and robustness.columns:
        return [chart_html(shuffled_chart(robustness))]
    return []


def effects_chart(effects: ColumnEffects) -> Chart:
    """The chart of the cost of shuffling each column, with its 95% interval. The most important
    column is on top."""
    costs = [(one.cost.value, one.cost.low, one.cost.high) for one in effects.columns]
    names = [one.column for one in effects.columns]
    return _costs_chart(names, costs, effects.measure, "95% interval")


def shuffled_chart(robustness: Robustness) -> Chart:
    """The same chart for runs of earlier versions, which stored the range of the repeats."""
    costs = [(one.mean, one.least, one.greatest) for one in robustness.columns]
    names = [one.column for one in robustness.columns]
    return _costs_chart(names, costs, robustness.measure, "range of the repeats")


def _costs_chart(
    columns: Sequence[str],
    costs: Sequence[tuple[float, float, float]],
    measure: Measure,
    spread: str,
) -> Chart:
    cost, least, greatest = np.array(costs[:MAX_COLUMNS]).T
    at, is_share = np.arange(len(cost)), measure.more_is_better
    names = [short(column, 24) for column in columns[:MAX_COLUMNS]]
    lost = "accuracy lost" if is_share else f"{measure.score} gained"
    axis = number_axis(lost, least, greatest, [0.0], zero=True)
    if is_share:
        axis = share_axis(lost, min(0.0, float(least.min())), float(greatest.max()))
    titles = [
        f"{name}: {100 * c:.1f} points ({100 * a:.1f} to {100 * b:.1f})"
        if is_share
        else f"{name}: {c:,.6g} ({a:,.6g} to {b:,.6g})"
        for name, c, a, b in zip(names, cost, least, greatest, strict=True)
    ]
    marks: list[Mark] = [
        Boxes((np.zeros(len(at)), cost), (at - 0.33, at + 0.33), titles=titles),
        Whiskers(at, least, greatest, along_x=True),
    ]
    height = 40 + 26 * len(names)
    return Chart(
        "Cost of shuffling each column",
        [Panel(axis, name_axis("", names, downwards=True), marks, width=520, height=height)],
        about=f"How much worse the {measure.score} becomes when the values of a column are "
        f"shuffled, so that it tells the model nothing. The thin line is the {spread}.",
        is_wide=True,
    )


def dependence_chart(one: Dependence, target: str) -> Chart:
    """The mean prediction at each value of a column. A single curve also has the middle half."""
    labels = [answer.label for answer in one.answers if answer.label is not None]
    shown = [end for answer in one.answers for end in (answer.mean, answer.low, answer.high)]
    name = f"probability of {short(labels[0], 20)}" if len(labels) == 1 else "probability"
    axis = share_axis(name) if labels else number_axis(short(target), *shown)
    if one.kind == "category":
        return Chart(short(one.column), [_by_name(one, axis)])
    x: Axis
    at: Floats
    if one.kind == "number":
        at = np.array(one.values, np.float64)
        x = number_axis("", at)
    else:
        at = np.arange(len(one.values), dtype=np.float64)
        x = few_names_axis("", [str(value) for value in one.values], 3)
    marks: list[Mark] = []
    for answer, tone in zip(one.answers, TONES, strict=False):
        label = short(answer.label, 20) if answer.label and len(labels) > 1 else ""
        titles = [
            f"{value}: {_number(mean, bool(labels))}"
            for value, mean in zip(one.values, answer.mean, strict=True)
        ]
        if len(one.answers) == 1:
            marks.append(Band(at, answer.low, answer.high, tone))
        marks += [
            Curve(at, answer.mean, tone, label),
            Dots(at, answer.mean, tone, titles=titles, radius=3),
        ]
    return Chart(short(one.column), [Panel(x, axis, marks, height=240)])


def _by_name(one: Dependence, axis: Axis) -> Panel:
    """The chart of a category, with its most frequent value on top."""
    names = [short(str(value), 24) for value in one.values]
    at, marks = np.arange(len(names)), list[Mark]()
    for answer, tone in zip(one.answers, TONES, strict=False):
        titles = [
            f"{name}: {_number(mean, answer.label is not None)}"
            for name, mean in zip(names, answer.mean, strict=True)
        ]
        if len(one.answers) == 1:
            marks.append(Whiskers(at, answer.low, answer.high, tone, along_x=True))
        label = short(answer.label, 20) if answer.label and len(one.answers) > 1 else ""
        marks.append(Dots(answer.mean, at, tone, label, titles, radius=4.5))
    height = max(240, 60 + 24 * len(names))
    return Panel(axis, name_axis("", names, downwards=True), marks, height=height)


def _number(value: float, is_share: bool) -> str:
    return f"{value:.1%}" if is_share else in_unit(value)
