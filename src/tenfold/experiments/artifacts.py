"""What a model is worth on rows it was not fitted to: measured, written down and drawn."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold import report
from tenfold.core import files
from tenfold.core.contract import TableInput
from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.split import Split
from tenfold.evaluation import (
    AnyEvaluation,
    Comparison,
    Evaluation,
    RegressionEvaluation,
    compare_labels,
    compare_values,
)
from tenfold.evaluation.robustness import measure_robustness, nearly_seen
from tenfold.inputs.tables.columns import Table
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Predictions, Values
from tenfold.runs import csv_files
from tenfold.runs.csv_files import StoredLabels, read_predictions
from tenfold.runs.record import DataRecord, Run

N_EXAMPLES = 10
"""Rows of a regression whose answers are stored; of labels there is one each."""


def measure(
    model: Model, data: Dataset, rows: RowNumbers, part: str, known: DataRecord, recall: float = 0.8
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
    if isinstance(answers, Values):
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


def write_evidence(run: Run, data: Dataset, split: Split, *, robust: bool = False) -> None:
    """Write evaluation, predictions, pictures and stored examples of a run.

    Args:
      run: A run with a model.
      data: Its data.
      split: Its test rows are measured.
      robust: Also ask changed rows, for `robustness.json`.
    """
    test, recall = split.test, float(run.record.config["recall"])
    evaluation, answers = measure(run.model, data, test, "test", run.record.data, recall)
    files.write_text(run.path / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")
    _write_answers(run, "predictions.csv", data, test, answers)
    _draw(run, data, test, evaluation, answers)
    if isinstance(data.x, Table):
        row_bytes = 8 * max(1, len(data.x.columns))  # 8 bytes a cell, or more
        held = csv_files.MAX_CELL_BYTES // row_bytes
        order = test[_asked_first(answers, data.y[test])[:held]]
        csv_files.write_test_rows(run, [data.keys[row] for row in order], data.x[order])
    if robust:
        found = measure_robustness(run.model, data.x[test], data.y[test], "test")
        if isinstance(answers, Predictions) and not isinstance(data.x, Table):
            right = answers.codes == data.y[test]
            fitted_to = np.r_[split.train, split.validation]
            nearly = nearly_seen(data.x, data.keys, fitted_to, test, right)
            found = found.model_copy(update={"nearly": nearly})
        files.write_text(run.path / "robustness.json", found.model_dump_json(indent=2) + "\n")
    seen = split.validation if split.validation.size else split.train
    if data.labels:
        _, first = np.unique(data.y[seen], return_index=True)
        examples = seen[first]
    else:
        examples = seen[:N_EXAMPLES]
    csv_files.write_inputs(run, data.x[examples])
    answers = run.model.answer(data.x[examples])
    _write_answers(run, csv_files.EXAMPLE_ANSWERS, data, examples, answers)


def _asked_first(answers: Answers, true: NDArray[Any]) -> NDArray[np.int64]:
    """Rows as a reader asks for them: wrong ones first, or those that are furthest off."""
    if isinstance(answers, Values):
        return np.argsort(-np.abs(answers.value - true), kind="stable")
    return report.sheet_order(answers.codes == true, answers.confidence)


def _write_answers(run: Run, name: str, data: Dataset, rows: RowNumbers, answers: Answers) -> None:
    keys = [data.keys[row] for row in rows]
    if isinstance(answers, Values):
        measured = np.isfinite(answers.high).all()
        ends = (answers.low.tolist(), answers.high.tolist()) if measured else (None, None)
        true, value = data.y[rows].tolist(), answers.value.tolist()
        csv_files.write_values(run.path / name, keys, true, value, *ends)
    else:
        labels = [data.labels[code] for code in data.y[rows]]
        csv_files.write_predictions(run.path / name, keys, labels, answers)


def _draw(
    run: Run, data: Dataset, test: RowNumbers, evaluation: AnyEvaluation, answers: Answers
) -> None:
    """The pictures of the task."""
    true = data.y[test]
    if isinstance(answers, Predictions) and isinstance(evaluation, Evaluation):
        # The sheet is compressed, 0.16 s for MNIST, while matplotlib draws.
        with ThreadPoolExecutor(1) as thread:
            sheet = None
            if not isinstance(data.x, Table):
                order = report.sheet_order(answers.codes == true, answers.confidence)
                path = run.path / report.SHEET
                sheet = thread.submit(report.write_sheet, path, data.x[test], order)
            report.draw_confusion(evaluation, run.path / "confusion_matrix.png")
            if evaluation.precision_at_recall is not None:
                figure = report.precision_recall_figure(evaluation, true, answers.probabilities)
                report.save(figure, run.path / "precision_recall.png")
            if sheet is not None:
                sheet.result()
    elif isinstance(answers, Values) and isinstance(evaluation, RegressionEvaluation):
        ends: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]
        ends = (answers.low, answers.high) if evaluation.coverage else (None, None)
        figure = report.predicted_vs_true_figure(evaluation, true, answers.value, *ends)
        report.save(figure, run.path / "predicted_vs_true.png")
        figure = report.residuals_figure(evaluation, true, answers.value)
        report.save(figure, run.path / "residuals.png")
        times = _times(data, test)
        if times:
            figure = report.forecast_figure(
                true, answers.value, ends[0], ends[1], times, target=evaluation.target
            )
            report.save(figure, run.path / "forecast.png")
    if run.history:
        report.save(report.history_figure(run.history), run.path / "history.png")


def _target(data: Dataset) -> str:
    return data.input.target if isinstance(data.input, TableInput) else "value"


def _times(data: Dataset, rows: RowNumbers) -> list[str]:
    """The time of each row as text; empty where rows have no order."""
    order = data.input.order if isinstance(data.input, TableInput) else None
    if order is None or not isinstance(data.x, Table):
        return []
    times = data.x.columns[order.time][rows]
    if not order.is_date:
        return [f"{time:g}" for time in times]
    days = order.step % 86_400 == 0
    return [str(time.astype("datetime64[D]" if days else "datetime64[m]")) for time in times]


def rewrite_report(run: Run) -> Path:
    """Make `report.html` anew from what stands in the run folder; returns its path.

    Raises:
      RunError: The run was not evaluated.
      FileError: Another process works on the run, or it cannot be written.
    """
    with files.locked(run.path, wait=False):
        report.write_report(run, [run.record.note] if run.record.note else [])
        path = run.path / "report.html"
        if "report.html" in run.record.files:
            run.record.files["report.html"] = files.sha256(path)
            run.save()
    return path


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare two runs on the test rows that both have: neither was fitted to them.

    Raises:
      RunError: One of them was not evaluated.
      DataError: Runs on other data, or without a test row in common.
    """
    if first.record.data.fingerprint != second.record.data.fingerprint:
        raise DataError(
            "E801",
            "Runs on other data",
            expected="two runs on the same data",
            **{run.path.name: run.record.data.name for run in (first, second)},
        )
    names = (first.path.resolve().name, second.path.resolve().name)
    if names[0] == names[1]:
        names = (str(first.path), str(second.path))
    one, other = read_predictions(first), read_predictions(second)
    places = {key: row for row, key in enumerate(other.keys)}
    pairs = [(row, places[key]) for row, key in enumerate(one.keys) if key in places]
    if len(pairs) < 2:
        raise DataError(
            "E802",
            "Too few test rows in common",
            where=" and ".join(names),
            expected="two or more that both were measured on",
            n_common=len(pairs),
        )
    a, b = np.array(pairs).T
    if isinstance(one, StoredLabels) and isinstance(other, StoredLabels):
        return compare_labels(
            one.true[a],
            (one.predicted[a], one.probabilities[a]),
            (other.predicted[b], other.probabilities[b]),
            names,
        )
    return compare_values(
        one.true[a].astype(float), one.predicted[a].astype(float),
        other.predicted[b].astype(float), names,
    )  # fmt: skip
