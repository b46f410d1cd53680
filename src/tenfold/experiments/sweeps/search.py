"""A search: points asked of Optuna, told what they were worth, in rounds of a fixed size.

Rounds make it the same everywhere: a point depends on the rounds before it and on its number, never
on how many workers there are or on which trial ended first.
"""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tenfold.core.errors import SettingsError
from tenfold.core.records import TrialResult
from tenfold.experiments.sweeps.plan import Plan, Point
from tenfold.experiments.sweeps.work import Task, Work
from tenfold.runs.record import Run

ROUND = 8
"""Points asked for before any of them is told: so many workers have work."""

RUNGS = (3, 1.5)
"""A third and two thirds of the epochs: where a trial must keep up."""

JOURNAL = "search.journal"


def search(work: Work) -> None:
    """Make the trials of a search.

    The journal in the sweep's folder holds what was asked and told; an interrupted search goes on
    to the same points. A trial whose validation score after a third or two thirds of its epochs is
    under the median of the earlier rounds' trials is stopped there (the median rule of Golovin et
    al. 2017, Google Vizier, section 3.2.2, against completed rounds instead of running trials).

    Raises:
      SettingsError: Optuna is not installed.
    """
    study = _open_study(work)
    told = [one for one in study.get_trials(deepcopy=False) if one.state.is_finished()]
    work.make([task for trial in told for task in _tasks(work, trial)])
    while work.go_on():
        asked = list(_asked(study, work.plan))
        if not asked:
            return
        floors = _floors(work)
        tasks = {trial.number: _tasks(work, trial, floors) for trial in asked}
        work.make([task for found in tasks.values() for task in found])
        for trial in asked:
            rows = [work.rows.get(task.name) for task in tasks[trial.number]]
            if None in rows:
                return  # the time was over
            _tell(study, trial, [row for row in rows if row is not None])


def _tasks(work: Work, trial: Any, floors: tuple[tuple[int, float], ...] = ()) -> list[Task]:
    """The trainings of a point, one for each seed."""
    plan = work.plan
    return [
        Task(f"{trial.number:04d}-seed-{plan.seed + seed}", _point(trial), seed, floors)
        for seed in range(plan.seeds)
    ]


def _open_study(work: Work) -> Any:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ModuleNotFoundError as error:
        raise SettingsError(
            "E810",
            "Optuna is not installed",
            expected="it for a search",
            fix="pip install 'tenfold[search]'",
            search=True,
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(work.path / JOURNAL))),
        study_name="search",
        direction="minimize" if work.least_is_best else "maximize",
        load_if_exists=True,
    )


def _asked(study: Any, plan: Plan) -> Iterator[Any]:
    """The trials of the round under way: those asked before an interruption, then new ones."""
    from optuna.samplers import TPESampler
    from optuna.trial import Trial, TrialState

    known = study.get_trials(deepcopy=False)
    running = [one for one in known if one.state == TrialState.RUNNING]
    told = len(known) - len(running)
    for i in range(min(ROUND, (plan.n_points or 0) - told)):
        # A sampler for each number: what it draws does not depend on what this process drew.
        seed = np.random.SeedSequence((plan.seed, told + i)).generate_state(1)[0]
        study.sampler = TPESampler(seed=int(seed))
        trial = Trial(study, running[i]._trial_id) if i < len(running) else study.ask()
        _suggest(trial, plan)
        yield trial


def _suggest(trial: Any, plan: Plan) -> None:
    """Fill in the point of a trial; what it has already stays."""
    for name, values in plan.axes.items():
        if all(isinstance(value, int) for value in values):
            trial.suggest_int(name, min(values), max(values), log=min(values) > 4)
        else:
            trial.suggest_categorical(name, list(values))
    for name, (low, high) in plan.ranges.items():
        trial.suggest_float(name, low, high, log=low > 0)


def _point(trial: Any) -> Point:
    """Three digits are enough for a rate, and a table can be read."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in trial.params.items()
    }


def _tell(study: Any, trial: Any, rows: Sequence[TrialResult]) -> None:
    from optuna.trial import TrialState

    scores = [row.score for row in rows if row.score is not None]
    if len(scores) == len(rows):
        study.tell(trial, statistics.mean(scores))
    elif any(row.state == "failed" for row in rows):
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, state=TrialState.PRUNED)


def _scores(row: TrialResult) -> list[float]:
    """The validation score after each epoch: more is better."""
    history = Run.open(row.run).history
    return [
        -(one["val_loss"] or 0.0) if one["accuracy"] is None else one["val_accuracy"] or 0.0
        for one in history
    ]


def _floors(work: Work) -> tuple[tuple[int, float], ...]:
    """The median of all trials that ended, after a third and after two thirds of the epochs."""
    ended = [row for row in work.rows.values() if row.state != "failed"]
    if not ended:
        return ()
    epochs = Run.open(ended[0].run).record.config.epochs
    histories = [_scores(row) for row in ended]
    rungs = {-(-epochs // part) for part in RUNGS} - {epochs}
    return tuple(
        (int(rung), statistics.median(known))
        for rung in sorted(rungs)
        if (known := [scores[int(rung) - 1] for scores in histories if len(scores) >= rung])
    )
