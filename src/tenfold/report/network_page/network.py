"""Convert a model file to nodes in order and float32 weights for the page's engine, or say why this
is not possible."""

import base64
from typing import Any, NamedTuple

import numpy as np

from tenfold.core.contract import Contract
from tenfold.core.onnx_file import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    to_array,
    value_of,
)
from tenfold.inputs.pictures.mnist_box import SIDE_PX

OPERATORS = frozenset(
    {
        "Add",
        "Cast",
        "Clip",
        "Conv",
        "Div",
        "Flatten",
        "Gemm",
        "Log",
        "Max",
        "MaxPool",
        "Mean",
        "Mul",
        "ReduceMax",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Softmax",
        "Sqrt",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)
"""The operators of report/network_page/engine.js. A test compares each with ONNX Runtime."""

PLAIN_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Gemm": {"beta": 1.0, "transA": 0},
    "ReduceMax": {"axes": [1]},
    "ReduceSumSquare": {"axes": [1]},
    "Conv": {"dilations": [1, 1], "group": 1, "auto_pad": "NOTSET"},
    "MaxPool": {"dilations": [1, 1], "ceil_mode": 0, "storage_order": 0, "auto_pad": "NOTSET"},
    "Softmax": {"axis": -1},
}
"""Attributes that engine.js assumes."""

MAX_BYTES = 64 << 20
"""Maximum size of the weights of a page, so that the file can be e-mailed."""


class Unable(NamedTuple):
    """Why a model cannot be computed on a page.

    Attributes:
      reason: The reason in sentences, for people.
      is_said: Whether a report mentions it, because the reader would miss the network there.
    """

    reason: str
    is_said: bool = False


OF_PHOTOS = Unable(
    "This page does not answer photos: the network that sees them would add 9 MB to it. "
    "“tenfold predict RUN photo.jpg --show” answers one, and “tenfold serve RUN” has a form for "
    "them under /docs.",
    is_said=True,
)
"""The reason for models of photos. Time is not the problem: the 384 million multiplications take
1.3 seconds in plain JavaScript (Node 20, one core of a busy machine)."""


def read_network(content: bytes, contract: Contract) -> dict[str, Any] | Unable:
    """The network of a model file that `Model` has checked, for JSON: all nodes up to its output.

    Returns:
      `input`, `output`, `shape` of a picture, `nodes` and `weights`, which are base64 of float32,
      little-endian, and `novelty_threshold` if the graph computes novelty; or the reason why there
      is no network that the page can compute.
    """
    if contract.input.kind != "image":
        return Unable("This model reads rows of a table, so there is nothing to draw.")
    graph = ModelProto.FromString(content).graph
    if any(node.op_type == "GlobalAveragePool" for node in graph.node):
        return OF_PHOTOS
    if contract.input.shape != (SIDE_PX, SIDE_PX):
        size = " x ".join(str(side) for side in contract.input.shape)
        return Unable(
            f"A drawing is fitted to {SIDE_PX} x {SIDE_PX} grey pixels; this model sees {size}."
        )
    if contract.input.crop != "ink":
        return Unable("This model sees the middle of a picture, not a drawing fitted to a box.")
    threshold = contract.novelty_threshold
    nodes = leading_to(graph, {"probabilities"} | ({"novelty"} if threshold else set()))
    stored = {tensor.name: tensor for tensor in graph.initializer}
    used = {name for node in nodes for name in node.input}
    weights = [tensor for name, tensor in stored.items() if name in used]
    if reason := _unable(nodes, weights, contract.learner):
        return Unable(reason)
    return {
        "input": contract.input.name,
        "output": "probabilities",
        "novelty_threshold": threshold,
        "shape": list(contract.input.shape),
        "nodes": [_node(node) for node in nodes],
        "weights": [_weight(tensor) for tensor in weights],
    }


def _unable(nodes: list[NodeProto], weights: list[TensorProto], learner: str) -> str | None:
    foreign = sorted({node.op_type for node in nodes} - OPERATORS)
    foreign += [node.op_type for node in nodes if not foreign and not _is_plain(node)]
    foreign += ["float64"] * any(t.data_type == TensorProto.DOUBLE for t in weights)
    if foreign:
        return (
            f"The learner “{learner}” is no network of layers, so this file cannot compute its "
            f"answers ({', '.join(dict.fromkeys(foreign))}). Ask it with tenfold predict."
        )
    n_bytes = sum(len(tensor.raw_data) for tensor in weights)
    if n_bytes > MAX_BYTES:
        return f"Its weights, {n_bytes / 1e6:,.0f} MB, are too large for one file."
    return None


def _is_plain(node: NodeProto) -> bool:
    given, plain = attributes_of(node), PLAIN_ATTRIBUTES.get(node.op_type, {})
    is_float = given.get("to", TensorProto.FLOAT) in (TensorProto.FLOAT, TensorProto.DOUBLE)
    same = all(given.get(name, v) == v for name, v in plain.items())
    return node.domain == "" and is_float and same


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name. Texts are decoded, and lists of texts stay bytes."""
    attributes = {a.name: value_of(a) for a in node.attribute}
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }


def _node(node: NodeProto) -> dict[str, Any]:
    return {
        "operator": node.op_type,
        "inputs": list(node.input),
        "output": node.output[0],
        "attributes": attributes_of(node),
    }


def _weight(tensor: TensorProto) -> dict[str, Any]:
    array = to_array(tensor)
    if array.dtype == np.float32:
        data: Any = base64.b64encode(array.astype("<f4").tobytes()).decode()
    else:
        data = array.ravel().tolist()
    return {"name": tensor.name, "shape": list(array.shape), "data": data}


def leading_to(graph: GraphProto, outputs: set[str]) -> list[NodeProto]:
    """The nodes from which outputs are computed, in the graph's order."""
    needed, nodes = set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    return nodes[::-1]
