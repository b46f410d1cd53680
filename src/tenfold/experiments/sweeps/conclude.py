"""The end of a sweep or a comparison: open the test rows once, and write the findings."""

import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tenfold import report
from tenfold.core import files
from tenfold.data.audit import audit_data
from tenfold.evaluation import MEASURES, compare_with_best
from tenfold.experiments.artifacts import write_evidence
from tenfold.experiments.sweeps.folder import BEST, LeaderboardEntry, SweepRecord
from tenfold.experiments.sweeps.page import Summary, chosen_line, write_sweep_page
from tenfold.experiments.sweeps.results import PointResult
from tenfold.experiments.sweeps.sweep_run import SweepRun
from tenfold.runs.record import Record, Run, count_opening, most_opened

PER_ROWS = 10_000
"""Prediction time is given in seconds for this many rows."""


def conclude_sweep(run: SweepRun, points: Sequence[PointResult]) -> None:
    """Measure the best trial of the best point on the test rows; write the findings and the
    page."""
    run.listener.stage("test")
    best = _best_run(run, points[0])
    run.listener.stage("report")
    summary = None
    lines = [*_warnings(best.evaluation.doubts), chosen_line(run, points)]
    if "hidden" in points[0].point:
        summary = Summary(run, points, best.record.config.epochs)
        if not run.plan.is_search:
            lines += summary.lines()
    run.record.findings = lines
    write_sweep_page(run, points, best, summary)


def _best_run(run: SweepRun, result: PointResult) -> Run:
    """Copy the best trial of a point into a run folder of its own, with evidence and a report. An
    existing copy is reused."""
    sign = 1 if run.least_is_best else -1
    chosen = min(result.trials, key=lambda trial: (sign * (trial.score or 0.0), trial.seed))
    name, folder = chosen.run.name, run.path / BEST
    if run.record.chosen == name and (folder / "run.json").is_file():
        before = Run.open(folder)
        if before.record.state == "finished":
            return before
    elif folder.is_dir():
        shutil.rmtree(folder)  # from another trial, chosen when fewer trials were finished
    run.record.chosen = name
    best = _copied(Run.open(chosen.run), folder)
    try:
        _measure(run, best)
    except BaseException as error:
        best.fail(str(error))
        raise
    return best


def _measure(run: SweepRun, best: Run) -> None:
    """Measure the best run on the test rows, and write its evidence and report."""
    best.save()
    count_opening(best, run.path.parent)
    run.record.test_opened = best.record.test_opened
    run.save()
    files.write_document(best.path / "audit.json", audit_data(run.problem.data))
    write_evidence(best, run.problem.data, run.problem.split)
    report.write_report(best)
    report.write_model_card(best)
    best.finish("finished")


def _copied(trial: Run, folder: Path) -> Run:
    opened = 0
    if (folder / "run.json").is_file():
        opened = Run.open(folder).record.test_opened  # started before, and interrupted
    with files.os_errors("create", folder):
        folder.mkdir(exist_ok=True)
    for name in ("model.onnx", "history.csv"):
        if (trial.path / name).is_file():
            files.write_bytes(folder / name, (trial.path / name).read_bytes())
    plain = trial.record.model_dump() | {"state": "running", "files": {}, "test_opened": opened}
    return Run(folder, Record.model_validate(plain))


def conclude_comparison(run: SweepRun, points: Sequence[PointResult]) -> None:
    """Measure the models on the test rows if needed, and write the findings and the page.

    `points` were ranked by the validation rows, before any test row was opened.
    """
    record = run.record
    listed = [entry.learner for entry in record.places]
    if listed != [result.point["learner"] for result in points]:
        if listed:  # a learner that had failed has finished since, so all are measured again
            record.test_opened = 0
        run.listener.stage("test")
        _count_openings(run, sum(len(result.trials) for result in points))
        record.places = _measured(run, points)
    record.findings = [*_warnings(audit_data(run.problem.data).doubts), *_findings(record)]
    run.listener.stage("report")
    write_sweep_page(run, points)


def _warnings(doubts: Sequence[str]) -> list[str]:
    return [f"Do not trust these scores: {doubt}." for doubt in doubts]


def _findings(record: SweepRecord) -> list[str]:
    entries = record.places
    first, measure = entries[0], MEASURES[record.data.kind]
    scored = f"{measure.score} {measure.shown(first.test)}"
    lines = [f"Best on the validation set: {first.learner}, with {scored} on the test set."]
    for verdict in ("better", "not distinguishable", "worse"):
        names = [entry.learner for entry in entries if entry.verdict == verdict]
        if names:
            lines.append(f"{verdict[0].upper()}{verdict[1:]} on the test rows: {', '.join(names)}.")
    return lines


def _measured(run: SweepRun, points: Sequence[PointResult]) -> list[LeaderboardEntry]:
    """Measure the models of each learner on the test rows, and compare them with the first."""
    data, test = run.problem.data, run.problem.split.test
    row_scores, seconds = zip(*(result.ask(data, test) for result in points), strict=True)
    measure = MEASURES[data.task.kind]
    true, groups = data.y[test], None if data.groups is None else data.groups[test]
    comparisons = compare_with_best(
        np.stack(row_scores),
        best=0,
        largest=measure.largest,
        size=float(np.var(true)),
        groups=groups,
    )
    return [
        LeaderboardEntry(
            learner=str(result.point["learner"]),
            val_mean=result.mean,
            val_deviation=result.deviation,
            test=measure.of_rows(row_scores[i], true, groups),
            change=comparison and comparison.change,
            p_value=comparison and comparison.p_value,
            verdict=comparison.verdict if comparison else "best",
            seconds=result.seconds,
            predict_seconds=seconds[i] * PER_ROWS / len(test),
            n_bytes=round(statistics.mean(trial.n_bytes for trial in result.trials)),
            parameters=result.parameters,
            runs=[str(trial.run) for trial in result.trials],
        )
        for i, (result, comparison) in enumerate(zip(points, comparisons, strict=True))
    ]


def _count_openings(run: SweepRun, n_models: int) -> None:
    """Count the models that are about to be measured. If interrupted, they are not counted
    twice."""
    if run.record.test_opened:
        return
    out = run.path.parent
    with files.locked(out):
        opened = most_opened(out, run.record.data.fingerprint)
        run.record.test_opened = opened + n_models
        run.save()
