"""A graph while it grows, layers as its nodes, and nodes as layers.

ONNX has channels first where `core/layers` has them last: a graph turns them round in front of its
first convolution and leaves them so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper

from tenfold.core import layers as nn
from tenfold.core.layers import Architecture, Parameters, Shape, same_padding, without_normalization

Arrays = Mapping[str, Any]
"""The arrays of one layer by name."""


@dataclass(frozen=True, eq=False)
class Front:
    """The beginning of a graph that somebody else built: from its inputs to the features.

    Attributes:
      inputs: The graph's inputs, in order. No input may have the name of an output.
      nodes: In order, of operators in `model.OPERATORS`.
      initializers: Their weights.
      output: Name of the tensor with the features, float32 (n, d).
    """

    inputs: tuple[onnx.ValueInfoProto, ...]
    nodes: tuple[onnx.NodeProto, ...]
    initializers: tuple[onnx.TensorProto, ...]
    output: str

    def names(self) -> set[str]:
        """Every name that is taken."""
        named = {value.name for value in self.inputs} | {value.name for value in self.initializers}
        return named | {name for node in self.nodes for name in (node.name, *node.output)}


class Builder:
    """A graph that grows at its end.

    `add` appends to the chain: its node takes `last` first, and its output becomes `last`.
    `node` stands beside the chain. A name that is taken gets a "_" more. `seen` is the tensor of
    scaled pictures, `hidden` that of the last hidden activations (n, d): novelty looks at both.
    """

    def __init__(self, last: str, taken: Iterable[str] = ()) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
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
        name = self._free(name or operator.lower())
        produced = [self._free(f"{name}.{i}") for i in range(outputs - 1)] + [name]
        node = helper.make_node(operator, inputs, produced, name=name, **attributes)
        self.nodes.append(node)
        return name

    def weight(self, name: str, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
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
    """Append every layer; a batch normalisation goes into the convolution before it.

    What the output layer takes becomes `builder.hidden`, scaled pictures become `builder.seen`.
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
    nn.Permute: lambda builder, layer, takes, own: None,  # channels are first already
    nn.ReLU: lambda builder, layer, takes, own: builder.add("Relu", name=layer.name),
    nn.Flatten: lambda builder, layer, takes, own: builder.add("Flatten", name=layer.name, axis=1),
    nn.Dense: _write_dense,
    nn.Softmax: lambda builder, layer, takes, own: builder.add("Softmax", name=layer.name, axis=-1),
}
"""How each kind of layer is written, from the shape that it takes and its arrays."""


BETWEEN = frozenset({"Transpose", "Mean"})
"""Operators between layers: an order of axes, and the mean of a vote of networks."""


def votes_of(graph: onnx.GraphProto) -> int:
    """How many networks answer together; 1 where it is no vote."""
    return next((len(node.input) for node in graph.node if node.op_type == "Mean"), 1)


def read_layers(graph: onnx.GraphProto) -> tuple[Architecture, Parameters]:
    """The layers that end in a graph's first softmax or, for regression, before its value; of a
    vote those of its first network.

    What comes before the first layer, and the calibration behind the last one, are left out. For
    a learner that is no network, or sees photos through one that is not its own, there is no
    `Dense` layer among them.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    input_shape = tuple(side.dim_value for side in graph.input[0].type.tensor_type.shape.dim[1:])
    layers, parameters = list[nn.Layer](), dict[str, Arrays]()
    for node in _layer_nodes(graph, stored):
        arrays = [numpy_helper.to_array(stored[name]) for name in node.input[1:]]
        layer, own = READ[node.op_type](node, arrays, input_shape)
        before = layers[-1] if layers else None
        if isinstance(layer, nn.ReLU) and isinstance(before, nn.Dense):
            layers[-1] = replace(before, activation="relu")
            continue
        if isinstance(layer, nn.Flatten) and any(isinstance(other, nn.Conv2D) for other in layers):
            layers.append(nn.Permute("channels_first", (3, 1, 2)))
        layers.append(layer)
        if own:
            parameters[layer.name] = own
    return Architecture(input_shape, tuple(layers)), parameters


def _layer_nodes(
    graph: onnx.GraphProto, stored: Mapping[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """The nodes of layers in order, without the transpositions between them."""
    makers = {output: node for node in graph.node for output in node.output}
    ends = [node.output[0] for node in graph.node if node.op_type == "Softmax"] or ["value"]
    name, nodes = ends[0], list[onnx.NodeProto]()
    while name in makers:
        node = makers[name]
        if nodes or node.op_type in ("Softmax", "Gemm"):
            is_plain = not (node.op_type == "Gemm" and node.attribute)
            has_own = all(name in stored for name in node.input[1:])
            has_own |= node.op_type == "Mean"
            if not (is_plain and has_own and node.op_type in {*READ, *BETWEEN}):
                break
            nodes.append(node)
        name = node.input[0]
    begins = makers.get(name)
    if graph.input[0].name == "image" and begins is not None and begins.op_type != "Cast":
        return []  # there is more between the picture and these layers
    return [node for node in reversed(nodes) if node.op_type not in BETWEEN]


def _read_dense(node: onnx.NodeProto, arrays: list[Any], shape: Shape) -> tuple[nn.Layer, Arrays]:
    kernel, bias = arrays
    return nn.Dense(node.name, kernel.shape[1]), {"kernel": kernel, "bias": bias}


def _read_convolution(
    node: onnx.NodeProto, arrays: list[Any], shape: Shape
) -> tuple[nn.Layer, Arrays]:
    kernel, bias = arrays[0].transpose(2, 3, 1, 0), arrays[1]
    (strides,) = (a.ints for a in node.attribute if a.name == "strides")
    layer = nn.Conv2D(node.name, len(bias), kernel.shape[:2], tuple(strides))
    return layer, {"kernel": kernel, "bias": bias}


READ: dict[str, Callable[[onnx.NodeProto, list[Any], Shape], tuple[nn.Layer, Arrays]]] = {
    "Mul": lambda node, arrays, shape: (nn.Rescaling(node.name, float(arrays[0])), {}),
    "Unsqueeze": lambda node, arrays, shape: (nn.Reshape(node.name, (*shape, 1)), {}),
    "Conv": _read_convolution,
    "MaxPool": lambda node, arrays, shape: (nn.MaxPooling2D(node.name), {}),
    "Relu": lambda node, arrays, shape: (nn.ReLU(node.name), {}),
    "Flatten": lambda node, arrays, shape: (nn.Flatten(node.name), {}),
    "Gemm": _read_dense,
    "Softmax": lambda node, arrays, shape: (nn.Softmax(node.name), {}),
}
"""The layer of a node and its arrays, from the node, its own inputs and the input's shape."""
