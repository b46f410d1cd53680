"""What is to be learned, and its rows as a learner takes them. Test rows never come here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tenfold.build.calibration import Constants
from tenfold.build.novelty import Distance, fit_distance
from tenfold.build.onnx.table import table_front
from tenfold.core.contract import FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.onnx_builder import Front
from tenfold.core.settings import Settings
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.split import Split
from tenfold.inputs.features import features
from tenfold.inputs.tables.columns import Table, graph_inputs, levels
from tenfold.inputs.tables.encoder import fit_encoder
from tenfold.learners import LEARNERS
from tenfold.learners.training import Examples

MAX_COMPARED = 10_000
"""Rows on which graph and learner are compared at most; more take time and show nothing new."""

MAX_NOVELTY = 8_000
"""Training rows whose spread is measured, at most: 64 axes need no more."""

MAX_VALUES = 20_000_000
"""Values in these rows, at most, down to 1,000 rows: 80 MB."""

CENTRES_OF_PICTURES = 50
"""Centres of each label among pictures: shapes of one digit lie apart. Of 20, 30, 50 and 200,
200 take 0.5 MB and find no more."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rows as a learner takes them, and the same rows as the model will take them.

    Attributes:
      name: Of the data, for messages.
      train, validation: Pictures or features, with codes or standardised targets.
      accepted: What the model will accept.
      labels: Names of the codes; empty for regression.
      compared: Rows on which the model is compared with its learner, as the model takes them: the
        first validation rows, or training rows where there are none.
      keys: Names of these rows, for messages.
      front: What makes features of the model's inputs, as nodes of its graph; None for pictures.
      constants: Mean and scale of the target.
      last_value: The column that holds the value before, of rows in the order of time.
    """

    name: str
    train: Examples
    validation: Examples | None
    accepted: ImageInput | TableInput | FeaturesInput
    labels: tuple[str, ...]
    compared: Any
    keys: tuple[str, ...]
    front: Front | None = None
    constants: Constants = Constants()
    last_value: int | None = None

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
        if self.accepted.kind == "image":
            return fit_distance(x, y, per_label=CENTRES_OF_PICTURES, whitened=False)
        return fit_distance(x, y)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learned.

    Attributes:
      data: The examples.
      split: Which of them are for what.
      settings: How.
      encoded: Rows that another problem with the same data, split and scaling has prepared.
    """

    data: Dataset
    split: Split
    settings: Settings
    encoded: Prepared | None = None

    @cached_property
    def prepared(self) -> Prepared:
        """Rows as the settings' learner takes them.

        Raises:
          DataError: A table of which nothing is left to learn from.
        """
        scaled = LEARNERS[self.settings.learner].scaled
        return self.encoded or prepare(self.data, self.split, scaled=scaled)

    @cached_property
    def positive(self) -> str | None:
        """Of two labels the one that is looked for: the asked one, else the rarer in training.

        Raises:
          SettingsError: No such label.
        """
        labels, positive = self.data.labels, self.settings.positive
        if len(labels) != 2:
            return None
        if positive is None:
            counts = np.bincount(self.data.y[self.split.train], minlength=2)
            return labels[int(counts[1] <= counts[0])]
        if positive not in labels:
            raise SettingsError(
                "E605",
                "No such label",
                where=self.data.name,
                expected=" or ".join(labels),
                positive=positive,
            )
        return positive


def prepare(data: Dataset, split: Split, *, scaled: bool) -> Prepared:
    """Encode the training and validation rows; what is fitted here sees the training rows alone.

    Args:
      data: The examples.
      split: Which of them are for what.
      scaled: Whether the columns of a table are brought to one scale, as `Learner.scaled` says.

    Raises:
      DataError: A table of which nothing is left to learn from.
    """
    constants, y = Constants(), data.y
    if not data.labels:
        known = y[split.train]
        mean, scale = float(known.mean()), float(known.std()) or 1.0
        constants = Constants(target_mean=mean, target_scale=scale)
        y = ((y - mean) / scale).astype(np.float32)
    x, held = data.x[split.train], data.x[split.validation]
    assert len(x)  # a split without training rows is refused
    encoding = _Encoding(data.input)
    if data.input.kind == "table":
        encoding = _fit_encoding(x, data.input, scaled, data.name)
    compared, rows = (held, split.validation) if len(held) else (x, split.train)
    return Prepared(
        name=data.name,
        train=Examples(encoding.encode(x), y[split.train]),
        validation=Examples(encoding.encode(held), y[split.validation]) if len(held) else None,
        accepted=encoding.accepted,
        labels=data.labels,
        compared=compared[:MAX_COMPARED],
        keys=tuple(data.keys[row] for row in rows[:MAX_COMPARED]),
        front=encoding.front,
        constants=constants,
        last_value=encoding.last_value,
    )


@dataclass(frozen=True, eq=False)
class _Encoding:
    """What makes a model's inputs the rows of a learner: nothing, where they are pictures."""

    accepted: ImageInput | TableInput
    encode: Callable[[Any], Any] = lambda x: x
    front: Front | None = None
    last_value: int | None = None


def _fit_encoding(table: Table, accepted: TableInput, scaled: bool, name: str) -> _Encoding:
    inputs = graph_inputs(table, accepted)
    encoder = fit_encoder(inputs, accepted, scaled=scaled)
    if not encoder(inputs).shape[1]:
        raise DataError(
            "E601",
            "Nothing to learn from",
            where=name,
            expected="numbers, categories, or words that stand in more than one row",
            columns=list(accepted.names),
        )
    columns = tuple(
        column.model_copy(update={"levels": levels(table.columns[column.name])})
        if column.kind in ("category", "yes/no")
        else column
        for column in accepted.columns
    )
    last_value = None
    if encoder.numbers is not None and accepted.order is not None and accepted.order.lags:
        last_value = encoder.numbers.names.index(accepted.order.lag_columns(accepted.target)[0])
    accepted = accepted.model_copy(update={"columns": columns})
    return _Encoding(
        accepted,
        lambda x: encoder(graph_inputs(x, accepted)),
        table_front(encoder, accepted),
        last_value,
    )
