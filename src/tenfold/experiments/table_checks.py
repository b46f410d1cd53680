"""Checks of a training on a table: useless columns, identifiers, and shifts in the test rows."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tenfold.build.problem import Problem
from tenfold.core.contract import TableInput
from tenfold.core.records import Check
from tenfold.core.text import shorten
from tenfold.evaluation.checks import check, difference_p, some_rows
from tenfold.evaluation.multiple import holm
from tenfold.experiments.simpler import simpler
from tenfold.learners import LEARNERS
from tenfold.model.model import Model
from tenfold.runs.record import Run

MIN_JUDGED = 30
"""Minimum number of rows of a part that is checked."""

SHUFFLED, CHANGED = 500, 0.001
COMPARED, LEVEL = 5_000, 0.01
"""Thresholds of C02 and C05."""


def of_table(run: Run, accepted: TableInput, problem: Problem) -> Iterator[Check]:
    """Check the columns of a training on a table, and whether a simpler learner would be as
    good."""
    yield from useless_columns(run.model, accepted, problem)
    yield from identifiers(accepted, problem)
    yield from differences(accepted, problem)
    yield from simpler(run, problem)


def useless_columns(model: Model, accepted: TableInput, problem: Problem) -> Iterator[Check]:
    """Columns whose cells can be shuffled among validation rows without changing a prediction."""
    rows = problem.split.validation[:SHUFFLED]
    if len(rows) < MIN_JUDGED:
        return
    table, rng = problem.data.x[rows], np.random.default_rng(0)
    own = model.answer(table).outputs[0].astype(np.float64)
    scale = 1.0 if model.labels else float(problem.data.y[problem.split.train].std()) or 1.0
    useless, looks = [], any(LEARNERS[one].looks for one in model.contract.learners)
    for name in accepted.names if looks else ():
        columns = {**table.columns, name: rng.permutation(table.columns[name])}
        answers = model.answer(replace(table, columns=columns)).outputs[0]
        if np.abs(answers - own).max() <= CHANGED * scale:
            useless.append(name)
    if useless:
        yield check("C02", f"columns that change no answer: {shorten(useless)}")


def identifiers(accepted: TableInput, problem: Problem) -> Iterator[Check]:
    table, rows = problem.data.x, problem.split.train
    named = []
    for column in accepted.columns:
        values = table.columns[column.name][rows]
        if column.kind == "number":
            is_counted = _counts_rows(values)
        else:
            is_counted = column.kind == "category" and 2 * len(np.unique(values)) > len(values)
        if is_counted and len(values) >= MIN_JUDGED:
            named.append(column.name)
    if named:
        yield check("C04", f"columns that number or name rows: {shorten(named)}")


def _counts_rows(values: NDArray[np.float64]) -> bool:
    """Whether these are distinct integers with few gaps between them."""
    is_whole = np.isfinite(values).all() and (values == np.round(values)).all()
    if not is_whole or len(np.unique(values)) < len(values):
        return False
    return bool(np.ptp(values) < 3 * len(values))


def differences(accepted: TableInput, problem: Problem) -> Iterator[Check]:
    split = problem.split
    if accepted.order is not None:
        return  # later rows are expected to differ
    data = problem.data
    parts = [some_rows(rows, data.groups, COMPARED) for rows in (split.train, split.test)]
    if min(map(len, parts)) < MIN_JUDGED:
        return
    table = problem.data.x
    names = [column.name for column in accepted.columns if column.kind != "text"]
    p_values = holm(
        [difference_p(*(table.columns[name][rows] for rows in parts)) for name in names]
    )
    differ = [f"{name} (p {p:.1g})" for name, p in zip(names, p_values, strict=True) if p < LEVEL]
    if differ:
        yield check("C05", f"columns with another distribution in the test rows: {shorten(differ)}")
