"""Keras layers as nodes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tenfold.build.onnx.builder import Builder
from tenfold.core.errors import ExportError
from tenfold.learners.architectures import output_layer
from tenfold.learners.network import Network


def add_network(builder: Builder, body: Network) -> None:
    """Append every layer; what the output layer sees becomes `builder.hidden`.

    Raises:
      ExportError: A layer that has no translation; the message names it.
    """
    layers = body.keras.layers
    for i, layer in enumerate(layers):
        translate = LAYERS.get(type(layer).__name__)
        if translate is None:
            raise ExportError(
                "E610",
                "Layer without a translation to ONNX",
                expected=f"one of {', '.join(LAYERS)}",
                layer=layer.name,
                kind=type(layer).__name__,
            )
        if layer is output_layer(body.keras):
            builder.hidden = builder.last
        translate(builder, layer, _Place(layers[:i], layers[i + 1 :]))


class _Place(NamedTuple):
    """The layers around one."""

    before: Sequence[Any]
    after: Sequence[Any]

    @property
    def is_behind_convolutions(self) -> bool:
        return any(_kind(layer) == "Conv2D" for layer in self.before)

    def next(self, kind: str) -> Any:
        """The next layer of a kind."""
        return next(layer for layer in self.after if _kind(layer) == kind)


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _channel(builder: Builder, layer: Any, place: _Place) -> None:
    """(n, height, width) as (n, 1, height, width): ONNX has channels first."""
    builder.add("Unsqueeze", builder.weight("channel_axis", [1], np.int64), name=layer.name)


def _convolution(builder: Builder, layer: Any, place: _Place) -> None:
    """A convolution with the batch normalisation behind it folded in.

    That multiplies by more than 0, so it commutes with the maximum that may stand between.
    """
    if not place.is_behind_convolutions and all(_kind(one) != "Reshape" for one in place.before):
        builder.add("Transpose", name="channels_first", perm=[0, 3, 1, 2])
    normal = place.next("BatchNormalization")
    mean, variance, beta = (
        np.asarray(value.value, np.float64)
        for value in (normal.moving_mean, normal.moving_variance, normal.beta)
    )
    factor = 1 / np.sqrt(variance + normal.epsilon)
    kernel = np.asarray(layer.kernel.value, np.float64) * factor
    sides = zip(layer.input.shape[1:3], layer.kernel_size, layer.strides, strict=True)
    (top, bottom), (left, right) = (_padding(*side) for side in sides)
    builder.add(
        "Conv",
        builder.weight(f"{layer.name}.kernel", kernel.transpose(3, 2, 0, 1)),
        builder.weight(f"{layer.name}.bias", beta - mean * factor),
        name=layer.name,
        strides=list(layer.strides),
        pads=[top, left, bottom, right],
    )


def _padding(side: int, window: int, stride: int) -> tuple[int, int]:
    """Keras' padding `same`, before and behind: the odd pixel stands behind."""
    total = max((-(-side // stride) - 1) * stride + window - side, 0)
    return total // 2, total - total // 2


def _pool(builder: Builder, layer: Any, place: _Place) -> None:
    """The largest of each 2x2 pixels; of an odd side the last stands alone."""
    height, width = layer.input.shape[1:3]
    builder.add(
        "MaxPool",
        name=layer.name,
        kernel_shape=[2, 2],
        strides=[2, 2],
        pads=[0, 0, height % 2, width % 2],
    )


def _relu(builder: Builder, layer: Any, place: _Place) -> None:
    builder.add("Relu", name=layer.name)


def _rescaling(builder: Builder, layer: Any, place: _Place) -> None:
    factor = builder.weight(f"{layer.name}.factor", layer.scale)
    builder.seen = builder.add("Mul", factor, name=layer.name)


def _flatten(builder: Builder, layer: Any, place: _Place) -> None:
    builder.add("Flatten", name=layer.name, axis=1)


def _dense(builder: Builder, layer: Any, place: _Place) -> None:
    builder.add(
        "Gemm",
        builder.weight(f"{layer.name}.kernel", layer.kernel.value),
        builder.weight(f"{layer.name}.bias", layer.bias.value),
        name=layer.name,
    )
    activation = layer.activation.__name__
    if activation == "relu":
        builder.add("Relu", name=f"{layer.name}.relu")
    elif activation != "linear":
        raise ExportError(
            "E611",
            "Activation without a translation to ONNX",
            expected="linear or relu",
            layer=layer.name,
            activation=activation,
        )


def _softmax(builder: Builder, layer: Any, place: _Place) -> None:
    builder.add("Softmax", name=layer.name, axis=-1)


def _nothing(builder: Builder, layer: Any, place: _Place) -> None:
    """A layer that acts while training alone, or is done: folded, or channels are first here."""


LAYERS: dict[str, Callable[[Builder, Any, _Place], None]] = {
    "Rescaling": _rescaling,
    "Reshape": _channel,
    "Conv2D": _convolution,
    "MaxPooling2D": _pool,
    "Permute": _nothing,
    "BatchNormalization": _nothing,
    "ReLU": _relu,
    "Flatten": _flatten,
    "Dense": _dense,
    "Dropout": _nothing,
    "Softmax": _softmax,
}
"""How each Keras layer is written, by class name."""
