"""Build a graph node by node, and write layers as its nodes.

ONNX has channels first, and `core/layers` has them last. A graph transposes them before its first
convolution and keeps them so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tenfold.core import layers as nn
from tenfold.core.layers import Architecture, Parameters, Shape, same_padding, without_normalization
from tenfold.core.onnx_file import NodeProto, ValueInfoProto
from tenfold.core.onnx_file import TensorProto as TensorProto

Arrays = Mapping[str, Any]
"""The arrays of one layer by name."""


@dataclass(frozen=True, eq=False)
class Front:
    """The first part of a graph, from its inputs to the features, which other code built.

    Attributes:
      inputs: The graph's inputs, in order. No input may have the name of an output.
      nodes: The nodes in order, with operators of `model.OPERATORS`.
      initializers: The weights of the nodes.
      output: Name of the tensor with the features, float32 (n, d).
    """

    inputs: tuple[ValueInfoProto, ...]
    nodes: tuple[NodeProto, ...]
    initializers: tuple[TensorProto, ...]
    output: str

    def names(self) -> set[str]:
        """Every name that is in use."""
        named = {value.name for value in self.inputs} | {value.name for value in self.initializers}
        return named | {name for node in self.nodes for name in (node.name, *node.output)}


class Builder:
    """A graph to which nodes are appended.

    `add` appends to the chain: the first input of its node is `last`, and its output becomes
    `last`. `node` adds a node outside the chain. A name that is in use gets another "_". `seen` is
    the tensor of scaled pictures, and `hidden` that of the last hidden activations (n, d); both are
    needed for novelty.
    """

    def __init__(self, last: str, taken: Iterable[str] = ()) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.last = last
        self.seen: str | None = None
        self.hidden: str | None = None
        self._taken = {last, *taken}

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        self.last = self.node(operator, self.last, *inputs, name=name, **attributes)
        return self.last

    def node(
        self,
        operator: str,
        *inputs: str,
        name: str | None = None,
        outputs: int = 1,
        **attributes: Any,
    ) -> str:
        """Add a node and return its last output."""
        from onnx import helper

        name = self._free(name or operator.lower())
        produced = [self._free(f"{name}.{i}") for i in range(outputs - 1)] + [name]
        node = helper.make_node(operator, inputs, produced, name=name, **attributes)
        self.nodes.append(node)
        return name

    def weight(self, name: str, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        from onnx import numpy_helper

        name = self._free(name)
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def output(self, name: str) -> None:
        """Give the output of the last node its final name."""
        self.nodes[-1].output[-1] = self.last = name

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def add_layers(builder: Builder, architecture: Architecture, parameters: Parameters) -> None:
    """Append every layer. A batch normalisation is merged into the convolution before it.

    The input of the output layer becomes `builder.hidden`, and scaled pictures become
    `builder.seen`.
    """
    architecture, parameters = without_normalization(architecture, parameters)
    has_channels_first = False
    for layer, takes, _ in architecture.places():
        if isinstance(layer, nn.Conv2D) and not has_channels_first:
            builder.add("Transpose", name="channels_first", perm=[0, 3, 1, 2])
        has_channels_first |= isinstance(layer, nn.Conv2D | nn.Reshape)
        if layer is architecture.output:
            builder.hidden = builder.last
        WRITE[type(layer)](builder, layer, takes, parameters.get(layer.name, {}))


def _write_rescaling(builder: Builder, layer: nn.Rescaling, takes: Shape, own: Arrays) -> None:
    factor = builder.weight(f"{layer.name}.factor", layer.scale)
    builder.seen = builder.add("Mul", factor, name=layer.name)


def _write_channel(builder: Builder, layer: nn.Reshape, takes: Shape, own: Arrays) -> None:
    builder.add("Unsqueeze", builder.weight("channel_axis", [1], np.int64), name=layer.name)


def _write_convolution(builder: Builder, layer: nn.Conv2D, takes: Shape, own: Arrays) -> None:
    sides = zip(takes, layer.kernel_size, layer.strides, strict=False)
    (top, bottom), (left, right) = (same_padding(*side) for side in sides)
    builder.add(
        "Conv",
        builder.weight(f"{layer.name}.kernel", own["kernel"].transpose(3, 2, 0, 1)),
        builder.weight(f"{layer.name}.bias", own["bias"]),
        name=layer.name,
        strides=list(layer.strides),
        pads=[top, left, bottom, right],
    )


def _write_pool(builder: Builder, layer: nn.MaxPooling2D, takes: Shape, own: Arrays) -> None:
    builder.add(
        "MaxPool",
        name=layer.name,
        kernel_shape=[2, 2],
        strides=[2, 2],
        pads=[0, 0, takes[0] % 2, takes[1] % 2],
    )


def _write_dense(builder: Builder, layer: nn.Dense, takes: Shape, own: Arrays) -> None:
    kernel = builder.weight(f"{layer.name}.kernel", own["kernel"])
    builder.add("Gemm", kernel, builder.weight(f"{layer.name}.bias", own["bias"]), name=layer.name)
    if layer.activation == "relu":
        builder.add("Relu", name=f"{layer.name}.relu")


WRITE: dict[type[nn.Layer], Callable[[Builder, Any, Shape, Arrays], object]] = {
    nn.Rescaling: _write_rescaling,
    nn.Reshape: _write_channel,
    nn.Conv2D: _write_convolution,
    nn.MaxPooling2D: _write_pool,
    nn.Permute: lambda builder, layer, takes, own: None,  # channels already come first
    nn.ReLU: lambda builder, layer, takes, own: builder.add("Relu", name=layer.name),
    nn.Flatten: lambda builder, layer, takes, own: builder.add("Flatten", name=layer.name, axis=1),
    nn.Dense: _write_dense,
    nn.Softmax: lambda builder, layer, takes, own: builder.add("Softmax", name=layer.name, axis=-1),
}
"""The function that writes each kind of layer, given its input shape and its arrays."""
