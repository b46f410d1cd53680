"""Which learner is kept where `auto` is asked for: of several that with the least loss.

What is tried follows from the data (`build.table_plan`, `build.photo_plan`), never from the clock,
so that the same data give the same model. Test rows never come here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import BuiltModel, built_from, fit_learner, fit_model, fit_problem
from tenfold.build.calibration import at_temperature, fit_temperature
from tenfold.build.photo_plan import problems_of_pictures
from tenfold.build.problem import Problem
from tenfold.build.table_plan import plan_of, problems_of_table
from tenfold.core.progress import Listener, Listeners
from tenfold.core.records import Candidate, LayerRow
from tenfold.data.split import Split, assign_folds, hold_out
from tenfold.learners import LEARNERS, Checkpoints, Fitted
from tenfold.learners.choice import Choice, row_losses


@dataclass(frozen=True)
class _Tried:
    """A candidate, what it lost on each row (n,), what it took, and its answers to the validation
    rows, where these choose."""

    learner: str
    losses: NDArray[np.float64]
    seconds: float
    answers: NDArray[np.float32] | None = None

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


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
    if problem.settings.learner in LEARNERS:
        return fit_model(problem, listener, checkpoints)
    listener = listener or Listener()
    listener.stage("train")
    if problem.data.input.kind == "image":
        return _of_pictures(problems_of_pictures(problem), listener, checkpoints)
    plan = plan_of(problem)
    problems = problems_of_table(problem, plan)
    problems[0].prepared.check(problems[0].settings)
    if plan.folds:
        built = _by_folds(problems, plan.folds, listener, checkpoints)
    else:
        built = _by_validation(problems, listener, checkpoints)
    return replace(built, plan=plan)


def problem_of_best(problem: Problem, candidates: Sequence[Candidate]) -> Problem:
    """The problem as the learner that was kept had it, or of a vote the best of its members.

    Where `auto` was asked for, `candidates` are what it tried, best first; none where it took the
    only one.
    """
    if problem.settings.learner in LEARNERS:
        return problem
    if problem.data.input.kind == "image":
        problems = problems_of_pictures(problem)
    else:
        problems = problems_of_table(problem, plan_of(problem))
    of_learner = {one.settings.learner: one for one in problems}
    ranked = [one.learner for one in candidates if one.learner in of_learner]
    return of_learner[ranked[0]] if ranked else problems[0]


def _of_pictures(
    problems: Sequence[Problem], listener: Listener, checkpoints: Checkpoints | None
) -> BuiltModel:
    if len(problems) > 1:
        return _by_validation(problems, listener, checkpoints)
    built = fit_model(problems[0], listener, checkpoints)
    why = f"auto took {built.contract.learner} without trying others: there are few pictures"
    return replace(built, note=f"{why}. {built.note}" if built.note else why)


def _by_validation(
    problems: Sequence[Problem], listener: Listener, checkpoints: Checkpoints | None
) -> BuiltModel:
    rows = problems[0].prepared.validation
    assert rows is not None
    tried, choice, fitted = list[_Tried](), None, dict[int, Fitted]()
    for number, problem in enumerate(problems):
        listener.progress(number, len(problems))
        one, own = _tried_once(problem, listener, checkpoints)
        assert one.answers is not None
        choice = choice or Choice(rows, one.answers.shape)
        choice.offer(one.answers, one.losses)
        tried.append(one)
        if own is not None and _best(tried) == number:
            fitted = {number: own}  # the others are let go of
    assert choice is not None
    best = _best(tried)
    winner = fitted[best] if best in fitted else _fit_whole(problems[best], listener)
    winner = replace(winner, judged=choice.answers)
    return _built(problems[best], winner, tried, "the validation rows", listener)


def _tried_once(
    problem: Problem, listener: Listener, checkpoints: Checkpoints | None
) -> tuple[_Tried, Fitted | None]:
    """A candidate on the validation rows, and its fit unless an earlier process made it."""
    name, fitted = problem.settings.learner, list[Fitted]()

    def found() -> dict[str, NDArray[Any]]:
        rows = problem.prepared.validation
        assert rows is not None
        fitted.append(_fit_whole(problem, _OfCandidate([listener])))
        judged = fitted[0].judged
        answers = fitted[0].answers(rows.x) if judged is None else judged
        return {"answers": answers, "losses": _losses(answers, rows.y)}

    return _kept(name, checkpoints, found), fitted[0] if fitted else None


def _by_folds(
    problems: Sequence[Problem],
    n_folds: int,
    listener: Listener,
    checkpoints: Checkpoints | None,
) -> BuiltModel:
    split, data = problems[0].split, problems[0].data
    fold_of = assign_folds(data, split.train, n_folds, problems[0].settings.seed)

    def losses_of(problem: Problem, number: int) -> dict[str, NDArray[Any]]:
        losses = np.empty(len(split.train))
        for fold in range(n_folds):
            listener.progress(number * n_folds + fold, len(problems) * n_folds)
            own = fold_of == fold
            losses[own] = _losses_of_fold(problem, split.train[~own], split.train[own])
        return {"losses": losses}

    tried = [
        _kept(problem.settings.learner, checkpoints, partial(losses_of, problem, number))
        for number, problem in enumerate(problems)
    ]
    best = _best(tried)
    fitted = _fit_whole(problems[best], listener)
    rows = f"{n_folds} folds of the training rows"
    return _built(problems[best], fitted, tried, rows, listener)


def _best(tried: Sequence[_Tried]) -> int:
    """The number of the first candidate with the least loss."""
    return min(range(len(tried)), key=lambda number: tried[number].loss)


def _kept(
    learner: str, checkpoints: Checkpoints | None, found: Callable[[], dict[str, NDArray[Any]]]
) -> _Tried:
    """What a candidate lost: found, and written down for a process that goes on with the run."""
    start, arrays = time.perf_counter(), checkpoints and checkpoints.result(learner)
    if not arrays:
        arrays = found()
        arrays["seconds"] = np.asarray([time.perf_counter() - start])
        if checkpoints:
            checkpoints.keep_result(learner, arrays)
    return _Tried(learner, arrays["losses"], float(arrays["seconds"][0]), arrays.get("answers"))


def _losses_of_fold(
    problem: Problem, fitted_to: NDArray[np.int64], held_out: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What a candidate that is fitted to some rows loses on others, row by row; of several networks
    one stands for all, or each fold would take five times as long."""
    data, settings = problem.data, problem.settings.model_copy(update={"members": 1})
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


class _OfCandidate(Listeners):
    """Passes on what is heard of a candidate, but for its layers: another one may win."""

    def layers(self, layers: Sequence[LayerRow]) -> None:
        """Left out."""


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
    measure = "log loss" if problem.data.labels else "squared error (that of always the mean is 1)"
    losses = ", ".join(f"{one.learner} {one.loss:.4g}" for one in candidates)
    note = f"auto chose {fitted.learner} by {rows}: {measure} {losses}"
    if len(candidates) > 1:
        second = candidates[1]
        lead = f"{second.behind:.2g} (95% interval {second.low:.2g} to {second.high:.2g})"
        note += f"; the lead over {second.learner} is {lead}"
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
