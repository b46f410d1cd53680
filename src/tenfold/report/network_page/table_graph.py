"""Convert a model file of tables to the form that the page's `graph.js` reads, or say why this is
not possible."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.onnx_file import (
    ModelProto,
    NodeProto,
    TensorProto,
    to_array,
    value_of,
)
from tenfold.report.network_page.network import (
    MAX_BYTES,
    OPERATORS,
    Unable,
    attributes_of,
    leading_to,
)

TABLE_OPERATORS = (OPERATORS - {"Conv", "MaxPool", "Transpose"}) | {
    "Abs",
    "Concat",
    "Expand",
    "Gather",
    "Greater",
    "GreaterOrEqual",
    "IsNaN",
    "LabelEncoder",
    "OneHotEncoder",
    "ReduceSum",
    "Shape",
    "Sign",
    "Split",
    "Sum",
    "TfIdfVectorizer",
    "TreeEnsembleRegressor",
    "Where",
}
"""The operators of graph.js. A test compares them with ONNX Runtime on every learner of tables."""

PLAIN_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Gather": {"axis": 1},
    "Gemm": {"beta": 1.0, "transA": 0},
    "ReduceMax": {"axes": [1]},
    "ReduceSumSquare": {"axes": [1]},
    "Shape": {"start": 0, "end": 1},
    "Softmax": {"axis": -1},
    "Split": {"axis": 1},
    "TfIdfVectorizer": {"mode": "TF", "max_gram_length": 2, "max_skip_count": 0},
    "TreeEnsembleRegressor": {"aggregate_function": "SUM", "post_transform": "NONE"},
}
"""Values of attributes that graph.js and engine.js assume."""


def read_table_graph(content: bytes, learner: str, max_bytes: int) -> dict[str, Any] | Unable:
    """The graph of a model file that `Model` has checked, for JSON.

    Returns:
      The `nodes` for all outputs, and their `weights` as base64 of little-endian numbers. Or the
      reason why a page cannot compute the graph, for example because the weights exceed
      `max_bytes`.
    """
    graph = ModelProto.FromString(content).graph
    nodes = leading_to(graph, {value.name for value in graph.output})
    used = {name for node in nodes for name in node.input}
    foreign = sorted({node.op_type for node in nodes} - TABLE_OPERATORS)
    foreign += [node.op_type for node in nodes if not foreign and not _is_plain(node)]
    if foreign:
        return Unable(
            f"A page does not compute all of “{learner}” ({', '.join(dict.fromkeys(foreign))}). "
            "Ask it with tenfold predict, or serve it: the service's page has the form."
        )
    found = {
        "nodes": [_node(node) for node in nodes],
        "weights": [_weight(tensor) for tensor in graph.initializer if tensor.name in used],
    }
    n_bytes = _size(found)
    if n_bytes > max_bytes:
        return Unable(
            f"The model takes {n_bytes / 1e6:,.1f} MB in a page, and this page leaves out models "
            f"of more than {max_bytes / 1e6:,.1f} MB. A page of its own, made by tenfold export "
            f"RUN --to page, may take {MAX_BYTES >> 20} MiB."
        )
    return found


def _is_plain(node: NodeProto) -> bool:
    given, plain = attributes_of(node), PLAIN_ATTRIBUTES.get(node.op_type, {})
    is_float = given.get("to", TensorProto.FLOAT) in (TensorProto.FLOAT, TensorProto.DOUBLE)
    return is_float and all(given.get(name, value) == value for name, value in plain.items())


def _node(node: NodeProto) -> dict[str, Any]:
    attributes = attributes_of(node)
    if node.op_type == "TreeEnsembleRegressor":
        attributes = {"trees": _trees(node)}
    for name, value in attributes.items():
        if isinstance(value, list) and value and isinstance(value[0], bytes):
            attributes[name] = [text.decode() for text in value]
    return {
        "operator": node.op_type,
        "inputs": list(node.input),
        "outputs": list(node.output),
        "attributes": attributes,
    }


def _weight(tensor: TensorProto) -> dict[str, Any]:
    array = to_array(tensor)
    return {"name": tensor.name, "shape": list(array.shape), **_packed(array)}


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    """An array in the form that `numbers` of graph.js reads."""
    if array.dtype.kind in "ib" and array.dtype.itemsize in (1, 8) and array.dtype != np.uint8:
        return {"type": "list", "data": array.ravel().tolist()}
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"type": little.dtype.str, "data": base64.b64encode(little.tobytes()).decode()}


def _trees(node: NodeProto) -> dict[str, Any]:
    """All trees of a node, one after the other. Positions are counted from the first node of the
    first tree.

    Thresholds are rounded down to float32, so that every float32 stays on the same side of them.
    """
    given = {attribute.name: attribute for attribute in node.attribute}

    def array(name: str, dtype: Any, default: int = 0) -> NDArray[Any]:
        if f"{name}_as_tensor" in given:
            return to_array(given[f"{name}_as_tensor"].t).astype(dtype)
        if name not in given:
            return np.full(default, 0, dtype)
        return np.asarray(value_of(given[name]), dtype)

    is_leaf = np.array(value_of(given["nodes_modes"])) == b"LEAF"
    n = len(is_leaf)
    tree, number = array("nodes_treeids", np.int64), array("nodes_nodeids", np.int64)
    first = np.arange(n) - number  # the nodes are in order, tree by tree
    roots = dict(zip(tree[number == 0].tolist(), np.flatnonzero(number == 0).tolist(), strict=True))
    root = np.array([roots[one] for one in array("target_treeids", np.int64).tolist()], np.int64)
    leaf = root + array("target_nodeids", np.int64)
    order = np.argsort(leaf, kind="stable")
    exact = array("nodes_values", np.float64)
    threshold = exact.astype(np.float32)
    threshold = np.where(threshold > exact, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    n_targets = value_of(given["n_targets"])
    arrays = {
        "base": array("base_values", np.float64, n_targets),
        "root": np.array(list(roots.values()), np.int32),
        "feature": array("nodes_featureids", np.uint16),
        "threshold": threshold,
        "left": (first + array("nodes_truenodeids", np.int64)).astype(np.int32),
        "right": (first + array("nodes_falsenodeids", np.int64)).astype(np.int32),
        "missing": array("nodes_missing_value_tracks_true", np.uint8, n),
        "isLeaf": is_leaf.astype(np.uint8),
        "hits": array("nodes_hitrates", np.float32, n),
        "leaf": leaf[order].astype(np.int32),
        "target": array("target_ids", np.uint16)[order],
        "weight": array("target_weights", np.float32)[order],
    }
    return {name: _packed(values) for name, values in arrays.items()}


def _size(value: Any) -> int:
    """The size of an array: the number of characters of all texts, or eight for each other
    value."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str) else 8
