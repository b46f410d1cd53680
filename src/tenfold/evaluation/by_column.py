"""Scores by the values of a column: for which rows a model errs more than for the others."""

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
"""Rows of a value that is measured by itself, at least; such values, at most; and into how many
parts of about as many rows more different numbers are cut."""

OTHERS, MISSING = "(others)", "(missing)"

N_DRAWS, MAX_ROWS = 4_999, 50_000
"""Times the rows are dealt out anew, and of how many rows at most."""


class ValueScore(Frozen):
    """The score of the rows that have one value; `p_value` is that they err like all other rows,
    corrected by Holm for the number of values, and `verdict` says at 5% whether they err less."""

    value: str
    n: int
    score: Score
    p_value: float
    verdict: Verdict


class ByColumn(Frozen):
    """The scores by the values of a column, in their order; shown by `evaluate --by`."""

    column: str
    task: TaskKind
    score: Literal["accuracy", "RMSE"]
    values: tuple[ValueScore, ...]

    def lines(self) -> Iterator[str]:
        """The scores for people, a line each."""
        width = max(len(one.value) for one in self.values)
        yield f"{self.score} by {self.column}, 95% intervals; p beside all other rows, by Holm:"
        for one in self.values:
            shown = MEASURES[self.task].shown(one.score)
            words = "" if one.verdict == "not distinguishable" else f"  {one.verdict}"
            yield f"  {one.value:<{width}}  {one.n:>7,} rows  {shown}  p {one.p_value:.2g}{words}"


def by_column(
    column: str, values: NDArray[Any], row_scores: Floats, y: NDArray[Any], kind: TaskKind
) -> ByColumn:
    """Measure the rows of each value by themselves.

    Args:
      column: Its name.
      values: Of each row (n,): numbers, dates, or texts.
      row_scores: What the answer to each row is worth (n,), more is better.
      y: Label codes or targets (n,).
      kind: What is learned.
    """
    names, code_of = _parts(values)
    measure = MEASURES[kind]
    rows = [np.flatnonzero(code_of == code) for code in range(len(names))]
    p_values = holm(_p_values(row_scores, code_of, len(names)))
    found = []
    for name, own, p in zip(names, rows, p_values, strict=True):
        gain = row_scores[own].mean() - row_scores.mean()
        decided: Verdict = "better" if gain > 0 else "worse"
        found.append(
            ValueScore(
                value=name,
                n=len(own),
                score=measure.of_rows(row_scores[own], y[own]),
                p_value=p,
                verdict=decided if p <= 0.05 else "not distinguishable",
            )
        )
    return ByColumn(column=column, task=kind, score=measure.score, values=tuple(found))


def _parts(values: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """What the values are called that are measured by themselves, and the one of each row (n,)."""
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
    """How likely the rows of each value are as far from all others as they are, either way, where
    scores are dealt out to the rows at random (Fisher 1935, The Design of Experiments, 21)."""
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
