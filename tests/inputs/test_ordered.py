"""A table for boosted trees: missing numbers stay so, categories are codes of their answers."""

import numpy as np
import onnxruntime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tenfold.build.onnx import IR_VERSION, OPSETS
from tenfold.build.onnx.fronts import ordered_front
from tenfold.core.contract import TableInput
from tenfold.inputs.tables.columns import Table, describe, graph_inputs, parse
from tenfold.inputs.tables.ordered import PRIOR_ROWS, fit_ordered
from tenfold.inputs.tables.texts import Texts

CELLS = {"number": ["1", "2.5", "", "-3"], "category": ["a", "b", "c", "", "ä"]}
KINDS = st.lists(st.sampled_from(["number", "category", "yes/no"]), min_size=1, max_size=4)


def table(kinds: list[str], seed: int, n: int, *, unseen: bool) -> tuple[TableInput, Table]:
    rng = np.random.default_rng(seed)
    columns, arrays = [], {}
    for i, kind in enumerate(kinds):
        cells = CELLS.get(kind, ["yes", "no"])
        column, _ = describe(f"c{i}", kind, Texts.of(cells * n))
        drawn = rng.choice([*cells, "never seen"] if unseen and kind != "number" else cells, n)
        columns.append(column)
        arrays[f"c{i}"] = parse(column, Texts.of(drawn))
    return TableInput(columns=tuple(columns), target="y"), Table(arrays)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(kinds=KINDS, seed=st.integers(0, 2**16), n_labels=st.integers(0, 4))
def test_the_front_does_what_the_encoder_does(kinds: list[str], seed: int, n_labels: int) -> None:
    contract, rows = table(kinds, seed, 30, unseen=False)
    y = np.random.default_rng(seed).normal(size=30).astype(np.float32)
    answers: NDArray[np.generic] = np.arange(30) % n_labels if n_labels > 1 else y
    encoder = fit_ordered(graph_inputs(rows, contract), contract, answers)
    inputs = graph_inputs(table(kinds, seed + 1, 20, unseen=True)[1], contract)
    expected, front = encoder(inputs), ordered_front(encoder, contract)
    assert encoder.of_training(graph_inputs(rows, contract), answers).shape[1] == expected.shape[1]
    if not expected.shape[1]:
        return
    out = helper.make_tensor_value_info(front.output, TensorProto.FLOAT, ["n", None])
    graph = helper.make_graph(
        list(front.nodes), "front", list(front.inputs), [out], list(front.initializers)
    )
    opsets = [helper.make_opsetid(name, version) for name, version in OPSETS.items()]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_array_equal(session.run(None, inputs)[0], expected)


def test_levels_are_in_the_order_of_their_answers() -> None:
    cells = Texts.of(["x"] * 40 + ["y"] * 40 + ["z"] * 20 + ["rare"])
    y = np.r_[np.zeros(40), np.ones(40), np.full(20, 3.0), [9.0]].astype(np.float32)
    column, _ = describe("c", "category", cells)
    contract = TableInput(columns=(column,), target="y")
    inputs = graph_inputs(Table({"c": parse(column, cells)}), contract)
    encoder = fit_ordered(inputs, contract, y)
    codes = encoder(inputs)[:, 0]
    prior = y.mean()
    expected = [n * value + PRIOR_ROWS * prior for n, value in ((40, 0), (40, 1), (20, 3), (1, 9))]
    sizes = np.array([40, 40, 20, 1]) + PRIOR_ROWS
    np.testing.assert_allclose(codes[[0, 40, 80, 100]], np.array(expected) / sizes, rtol=1e-5)
    # The rare row is alone: what encodes it for training does not know its answer.
    of_training = encoder.of_training(inputs, y)[:, 0]
    assert of_training[100] < y[:100].max() / 3 + prior < codes[100] + prior
    unknown = graph_inputs(Table({"c": parse(column, Texts.of(["new"]))}), contract)
    np.testing.assert_allclose(encoder(unknown)[:, 0], prior, rtol=1e-6)
