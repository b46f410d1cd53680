"""`sweep()` and `compare()`: one function call each, from data to a table and its report."""

import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold import report
from tenfold.core import files, html_repr
from tenfold.core.errors import SettingsError
from tenfold.core.progress import Listener
from tenfold.core.records import TrialResult
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset
from tenfold.data.load import load
from tenfold.evaluation import MEASURES
from tenfold.experiments.artifacts import write_evidence
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.findings import Facts, beside, chosen_line
from tenfold.experiments.sweeps.folder import Place, SweepRecord
from tenfold.experiments.sweeps.leaderboard import place_learners
from tenfold.experiments.sweeps.page import write_comparison_page, write_sweep_page
from tenfold.experiments.sweeps.plan import Plan, check_plan
from tenfold.experiments.sweeps.search import search as run_search
from tenfold.experiments.sweeps.table import Group, sort_rows
from tenfold.experiments.sweeps.work import Work, grid_tasks, ranked, working
from tenfold.learners import LEARNERS, check_learner, check_used, is_used
from tenfold.runs import record as runs
from tenfold.runs.record import Record, Run

if TYPE_CHECKING:
    import pandas as pd

BEST = "best"
"""The run folder of the chosen trial: a trial with its test rows opened."""


class Sweep:
    """What a sweep or a comparison came to.

    Attributes:
      path: Its folder.
      record: Its `sweep.json` or `comparison.json`.
      rows: The trials, by settings and seed.
      groups: Settings of which all trials were finished, best first by the validation rows.
    """

    def __init__(
        self, path: Path, record: SweepRecord, rows: Sequence[TrialResult], groups: Sequence[Group]
    ) -> None:
        self.path, self.record = path, record
        self.rows, self.groups = tuple(rows), tuple(groups)

    @property
    def findings(self) -> list[str]:
        """The result in plain words."""
        return self.record.findings

    @property
    def places(self) -> list[Place]:
        """Of a comparison, its learners, best first by the validation rows."""
        return self.record.places

    @cached_property
    def best(self) -> Run:
        """The chosen run: its model was measured on the test rows."""
        if self.record.kind == "sweep":
            return Run.open(self.path / BEST)
        return Run.open(self.groups[0].rows[0].run)

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r}, {len(self.rows)} trials)"

    def _repr_html_(self) -> str:
        rows = [
            (_words(group), f"{group.mean:.4f}", f"{group.training_seconds:.2f} s")
            for group in self.groups
        ]
        parts = [html_repr.table(("settings", "validation score", "training"), rows)]
        return html_repr.card(str(self.path), *parts)


def _words(group: Group) -> str:
    return ", ".join(f"{name} {value}" for name, value in group.point.items())


