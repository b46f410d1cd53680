"""The predictions of the candidates of `auto` for rows outside their fits, and their losses.

Test rows never come here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import fit_learner
from tenfold.build.calibration import at_temperature, fit_temperature
from tenfold.build.held_out import label_factors
from tenfold.build.problem import Problem
from tenfold.core.progress import Listener, Listeners
from tenfold.core.records import LayerRow
from tenfold.core.task import Regression, Task
from tenfold.data.split import Split, assign_folds, hold_out
from tenfold.learners import Checkpoints
from tenfold.learners.choice import row_losses, validation_parts


@dataclass(frozen=True, eq=False)
class Tried:
    """A candidate, its predictions for rows outside its fit (n, ...), their losses (n,), and its
    seconds. Predictions are NaN if a fold has a single label."""

    learner: str
    answers: NDArray[np.float32]
    losses: NDArray[np.float64]
    seconds: float

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True, eq=False)
class Judges:
    """The rows on which candidates are compared: their true answers (n,) and the part of each (n,).

    Attributes:
      name: A description of the rows for people.
      apart: Whether each part was predicted by a fit of its own, and has its own temperature.
      group: The group of each row (n,). None: there are no groups.
      weight: The weight of each row (n,). None: all rows count the same.
      factors: The factor of each label that undoes class weights. Empty: there are none.
    """

    name: str
    y: NDArray[Any]
    part_of: NDArray[np.int64]
    apart: bool
    group: NDArray[np.int64] | None
    weight: NDArray[np.float32] | None = None
    factors: tuple[float, ...] = ()

    def losses(self, answers: NDArray[np.float32]) -> NDArray[np.float64]:
        """The loss of each prediction (n, ...): its squared error, or log loss at the temperature
        that fits best, times the weight of its row. It is infinite for rows without a
        prediction."""
        losses = np.full(len(self.y), np.inf)
        for part in np.unique(self.part_of) if self.apart else (None,):
            own = slice(None) if part is None else self.part_of == part
            found: NDArray[Any] = answers[own]
            y = self.y[own]
            if np.isfinite(found).all():
                if answers.ndim > 1:
                    weight = None if self.weight is None else self.weight[own]
                    if self.factors:
                        found = at_temperature(found, 1.0, self.factors)
                    found = at_temperature(found, fit_temperature(found, y, weight))
                losses[own] = row_losses(found, y)
        return losses if self.weight is None else losses * (self.weight / self.weight.mean())


def judged_by_folds(problem: Problem, n_folds: int) -> Judges:
    """The training rows, each predicted by a fit without its fold."""
    rows, split = problem.prepared.train, problem.split
    fold_of = assign_folds(problem.data, split.train, n_folds, problem.settings.seed)
    name, factors = f"{n_folds} folds of the training rows", _factors(problem)
    return Judges(name, rows.y, fold_of, True, rows.group, factors=factors)


def judged_by_validation(problem: Problem) -> Judges:
    """The validation rows, all predicted by the same fit."""
    rows = problem.prepared.validation
    assert rows is not None
    parts = validation_parts(len(rows.y), rows.group)
    factors = _factors(problem)
    return Judges("the validation rows", rows.y, parts, False, rows.group, factors=factors)


def _factors(problem: Problem) -> tuple[float, ...]:
    return label_factors(problem.prepared, problem.settings)


def as_tried(
    learner: str,
    judges: Judges,
    checkpoints: Checkpoints | None,
    answered: Callable[[], NDArray[np.float32]],
) -> Tried:
    """The predictions and losses of a candidate, which are stored for a resumed run."""
    start, arrays = time.perf_counter(), checkpoints and checkpoints.result(learner)
    if not arrays:
        arrays = {"answers": answered()}
        arrays["seconds"] = np.asarray([time.perf_counter() - start])
        if checkpoints:
            checkpoints.keep_result(learner, arrays)
    answers = arrays["answers"]
    return Tried(learner, answers, judges.losses(answers), float(arrays["seconds"][0]))


def answers_of_fold(
    problem: Problem, fitted_to: NDArray[np.int64], held_out: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Fit a candidate to some rows and predict others, in the unit of the problem. Of several
    networks that vote only one is fitted, because each fold would take five times as long."""
    data, settings = problem.data, problem.settings.model_copy(update={"members": 1})
    train, validation = hold_out(data, fitted_to, settings.validation_size, settings.seed)
    none = np.empty(0, np.int64)
    parts = Split(train, validation, none, none)
    own = replace(problem, split=parts, settings=settings, encoded=None)
    if data.labels and settings.learner != "baseline" and len(np.unique(data.y[train])) < 2:
        # There is nothing to learn.
        return np.full((len(held_out), len(data.labels)), np.nan, np.float32)
    prepared = own.prepared
    fitted = fit_learner(prepared, settings, Listener())
    if fitted.interrupted:
        raise KeyboardInterrupt
    answers = fitted.answers(prepared.encoding.encode(data.x[held_out]))
    return answers if data.labels else _in_unit_of(problem.prepared.task, answers, prepared.task)


def _in_unit_of(whole: Task, values: NDArray[np.float32], own: Task) -> NDArray[np.float32]:
    """Convert values (n,) from standard deviations of a fold to those of all training rows."""
    assert isinstance(own, Regression) and own.mean is not None and own.scale is not None
    assert isinstance(whole, Regression) and whole.mean is not None and whole.scale is not None
    in_unit = values.astype(np.float64) * own.scale + own.mean
    return np.asarray((in_unit - whole.mean) / whole.scale, np.float32)


class OfCandidate(Listeners):
    """Forwards all events of a candidate except its layers, because another candidate may win."""

    def layers(self, layers: Sequence[LayerRow]) -> None:
        """Ignore the layers."""
