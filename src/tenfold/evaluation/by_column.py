"""Scores by the values of a column, which show for which rows a model makes more errors."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.core.task import TaskKind
from tenfold.evaluation.intervals import Floats, Score, Verdict
from tenfold.evaluation.measures import MEASURES
from tenfold.evaluation.multiple import holm

MIN_ROWS, MAX_VALUES, PARTS = 5, 20, 4
"""The minimum number of rows of a value that is measured separately, the maximum number of such
values, and the number of bins with equally many rows into which other numbers are divided."""

OTHERS, MISSING = "(others)", "(missing)"

N_DRAWS, MAX_ROWS = 4_999, 50_000
"""Number of permutations, and the maximum number of permuted values."""


class ValueScore(Frozen):
    """The score of the rows with one value. `p_value` tests whether errors are as frequent as in
    all other rows, corrected by Holm's procedure for the number of values; `verdict` is its result
    at 5%."""

    value: str
    n: int
    score: Score
    p_value: float
    verdict: Verdict


class ByColumn(Frozen):
    """The scores by the values of a column, in their order, as shown by `evaluate --by`."""

    column: str
    task: TaskKind
    score: Literal["accuracy", "RMSE"]
    values: tuple[ValueScore, ...]

    def lines(self) -> Iterator[str]:
        """The scores for people, one line each."""
        width = max(len(one.value) for one in self.values)
        yield f"{self.score} by {self.column}, 95% intervals; p beside all other rows, by Holm:"
        for one in self.values:
            shown = MEASURES[self.task].shown(one.score)
            words = "" if one.verdict == "not distinguishable" else f"  {one.verdict}"
            yield f"  {one.value:<{width}}  {one.n:>7,} rows  {shown}  p {one.p_value:.2g}{words}"


def by_column(
    column: str,
    values: NDArray[Any],
    row_scores: Floats,
    y: NDArray[Any],
    kind: TaskKind,
    groups: NDArray[np.int64] | None = None,
) -> ByColumn:
    """Measure the rows of each value separately.

    Args:
      column: The name of the column.
      values: The value of each row (n,): numbers, dates, or texts.
      row_scores: The score of each row's prediction (n,). Larger is better.
      y: Label codes or targets (n,).
      kind: The kind of task.
      groups: The group of each row (n,), whose rows are not independent. None: there are no groups.
    """
    names, code_of = _parts(values)
    measure = MEASURES[kind]
    rows = [np.flatnonzero(code_of == code) for code in range(len(names))]
    if groups is None:
        p_values = holm(_p_values(row_scores, code_of, len(names)))
    else:
        p_values = holm(_p_values_of_groups(row_scores, code_of, len(names), groups))
    found = []
    for name, own, p in zip(names, rows, p_values, strict=True):
        gain = row_scores[own].mean() - row_scores.mean()
        decided: Verdict = "better" if gain > 0 else "worse"
        found.append(
            ValueScore(
                value=name,
                n=len(own),
                score=measure.of_rows(
                    row_scores[own], y[own], None if groups is None else groups[own]
                ),
                p_value=p,
                verdict=decided if p <= 0.05 else "not distinguishable",
            )
        )
    return ByColumn(column=column, task=kind, score=measure.score, values=tuple(found))


def _parts(values: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """The names of the values that are measured separately, and the index of each row's value
    (n,)."""
    gone = _missing(values)
    known = values[~gone]
    different, counts = np.unique(known, return_counts=True)
    code_of = np.zeros(len(values), np.int64)
    if values.dtype != object and len(different) > MAX_VALUES:
        ordered = np.sort(known)
        starts = np.unique(ordered[np.arange(PARTS) * len(known) // PARTS])
        code_of[~gone] = np.searchsorted(starts, known, "right") - 1
        ends = [ordered[np.searchsorted(ordered, start) - 1] for start in starts[1:]]
        ends.append(ordered[-1])
        names = [f"{_text(a)} to {_text(b)}" for a, b in zip(starts, ends, strict=True)]
    else:
        kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_VALUES])
        kept = kept[counts[kept] >= MIN_ROWS]
        place = np.full(len(different), len(kept))
        place[kept] = np.arange(len(kept))
        code_of[~gone] = place[np.searchsorted(different, known)]
        names = [*map(_text, different[kept]), OTHERS]
    code_of[gone] = len(names)
    present = np.unique(code_of)
    return [[*names, MISSING][code] for code in present], np.searchsorted(present, code_of)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([text == "" for text in values.tolist()], bool)
    gone: NDArray[np.bool_] = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    return gone


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _p_values(row_scores: Floats, code_of: NDArray[np.int64], n_values: int) -> list[float]:
    """The p value for each value: how often its rows differ from all others at least as much, in
    either direction, if scores are assigned to rows at random (Fisher 1935, The Design of
    Experiments, 21)."""
    rng = np.random.default_rng(0)
    if len(row_scores) > MAX_ROWS:
        some = rng.choice(len(row_scores), MAX_ROWS, replace=False)
        row_scores, code_of = row_scores[some], code_of[some]
    n_of = np.bincount(code_of, minlength=n_values)
    centred = row_scores - row_scores.mean()
    far = np.abs(np.bincount(code_of, centred, n_values)) * (1 - 1e-9)
    reached = np.zeros(n_values)
    for _ in range(N_DRAWS):
        dealt = rng.permutation(centred)
        reached += np.abs(np.bincount(code_of, dealt, n_values)) >= far
    p_values = (1 + reached) / (1 + N_DRAWS)
    return [p if n else 1.0 for p, n in zip(p_values.tolist(), n_of.tolist(), strict=True)]


def _p_values_of_groups(
    row_scores: Floats, code_of: NDArray[np.int64], n_values: int, groups: NDArray[np.int64]
) -> list[float]:
    """The same for rows in groups: how often the rows of a value differ at least as much if the
    differences of each whole group have a random sign (Fisher 1935, 21, on groups)."""
    different, group_of = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(different), n_values))
    np.add.at(sums, (group_of, code_of), row_scores - row_scores.mean())
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (N_DRAWS, len(different)))
    far = np.abs(sums.sum(axis=0)) * (1 - 1e-9)
    reached = (np.abs(signs @ sums) >= far).sum(axis=0)
    return [float(p) for p in (1 + reached) / (1 + N_DRAWS)]
