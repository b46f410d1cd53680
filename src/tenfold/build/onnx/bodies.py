"""The body of a graph: what each kind of learner computes, as nodes. Trees are in `trees`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.onnx.trees import NEVER, add_boosting, add_forest
from tenfold.core.layers import Architecture, Parameters, Softmax
from tenfold.core.onnx_builder import Builder, TensorProto, add_layers
from tenfold.inputs.features import PIXEL
from tenfold.learners.bayes import Bayes, Block
from tenfold.learners.boosting import Boosting
from tenfold.learners.classical import Constant, Forest, Linear
from tenfold.learners.neighbors import NEAR_ZERO, Neighbors
from tenfold.learners.network import Network, Vote
from tenfold.learners.vote import WeightedVote


def add_pixels(builder: Builder, body: object) -> None:
    """Convert pictures to the input of the learner. A network scales them itself, and other
    learners take flat vectors of values from 0 to 1."""
    builder.add("Cast", to=TensorProto.FLOAT)
    if not isinstance(body, Network | Vote):
        builder.add("Mul", builder.weight("pixel", PIXEL), name="scaled")
        builder.add("Flatten", name="features", axis=1)


def _add_linear(builder: Builder, body: Linear) -> None:
    """Append one Gemm, and a softmax for probabilities."""
    estimator = body.estimator
    kernel = np.atleast_2d(estimator.coef_).T  # (d, k)
    bias = np.atleast_1d(estimator.intercept_)
    if body.n_labels is not None:
        # Scikit-learn stores only the log-odds of the second label.
        if len(estimator.classes_) == 2:
            kernel = np.hstack([np.zeros_like(kernel), kernel])
            bias = np.r_[0.0, bias]
        kernel = _to_labels(kernel, estimator.classes_, body.n_labels, 0.0)
        bias = _to_labels(bias, estimator.classes_, body.n_labels, NEVER)
    builder.add(
        "Gemm",
        builder.weight("linear.kernel", kernel),
        builder.weight("linear.bias", bias),
        name="linear",
    )
    if body.n_labels is not None:
        builder.add("Softmax", name="softmax", axis=-1)


def _add_constant(builder: Builder, body: Constant) -> None:
    """Append nodes that return the same row for each input."""
    row = np.atleast_1d(body.row)
    n = builder.node("Shape", builder.last, name="n", start=0, end=1)
    k = builder.weight("n_answers", [len(row)], np.int64)
    shape = builder.node("Concat", n, k, name="shape", axis=0)
    builder.last = builder.node("Expand", builder.weight("row", row[None]), shape, name="constant")


def _add_bayes(builder: Builder, body: Bayes) -> None:
    """Add up the log-likelihoods of all blocks in float64, and apply a softmax.

    In float32 a sum over 784 columns, and its softmax, would have errors of up to 1e-4.
    """
    total = builder.weight(
        "log_prior", _to_labels(body.log_prior, body.classes, body.n_labels, NEVER), np.float64
    )
    given = builder.last
    for block in body.blocks:
        total = _add_block(builder, given, block, body, total)
    builder.last = total
    builder.add("Softmax", name="softmax", axis=-1)
    builder.add("Cast", name="single", to=TensorProto.FLOAT)


def _add_block(builder: Builder, given: str, block: Block, body: Bayes, total: str) -> str:
    """Gemm(input of the block, its kernel) + total."""
    name = block.kind.lower()
    columns = builder.weight(f"{name}.columns", block.columns, np.int64)
    seen = builder.node("Gather", given, columns, name=f"{name}.seen", axis=1)
    if block.kind == "Bernoulli":
        limits = builder.weight(f"{name}.thresholds", block.thresholds)
        seen = builder.node("Greater", seen, limits, name=f"{name}.present")
    seen = builder.node("Cast", seen, name=f"{name}.double", to=TensorProto.DOUBLE)
    if block.kind == "Gaussian":
        square = builder.node("Mul", seen, seen, name=f"{name}.square")
        seen = builder.node("Concat", seen, square, name=f"{name}.powers", axis=1)
    kernel, bias = _log_likelihood(block)
    kernel = _to_labels(kernel, body.classes, body.n_labels, 0.0)
    bias = _to_labels(bias, body.classes, body.n_labels, 0.0)
    summed = builder.node(
        "Gemm",
        seen,
        builder.weight(f"{name}.kernel", kernel, np.float64),
        builder.weight(f"{name}.bias", bias, np.float64),
        name=f"{name}.likelihood",
    )
    return builder.node("Add", summed, total, name=f"{name}.total")


def _log_likelihood(block: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel (n_seen, n_classes) and bias (n_classes,) of a block's log-likelihood."""
    estimator = block.estimator
    if block.kind == "Bernoulli":
        absent = np.log1p(-np.exp(estimator.feature_log_prob_))
        return (estimator.feature_log_prob_ - absent).T, absent.sum(axis=1)
    if block.kind == "multinomial":
        return estimator.feature_log_prob_.T, np.zeros(len(estimator.classes_))
    mean, variance = estimator.theta_, estimator.var_  # (n_classes, n_columns)
    # -(x - mean)**2 / (2 variance), multiplied out.
    kernel = np.concatenate([mean / variance, -0.5 / variance], axis=1).T
    bias = -0.5 * (mean**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
    return kernel, bias


def _to_labels(
    values: NDArray[np.float64], classes: NDArray[np.int64], n_labels: int, rest: float
) -> NDArray[np.float64]:
    """Expand the columns of the labels with training rows to columns of all labels."""
    wide = np.full((*values.shape[:-1], n_labels), rest)
    wide[..., classes] = values
    return wide


def _add_neighbors(builder: Builder, body: Neighbors) -> None:
    """Append the steps of `Neighbors.answers`, in float64, in which they are exact, as explained
    there."""
    _add_place(builder, body)
    place = builder.last
    _add_nearest(builder, body)
    closeness, rows = f"{builder.last}.0", builder.last
    votes = builder.weight("votes", body.votes)
    found = builder.node("Gather", votes, rows, name="votes.found", axis=0)
    builder.last = builder.node("Cast", found, name="votes.double", to=TensorProto.DOUBLE)
    if body.by_distance:
        own = builder.node("ReduceSumSquare", place, name="own", axes=[1], keepdims=1)
        square = builder.node("Sub", own, closeness, name="distance.square")
        distance = builder.node("Sqrt", square, name="distance")
        almost = builder.weight("near_zero", NEAR_ZERO, np.float64)
        distance = builder.node("Add", distance, almost, name="distance.above_0")
        nearness = builder.node("Reciprocal", distance, name="nearness")
        axis = builder.weight("last_axis", [2], np.int64)
        builder.add("Mul", builder.node("Unsqueeze", nearness, axis, name="nearness.column"))
    over = builder.weight("neighbours_axis", [1], np.int64)
    builder.add("ReduceSum", over, name="total", keepdims=0)
    n_answers = body.votes.shape[1] - 1
    sizes = builder.weight("split_sizes", [n_answers, 1], np.int64)
    weight = builder.node("Split", builder.last, sizes, name="total.weight", outputs=2, axis=1)
    builder.last = builder.node("Div", f"{weight}.0", weight, name="mean")
    builder.add("Cast", name="single", to=TensorProto.FLOAT)


def _add_place(builder: Builder, body: Neighbors) -> None:
    builder.add("Cast", name="double", to=TensorProto.DOUBLE)
    if body.axes is None:
        builder.add("Sub", builder.weight("center", body.center, np.float64), name="centered")
        builder.add("Div", builder.weight("step", body.step, np.float64), name="grid")
    else:
        builder.add(
            "Gemm",
            builder.weight("components", body.axes, np.float64),
            builder.weight("components.bias", body.offset, np.float64),
            name="components.grid",
        )
    builder.add("Round", name="round")
    low = builder.weight("limit.low", -body.limit, np.float64)
    builder.add("Clip", low, builder.weight("limit.high", body.limit, np.float64), name="place")


def _add_nearest(builder: Builder, body: Neighbors) -> None:
    """Append TopK of 2 <place, row> - |row|**2. The term |place|**2 is left out, because it is the
    same for every row."""
    known = builder.node(
        "Cast",
        builder.weight("rows", body.places, np.int32),
        name="rows.double",
        to=TensorProto.DOUBLE,
    )
    squares = -(body.places.astype(np.float64) ** 2).sum(axis=1)
    builder.add(
        "Gemm",
        known,
        builder.weight("rows.square", squares, np.float64),
        name="closeness",
        alpha=2.0,
        transB=1,
    )
    k = builder.weight("k", [body.k], np.int64)
    builder.add("TopK", k, name="nearest", outputs=2, axis=1)


def _add_vote(builder: Builder, body: Vote) -> None:
    """Append the layers of each network, and the mean of their outputs. Novelty uses the hidden
    activations of the first network."""
    given, seen, hidden, outputs = builder.last, None, None, list[str]()
    for i, member in enumerate(body.members, 1):
        builder.last = given
        add_layers(builder, *_named(member, f"network_{i}"))
        outputs.append(builder.last)
        seen, hidden = seen or builder.seen, hidden or builder.hidden
    builder.seen, builder.hidden = seen, hidden
    builder.last = builder.node("Mean", *outputs, name="vote")
    if isinstance(body.members[0].architecture.layers[-1], Softmax):
        builder.add("Softmax", name="probabilities", axis=-1)


def _add_weighted_vote(builder: Builder, body: WeightedVote) -> None:
    """Append each learner with its own encoding, and the weighted mean of their predictions, in
    float64. Novelty uses the first encoding, and the hidden activations of the first network."""
    parts, hidden, terms = [builder.last], None, list[str]()
    if len(body.widths) > 1:
        sizes = builder.weight("encoding_widths", body.widths, np.int64)
        n = len(body.widths)
        last = builder.node("Split", builder.last, sizes, name="encoding", outputs=n, axis=1)
        parts = [*(f"{last}.{i}" for i in range(n - 1)), last]
    for member in body.members:
        builder.last = parts[member.encoding]
        BODIES[type(member.body)](builder, member.body)
        builder.add("Cast", name="member", to=TensorProto.DOUBLE)
        builder.add("Mul", builder.weight("weight", member.weight, np.float64), name="weighted")
        terms.append(builder.last)
        hidden = hidden or builder.hidden
    builder.seen, builder.hidden = parts[0], hidden
    builder.last = builder.node("Sum", *terms, name="vote")
    builder.add("Cast", name="vote.single", to=TensorProto.FLOAT)


def _named(member: Network, prefix: str) -> tuple[Architecture, Parameters]:
    """Append the layers of a network up to its output, with unique names."""
    layers = (
        replace(layer, name=f"{prefix}.{layer.name}") for layer in member.architecture.to_logits
    )
    parameters = {f"{prefix}.{name}": own for name, own in member.parameters.items()}
    return Architecture(member.architecture.input_shape, tuple(layers)), parameters


BODIES: dict[type, Callable[[Builder, Any], None]] = {
    Network: lambda builder, body: add_layers(builder, body.architecture, body.parameters),
    Vote: _add_vote,
    WeightedVote: _add_weighted_vote,
    Forest: add_forest,
    Boosting: add_boosting,
    Linear: _add_linear,
    Bayes: _add_bayes,
    Neighbors: _add_neighbors,
    Constant: _add_constant,
}
"""The function that appends the nodes of each kind of learner, from pictures or features to its
output."""
