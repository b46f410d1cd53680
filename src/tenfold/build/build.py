"""From training and validation rows to a model file: fit, calibrate, write, compare.

The one way to a model: of runs, folds and trials, of the search for label errors, and of the
scikit-learn estimators. Test rows never come here.
"""

from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build import onnx as graph
from tenfold.build.calibration import Constants, choose_threshold, fit_temperature
from tenfold.build.novelty import Novelty, fit_distance, fit_novelty
from tenfold.build.problem import Prepared, Problem
from tenfold.core.conformal import conformal_half_width
from tenfold.core.contract import Contract, Decision, Reader
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.data.disk_images import StoredImages, in_memory_bytes
from tenfold.learners import LEARNERS, Fitted, fit_last_value
from tenfold.learners.checkpoints import Checkpoints
from tenfold.learners.training import Examples
from tenfold.model.forecast import half_widths
from tenfold.model.model import Model

CENTRES = 20
"""Centres of each label among the hidden activations, at most."""

MAX_JUDGED = 5_000
"""Validation rows whose novelty sets the threshold, at most: 100 of them lie beyond it."""


@dataclass(frozen=True)
class BuiltModel:
    """A model file, checked against its learner, and how it was fitted.

    Attributes:
      content: The bytes of `model.onnx`.
      contract: The promise in them.
      history: A record per finished epoch; empty where there are no epochs.
      parameters: Numbers fitted.
      note: What a reader should know of this fit.
      interrupted: Ctrl-C came; the model is that of the last finished epoch.
    """

    content: bytes
    contract: Contract
    history: tuple[Epoch, ...]
    parameters: int
    note: str | None
    interrupted: bool


def fit_model(
    problem: Problem, listener: Listener | None = None, checkpoints: Checkpoints | None = None
) -> BuiltModel:
    """Fit the settings' learner and make its model file.

    Args:
      problem: What is to be learned.
      listener: Is told of the stages `train` and `export`, and of epochs.
      checkpoints: Where the state of a network is kept, to go on from.

    Raises:
      SettingsError: A learner for the other task, settings that do not fit it, or costs without
        two labels or validation rows.
      DataError: Images that would take too much memory for this learner, or a regression without
        validation rows.
      ExportError: The graph does not answer like the learner.
    """
    listener = listener or Listener()
    listener.stage("train")
    prepared, settings = problem.prepared, problem.settings
    _check_rows(prepared, settings)
    built = fit_prepared(prepared, settings, problem.positive, listener, checkpoints)
    contract = built.contract
    if contract.input.order is not None and not contract.labels:
        widths = half_widths(Model(built.content), problem.data, problem.split.validation)
        contract = contract.with_half_widths(widths)
        content = graph.with_contract(built.content, contract)
        built = replace(built, content=content, contract=contract)
    return built


def fit_prepared(
    prepared: Prepared,
    settings: Settings,
    positive: str | None = None,
    listener: Listener | None = None,
    checkpoints: Checkpoints | None = None,
) -> BuiltModel:
    """The same for rows that are prepared: those of scikit-learn estimators have no dataset."""
    listener = listener or Listener()
    fitted = _fit(prepared, settings, listener, checkpoints)
    listener.stage("export")
    content, contract = export(fitted, prepared, settings, positive)
    return BuiltModel(
        content, contract, fitted.history, fitted.parameters, fitted.note, fitted.interrupted
    )


def _check_rows(prepared: Prepared, settings: Settings) -> None:
    """Refuse before the fit what would be refused after it."""
    x: Any = prepared.train.x
    learner = settings.learner
    if not prepared.labels and prepared.validation is None:
        raise DataError(
            "E603",
            "Regression without validation rows",
            where=prepared.name,
            expected="some to measure the interval on: validation_size above 0",
            validation_size=settings.validation_size,
        )
    if isinstance(x, StoredImages) and not LEARNERS[learner].streams:
        able = " or ".join(name for name, known in LEARNERS.items() if known.streams)
        raise DataError(
            "E602",
            "Images that would take too much memory",
            where=prepared.name,
            expected=f"at most {in_memory_bytes()} bytes of them, or a learner that streams",
            fix=f"--learner {able}",
            n_bytes=x.size,
            learner=learner,
        )


def _fit(
    prepared: Prepared, settings: Settings, listener: Listener, checkpoints: Checkpoints | None
) -> Fitted:
    learner = LEARNERS[settings.learner]
    if not learner.looks and prepared.last_value is not None:
        constants = prepared.constants
        return fit_last_value(
            prepared.train, prepared.last_value, constants.target_mean, constants.target_scale
        )
    return learner.fit(
        prepared.train,
        prepared.validation,
        n_labels=len(prepared.labels) or None,
        settings=settings,
        listener=listener,
        checkpoints=checkpoints,
    )


def export(
    fitted: Fitted, prepared: Prepared, settings: Settings, positive: str | None = None
) -> tuple[bytes, Contract]:
    """The model file: calibrated on validation rows, and compared with its learner.

    Args:
      fitted: A learner fitted to the training rows.
      prepared: The rows.
      settings: Its settings.
      positive: The label that costs are about.

    Returns:
      The bytes of the file, and the contract in it.

    Raises:
      ExportError: The graph does not answer like the learner.
      SettingsError: Costs without two labels or without validation rows.
      DataError: A regression of a dataset without validation rows.
    """
    seen = _ask(fitted, prepared)
    constants = _calibrate(prepared, seen, settings)
    decision = _decide(prepared, seen, constants, settings, positive) if settings.cost else None
    novelty = _fit_novelty(fitted, prepared, seen, constants)
    contract = Contract(
        task="classification" if prepared.labels else "regression",
        input=prepared.accepted,
        reader=Reader(name="table" if prepared.accepted.kind == "table" else "array"),
        labels=prepared.labels,
        decision=decision,
        rows_at_once=fitted.rows_at_once,
        novelty_threshold=None if novelty is None else 1.0,
        learner=fitted.learner,
        temperature=constants.temperature,
        tenfold=metadata.version("tenfold"),
    )
    content = graph.to_graph(
        fitted, contract, constants=constants, front=prepared.front, novelty=novelty
    )
    _check_agreement(Model(content), prepared, seen, constants, novelty)
    return content, contract


