"""Make a model file from training and validation rows: fit, calibrate, write and compare.

This is the only way to make a model: for runs, folds and trials, for the search for label errors,
and for the scikit-learn estimators. Test rows never come here.
"""

from dataclasses import dataclass, replace

import numpy as np

from tenfold.build import held_out
from tenfold.build import onnx as graph
from tenfold.build.problem import Prepared, Problem
from tenfold.core.contract import WRITTEN_BY, Contract, Reader
from tenfold.core.progress import Listener
from tenfold.core.records import Candidate, CandidatePlan, Epoch
from tenfold.core.settings import Settings
from tenfold.learners import LEARNERS, Checkpoints, Fitted, TrainingJob, fit_last_value
from tenfold.model.forecast import ending_at, with_half_widths
from tenfold.model.model import Model


@dataclass(frozen=True)
class BuiltModel:
    """A model file that was checked against its learner, and how it was fitted, as in `Fitted`.

    `content` contains the bytes of `model.onnx`, and `contract` is the contract in them.
    `candidates` are the learners that `auto` tried, best first, and `plan` is its plan for a table.
    """

    content: bytes
    contract: Contract
    history: tuple[Epoch, ...]
    parameters: int
    note: str | None
    interrupted: bool
    candidates: tuple[Candidate, ...] = ()
    plan: CandidatePlan | None = None
    at_edge: tuple[str, ...] = ()


def fit_model(
    problem: Problem, listener: Listener | None = None, checkpoints: Checkpoints | None = None
) -> BuiltModel:
    """Fit the settings' learner and make its model file. `choose.fit_chosen` also accepts `auto`.

    The listener is told about the stages `train` and `export`, and about epochs. A network resumes
    from its last checkpoint and writes new ones.

    Raises:
      SettingsError: The learner is for the other task, a setting does not suit it, or costs are
        given without two labels or without validation rows.
      DataError: Images would take too much memory for this learner, or a regression has no
        validation rows.
      ExportError: The graph does not predict the same as the learner.
    """
    listener = listener or Listener()
    listener.stage("train")
    problem.prepared.check(problem.settings)
    fitted = fit_problem(problem, listener, checkpoints)
    return built_from(problem, fitted, listener)


def built_from(problem: Problem, fitted: Fitted, listener: Listener) -> BuiltModel:
    """Make the model file of a learner that was fitted to a problem. The errors are those of
    `fit_model`."""
    listener.stage("export")
    built = built_prepared(fitted, problem.prepared, problem.settings, problem.positive)
    contract = built.contract
    if contract.input.order is not None and not contract.labels:
        data, split = problem.data, problem.split
        order = with_half_widths(Model(built.content), data, split.validation)
        # A model file does not contain targets of test rows. `Run.model` adds them from the run.
        order = order and ending_at(order, data, np.union1d(split.train, split.validation))
        accepted = contract.input.model_copy(update={"order": order})
        contract = contract.model_copy(update={"input": accepted})
        content = graph.with_contract(built.content, contract)
        built = replace(built, content=content, contract=contract)
    return built


def fit_prepared(prepared: Prepared, settings: Settings) -> BuiltModel:
    """Fit a model to prepared rows, as the scikit-learn estimators do, which have no dataset."""
    return built_prepared(fit_learner(prepared, settings, Listener()), prepared, settings)


def built_prepared(
    fitted: Fitted, prepared: Prepared, settings: Settings, positive: str | None = None
) -> BuiltModel:
    """Make the model file of a learner that was fitted to prepared rows."""
    content, contract = export(fitted, prepared, settings, positive)
    notes = (fitted.note, held_out.without_calibration(fitted, prepared))
    note = "; ".join(note for note in notes if note) or None
    found = (content, contract, fitted.history, fitted.parameters, note, fitted.interrupted)
    return BuiltModel(*found, at_edge=fitted.at_edge)


def fit_problem(
    problem: Problem, listener: Listener, checkpoints: Checkpoints | None = None
) -> Fitted:
    """Fit the problem's learner, and finally to the validation rows, too, if that is allowed
    (`Problem.may_join`)."""
    return fit_learner(
        problem.prepared, problem.settings, listener, checkpoints, refit=problem.may_join
    )


def fit_learner(
    prepared: Prepared,
    settings: Settings,
    listener: Listener,
    checkpoints: Checkpoints | None = None,
    *,
    refit: bool = False,
) -> Fitted:
    """Fit the settings' learner to prepared rows, with `refit` as in a job."""
    learner, task, column = LEARNERS[settings.learner], prepared.task, prepared.encoding.last_value
    if not learner.looks and column is not None:
        return fit_last_value(prepared.train, column, task)
    rows, n_labels = (prepared.train, prepared.validation), len(task.labels) or None
    return learner.fit(TrainingJob(*rows, n_labels, settings, listener, checkpoints, refit))


def export(
    fitted: Fitted, prepared: Prepared, settings: Settings, positive: str | None = None
) -> tuple[bytes, Contract]:
    """Make the model file of a fitted learner, calibrated on validation rows and compared with the
    learner, and its contract. Costs refer to the label `positive`. The errors are those of
    `fit_model`."""
    seen = held_out.OwnAnswers.by(fitted, prepared)
    judging = held_out.OwnAnswers.that_judge(fitted, seen)
    constants = held_out.calibrate(prepared, judging, settings)
    decision = None
    if settings.cost:
        decision = held_out.decide(prepared, judging, constants, settings, positive)
    # The hidden activations are those of the first network of a vote, which was not fitted to the
    # validation rows.
    judging = judging if seen.hidden is None else seen
    novelty = held_out.judge_novelty(fitted, prepared, judging, constants)
    task, accepted = prepared.task, prepared.encoding.accepted
    contract = Contract(
        task=task.kind,
        input=accepted,
        reader=Reader(name="table" if accepted.kind == "table" else "array"),
        labels=task.labels,
        decision=decision,
        rows_at_once=fitted.rows_at_once,
        novelty_threshold=None if novelty is None else 1.0,
        learner=fitted.learner,
        vote=dict(fitted.vote),
        temperature=constants.temperature,
        prediction_sets=held_out.promise_sets(prepared, judging),
        prediction_intervals=held_out.promise_intervals(prepared, judging, constants),
        tenfold=WRITTEN_BY,
    )
    content = graph.to_graph(
        fitted, contract, constants=constants, front=prepared.encoding.front, novelty=novelty
    )
    # Refuse a graph that predicts the compared rows differently from its learner.
    n, keys = len(prepared.compared), prepared.keys
    expected = constants.apply(seen.answers[:n])
    outputs = Model(content).answer(prepared.compared).outputs
    graph.check_agreement(expected, outputs[0], keys, scale=constants.target_scale)
    if novelty is not None:
        hidden = None if seen.hidden is None else seen.hidden[:n]
        expected = novelty.of(prepared.near(seen.rows.x[:n]), hidden, expected)
        # Novelty is a distance divided by its own spread, which costs float32 some digits: the
        # difference is 0.00016 on 64x64 pictures of noise, which are all equally far away. A
        # difference of a thousandth decides nothing. Novelty has no upper limit, and large values
        # are as exact as float32 activations are.
        scale = np.maximum(np.float32(10), expected)
        graph.check_agreement(expected, outputs[1], keys, scale=scale)
    return content, contract
