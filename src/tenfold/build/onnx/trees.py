"""Trees as nodes of a graph: one TreeEnsembleRegressor from scikit-learn's arrays.

The regressor also computes probabilities and log-odds, as k targets, because it returns plain sums,
while TreeEnsembleClassifier adds labels and has special rules for two classes. Features are float32
from the start, so that a value is on the same side of a threshold in scikit-learn and in the graph.
The number of training rows that passed each node is stored, too, because the contributions of
columns follow from it (`model.tree_paths`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.widths import RowWidths
from tenfold.core.onnx_builder import Builder
from tenfold.core.onnx_file import AttributeProto, TensorProto
from tenfold.learners.boosting import Boosting
from tenfold.learners.classical import Forest

TREES_DOMAIN = "ai.onnx.ml"

NEVER = -1e30
"""Log-odds of a label without training rows. The softmax of this number is 0."""


def add_forest(builder: Builder, body: Forest) -> None:
    """Append the trees of a forest. Their mean is (n, n_labels), or (n, 1) for regression."""
    trees = [member.tree_ for member in body.estimator.estimators_]
    nodes, all_leaves = _nodes_of(trees)
    values = np.concatenate([tree.value[tree.children_left < 0, 0, :] for tree in trees])
    if body.n_labels is None:
        which, targets = np.arange(len(values)), np.zeros(len(values), np.int64)
    else:
        which, columns = np.nonzero(values)  # most leaves have only one label
        values, targets = values[which, columns], body.estimator.classes_[columns]
    arrays = {
        "target_ids": targets,
        "target_weights": (values.ravel() / len(trees)).astype(np.float32),
    }
    of_leaves = _targets(nodes, all_leaves[which])
    _add_node(builder, "forest", body.n_labels or 1, nodes | of_leaves | arrays)


def _nodes_of(trees: Sequence[Any]) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """The nodes of scikit-learn's trees, and the positions of the leaves among them."""
    left = np.concatenate([tree.children_left for tree in trees])
    is_leaf = left < 0
    right = np.concatenate([tree.children_right for tree in trees])
    features = np.concatenate([tree.feature for tree in trees])
    thresholds = np.concatenate([round_down(tree.threshold) for tree in trees])
    hits = np.concatenate([tree.weighted_n_node_samples for tree in trees])
    tree_ids, node_ids = _places([tree.node_count for tree in trees])
    nodes = {
        "nodes_treeids": tree_ids,
        "nodes_nodeids": node_ids,
        "nodes_featureids": np.where(is_leaf, 0, features),
        "nodes_values": np.where(is_leaf, np.float32(0), thresholds),
        "nodes_hitrates": hits.astype(np.float32),
        "nodes_modes": _modes(is_leaf),
        "nodes_truenodeids": np.where(is_leaf, 0, left),
        "nodes_falsenodeids": np.where(is_leaf, 0, right),
    }
    return nodes, np.flatnonzero(is_leaf)


def _targets(nodes: Mapping[str, Any], leaves: NDArray[np.int64]) -> dict[str, Any]:
    """The trees and nodes to which the weights of these leaves belong."""
    return {
        "target_treeids": nodes["nodes_treeids"][leaves],
        "target_nodeids": nodes["nodes_nodeids"][leaves],
    }


def add_widths(builder: Builder, widths: RowWidths, scale: float, features: str) -> None:
    """Append the trees of `RowWidths.half_widths`. Their input is the features (n, d) followed by
    the prediction, which is the last tensor (n,). Their output is half the width of each interval
    (n, 1), multiplied by `scale`."""
    builder.add("Cast", name="widths.answer", to=TensorProto.FLOAT)
    column = builder.weight("widths.column", [-1, 1], np.int64)
    answer = builder.add("Reshape", column, name="widths.answer.column")
    builder.last = builder.node("Concat", features, answer, name="widths.features", axis=1)
    trees = [member.tree_ for member in widths.forest.estimators_]
    nodes, leaves = _nodes_of(trees)
    missing = np.concatenate([tree.missing_go_to_left for tree in trees])
    values = np.concatenate([tree.value[tree.children_left < 0, 0, 0] for tree in trees])
    times = scale * widths.factor / len(trees)
    arrays = {
        "nodes_missing_value_tracks_true": missing.astype(np.int64),
        "target_ids": np.zeros(len(leaves), np.int64),
        "target_weights": (times * (values + widths.floor)).astype(np.float32),
    }
    _add_node(builder, "widths", 1, nodes | _targets(nodes, leaves) | arrays)


