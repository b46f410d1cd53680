"""Which learner is kept where `auto` is asked for: of several that with the least loss.

What is tried on a table follows from the rows, the columns and the labels by a measured table of
costs, on pictures from their number (`build.photo_plan`), never from the clock, so that the same
data give the same model. Test rows never come here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import BuiltModel, built_from, fit_learner, fit_model, fit_problem
from tenfold.build.calibration import at_temperature, fit_temperature
from tenfold.build.photo_plan import problems_of_pictures
from tenfold.build.problem import Problem
from tenfold.core.progress import Listener
from tenfold.core.records import Candidate
from tenfold.core.settings import AUTO, RECIPES, Settings
from tenfold.data.split import Split, assign_folds, hold_out
from tenfold.learners import LEARNERS, Checkpoints, Fitted
from tenfold.learners.choice import Choice, row_losses

FOLDS = 5
"""Parts of the training rows that take turns at being held out, where rows are few."""

FEW = 2_000
"""Fewer training rows than these choose by folds, for a few validation rows choose by chance."""

CANDIDATES = {
    "baseline": (0.05, 0.0),
    "logistic": (0.2, 1e-6),
    "linear": (0.2, 1e-6),
    "boosting": (0.5, 1e-5),
    "bayes": (0.1, 5e-7),
    "neighbors": (0.2, 2e-6),
    "network": (4.0, 3e-5),
    "forest": (0.5, 1e-5),
}
"""The learners in the order in which a plan takes them up, and what a fit costs: seconds at any
size, and for each cell of the training rows and each label. Measured in processor time on about
3,000 rows each of California housing (9 columns) and spambase (57), and rounded up."""

OF_TEXTS = ("baseline", "logistic", "linear", "bayes")
"""Tried where a column is a text, whose words are thousands of columns."""


@dataclass(frozen=True)
class _Tried:
    """A candidate, what it lost on each row (n,), and what it took."""

    learner: str
    losses: NDArray[np.float64]
    seconds: float

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


def planned(problem: Problem) -> list[str]:
    """The learners that `auto` tries for rows like these, within the minutes of the settings."""
    data, n_rows = problem.data, len(problem.split.train)
    columns = data.input.columns if data.input.kind == "table" else ()
    has_text = any(column.kind == "text" for column in columns)
    n_cells = n_rows * max(1, len(columns)) * max(1, len(data.labels))
    n_fits = FOLDS + 1 if _is_few(problem) else 1
    left, names = 60 * problem.settings.minutes, list[str]()
    for name, (start, per_cell) in CANDIDATES.items():
        seconds = n_fits * (start + per_cell * n_cells)
        is_able = data.task.kind in LEARNERS[name].tasks and (name in OF_TEXTS or not has_text)
        if is_able and (seconds <= left or len(names) < 2):
            names.append(name)
            left -= seconds
    return names


def fit_chosen(
    problem: Problem, listener: Listener | None = None, checkpoints: Checkpoints | None = None
) -> BuiltModel:
    """`fit_model`, also of `auto`: it tries the candidates and keeps the one with the least loss,
    which is the log loss at a temperature of its own, or the squared error.

    Few training rows choose by folds among themselves, so that the validation rows have no say.
    Of many rows the validation rows choose, and each is also answered by the candidate that the
    others choose: these answers calibrate (`learners.choice`). So they do in the order of time, and
    of pictures, however few: a network is not fitted five times.
    """
    if problem.settings.learner != AUTO:
        return fit_model(problem, listener, checkpoints)
    listener = listener or Listener()
    listener.stage("train")
    if problem.data.input.kind == "image":
        return _of_pictures(problems_of_pictures(problem), listener, checkpoints)
    problems = [
        replace(problem, settings=_settings_of(problem.settings, name)) for name in planned(problem)
    ]
    problems[0].prepared.check(problems[0].settings)
    return (_by_folds if _is_few(problem) else _by_validation)(problems, listener)


def _of_pictures(
    problems: Sequence[Problem], listener: Listener, checkpoints: Checkpoints | None
) -> BuiltModel:
    if len(problems) > 1:
        return _by_validation(problems, listener)
    built = fit_model(problems[0], listener, checkpoints)
    why = f"auto took {built.contract.learner} without trying others: there are few pictures"
    return replace(built, note=f"{why}. {built.note}" if built.note else why)


def _is_few(problem: Problem) -> bool:
    info, n_validation = problem.data.info, len(problem.split.validation)
    in_time = info is not None and info.timeline is not None
    return not n_validation or (len(problem.split.train) < FEW and not in_time)


def _settings_of(settings: Settings, learner: str) -> Settings:
    """The settings of a candidate: its own defaults over those of the table."""
    return settings.model_copy(update={**RECIPES["default"][learner], "learner": learner})


def _by_validation(problems: Sequence[Problem], listener: Listener) -> BuiltModel:
    tried, best, choice = list[_Tried](), None, None
    for number, problem in enumerate(problems):
        listener.progress(number, len(problems))
        start, rows = time.perf_counter(), problem.prepared.validation
        fitted = _fit_whole(problem, listener)
        assert rows is not None
        answers = fitted.answers(rows.x) if fitted.judged is None else fitted.judged
        losses = _losses(answers, rows.y)
        choice = choice or Choice(rows, answers.shape)
        choice.offer(answers, losses)
        tried.append(_Tried(fitted.learner, losses, time.perf_counter() - start))
        if best is None or tried[-1].loss < best[0]:
            best = tried[-1].loss, problem, fitted
    assert best is not None and choice is not None
    _, problem, fitted = best
    fitted = replace(fitted, judged=choice.answers)
    return _built(problem, fitted, tried, "the validation rows", listener)


def _by_folds(problems: Sequence[Problem], listener: Listener) -> BuiltModel:
    split, data = problems[0].split, problems[0].data
    fold_of = assign_folds(data, split.train, FOLDS, problems[0].settings.seed)
    tried = []
    for number, problem in enumerate(problems):
        start, losses = time.perf_counter(), np.empty(len(split.train))
        for fold in range(FOLDS):
            listener.progress(number * FOLDS + fold, len(problems) * FOLDS)
            own = fold_of == fold
            losses[own] = _losses_of_fold(problem, split.train[~own], split.train[own])
        tried.append(_Tried(problem.settings.learner, losses, time.perf_counter() - start))
    best = min(range(len(tried)), key=lambda i: tried[i].loss)
    fitted = _fit_whole(problems[best], listener)
    rows = f"{FOLDS} folds of the training rows"
    return _built(problems[best], fitted, tried, rows, listener)


def _losses_of_fold(
    problem: Problem, fitted_to: NDArray[np.int64], held_out: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What a candidate that is fitted to some rows loses on others, row by row."""
    data, settings = problem.data, problem.settings
    train, validation = hold_out(data, fitted_to, settings.validation_size, settings.seed)
    none = np.empty(0, np.int64)
    prepared = Problem(data, Split(train, validation, none, none), settings).prepared
    if data.labels and settings.learner != "baseline" and len(np.unique(data.y[train])) < 2:
        return np.full(len(held_out), np.inf)  # there is nothing to learn from
    fitted = fit_learner(prepared, settings, Listener())
    if fitted.interrupted:
        raise KeyboardInterrupt
    answers = fitted.answers(prepared.encoding.encode(data.x[held_out]))
    if data.labels:
        return _losses(answers, data.y[held_out])
    mean, scale = getattr(prepared.task, "mean", 0.0), getattr(prepared.task, "scale", 1.0)
    return _losses(answers, (data.y[held_out] - mean) / scale)


