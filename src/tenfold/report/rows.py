"""The test rows of a report, by the kind of their answers."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from tenfold.core import files
from tenfold.core.task import TaskKind
from tenfold.evaluation import AnyEvaluation, Evaluation
from tenfold.report.network_page import embedded, read_text
from tenfold.report.sheet import SHEET, layout
from tenfold.runs.csv_files import StoredAnswers, StoredLabels, StoredValues, read_test_rows
from tenfold.runs.record import Run

MAX_ROWS = 20_000
"""Rows that a report lists, at most: wrong ones first."""

N_HARDEST, N_WORST = 24, 20


class ReportRows(NamedTuple):
    """The test rows in a report.

    For labels the rows and what shows them, and how strongly each cell of the confusion matrix is
    coloured; for values the rows that are furthest off.
    """

    scripts: str = ""
    cells: Callable[[int, int], float] | None = None
    worst: Sequence[tuple[str, float, float, float, list[tuple[str, str]]]] = ()


def _label_rows(run: Run, evaluation: Evaluation, stored: StoredLabels) -> ReportRows:
    """The rows of `predictions.csv` for the page: wrong ones first, most confident first."""
    order = stored.worst_first[:MAX_ROWS]
    accepted = run.model.contract.input
    names, cells = read_test_rows(run)
    shape = () if accepted.kind == "table" else accepted.shape
    sheet = layout(len(stored), shape) if (run.path / SHEET).is_file() else None
    rows = {
        "labels": stored.labels,
        "n": len(stored),
        "keys": [stored.keys[row] for row in order],
        "true": stored.true[order].tolist(),
        "predicted": stored.predicted[order].tolist(),
        "confidence": [float(f"{value:.4f}") for value in stored.confidence[order]],
        "side": (sheet.height, sheet.width) if sheet else (),
        "columns": sheet.columns if sheet else 0,
        "pictured": sheet.n if sheet else 0,
        "hardest": N_HARDEST,
        "names": names,
        "cells": [cells.get(stored.keys[row]) for row in order] if cells else [],
    }
    script = f'\n{embedded("rows-data", rows)}\n<script type="module">\n'
    script += f"{read_text('tenfold.report', 'report.js')}</script>"
    return ReportRows(script, partial(_cells, evaluation))


def _value_rows(run: Run, _: AnyEvaluation, stored: StoredValues) -> ReportRows:
    """Key, truth, prediction, error and cells, by name, of the rows that are furthest off."""
    names, cells = read_test_rows(run)
    worst = [
        (
            stored.keys[row],
            float(stored.true[row]),
            float(stored.predicted[row]),
            float(stored.predicted[row] - stored.true[row]),
            list(zip(names, cells.get(stored.keys[row], ()), strict=False)),
        )
        for row in stored.worst_first[:N_WORST]
    ]
    return ReportRows(worst=worst)


ROWS: Mapping[TaskKind, Callable[..., ReportRows]] = {
    "classification": _label_rows,
    "regression": _value_rows,
}


def report_rows(run: Run, stored: StoredAnswers) -> ReportRows:
    evaluation = run.evaluation
    return ROWS[evaluation.task](run, evaluation, stored)


def sheet_data(run: Run) -> str | None:
    """The sheet of test images as an address that holds it; None where there is none."""
    path = run.path / SHEET
    if not path.is_file():
        return None
    with files.os_errors("read", path):
        content = path.read_bytes()
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _cells(evaluation: Evaluation, true: int, predicted: int) -> float:
    """How strongly a cell is coloured, 0 to 1: right ones by their share of the row, wrong ones
    beside the most frequent mistake. The root, so that few are seen beside many."""
    row = evaluation.confusion[true]
    most = evaluation.most_confused
    whole = sum(row) if true == predicted else most[0][2] if most else 1
    return math.sqrt(row[predicted] / max(whole, 1))
