"""Convert a network's `model.onnx` into a `.keras` file of Keras' own layers, and check it."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.contract import FeaturesInput, ImageInput
from tenfold.core.errors import ExportError
from tenfold.core.layers import Architecture, Dense, Parameters, Softmax
from tenfold.core.onnx_layers import arrays_in, layers_in, votes_in
from tenfold.inputs.idx import read_idx
from tenfold.learners.keras_layers import import_keras, keras_layers, set_parameters
from tenfold.model.model import Model
from tenfold.runs.csv_files import EXAMPLE_INPUTS
from tenfold.runs.export.keras_photos import is_of_photos, photo_network

TOLERANCE, PHOTO_TOLERANCE = 1e-5, 1e-4
"""Largest difference of a probability, or of a value in standard deviations of its target. It is
larger for photos, because float32 sums of 49 convolutions depend on their order."""

N_CHECKED, N_PHOTOS = 256, 16
"""Number of random rows that both predict, in addition to the run's examples. Photos are fewer,
because each takes a hundred times as long."""

GIVES: Mapping[str, str] = {
    "classification": "calibrated probabilities (n, {})",
    "regression": "value (n, 1)",
}
UNITS: Mapping[str, Callable[[NDArray[Any]], float]] = {
    "classification": lambda probabilities: 1.0,
    "regression": lambda values: max(float(values.std()), 1e-30),
}
"""The output of a file, and the unit in which predictions are compared."""

Stored = Mapping[str, NDArray[Any]]
"""The arrays of a graph by name."""

Member = tuple[Architecture, Parameters]
"""The layers and arrays of a network, which may be one of several that vote."""


@files.os_errors()
def write_keras(model: Path, path: Path) -> str:
    """Write a `.keras` file that plain Keras loads and that predicts the same as the model.

    Its inputs are pictures (n, height, width) or (n, height, width, 3) with values from 0 to 255,
    or features (n, d). Its output is the calibrated probabilities (n, n_labels), or the value (n,
    1) in the unit of the target. The file does not contain labels, threshold, novelty and
    intervals.

    Returns:
      A line that describes the input and the output.

    Raises:
      ExportError: The learner is not a network of layers, the model reads a table, or Keras
        predicts differently, for example because float32 cannot distinguish features that are far
        from 0.
    """
    opened = Model.open(model)
    file = model / "model.onnx" if model.is_dir() else model
    content = file.read_bytes()
    accepted, learner = opened.contract.input, opened.contract.learner
    if opened.contract.vote:
        raise _refusal("A vote of several learners is no network of layers", learner, model)
    if accepted.kind == "table":
        raise _refusal("Keras has no layers for the columns of a table", learner, model)
    stored = arrays_in(content)
    if is_of_photos(stored):
        network = _of_photos(content, stored, accepted)
    else:
        members = [layers_in(content, member) for member in range(votes_in(content))]
        if not any(isinstance(layer, Dense) for layer in members[0][0].layers):
            raise _refusal("The model is no network of layers", learner, model)
        network = _network(members, stored, accepted)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "model.keras"
        network.save(temporary)
        content = temporary.read_bytes()
        loaded = import_keras().saving.load_model(temporary, compile=False)
    tolerance = PHOTO_TOLERANCE if is_of_photos(stored) else TOLERANCE
    _check(loaded, opened, _rows(opened, stored, model), tolerance, path)
    files.write_bytes(path, content)
    gives = GIVES[opened.task.kind].format(len(opened.labels))
    values = "values 0 to 255" if opened.contract.input.kind == "image" else "float32"
    shape = ", ".join(map(str, loaded.input_shape[1:]))
    return f"(n, {shape}), {values}, to {gives}"


def _refusal(wrong: str, learner: str, where: Path) -> ExportError:
    expected = "a model of 'network', 'cnn', 'transfer' or 'logistic', of pictures or features"
    fix = "Any learner: --to onnx"
    return ExportError("E705", wrong, where=where, expected=expected, fix=fix, learner=learner)


def _network(
    members: Sequence[Member], stored: Stored, accepted: ImageInput | FeaturesInput
) -> Any:
    """Make a `keras.Sequential` of the graph: one network, or several that vote."""
    keras = import_keras()
    given = keras.Input(accepted.shape, dtype="float32", name=accepted.name)
    before = _scaling(keras.layers, stored) if isinstance(accepted, FeaturesInput) else []
    after = _ending(keras.layers, stored)
    if len(members) == 1:
        layers = _until_softmax(members[0][0])
        network = keras.Sequential([given, *before, *layers, *after], name="network")
        set_parameters(network, members[0][1])
        return network
    seen = keras.Input(accepted.shape, dtype="float32")
    networks = [
        keras.Sequential([seen, *_until_softmax(architecture)], name=f"network_{number}")
        for number, (architecture, _) in enumerate(members, start=1)
    ]
    for network, (_, parameters) in zip(networks, members, strict=True):
        set_parameters(network, parameters)
    mean = keras.layers.Average(name="mean")([network(seen) for network in networks])
    vote = keras.Model(seen, mean, name="vote")
    return keras.Sequential([given, *before, vote, *after], name="network")


def _of_photos(content: bytes, stored: Stored, accepted: ImageInput | FeaturesInput) -> Any:
    """Make a `keras.Model` of the network for photos, with the layer that was fitted."""
    keras = import_keras()
    given = keras.Input(accepted.shape, dtype="float32", name=accepted.name)
    found = photo_network(content, given)(given)
    for layer in _ending(keras.layers, stored):
        found = layer(found)
    return keras.Model(given, found, name="network")


def _until_softmax(architecture: Architecture) -> list[Any]:
    """The layers of a network up to its logits or its value."""
    layers = keras_layers(architecture)
    return layers[:-1] if isinstance(architecture.layers[-1], Softmax) else layers


def _ending(layers: Any, stored: Stored) -> list[Any]:
    """The layers that turn the logits into probabilities, or the output into the target's unit."""
    if "target_scale" in stored:
        scale, mean = float(stored["target_scale"]), float(stored["target_mean"])
        return [layers.Rescaling(scale, mean, name="value_exact")]
    if "inverse_temperature" in stored:
        return _calibration(layers, stored)
    return [layers.Softmax(name="probabilities")]


