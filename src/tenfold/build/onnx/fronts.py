"""Convert a model's inputs to the rows of a learner, in NumPy and as the front of a graph.

skl2onnx 1.20 is not used: it has no converter for missing-value indicators, and its one-hot
encoding of rare categories fails on unseen values ("Unknown Category and zeros = 0").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import DataError
from tenfold.core.onnx_builder import Builder, Front
from tenfold.core.onnx_file import TensorProto
from tenfold.data.disk_images import AnyImages
from tenfold.inputs.pictures.pixels import MAX_FRAMES, background_of
from tenfold.inputs.tables.columns import Table, graph_inputs, levels
from tenfold.inputs.tables.encoder import FARTHEST, SMALLEST, Encoder, Numbers, Words, fit_encoder
from tenfold.inputs.tables.ordered import Codes, OrderedEncoder, coded_answers, fit_ordered
from tenfold.learners.backbone import photo_front

PREFIX = "front/"
"""Prefix of the names of a front's nodes and weights."""

TYPES = {"float": TensorProto.FLOAT, "string": TensorProto.STRING}


@dataclass(frozen=True, eq=False)
class Encoding:
    """Turns a model's inputs into the rows of a learner. Pictures are not changed.

    The nodes of `front` compute the same as `encode`. `training` contains the features of the
    training rows if these are encoded differently from rows to predict. For rows in the order of
    time, `last_value` contains the previous value. For `photos`, the rows are the features of a
    network.
    """

    accepted: ImageInput | TableInput | FeaturesInput
    encode: Callable[[Any], Any] = lambda x: x
    front: Front | None = None
    training: Any = None
    last_value: int | None = None
    photos: bool = False

    def encode_training(self, x: Any) -> Any:
        """The features of the training rows `x`."""
        return self.encode(x) if self.training is None else self.training


def encode_pictures(images: AnyImages, accepted: ImageInput) -> Encoding:
    """The front for pictures, and the training pictures, including those with another
    background."""
    looked_at = np.linspace(0, len(images) - 1, min(len(images), MAX_FRAMES)).astype(np.int64)
    background = background_of(np.asarray(images[looked_at]))
    return Encoding(accepted.with_background(background))


def encode_photos(accepted: ImageInput) -> Encoding:
    """Pictures as the features of a network that was trained on photos (`build.photos`)."""
    return Encoding(accepted, front=photo_front(accepted), photos=True)


def encode_table(
    table: Table, accepted: TableInput, y: NDArray[Any], name: str, *, scaled: bool
) -> Encoding:
    """The encoding fitted to the training rows of a table. `scaled` scales the columns. Otherwise
    it is for trees, which get the words of a text that say most about the targets."""
    inputs = graph_inputs(table, accepted)
    answers = None if scaled else coded_answers(y)
    encoder = fit_encoder(inputs, accepted, scaled=scaled, answers=answers)
    _check_features(encoder(inputs), accepted, name)
    last_value = None
    if encoder.numbers is not None and accepted.order is not None and accepted.order.lags:
        last_value = encoder.numbers.names.index(accepted.order.lag_columns(accepted.target)[0])
    accepted = _with_levels(accepted, table)
    return Encoding(
        accepted,
        lambda x: encoder(graph_inputs(x, accepted)),
        table_front(encoder, accepted),
        last_value=last_value,
    )


def encode_ordered(table: Table, accepted: TableInput, y: NDArray[Any], name: str) -> Encoding:
    """The encoding for boosted trees, fitted to the training rows of a table and their targets."""
    inputs = graph_inputs(table, accepted)
    encoder = fit_ordered(inputs, accepted, y)
    training = encoder.of_training(inputs, y)
    _check_features(training, accepted, name)
    accepted = _with_levels(accepted, table)
    return Encoding(
        accepted,
        lambda x: encoder(graph_inputs(x, accepted)),
        ordered_front(encoder, accepted),
        training,
    )


def join_encodings(encodings: Sequence[Encoding]) -> Encoding:
    """Several encodings of the same columns of a table as one, their features side by side."""
    if len(encodings) == 1:
        return encodings[0]
    fronts = [
        _renamed(one.front, f"{PREFIX}{number}/")
        for number, one in enumerate(encodings)
        if one.front is not None
    ]
    nodes = _Nodes("")
    features = nodes.new("Concat", *(front.output for front in fronts), axis=1)
    front = Front(
        fronts[0].inputs,
        (*(node for front in fronts for node in front.nodes), *nodes.nodes),
        tuple(weight for front in fronts for weight in front.initializers),
        features,
    )
    return Encoding(
        encodings[0].accepted,
        lambda x: np.concatenate([one.encode(x) for one in encodings], axis=1),
        front,
    )


