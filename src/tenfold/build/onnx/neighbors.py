"""Nearest neighbours: distances by Gemm, TopK, and the votes of the rows found."""

import numpy as np
from onnx import TensorProto

from tenfold.core.onnx_builder import Builder
from tenfold.learners.neighbors import NEAR_ZERO, Neighbors


def add_neighbors(builder: Builder, body: Neighbors) -> None:
    """The steps of `Neighbors.answers`, in float64; see there why all of it is exact."""
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
    """Append TopK of 2 <place, row> - |row|**2; without |place|**2, the same for every row."""
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