def _losses(answers: NDArray[np.float32], y: NDArray[np.generic]) -> NDArray[np.float64]:
    """By row, of probabilities at the temperature that fits these rows best."""
    if answers.ndim == 1:
        return row_losses(answers, y)
    return row_losses(at_temperature(answers, fit_temperature(answers, y)), y)


def _fit_whole(problem: Problem, listener: Listener) -> Fitted:
    fitted = fit_problem(problem, listener)
    if fitted.interrupted:
        raise KeyboardInterrupt
    return fitted


def _built(
    problem: Problem, fitted: Fitted, tried: Sequence[_Tried], rows: str, listener: Listener
) -> BuiltModel:
    """The winner's model, with what was tried in words and in numbers."""
    ranked = sorted(tried, key=lambda one: one.loss)
    candidates = tuple(_candidate(one, ranked[0]) for one in ranked)
    measure = "log loss" if problem.data.labels else "squared error in variances of the target"
    losses = ", ".join(f"{one.learner} {one.loss:.4g}" for one in candidates)
    note = f"auto chose {fitted.learner} by {rows}: {measure} {losses}"
    if len(candidates) > 1:
        second = candidates[1]
        note += f"; {second.behind:.2g} ({second.low:.2g} to {second.high:.2g}) less than the next"
    own = f". {fitted.note}" if fitted.note else ""
    built = built_from(problem, replace(fitted, note=note + own), listener)
    return replace(built, candidates=candidates)


def _candidate(one: _Tried, best: _Tried) -> Candidate:
    """A candidate beside the best: the mean difference with its 95% interval, paired by row."""
    differences = one.losses - best.losses
    half = 1.96 * float(differences.std()) / np.sqrt(len(differences))
    behind = float(differences.mean())
    low, high = behind - half, behind + half
    return Candidate(one.learner, one.loss, behind, float(low), float(high), one.seconds)
