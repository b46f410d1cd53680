"""What is also learned about a training from its rows outside the test part, where it is asked for:
folds and the learning curve."""

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
    """Refuse before anything is fitted what `write_studies` would refuse after it; errors are those
    of `check_curve`."""
    if problem.settings.learning_curve:
        check_curve(problem)


def write_studies(
    run: Run, problem: Problem, candidates: Sequence[Candidate], listener: Listener
) -> None:
    """Write `folds.csv` and `learning_curve.json`, each where the settings ask for it.

    `candidates` are what `auto` tried, best first; the curve is that of the best one.
    """
    if problem.settings.folds:
        listener.stage("folds")
        folds = cross_validate(problem, run.record, listener)
        csv_files.write_folds(run.path / "folds.csv", folds)
    if problem.settings.learning_curve:
        listener.stage("curve")
        curve = measure_learning_curve(problem_of_best(problem, candidates), listener)
        files.write_document(run.path / CURVE_FILE, curve)