def _renamed(front: Front, prefix: str) -> Front:
    """The same front with unique names. The names of the graph's inputs stay the same."""

    def named(name: str) -> str:
        return prefix + name.removeprefix(PREFIX) if name.startswith(PREFIX) else name

    nodes, weights = [], []
    for node in front.nodes:
        own = type(node)()
        own.CopyFrom(node)
        own.name = named(node.name)
        own.input[:], own.output[:] = map(named, node.input), map(named, node.output)
        nodes.append(own)
    for tensor in front.initializers:
        weight = type(tensor)()
        weight.CopyFrom(tensor)
        weight.name = named(tensor.name)
        weights.append(weight)
    return Front(front.inputs, tuple(nodes), tuple(weights), named(front.output))


def _check_features(found: NDArray[np.float32], accepted: TableInput, name: str) -> None:
    if not found.shape[1]:
        raise DataError(
            "E601",
            "There is nothing to learn from in any column",
            where=name,
            expected="numbers, categories, or words that occur in more than one row",
            columns=list(accepted.names),
        )


def _with_levels(accepted: TableInput, table: Table) -> TableInput:
    """The contract with the levels of categories in the training rows."""
    columns = tuple(
        column.model_copy(update={"levels": levels(table.columns[column.name])})
        if column.kind in ("category", "yes/no")
        else column
        for column in accepted.columns
    )
    return accepted.model_copy(update={"columns": columns})


