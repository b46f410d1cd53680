"""The charts of labels and of a training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.evaluation import Evaluation, Ranking, reliability, share_answered
from tenfold.evaluation.learning_curve import LearningCurve
from tenfold.report.charts import (
    Axis,
    Boxes,
    Chart,
    Curve,
    Dots,
    Floats,
    Mark,
    Panel,
    TextMarks,
    Tone,
    Whiskers,
    log_axis,
    name_axis,
    number_axis,
    share_axis,
    short,
)

MAX_NUMBERED = 30
"""With more labels, the cells are too small for numbers, and only have colours."""

CELL_PX = 46
"""Side of a cell with a number, which may have five digits."""


def confusion_chart(evaluation: Evaluation) -> Chart:
    """The confusion matrix, as counts and as shares of each row: true rows, predicted columns."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [["0" if s == 0 else f"{100 * s:.1f}%" for s in row] for row in shares]
    numbers = [[f"{n:,}" for n in row] for row in counts]
    return Chart(
        "Confusion matrix",
        [
            matrix_panel(shares, numbers, evaluation.labels, "Number of rows"),
            matrix_panel(shares, parts, evaluation.labels, "Share of each true label"),
        ],
        f"{evaluation.data}: {evaluation.n:,} {evaluation.part} rows, "
        f"accuracy {evaluation.accuracy.in_percent}",
        is_wide=True,
    )


def matrix_panel(
    shares: Floats, texts: Sequence[Sequence[str]], labels: Sequence[str], title: str
) -> Panel:
    """A square of cells, coloured by `shares` (n, n), with a text in each."""
    n = len(labels)
    rows, columns = (part.ravel() for part in np.indices((n, n)))
    # The square root keeps a cell of 1% visible next to one of 99%.
    shades = np.sqrt(shares).ravel()
    shown = np.flatnonzero(shades)
    x, y, cells = columns[shown], rows[shown], [texts[i][j] for i in range(n) for j in range(n)]
    titles = [
        f"{labels[i]} predicted as {labels[j]}: {texts[i][j]}" for i, j in zip(y, x, strict=True)
    ]
    marks: list[Mark] = [
        Boxes((x - 0.5, x + 0.5), (y - 0.5, y + 0.5), shades=shades[shown], titles=titles)
    ]
    if n <= MAX_NUMBERED:
        marks.append(TextMarks(columns, rows, cells, on_dark=(shades > 0.55).tolist()))
    size = max(220, CELL_PX * min(n, MAX_NUMBERED))
    return Panel(
        name_axis("predicted label", labels),
        name_axis("true label", labels, downwards=True),
        marks, title, size, size, is_square=True, has_grid=False,
    )  # fmt: skip


def precision_recall_chart(
    evaluation: Evaluation, true: NDArray[np.integer[Any]], probabilities: Floats
) -> Chart:
    """Precision against recall of the positive label, step by step.

    `evaluation` has an `average_precision`. `true` are codes (n,), `probabilities` (n, 2).
    """
    positive, at = evaluation.of_positive, evaluation.precision_at_recall
    if positive is None or at is None:
        raise DataError(
            "E702",
            "There is no precision-recall curve to draw",
            expected="two labels, and rows of the positive one",
            labels=evaluation.labels,
            positive=evaluation.positive,
        )
    code = evaluation.labels.index(positive.label)
    ranking = Ranking.of(true == code, probabilities[:, code])
    # The precision of a step is drawn for all the recall that it gains, as in average precision.
    recall = np.repeat(np.append(0.0, ranking.recall), 2)[1:-1]
    chance = positive.n / evaluation.n
    marks: list[Mark] = [
        Curve([0, 1], [chance, chance], "grey", f"chance: {chance:.1%}", dashed=True),
        Curve(recall, np.repeat(ranking.precision, 2), name="precision at each threshold"),
        Dots(
            [at.recall], [at.precision.value], hollow=True, radius=4.5,
            name=f"{at.recall:.0%} found: precision {at.precision.value:.1%}",
        ),
    ]  # fmt: skip
    if positive.recall and positive.precision:
        recalled, precise = positive.recall.value, positive.precision.value
        name = f"as predicted: recall {recalled:.1%}, precision {precise:.1%}"
        marks.append(Dots([recalled], [precise], "ink", name, radius=4.5))
    rows = f"{positive.n:,} of {evaluation.n:,} {evaluation.part} rows"
    return Chart(
        "Precision and recall",
        [Panel(share_axis("recall: share of them found"), share_axis("precision"), marks)],
        f"{evaluation.data}: “{short(positive.label)}”, {rows}; average precision "
        f"{evaluation.average_precision and evaluation.average_precision.in_percent}",
        f"Each threshold on the probability of “{short(positive.label)}” is a point. To find more "
        "of them (further right), you accept more false alarms (further down).",
        is_wide=True,
    )


def calibration_chart(confidence: Floats, right: NDArray[np.bool]) -> Chart:
    """The share of correct predictions against their confidence, in bins, with 95% intervals."""
    bins = reliability(confidence, right)
    titles = [
        f"{n:,} answers state {stated:.1%} on average; {value:.1%} of them are right"
        for n, stated, value in zip(bins.n, bins.confidence, bins.accuracy, strict=True)
    ]
    marks: list[Mark] = [
        Curve([0, 1], [0, 1], "grey", "perfect calibration", dashed=True),
        Whiskers(bins.confidence, bins.low, bins.high, "accent"),
        Dots(
            bins.confidence, bins.accuracy, name="observed, with 95% interval", titles=titles,
            radius=4,
        ),
    ]  # fmt: skip
    return Chart(
        "Calibration",
        [Panel(share_axis("stated confidence"), share_axis("share right"), marks)],
        about="When the model states 80%, it should be right 80 times in 100. Points below the "
        "dashed line are overconfident.",
    )