def sweep(
    data: "str | Path | Dataset | pd.DataFrame" = "mnist",
    *,
    hidden: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
    seeds: int = 1,
    trials: int | None = None,
    search: bool = False,
    minutes: float | None = None,
    seed: int = 0,
    target: str | int | None = None,
    reading: Reading | None = None,
    out: Path | str = "runs",
    workers: int | None = None,
    executor: Executor | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Sweep:
    """Train many networks, and say what neurons and layers bought and cost.

    The same call goes on with what an earlier one left, and ends with the same table.

    Args:
      data: What `tenfold.train` takes.
      hidden: Neurons in each hidden layer, to be tried; 32, 64, 128 and 256 when absent.
      layers: How many such layers, to be tried; 1 and 2 when absent.
      seeds: Trainings of each setting, which differ by first weights and order of the rows.
      trials: Trainings at most, all seeds counted: so many of the grid are drawn. A search has 32
        settings when absent.
      search: Let Optuna choose: widths and depths between the smallest and the largest, rates and
        dropout beside them.
      minutes: Begin no trial after so much time, what earlier calls took included.
      seed: Of the split, of the first trial of each setting, of what is drawn.
      target, reading: As in `tenfold.train`.
      out: Where the sweep's folder is made, or found again.
      workers: Processes, of one thread each; None: one for each core.
      executor: Who makes the trials instead.
      listener: Sees trials as they are made.
      **settings: Any other setting of `tenfold.core.settings.Settings`; a list is tried value by
        value. With another `learner` than `network` the lists are all there is.

    Returns:
      The table, the findings and the best run, whose test rows were opened.

    Raises:
      SettingsError: Settings outside their rule, or no validation rows to rank on.
      DataError: What `tenfold.train` says.
      RunError: No trial was finished.
      FileError: The folder cannot be written, or another process works on it.
      SweepInterrupted: Ctrl-C; a KeyboardInterrupt that knows the folder.
    """
    dataset = data if isinstance(data, Dataset) else load(data, target=target, reading=reading)
    fixed, axes = _axes(settings)
    learner = fixed.get("learner", "network")
    if learner in LEARNERS and is_used("hidden", learner):
        axes = {"hidden": hidden or (32, 64, 128, 256), "layers": layers or (1, 2), **axes}
    elif hidden or layers:
        expected = "learner 'network' for hidden and layers"
        raise SettingsError("E804", "Not a network", expected=expected, learner=learner)
    check_used([*fixed, *axes], [learner])
    n_points = None if trials is None else trials // max(seeds, 1)
    plan = Plan(
        kind="sweep", fixed=fixed, axes=axes, seeds=seeds, seed=seed, is_search=search,
        n_points=32 if search and trials is None else n_points,
        is_table=dataset.table is not None,
    )  # fmt: skip
    check_plan(plan)
    check_learner(plan.settings(plan.points()[0], 0), dataset.task.kind, dataset.input)
    listener = listener or Listener()
    n_trials = seeds * (plan.n_points or 0 if search else len(plan.points()))
    with (
        executor or LocalProcesses(workers) as hands,
        working(plan, dataset, Path(out), n_trials, hands, listener, minutes) as work,
    ):
        if search:
            run_search(work)
        else:
            work.make(grid_tasks(plan))
        work.write_table()
        groups = ranked(work)
        listener.stage("test")
        best = _open_test(work, groups[0])
        listener.stage("report")
        _conclude_sweep(work, groups, best)
    return Sweep(work.path, work.record, sort_rows(work.rows.values()), groups)


def compare(
    data: "str | Path | Dataset | pd.DataFrame" = "mnist",
    *,
    learners: Sequence[str] | None = None,
    recipe: str = "fast",
    seeds: int = 1,
    seed: int = 0,
    target: str | int | None = None,
    reading: Reading | None = None,
    out: Path | str = "runs",
    workers: int | None = None,
    executor: Executor | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Sweep:
    """Train several learners on the same rows, and say which is better.

    Ranked by the mean over the seeds on validation rows. The test rows are opened once, for all
    that are listed; verdicts beside the best are paired, and corrected for their number.

    Args:
      data: What `tenfold.train` takes.
      learners: Which; all that can learn the task when absent, but for the baseline.
      recipe: Of all of them.
      seeds: Trainings of each.
      seed, target, reading, out, workers, executor, listener: As in `sweep`.
      **settings: Any other setting of `tenfold.core.settings.Settings`, for all of them.

    Returns:
      The leaderboard in `places`, the table, the findings.

    Raises:
      SettingsError, DataError, RunError, FileError, SweepInterrupted: As in `sweep`.
    """
    dataset = data if isinstance(data, Dataset) else load(data, target=target, reading=reading)
    names = list(dict.fromkeys(learners or _learners_for(dataset)))
    fixed = {name: value for name, value in settings.items() if value is not None}
    check_used(fixed, names)
    plan = Plan(
        kind="comparison", fixed={"recipe": recipe, **fixed}, axes={"learner": names},
        seeds=seeds, seed=seed, is_table=dataset.table is not None,
    )  # fmt: skip
    check_plan(plan)
    for point in plan.points():
        check_learner(plan.settings(point, 0), dataset.task.kind, dataset.input)
    listener = listener or Listener()
    with (
        executor or LocalProcesses(workers) as hands,
        working(plan, dataset, Path(out), seeds * len(names), hands, listener) as work,
    ):
        work.make(grid_tasks(plan))
        work.write_table()
        groups = ranked(work)
        listed = [place.learner for place in work.record.places]
        if listed != [group.point["learner"] for group in groups]:
            if listed:  # one that had failed was made since: all are measured again
                work.record.test_opened = 0
            listener.stage("test")
            work.record.places = place_learners(work, groups)
        listener.stage("report")
        _conclude_comparison(work, groups)
    return Sweep(work.path, work.record, sort_rows(work.rows.values()), groups)


def _axes(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Settings that all trials share, and those that are tried value by value."""
    axes: dict[str, Sequence[Any]] = {
        name: list(value)
        for name, value in settings.items()
        if isinstance(value, list | tuple | range) and name != "class_weights"
    }
    fixed = {n: v for n, v in settings.items() if n not in axes and v is not None}
    return fixed, axes


def _learners_for(data: Dataset) -> list[str]:
    """Every learner that can learn from the data; every evaluation has the baseline in it."""
    return [
        name
        for name, learner in LEARNERS.items()
        if data.task.kind in learner.tasks and learner.accepts(data.input) and learner.looks
    ]


def _open_test(work: Work, group: Group) -> Run:
    """The best trial as a run of its own, measured on the test rows; found again if it is there."""
    sign = 1 if work.least_is_best else -1
    row = min(group.rows, key=lambda row: (sign * (row.score or 0.0), row.seed))
    name, folder = row.run.name, work.path / BEST
    if work.record.chosen == name and (folder / "run.json").is_file():
        known = Run.open(folder)
        if known.record.state == "finished":
            return known
    elif folder.is_dir():
        shutil.rmtree(folder)  # of another trial: there was more time since
    trial = Run.open(row.run)
    work.record.chosen = name
    run = _copied(trial, folder)
    runs.count_opening(run, work.path.parent)
    work.record.test_opened = run.record.test_opened
    work.save()
    write_evidence(run, work.data, work.split)
    report.write_report(run, [run.record.note] if run.record.note else [])
    run.finish("finished")
    return run


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


def _conclude_sweep(work: Work, groups: Sequence[Group], best: Run) -> None:
    """The findings and the report."""
    facts = None
    lines = [chosen_line(groups[0], work.score_name, len(groups))]
    if "hidden" in groups[0].point:
        facts = Facts(
            beside(groups),
            max(1, len(work.data.labels)),
            len(work.split.train) * best.record.config.epochs,
            f"validation {MEASURES[work.data.task.kind].score}",
            least_is_best=work.least_is_best,
        )
        if not work.plan.is_search:
            lines += facts.lines()
    work.record.findings = lines
    write_sweep_page(work, groups, best, facts)


def _conclude_comparison(work: Work, groups: Sequence[Group]) -> None:
    places = work.record.places
    first = places[0]
    lines = [f"{first.learner} is first on the validation rows; on the test rows {first.test}."]
    for verdict in ("better", "not distinguishable", "worse"):
        names = [place.learner for place in places if place.verdict == verdict]
        if names:
            lines.append(f"{verdict[0].upper()}{verdict[1:]} on the test rows: {', '.join(names)}.")
    work.record.findings = lines
    write_comparison_page(work, groups)