def _scaling(layers: Any, stored: Stored) -> list[Any]:
    """Layers that subtract the mean of the features, divide by their deviation, and clip."""
    mean, variance = stored["mean"].tolist(), (stored["deviation"] ** 2).tolist()
    highest = float(stored["highest"])
    return [
        layers.Normalization(mean=mean, variance=variance, name="scaled"),
        layers.Rescaling(1 / highest, name="shrunk"),
        layers.Activation("hard_tanh", name="near"),  # clips at -1 and 1
        layers.Rescaling(highest, name="grown"),
    ]


def _calibration(layers: Any, stored: Stored) -> list[Any]:
    # The logarithms of the probabilities are clipped from below, because none is above 0.
    # Adding a constant to all of a row does not change the softmax that follows.
    calibration = [
        layers.Activation("log_softmax", name="log_probabilities"),
        layers.Rescaling(1.0, -float(np.log(stored["smallest"])), name="above_smallest"),
        layers.ReLU(name="cut"),
    ]
    if "log_factors" in stored:
        factors = stored["log_factors"].astype(float).tolist()
        calibration.append(layers.Rescaling(1.0, factors, name="reweighted"))
    inverse = float(stored["inverse_temperature"])
    return [
        *calibration,
        layers.Rescaling(inverse, name="tempered"),
        layers.Softmax(name="calibrated_probabilities"),
    ]


def _rows(model: Model, stored: Stored, where: Path) -> NDArray[Any]:
    """The rows that both predict: random ones, and the run's examples."""
    contract, rng = model.contract.input, np.random.default_rng(0)
    if contract.kind != "image":
        mean, deviation = stored["mean"], stored["deviation"]
        return np.asarray(mean + deviation * rng.normal(size=(N_CHECKED, len(mean))))
    most = N_PHOTOS if is_of_photos(stored) else N_CHECKED
    n = max(1, min(most, (1 << 24) // int(np.prod(contract.shape))))
    noise = rng.integers(0, 256, (n, *contract.shape), np.uint8)
    drawn = noise * (rng.random(noise.shape) < 0.2)
    examples = where / EXAMPLE_INPUTS
    return np.concatenate([drawn, read_idx(examples)]) if examples.is_file() else drawn


def _check(network: Any, model: Model, rows: NDArray[Any], tolerance: float, path: Path) -> None:
    answers, answered = model.answer(rows), network.predict(rows.astype(np.float32), verbose=0)
    expected = answers.outputs[0].reshape(len(rows), -1)
    difference = np.abs(expected - answered) / UNITS[model.task.kind](expected)
    if not (difference <= tolerance).all():
        fix = "Numbers far from 0 lose digits in float32: take their offset away first"
        raise ExportError(
            "E706",
            "Keras does not predict the same as the model",
            where=path,
            expected=f"differences of at most {tolerance:g}",
            fix=fix if model.contract.input.kind != "image" else None,
            largest=float(np.nanmax(difference)),
            n_rows=len(rows),
        )
