"""The layer table of a model file."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import onnx

from tenfold.core.layers import Conv2D, Dense, ReLU, Softmax
from tenfold.core.onnx_builder import read_layers

ACTIVATIONS = {ReLU: "ReLU", Softmax: "softmax"}


class NetworkLayer(NamedTuple):
    """One layer with weights: what it is, the size of what goes in and comes out, its weights."""

    name: str
    kind: str
    size: str
    activation: str
    parameters: int


def layer_rows(content: bytes) -> list[NetworkLayer]:
    """The dense and convolutional layers of a model file, in order; empty for other learners."""
    architecture, parameters = read_layers(onnx.ModelProto.FromString(content).graph)
    rows = list[NetworkLayer]()
    for layer in architecture.layers:
        if rows and type(layer) in ACTIVATIONS:
            rows[-1] = rows[-1]._replace(activation=ACTIVATIONS[type(layer)])
        elif isinstance(layer, Dense | Conv2D):
            rows.append(_row(layer, parameters[layer.name]))
    return rows


def _row(layer: Dense | Conv2D, own: Mapping[str, Any]) -> NetworkLayer:
    n_parameters = sum(array.size for array in own.values())
    if isinstance(layer, Dense):
        size = f"{own['kernel'].shape[0]:,} → {layer.units:,}"
        activation = "ReLU" if layer.activation == "relu" else "none"
        return NetworkLayer(layer.name, "dense", size, activation, n_parameters)
    height, width, channels, filters = own["kernel"].shape
    size = f"{channels} → {filters}, {height} × {width}"
    return NetworkLayer(layer.name, "convolution", size, "none", n_parameters)
