"""Which figures a run has, by the kind of its answers: the one table of this wing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tenfold.core.task import TaskKind
from tenfold.evaluation import AnyEvaluation, Evaluation, RegressionEvaluation
from tenfold.report.answers import answered_figure, calibration_figure
from tenfold.report.plots import confusion_figure, history_figure, precision_recall_figure
from tenfold.report.values import forecast_figure, predicted_vs_true_figure, residuals_figure
from tenfold.runs.csv_files import StoredAnswers, StoredLabels, StoredValues

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RunFigure(NamedTuple):
    """One figure of a run.

    Attributes:
      title: What it shows.
      draw: Draws it.
      caption: How it is read, for the report; empty: it stands in the run folder alone.
      file: Its picture in the run folder; empty: it stands in the report alone.
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
    """The figures of a run.

    Args:
      evaluation: Of its test rows.
      stored: The answers to them.
      times: What stands under the axis of a forecast, for each row (n,); empty where rows have no
        order.
      history: The rows of `history.csv`.
    """
    yield from FIGURES[evaluation.task](evaluation, stored, times)
    if history:
        yield RunFigure("Training", partial(history_figure, history), "By epoch.", "history.png")


def _label_figures(
    evaluation: Evaluation, stored: StoredLabels, times: Sequence[str]
) -> Iterator[RunFigure]:
    confidence, right = stored.confidence, stored.right
    yield RunFigure(
        "Confusion matrix", partial(confusion_figure, evaluation), file="confusion_matrix.png"
    )
    yield RunFigure(
        "Calibration",
        partial(calibration_figure, confidence, right),
        "Of answers that state 80%, 80 in 100 should be right.",
    )
    yield RunFigure(
        "Accuracy against share answered",
        partial(answered_figure, confidence, right),
        "If only the surest answers were given: how many of those would be right.",
    )
    if evaluation.precision_at_recall is not None:
        yield RunFigure(
            "Precision and recall",
            partial(precision_recall_figure, evaluation, stored.true, stored.probabilities),
            "Each step is a threshold.",
            "precision_recall.png",
        )


def _value_figures(
    evaluation: RegressionEvaluation, stored: StoredValues, times: Sequence[str]
) -> Iterator[RunFigure]:
    true, value, ends = stored.true, stored.predicted, (stored.low, stored.high)
    yield RunFigure(
        "Predicted against true",
        partial(predicted_vs_true_figure, evaluation, true, value, *ends),
        "Points on the diagonal are right.",
        "predicted_vs_true.png",
    )
    yield RunFigure(
        "Residuals",
        partial(residuals_figure, evaluation, true, value),
        "What is left over should show no pattern.",
        "residuals.png",
    )
    if times:
        yield RunFigure(
            "The test rows over time",
            partial(forecast_figure, true, value, *ends, times, target=evaluation.target),
            "In the order of time, by the key of each row.",
            "forecast.png",
        )


FIGURES: Mapping[TaskKind, Callable[..., Iterator[RunFigure]]] = {
    "classification": _label_figures,
    "regression": _value_figures,
}
