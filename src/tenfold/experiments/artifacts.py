"""The evidence of a model on rows that it was not fitted to: scores, files and charts."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold import report
from tenfold.core import files
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.split import Split
from tenfold.evaluation import MEASURES, AnyEvaluation, Subset
from tenfold.experiments.changed_rows import write_column_effects, write_robustness
from tenfold.model.model import Model
from tenfold.model.predictions import Answers
from tenfold.runs import csv_files
from tenfold.runs.csv_files import STORED, StoredAnswers, write_answers
from tenfold.runs.record import Record, Run

EXAMPLES: Mapping[str, Callable[[NDArray[Any]], RowNumbers]] = {
    "classification": lambda y: np.unique(y, return_index=True)[1],
    "regression": lambda y: np.arange(min(10, len(y))),
}
"""The functions that choose the examples to be stored, given label codes or targets (n,): the first
row of each label, or the first ten rows."""


def measure(
    model: Model, data: Dataset, rows: RowNumbers, part: str, record: Record
) -> tuple[AnyEvaluation, Answers]:
    """Predict some rows of the data with a model, and score the predictions.

    `part` is the name of the rows: `test`, `validation` or `all`. `record` contains the mean of the
    training targets and the requested recall.
    """
    answers = model.answer(data.seen_as(model.contract.input).x[rows])
    task = record.data.about(data.task)
    evaluation = MEASURES[task.kind].evaluate(
        answers,
        data,
        rows,
        task,
        Subset(data.name, part, None if data.groups is None else data.groups[rows]),
        recall=record.config.recall,
        temperature=model.contract.temperature,
    )
    return evaluation, answers


def write_validation(run: Run, data: Dataset, split: Split) -> None:
    """Write the evaluation of a run on its validation rows. The test rows stay sealed."""
    evaluation, _ = measure(run.model, data, split.validation, "validation", run.record)
    files.write_document(run.path / "evaluation.json", evaluation)


def write_evidence(run: Run, data: Dataset, split: Split, *, robust: bool = False) -> None:
    """Write evaluation, predictions, charts and stored examples of a run from its test rows.

    With `robust`, altered rows are predicted too, for `robustness.json`.
    """
    data, test = data.seen_as(run.model.contract.input), split.test
    evaluation, answers = measure(run.model, data, test, "test", run.record)
    evaluation = run.with_doubts(evaluation)
    files.write_document(run.path / "evaluation.json", evaluation)
    stored = _beside_truth(data, test, answers)
    write_answers(run.path / "predictions.csv", stored)
    # A thread writes the rows while charts are drawn, which takes 0.16 s for the images of MNIST.
    with ThreadPoolExecutor(1) as thread:
        written = thread.submit(WRITE_ROWS[data.input.kind], run, data, test, stored)
        for figure in report.run_figures(
            evaluation, stored, data.info.time_texts(test) if data.info else [], run.history
        ):
            if figure.file:
                report.write_png(figure.draw(), run.path / figure.file)
        written.result()
    if robust:
        write_robustness(run, data, split, answers)
    if data.input.kind == "table":
        write_column_effects(run, data, test)
        csv_files.write_background(run, data.x, split.train, data.groups)
    seen = split.validation if split.validation.size else split.train
    examples = seen[EXAMPLES[data.task.kind](data.y[seen])]
    csv_files.write_inputs(run, data.x[examples])
    stored = _beside_truth(data, examples, run.model.answer(data.x[examples]))
    write_answers(run.path / csv_files.EXAMPLE_ANSWERS, stored)


def _beside_truth(data: Dataset, rows: RowNumbers, answers: Answers) -> StoredAnswers:
    keys = [data.keys[row] for row in rows]
    return STORED[data.task.kind].of(keys, data.y[rows], answers)


def _write_images(run: Run, data: Dataset, test: RowNumbers, stored: Any) -> None:
    order = stored.worst_first
    report.write_sheet(run.path / report.SHEET, data.x[test], order)
    report.draw_regions(run.path, data.x[test[order[: report.N_REGIONS]]], stored)


def _write_cells(run: Run, data: Dataset, test: RowNumbers, stored: Any) -> None:
    order = stored.worst_first
    row_bytes = 8 * max(1, len(data.x.columns))  # each cell takes 8 bytes or more
    shown = test[order[: csv_files.MAX_CELL_BYTES // row_bytes]]
    csv_files.write_test_rows(run, [data.keys[row] for row in shown], data.x[shown])


WRITE_ROWS = {"image": _write_images, "table": _write_cells}
"""Writes the test rows that a report shows, in the order in which the report needs them."""
