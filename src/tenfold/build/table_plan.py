"""The candidates of `auto` for a table, and the rows on which the best one is chosen.

The plan follows from the number of rows, columns and labels by a table of costs, never from the
clock, so that the same data give the same model.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tenfold.build.problem import Prepared, Problem
from tenfold.core.records import CandidatePlan
from tenfold.core.settings import MANY, RECIPES, SMALL, TABLE
from tenfold.core.task import TaskKind
from tenfold.inputs.tables.encoder import MAX_SPLIT_WORDS
from tenfold.learners import LEARNERS
from tenfold.learners.boosting import most_trees

FOLDS = 5
"""Number of folds for the choice by cross-validation, which is made if there are few rows."""

FEW = 2_000
"""With fewer training rows than this, the choice is made by cross-validation, because it would be
random on a few validation rows."""


class Size(NamedTuple):
    """The size of the rows of one fit. `n_inputs` counts the columns, with one for each category,
    and `n_labels` is 1 for numbers. `n_held` is the number of validation rows."""

    n_rows: int
    n_held: int
    n_columns: int
    n_inputs: int
    n_labels: int

    @property
    def n_cells(self) -> int:
        return self.n_rows * self.n_inputs


def _boosting(size: Size, refit: bool) -> float:
    """The seconds of a fit: half a millisecond per tree, 80 us plus 2 us per column for each leaf,
    and 8 ns per cell."""
    n_leaves = min(31, size.n_rows // 10)
    of_leaf = 8e-5 + 2e-6 * size.n_columns
    of_tree = 5e-4 + of_leaf * n_leaves + 8e-9 * size.n_rows * size.n_columns
    return of_tree * most_trees(size.n_rows, size.n_held, size.n_labels, refit=refit)


def _network(size: Size, refit: bool) -> float:
    """The seconds of a fit of each network of a vote: a quarter of a millisecond per row (a whole
    one if there are few rows, which are used more often), and 1 us per cell."""
    n_networks = TABLE["members"] if refit and size.n_rows < MANY else 1
    of_row = 1e-3 if size.n_rows < SMALL else 2.5e-4
    of_one: float = 0.3 + size.n_rows * (of_row + 1e-6 * size.n_inputs)
    return n_networks * of_one


COSTS: dict[str, tuple[float, Callable[[Size, bool], float]]] = {
    "baseline": (0.0, lambda size, refit: 0.05),
    "logistic": (0.0, lambda size, refit: 0.1 + 1e-6 * size.n_cells * size.n_labels),
    "linear": (0.0, lambda size, refit: 0.1 + 1e-6 * size.n_cells),
    "boosting": (0.0, _boosting),
    "bayes": (0.0, lambda size, refit: 0.05 + 5e-7 * size.n_cells * size.n_labels),
    "network": (3.5, _network),
    "forest": (0.0, lambda size, refit: 0.4 + 2e-5 * size.n_cells),
    "neighbors": (0.0, lambda size, refit: 0.05 + 5e-9 * size.n_rows**2),
}
"""The learners in the order in which a plan adds them, and their costs in seconds of processor
time: a fixed cost, and the cost of each fit. Measured from 100 x 4 to 50,000 x 30 cells, with one
to ten labels, and rounded up."""

NOT_OF_TEXTS = ("network", "neighbors")
"""The learners that are not tried if a column contains texts, because they take all of its words,
up to 5,000 features. Trees take the strongest of them (`encoder.MAX_SPLIT_WORDS`)."""


class Shape(NamedTuple):
    """What a plan depends on: the number of rows, of columns, of columns after one-hot encoding and
    of labels (0 for regression), the share of validation rows, and whether the last fit may use
    them, too."""

    n_train: int
    n_held: int
    n_columns: int
    n_inputs: int
    n_labels: int
    validation_size: float
    refit: bool


def plan_of(problem: Problem) -> CandidatePlan:
    """The learners that `auto` tries for a table of this size, within the minutes of the
    settings."""
    data, split, settings = problem.data, problem.split, problem.settings
    columns = data.input.columns if data.input.kind == "table" else ()
    n_words = MAX_SPLIT_WORDS * sum(column.kind == "text" for column in columns)
    shape = Shape(
        len(split.train),
        len(split.validation),
        len(columns) + n_words,
        sum(len(column.levels) or 1 for column in columns) + n_words,
        len(data.labels),
        settings.validation_size,
        problem.refit,
    )
    names = [name for name in COSTS if name not in left_out_by_texts(problem)]
    return planned(data.task.kind, shape, folds_of(problem), settings.minutes, names)


def left_out_by_texts(problem: Problem) -> tuple[str, ...]:
    """The learners for this task that are not tried because a column contains texts."""
    accepted = problem.data.input
    columns = accepted.columns if accepted.kind == "table" else ()
    if not any(column.kind == "text" for column in columns):
        return ()
    return tuple(name for name in NOT_OF_TEXTS if problem.data.task.kind in LEARNERS[name].tasks)


def planned(
    task: TaskKind,
    shape: Shape,
    n_folds: int,
    minutes: float,
    names: Sequence[str] = tuple(COSTS),
) -> CandidatePlan:
    """The learners among `names` whose costs fit into the given minutes, in the order of
    `COSTS`."""
    left, seconds = 60 * minutes, dict[str, float]()
    for name in COSTS:
        if name in names and task in LEARNERS[name].tasks:
            cost = _cost(name, shape, n_folds)
            if cost <= left or len(seconds) < 2:
                seconds[name] = round(cost, 2)
                left -= cost
    return CandidatePlan(folds=n_folds, seconds=seconds)


def problems_of_table(problem: Problem, plan: CandidatePlan) -> list[Problem]:
    """The same problem for each learner of a plan, with the defaults of tables and its own.
    Learners with the same encoding share their rows."""
    problems, known = list[Problem](), dict[tuple[bool, ...], Prepared]()
    for name in plan.seconds:
        own = {**RECIPES["default"][name], "learner": name}
        one = replace(problem, settings=problem.settings.model_copy(update=own))
        encoding = tuple(LEARNERS[name].encoding.values())
        one = replace(one, encoded=known.get(encoding))
        known[encoding] = one.prepared
        problems.append(one)
    return problems


def folds_of(problem: Problem) -> int:
    """The number of folds for the choice by cross-validation, or 0 if the choice is made on the
    validation rows.

    Validation rows of a single group are not independent of each other. Then folds are used if that
    is possible.
    """
    info, split, groups = problem.data.info, problem.split, problem.data.groups
    in_time = info is not None and info.timeline is not None
    is_one_group = groups is not None and len(np.unique(groups[split.validation])) < 2
    is_many = len(split.train) >= FEW and not is_one_group
    if len(split.validation) and (is_many or in_time):
        return 0
    n_folds = FOLDS if groups is None else min(FOLDS, len(np.unique(groups[split.train])))
    return 0 if n_folds < 2 and len(split.validation) else max(n_folds, 2)


def _cost(name: str, shape: Shape, n_folds: int) -> float:
    """The seconds of all fits of a learner, including the last fit that the winner needs."""
    once, of_fit = COSTS[name]

    def cost(n_rows: int, n_held: int, refit: bool) -> float:
        size = Size(n_rows, n_held, shape.n_columns, shape.n_inputs, shape.n_labels or 1)
        return of_fit(size, refit)

    last = cost(shape.n_train, shape.n_held, shape.refit)
    if not n_folds:
        return once + last
    n_fitted = shape.n_train * (n_folds - 1) / n_folds
    n_held = int(n_fitted * shape.validation_size)
    return once + last + n_folds * cost(int(n_fitted) - n_held, n_held, False)
