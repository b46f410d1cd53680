"""Search with Optuna, which draws points and receives their scores in rounds of a fixed size.

The rounds make the search reproducible: a point depends only on its number and on the earlier
rounds, not on the number of workers or on which trial ended first.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tenfold.core.errors import RunError, SettingsError
from tenfold.core.installation import adding
from tenfold.core.records import TrialResult
from tenfold.experiments.sweeps.plan import Limits, Plan, Point, Trial
from tenfold.experiments.sweeps.sweep_run import SweepRun
from tenfold.runs.record import Run

ROUND = 8
"""Number of points in a round. They are drawn before any of their scores is known, so that all
workers are busy."""

RUNGS = (3, 1.5)
"""The shares of its epochs after which a trial is compared with earlier ones."""

JOURNAL = "search.journal"


def make_search(run: SweepRun) -> None:
    """Run the trials of a search.

    The journal in the sweep's folder records the points and their scores, so that an interrupted
    search continues with the same points. A trial stops after a third or two thirds of its epochs
    if its validation score is below the median of the trials of earlier rounds. This is the median
    rule of Golovin et al. 2017 (Google Vizier), section 3.2.2, applied to completed rounds instead
    of running trials.
    """
    study = _open_study(run)
    ended = [point for point in study.get_trials(deepcopy=False) if point.state.is_finished()]
    run.make([trial for point in ended for trial in _trials(run.plan, point)])
    while run.has_time():
        points = list(_next_round(study, run.plan))
        if not points:
            return
        limits = _medians(run)
        trials = {point.number: _trials(run.plan, point, limits) for point in points}
        run.make([trial for of_point in trials.values() for trial in of_point])
        for point in points:
            results = [run.results.get(trial.name) for trial in trials[point.number]]
            complete = [result for result in results if result is not None]
            if len(complete) < len(results):
                return  # the time limit was reached
            _tell(study, point, complete)


def _trials(plan: Plan, point: Any, stop_below: Limits = ()) -> list[Trial]:
    return [
        Trial(f"{point.number:04d}-seed-{plan.seed + seed}", _values(point), seed, stop_below)
        for seed in range(plan.seeds)
    ]


def _open_study(run: SweepRun) -> Any:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ModuleNotFoundError as error:
        raise SettingsError(
            "E810",
            "Optuna is not installed",
            expected="the package optuna for a search",
            fix=adding("search"),
            search=True,
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = run.path / JOURNAL
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name="search",
            direction="minimize" if run.least_is_best else "maximize",
            load_if_exists=True,
        )
    except OSError:
        raise
    except Exception as error:  # lines that Optuna did not write cause various exceptions
        raise RunError(
            "E817",
            "The journal of the search is damaged",
            where=journal,
            fix="Remove the folder to start the search again",
            problem=f"{type(error).__name__}: {error}".splitlines()[0],
        ) from error


def _next_round(study: Any, plan: Plan) -> Iterator[Any]:
    """The points of the current round: those drawn before an interruption, then new ones."""
    from optuna.samplers import TPESampler
    from optuna.trial import Trial as Draw
    from optuna.trial import TrialState

    drawn = study.get_trials(deepcopy=False)
    running = [point for point in drawn if point.state == TrialState.RUNNING]
    n_told = len(drawn) - len(running)
    for i in range(min(ROUND, (plan.n_points or 0) - n_told)):
        # Each trial number has its own sampler, so that a draw does not depend on earlier
        # draws.
        seed = np.random.SeedSequence((plan.seed, n_told + i)).generate_state(1)[0]
        study.sampler = TPESampler(seed=int(seed))
        point = Draw(study, running[i]._trial_id) if i < len(running) else study.ask()
        _suggest(point, plan)
        yield point


def _suggest(point: Any, plan: Plan) -> None:
    """Draw the values of a point. Values that it already has are kept."""
    for name, values in plan.axes.items():
        if all(isinstance(value, int) for value in values):
            point.suggest_int(name, min(values), max(values), log=min(values) > 4)
        else:
            point.suggest_categorical(name, list(values))
    for name, (low, high) in plan.ranges.items():
        point.suggest_float(name, low, high, log=low > 0)


def _values(point: Any) -> Point:
    """Round a rate to three digits, which is precise enough and keeps the table readable."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in point.params.items()
    }


def _tell(study: Any, point: Any, results: Sequence[TrialResult]) -> None:
    from optuna.trial import TrialState

    scores = [result.score for result in results if result.score is not None]
    if len(scores) == len(results):
        study.tell(point, statistics.mean(scores))
    elif any(result.state == "failed" for result in results):
        study.tell(point, state=TrialState.FAIL)
    else:
        study.tell(point, state=TrialState.PRUNED)


def _scores(result: TrialResult) -> list[float]:
    """The validation score after each epoch. Larger is better."""
    return [
        -(epoch["val_loss"] or 0.0) if epoch["accuracy"] is None else epoch["val_accuracy"] or 0.0
        for epoch in Run.open(result.run).history
    ]


def _medians(run: SweepRun) -> Limits:
    """The median over all trials that ended, after a third and after two thirds of the epochs."""
    ended = [result for result in run.results.values() if result.state != "failed"]
    if not ended:
        return ()
    epochs = Run.open(ended[0].run).record.config.epochs
    histories = [_scores(result) for result in ended]
    limits = []
    for rung in sorted({math.ceil(epochs / part) for part in RUNGS} - {epochs}):
        scores = [history[rung - 1] for history in histories if len(history) >= rung]
        if scores:
            limits.append((rung, statistics.median(scores)))
    return tuple(limits)
