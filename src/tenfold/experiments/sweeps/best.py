"""A sweep's end: its best trial becomes a run of its own, measured on the test rows."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tenfold import report
from tenfold.core import files
from tenfold.evaluation import MEASURES
from tenfold.experiments.artifacts import write_evidence
from tenfold.experiments.sweeps.page import write_sweep_page
from tenfold.experiments.sweeps.summary import Summary, chosen_line, comparable
from tenfold.experiments.sweeps.sweep_run import SweepRun
from tenfold.experiments.sweeps.table import PointResult
from tenfold.runs.record import Record, Run, count_opening

BEST = "best"
"""The run folder of the chosen trial: a trial with its test rows opened."""


def conclude_sweep(run: SweepRun, points: Sequence[PointResult]) -> None:
    """Measure the best trial of the best point on the test rows, write the findings and the page.

    Raises:
      FileError: The folder cannot be written.
    """
    run.listener.stage("test")
    best = _measured(run, points[0])
    run.listener.stage("report")
    summary = None
    lines = [chosen_line(points[0], run.score_name, len(points))]
    if "hidden" in points[0].point:
        summary = Summary(
            comparable(points),
            max(1, len(run.problem.data.labels)),
            len(run.problem.split.train) * best.record.config.epochs,
            f"validation {MEASURES[run.problem.data.task.kind].score}",
            least_is_best=run.least_is_best,
        )
        if not run.plan.is_search:
            lines += summary.lines()
    run.record.findings = lines
    write_sweep_page(run, points, best, summary)


def _measured(run: SweepRun, result: PointResult) -> Run:
    """The best trial of a point as a run of its own, with evidence and report; found again if it is
    there."""
    sign = 1 if run.least_is_best else -1
    chosen = min(result.trials, key=lambda trial: (sign * (trial.score or 0.0), trial.seed))
    name, folder = chosen.run.name, run.path / BEST
    if run.record.chosen == name and (folder / "run.json").is_file():
        before = Run.open(folder)
        if before.record.state == "finished":
            return before
    elif folder.is_dir():
        shutil.rmtree(folder)  # of another trial: there was more time since
    run.record.chosen = name
    best = _copied(Run.open(chosen.run), folder)
    count_opening(best, run.path.parent)
    run.record.test_opened = best.record.test_opened
    run.folder.save()
    write_evidence(best, run.problem.data, run.problem.split)
    report.write_report(best)
    best.finish("finished")
    return best


def _copied(trial: Run, folder: Path) -> Run:
    """A new run with the trial's record, model and history."""
    opened = 0
    if (folder / "run.json").is_file():
        opened = Run.open(folder).record.test_opened  # begun before, and interrupted
    with files.os_errors("create", folder):
        folder.mkdir(exist_ok=True)
    for name in ("model.onnx", "history.csv"):
        if (trial.path / name).is_file():
            files.write_bytes(folder / name, (trial.path / name).read_bytes())
    plain = trial.record.model_dump() | {"state": "running", "files": {}, "test_opened": opened}
    run = Run(folder, Record.model_validate(plain))
    run.save()
    return run
