"""Write a fitted learner as one ONNX graph of standard operators, with its contract as metadata.

The graph has a front (from pictures or columns to features), a body (the learner) and a tail
(calibration). It deliberately uses opset 17, version 3 of the machine learning operators and IR
version 8 (2022), which all runtimes of recent years can read.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tenfold.build.calibration import SMALLEST, Constants
from tenfold.build.novelty import Novelty
from tenfold.build.onnx.bodies import BODIES, add_pixels
from tenfold.build.onnx.novelty import add_novelty
from tenfold.build.onnx.trees import TREES_DOMAIN, add_widths
from tenfold.core.contract import METADATA_KEY, Contract
from tenfold.core.errors import ExportError
from tenfold.core.onnx_builder import Builder, Front
from tenfold.core.onnx_file import GraphProto, ModelProto, TensorProto
from tenfold.learners import Fitted

OPSETS = {"": 17, TREES_DOMAIN: 3}
"""The version of each set of operators that the graph uses."""
IR_VERSION = 8

TOLERANCE = 1e-4
"""Maximum difference of a probability, or of a value in standard deviations of its target, between
the graph and the learner from which it was made."""

OUTPUTS = {"classification": ("probabilities",), "regression": ("value", "low", "high")}


def to_graph(
    fitted: Fitted,
    contract: Contract,
    *,
    constants: Constants | None = None,
    front: Front | None = None,
    novelty: Novelty | None = None,
) -> bytes:
    """Make the model file of a fitted learner.

    Its input for pictures is uint8 `image`, and otherwise the inputs of `front`. Its outputs are
    float32 `probabilities` (n, n_labels) with `novelty` (n,) if the contract has a threshold for
    it, and bool `in_set` (n, n_labels) if it has prediction sets; or float32 `value`, `low` and
    `high` (n,) in the target's unit. Without `constants` nothing is calibrated.

    Raises:
      ExportError: A part of the learner cannot be translated, or an input has the name of an
        output.
    """
    from onnx import helper

    constants = constants or Constants()
    outputs = (
        *OUTPUTS[contract.task],
        *(["novelty"] if novelty is not None else []),
        *([contract.set_output] if contract.gives_sets else []),
    )
    takes_pictures = front is None
    if front is None:
        shape = getattr(contract.input, "shape", ())
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", *shape])
        front = Front((image,), (), (), "image")
    if clash := sorted(front.names() & set(outputs)):
        raise ExportError(
            "E608",
            "An input has the name of an output",
            expected=f"none of {', '.join(outputs)}",
            names=clash,
        )
    builder = Builder(front.output, {*front.names(), *outputs})
    if takes_pictures:
        add_pixels(builder, fitted.body)
    seen = builder.last
    BODIES[type(fitted.body)](builder, fitted.body)
    if contract.task == "classification":
        _add_temperature(builder, constants)
    else:
        _add_interval(builder, constants, seen)
    if novelty is not None:
        add_novelty(builder, novelty, builder.seen or seen, builder.hidden, builder.last)
    if contract.gives_sets:
        builder.last = "probabilities"
        thresholds = builder.weight("set_thresholds", constants.set_thresholds)
        builder.add("GreaterOrEqual", thresholds, name="set")
        builder.output(contract.set_output)
    graph = helper.make_graph(
        [*front.nodes, *builder.nodes],
        "tenfold",
        front.inputs,
        [
            helper.make_tensor_value_info(
                name,
                TensorProto.BOOL if name == contract.set_output else TensorProto.FLOAT,
                ["n", len(contract.labels)]
                if name in ("probabilities", contract.set_output)
                else ["n"],
            )
            for name in outputs
        ],
        [*front.initializers, *builder.weights],
    )
    return _model(graph, contract)


def _add_temperature(builder: Builder, constants: Constants) -> None:
    """Append softmax(log(p * factors) / temperature), with p at least 1e-7, unless it changes
    nothing."""
    if constants.changes_probabilities:
        low = builder.weight("smallest", SMALLEST)
        builder.add("Clip", low, builder.weight("largest", 1.0), name="cut")
        builder.add("Log", name="log")
        if constants.label_factors:
            logs = builder.weight("log_factors", np.log(constants.label_factors))
            builder.add("Add", logs, name="reweighted")
        inverse = builder.weight("inverse_temperature", 1 / constants.temperature)
        builder.add("Mul", inverse, name="tempered")
        builder.add("Softmax", name="calibrated", axis=-1)
    builder.output("probabilities")


def _add_interval(builder: Builder, constants: Constants, features: str) -> None:
    """Append `value` in the target's unit, and `low` and `high`, which are half the interval's
    width below and above it."""
    flat = builder.weight("flat", [-1], np.int64)
    answer = builder.add("Reshape", flat, name="standardised")
    if constants.widths is None:
        half = builder.weight("half_width", constants.half_width, np.float64)
    else:
        add_widths(builder, constants.widths, constants.target_scale, features)
        builder.add("Reshape", flat, name="half_width.single")
        half = builder.add("Cast", name="half_width", to=TensorProto.DOUBLE)
        builder.last = answer
    # This is computed in float64, so that a value of 1e9 keeps its digits until the end.
    builder.add("Cast", name="value.double", to=TensorProto.DOUBLE)
    scale = builder.weight("target_scale", constants.target_scale, np.float64)
    mean = builder.weight("target_mean", constants.target_mean, np.float64)
    builder.add("Mul", scale, name="value.scaled")
    value = builder.add("Add", mean, name="value.exact")
    ends = {
        "value": value,
        "low": builder.node("Sub", value, half, name="low.exact"),
        "high": builder.node("Add", value, half, name="high.exact"),
    }
    for name, end in ends.items():
        builder.last = end
        builder.add("Cast", name=f"{name}.single", to=TensorProto.FLOAT)
        builder.output(name)


def _model(graph: GraphProto, contract: Contract) -> bytes:
    import onnx
    from onnx import helper

    domains = {"", *(node.domain for node in graph.node)}
    model = helper.make_model(
        graph,
        producer_name="tenfold",
        producer_version=contract.tenfold,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(name, OPSETS[name]) for name in sorted(domains)],
    )
    content = _with_contract(model, contract)
    onnx.checker.check_model(content, full_check=True)
    return content


def with_contract(content: bytes, contract: Contract) -> bytes:
    """The same model file with another contract."""
    import onnx

    return _with_contract(onnx.ModelProto.FromString(content), contract)


def _with_contract(model: ModelProto, contract: Contract) -> bytes:
    from onnx import helper

    helper.set_model_props(model, {METADATA_KEY: contract.model_dump_json()})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def check_agreement(
    expected: NDArray[np.float32],
    answered: NDArray[np.float32],
    keys: Sequence[str],
    *,
    scale: float | NDArray[np.float32] = 1.0,
) -> None:
    """Refuse a graph whose predictions for rows, named by `keys`, differ from its learner's.

    Both are probabilities (n, n_labels), or values or novelty (n,); `expected` is after
    `Constants.apply`. Differences of values are divided by `scale`, which is the standard deviation
    of the target, or one number for each row (n,).

    Raises:
      ExportError: A prediction differs by more than 1e-4, is NaN, or another label wins by more
        than that.
    """
    if expected.ndim == 1:  # values, or novelty
        difference = np.abs(expected.astype(np.float64) - answered) / scale
        # Far from 0, neighbouring float32 numbers differ by more than that. Two such steps are
        # allowed.
        steps = 2 * np.spacing(np.abs(expected)).astype(np.float64) / scale
        wrong = ~(difference <= TOLERANCE + steps)
    else:
        difference = np.abs(expected - answered).max(axis=1)
        best = answered.argmax(axis=1)
        # Another label may only win if the learner's probabilities were tied.
        lead = expected.max(axis=1) - np.take_along_axis(expected, best[:, None], axis=1)[:, 0]
        wrong = ~(difference <= TOLERANCE) | ~(lead <= TOLERANCE)
    if wrong.any():
        raise ExportError(
            "E609",
            "The graph does not predict the same as the learner",
            where=", ".join(keys[row] for row in np.flatnonzero(wrong)[:3]),
            expected=f"differences of at most {TOLERANCE:g}",
            n_rows=int(wrong.sum()),
            of=len(expected),
            largest=float(np.nanmax(difference, initial=0.0)),
        )
