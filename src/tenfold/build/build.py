"""From training and validation rows to a model file: encode, fit, calibrate, write, compare.

Models of runs, folds and trials are made here; those of the scikit-learn estimators, whose rows are
arrays without a dataset, in `sklearn`. Test rows never come here.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build import onnx as graph
from tenfold.build.calibration import (
    Constants,
    Distance,
    Novelty,
    choose_threshold,
    fit_distance,
    fit_novelty,
    fit_temperature,
)
from tenfold.build.onnx.table import table_front
from tenfold.core.conformal import conformal_half_width
from tenfold.core.contract import Contract, Decision, ImageInput, Reader, TableInput
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.progress import Watcher
from tenfold.core.settings import Settings
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.disk_images import StoredImages, in_memory_bytes
from tenfold.data.split import Split
from tenfold.inputs.features import features
from tenfold.inputs.tables.columns import Table, graph_inputs, levels
from tenfold.inputs.tables.encoder import Encoder, fit_encoder
from tenfold.learners import LEARNERS, Fitted, fit_last_value
from tenfold.learners.checkpoints import Checkpoints
from tenfold.learners.training import Examples
from tenfold.model.forecast import half_widths
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Predictions, Values

MAX_COMPARED = 10_000
"""Rows on which graph and learner are compared at most; more take time and show nothing new."""

MAX_NOVELTY = 8_000
"""Training rows whose spread is measured, at most: 64 axes need no more."""

CENTRES, PICTURES = 20, 50
"""Centres of each label among the hidden activations, and among pictures: shapes of one digit lie
apart. Of 20, 30, 50 and 200 of pictures, 200 take 0.5 MB and find no more."""

MAX_JUDGED = 5_000
"""Validation rows whose novelty sets the threshold, at most: 100 of them lie beyond it."""

MAX_VALUES = 20_000_000
"""Values in these rows, at most, down to 1,000 rows: 80 MB."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rows as a learner takes them.

    Attributes:
      train, validation: Images or features, with codes or standardised targets.
      encoder: What made the features of a table; None for images.
      input: What a model of the dataset accepts.
      constants: Mean and scale of the target.
    """

    train: Examples
    validation: Examples | None
    encoder: Encoder | None
    input: ImageInput | TableInput
    constants: Constants

    @cached_property
    def sample(self) -> RowNumbers:
        """Training rows whose spread is measured, spread over all: they may be sorted by label."""
        n = len(self.train.y)
        few = min(n, MAX_NOVELTY, max(1_000, MAX_VALUES // self.train.x[0].size))
        return np.linspace(0, n - 1, few).astype(np.int64)

    @cached_property
    def distance(self) -> Distance | None:
        """The spread of the features of labelled rows: the same for every fit to them."""
        x, y = features(self.train.x[self.sample]), self.train.y[self.sample]
        if isinstance(self.input, ImageInput):
            return fit_distance(x, y, per_label=PICTURES, whitened=False)
        return fit_distance(x, y)

    def encode(self, x: NDArray[np.uint8] | Table) -> NDArray[Any]:
        """Examples as the learner takes them: images as they are, rows of a table as features."""
        return _encode(x, self.input, self.encoder)


def prepare(data: Dataset, split: Split, *, scaled: bool) -> Prepared:
    """Encode the training and validation rows; what is fitted here sees the training rows alone.

    Args:
      data: The examples.
      split: Which of them are for what.
      scaled: Whether the columns of a table are brought to one scale, as `Learner.scaled` says.

    Raises:
      DataError: A table of which nothing is left to learn from.
    """
    accepted, encoder, constants, y = data.input, None, Constants(), data.y
    if isinstance(accepted, TableInput):
        inputs = graph_inputs(data.x[split.train], accepted)
        encoder = fit_encoder(inputs, accepted, scaled=scaled)
    if data.task == "regression":
        known = y[split.train]
        constants = Constants(
            target_mean=float(known.mean()), target_scale=float(known.std()) or 1.0
        )
        y = ((y - constants.target_mean) / constants.target_scale).astype(np.float32)
    train, validation = (
        Examples(_encode(data.x[rows], accepted, encoder), y[rows]) if rows.size else None
        for rows in (split.train, split.validation)
    )
    assert train is not None  # a split without training rows is refused
    if encoder is not None and not train.x.shape[1]:
        raise DataError(
            "E601",
            "Nothing to learn from",
            where=data.name,
            expected="numbers, categories, or words that stand in more than one row",
            columns=list(accepted.names) if isinstance(accepted, TableInput) else None,
        )
    return Prepared(train, validation, encoder, accepted, constants)


def _check_memory(x: Any, where: str, learner: str) -> None:
    if isinstance(x, StoredImages) and not LEARNERS[learner].streams:
        able = " or ".join(name for name, one in LEARNERS.items() if one.streams)
        raise DataError(
            "E602",
            "Images that would take too much memory",
            where=where,
            expected=f"at most {in_memory_bytes()} bytes of them, or a learner that streams",
            fix=f"--learner {able}",
            n_bytes=x.size,
            learner=learner,
        )


def _encode(
    x: NDArray[np.uint8] | Table, accepted: ImageInput | TableInput, encoder: Encoder | None
) -> NDArray[Any]:
    if isinstance(x, Table) and encoder is not None and isinstance(accepted, TableInput):
        return encoder(graph_inputs(x, accepted))
    assert not isinstance(x, Table)
    return x


def fit(
    prepared: Prepared,
    data: Dataset,
    settings: Settings,
    watcher: Watcher,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Fit the settings' learner.

    Raises:
      SettingsError: A learner for the other task, or settings that do not fit it.
      DataError: Images that would take too much memory for this learner.
    """
    _check_memory(prepared.train.x, data.name, settings.learner)
    order = prepared.input.order if isinstance(prepared.input, TableInput) else None
    learner = LEARNERS[settings.learner]
    if not learner.looks and order is not None and order.lags:
        assert prepared.encoder is not None and prepared.encoder.numbers is not None
        assert isinstance(prepared.input, TableInput)
        column = order.lag_columns(prepared.input.target)[0]
        position = prepared.encoder.numbers.names.index(column)
        constants = prepared.constants
        return fit_last_value(
            prepared.train, position, constants.target_mean, constants.target_scale
        )
    return learner.fit(
        prepared.train,
        prepared.validation,
        n_labels=len(data.labels) or None,
        settings=settings,
        watcher=watcher,
        checkpoints=checkpoints,
    )


