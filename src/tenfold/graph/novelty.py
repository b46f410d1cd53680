"""Novelty: distances from the training rows, and the doubt of the answer."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import TensorProto

from tenfold.calibration import SMALLEST, Distance, Novelty
from tenfold.graph.builder import Builder


def add_novelty(
    builder: Builder, novelty: Novelty, features: str, hidden: str | None, probabilities: str
) -> None:
    """The steps of `Novelty.of`, from (n, d), (n, h) and (n, n_labels) to `novelty` (n,)."""
    total = _add_distance(builder, novelty.features, features, "novelty.features")
    if novelty.hidden is not None and hidden is not None:
        other = _add_distance(builder, novelty.hidden, hidden, "novelty.hidden")
        total = builder.node("Add", total, other, name="novelty.distances")

    def number(name: str, value: float) -> str:
        return builder.weight(f"novelty.{name}", value, np.float64)

    best = builder.node("ReduceMax", probabilities, name="novelty.best", axes=[1], keepdims=0)
    best = builder.node("Cast", best, name="novelty.best.double", to=TensorProto.DOUBLE)
    best = builder.node("Max", best, number("smallest", SMALLEST), name="novelty.cut")
    sure = builder.node("Log", best, name="novelty.log")
    # weight * (-log p - middle) = (log p + middle) * -weight
    sure = builder.node(
        "Add", sure, number("doubt.middle", novelty.doubt_middle), name="novelty.sure"
    )
    doubt = builder.node("Mul", sure, number("doubt", -novelty.doubt_weight), name="novelty.doubt")
    total = builder.node("Add", total, doubt, name="novelty.sum")
    builder.last = builder.node("Div", total, number("unit", novelty.unit), name="novelty.units")
    builder.add("Cast", name="novelty.single", to=TensorProto.FLOAT)
    builder.output("novelty")


def _add_distance(builder: Builder, distance: Distance, rows: str, prefix: str) -> str:
    """The steps of `Distance.of`, in float64 with weights kept as float32."""

    def weight(name: str, value: ArrayLike) -> str:
        single = builder.weight(f"{prefix}.{name}", value)
        return builder.node("Cast", single, name=f"{prefix}.{name}.double", to=TensorProto.DOUBLE)

    def number(name: str, value: ArrayLike) -> str:
        return builder.weight(f"{prefix}.{name}", value, np.float64)

    def node(operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        return builder.node(operator, *inputs, name=f"{prefix}.{name}", **attributes)

    rows = node("Cast", rows, name="double", to=TensorProto.DOUBLE)
    x = node("Sub", rows, weight("mean", distance.mean), name="centred")
    none, zero = number("none", np.zeros(1)), number("zero", 0.0)
    y = node("Gemm", x, weight("axes", distance.axes), none, name="place")
    z = node("Gemm", y, weight("whitening", distance.whitening), none, name="whitened")
    of_x, of_y, of_z = (
        node("ReduceSumSquare", values, name=f"square.{name}", axes=[1], keepdims=0)
        for name, values in (("x", x), ("y", y), ("z", z))
    )
    off = node("Max", node("Sub", of_x, of_y, name="off"), zero, name="off.least")
    off = node("Div", off, number("rest", distance.rest), name="off.units")
    squares = -(distance.centres.astype(np.float64) ** 2).sum(axis=1)
    closeness = node(
        "Gemm", z, weight("centres", distance.centres), number("centres.square", squares),
        name="closeness", alpha=2.0, transB=1,
    )  # fmt: skip
    nearest = node("ReduceMax", closeness, name="nearest", axes=[1], keepdims=0)
    near = node("Max", node("Sub", of_z, nearest, name="near"), zero, name="near.least")
    root = node("Sqrt", node("Add", near, off, name="square"), name="distance")
    beyond = node("Sub", root, number("middle", distance.middle), name="beyond")
    return node("Div", beyond, number("scale", distance.scale), name="counted")