def encode_features(
    accepted: FeaturesInput, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Encoding:
    """Centre and scale each column and clip it at `FARTHEST` deviations. NumPy and the graph give
    the same result, bit for bit.

    This is done in float64 up to the final cast, so that 1e9 + 0.5 keeps its half. `mean` and
    `deviation` are those of the training rows (n_features,).
    """
    from onnx import helper

    def scale(x: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.clip((x - mean) / deviation, -FARTHEST, FARTHEST).astype(np.float32)

    shape: list[str | int] = ["n", *accepted.shape]
    given = helper.make_tensor_value_info(accepted.name, TensorProto.DOUBLE, shape)
    builder = Builder(accepted.name)
    builder.add("Sub", builder.weight("mean", mean, np.float64), name="centred")
    builder.add("Div", builder.weight("deviation", deviation, np.float64), name="units")
    low = builder.weight("lowest", -FARTHEST, np.float64)
    builder.add("Clip", low, builder.weight("highest", FARTHEST, np.float64), name="near")
    builder.add("Cast", name="scaled", to=TensorProto.FLOAT)
    front = Front((given,), tuple(builder.nodes), tuple(builder.weights), builder.last)
    return Encoding(accepted, scale, front)


def table_front(encoder: Encoder, contract: TableInput) -> Front:
    """The nodes that compute the same as `encoder`, with a graph input for each column."""
    nodes = _Nodes("")
    parts = []
    if encoder.numbers is not None:
        parts += _numbers(nodes, encoder.numbers, encoder.scaled)
    return _front(nodes, [*parts, *_columns(nodes, encoder)], contract)


def ordered_front(encoder: OrderedEncoder, contract: TableInput) -> Front:
    """The nodes that compute the same as an encoder for boosted trees."""
    nodes = _Nodes("")
    parts = [*encoder.numbers]
    for name, codes in encoder.codes.items():
        parts += _codes(nodes, name, codes)
    return _front(nodes, [*parts, *_columns(nodes, encoder.others)], contract)


def _columns(nodes: "_Nodes", encoder: Encoder) -> list[str]:
    """Append the features of categorical and text columns."""
    parts = [_one_hot(nodes, name, known) for name, known in encoder.categories.items()]
    return parts + [
        _tf_idf(nodes, name, words) for name, words in encoder.texts.items() if words.terms
    ]


def _front(nodes: "_Nodes", parts: list[str], contract: TableInput) -> Front:
    from onnx import helper

    features = nodes.new("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    inputs = [
        helper.make_tensor_value_info(name, TYPES[kind], ["n", width or f"words of {name}"])
        for name, (kind, width) in contract.inputs.items()
    ]
    return Front(tuple(inputs), tuple(nodes.nodes), tuple(nodes.weights), features)


class _Nodes(Builder):
    """A builder of nodes whose names cannot be those of columns."""

    def new(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{PREFIX}{operator}_{len(self.nodes)}"
        return self.node(operator, *inputs, name=name, domain=domain, **attributes)

    def constant(self, name: str, value: Any) -> str:
        return self.weight(f"{PREFIX}{name}_{len(self.weights)}", value, np.asarray(value).dtype)


def _numbers(nodes: _Nodes, numbers: Numbers, scaled: bool) -> list[str]:
    raw = (
        numbers.names[0] if len(numbers.names) == 1 else nodes.new("Concat", *numbers.names, axis=1)
    )
    gone = nodes.new("IsNaN", raw)
    values = nodes.new("Where", gone, nodes.constant("fill", numbers.fill), raw)
    if scaled:
        values = _scale(nodes, values, numbers)
    if not numbers.flagged.size:
        return [values]
    flags = nodes.new("Cast", gone, to=TensorProto.FLOAT)
    return [values, nodes.new("Gather", flags, nodes.constant("flagged", numbers.flagged), axis=1)]


def _scale(nodes: _Nodes, values: str, numbers: Numbers) -> str:
    skewed = numbers.unit > 0
    if skewed.any():
        unit = nodes.constant("unit", np.where(skewed, numbers.unit, np.float32(1)))
        size = nodes.new("Div", nodes.new("Abs", values), unit)
        log = nodes.new("Log", nodes.new("Add", size, nodes.constant("one", np.float32(1))))
        squeezed = nodes.new("Mul", nodes.new("Sign", values), log)
        values = nodes.new("Where", nodes.constant("skewed", skewed), squeezed, values)
    centred = nodes.new("Sub", values, nodes.constant("mean", numbers.mean))
    units = nodes.new("Div", centred, nodes.constant("deviation", numbers.deviation))
    low, high = np.float32(-FARTHEST), np.float32(FARTHEST)
    return nodes.new("Clip", units, nodes.constant("low", low), nodes.constant("high", high))


def _one_hot(nodes: _Nodes, name: str, known: Sequence[str]) -> str:
    cube = nodes.new(
        "OneHotEncoder", name, domain="ai.onnx.ml", cats_strings=list(known), zeros=1
    )  # (n, 1, n_known)
    columns = nodes.new("Flatten", cube, axis=1)
    total = nodes.new("ReduceSum", columns, nodes.constant("columns", np.array([1])), keepdims=1)
    other = nodes.new("Sub", nodes.constant("one", np.float32(1)), total)
    return nodes.new("Concat", columns, other, axis=1)


def _codes(nodes: _Nodes, name: str, codes: Codes) -> list[str]:
    """Append one feature for each code of a category (one-hot encoding)."""
    values = np.stack(list(codes.of_level.values()))
    return [
        nodes.new(
            "LabelEncoder",
            name,
            domain="ai.onnx.ml",
            keys_strings=list(codes.of_level),
            values_floats=column.tolist(),
            default_float=float(other),
        )
        for column, other in zip(values.T, codes.of_others, strict=True)
    ]


def _tf_idf(nodes: _Nodes, name: str, words: Words) -> str:
    order = sorted(range(len(words.terms)), key=lambda i: " " in words.terms[i])  # pairs last
    n_single = sum(" " not in term for term in words.terms)
    counts = nodes.new(
        "TfIdfVectorizer",
        name,
        mode="TF",
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=0,
        ngram_counts=[0, n_single],
        ngram_indexes=order,
        pool_strings=[word for i in order for word in words.terms[i].split(" ")],
    )
    one, zero = nodes.constant("one", np.float32(1)), nodes.constant("zero", np.float32(0))
    wide = nodes.new("Cast", nodes.new("Max", counts, one), to=TensorProto.DOUBLE)
    first, nothing = nodes.constant("first", np.float64(1)), nodes.constant("none", np.float64(0))
    log = nodes.new("Add", first, nodes.new("Log", wide))
    known = nodes.new("Where", nodes.new("Greater", counts, zero), log, nothing)
    weighted = nodes.new("Mul", known, nodes.constant("idf", words.idf.astype(np.float64)))
    axis = nodes.constant("columns", np.array([1]))
    square = nodes.new("ReduceSum", nodes.new("Mul", weighted, weighted), axis, keepdims=1)
    length = nodes.new("Max", nodes.new("Sqrt", square), nodes.constant("tiny", SMALLEST))
    return nodes.new("Cast", nodes.new("Div", weighted, length), to=TensorProto.FLOAT)
