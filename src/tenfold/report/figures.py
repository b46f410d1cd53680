"""Which figures a run has, by the kind of its answers: the one table of this wing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tenfold.core.task import TaskKind
from tenfold.evaluation import AnyEvaluation, Evaluation, RegressionEvaluation
from tenfold.evaluation.robustness import Robustness
from tenfold.report import plots, values
from tenfold.runs.csv_files import StoredAnswers, StoredLabels, StoredValues
from tenfold.runs.record import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PICTURES = {
    "confusion_matrix.png": "Confusion matrix",
    "precision_recall.png": "Precision and recall",
    "predicted_vs_true.png": "Predicted against true",
    "forecast.png": "The test rows over time",
    "residuals.png": "Residuals",
    "history.png": "Training",
}
"""Every picture for people that a run folder may hold, in the order of the report."""


class RunFigure(NamedTuple):
    """One figure of a run: what it shows, what draws it, and how it is read.

    Without a caption it stands in the run folder alone, without a file in the report alone.
    """

    title: str
    draw: Callable[[], "Figure"]
    caption: str = ""
    file: str = ""


def run_figures(
    evaluation: AnyEvaluation,
    stored: StoredAnswers,
    times: Sequence[str],
    history: Sequence[dict[str, float | None]],
) -> Iterator[RunFigure]:
    """The figures of a run; `times` stand under the axis of a forecast, empty without an order."""
    yield from FIGURES[evaluation.task](evaluation, stored, times)
    if history:
        yield RunFigure(
            "Training", partial(plots.history_figure, history), "By epoch.", "history.png"
        )


def _label_figures(
    evaluation: Evaluation, stored: StoredLabels, times: Sequence[str]
) -> Iterator[RunFigure]:
    confidence, right = stored.confidence, stored.right
    yield RunFigure(
        "Confusion matrix", partial(plots.confusion_figure, evaluation), file="confusion_matrix.png"
    )
    yield RunFigure(
        "Calibration",
        partial(plots.calibration_figure, confidence, right),
        "Of answers that state 80%, 80 in 100 should be right.",
    )
    yield RunFigure(
        "Accuracy against share answered",
        partial(plots.answered_figure, confidence, right),
        "If only the surest answers were given: how many of those would be right.",
    )
    if evaluation.precision_at_recall is not None:
        yield RunFigure(
            "Precision and recall",
            partial(plots.precision_recall_figure, evaluation, stored.true, stored.probabilities),
            "Each step is a threshold.",
            "precision_recall.png",
        )


def _value_figures(
    evaluation: RegressionEvaluation, stored: StoredValues, times: Sequence[str]
) -> Iterator[RunFigure]:
    true, value, ends = stored.true, stored.predicted, (stored.low, stored.high)
    yield RunFigure(
        "Predicted against true",
        partial(values.predicted_vs_true_figure, evaluation, true, value, *ends),
        "Points on the diagonal are right.",
        "predicted_vs_true.png",
    )
    yield RunFigure(
        "Residuals",
        partial(values.residuals_figure, evaluation, true, value),
        "What is left over should show no pattern.",
        "residuals.png",
    )
    if times:
        yield RunFigure(
            "The test rows over time",
            partial(values.forecast_figure, true, value, *ends, times, target=evaluation.target),
            "In the order of time, by the key of each row.",
            "forecast.png",
        )


FIGURES: Mapping[TaskKind, Callable[..., Iterator[RunFigure]]] = {
    "classification": _label_figures,
    "regression": _value_figures,
}


class Plot(NamedTuple):
    """One plot of a report; a wide one has a row of its own."""

    svg: str
    caption: str
    is_wide: bool


def report_plots(run: Run, stored: StoredAnswers, robustness: Robustness | None) -> list[Plot]:
    times = stored.keys if (run.path / "forecast.png").is_file() else ()
    figures = [*run_figures(run.evaluation, stored, times, run.history)]
    if robustness is not None and robustness.columns:
        cost = f"What shuffling a column costs: {robustness.score}."
        draw = partial(plots.importance_figure, robustness)
        figures.append(RunFigure("Importance of the columns", draw, cost))
    drawn = []
    for shown in figures:
        if shown.caption:
            figure = shown.draw()
            width, height = figure.get_size_inches()
            svg = plots.as_svg(figure, shown.title)
            drawn.append(Plot(svg, shown.caption, width > 1.7 * height))
    return drawn
