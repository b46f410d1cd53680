"""Convert the nodes of a graph back to the layers from which `onnx_builder` wrote them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tenfold.core import layers as nn
from tenfold.core.layers import Architecture, Parameters, Shape
from tenfold.core.onnx_file import GraphProto, ModelProto, NodeProto, TensorProto, to_array

Arrays = Mapping[str, Any]
"""The arrays of one layer by name."""


BETWEEN = frozenset({"Transpose", "Mean"})
"""Operators between layers: transpositions, and the mean of networks that vote."""


def votes_in(content: bytes) -> int:
    """The number of networks of a model file that vote. 1 if there is only one."""
    graph = ModelProto.FromString(content).graph
    return next((len(node.input) for node in graph.node if node.op_type == "Mean"), 1)


def layers_in(content: bytes, member: int = 0) -> tuple[Architecture, Parameters]:
    """Read the layers of a model file that `Model` has checked, like `read_layers`."""
    return read_layers(ModelProto.FromString(content).graph, member)


def arrays_in(content: bytes) -> dict[str, Any]:
    """All arrays that are stored in such a file, by name."""
    graph = ModelProto.FromString(content).graph
    return {tensor.name: to_array(tensor) for tensor in graph.initializer}


def read_layers(graph: GraphProto, member: int = 0) -> tuple[Architecture, Parameters]:
    """Read the layers up to a graph's first softmax or, for regression, up to its value. If
    networks vote, read those of one of them, `member`, counted from 0.

    What comes before the first layer is not included, nor is the calibration after the last one.
    For a learner that is not a network, or that uses the network for photos, there is no `Dense`
    layer.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    input_shape = tuple(side.dim_value for side in graph.input[0].type.tensor_type.shape.dim[1:])
    layers, parameters = list[nn.Layer](), dict[str, Arrays]()
    for node in _layer_nodes(graph, stored, member):
        arrays = [to_array(stored[name]) for name in node.input[1:]]
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
    graph: GraphProto, stored: Mapping[str, TensorProto], member: int
) -> list[NodeProto]:
    """The nodes of layers in order, without the transpositions between them."""
    makers = {output: node for node in graph.node for output in node.output}
    ends = [node.output[0] for node in graph.node if node.op_type == "Softmax"] or ["value"]
    name, nodes = ends[0], list[NodeProto]()
    while name in makers:
        node = makers[name]
        if nodes or node.op_type in ("Softmax", "Gemm"):
            is_plain = not (node.op_type == "Gemm" and node.attribute)
            has_own = all(name in stored for name in node.input[1:])
            has_own |= node.op_type == "Mean"
            if not (is_plain and has_own and node.op_type in {*READ, *BETWEEN}):
                break
            nodes.append(node)
        name = node.input[member if node.op_type == "Mean" else 0]
    begins = makers.get(name)
    if graph.input[0].name == "image" and begins is not None and begins.op_type != "Cast":
        return []  # if there are other nodes between the picture and these layers
    return [node for node in reversed(nodes) if node.op_type not in BETWEEN]


def _read_dense(node: NodeProto, arrays: list[Any], shape: Shape) -> tuple[nn.Layer, Arrays]:
    kernel, bias = arrays
    return nn.Dense(node.name, kernel.shape[1]), {"kernel": kernel, "bias": bias}


def _read_convolution(node: NodeProto, arrays: list[Any], shape: Shape) -> tuple[nn.Layer, Arrays]:
    kernel, bias = arrays[0].transpose(2, 3, 1, 0), arrays[1]
    (strides,) = (a.ints for a in node.attribute if a.name == "strides")
    layer = nn.Conv2D(node.name, len(bias), kernel.shape[:2], tuple(strides))
    return layer, {"kernel": kernel, "bias": bias}


READ: dict[str, Callable[[NodeProto, list[Any], Shape], tuple[nn.Layer, Arrays]]] = {
    "Mul": lambda node, arrays, shape: (nn.Rescaling(node.name, float(arrays[0])), {}),
    "Unsqueeze": lambda node, arrays, shape: (nn.Reshape(node.name, (*shape, 1)), {}),
    "Conv": _read_convolution,
    "MaxPool": lambda node, arrays, shape: (nn.MaxPooling2D(node.name), {}),
    "Relu": lambda node, arrays, shape: (nn.ReLU(node.name), {}),
    "Flatten": lambda node, arrays, shape: (nn.Flatten(node.name), {}),
    "Gemm": _read_dense,
    "Softmax": lambda node, arrays, shape: (nn.Softmax(node.name), {}),
}
"""The layer of a node and its arrays, given the node, its inputs and the input's shape."""
