"""The pictures, drawn with matplotlib's figures directly: pyplot would cost 0.3 s and a window."""

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.colours import ACCENT, AGAINST, INK, LINE, QUIET
from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset
from tenfold.evaluation import Evaluation, Ranking, reliability, share_answered
from tenfold.evaluation.robustness import Robustness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating[Any]]
TRAIN, VALIDATION = QUIET, ACCENT
PAGE_COLOURS = {
    INK: "--ink",
    "#000000": "--ink",
    QUIET: "--quiet",
    LINE: "--line",
    "#ffffff": "--card",
    ACCENT: "--accent",
    AGAINST: "--against",
}
"""Colours of a figure that a page replaces by its own, dark or light."""

MAX_NUMBERED = 30
"""With more labels than this the cells are too small for numbers; colour alone remains."""

MAX_COLUMNS = 30
"""Columns of the plot of importance, the dearest first."""

MAX_EXAMPLES, MAX_SHEET_LABELS = 12, 100
"""Pictures of one label on a sheet of examples, and rows of them."""


def confusion_figure(evaluation: Evaluation) -> "Figure":
    """The confusion matrix, counts and shares of each row: true rows, predicted columns."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.4, 1.6 + 0.42 * min(len(counts), MAX_NUMBERED))
    figure = new_figure(2 * side, side + 0.3)
    left, right = figure.subplots(1, 2)
    _matrix(left, shares, [[f"{n:,}" for n in row] for row in counts], evaluation.labels)
    percents = [["0" if s == 0 else f"{100 * s:.1f}" for s in row] for row in shares]
    _matrix(right, shares, percents, evaluation.labels)
    left.set_title("Count of examples")
    right.set_title("Share of each true label, in %")
    figure.suptitle(
        f"{literal(evaluation.data)}: {evaluation.n:,} {evaluation.part} rows, "
        f"accuracy {evaluation.accuracy}",
        color=INK,
    )
    lay_out(figure, twice=True)
    return figure


def precision_recall_figure(
    evaluation: Evaluation, true: NDArray[np.integer[Any]], probabilities: Floats
) -> "Figure":
    """Precision against recall of the positive of two labels, step by step.

    `evaluation` has an `average_precision`; `true` are codes (n,), `probabilities` (n, 2).
    """
    positive, at = evaluation.of_positive, evaluation.precision_at_recall
    if positive is None or at is None:
        raise DataError(
            "E702",
            "No precision and recall to draw",
            expected="two labels, and rows of the positive one",
            labels=evaluation.labels,
            positive=evaluation.positive,
        )
    code = evaluation.labels.index(positive.label)
    ranking = Ranking.of(true == code, probabilities[:, code])
    figure = new_figure(6.6, 4.6)
    axes = figure.subplots()
    # The precision of a step holds for all of the recall it gains: what the average is taken of.
    recall = np.append(0.0, ranking.recall)
    axes.stairs(ranking.precision, recall, color=VALIDATION, lw=1.6, baseline=None)
    axes.axhline(positive.n / evaluation.n, color=TRAIN, ls="--", lw=1, label="chance")
    stated = f"found {at.recall:.0%}: precision {at.precision}"
    axes.plot(at.recall, at.precision.value, "o", mfc="white", color=VALIDATION, ms=7, label=stated)
    if positive.recall and positive.precision:
        recalled, precise = positive.recall.value, positive.precision.value
        answered = f"answered: recall {recalled:.4f}, precision {precise:.4f}"
        axes.plot(recalled, precise, "o", color=INK, ms=6, label=answered)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    plain(axes)
    rows = f"{positive.n:,} of {evaluation.n:,} {evaluation.part} rows"
    figure.suptitle(
        f"{literal(evaluation.data)}: '{short(positive.label)}', {rows}\n"
        f"average precision {evaluation.average_precision}",
        color=INK,
    )
    figure.legend(loc="outside lower center", frameon=False, ncols=1)
    return figure


def calibration_figure(confidence: Floats, right: NDArray[np.bool]) -> "Figure":
    """Share right (n,) against stated confidence (n,), in bins, with 95% intervals."""
    bins = reliability(confidence, right)
    figure, (axes,) = new_charts(4.6, 4.0)
    axes.plot((0, 1), (0, 1), color=TRAIN, ls="--", lw=1, label="as sure as right")
    value = bins.accuracy
    below, above = value - bins.low, bins.high - value
    axes.errorbar(
        bins.confidence,
        value,
        yerr=(below, above),
        fmt="o",
        ms=5,
        lw=1.2,
        color=VALIDATION,
        label="share right, 95%",
    )
    axes.set(xlabel="stated confidence", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("Calibration")
    plain(axes)
    axes.legend(frameon=False, loc="upper left")
    return figure


def answered_figure(confidence: Floats, right: NDArray[np.bool]) -> "Figure":
    """Accuracy of the surest answers against the share of rows that are answered."""
    share, accuracy = share_answered(confidence, right)
    figure, (axes,) = new_charts(4.6, 4.0)
    axes.plot(share, accuracy, color=VALIDATION, lw=1.6)
    axes.plot(share[-1:], accuracy[-1:], "o", color=INK, ms=5)
    axes.annotate(
        f"all answered: {accuracy[-1]:.2%}",
        (share[-1], accuracy[-1]),
        (-8, -4),
        color=INK,
        textcoords="offset points",
        ha="right",
        va="top",
    )
    low = float(accuracy.min())
    axes.set(xlabel="share answered, the surest first", ylabel="accuracy of those answered")
    axes.set(xlim=(0, 1.03), ylim=(low - 0.35 * (1.0001 - low), 1 + 0.1 * (1.0001 - low)))
    axes.set_title("What unsure would spare")
    plain(axes)
    return figure


def importance_figure(robustness: Robustness) -> "Figure":
    """What shuffling each column costs, the dearest on top, with the spread of the repeats."""
    columns = robustness.columns[:MAX_COLUMNS][::-1]
    cost, least, greatest = np.array([(c.mean, c.least, c.greatest) for c in columns]).T
    spread = (cost - least, greatest - cost)
    figure = new_figure(6.4, 1.2 + 0.28 * len(columns))
    axes = figure.subplots()
    at = np.arange(len(columns))
    axes.barh(at, cost, xerr=spread, color=VALIDATION, alpha=0.85, height=0.65, ecolor=INK)
    axes.set_yticks(at, [short(column.column, 24) for column in columns])
    change = "lost" if robustness.measure.more_is_better else "gained"
    axes.set(xlabel=f"{robustness.score} {change}")
    axes.set_title("Importance of the columns")
    axes.axvline(0, color=TRAIN, lw=1)
    plain(axes)
    return figure


def draw_examples(data: Dataset, path: Path) -> None:
    """Draw a sheet with the first examples of each label, one row of pictures for each."""
    columns = [np.flatnonzero(data.y == code)[:MAX_EXAMPLES] for code in range(len(data.labels))]
    labels = [(label, rows) for label, rows in zip(data.labels, columns, strict=True) if rows.size]
    dropped, labels = labels[MAX_SHEET_LABELS:], labels[:MAX_SHEET_LABELS]
    height, width = data.x.shape[1:3]
    size = (len(labels) * (height + 1), MAX_EXAMPLES * (width + 1), *data.x.shape[3:])
    sheet = np.zeros(size, np.uint8)
    for i, (_, rows) in enumerate(labels):
        for j, row in enumerate(rows):
            top, left = i * (height + 1), j * (width + 1)
            sheet[top : top + height, left : left + width] = data.x[row]
    figure = new_figure(9.0, max(1.6, 0.8 + 0.62 * len(labels) * height / width))
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    middles = [i * (height + 1) + height / 2 for i in range(len(labels))]
    axes.set_yticks(middles, [literal(label) for label, _ in labels])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    more = f", the first {MAX_SHEET_LABELS} labels" if dropped else ""
    axes.set_title(f"{literal(data.name)}: {len(data):,} examples{more}", color=INK)
    lay_out(figure, twice=True)
    save_plot(figure, path)


def history_figure(history: Sequence[dict[str, float | None]]) -> "Figure":
    """Loss and accuracy per epoch, of the training rows and of the validation rows if any.

    A column that is empty throughout, as accuracy is in a regression, is not drawn.
    """
    from matplotlib.ticker import MaxNLocator

    drawn = [name for name in ("loss", "accuracy") if any(row[name] is not None for row in history)]
    figure, charts = new_charts(4.5 * len(drawn), 3.6, len(drawn))
    for axes, name in zip(charts, drawn, strict=True):
        for column, label, colour in (
            (name, "train", TRAIN),
            (f"val_{name}", "validation", VALIDATION),
        ):
            points = [(row["epoch"], row[column]) for row in history if row[column] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, color=colour, marker="o", ms=3)
        axes.set(xlabel="epoch", title=name.capitalize())
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
        plain(axes)
        if axes.lines:
            axes.legend(frameon=False)
    return figure


def _matrix(axes: "Axes", shares: Any, texts: list[list[str]], labels: Sequence[str]) -> None:
    # The square root keeps a cell of 1% visible beside one of 99%.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    positions = range(len(labels))
    long = max(len(label) for label in labels) > 2
    names = [literal(label) for label in labels]
    axes.set_xticks(positions, names, rotation=90 if long else 0)
    axes.set_yticks(positions, names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0, top=False)
    axes.spines[:].set_visible(False)
    if len(labels) > MAX_NUMBERED:
        return
    for i in positions:
        for j in positions:
            colour = "white" if shares[i, j] > 0.3 else INK
            cell = axes.text(j, i, texts[i][j], ha="center", va="center", fontsize=8, color=colour)
            cell.set_in_layout(False)  # it lies inside the axes; measuring each took 0.1 s


def plain(axes: "Axes") -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def literal(text: str) -> str:
    """Text that matplotlib shows as it is: a pair of dollars would be set as mathematics."""
    return text.replace("$", r"\$")


def short(text: str, length: int = 32) -> str:
    """Text that fits a title: its beginning when it is long."""
    return literal(text if len(text) <= length else f"{text[: length - 1]}…")


def new_charts(width: float, height: float, n: int = 1) -> tuple["Figure", list["Axes"]]:
    """A figure in inches and `n` axes side by side, with room for a title and ticks of numbers.

    Their margins are fixed: to measure numbers took as long as to draw them.
    """
    figure = _figure(width, height)
    of_one = width / n
    left, right, bottom, top = 0.75, 0.15, 0.55, 0.4  # inches
    axes = [
        figure.add_axes(
            (
                (i * of_one + left) / width,
                bottom / height,
                (of_one - left - right) / width,
                1 - (bottom + top) / height,
            )
        )
        for i in range(n)
    ]
    return figure, axes


def new_figure(width: float, height: float) -> "Figure":
    """A figure in inches that is laid out by what stands in it."""
    figure = _figure(width, height, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr,call-arg]
    return figure


def _figure(width: float, height: float, **options: Any) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, **options)
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def _missing_glyphs() -> Iterator[None]:
    """Labels may be of any script: a character that the font lacks is drawn as a box, unsaid."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        yield


