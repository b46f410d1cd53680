"""The graph answers like the learner, or is refused."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.build.onnx import check_agreement, to_graph
from tenfold.core.contract import METADATA_KEY, Contract, ImageInput
from tenfold.core.errors import ExportError
from tenfold.learners import Fitted
from tenfold.learners.architectures import dense_network
from tenfold.model.model import OPERATORS, Model
from tests.support.errors import refused
from tests.support.networks import fitted, untrained


def contract(height: int, width: int, n_labels: int) -> Contract:
    return Contract(
        input=ImageInput(height=height, width=width),
        labels=tuple(f"label {i}" for i in range(n_labels)),
        learner="network",
        tenfold="0",
    )


def network(size: tuple[int, ...], hidden: list[int], n_labels: int, seed: int) -> Fitted:
    return fitted(untrained(dense_network(size, hidden, n_labels), seed))


STACKS = {
    "size": st.tuples(st.integers(1, 9), st.integers(1, 9)),
    "hidden": st.lists(st.integers(1, 20), max_size=4),
    "n_labels": st.integers(2, 12),
    "seed": st.integers(0, 1000),
}


def check_alike(size: tuple[int, int], hidden: list[int], n_labels: int, seed: int) -> None:
    learner = network(size, hidden, n_labels, seed)
    x = np.random.default_rng(seed).integers(0, 256, (20, *size), np.uint8)
    model = Model(to_graph(learner, contract(*size, n_labels)))
    np.testing.assert_allclose(model.answer(x).outputs[0], learner.answers(x), atol=1e-5)


@settings(max_examples=5, deadline=None)
@given(**STACKS)
def test_any_stack_of_layers_answers_alike(**stack: Any) -> None:
    check_alike(**stack)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(**STACKS)
def test_any_stack_of_100_answers_alike(**stack: Any) -> None:
    check_alike(**stack)


def test_the_file_is_small_readable_and_carries_its_contract() -> None:
    promise = contract(28, 28, 10)
    content = to_graph(network((28, 28), [128], 10, 0), promise)
    proto = onnx.ModelProto.FromString(content)
    assert len(content) < 101_770 * 4 + 3_000
    assert [node.op_type for node in proto.graph.node] == [
        "Cast",
        "Mul",
        "Flatten",
        "Gemm",
        "Relu",
        "Gemm",
        "Softmax",
    ]
    assert {node.op_type for node in proto.graph.node} <= OPERATORS
    assert [weight.name for weight in proto.graph.initializer] == [
        "scale.factor",
        "hidden_1.kernel",
        "hidden_1.bias",
        "output.kernel",
        "output.bias",
    ]
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert Contract.model_validate_json(metadata[METADATA_KEY]) == promise


def test_equal_networks_are_equal_files() -> None:
    files = [to_graph(network((4, 4), [3], 2, 1), contract(4, 4, 2)) for _ in range(2)]
    assert files[0] == files[1]


def test_agreement_within_the_tolerance_passes() -> None:
    expected = np.array([[0.7, 0.3], [0.5, 0.5]], np.float32)
    answered = expected + np.array([[5e-5, -5e-5], [-5e-5, 5e-5]], np.float32)  # a tie turns
    check_agreement(expected, answered, ["a", "b"])


@pytest.mark.parametrize(
    "wrong",
    [[0.3002, 0.6998], [np.nan, 0.3], [0.3, np.nan]],
)
def test_a_graph_that_differs_is_refused_with_its_rows(wrong: list[float]) -> None:
    expected = np.array([[0.7, 0.3], [0.3, 0.7], [0.3, 0.7]], np.float32)
    answered = expected.copy()
    answered[1] = wrong
    with pytest.raises(ExportError) as error:
        check_agreement(expected, answered, ["t:0", "t:1", "t:2"])
    assert "(t:1)" in str(error.value)
    assert "n_rows=1, of=3" in str(error.value)
    assert "at most 0.0001" in str(error.value)


def test_changed_weights_are_refused() -> None:
    learner = network((4, 4), [3], 2, 1)
    other = network((4, 4), [3], 2, 2)
    x = np.random.default_rng(0).integers(0, 256, (50, 4, 4), np.uint8)
    answered = Model(to_graph(other, contract(4, 4, 2))).answer(x).outputs[0]
    with refused("E609", "of=50"):
        check_agreement(learner.answers(x), answered, [str(i) for i in range(50)])
