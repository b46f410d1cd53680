"""The layer table of a model file."""

from typing import NamedTuple

import onnx

from tenfold.core.layers import Conv2D, Dense, ReLU, Softmax
from tenfold.core.onnx_layers import read_layers

ACTIVATIONS = {ReLU: "ReLU", Softmax: "softmax"}


class LayerRow(NamedTuple):
    """One layer with weights: what it is, the size of what goes in and comes out, its weights."""

    name: str
    kind: str
    size: str
    activation: str
    parameters: int


def layer_rows(content: bytes) -> list[LayerRow]:
    """The dense and convolutional layers of a model file, in order; empty for other learners."""
    architecture, parameters = read_layers(onnx.ModelProto.FromString(content).graph)
    rows = list[LayerRow]()
    for layer in architecture.layers:
        if type(layer) in ACTIVATIONS and rows:
            rows[-1] = rows[-1]._replace(activation=ACTIVATIONS[type(layer)])
        if not isinstance(layer, Dense | Conv2D):
            continue
        kernel, n_parameters = (
            parameters[layer.name]["kernel"],
            sum(array.size for array in parameters[layer.name].values()),
        )
        if isinstance(layer, Dense):
            size = f"{kernel.shape[0]:,} → {layer.units:,}"
            activation = "ReLU" if layer.activation == "relu" else "none"
            rows.append(LayerRow(layer.name, "dense", size, activation, n_parameters))
        else:
            height, width, channels, filters = kernel.shape
            size = f"{channels} → {filters}, {height} × {width}"
            rows.append(LayerRow(layer.name, "convolution", size, "none", n_parameters))
    return rows
