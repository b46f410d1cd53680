"""What a model is worth on rows it was not fitted to: measured, written down and drawn."""

import numpy as np
from numpy.typing import NDArray

from tenfold import files, report, runs
from tenfold.columns import Table
from tenfold.contract import TableInput
from tenfold.data import Dataset, Rows
from tenfold.evaluation import AnyEvaluation, Evaluation, RegressionEvaluation
from tenfold.model import Answers, Estimates, Model, Predictions
from tenfold.runs import DataRecord, Run

N_EXAMPLES = 10
"""Rows of a regression whose answers are stored; of labels there is one each."""


def measure(
    model: Model, data: Dataset, rows: Rows, part: str, known: DataRecord, recall: float = 0.8
) -> tuple[AnyEvaluation, Answers]:
    """Ask a model some rows, and score its answers.

    Args:
      model: The model.
      data: Where the rows are.
      rows: Their numbers.
      part: What they are called: `test`, `validation` or `all`.
      known: What the training rows said: the mean of a target, the label that is looked for.
      recall: Share of the positive rows that is to be found, for the precision it leaves.
    """
    answers = model.answer(data.x[rows])
    y = data.y[rows]
    if isinstance(answers, Estimates):
        measured = bool(np.isfinite(answers.high).all())
        previous = None if data.info is None else data.info.previous
        mean = float(y.mean()) if known.target_mean is None else known.target_mean
        return RegressionEvaluation.of(
            y,
            answers.value,
            low=answers.low if measured else None,
            high=answers.high if measured else None,
            baseline_value=mean if previous is None else previous[rows],
            baseline_kind="mean" if previous is None else "last value",
            data=data.name,
            part=part,
            target=_target(data),
        ), answers
    decision = answers.decision
    return Evaluation.of(
        y,
        answers.probabilities,
        data.labels,
        predicted=answers.codes if decision else None,
        unsure=answers.unsure,
        positive=known.positive,
        threshold=decision.threshold if decision else None,
        recall=recall,
        temperature=model.contract.temperature,
        data=data.name,
        part=part,
    ), answers


def write_evidence(run: Run, data: Dataset, test: Rows, seen: Rows) -> None:
    """Write evaluation, predictions and stored examples of a run.

    Args:
      run: A run with a model.
      data: Its data.
      test: The test rows.
      seen: Rows that are no test rows, to take examples from.
    """
    recall = float(run.record.config["recall"])
    evaluation, answers = measure(run.model, data, test, "test", run.record.data, recall)
    files.write_text(run.path / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")
    _write_answers(run, "predictions.csv", data, test, answers)
    _draw(run, data, test, evaluation, answers)
    if data.labels:
        _, first = np.unique(data.y[seen], return_index=True)
        examples = seen[first]
    else:
        examples = seen[:N_EXAMPLES]
    runs.write_inputs(run, data.x[examples])
    _write_answers(run, runs.EXAMPLE_ANSWERS, data, examples, run.model.answer(data.x[examples]))


def _write_answers(run: Run, name: str, data: Dataset, rows: Rows, answers: Answers) -> None:
    keys = [data.keys[row] for row in rows]
    if isinstance(answers, Estimates):
        measured = np.isfinite(answers.high).all()
        ends = (answers.low.tolist(), answers.high.tolist()) if measured else (None, None)
        true, value = data.y[rows].tolist(), answers.value.tolist()
        runs.write_values(run.path / name, keys, true, value, *ends)
    else:
        labels = [data.labels[code] for code in data.y[rows]]
        runs.write_predictions(run.path / name, keys, labels, answers)


def _draw(run: Run, data: Dataset, test: Rows, evaluation: AnyEvaluation, answers: Answers) -> None:
    """The pictures of the task."""
    true = data.y[test]
    if isinstance(answers, Predictions) and isinstance(evaluation, Evaluation):
        report.draw_confusion(evaluation, run.path / "confusion_matrix.png")
        if evaluation.precision_at_recall is not None:
            path = run.path / "precision_recall.png"
            report.draw_precision_recall(evaluation, true, answers.probabilities, path)
    elif isinstance(answers, Estimates) and isinstance(evaluation, RegressionEvaluation):
        ends: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]
        ends = (answers.low, answers.high) if evaluation.coverage else (None, None)
        path = run.path / "predicted_vs_true.png"
        report.draw_predicted_vs_true(evaluation, true, answers.value, path, *ends)
        report.draw_residuals(evaluation, true, answers.value, run.path / "residuals.png")
        times = _times(data, test)
        if times:
            path = run.path / "forecast.png"
            low, high = ends
            report.draw_forecast(
                true, answers.value, low, high, times, path, target=evaluation.target
            )
    if run.history:
        report.draw_history(run.history, run.path / "history.png")


def _target(data: Dataset) -> str:
    return data.input.target if isinstance(data.input, TableInput) else "value"


def _times(data: Dataset, rows: Rows) -> list[str]:
    """The time of each row as text; empty where rows have no order."""
    order = data.input.order if isinstance(data.input, TableInput) else None
    if order is None or not isinstance(data.x, Table):
        return []
    times = data.x.columns[order.time][rows]
    if not order.is_date:
        return [f"{time:g}" for time in times]
    days = order.step % 86_400 == 0
    return [str(time.astype("datetime64[D]" if days else "datetime64[m]")) for time in times]
