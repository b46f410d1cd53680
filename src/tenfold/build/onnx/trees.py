"""Forests: the arrays of scikit-learn's trees as the attributes of one TreeEnsembleRegressor.

The regressor also gives probabilities, as k targets: it returns the sums as they are, where
TreeEnsembleClassifier adds labels and has rules of its own for two classes.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tenfold.core.onnx_builder import Builder
from tenfold.learners.classical import Forest

DOMAIN = "ai.onnx.ml"


def add_forest(builder: Builder, body: Forest) -> None:
    """Append the trees; their mean is (n, n_labels), or (n, 1) for regression."""
    trees = [member.tree_ for member in body.estimator.estimators_]
    sizes = [tree.node_count for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    is_leaf = left < 0
    thresholds = np.concatenate([round_down(tree.threshold) for tree in trees])
    leaves = np.flatnonzero(is_leaf)
    values = np.concatenate([tree.value[tree.children_left < 0, 0, :] for tree in trees])
    if body.n_labels is None:
        which, targets = np.arange(len(leaves)), np.zeros(len(leaves), np.int64)
    else:
        which, columns = np.nonzero(values)  # most leaves know one label only
        values, targets = values[which, columns], body.estimator.classes_[columns]
    node = onnx.helper.make_node(
        "TreeEnsembleRegressor", [builder.last], ["forest"], name="forest", domain=DOMAIN
    )
    # helper.make_node looks at every element in Python; a forest has millions.
    node.attribute.extend(
        [
            onnx.helper.make_attribute("aggregate_function", "SUM"),
            onnx.helper.make_attribute("n_targets", body.n_labels or 1),
            onnx.helper.make_attribute("post_transform", "NONE"),
            _ints("nodes_treeids", tree_ids),
            _ints("nodes_nodeids", node_ids),
            _ints("nodes_featureids", _zero_at(is_leaf, [tree.feature for tree in trees])),
            _floats("nodes_values", np.where(is_leaf, np.float32(0), thresholds)),
            _modes(is_leaf),
            _ints("nodes_truenodeids", np.where(is_leaf, 0, left)),
            _ints("nodes_falsenodeids", np.where(is_leaf, 0, right)),
            _ints("target_treeids", tree_ids[leaves[which]]),
            _ints("target_nodeids", node_ids[leaves[which]]),
            _ints("target_ids", targets),
            _floats("target_weights", values.ravel() / len(trees)),
        ]
    )
    builder.nodes.append(node)
    builder.last = "forest"


def round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each threshold.

    For every float32 x, `x <= threshold` and `x <= round_down(threshold)` are the same.
    """
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)


def _zero_at(where: NDArray[np.bool_], parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.where(where, 0, np.concatenate(list(parts)))


def _modes(is_leaf: NDArray[np.bool_]) -> onnx.AttributeProto:
    names = np.array([b"BRANCH_LEQ", b"LEAF"], dtype=object)
    attribute = onnx.AttributeProto(name="nodes_modes", type=onnx.AttributeProto.STRINGS)
    attribute.strings.extend(names[is_leaf.astype(int)].tolist())
    return attribute


def _ints(name: str, values: NDArray[Any]) -> onnx.AttributeProto:
    attribute = onnx.AttributeProto(name=name, type=onnx.AttributeProto.INTS)
    attribute.ints.extend(values.tolist())
    return attribute


def _floats(name: str, values: NDArray[Any]) -> onnx.AttributeProto:
    attribute = onnx.AttributeProto(name=name, type=onnx.AttributeProto.FLOATS)
    attribute.floats.extend(values.tolist())
    return attribute
