"""Keras layers as nodes."""

from collections.abc import Callable
from typing import Any

from tenfold.errors import ExportError, message
from tenfold.graph.builder import Builder
from tenfold.learners.network import Network
from tenfold.network import output_layer


def add_network(builder: Builder, body: Network) -> None:
    """Append every layer; what the output layer sees becomes `builder.hidden`.

    Raises:
      ExportError: A layer that has no translation; the message names it.
    """
    for layer in body.keras.layers:
        translate = LAYERS.get(type(layer).__name__)
        if translate is None:
            raise ExportError(
                message(
                    "Layer without a translation to ONNX",
                    expected=f"one of {', '.join(LAYERS)}",
                    layer=layer.name,
                    kind=type(layer).__name__,
                )
            )
        if layer is output_layer(body.keras):
            builder.hidden = builder.last
        translate(builder, layer)


def _rescaling(builder: Builder, layer: Any) -> None:
    factor = builder.weight(f"{layer.name}.factor", layer.scale)
    builder.seen = builder.add("Mul", factor, name=layer.name)


def _flatten(builder: Builder, layer: Any) -> None:
    builder.add("Flatten", name=layer.name, axis=1)


def _dense(builder: Builder, layer: Any) -> None:
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
            message(
                "Activation without a translation to ONNX",
                expected="linear or relu",
                layer=layer.name,
                activation=activation,
            )
        )


def _softmax(builder: Builder, layer: Any) -> None:
    builder.add("Softmax", name=layer.name, axis=-1)


def _nothing(builder: Builder, layer: Any) -> None:
    """A layer that acts while training alone."""


LAYERS: dict[str, Callable[[Builder, Any], None]] = {
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Dense": _dense,
    "Dropout": _nothing,
    "Softmax": _softmax,
}
"""How each Keras layer is written, by class name."""
