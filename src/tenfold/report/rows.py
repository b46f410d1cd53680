"""The content of a report: test rows, their pictures on one sheet, and the layers of a network."""

import base64
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.layers import Conv2D, Dense, ReLU, Softmax
from tenfold.core.onnx_layers import layers_in
from tenfold.core.task import TaskKind
from tenfold.evaluation import AnyEvaluation, Evaluation
from tenfold.report.network_page import embedded, inlined
from tenfold.report.reasons import Reason, explain_rows
from tenfold.report.summary import noun
from tenfold.runs.csv_files import StoredAnswers, StoredLabels, StoredValues, read_test_rows
from tenfold.runs.record import Run

SHEET = "test_images.png"
"""The test images of a run, wrong predictions first."""

REGIONS = "regions.jpg"
"""The test photos with the most confident wrong predictions, and the regions that support these."""

COLUMNS = 100
MAX_SIDE_PX = 112
"""Larger images are reduced to this longer side, which gives thumbnails of 56 points on a
high-resolution screen, and a sheet of 11,200 pixels, which browsers still show."""

MAX_VALUES = 12_000_000
"""Maximum number of pixels of a sheet, which is enough for 15,000 digits. The report should fit
into an e-mail."""

GREYS = 16
"""Number of grey levels. It takes half the bytes of 256 levels, and the difference is not visible
in a thumbnail."""

MAX_ROWS = 20_000
"""Maximum number of rows that a report lists, wrong predictions first."""

N_HARDEST, N_WORST = 24, 20


class ReportRows(NamedTuple):
    """The test rows in a report.

    For classification, the rows with their pictures or cells, and the strength of the colour of
    each cell of the confusion matrix. For regression, the rows with the largest errors. `n` is the
    number of rows in the page. For tables, `reasons` explain some of the predictions.
    """

    n: int = 0
    scripts: str = ""
    cells: Callable[[int, int], float] | None = None
    worst: Sequence[tuple[str, float, float, float, list[tuple[str, str]]]] = ()
    reasons: Sequence[Reason] = ()


def _label_rows(
    run: Run, evaluation: Evaluation, stored: StoredLabels, with_rows: bool
) -> ReportRows:
    """The rows of `predictions.csv` for the page: wrong predictions first, most confident first."""
    order = stored.worst_first[: MAX_ROWS if with_rows else 0]
    accepted = run.model.contract.input
    names, cells = read_test_rows(run)
    shape = () if accepted.kind == "table" else accepted.shape
    kinds = kinds_of(run)
    sheet = layout(len(stored), shape) if (run.path / SHEET).is_file() else None
    keys = [stored.keys[row] for row in order]
    # File names repeat, which would take 230 kB of MNIST's report.
    shared = os.path.commonprefix(keys)
    rows = {
        "labels": stored.labels,
        "n": len(stored),
        "shared": shared,
        "keys": [key[len(shared) :] for key in keys],
        "true": stored.true[order].tolist(),
        "predicted": stored.predicted[order].tolist(),
        "confidence": [float(f"{value:.4f}") for value in stored.confidence[order]],
        "side": (sheet.height, sheet.width) if sheet else (),
        "columns": sheet.columns if sheet else 0,
        "pictured": sheet.n if sheet else 0,
        "hardest": N_HARDEST,
        "noun": noun(run),
        "names": names,
        "kinds": [kinds.get(name, "") for name in names],
        "cells": [cells.get(stored.keys[row]) for row in order] if cells else [],
    }
    script = f"\n{embedded('rows-data', rows)}{module_script('report.js')}"
    return ReportRows(len(order), script, partial(_cells, evaluation))


def _value_rows(run: Run, _: AnyEvaluation, stored: StoredValues, with_rows: bool) -> ReportRows:
    """The key, the true value, the prediction, the error and the cells, by name, of the rows with
    the largest errors."""
    names, cells = read_test_rows(run)
    worst = [
        (
            stored.keys[row],
            float(stored.true[row]),
            float(stored.predicted[row]),
            float(stored.predicted[row] - stored.true[row]),
            list(zip(names, cells.get(stored.keys[row], ()), strict=False)),
        )
        for row in stored.worst_first[: N_WORST if with_rows else 0]
    ]
    return ReportRows(len(worst), worst=worst)


ROWS: Mapping[TaskKind, Callable[..., ReportRows]] = {
    "classification": _label_rows,
    "regression": _value_rows,
}


def kinds_of(run: Run) -> dict[str, str]:
    """The kind of each column of a table, by name. Empty for other inputs."""
    accepted = run.model.contract.input
    if accepted.kind != "table":
        return {}
    return {column.name: column.kind for column in accepted.columns}


