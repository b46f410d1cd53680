"""Nodes and weights of a graph while it grows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper


@dataclass(frozen=True, eq=False)
class Front:
    """The beginning of a graph that somebody else built: from its inputs to the features.

    Attributes:
      inputs: The graph's inputs, in order. No input may have the name of an output.
      nodes: In order, of operators in `model.OPERATORS`.
      initializers: Their weights.
      output: Name of the tensor with the features, float32 (n, d).
    """

    inputs: tuple[onnx.ValueInfoProto, ...]
    nodes: tuple[onnx.NodeProto, ...]
    initializers: tuple[onnx.TensorProto, ...]
    output: str

    def names(self) -> set[str]:
        """Every name that is taken."""
        named = {value.name for value in self.inputs} | {value.name for value in self.initializers}
        return named | {name for node in self.nodes for name in (node.name, *node.output)}


class Builder:
    """A graph that grows at its end.

    `add` appends to the chain: its node takes `last` first, and its output becomes `last`.
    `node` stands beside the chain. A name that is taken gets a "_" more. `seen` is the tensor of
    scaled pictures, `hidden` that of the last hidden activations (n, d): novelty looks at both.
    """

    def __init__(self, last: str, taken: Iterable[str] = ()) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = last
        self.seen: str | None = None
        self.hidden: str | None = None
        self._taken = {last, *taken}

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        self.last = self.node(operator, self.last, *inputs, name=name, **attributes)
        return self.last

    def node(
        self,
        operator: str,
        *inputs: str,
        name: str | None = None,
        outputs: int = 1,
        **attributes: Any,
    ) -> str:
        """Add a node and return its last output."""
        name = self._free(name or operator.lower())
        produced = [self._free(f"{name}.{i}") for i in range(outputs - 1)] + [name]
        node = helper.make_node(operator, inputs, produced, name=name, **attributes)
        self.nodes.append(node)
        return name

    def weight(self, name: str, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        name = self._free(name)
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def output(self, name: str) -> None:
        """Give the output of the last node its final name."""
        self.nodes[-1].output[-1] = self.last = name

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
