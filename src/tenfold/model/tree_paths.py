"""The exact contribution of each feature to the predictions of trees, as sums over their paths.

A row reaches a leaf if all conditions on its path hold. Unknown features are averaged over the
training rows: the weight of a condition on such a feature is the share of rows that went this way.
The Shapley value of a feature is then the integral of a polynomial over the probability t that each
other feature is known. Gauss-Legendre quadrature with half as many points as the path has features
is exact, and all its terms are positive.

Source: Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9, path-dependent TreeSHAP; the integral
is Owen's multilinear extension (1972, doi:10.1287/mnsc.18.5.64).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.onnx_file import NodeProto, to_array, value_of

Doubles = NDArray[np.float64]
Numbers = NDArray[np.int64]

ROWS, ELEMENTS = 64, 4_096
"""Number of rows, and of conditions of paths, that are computed together: 2 MB for an array."""

LEAST_SHARE = 1e-12
"""Number of training rows that are assumed for a branch without weighted training rows."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Leaves whose paths have the same number of features, d. The conditions on each feature are
    merged into one interval.

    Attributes:
      feature: The feature of each condition (n_leaves, d).
      low, high: The condition is that it is above `low` and at most `high` (n_leaves, d).
      takes_missing: Whether a missing value goes this way (n_leaves, d).
      share: The share of training rows that went this way (n_leaves, d).
      leaf, target, weight: For each value of a leaf (m,), the row in the arrays above, the index of
        the output and the value itself.
    """

    feature: Numbers
    low: Doubles
    high: Doubles
    takes_missing: NDArray[np.bool_]
    share: Doubles
    leaf: Numbers
    target: Numbers
    weight: Doubles

    def __getitem__(self, leaves: slice) -> "Paths":
        own = (self.leaf >= leaves.start) & (self.leaf < leaves.stop)
        return Paths(
            self.feature[leaves],
            self.low[leaves],
            self.high[leaves],
            self.takes_missing[leaves],
            self.share[leaves],
            self.leaf[own] - leaves.start,
            self.target[own],
            self.weight[own],
        )

    def parts(self) -> Iterator["Paths"]:
        """Split this into parts with a bounded number of conditions."""
        n_leaves, d = self.feature.shape
        step = max(1, ELEMENTS // max(d, 1))
        for start in range(0, n_leaves, step):
            yield self[slice(start, start + step)]


@dataclass(frozen=True, eq=False)
class Trees:
    """The trees of a node of a graph.

    Attributes:
      base: The mean prediction for the training rows, (n_targets,).
      paths: The paths of all leaves, grouped by their number of features.
    """

    base: Doubles
    paths: tuple[Paths, ...]

    def contributions(self, x: NDArray[np.float32], column_of: Numbers, n_columns: int) -> Doubles:
        """The contributions of the columns to the predictions for features (n, n_features), where
        the features belong to the columns with these indices (n_features,): float64 (n, n_columns,
        n_targets)."""
        n_targets = len(self.base)
        found = np.zeros((n_columns * n_targets, len(x)))
        features = np.ascontiguousarray(x.T, np.float64)
        for group in self.paths:
            for part in group.parts():
                add = _Adder.of(part, column_of, n_targets)
                for start in range(0, len(x), ROWS):
                    rows = slice(start, start + ROWS)
                    add(features[:, rows], found[:, rows])
        return np.moveaxis(found.reshape(n_columns, n_targets, len(x)), 2, 0)


@dataclass(frozen=True, eq=False)
class _Adder:
    """Adds the contributions of some paths. Everything that does not depend on rows is computed
    once.

    Attributes:
      absent, ratio: Logarithms, at each of the q points, of a path's product if nothing is known,
        (n_leaves, q, 1), and of the factor of each condition that holds, (n_leaves, q, d).
      holds: Weights of the products for conditions that hold (n_leaves, d, q).
      fails: The same for conditions that do not hold (q,).
      order, weight: The conditions of the terms, sorted by sum, and their factors.
      starts, sums: The first term of each sum, and the index of the sum.
    """

    paths: Paths
    absent: Doubles
    ratio: Doubles
    holds: Doubles
    fails: Doubles
    order: Numbers
    weight: Doubles
    starts: Numbers
    sums: Numbers

    @classmethod
    def of(cls, paths: Paths, column_of: Numbers, n_targets: int) -> "_Adder":
        d = paths.feature.shape[1]
        points, weights = np.polynomial.legendre.leggauss((d + 1) // 2)
        t, weights = (points[None, :, None] + 1) / 2, weights / 2
        share = paths.share[:, None, :]
        known, absent = t + (1 - t) * share, (1 - t) * share
        condition = (paths.leaf[:, None] * d + np.arange(d)).ravel()
        place = column_of[paths.feature.ravel()[condition]] * n_targets + paths.target.repeat(d)
        order = np.argsort(place, kind="stable")
        sums, starts = np.unique(place[order], return_index=True)
        return cls(
            paths,
            np.log(absent).sum(axis=2, keepdims=True),
            np.log(known / absent),
            np.swapaxes(weights[None, :, None] * (1 - share) / known, 1, 2),
            -weights / (1 - t.ravel()),
            condition[order],
            paths.weight.repeat(d)[order, None],
            starts,
            sums,
        )

    def __call__(self, features: Doubles, found: Doubles) -> None:
        """Add the contributions of features (n_features, n) to `found` (n_sums, n)."""
        paths = self.paths
        x = features[paths.feature]  # (n_leaves, d, n)
        holds = (x > paths.low[..., None]) & (x <= paths.high[..., None])
        holds |= np.isnan(x) & paths.takes_missing[..., None]
        product = np.exp(self.absent + self.ratio @ holds.astype(np.float64))  # (n_leaves, q, n)
        each = np.where(holds, self.holds @ product, (self.fails @ product)[:, None, :])
        terms = each.reshape(-1, x.shape[2])[self.order] * self.weight
        found[self.sums] += np.add.reduceat(terms, self.starts, axis=0)


def read_trees(node: NodeProto) -> Trees | None:
    """The trees of a TreeEnsembleRegressor. None if it has no counts of training rows, as in files
    of the first versions."""
    given = {attribute.name: attribute for attribute in node.attribute}

    def array(name: str, dtype: Any) -> NDArray[Any]:
        if f"{name}_as_tensor" in given:
            return to_array(given[f"{name}_as_tensor"].t).astype(dtype)
        if name not in given:
            return np.zeros(len(is_leaf), dtype)
        return np.asarray(value_of(given[name]), dtype)

    if "nodes_hitrates" not in given:
        return None
    is_leaf = np.array(value_of(given["nodes_modes"])) == b"LEAF"
    tree, number = array("nodes_treeids", np.int64), array("nodes_nodeids", np.int64)
    first = np.arange(len(tree)) - number  # the nodes are in order, tree by tree
    ways = _Ways(
        array("nodes_featureids", np.int64),
        array("nodes_values", np.float64),
        array("nodes_missing_value_tracks_true", np.bool_),
        array("nodes_hitrates", np.float64),
        first + array("nodes_truenodeids", np.int64),
        first + array("nodes_falsenodeids", np.int64),
        is_leaf,
    )
    roots = dict(zip(tree[number == 0].tolist(), np.flatnonzero(number == 0), strict=True))
    root = np.array([roots[one] for one in array("target_treeids", np.int64).tolist()])
    leaf = root + array("target_nodeids", np.int64)
    target, weight = array("target_ids", np.int64), array("target_weights", np.float64)
    (n_targets,) = (a.i for a in node.attribute if a.name == "n_targets")
    base = np.zeros(n_targets)
    if "base_values_as_tensor" in given:
        base += array("base_values", np.float64)
    hits = ways.hits
    base += np.bincount(target, weight * hits[leaf] / hits[root], n_targets)
    return Trees(base, tuple(_grouped(ways, leaf, target, weight)))


@dataclass(frozen=True, eq=False)
class _Ways:
    """The nodes of all trees. Each array is (n_nodes,)."""

    feature: Numbers
    threshold: Doubles
    missing_goes_left: NDArray[np.bool_]
    hits: Doubles
    left: Numbers
    right: Numbers
    is_leaf: NDArray[np.bool_]


def _grouped(ways: _Ways, leaf: Numbers, target: Numbers, weight: Doubles) -> Iterator[Paths]:
    """The paths to leaves with values, grouped by their number of features."""
    leaves, answer_of = np.unique(leaf, return_inverse=True)
    owner, feature, low, high, takes_missing, share = _conditions(ways, leaves)
    order = np.lexsort((feature, owner))
    owner, feature = owner[order], feature[order]
    is_new = np.ones(len(owner), bool)
    is_new[1:] = (owner[1:] != owner[:-1]) | (feature[1:] != feature[:-1])
    starts = np.flatnonzero(is_new)
    if not len(starts):
        return
    owner, feature = owner[starts], feature[starts]
    low = np.maximum.reduceat(low[order], starts)
    high = np.minimum.reduceat(high[order], starts)
    takes_missing = np.logical_and.reduceat(takes_missing[order], starts)
    share = np.multiply.reduceat(share[order], starts)
    length = np.bincount(owner, minlength=len(leaves))
    place = np.empty(len(leaves), np.int64)
    for d in np.unique(length[length > 0]).tolist():
        own = np.flatnonzero(length == d)
        place[own] = np.arange(len(own))
        rows, answers = length[owner] == d, length[answer_of] == d
        yield Paths(
            feature[rows].reshape(-1, d),
            low[rows].reshape(-1, d),
            high[rows].reshape(-1, d),
            takes_missing[rows].reshape(-1, d),
            share[rows].reshape(-1, d),
            place[answer_of[answers]],
            target[answers],
            weight[answers],
        )


def _conditions(ways: _Ways, leaves: Numbers) -> tuple[NDArray[Any], ...]:
    """For each node above each leaf: the index of the leaf, the feature, `low`, `high`, whether a
    missing value goes this way, and the share of the node's rows that went this way."""
    inner = np.flatnonzero(~ways.is_leaf)
    parent = np.full(len(ways.is_leaf), -1)
    parent[ways.left[inner]] = parent[ways.right[inner]] = inner
    found = []
    node, owner = leaves, np.arange(len(leaves))
    while True:
        goes_on = parent[node] >= 0
        node, owner = node[goes_on], owner[goes_on]
        if not len(node):
            break
        above = parent[node]
        is_left = ways.left[above] == node
        threshold = ways.threshold[above]
        found.append(
            (
                owner,
                ways.feature[above],
                np.where(is_left, -np.inf, threshold),
                np.where(is_left, threshold, np.inf),
                ways.missing_goes_left[above] == is_left,
                np.maximum(ways.hits[node] / np.maximum(ways.hits[above], 1e-30), LEAST_SHARE),
            )
        )
        node = above
    if not found:
        empty = np.empty(0)
        return empty.astype(np.int64), empty.astype(np.int64), empty, empty, empty > 0, empty
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))
