"""`report.html`: the run in one self-contained file that can be mailed and opened anywhere."""

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from tenfold.core import files
from tenfold.core.contract import Frozen
from tenfold.core.errors import RunError
from tenfold.core.records import Audit
from tenfold.core.task import TaskKind
from tenfold.evaluation import AnyEvaluation, Comparison, Evaluation, in_unit
from tenfold.evaluation.robustness import Robustness
from tenfold.report.answers import importance_figure
from tenfold.report.commands import commands
from tenfold.report.figures import RunFigure, run_figures
from tenfold.report.layers import layer_rows
from tenfold.report.network_page import Living, embedded, read_text, render
from tenfold.report.plots import as_svg
from tenfold.report.sheet import layout
from tenfold.runs.csv_files import (
    StoredAnswers,
    StoredLabels,
    StoredValues,
    read_predictions,
    read_test_rows,
)
from tenfold.runs.record import Run

PICTURES = {
    "confusion_matrix.png": "Confusion matrix",
    "precision_recall.png": "Precision and recall",
    "predicted_vs_true.png": "Predicted against true",
    "forecast.png": "The test rows over time",
    "residuals.png": "Residuals",
    "history.png": "Training",
}
"""Every picture for people that a run folder may hold, in the order of the report."""

SHEET = "test_images.png"
"""The test images of a run, wrong ones first."""

MAX_ROWS = 20_000
"""Rows that a report lists, at most: wrong ones first."""

MAX_CELLS_LABELS = 40
"""With more labels the confusion matrix is not drawn; the confused pairs are listed."""

N_HARDEST, N_PAIRS, N_WORST = 24, 12, 20
MAX_COLUMNS, MAX_TEXT = 30, 80
"""Columns of a table that are shown, and characters of a cell."""

GRAVE = ("test set inside training set", "in both parts", "test set repeats itself")


Document = TypeVar("Document", bound=Frozen)


class Plot(NamedTuple):
    """One plot of a report; a wide one has a row of its own."""

    svg: str
    caption: str
    is_wide: bool


def write_report(run: Run, notes: Sequence[str] = ()) -> None:
    """Write `report.html` from what stands in the run folder.

    Args:
      run: The run, with its model and its evaluation.
      notes: What a reader must know beside the numbers, one sentence or more each.

    Raises:
      RunError: The run has no evaluation or no model yet, or a file of it is damaged.
    """
    evaluation, stored = run.evaluation, read_predictions(run)
    living = Living(run)
    audit, robustness = _audit(run), read_robustness(run)
    rows = ROWS[evaluation.task](run, evaluation, stored)
    text = render(
        "tenfold.report",
        "report.html.j2",
        title=run.path.resolve().name,
        css=read_text("tenfold.report.network_page", "page.css")
        + read_text("tenfold.report", "report.css"),
        record=run.record,
        evaluation=evaluation,
        living=living,
        scripts=living.scripts + rows.scripts,
        notes=notes,
        findings=audit.findings if audit else (),
        grave=GRAVE,
        plots=_plots(run, stored, robustness),
        sheet=_sheet(run),
        worst=rows.worst,
        layers=layer_rows((run.path / "model.onnx").read_bytes()),
        robustness=robustness,
        commands=commands(run),
        cells=rows.cells,
        max_cells=MAX_CELLS_LABELS,
        n_hardest=N_HARDEST,
        max_columns=MAX_COLUMNS,
        max_text=MAX_TEXT,
        n_pairs=N_PAIRS,
        ordinal=ordinal,
        in_unit=in_unit,
    )
    files.write_text(run.path / "report.html", text)


def write_comparison(first: Run, second: Run, comparison: Comparison, path: Path) -> None:
    """Write the comparison of two runs as one HTML file.

    Raises:
      FileError: The file cannot be written.
    """
    text = render(
        "tenfold.report",
        "comparison.html.j2",
        css=read_text("tenfold.report.network_page", "page.css")
        + read_text("tenfold.report", "report.css"),
        comparison=comparison,
        records=[run.record for run in (first, second)],
        names=[comparison.first, comparison.second],
        otherwise=list(_otherwise(first, second)),
    )
    files.write_text(path, text)


def _otherwise(first: Run, second: Run) -> Iterator[tuple[str, Any, Any]]:
    """Settings in which two runs differ; an older run may not know one of them."""
    configs = first.record.known_settings(), second.record.known_settings()
    for name in sorted({*configs[0], *configs[1]} - {"learner"}):
        values = [config.get(name, "not known then") for config in configs]
        if values[0] != values[1]:
            yield name, *values


def ordinal(number: int) -> str:
    """The number as a place in a row.

    Example:
      >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 21)]
      ['1st', '2nd', '3rd', '4th', '11th', '21st']
    """
    teens = 10 <= number % 100 <= 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _audit(run: Run) -> Audit | None:
    path = run.path / "audit.json"
    return _parsed(Audit, path) if path.is_file() else None


def read_robustness(run: Run) -> Robustness | None:
    """What `--robustness` measured; None where it was not asked for.

    Raises:
      RunError: The file is damaged.
    """
    path = run.path / "robustness.json"
    return _parsed(Robustness, path) if path.is_file() else None


def _parsed(kind: type[Document], path: Path) -> Document:
    try:
        return kind.model_validate_json(_read(path))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise RunError("E701", f"Damaged {path.name}", where=path, problem=problem) from error


def _read(path: Path) -> bytes:
    with files.os_errors("read", path):
        return path.read_bytes()


class _Rows(NamedTuple):
    """The test rows in a report.

    Attributes:
      scripts: For labels the rows and what shows them.
      cells: For labels how strongly each cell of the confusion matrix is coloured.
      worst: For values the rows that are furthest off.
    """

    scripts: str = ""
    cells: Callable[[int, int], float] | None = None
    worst: Sequence[tuple[str, float, float, float, list[tuple[str, str]]]] = ()


def _label_rows(run: Run, evaluation: Evaluation, stored: StoredLabels) -> _Rows:
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
    return _Rows(script, partial(_cells, evaluation))


def _value_rows(run: Run, _: AnyEvaluation, stored: StoredValues) -> _Rows:
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
    return _Rows(worst=worst)


ROWS: Mapping[TaskKind, Callable[..., _Rows]] = {
    "classification": _label_rows,
    "regression": _value_rows,
}


def _sheet(run: Run) -> str | None:
    path = run.path / SHEET
    if not path.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(_read(path)).decode()}"


def _cells(evaluation: Evaluation, true: int, predicted: int) -> float:
    """How strongly a cell is coloured, 0 to 1: right ones by their share of the row, wrong ones
    beside the most frequent mistake. The root, so that few are seen beside many."""
    row = evaluation.confusion[true]
    most = evaluation.most_confused
    whole = sum(row) if true == predicted else most[0][2] if most else 1
    return math.sqrt(row[predicted] / max(whole, 1))


def _plots(run: Run, stored: StoredAnswers, robustness: Robustness | None) -> list[Plot]:
    times = stored.keys if (run.path / "forecast.png").is_file() else ()
    figures = [*run_figures(run.evaluation, stored, times, run.history)]
    if robustness is not None and robustness.columns:
        cost = f"What shuffling a column costs: {robustness.score}."
        draw = partial(importance_figure, robustness)
        figures.append(RunFigure("Importance of the columns", draw, cost))
    plots = []
    for shown in figures:
        if shown.caption:
            figure = shown.draw()
            width, height = figure.get_size_inches()
            svg = as_svg(figure, shown.title)
            plots.append(Plot(svg, shown.caption, width > 1.7 * height))
    return plots
