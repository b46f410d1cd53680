"""The nodes of novelty: distances from the training rows, and the doubt of the prediction."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tenfold.build.calibration import SMALLEST
from tenfold.build.novelty import SHORTEST, Angle, Distance, Novelty, Strangeness
from tenfold.core.onnx_builder import Builder
from tenfold.core.onnx_file import TensorProto


def add_novelty(
    builder: Builder, novelty: Novelty, features: str, hidden: str | None, probabilities: str
) -> None:
    """The sum of `Novelty.of`, from (n, d), (n, h) and (n, n_labels) to `novelty` (n,).

    All subtracted constants are combined in advance, and each part is divided by the unit, so that
    there are fewer nodes: starting a node takes longer than the computation for one digit.
    """

    def node(operator: str, *inputs: str, name: str) -> str:
        return builder.node(operator, *inputs, name=f"novelty.{name}")

    def number(name: str, value: ArrayLike) -> str:
        return builder.weight(f"novelty.{name}", value)

    flat = builder.node("Flatten", features, name="novelty.seen", axis=1)
    parts: list[tuple[Any, str, str]] = [(novelty.features, flat, "features")]
    if novelty.hidden is not None and hidden is not None:
        parts.append((novelty.hidden, hidden, "hidden"))
    constant = novelty.doubt_weight * novelty.doubt_middle
    terms = []
    strangeness = novelty.strangeness
    if strangeness is not None:
        rows = hidden if strangeness.of_hidden and hidden is not None else flat
        terms.append(_add_odds(builder, strangeness, rows, novelty.unit))
        constant += (strangeness.middle - strangeness.output_bias) / strangeness.scale
    for distance, rows, name in parts:
        add = _add_angle if isinstance(distance, Angle) else _add_distance
        root = add(builder, distance, rows, f"novelty.{name}")
        by = number(f"{name}.scale", 1 / (distance.scale * novelty.unit))
        terms.append(node("Mul", root, by, name=f"{name}.counted"))
        constant += distance.middle / distance.scale
    best = builder.node("ReduceMax", probabilities, name="novelty.best", axes=[1], keepdims=0)
    sure = node("Log", node("Max", best, number("smallest", SMALLEST), name="cut"), name="sure")
    by = number("doubt", -novelty.doubt_weight / novelty.unit)
    terms.append(node("Mul", sure, by, name="doubt.counted"))
    total = terms[0]
    for i, term in enumerate(terms[1:]):
        total = node("Add", total, term, name=f"sum.{i}")
    builder.last = node("Sub", total, number("constant", constant / novelty.unit), name="units")
    builder.output("novelty")


def _add_odds(builder: Builder, strangeness: Strangeness, rows: str, unit: float) -> str:
    """The log-odds of `Strangeness.of` without their constants, in units."""

    def node(operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        return builder.node(operator, *inputs, name=f"novelty.strange.{name}", **attributes)

    def weight(name: str, value: ArrayLike) -> str:
        return builder.weight(f"novelty.strange.{name}", value)

    kernel, bias = weight("kernel", strangeness.kernel), weight("bias", strangeness.bias)
    awake = node("Relu", node("Gemm", rows, kernel, bias, name="sums"), name="awake")
    by = weight("output", strangeness.output[:, None] / (strangeness.scale * unit))
    odds = node("Gemm", awake, by, weight("none", [0.0]), name="column")
    # The maximum of the only column: it makes (n, 1) to (n,), and the network page computes it.
    return node("ReduceMax", odds, name="odds", axes=[1], keepdims=0)


def _add_angle(builder: Builder, angle: Angle, rows: str, prefix: str) -> str:
    """Append the unscaled distance of `Angle.of`, which is 1 - the cosine."""

    def node(operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        return builder.node(operator, *inputs, name=f"{prefix}.{name}", **attributes)

    square = node("ReduceSumSquare", rows, name="square", axes=[1], keepdims=0)
    shortest = builder.weight(f"{prefix}.shortest", SHORTEST)
    length = node("Max", node("Sqrt", square, name="root"), shortest, name="length")
    centres = builder.weight(f"{prefix}.centres", angle.centres.T)
    products = node("MatMul", rows, centres, name="products")
    largest = node("ReduceMax", products, name="largest", axes=[1], keepdims=0)
    one = builder.weight(f"{prefix}.one", 1.0)
    return node("Sub", one, node("Div", largest, length, name="cosine"), name="angle")


def _add_distance(builder: Builder, distance: Distance, rows: str, prefix: str) -> str:
    """Append the unscaled distance of `Distance.of`, which is the square root."""

    def weight(name: str, value: ArrayLike) -> str:
        single = builder.weight(f"{prefix}.{name}", value)
        if not distance.wide:
            return single
        return builder.node("Cast", single, name=f"{prefix}.{name}.double", to=TensorProto.DOUBLE)

    def node(operator: str, *inputs: str, name: str) -> str:
        return builder.node(operator, *inputs, name=f"{prefix}.{name}")

    if distance.wide:
        rows = builder.node("Cast", rows, name=f"{prefix}.double", to=TensorProto.DOUBLE)
    none = weight("none", np.zeros(1))
    x = node("Sub", rows, weight("mean", distance.mean), name="centred")
    y = node("Gemm", x, weight("axes", distance.axes), none, name="place")

    def square(name: str, values: str) -> str:
        return builder.node(
            "ReduceSumSquare", values, name=f"{prefix}.square.{name}", axes=[1], keepdims=0
        )

    of_x, of_y = square("x", x), square("y", y)
    z, of_z = y, of_y
    if distance.whitening is not None:
        z = node("Gemm", y, weight("whitening", distance.whitening), none, name="whitened")
        of_z = square("z", z)
    off = node("Sub", of_x, of_y, name="off")
    off = node("Mul", off, weight("rest", 1 / distance.rest), name="off.units")
    squares = weight("centres.square", -(distance.centres.astype(np.float64) ** 2).sum(axis=1))
    closeness = builder.node(
        "Gemm",
        z,
        weight("centres", distance.centres),
        squares,
        name=f"{prefix}.closeness",
        alpha=2.0,
        transB=1,
    )
    nearest = builder.node("ReduceMax", closeness, name=f"{prefix}.nearest", axes=[1], keepdims=0)
    near = node("Sub", of_z, nearest, name="near")
    both = node("Add", near, off, name="square")
    root = node("Sqrt", node("Max", both, weight("zero", 0.0), name="least"), name="distance")
    if not distance.wide:
        return root
    return builder.node("Cast", root, name=f"{prefix}.single", to=TensorProto.FLOAT)