def export(
    fitted: Fitted, prepared: Prepared, data: Dataset, split: Split, settings: Settings
) -> bytes:
    """The model file: calibrated on validation rows, and compared with its learner.

    Raises:
      ExportError: The graph does not answer like the learner.
      SettingsError: Costs without two labels or without validation rows.
    """
    answers = hidden = None
    if prepared.validation is not None:
        answers = fitted.answers(prepared.validation.x)
        hidden = fitted.hidden(prepared.validation.x)
    constants = _calibrate(prepared, answers, data, settings)
    contract = _contract(fitted, data, split, constants)
    if settings.cost:
        decision = _decide(constants, answers, prepared.validation, data, split, settings)
        contract = contract.model_copy(update={"decision": decision})
    novelty = _fit_novelty(fitted, prepared, data, constants, answers, hidden)
    if novelty is not None:
        contract = contract.model_copy(update={"novelty_threshold": 1.0})
    front = None
    if prepared.encoder is not None and isinstance(contract.input, TableInput):
        front = table_front(prepared.encoder, contract.input)
    content = graph.to_graph(fitted, contract, constants=constants, front=front, novelty=novelty)
    model = Model(content)
    rows = (split.validation if split.validation.size else split.train)[:MAX_COMPARED]
    if answers is None:
        answers = fitted.answers(prepared.train.x[: len(rows)])
    expected = constants.apply(answers[: len(rows)])
    answered = model.answer(data.x[rows])
    _compare(answered, expected, data, rows, constants)
    if novelty is not None and prepared.validation is not None:
        of_hidden = None if hidden is None else hidden[: len(rows)]
        known = novelty.of(prepared.validation.x[: len(rows)], of_hidden, expected)
        _compare_novelty(answered, known, data, rows)
    ordered = isinstance(contract.input, TableInput) and contract.input.order is not None
    if ordered and data.task == "regression" and split.validation.size:
        widths = half_widths(model, data, split.validation)
        content = graph.to_graph(
            fitted, _with_widths(contract, widths), constants=constants, front=front
        )
    return content


def _compare(
    answered: Answers, expected: NDArray[Any], data: Dataset, rows: RowNumbers, constants: Constants
) -> None:
    graph.check_agreement(
        expected,
        answered.value if isinstance(answered, Values) else answered.probabilities,
        [data.keys[row] for row in rows],
        scale=constants.target_scale,
    )


def _compare_novelty(
    answered: Answers, expected: NDArray[Any], data: Dataset, rows: RowNumbers
) -> None:
    assert isinstance(answered, Predictions) and answered.novelty is not None
    keys = [data.keys[row] for row in rows]
    # A distance in units of its own spread, which takes digits from float32: 0.00016 off on 64x64
    # pictures of noise, where all are equally far. A thousandth decides nothing. Novelty has no
    # upper end: far out it is as exact as float32 activations are.
    scale = np.maximum(np.float32(10), expected)
    graph.check_agreement(expected, answered.novelty, keys, scale=scale)