def module_script(name: str) -> str:
    """A script of this package with what it imports, to be put at the end of a page."""
    folder = resources.files("tenfold.report")
    names = ("network_page/shown_cell.js", name) if name == "report.js" else (name,)
    script = inlined([folder.joinpath(part) for part in names])
    return f'\n<script type="module">\n{script}</script>'


def report_rows(run: Run, stored: StoredAnswers, *, with_rows: bool = True) -> ReportRows:
    """The test rows that a report lists. Without `with_rows` there are none."""
    evaluation = run.evaluation
    rows = ROWS[evaluation.task](run, evaluation, stored, with_rows)
    return rows._replace(reasons=explain_rows(run, stored)) if with_rows else rows


def picture_data(run: Run, name: str) -> str | None:
    """A picture of a run as a data address. None if there is no picture."""
    path = run.path / name
    if not path.is_file():
        return None
    with files.os_errors("read", path):
        content = path.read_bytes()
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _cells(evaluation: Evaluation, true: int, predicted: int) -> float:
    """The strength of the colour of a cell, 0 to 1: correct ones by their share of the row, wrong
    ones relative to the most frequent mistake. The square root keeps small numbers visible next to
    large ones."""
    row = evaluation.confusion[true]
    most = evaluation.most_confused
    whole = sum(row) if true == predicted else most[0][2] if most else 1
    return math.sqrt(row[predicted] / max(whole, 1))


class Layout(NamedTuple):
    """The layout of a sheet: the size of each image on it, their number, and the number in a
    row."""

    height: int
    width: int
    n: int
    columns: int


def layout(n: int, shape: tuple[int, ...]) -> Layout:
    """The layout of n images of a shape (height, width) or (height, width, 3)."""
    ratio = min(1.0, MAX_SIDE_PX / max(shape[:2]))
    height, width = (max(1, round(side * ratio)) for side in shape[:2])
    n_shown = min(n, MAX_VALUES // (height * width * int(np.prod(shape[2:]))))
    return Layout(height, width, n_shown, min(COLUMNS, n_shown))


def write_sheet(path: Path, images: NDArray[np.uint8], order: NDArray[np.int64]) -> None:
    """Write as many images of `order` as fit, at most 100 in a row, as a PNG.

    Images are uint8 (n, height, width) or (n, height, width, 3).
    """
    from PIL import Image

    height, width, n, columns = layout(len(order), images.shape[1:])
    shown = images[order[:n]]
    if shown.shape[1:3] != (height, width):
        box = Image.Resampling.BOX
        small = [np.array(Image.fromarray(image).resize((width, height), box)) for image in shown]
        shown = np.array(small)
    rows = -(-n // columns)
    padded = np.zeros((rows * columns, *shown.shape[1:]), np.uint8)
    padded[:n] = shown
    grid = padded.reshape(rows, columns, *shown.shape[1:]).swapaxes(1, 2)
    sheet = np.ascontiguousarray(grid).reshape(rows * height, columns * width, *shown.shape[3:])
    if sheet.ndim == 3:
        picture = Image.fromarray(sheet).quantize(64, method=Image.Quantize.FASTOCTREE)
        bits = 8
    else:
        levels = ((sheet.astype(np.uint16) * (GREYS - 1) + 127) // 255).astype(np.uint8)
        picture = Image.fromarray(levels, mode="P")
        picture.putpalette([level * 255 // (GREYS - 1) for level in range(GREYS) for _ in "rgb"])
        bits = 4
    with files.durable(path) as file:
        picture.save(file, "PNG", bits=bits, compress_level=6)


ACTIVATIONS = {ReLU: "ReLU", Softmax: "softmax"}


class NetworkLayer(NamedTuple):
    """One layer with weights: its kind, the sizes of its input and output, and its weights."""

    name: str
    kind: str
    size: str
    activation: str
    parameters: int


def layer_rows(content: bytes) -> list[NetworkLayer]:
    """The dense and convolutional layers of a model file, in order. Empty for other learners."""
    architecture, parameters = layers_in(content)
    rows = list[NetworkLayer]()
    for layer in architecture.layers:
        if rows and type(layer) in ACTIVATIONS:
            rows[-1] = rows[-1]._replace(activation=ACTIVATIONS[type(layer)])
        elif isinstance(layer, Dense | Conv2D):
            rows.append(_row(layer, parameters[layer.name]))
    return rows


def _row(layer: Dense | Conv2D, own: Mapping[str, Any]) -> NetworkLayer:
    n_parameters = sum(array.size for array in own.values())
    if isinstance(layer, Dense):
        size = f"{own['kernel'].shape[0]:,} → {layer.units:,}"
        activation = "ReLU" if layer.activation == "relu" else "none"
        return NetworkLayer(layer.name, "dense", size, activation, n_parameters)
    height, width, channels, filters = own["kernel"].shape
    size = f"{channels} → {filters}, {height} × {width}"
    return NetworkLayer(layer.name, "convolution", size, "none", n_parameters)
