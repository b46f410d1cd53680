"""Optional studies of a training on its rows outside the test part: cross-validation and the
learning curve."""

from collections.abc import Sequence

from tenfold.build.choose import problem_of_best
from tenfold.build.problem import Problem
from tenfold.core import files
from tenfold.core.progress import Listener
from tenfold.core.records import CURVE_FILE, Candidate
from tenfold.experiments.cross_validation import cross_validate
from tenfold.experiments.learning_curve import check_curve, measure_learning_curve
from tenfold.runs import csv_files
from tenfold.runs.record import Run


def check_studies(problem: Problem) -> None:
    """Refuse a study before anything is fitted if `write_studies` could not make it. The errors are
    those of `check_curve`."""
    if problem.settings.learning_curve:
        check_curve(problem)


def write_studies(
    run: Run, problem: Problem, candidates: Sequence[Candidate], listener: Listener
) -> None:
    """Write `folds.csv` and `learning_curve.json`, if the settings request them.

    `candidates` are the learners that `auto` tried, best first. The learning curve is that of the
    best one.
    """
    if problem.settings.folds:
        listener.stage("folds")
        folds = cross_validate(problem, run.record, listener)
        csv_files.write_folds(run.path / "folds.csv", folds)
    if problem.settings.learning_curve:
        listener.stage("curve")
        curve = measure_learning_curve(problem_of_best(problem, candidates), listener)
        files.write_document(run.path / CURVE_FILE, curve)
