"""The checks of a finished training: findings about its data, its fit and its scores.

`evaluation.checks` describes each of them by its code. Checks of the fit use training and
validation rows. Test rows are used only for their own scores and distribution.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.records import CHECKS_FILE, Check, Checks
from tenfold.core.text import shorten
from tenfold.evaluation import MEASURES
from tenfold.evaluation.checks import check
from tenfold.experiments.photo_checks import near_photos
from tenfold.experiments.table_checks import of_table
from tenfold.learners import LEARNERS
from tenfold.runs.record import Run

OF_FINDINGS = {
    "gives the answer away": "C01",
    "test set inside training set": "C01",
    "in both parts": "C01",
    "nearly in both parts": "C01",
    "test set repeats itself": "C01",
    "constant": "C02",
    "shortcut": "C09",
}
"""Findings of the audit that are also checks."""

FEW, FEW_PHOTOS = 20, 10
MUCH_BETTER, MUCH_LARGER = 0.10, 1.5
"""Thresholds of C03 and C06. With twenty photos of each label `transfer` predicted
85% of the other flowers correctly (`python -m bench.photos`)."""


def write_checks(run: Run, problem: Problem, at_edge: Sequence[str] = ()) -> None:
    """Check a run that has been measured, and write `checks.json`."""
    edges = [check("C08", f"the loss of held-out rows was lowest at {edge}") for edge in at_edge]
    found = sorted([*_found(run, problem), *edges], key=lambda one: one.code)
    files.write_document(run.path / CHECKS_FILE, Checks(checks=tuple(found)))


def _found(run: Run, problem: Problem) -> Iterator[Check]:
    audit = run.audit
    for finding in audit.findings if audit else ():
        if finding.kind in OF_FINDINGS:
            yield check(OF_FINDINGS[finding.kind], finding.text)
    seen = replace(problem, data=problem.data.seen_as(run.model.contract.input))
    learners = [LEARNERS[name] for name in run.model.contract.learners]
    yield from _few(seen, FEW_PHOTOS if learners[0].photos else FEW)
    if not any(learner.remembers for learner in learners):
        yield from _overfitting(run, seen)
    yield from _last_epoch(run)
    accepted = run.model.contract.input
    if accepted.kind == "image":
        yield from near_photos(run, problem)
    if accepted.kind == "table":
        yield from of_table(run, accepted, problem)


def _few(problem: Problem, enough: int) -> Iterator[Check]:
    y, labels = problem.data.y[problem.split.train], problem.data.labels
    counts = [(name, int((y == code).sum())) for code, name in enumerate(labels)]
    few = [f"{name!r} ({n:,})" for name, n in counts if n < enough]
    if few:
        yield check("C03", f"labels with fewer than {enough} training rows: {shorten(few)}")


def _overfitting(run: Run, problem: Problem) -> Iterator[Check]:
    data, measure = problem.data, MEASURES[problem.data.task.kind]
    train = problem.split.train
    rows = np.sort(np.random.default_rng(0).permutation(train)[:2_000])
    mine = measure.of_rows(run.model.answer(data.x[rows]).row_scores(data.y[rows]), data.y[rows])
    test = run.evaluation.score
    if measure.more_is_better:
        is_found = mine.value - test.value >= MUCH_BETTER and mine.low > test.high
    else:
        is_found = test.value >= MUCH_LARGER * mine.value and mine.high < test.low
    if is_found:
        texts = f"{measure.shown(mine)} on training rows, {measure.shown(test)} on test rows"
        yield check("C06", f"{measure.score} {texts}")


def _last_epoch(run: Run) -> Iterator[Check]:
    losses = [row["val_loss"] for row in run.history]
    known = [loss for loss in losses if loss is not None]
    epochs, members = run.record.config.epochs, run.record.config.members
    # Networks may have different validation rows, so that only the first one is checked, if none
    # was stopped early.
    if members > 1:
        known = known[:epochs] if len(known) == epochs * members else []
    if len(known) > 2 and known[-1] < min(known[:-1]):
        text = "the loss of the validation rows was still falling in the last"
        yield check("C08", f"{text} of {len(known)} epochs")
