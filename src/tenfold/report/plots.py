"""The pictures, drawn with matplotlib's figures directly: pyplot would cost 0.3 s and a window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold import files
from tenfold.data import Dataset
from tenfold.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, TRAIN, VALIDATION = "#1f2933", "#7b8794", "#1767b3"
MAX_NUMBERED = 30
"""With more labels than this the cells are too small for numbers; colour alone remains."""

MAX_EXAMPLES, MAX_SHEET_LABELS = 12, 100
"""Pictures of one label on a sheet of examples, and rows of them."""


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix, counts and shares of each row: true rows, predicted columns."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.4, 1.6 + 0.42 * min(len(counts), MAX_NUMBERED))
    figure = _figure(2 * side, side + 0.3)
    left, right = figure.subplots(1, 2)
    _matrix(left, shares, [[f"{n:,}" for n in row] for row in counts], evaluation.labels)
    _matrix(right, shares, [[_percent(s) for s in row] for row in shares], evaluation.labels)
    left.set_title("Count of examples")
    right.set_title("Share of each true label, in %")
    figure.suptitle(
        f"{evaluation.data}: {evaluation.n:,} {evaluation.part} rows, "
        f"accuracy {evaluation.accuracy}",
        color=INK,
    )
    _save(figure, path)


def draw_examples(data: Dataset, path: Path) -> None:
    """Draw a sheet with the first examples of each label, one row of pictures for each."""
    columns = [np.flatnonzero(data.y == code)[:MAX_EXAMPLES] for code in range(len(data.labels))]
    labels = [(label, rows) for label, rows in zip(data.labels, columns, strict=True) if rows.size]
    dropped, labels = labels[MAX_SHEET_LABELS:], labels[:MAX_SHEET_LABELS]
    height, width = data.x.shape[1:3]
    sheet = np.zeros((len(labels) * (height + 1), MAX_EXAMPLES * (width + 1)), np.uint8)
    for i, (_, rows) in enumerate(labels):
        for j, row in enumerate(rows):
            top, left = i * (height + 1), j * (width + 1)
            sheet[top : top + height, left : left + width] = data.x[row]
    figure = _figure(9.0, max(1.6, 0.8 + 0.62 * len(labels) * height / width))
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    middles = [i * (height + 1) + height / 2 for i in range(len(labels))]
    axes.set_yticks(middles, [label for label, _ in labels])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    more = f", the first {MAX_SHEET_LABELS} labels" if dropped else ""
    axes.set_title(f"{data.name}: {len(data):,} examples{more}", color=INK)
    _save(figure, path)


def draw_history(history: Sequence[dict[str, float | None]], path: Path) -> None:
    """Draw loss and accuracy per epoch, of the training rows and of the validation rows if any."""
    figure = _figure(9.0, 3.6)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label, colour in (
            (name, "train", TRAIN),
            (f"val_{name}", "validation", VALIDATION),
        ):
            points = [(row["epoch"], row[column]) for row in history if row[column] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, color=colour, marker="o", ms=3)
        axes.set(xlabel="epoch", title=name.capitalize())
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    _save(figure, path)


def _matrix(axes: "Axes", shares: Any, texts: list[list[str]], labels: Sequence[str]) -> None:
    # The square root keeps a cell of 1% visible beside one of 99%.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    positions = range(len(labels))
    long = max(len(label) for label in labels) > 2
    axes.set_xticks(positions, labels, rotation=90 if long else 0)
    axes.set_yticks(positions, labels)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0, top=False)
    axes.spines[:].set_visible(False)
    if len(labels) > MAX_NUMBERED:
        return
    for i in positions:
        for j in positions:
            colour = "white" if shares[i, j] > 0.3 else INK
            axes.text(j, i, texts[i][j], ha="center", va="center", fontsize=8, color=colour)


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{100 * share:.1f}"


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr,call-arg]
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> None:
    # The first layout does not know yet how far square cells shrink the axes: labels were cut.
    figure.draw_without_rendering()
    with files.durable(path) as file:
        # Without the version in the file's metadata, equal pictures are equal files.
        figure.savefig(file, format="png", metadata={"Software": None})