def add_boosting(builder: Builder, body: Boosting) -> None:
    """Append boosted trees, whose leaves are added up in float64, and a softmax for probabilities.

    In float32 the sum of 300 trees would have an error of 3e-6 standard deviations of the target.
    For two labels, scikit-learn adds up only the log-odds of the second.
    """
    estimator = body.estimator
    trees = [tree.nodes for round_ in estimator._predictors for tree in round_]
    nodes, sizes = np.concatenate(trees), [len(tree) for tree in trees]
    is_leaf = nodes["is_leaf"].astype(bool)
    n_targets, labels = body.n_labels or 1, np.zeros(1, np.int64)
    if body.n_labels is not None:
        n_trees = estimator.n_trees_per_iteration_
        labels = estimator.classes_[-1:] if n_trees == 1 else estimator.classes_
    base = np.zeros(n_targets)
    base[labels] = estimator._baseline_prediction.ravel()
    tree_ids, node_ids = _places(sizes)
    builder.add("Cast", name="double", to=TensorProto.DOUBLE)
    _add_node(
        builder,
        "boosting",
        n_targets,
        {
            "base_values_as_tensor": base,
            "nodes_treeids": tree_ids,
            "nodes_nodeids": node_ids,
            "nodes_featureids": np.where(is_leaf, 0, nodes["feature_idx"]),
            "nodes_values_as_tensor": np.where(is_leaf, 0.0, nodes["num_threshold"]),
            "nodes_hitrates": nodes["count"].astype(np.float32),
            "nodes_modes": _modes(is_leaf),
            "nodes_truenodeids": np.where(is_leaf, 0, nodes["left"]),
            "nodes_falsenodeids": np.where(is_leaf, 0, nodes["right"]),
            "nodes_missing_value_tracks_true": np.where(is_leaf, 0, nodes["missing_go_to_left"]),
            "target_treeids": tree_ids[is_leaf],
            "target_nodeids": node_ids[is_leaf],
            "target_ids": labels[tree_ids[is_leaf] % len(labels)],
            "target_weights_as_tensor": nodes["value"][is_leaf],
        },
    )
    if body.n_labels is not None:
        never = np.full(n_targets, NEVER)  # ONNX Runtime ignores the base of a target without trees
        never[estimator.classes_] = 0.0
        if never.any():
            builder.add("Add", builder.weight("never", never), name="known")
        builder.add("Softmax", name="softmax", axis=-1)


def round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold.

    For every float32 x, `x <= threshold` and `x <= round_down(threshold)` are equivalent.
    """
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)


def _places(sizes: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tree of each node, and its number in the tree, given the number of nodes of each tree."""
    return np.repeat(np.arange(len(sizes)), sizes), np.concatenate([np.arange(n) for n in sizes])


def _modes(is_leaf: NDArray[np.bool_]) -> NDArray[Any]:
    return np.asarray(np.array([b"BRANCH_LEQ", b"LEAF"], dtype=object)[is_leaf.astype(int)])


def _add_node(builder: Builder, name: str, n_targets: int, arrays: Mapping[str, Any]) -> None:
    """Append the node of all trees. It is built without `make_node`, which visits every element in
    Python, because a forest has millions of them."""
    import onnx

    node = onnx.helper.make_node(
        "TreeEnsembleRegressor", [builder.last], [name], name=name, domain=TREES_DOMAIN
    )
    settings = {"aggregate_function": "SUM", "n_targets": n_targets, "post_transform": "NONE"}
    node.attribute.extend(_attribute(key, value) for key, value in {**settings, **arrays}.items())
    builder.nodes.append(node)
    builder.last = name


def _attribute(name: str, value: Any) -> AttributeProto:
    import onnx
    from onnx import numpy_helper

    if not isinstance(value, np.ndarray):
        return onnx.helper.make_attribute(name, value)
    if name.endswith("_as_tensor"):
        tensor = numpy_helper.from_array(value.astype(np.float64), name)
        return onnx.helper.make_attribute(name, tensor)
    kind, values = {
        "i": (onnx.AttributeProto.INTS, "ints"),
        "u": (onnx.AttributeProto.INTS, "ints"),
        "f": (onnx.AttributeProto.FLOATS, "floats"),
        "O": (onnx.AttributeProto.STRINGS, "strings"),
    }[value.dtype.kind]
    attribute = onnx.AttributeProto(name=name, type=kind)
    getattr(attribute, values).extend(value.tolist())
    return attribute
