"""A fitted learner becomes one ONNX graph of standard operators, with its contract as metadata.

Opset 17 and IR version 8 (2022) on purpose: every runtime of the last years reads them, and
nothing newer is needed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tenfold.contract import METADATA_KEY, Contract
from tenfold.errors import ExportError, message
from tenfold.learners import Fitted

OPSET = 17
IR_VERSION = 8
OPERATORS = frozenset({"Cast", "Flatten", "Gemm", "Mul", "Relu", "Softmax"})
"""What graphs are made of; a file with anything else was not written here."""

TOLERANCE = 1e-4
"""Largest difference of a probability between the graph and the learner it was made from."""


def to_graph(fitted: Fitted, contract: Contract) -> bytes:
    """The model file of a fitted network: uint8 `image` in, float32 `probabilities` out.

    Raises:
      ExportError: A layer that has no translation; the message names it.
    """
    builder = _Builder(contract.input.name)
    builder.add("Cast", to=TensorProto.FLOAT)
    for layer in fitted.network.layers:
        translate = LAYERS.get(type(layer).__name__)
        if translate is None:
            raise ExportError(
                message(
                    "Layer without a translation to ONNX",
                    expected=f"one of {', '.join(LAYERS)}",
                    layer=layer.name,
                    kind=type(layer).__name__,
                )
            )
        translate(builder, layer)
    builder.nodes[-1].output[0] = "probabilities"
    graph = helper.make_graph(
        builder.nodes,
        "tenfold",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", *contract.input.shape])],
        [
            helper.make_tensor_value_info(
                "probabilities", TensorProto.FLOAT, ["n", len(contract.labels)]
            )
        ],
        builder.weights,
    )
    model = helper.make_model(
        graph,
        producer_name="tenfold",
        producer_version=contract.tenfold,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, {METADATA_KEY: contract.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def check_agreement(
    expected: NDArray[np.float32], answered: NDArray[np.float32], keys: Sequence[str]
) -> None:
    """Refuse a graph that answers differently from its learner.

    Args:
      expected: The learner's probabilities (n, n_labels).
      answered: The graph's, for the same rows.
      keys: Names of the rows, for the message.

    Raises:
      ExportError: A probability differs by more than 1e-4, is not a number, or another label wins
        by more than that.
    """
    difference = np.abs(expected - answered).max(axis=1)
    best = answered.argmax(axis=1)
    # With another label on top the learner must have seen a tie.
    lead = expected.max(axis=1) - np.take_along_axis(expected, best[:, None], axis=1)[:, 0]
    wrong = ~(difference <= TOLERANCE) | ~(lead <= TOLERANCE)
    if wrong.any():
        raise ExportError(
            message(
                "The graph does not answer like the learner",
                where=", ".join(keys[row] for row in np.flatnonzero(wrong)[:3]),
                expected=f"differences of at most {TOLERANCE:g}",
                n_rows=int(wrong.sum()),
                of=len(expected),
                largest=float(np.nanmax(difference, initial=0.0)),
            )
        )


class _Builder:
    """A chain of nodes: each takes the output of the one before."""

    def __init__(self, first: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._last = first

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> None:
        name = name or operator.lower()
        node = helper.make_node(operator, [self._last, *inputs], [name], name=name, **attributes)
        self.nodes.append(node)
        self._last = name

    def weight(self, name: str, value: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name


def _rescaling(builder: _Builder, layer: Any) -> None:
    builder.add("Mul", builder.weight(f"{layer.name}.factor", layer.scale), name=layer.name)


def _flatten(builder: _Builder, layer: Any) -> None:
    builder.add("Flatten", name=layer.name, axis=1)


def _dense(builder: _Builder, layer: Any) -> None:
    builder.add(
        "Gemm",
        builder.weight(f"{layer.name}.kernel", layer.kernel.value),
        builder.weight(f"{layer.name}.bias", layer.bias.value),
        name=layer.name,
    )
    activation = layer.activation.__name__
    if activation == "relu":
        builder.add("Relu", name=f"{layer.name}.relu")
    elif activation != "linear":
        raise ExportError(
            message(
                "Activation without a translation to ONNX",
                expected="linear or relu",
                layer=layer.name,
                activation=activation,
            )
        )


def _softmax(builder: _Builder, layer: Any) -> None:
    builder.add("Softmax", name=layer.name, axis=-1)


def _nothing(builder: _Builder, layer: Any) -> None:
    """A layer that acts while training alone."""


LAYERS: dict[str, Callable[[_Builder, Any], None]] = {
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Dense": _dense,
    "Dropout": _nothing,
    "Softmax": _softmax,
}
"""How each Keras layer is written, by class name."""
