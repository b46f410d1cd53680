"""Turn the network for photos, the first nodes of a `model.onnx`, into Keras' own layers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.onnx_file import ModelProto, NodeProto, to_array, value_of
from tenfold.learners.keras_layers import import_keras

LOGITS = "linear"
"""The output of the layer that was fitted to the features."""

Arrays = Mapping[str, NDArray[Any]]
"""The arrays of a graph by name."""


def is_of_photos(arrays: Arrays) -> bool:
    """Whether a graph with these arrays contains the network for photos."""
    return any(name.startswith("photo.") for name in arrays)


def photo_network(content: bytes, given: Any) -> Any:
    """A Keras network from pictures to logits (n, n_labels), with the weights of a model file of
    `transfer`.

    Channels are first in the graph and last in Keras, which therefore needs no transpositions.

    Args:
      content: The bytes of the model file.
      given: A Keras input, float32 (n, height, width) or (n, height, width, 3), from 0 to 255.
    """
    keras = import_keras()
    graph = ModelProto.FromString(content).graph
    arrays = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    made, weights = {graph.input[0].name: given}, dict[str, list[NDArray[Any]]]()
    for node in graph.node:
        if node.input[0] in arrays:  # the cast of a kernel that is stored in float16
            arrays[node.output[0]] = arrays[node.input[0]].astype(np.float32)
            continue
        inputs = [made[name] for name in node.input if name in made]
        layer, own = LAYER_OF[node.op_type](keras.layers, node, arrays, inputs[0].shape)
        made[node.output[0]] = inputs[0]
        if layer is not None:
            made[node.output[0]] = layer(inputs if len(inputs) > 1 else inputs[0])
        if own:
            weights[layer.name] = own
        if node.output[0] == LOGITS:
            break
    network = keras.Model(given, made[LOGITS], name="photo_network")
    for name, parameters in weights.items():
        network.get_layer(name).set_weights(parameters)
    return network


Shape = tuple[int | None, ...]
Made = tuple[Any, list[NDArray[Any]]]
"""A layer, or None if Keras needs none, and its weights."""


def _nothing(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    return None, []


def _plain(kind: str, **options: Any) -> Callable[[Any, NodeProto, Arrays, Shape], Made]:
    """What makes layers of this kind, which have no weights."""

    def make(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
        return getattr(layers, kind)(**options, name=_name(node)), []

    return make


def _channel(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    return layers.Reshape((*shape[1:], 1), name=_name(node)), []


def _middle(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    begin, end = (arrays[name].tolist() for name in node.input[1:3])
    sides = zip(begin, end, shape[1:3], strict=True)
    cut = tuple((first, (side or 0) - last) for first, last, side in sides)
    return layers.Cropping2D(cut, name=_name(node)), []


def _minus(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    return layers.Rescaling(1.0, -float(arrays[node.input[1]]), name=_name(node)), []


def _times(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    return layers.Rescaling(float(arrays[node.input[1]]), name=_name(node)), []


def _resized(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    factors = arrays[node.input[2]][2:].tolist()
    sides = [int(factor * (side or 0)) for factor, side in zip(factors, shape[1:3], strict=True)]
    return layers.Resizing(*sides, interpolation="bilinear", name=_name(node)), []


def _convolution(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    """A layer whose zero padding is the graph's: on the right and at the bottom first."""
    settings = {attribute.name: value_of(attribute) for attribute in node.attribute}
    kernel, bias = (arrays[name] for name in node.input[1:3])
    options: dict[str, Any] = dict(
        kernel_size=kernel.shape[2:],
        strides=tuple(settings["strides"]),
        padding="same",
        name=_name(node),
    )
    if settings["group"] == 1:
        layer = layers.Conv2D(len(kernel), kernel_initializer="zeros", **options)
        return layer, [kernel.transpose(2, 3, 1, 0), bias]
    layer = layers.DepthwiseConv2D(depthwise_initializer="zeros", **options)
    return layer, [kernel.transpose(2, 3, 0, 1), bias]


def _limited(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    return layers.ReLU(max_value=float(arrays[node.input[2]]), name=_name(node)), []


def _dense(layers: Any, node: NodeProto, arrays: Arrays, shape: Shape) -> Made:
    kernel, bias = (arrays[name] for name in node.input[1:3])
    layer = layers.Dense(kernel.shape[1], kernel_initializer="zeros", name=_name(node))
    return layer, [kernel, bias]


def _name(node: NodeProto) -> str:
    return node.name.replace(".", "_")


LAYER_OF: Mapping[str, Callable[[Any, NodeProto, Arrays, Shape], Made]] = {
    "Cast": _nothing,
    "Transpose": _nothing,
    "Flatten": _nothing,
    "Unsqueeze": _channel,
    "Concat": _plain("Concatenate", axis=-1),
    "Slice": _middle,
    "Sub": _minus,
    "Mul": _times,
    "Resize": _resized,
    "Conv": _convolution,
    "Clip": _limited,
    "Add": _plain("Add"),
    "GlobalAveragePool": _plain("GlobalAveragePooling2D"),
    "Gemm": _dense,
}
"""What makes the layer of a node, by its operator."""