@_missing_glyphs()
def lay_out(figure: "Figure", *, twice: bool = False) -> None:
    """Lay out a figure once and for all, so that saving it draws it once.

    Matplotlib would draw it unseen before each save to lay it out, half of the time of a picture.
    Twice is needed where scales are equal: the first layout does not know yet how far they shrink
    the axes, and labels were cut.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        for _ in range(1 + twice):
            engine.execute(figure)
        figure.set_layout_engine(None)  # "none" would keep a place for one, and the unseen drawing


@_missing_glyphs()
def save_plot(figure: "Figure", path: Path) -> None:
    lay_out(figure)
    with files.durable(path) as file:
        # Without the version in the file's metadata, equal pictures are equal files.
        figure.savefig(file, format="png", metadata={"Software": None})


@_missing_glyphs()
def as_svg(figure: "Figure", title: str) -> str:
    """The figure as an element of a page, its ink in the page's colours.

    Text stays text, so that it is read out, found and small; names are hashed from a fixed salt,
    so that equal figures are equal.
    """
    import matplotlib

    lay_out(figure)
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("\n", " ")
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg)
    # Names of one drawing must not meet those of another in the same page.
    names = set(re.findall(r' id="([^"]+)"', svg))
    prefix = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r' id="([^"]+)"', rf' id="{prefix}-\1"', svg)
    svg = re.sub(
        r'(href="#|url\(#)([^")]+)',
        lambda m: f"{m[1]}{prefix}-{m[2]}" if m[2] in names else m[0],
        svg,
    )
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)
