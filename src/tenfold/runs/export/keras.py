"""A network's `model.onnx` as a `.keras` file of Keras' own layers, checked against it."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tenfold.core import files
from tenfold.core.contract import FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import ExportError
from tenfold.inputs.idx import read_idx
from tenfold.learners.architectures import import_keras
from tenfold.model.model import Model
from tenfold.model.onnx_graph import leading_to
from tenfold.model.predictions import Values
from tenfold.runs.csv_files import EXAMPLE_INPUTS

TOLERANCE = 1e-5
"""Largest difference of a probability, or of a value in standard deviations of its target."""

N_CHECKED = 256
"""Made-up rows that are answered by both, beside the run's examples."""


class _Step(NamedTuple):
    """A node of the graph, its attributes and its weights."""

    kind: str
    name: str
    attributes: dict[str, Any]
    weights: list[NDArray[Any]]

    def number(self) -> Any:
        """Its one weight, as Keras' settings take it: a number, or one for each column."""
        return self.weights[0].astype(float).squeeze().tolist()


def write_keras(model: Path, path: Path) -> str:
    """Write a `.keras` file that plain Keras loads and that answers like the model.

    It takes pictures (n, height, width) or (n, height, width, 3) with values from 0 to 255, or
    features (n, d), and gives the calibrated probabilities (n, n_labels), or the value (n, 1) in
    the target's unit. Labels, threshold, novelty and intervals do not go into it.

    Args:
      model: A run folder or a `model.onnx`.
      path: What to write.

    Returns:
      What it takes and gives, as a line for a reader.

    Raises:
      ExportError: The learner is no network of layers, the model reads a table, or Keras answers
        otherwise: features so far from 0 that float32 cannot hold what tells them apart.
      FileError: The file cannot be written.
    """
    opened = Model.open(model)
    file = model / "model.onnx" if model.is_dir() else model
    steps = _steps(onnx.ModelProto.FromString(file.read_bytes()).graph, opened, model)
    contract = opened.contract.input
    assert not isinstance(contract, TableInput)
    network = _network(steps, contract)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "model.keras"
        network.save(temporary)
        content = temporary.read_bytes()
        loaded = import_keras().saving.load_model(temporary, compile=False)
    _check(loaded, opened, _rows(opened, steps, model), path)
    files.write_bytes(path, content)
    gives = (
        f"calibrated probabilities (n, {len(opened.labels)})" if opened.labels else "value (n, 1)"
    )
    values = "values 0 to 255" if isinstance(opened.contract.input, ImageInput) else "float32"
    shape = ", ".join(map(str, loaded.input_shape[1:]))
    return f"(n, {shape}), {values}, to {gives}"


def _steps(graph: onnx.GraphProto, model: Model, where: Path) -> list[_Step]:
    """The nodes that lead to the answer, where Keras has layers for all of them."""
    contract = model.contract
    if isinstance(contract.input, TableInput):
        raise _refusal("Keras has no layers for the columns of a table", contract.learner, where)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = leading_to(graph, {"value" if contract.task == "regression" else "probabilities"})
    # A network is a chain; other learners join what they computed apart.
    is_chain = all(sum(name not in stored for name in node.input) == 1 for node in nodes)
    if not is_chain or {node.op_type for node in nodes} - LAYERS.keys():
        raise _refusal("No network of layers", contract.learner, where)
    return [
        _Step(
            node.op_type,
            node.name.replace(".", "_"),
            {a.name: helper.get_attribute_value(a) for a in node.attribute},
            [stored[name] for name in node.input if name in stored],
        )
        for node in nodes
    ]


def _refusal(wrong: str, learner: str, where: Path) -> ExportError:
    expected = "a model of the learners 'network', 'cnn' or 'logistic', of pictures or features"
    fix = "Any learner: --to onnx"
    return ExportError("E705", wrong, where=where, expected=expected, fix=fix, learner=learner)


def _network(steps: Sequence[_Step], contract: ImageInput | FeaturesInput) -> Any:
    """The steps as one `keras.Sequential`, weights included; pictures keep their channels last."""
    keras = import_keras()
    kinds = [step.kind for step in steps]
    made: list[_Made] = []
    for i, step in enumerate(steps):
        place = _Place(keras.layers, contract.shape, kinds[:i], kinds[i + 1 :], steps)
        made += LAYERS[step.kind](step, place)
    given = keras.Input(contract.shape, dtype="float32", name=contract.name)
    network = keras.Sequential([given, *(layer for layer, _ in made)], name="network")
    for layer, weights in made:
        layer.set_weights(weights)
    return network


_Made = tuple[Any, Sequence[NDArray[Any]]]
"""A layer and its weights."""

FIRST_WEIGHTS = "zeros"
"""Replaced at once, here and by whoever loads the file. Keras' own first weights are random, and
XLA compiles the generator for each shape: 6.6 s for a kernel of (3, 3, 4, 8), measured."""


class _Place(NamedTuple):
    """Keras' layers, the shape of an input, and the steps around one."""

    layers: Any
    shape: tuple[int, ...]
    before: Sequence[str]
    after: Sequence[str]
    steps: Sequence[_Step]


def _dense(step: _Step, place: _Place) -> list[_Made]:
    kernel, bias = step.weights
    active = "relu" if place.after[:1] == ["Relu"] else "linear"
    layer = place.layers.Dense(len(bias), active, kernel_initializer=FIRST_WEIGHTS, name=step.name)
    return [(layer, (kernel, bias))]


