"""`auto`: fit several learners and keep the one with the lowest loss.

The candidates follow from the data (`build.table_plan`, `build.photo_plan`), never from the clock,
so that the same data give the same model. Test rows never come here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import BuiltModel, built_from, fit_model, fit_problem
from tenfold.build.candidates import (
    Judges,
    OfCandidate,
    Tried,
    answers_of_fold,
    as_tried,
    judged_by_folds,
    judged_by_validation,
)
from tenfold.build.chosen import Chosen, best_of, better_vote
from tenfold.build.photo_plan import problems_of_pictures
from tenfold.build.problem import Problem
from tenfold.build.table_plan import left_out_by_texts, plan_of, problems_of_table
from tenfold.core.progress import Listener
from tenfold.core.records import Candidate
from tenfold.learners import LEARNERS, Checkpoints, Fitted


def fit_chosen(
    problem: Problem, listener: Listener | None = None, checkpoints: Checkpoints | None = None
) -> BuiltModel:
    """Fit a model as `fit_model` does, or with `auto` the best of several candidates.

    The best candidate has the lowest log loss after calibration by its own temperature, or the
    lowest squared error. A vote of several is kept if it is significantly better (`better_vote`).

    With few training rows the choice is made by cross-validation on them, and the validation rows
    take no part. With many rows, with rows in the order of time, and for pictures (for which five
    fits would take too long), the choice is made on the validation rows. Each row that chose is
    then also predicted by the model that the other parts choose, and these predictions are used for
    calibration (`Chosen.answers`), with cross-validation together with those for the validation
    rows.
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
    left_out = left_out_by_texts(problem)
    if left_out:
        why = "were not tried, because a column contains texts, whose words are too many features"
        built = replace(built, note=f"{built.note}. {' and '.join(left_out)} {why}")
    return replace(built, plan=plan)


def problem_of_best(problem: Problem, candidates: Sequence[Candidate]) -> Problem:
    """The problem with the settings of the learner that was kept, or of the best member of a vote.

    With `auto`, `candidates` are what it tried, the best one first. They are empty if there was
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
    judges = judged_by_validation(problems[0])
    tried, fits = list[Tried](), dict[int, Fitted]()
    can_vote = problems[0].data.input.kind == "table"
    for number, problem in enumerate(problems):
        listener.progress(number, len(problems))
        one, own = _tried_once(problem, judges, listener, checkpoints)
        tried.append(one)
        if own is not None and (can_vote or best_of(tried) == number):
            # Pictures have no vote, so that the memory of the other fits can be freed.
            fits = fits if can_vote else {}
            fits[number] = own
    vote = better_vote(tried, judges) if can_vote else None
    return _built(problems, fits, Chosen(tried, judges, vote), listener)


def _tried_once(
    problem: Problem, judges: Judges, listener: Listener, checkpoints: Checkpoints | None
) -> tuple[Tried, Fitted | None]:
    """Fit a candidate and predict the validation rows. The fit is None if its predictions were
    stored by an earlier process."""
    fitted = list[Fitted]()

    def answered() -> NDArray[np.float32]:
        rows = problem.prepared.validation
        assert rows is not None
        fitted.append(_fit_whole(problem, OfCandidate([listener])))
        judged = fitted[0].judged
        return fitted[0].answers(rows.x) if judged is None else judged

    one = as_tried(problem.settings.learner, judges, checkpoints, answered)
    return one, fitted[0] if fitted else None


def _by_folds(
    problems: Sequence[Problem],
    n_folds: int,
    listener: Listener,
    checkpoints: Checkpoints | None,
) -> BuiltModel:
    split, labels = problems[0].split, problems[0].data.labels
    judges = judged_by_folds(problems[0], n_folds)

    def answered(problem: Problem, number: int) -> NDArray[np.float32]:
        n = len(split.train)
        answers = np.empty((n, len(labels)) if labels else (n,), np.float32)
        for fold in range(n_folds):
            listener.progress(number * n_folds + fold, len(problems) * n_folds)
            own = judges.part_of == fold
            answers[own] = answers_of_fold(problem, split.train[~own], split.train[own])
        return answers

    tried = [
        as_tried(problem.settings.learner, judges, checkpoints, partial(answered, problem, number))
        for number, problem in enumerate(problems)
    ]
    return _built(problems, {}, Chosen(tried, judges, better_vote(tried, judges)), listener)


def _fit_whole(problem: Problem, listener: Listener) -> Fitted:
    fitted = fit_problem(problem, listener)
    if fitted.interrupted:
        raise KeyboardInterrupt
    return fitted


def _built(
    problems: Sequence[Problem],
    fits: Mapping[int, Fitted],
    chosen: Chosen,
    listener: Listener,
) -> BuiltModel:
    """Build the model of the winner or of the vote, with the note and the candidates."""
    whole = {i: fits[i] if i in fits else _fit_whole(problems[i], listener) for i in chosen.weights}
    members = [(problems[i].prepared, fitted) for i, fitted in whole.items()]
    prepared, fitted, candidates = chosen.together(members)
    problem = replace(problems[next(iter(whole))], encoded=prepared)
    return replace(built_from(problem, fitted, listener), candidates=candidates)
