"""Permutation importance of the columns of a table, and partial dependence on the most important
ones."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.evaluation.intervals import (
    ARRAYS,
    Finite,
    Score,
    Subset,
    percentile_interval,
    resampled_means,
)
from tenfold.evaluation.measures import MEASURES, Measure
from tenfold.inputs.tables.columns import Table, concatenate
from tenfold.model.model import Model

MAX_ANSWERS, MAX_ROWS, MAX_REPEATS = 8_000, 2_000, 5
"""The maximum numbers of shuffled rows that are predicted (which takes 0.05 s with `logistic`, 0.1
s with `boosting` and 0.5 s with `forest`), of different rows, and of repeats for each column."""

MAX_COLUMNS = 200
"""With more columns than this nothing is measured, because there would be fewer than 40 rows for
each column."""

N_STRONGEST, N_VALUES, N_SHOWN_ROWS = 6, 10, 40
"""The numbers of columns for which partial dependence is computed, of values of each column, and of
rows for each value."""

MAX_LABELS = 4
"""With more labels than this, partial dependence shows the three most frequent ones."""


class ColumnImportance(Frozen):
    """The importance of a column: how much the accuracy falls, or the RMSE rises, if its values are
    shuffled, with the 95% interval.

    Permutation importance: L. Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """

    column: str
    cost: Score


class AverageAnswer(Frozen):
    """The mean prediction at each value of a column (n_values,), and the range of the middle half
    of the predictions.

    `label` is the label whose probability is predicted. None: the model predicts values.
    """

    label: str | None = None
    mean: tuple[Finite, ...]
    low: tuple[Finite, ...]
    high: tuple[Finite, ...]


class Dependence(Frozen):
    """How the predictions for some rows depend on one column while the others stay as they are.

    `values` are numbers in ascending order, dates in their order, or categories.
    Partial dependence: J. H. Friedman, Annals of Statistics 29 (2001), section 8.2.
    """

    column: str
    kind: Literal["number", "date", "category"]
    values: tuple[Finite, ...] | tuple[str, ...]
    answers: tuple[AverageAnswer, ...]


class ColumnEffects(Frozen):
    """Which columns matter.

    Attributes:
      n: The number of rows that were used.
      of: The number of rows from which they were drawn.
      repeats: The number of times that each column was shuffled.
      score: `accuracy`, or `RMSE` in the target's unit.
      columns: All columns, the most important one first.
      strongest: Partial dependence on the most important columns, except texts.
    """

    format: Literal[1] = 1
    part: str
    n: int
    of: int
    repeats: int
    score: Literal["accuracy", "RMSE"]
    columns: tuple[ColumnImportance, ...]
    strongest: tuple[Dependence, ...] = ()

    @property
    def measure(self) -> Measure:
        """The meaning of the score."""
        return next(measure for measure in MEASURES.values() if measure.score == self.score)

    @property
    def matter(self) -> bool:
        """Whether any column changes a prediction. With `baseline`, none does."""
        return any(one.cost.low or one.cost.high for one in self.columns)

    @property
    def about(self) -> str:
        """A sentence that says what was measured."""
        drawn = "" if self.n == self.of else f", drawn from {self.of:,},"
        times = "once" if self.repeats == 1 else f"{self.repeats} times"
        return (
            f"Measured on {self.n:,} {self.part} rows{drawn} in which each column was shuffled "
            f"{times}. It describes the model; no column was chosen by it."
        )


def column_effects(
    model: Model,
    x: Table,
    y: NDArray[Any],
    subset: Subset = ARRAYS,
    positive: str | None = None,
) -> ColumnEffects | None:
    """Measure which columns matter, on rows that the model was not fitted to.

    Args:
      model: A model of tables.
      x: The rows, with the contract's columns.
      y: Label codes or targets (n,).
      subset: The name of the rows, and their groups.
      positive: The positive one of two labels. None: the second one.

    Returns:
      The result. None if the model has too many columns.
    """
    accepted = model.contract.input
    assert accepted.kind == "table"
    names, n_all, rng = accepted.names, len(y), np.random.default_rng(0)
    if len(names) > MAX_COLUMNS or not n_all:
        return None
    n = min(n_all, MAX_ROWS, MAX_ANSWERS // len(names))
    rows = np.sort(rng.choice(n_all, n, replace=False))
    x, y, groups = x[rows], y[rows], subset.groups if subset.groups is None else subset.groups[rows]
    repeats = min(MAX_REPEATS, max(1, MAX_ANSWERS // (n * len(names))))
    columns = _importance(model, x, y, groups, repeats, rng)
    few = np.sort(rng.permutation(n)[:N_SHOWN_ROWS])
    ranked = [one.column for one in columns]
    curves = _dependences(model, x, ranked, _followed(model.labels, y, positive), few)
    return ColumnEffects(
        part=subset.part,
        n=n,
        of=n_all,
        repeats=repeats,
        score=MEASURES[model.task.kind].score,
        columns=tuple(columns),
        strongest=tuple(islice(curves, N_STRONGEST)),
    )


def _importance(
    model: Model,
    x: Table,
    y: NDArray[Any],
    groups: NDArray[np.int64] | None,
    repeats: int,
    rng: np.random.Generator,
) -> list[ColumnImportance]:
    """The importance of a column, where the loss of each row is the mean over the repeats."""
    names = list(x.columns)
    kind = model.task.kind
    losses = [-model.answer(x).row_scores(y)]
    for name in names:
        shuffled = [
            Table({**x.columns, name: rng.permutation(x.columns[name])}) for _ in range(repeats)
        ]
        scores = model.answer(concatenate(shuffled)).row_scores(np.tile(y, repeats))
        losses.append(-scores.reshape(repeats, len(y)).mean(axis=0))
    rows = np.stack(losses, axis=1).astype(np.float64)
    # For regression the losses are squares.
    error = np.sqrt if kind == "regression" else lambda mean: mean
    means, resampled = error(rows.mean(axis=0)), error(resampled_means(rows, rng, groups))
    costs, spread = means[1:] - means[0], resampled[:, 1:] - resampled[:, :1]
    columns = [
        ColumnImportance(column=name, cost=percentile_interval(float(cost), spread[:, place]))
        for place, (name, cost) in enumerate(zip(names, costs, strict=True))
    ]
    return sorted(columns, key=lambda column: -column.cost.value)


class _Values(NamedTuple):
    """Some values of a column, and the same values in the form in which they are displayed."""

    kind: Literal["number", "date", "category"]
    values: NDArray[Any]
    shown: Sequence[Any]

    @classmethod
    def of(cls, known: NDArray[Any]) -> "_Values":
        """The most frequent categories, or numbers with equally many rows between neighbours."""
        if known.dtype == object:
            different, counts = np.unique(known.astype(str), return_counts=True)
            names = different[np.argsort(-counts, kind="stable")[:N_VALUES]].astype(object)
            return cls("category", names, [name or "(missing)" for name in names])
        is_date = known.dtype.kind == "M"
        ordered = np.sort(known[~(np.isnat(known) if is_date else np.isnan(known))])
        places = np.linspace(0, max(0, len(ordered) - 1), min(N_VALUES, len(ordered)))
        values = np.unique(ordered[places.round().astype(np.int64)])
        if is_date:
            texts = values.astype(str)
            return cls("date", values, [text.removesuffix("T00:00:00") for text in texts])
        return cls("number", values, values.tolist())


def _dependences(
    model: Model, x: Table, names: Sequence[str], codes: Sequence[int], few: NDArray[np.int64]
) -> Iterator[Dependence]:
    """The partial dependence on the most important columns, except texts."""
    accepted = model.contract.input
    assert accepted.kind == "table"
    texts = {column.name for column in accepted.columns if column.kind == "text"}
    rows = x[few]
    for name in names:
        kind, values, shown = _Values.of(x.columns[name])
        if name in texts or len(values) < 2:
            continue
        same = (np.full(len(few), value, x.columns[name].dtype) for value in values)
        changed = concatenate([Table({**rows.columns, name: column}) for column in same])
        answers = model.answer(changed).outputs[0].reshape(len(values), len(few), -1)
        labels = model.labels or (None,)
        averages = tuple(_average(labels[code], answers[:, :, code]) for code in codes)
        yield Dependence(column=name, kind=kind, values=tuple(shown), answers=averages)


def _followed(labels: Sequence[str], y: NDArray[Any], positive: str | None) -> list[int]:
    """The indices of the predictions that are averaged: the value, the probability of the positive
    one of two labels, or those of all labels or of the three most frequent ones."""
    if len(labels) == 2:
        return [labels.index(positive) if positive else 1]
    if len(labels) <= MAX_LABELS:
        return list(range(max(1, len(labels))))
    counts = np.bincount(y, minlength=len(labels))
    return sorted(np.argsort(-counts, kind="stable")[: MAX_LABELS - 1].tolist())


def _average(label: str | None, answers: NDArray[Any]) -> AverageAnswer:
    """The mean over rows of predictions at each value (n_values, n)."""
    wide = answers.astype(np.float64)
    low, high = np.percentile(wide, [25, 75], axis=1)
    means = wide.mean(axis=1)
    return AverageAnswer(
        label=label, mean=tuple(means.tolist()), low=tuple(low.tolist()), high=tuple(high.tolist())
    )