def answered_chart(confidence: Floats, right: NDArray[np.bool]) -> Chart:
    """Accuracy of the most confident predictions against the share of rows that are answered."""
    share, accuracy = share_answered(confidence, right)
    marks: list[Mark] = [
        Curve(share, accuracy),
        Dots([share[-1]], [accuracy[-1]], "ink", radius=4.5),
        TextMarks([share[-1]], [accuracy[-1]], [f"all answered: {accuracy[-1]:.1%}"], "end", 12),
    ]
    low = float(accuracy.min())
    return Chart(
        "Accuracy if the model may say “unsure”",
        [
            Panel(
                share_axis("share of rows answered, most confident first"),
                share_axis("accuracy of those answered", low, 1.0, spare=0.12),
                marks,
            )
        ],
        about="If only the most confident answers are kept (further left), more of them should be "
        "right.",
    )


def learning_curve_chart(curve: LearningCurve) -> Chart:
    """The score against the number of training rows, with the extrapolation to more rows."""
    is_share = curve.measure.more_is_better
    rows = np.array([point.n for point in curve.points])
    low, mean, high = np.array([(p.score.low, p.score.value, p.score.high) for p in curve.points]).T
    seeds = np.array([point.of_seeds for point in curve.points])
    titles = [f"{p.n:,} rows: {curve.score} {curve.measure.shown(p.score)}" for p in curve.points]
    drawn = "each draw of rows"
    marks: list[Mark] = [
        Dots(np.repeat(rows, seeds.shape[1]), seeds.ravel(), "grey", drawn, radius=2.5),
        Whiskers(rows, low, high),
        Dots(rows, mean, "accent", "mean, with 95% interval", titles=titles, radius=4.5),
    ]
    scores, most = [low, high, seeds.ravel()], curve.n_rows
    if curve.law is not None:
        most += curve.n_more
        x = np.geomspace(rows[0], most, 60)
        y = 1 - curve.law.error(x) if is_share else curve.law.error(x)
        inside = x <= rows[-1]
        marks[:0] = [
            Curve(x[~inside], y[~inside], "against", "extrapolated", dashed=True),
            Curve(x[inside], y[inside], name="power law"),
        ]
        scores.append(y)
    ends = np.concatenate(scores)
    scale = (share_axis if is_share else number_axis)(curve.score, ends.min(), ends.max())
    axis = log_axis("rows that were learned from", [*rows, most])
    return Chart(
        "Would more data help?",
        [Panel(axis, scale, marks, width=520)],
        about=f"{curve.headline}. {curve.about}",
        is_wide=True,
    )


def history_chart(history: Sequence[dict[str, float | None]]) -> Chart:
    """The loss and the accuracy after each epoch, for training rows and, if there are any,
    validation rows.

    A column without any value, such as accuracy in a regression, is not drawn.
    """
    drawn = [name for name in ("loss", "accuracy") if any(row[name] is not None for row in history)]
    watched = [row for row in history if row["val_loss"] is not None]
    best = min(watched, key=lambda row: row["val_loss"] or 0.0)["epoch"] if watched else None
    panels = [_history_panel(history, name, best) for name in drawn]
    return Chart(
        "Training",
        panels,
        about="Training goes on usefully as long as the validation line improves. Where it turns "
        "while the training line goes on, the model begins to learn the training rows by heart.",
        is_wide=len(panels) > 1,
    )


def _history_panel(
    history: Sequence[dict[str, float | None]], name: str, best: float | None
) -> Panel:
    curves: tuple[tuple[str, str, Tone], ...] = (
        (name, "training rows", "grey"), (f"val_{name}", "validation rows", "accent"),
    )  # fmt: skip
    axis, marks, values = _epochs(history), list[Mark](), list[float]()
    for column, label, tone in curves:
        found = [(row["epoch"], row[column]) for row in history]
        points = [
            (epoch, value) for epoch, value in found if epoch is not None and value is not None
        ]
        if points:
            epochs, numbers = zip(*points, strict=True)
            titles = [f"epoch {epoch:.0f}, {label}: {value:.4g}" for epoch, value in points]
            marks += [
                Curve(epochs, numbers, tone, label, dashed=tone == "grey"),
                Dots(epochs, numbers, tone, titles=titles, radius=2.5),
            ]
            values += numbers
    if name == "loss":
        scale = number_axis(name, values, zero=True)
    else:
        scale = share_axis(name, min(values), max(values), spare=0.06)
    if best is not None:
        ends = [scale.low, scale.high]
        marked = f"lowest validation loss: epoch {best:.0f}"
        marks.insert(0, Curve([best, best], ends, "against", marked, dashed=True))
    return Panel(axis, scale, marks, name.capitalize(), width=380, height=260)


def _epochs(history: Sequence[dict[str, float | None]]) -> Axis:
    epochs = [row["epoch"] or 0.0 for row in history]
    return number_axis("epoch", epochs, whole=True)
