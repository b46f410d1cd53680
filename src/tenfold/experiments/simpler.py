"""The check whether a simpler learner would be as good as the chosen one."""

import csv
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tenfold.build.candidates import answers_of_fold
from tenfold.build.problem import Problem
from tenfold.build.vote import standard_error
from tenfold.core.records import Check
from tenfold.core.settings import RECIPES
from tenfold.core.text import shorten
from tenfold.evaluation.checks import check
from tenfold.learners import LEARNERS
from tenfold.learners.choice import row_losses
from tenfold.runs.record import Run

SIMPLE = {"classification": "logistic", "regression": "linear"}
MAX_SIMPLE, MIN_JUDGED = 10_000, 30
"""The maximum number of training rows, because both learners are fitted to them, and the minimum
number of validation rows."""


def simpler(run: Run, problem: Problem) -> Iterator[Check]:
    """Look for a candidate of `auto` that is equally good and much faster, or else try a simple
    learner."""
    path = run.path / "candidates.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            best, *others = csv.DictReader(file)
        if best["learner"] == "baseline":
            return  # nothing is simpler
        quick = [
            one["learner"]
            for one in others
            if float(one["low"]) <= 0 and 3 * float(one["seconds"]) <= float(best["seconds"])
        ]
        if quick:
            yield check("C07", f"not shown to be worse, in a third of the time: {shorten(quick)}")
        return
    split = problem.split
    name, contract = SIMPLE[problem.data.task.kind], run.model.contract
    is_simple = any(LEARNERS[one].is_simple for one in contract.learners)
    is_few = len(split.train) > MAX_SIMPLE or len(split.validation) < MIN_JUDGED
    if is_few or is_simple or contract.input.order is not None:
        return
    rows = problem.prepared.validation
    assert rows is not None
    errors = [_errors(problem, learner) for learner in (problem.settings.learner, name)]
    gain = errors[0] - errors[1]  # of the simple learner
    if gain.mean() - 1.96 * standard_error(gain, rows.group) > 0:
        texts = [_shown(problem, float(one.mean())) for one in errors]
        n_rows = f"{len(gain):,} validation rows, which took no part in either fit"
        yield check("C07", f"{name} is better on the {n_rows}: {texts[1]}, not {texts[0]}")


def _errors(problem: Problem, learner: str) -> NDArray[np.float64]:
    """Whether a fit to the training rows is wrong about each validation row (n,), or its squared
    error. The model itself does not say, because the validation rows may have ended its fit, and
    `boosting` and the networks of a vote are fitted to them in the end."""
    split, rows, settings = problem.split, problem.prepared.validation, problem.settings
    assert rows is not None
    own = {} if learner == settings.learner else RECIPES["default"][learner]
    update = {**own, "learner": learner, "cost": {}, "class_weights": None}
    asked = replace(problem, settings=settings.model_copy(update=update), encoded=None)
    answers = answers_of_fold(asked, split.train, split.validation)
    if problem.data.labels:
        return np.asarray(answers.argmax(axis=1) != rows.y, np.float64)
    return row_losses(answers, rows.y)


def _shown(problem: Problem, error: float) -> str:
    if problem.data.labels:
        return f"{error:.1%} wrong"
    scale = float(problem.data.y[problem.split.train].std()) or 1.0  # of the standardised errors
    return f"RMSE {np.sqrt(error) * scale:.4g}"
