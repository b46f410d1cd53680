"""The layer table of a model file."""

from typing import NamedTuple

import onnx


class LayerRow(NamedTuple):
    """One layer with weights: what it is, the size of what goes in and comes out, its weights."""

    name: str
    kind: str
    size: str
    activation: str
    parameters: int


def layer_rows(content: bytes) -> list[LayerRow]:
    """The dense and convolutional layers of a model file, in order; empty for other learners."""
    graph = onnx.ModelProto.FromString(content).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    after = {name: node for node in graph.node for name in node.input[:1]}
    rows = []
    for node in _to_the_answer(graph):
        if node.op_type not in ("Gemm", "Conv") or node.input[1] not in shapes:
            continue
        weight = shapes[node.input[1]]
        parameters = sum(_size(shapes[name]) for name in node.input[1:] if name in shapes)
        follows = _activation(after, node.output[0])
        activation = {"Relu": "ReLU", "Softmax": "softmax"}.get(follows, "none")
        if node.op_type == "Gemm":
            size = f"{weight[0]:,} → {weight[1]:,}"
            rows.append(LayerRow(node.name, "dense", size, activation, parameters))
        else:
            out, channels, height, width = weight
            size = f"{channels} → {out}, {height} × {width}"
            rows.append(LayerRow(node.name, "convolution", size, activation, parameters))
    return rows


def _to_the_answer(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The chain of first inputs that ends in the first softmax or in the value, in order."""
    makers = {name: node for node in graph.node for name in node.output}
    ends = [node.output[0] for node in graph.node if node.op_type == "Softmax"] or ["value"]
    chain, name = list[onnx.NodeProto](), ends[0]
    while name in makers:
        chain.append(makers[name])
        name = makers[name].input[0]
    return chain[::-1]


def _activation(after: dict[str, onnx.NodeProto], name: str) -> str:
    """The operator that bends the values of a layer; a pooling may stand between."""
    node = after.get(name)
    while node is not None and node.op_type == "MaxPool":
        node = after.get(node.output[0])
    return "" if node is None else node.op_type


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product