def _fit_novelty(
    fitted: Fitted,
    prepared: Prepared,
    data: Dataset,
    constants: Constants,
    answers: NDArray[Any] | None,
    hidden: NDArray[np.float32] | None,
) -> Novelty | None:
    """How unlike the training rows an input is, its threshold found on the validation rows.

    None for regression, for the baseline, which looks at no input, for a forest on a table, whose
    columns are not of one scale (up to 1e37), and without validation rows.
    """
    train, validation = prepared.train, prepared.validation
    learner = LEARNERS[fitted.learner]
    unscaled = isinstance(data.x, Table) and not learner.scaled
    if not data.labels or not learner.looks or unscaled:
        return None
    if answers is None or validation is None:
        return None
    distance, rows = prepared.distance, prepared.sample
    if distance is None:
        return None
    weight = learner.hidden_weight if isinstance(prepared.input, ImageInput) else 1.0
    activations, y = fitted.hidden(train.x[rows]), train.y[rows]
    inner = None if activations is None else fit_distance(activations, y, per_label=CENTRES)
    n = len(validation.y)
    judged = np.linspace(0, n - 1, min(n, MAX_JUDGED)).astype(np.int64)
    return fit_novelty(
        distance,
        inner,
        validation.x[judged],
        None if hidden is None else hidden[judged],
        constants.apply(answers[judged]),
        hidden_weight=weight,
    )


def _calibrate(
    prepared: Prepared, answers: NDArray[Any] | None, data: Dataset, settings: Settings
) -> Constants:
    """The constants of the tail. Without validation rows nothing is calibrated."""
    constants = prepared.constants
    if data.labels:
        factors = _label_factors(prepared, data, settings)
        constants = replace(constants, label_factors=factors)
        if answers is not None and prepared.validation is not None:
            corrected = constants.apply(answers)
            temperature = fit_temperature(corrected, prepared.validation.y)
            constants = replace(constants, temperature=temperature)
        return constants
    if answers is None or prepared.validation is None:
        raise DataError(
            "E603",
            "Regression without validation rows",
            where=data.name,
            expected="some to measure the interval on: validation_size above 0",
            validation_size=settings.validation_size,
        )
    width = conformal_half_width(prepared.validation.y, answers) * constants.target_scale
    return replace(constants, half_width=width)


def _label_factors(prepared: Prepared, data: Dataset, settings: Settings) -> tuple[float, ...]:
    """What undoes class weights: weighted rows made their labels look more frequent."""
    if settings.class_weights is None:
        return ()
    if settings.class_weights == "balanced":
        counts = np.bincount(prepared.train.y, minlength=len(data.labels))
        return tuple((counts / counts.sum()).tolist())
    return tuple(1 / weight for weight in settings.class_weights)


def _contract(fitted: Fitted, data: Dataset, split: Split, constants: Constants) -> Contract:
    accepted = data.input
    if isinstance(accepted, TableInput):
        columns = tuple(
            column.model_copy(update={"levels": levels(data.x.columns[column.name][split.train])})
            if column.kind in ("category", "yes/no")
            else column
            for column in accepted.columns
        )
        accepted = accepted.model_copy(update={"columns": columns})
    return Contract(
        task=data.task,
        input=accepted,
        reader=Reader(name="table" if isinstance(data.x, Table) else "array"),
        labels=data.labels,
        learner=fitted.learner,
        rows_at_once=fitted.rows_at_once,
        temperature=constants.temperature,
        tenfold=metadata.version("tenfold"),
    )


def _with_widths(contract: Contract, widths: tuple[float, ...]) -> Contract:
    assert isinstance(contract.input, TableInput) and contract.input.order is not None
    order = contract.input.order.model_copy(update={"half_widths": widths})
    return contract.model_copy(update={"input": contract.input.model_copy(update={"order": order})})


def positive_label(data: Dataset, rows: RowNumbers, settings: Settings) -> str | None:
    """Of two labels the one that is looked for: the asked one, else the rarer one of `rows`."""
    if len(data.labels) != 2:
        return None
    if settings.positive is not None:
        if settings.positive not in data.labels:
            raise SettingsError(
                "E605",
                "No such label",
                where=data.name,
                expected=" or ".join(data.labels),
                positive=settings.positive,
            )
        return settings.positive
    counts = np.bincount(data.y[rows], minlength=2)
    return data.labels[int(counts[1] <= counts[0])]


def _decide(
    constants: Constants,
    answers: NDArray[Any] | None,
    validation: Examples | None,
    data: Dataset,
    split: Split,
    settings: Settings,
) -> Decision:
    """The threshold that costs least on the validation rows."""
    positive = positive_label(data, split.train, settings)
    if positive is None or answers is None or validation is None:
        raise SettingsError(
            "E604",
            "Costs cannot be weighed",
            where=data.name,
            expected="two labels and validation rows",
            n_labels=len(data.labels),
            n_validation=len(split.validation),
        )
    code = data.labels.index(positive)
    threshold = choose_threshold(
        constants.apply(answers)[:, code],
        validation.y == code,
        settings.cost.get("false_negative", 1.0),
        settings.cost.get("false_positive", 1.0),
    )
    return Decision(positive=positive, threshold=threshold)