@dataclass(frozen=True, eq=False)
class _Answered:
    """What a learner answers itself to rows that it was not fitted to, or else to training rows.

    Attributes:
      rows: Of which the first are `Prepared.compared`, as the learner takes them.
      answers: Probabilities (n, n_labels) or standardised values (n,), before calibration.
      hidden: Hidden values (n, h) of a network, else None.
      is_held_out: Whether they are validation rows.
    """

    rows: Examples
    answers: NDArray[np.float32]
    hidden: NDArray[np.float32] | None
    is_held_out: bool


def _ask(fitted: Fitted, prepared: Prepared) -> _Answered:
    rows = prepared.validation
    if rows is None:
        few = prepared.train.x[: len(prepared.compared)]
        rows = Examples(few, prepared.train.y[: len(few)])
    answers, hidden = fitted.answers(rows.x), None
    if prepared.validation is not None:
        hidden = fitted.hidden(rows.x)
    return _Answered(rows, answers, hidden, prepared.validation is not None)


def _check_agreement(
    model: Model,
    prepared: Prepared,
    seen: _Answered,
    constants: Constants,
    novelty: Novelty | None,
) -> None:
    """Refuse a graph that answers the compared rows differently from its learner."""
    n, keys = len(prepared.compared), prepared.keys
    expected = constants.apply(seen.answers[:n])
    outputs = model.answer(prepared.compared).outputs
    graph.check_agreement(expected, outputs[0], keys, scale=constants.target_scale)
    if novelty is not None:
        hidden = None if seen.hidden is None else seen.hidden[:n]
        expected = novelty.of(seen.rows.x[:n], hidden, expected)
        # A distance in units of its own spread, which takes digits from float32: 0.00016 off on
        # 64x64 pictures of noise, where all are equally far. A thousandth decides nothing. Novelty
        # has no upper end: far out it is as exact as float32 activations are.
        scale = np.maximum(np.float32(10), expected)
        graph.check_agreement(expected, outputs[1], keys, scale=scale)


def _fit_novelty(
    fitted: Fitted, prepared: Prepared, seen: _Answered, constants: Constants
) -> Novelty | None:
    """How unlike the training rows an input is, its threshold found on the validation rows.

    None without validation rows and for regression; for the baseline, which looks at no input; for
    features, whose scale is the caller's; and for a forest on a table, whose columns are not of one
    scale (up to 1e37).
    """
    kind, learner = prepared.accepted.kind, LEARNERS[fitted.learner]
    is_comparable = kind == "image" or (kind == "table" and learner.scaled)
    if not (prepared.labels and seen.is_held_out and is_comparable):
        return None
    if not learner.looks or prepared.distance is None:
        return None
    rows = prepared.sample
    activations, y = fitted.hidden(prepared.train.x[rows]), prepared.train.y[rows]
    n = len(seen.answers)
    judged = np.linspace(0, n - 1, min(n, MAX_JUDGED)).astype(np.int64)
    return fit_novelty(
        prepared.distance,
        None if activations is None else fit_distance(activations, y, per_label=CENTRES),
        seen.rows.x[judged],
        None if seen.hidden is None else seen.hidden[judged],
        constants.apply(seen.answers[judged]),
        hidden_weight=learner.hidden_weight if kind == "image" else 1.0,
    )


def _calibrate(prepared: Prepared, seen: _Answered, settings: Settings) -> Constants:
    """The constants of the graph's end. Without validation rows nothing is calibrated."""
    constants = prepared.constants
    if prepared.labels:
        constants = replace(constants, label_factors=_label_factors(prepared, settings))
        if seen.is_held_out:
            corrected = constants.apply(seen.answers)
            temperature = fit_temperature(corrected, seen.rows.y, seen.rows.weight)
            constants = replace(constants, temperature=temperature)
    elif seen.is_held_out:
        width = conformal_half_width(seen.rows.y, seen.answers) * constants.target_scale
        constants = replace(constants, half_width=width)
    return constants


def _label_factors(prepared: Prepared, settings: Settings) -> tuple[float, ...]:
    """What undoes class weights: weighted rows made their labels look more frequent."""
    if settings.class_weights is None:
        return ()
    if settings.class_weights == "balanced":
        counts = np.bincount(prepared.train.y, minlength=len(prepared.labels))
        return tuple((counts / counts.sum()).tolist())
    return tuple(1 / weight for weight in settings.class_weights)


def _decide(
    prepared: Prepared,
    seen: _Answered,
    constants: Constants,
    settings: Settings,
    positive: str | None,
) -> Decision:
    """The threshold that costs least on the validation rows."""
    if positive is None or not seen.is_held_out:
        raise SettingsError(
            "E604",
            "Costs cannot be weighed",
            where=prepared.name,
            expected="two labels and validation rows",
            n_labels=len(prepared.labels),
            n_validation=len(seen.answers) if seen.is_held_out else 0,
        )
    code = prepared.labels.index(positive)
    threshold = choose_threshold(
        constants.apply(seen.answers)[:, code],
        seen.rows.y == code,
        settings.cost.get("false_negative", 1.0),
        settings.cost.get("false_positive", 1.0),
    )
    return Decision(positive=positive, threshold=threshold)
