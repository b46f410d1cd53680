"""The check whether a simpler learner would be as good as the chosen one."""

import csv
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tenfold.build.build import fit_model
from tenfold.build.problem import Problem
from tenfold.core.records import Check
from tenfold.core.settings import RECIPES
from tenfold.core.text import shorten
from tenfold.evaluation import MEASURES
from tenfold.evaluation.checks import check
from tenfold.learners import LEARNERS
from tenfold.model.model import Model
from tenfold.runs.record import Run

SIMPLE = {"classification": "logistic", "regression": "linear"}
MAX_SIMPLE, MIN_JUDGED = 20_000, 30
"""The maximum number of training rows for the simple learner, and the minimum number of validation
rows."""


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
    kind, split = problem.data.task.kind, problem.split
    name, contract = SIMPLE[kind], run.model.contract
    is_simple = any(LEARNERS[one].is_simple for one in contract.learners)
    is_few = len(split.train) > MAX_SIMPLE or len(split.validation) < MIN_JUDGED
    if is_few or is_simple or contract.input.order is not None:
        return
    settings = problem.settings.model_copy(
        update={**RECIPES["default"][name], "learner": name, "cost": {}, "class_weights": None}
    )
    other = Model(fit_model(replace(problem, settings=settings, encoded=None)).content)
    rows = problem.data.seen_as(run.model.contract.input).x[split.validation]
    y = problem.data.y[split.validation]
    scores = [model.answer(rows).row_scores(y) for model in (run.model, other)]
    gain = scores[1] - scores[0]  # of the simple learner
    error = float(gain.std() / np.sqrt(len(gain)))
    if gain.mean() - 1.96 * error > 0:
        errors = [MEASURES[kind].error(one) for one in scores]
        texts = [f"{e:.1%} wrong" if problem.data.labels else f"RMSE {e:.4g}" for e in errors]
        text = f"{name} is better on the {len(y):,} validation rows: {texts[1]}, not {texts[0]}"
        yield check("C07", text)
