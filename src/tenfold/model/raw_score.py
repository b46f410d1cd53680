"""Find the learner's own score in a graph, before softmax and calibration.

A graph first computes features from columns, and then the learner's score from the features. A
softmax and the calibration convert the score to probabilities, or the score of a regression is
converted to the target's unit. A vote has several learners. Its score is the weighted sum of their
probabilities or values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.core.onnx_file import AttributeProto, GraphProto, NodeProto, to_array

SEPARATE = frozenset({"Add", "Cast", "Concat", "Expand", "Gather", "Gemm", "Greater", "Shape"})
"""The operators that never combine two features."""


@dataclass(frozen=True, eq=False)
class ScorePart:
    """The contribution of one learner to the score: the whole score, or a part of a vote.

    Attributes:
      weight: The factor of its scores, which is 1 for a single learner.
      features: The tensor of its input, (n, n_features).
      tensor: The tensor of its scores, (n, k), or (n, 1) for regression.
      maker: The node that computes the scores.
      is_separate: Whether the scores are sums of terms that depend on one feature each.
      columns: The graph input from which each feature is computed, (n_features,).
      kernel: The kernel and the bias, if the scores are a Gemm of the features.
    """

    weight: float
    features: str
    tensor: str
    maker: NodeProto
    is_separate: bool
    columns: tuple[str, ...]
    kernel: tuple[NDArray[np.float64], NDArray[np.float64]] | None


@dataclass(frozen=True, eq=False)
class RawScore:
    """The score in a graph, before calibration.

    Attributes:
      tensor: The tensor of the scores, (n, k), or (n, 1) for regression.
      is_log_odds: Whether a softmax follows. Otherwise the scores are probabilities or values.
      scale, mean: Convert the score of a regression to a value in the target's unit.
      parts: The contribution of each learner.
    """

    tensor: str
    is_log_odds: bool
    scale: float
    mean: float
    parts: tuple[ScorePart, ...]


def raw_score(graph: GraphProto) -> RawScore:
    """Find the learner's own score in the graph of a model for tables."""
    return _Graph(graph).raw_score()


class _Graph:
    """A graph that is searched from its outputs to its inputs."""

    def __init__(self, graph: GraphProto) -> None:
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.inputs = {value.name for value in graph.input}
        self.front = {name for node in graph.node for name in node.output if "front/" in name}
        self.front |= {
            name
            for node in graph.node  # through which the learners of a vote get their features
            if node.op_type == "Split" and node.input[0] in self.front
            for name in node.output
        }
        self.is_classification = graph.output[0].name == "probabilities"

    def raw_score(self) -> RawScore:
        scale, mean, is_log_odds = 1.0, 0.0, False
        if self.is_classification:
            tensor = self._before(self._before_calibration(), "Cast")
            if self._is_a(tensor, "Softmax"):
                tensor, is_log_odds = self.makers[tensor].input[0], True
        else:
            tensor, mean = self._operand(self._before("value", "Cast"), "Add")
            tensor, scale = self._operand(tensor, "Mul")
            tensor = self._before(self._before(tensor, "Cast"), "Reshape")
            tensor = self._before(tensor, "Cast")
        if self._is_a(tensor, "Sum"):
            parts = tuple(self._member(name) for name in self.makers[tensor].input)
        else:
            parts = (self._part(tensor, 1.0),)
        return RawScore(tensor, is_log_odds, scale, mean, parts)

    def _member(self, tensor: str) -> ScorePart:
        tensor, weight = self._operand(tensor, "Mul")
        return self._part(self._before(tensor, "Cast"), weight)

    def _part(self, tensor: str, weight: float) -> ScorePart:
        maker = self.makers[tensor]
        while maker.op_type == "Add" and not self._is_a(maker.input[0], "Gemm"):
            maker = self.makers[maker.input[0]]  # labels without training rows
        features, used = self._features(tensor)
        return ScorePart(
            weight,
            features,
            tensor,
            maker,
            all(map(self._is_separate, used)),
            tuple(self._columns(features)),
            self._kernel(maker, features),
        )

    def _is_a(self, tensor: str, operator: str) -> bool:
        return tensor in self.makers and self.makers[tensor].op_type == operator

    def _before(self, tensor: str, operator: str) -> str:
        """The input of the node that computes the tensor if the node is of this kind, and otherwise
        the tensor itself."""
        return self.makers[tensor].input[0] if self._is_a(tensor, operator) else tensor

    def _before_calibration(self) -> str:
        tensor = "probabilities"
        if not self._is_a(tensor, "Softmax"):
            return tensor
        logs = self._before(self._before(self.makers[tensor].input[0], "Mul"), "Add")
        return (
            self.makers[self.makers[logs].input[0]].input[0] if self._is_a(logs, "Log") else tensor
        )

    def _operand(self, tensor: str, operator: str) -> tuple[str, float]:
        node = self.makers[tensor]
        assert node.op_type == operator
        return node.input[0], float(self._array(node.input[1]))

    def _array(self, name: str) -> NDArray[np.generic]:
        return to_array(self.stored[name])

    def _features(self, tensor: str) -> tuple[str, list[NodeProto]]:
        """The tensor of features, which is the output of the graph's front, and the nodes after
        it."""
        found, nodes, waiting, seen = set[str](), [], [tensor], set[str]()
        while waiting:
            name = waiting.pop()
            if name in self.front or name in self.inputs:
                found.add(name)
            elif name in self.makers and name not in seen:
                seen.add(name)
                nodes.append(self.makers[name])
                waiting += self.makers[name].input
        (features,) = found
        return features, nodes

    def _is_separate(self, node: NodeProto) -> bool:
        is_square = node.op_type == "Mul" and node.input[0] == node.input[1]
        return node.op_type in SEPARATE or is_square

    def _kernel(
        self, maker: NodeProto, features: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        if maker.op_type != "Gemm" or maker.input[0] != features or maker.attribute:
            return None
        kernel, bias = (self._array(name).astype(np.float64) for name in maker.input[1:])
        return kernel, bias

    def _columns(self, tensor: str) -> Iterator[str]:
        """The graph input from which each feature is computed."""
        if tensor in self.inputs:
            yield tensor
            return
        node = self.makers[tensor]
        if node.op_type == "Split":
            ends = np.cumsum(self._array(node.input[1])).tolist()
            place = list(node.output).index(tensor)
            start = 0 if place == 0 else ends[place - 1]
            yield from list(self._columns(node.input[0]))[start : ends[place]]
            return
        given = [name for name in node.input if name not in self.stored]
        if node.op_type == "Concat":
            for name in given:
                yield from self._columns(name)
            return
        known: Mapping[str, AttributeProto] = {a.name: a for a in node.attribute}
        columns = max((list(self._columns(name)) for name in given), key=len)
        if node.op_type == "Gather":
            columns = [columns[place] for place in self._array(node.input[1]).tolist()]
        elif node.op_type == "OneHotEncoder":
            columns *= len(known["cats_strings"].strings)
        elif node.op_type == "TfIdfVectorizer":
            columns *= len(known["ngram_indexes"].ints)
        elif node.op_type == "ReduceSum":
            columns = columns[:1]
        yield from columns