def _relu(step: _Step, place: _Place) -> list[_Made]:
    return [] if place.before[-1] == "Gemm" else [(place.layers.ReLU(name=step.name), ())]


def _convolution(step: _Step, place: _Place) -> list[_Made]:
    kernel, bias = step.weights
    sizes = kernel.shape[2:], tuple(step.attributes["strides"])
    layer = place.layers.Conv2D(
        len(kernel), *sizes, padding="same", kernel_initializer=FIRST_WEIGHTS, name=step.name
    )
    return [(layer, (kernel.transpose(2, 3, 1, 0), bias))]


def _pool(step: _Step, place: _Place) -> list[_Made]:
    return [(place.layers.MaxPooling2D(2, padding="same", name=step.name), ())]


def _channel(step: _Step, place: _Place) -> list[_Made]:
    return [(place.layers.Reshape((*place.shape, 1), name=step.name), ())]


def _flatten(step: _Step, place: _Place) -> list[_Made]:
    made: list[_Made] = [(place.layers.Flatten(name=step.name), ())]
    if "Conv" in place.before:  # whose answers ONNX has channels first
        made.insert(0, (place.layers.Permute((3, 1, 2), name="channels_first"), ()))
    return made


def _centred(step: _Step, place: _Place) -> list[_Made]:
    """Features less their mean, over the deviation that the next step holds."""
    deviation = place.steps[len(place.before) + 1].weights[0]
    mean, variance = step.weights[0].tolist(), (deviation**2).tolist()
    return [(place.layers.Normalization(mean=mean, variance=variance, name="scaled"), ())]


def _clip(step: _Step, place: _Place) -> list[_Made]:
    low, high = (float(value) for value in step.weights)
    if place.before[-1] == "Softmax":
        # The logarithms of probabilities here: none is above 0, and what is added to all of a row
        # the softmax behind does not see.
        shift = place.layers.Rescaling(1.0, -float(np.log(low)), name="above_smallest")
        return [(shift, ()), (place.layers.ReLU(name=step.name), ())]
    # Of features from -high to high, which a factor moves to -1 to 1.
    return [
        (place.layers.Rescaling(1 / high, name="shrunk"), ()),
        (place.layers.Activation("hard_tanh", name=step.name), ()),
        (place.layers.Rescaling(high, name="grown"), ()),
    ]


def _softmax(step: _Step, place: _Place) -> list[_Made]:
    if "Softmax" in place.after:  # calibration follows
        return [(place.layers.Activation("log_softmax", name="log_probabilities"), ())]
    return [(place.layers.Softmax(name="calibrated_probabilities"), ())]


def _times(step: _Step, place: _Place) -> list[_Made]:
    return [(place.layers.Rescaling(step.number(), name=step.name), ())]


def _plus(step: _Step, place: _Place) -> list[_Made]:
    return [(place.layers.Rescaling(1.0, step.number(), name=step.name), ())]


def _nothing(step: _Step, place: _Place) -> list[_Made]:
    """What another step has done already, or Keras does by itself."""
    return []


LAYERS: dict[str, Callable[[_Step, _Place], list[_Made]]] = {
    "Add": _plus,
    "Cast": _nothing,
    "Clip": _clip,
    "Conv": _convolution,
    "Div": _nothing,
    "Flatten": _flatten,
    "Gemm": _dense,
    "Log": _nothing,
    "MaxPool": _pool,
    "Mul": _times,
    "Relu": _relu,
    "Reshape": _nothing,
    "Softmax": _softmax,
    "Sub": _centred,
    "Transpose": _nothing,
    "Unsqueeze": _channel,
}
"""How each operator is made of Keras' own layers."""


def _rows(model: Model, steps: Sequence[_Step], where: Path) -> NDArray[Any]:
    """What both are asked: made-up rows, and the run's examples."""
    contract, rng = model.contract.input, np.random.default_rng(0)
    if not isinstance(contract, ImageInput):
        mean, deviation = (
            next(step.weights[0] for step in steps if step.kind == kind) for kind in ("Sub", "Div")
        )
        return np.asarray(mean + deviation * rng.normal(size=(N_CHECKED, len(mean))))
    n = max(1, min(N_CHECKED, (1 << 24) // int(np.prod(contract.shape))))
    noise = rng.integers(0, 256, (n, *contract.shape), np.uint8)
    drawn = noise * (rng.random(noise.shape) < 0.2)
    examples = where / EXAMPLE_INPUTS
    return np.concatenate([drawn, read_idx(examples)]) if examples.is_file() else drawn


def _check(network: Any, model: Model, rows: NDArray[Any], path: Path) -> None:
    """Refuse a file that answers differently from the model."""
    answers, answered = model.answer(rows), network.predict(rows.astype(np.float32), verbose=0)
    if isinstance(answers, Values):
        expected, scale = answers.value[:, None], max(float(answers.value.std()), 1e-30)
    else:
        expected, scale = answers.probabilities, 1.0
    difference = np.abs(expected - answered) / scale
    if not (difference <= TOLERANCE).all():
        raise ExportError(
            "E706",
            "Keras does not answer like the model",
            where=path,
            expected=f"differences of at most {TOLERANCE:g}",
            fix="Numbers far from 0 lose digits in float32: take their offset away first"
            if not isinstance(model.contract.input, ImageInput)
            else None,
            largest=float(np.nanmax(difference)),
            n_rows=len(rows),
        )
