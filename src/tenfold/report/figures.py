"""The charts of a run for each kind of task, in one table for the whole wing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from tenfold.core.task import TaskKind
from tenfold.evaluation import AnyEvaluation, Evaluation, RegressionEvaluation
from tenfold.report import plots, values
from tenfold.report.charts import Chart
from tenfold.report.svg import chart_html
from tenfold.runs.csv_files import StoredAnswers, StoredLabels, StoredValues, read_test_rows
from tenfold.runs.record import Run

PICTURES = {
    "confusion_matrix.png": "Confusion matrix",
    "precision_recall.png": "Precision and recall",
    "predicted_vs_true.png": "Predicted against true",
    "forecast.png": "The test rows over time",
    "residuals.png": "Residuals",
    "history.png": "Training",
}
"""All pictures that a run folder may contain for people, in the order of the report."""


class RunFigure(NamedTuple):
    """A chart of a run: the function that makes it, its PNG file, and where it is shown.

    Without a file, the chart is only shown in the report.
    """

    draw: Callable[[], Chart]
    file: str = ""
    in_report: bool = True


def run_figures(
    evaluation: AnyEvaluation,
    stored: StoredAnswers,
    times: Sequence[str],
    history: Sequence[dict[str, float | None]],
) -> Iterator[RunFigure]:
    """The charts of a run. `times` are the labels of a forecast's axis, empty for rows without
    order."""
    yield from FIGURES[evaluation.task](evaluation, stored, times)
    if history:
        yield RunFigure(partial(plots.history_chart, history), "history.png")


def _label_figures(
    evaluation: Evaluation, stored: StoredLabels, times: Sequence[str]
) -> Iterator[RunFigure]:
    confidence, right = stored.confidence, stored.right
    draw = partial(plots.confusion_chart, evaluation)
    yield RunFigure(draw, "confusion_matrix.png", in_report=False)
    yield RunFigure(partial(plots.calibration_chart, confidence, right))
    yield RunFigure(partial(plots.answered_chart, confidence, right))
    if evaluation.precision_at_recall is not None:
        draw = partial(plots.precision_recall_chart, evaluation, stored.true, stored.probabilities)
        yield RunFigure(draw, "precision_recall.png")


def _value_figures(
    evaluation: RegressionEvaluation, stored: StoredValues, times: Sequence[str]
) -> Iterator[RunFigure]:
    true, value, ends = stored.true, stored.predicted, (stored.low, stored.high)
    draw = partial(values.predicted_vs_true_chart, evaluation, true, value, *ends)
    yield RunFigure(draw, "predicted_vs_true.png")
    yield RunFigure(partial(values.residuals_chart, evaluation, true, value), "residuals.png")
    if times:
        draw = partial(values.forecast_chart, true, value, *ends, times, target=evaluation.target)
        yield RunFigure(draw, "forecast.png")


FIGURES: Mapping[TaskKind, Callable[..., Iterator[RunFigure]]] = {
    "classification": _label_figures,
    "regression": _value_figures,
}


def report_charts(run: Run, stored: StoredAnswers) -> list[str]:
    """The charts of a report, as elements of its page."""
    figures = run_figures(run.evaluation, stored, row_times(run, stored), run.history)
    charts = [figure.draw() for figure in figures if figure.in_report]
    if run.learning_curve is not None:
        charts.append(plots.learning_curve_chart(run.learning_curve))
    return [chart_html(chart) for chart in charts]


def row_times(run: Run, stored: StoredAnswers) -> list[str]:
    """The time of each test row of a single series. Empty for data without an order."""
    order = getattr(run.model.contract.input, "order", None)
    if order is None or order.series is not None:
        return []
    names, cells = read_test_rows(run)
    if order.time not in names:
        return list(stored.keys)
    column = names.index(order.time)
    times = [cells[key][column] if key in cells else key for key in stored.keys]
    midnight = "T00:00:00"
    are_days = all(time.endswith(midnight) for time in times)
    return [time.removesuffix(midnight) for time in times] if are_days else times
