"""The encoder in NumPy and its front in ONNX are one and the same."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tenfold.build.onnx import IR_VERSION, OPSETS
from tenfold.build.onnx.fronts import table_front
from tenfold.core.contract import TableInput
from tenfold.inputs.tables.columns import Table, describe, graph_inputs, parse
from tenfold.inputs.tables.encoder import (
    FARTHEST,
    MAX_ONE_HOT,
    MAX_SPLIT_WORDS,
    Encoder,
    fit_encoder,
)
from tenfold.inputs.tables.texts import Texts

NUMBERS = ["", "NA", "0", "1", "-3.5", "1e3", "1e30", "-1e300", "1e-30", "7", "12,5", "x", "1e400"]
WORDS = ["free", "win", "call", "now", "£", "08001", "café", "中", "!", "", "a", "Free"]
CELLS: dict[str, st.SearchStrategy[str]] = {
    "number": st.sampled_from(NUMBERS) | st.floats(-1e6, 1e6).map(repr),
    "category": st.sampled_from(["", "a", "b", "=c", "é 中", "?", "1.0", 'q"'])
    | st.integers(0, 60).map(lambda i: f"level {i}"),
    "yes/no": st.sampled_from(["yes", "no", "", "YES"]),
    "date": st.sampled_from(["", "soon", "2020-02-29", "1999-12-31T23:59:59", "0001-01-01"])
    | st.dates().map(str),
    "text": st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[TableInput, Table, Table]:
    """(columns, training rows, rows to ask)."""
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=5))
    n, n_asked = draw(st.integers(2, 12)), draw(st.integers(1, 6))
    columns, train, asked = [], {}, {}
    for i, kind in enumerate(kinds):
        cells = st.lists(CELLS[kind], min_size=n, max_size=n)
        fitted = Texts.of(draw(cells))
        others = Texts.of(draw(st.lists(CELLS[kind], min_size=n_asked, max_size=n_asked)))
        name = draw(st.sampled_from([f"c{i}", f"front/{i}", f"c {i}.year", f"é{i}"]))
        column, _ = describe(name, kind, fitted)
        columns.append(column)
        train[name], asked[name] = parse(column, fitted), parse(column, others)
    return TableInput(columns=tuple(columns), target="y"), Table(train), Table(asked)


def run_front(
    encoder: Encoder, contract: TableInput, inputs: dict[str, NDArray[Any]]
) -> NDArray[np.float32]:
    front = table_front(encoder, contract)
    output = helper.make_tensor_value_info(front.output, TensorProto.FLOAT, ["n", "d"])
    graph = helper.make_graph(
        list(front.nodes), "front", list(front.inputs), [output], list(front.initializers)
    )
    opsets = [helper.make_opsetid(name, version) for name, version in OPSETS.items()]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: NDArray[np.float32] = session.run(None, inputs)[0]
    return found


def check_alike(made: tuple[TableInput, Table, Table], scaled: bool) -> None:
    contract, train, asked = made
    encoder = fit_encoder(graph_inputs(train, contract), contract, scaled=scaled)
    for rows in (train, asked):
        inputs = graph_inputs(rows, contract)
        features = encoder(inputs)
        if not features.shape[1]:
            continue
        assert features.dtype == np.float32 and np.isfinite(features).all()
        if scaled:
            assert np.abs(features).max(initial=0) <= FARTHEST
        found = run_front(encoder, contract, inputs)
        assert found.shape == features.shape
        np.testing.assert_allclose(found, features, rtol=0 if not scaled else 1e-5, atol=2e-5)


@pytest.mark.parametrize("scaled", [True, False])
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=tables())
def test_the_front_does_what_the_encoder_does(
    scaled: bool, made: tuple[TableInput, Table, Table]
) -> None:
    check_alike(made, scaled)


@pytest.mark.slow
@pytest.mark.parametrize("scaled", [True, False])
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=tables())
def test_the_front_does_what_the_encoder_does_10_000_times(
    scaled: bool, made: tuple[TableInput, Table, Table]
) -> None:
    check_alike(made, scaled)


def encoded(kind: str, cells: list[str], asked: list[str], *, scaled: bool = True) -> Any:
    fitted = Texts.of(cells)
    column, _ = describe("c", kind, fitted)
    contract = TableInput(columns=(column,), target="y")
    inputs = graph_inputs(Table({"c": parse(column, fitted)}), contract)
    encoder = fit_encoder(inputs, contract, scaled=scaled)
    rows = Table({"c": parse(column, Texts.of(asked))})
    return encoder(graph_inputs(rows, contract))


def test_numbers_are_filled_flagged_and_scaled() -> None:
    found = encoded("number", ["1", "2", "3", ""], ["1", "", "3", "1000"])
    deviation = np.std([1, 2, 3, 2])
    assert found[:, 0] == pytest.approx([-1 / deviation, 0, 1 / deviation, FARTHEST])
    assert found[:, 1].tolist() == [0, 1, 0, 0]


def test_trees_get_numbers_as_they_are() -> None:
    found = encoded("number", ["1", "2", "3"], ["1", "", "1000"], scaled=False)
    assert found.tolist() == [[1], [2], [1000]]


def test_long_tails_are_compressed() -> None:
    cells = ["1", "2", "3", "4"] * 20 + ["100000"]
    found = encoded("number", cells, ["1", "4", "100000", "-100000"])[:, 0]
    assert found[0] < found[1] < found[2] and found[3] < found[0]
    assert found[1] - found[0] > 0.5  # beside 100,000 they would be one value


def test_categories_beyond_forty_share_a_column() -> None:
    cells = [f"c{i}" for i in range(50) for _ in range(50 - i)]
    found = encoded("category", cells, ["c0", "c39", "c40", "never seen", ""])
    assert found.shape == (5, MAX_ONE_HOT + 1)
    assert found.argmax(axis=1).tolist() == [0, 39, 40, 40, 40]
    assert (found.sum(axis=1) == 1).all()


def test_text_without_a_frequent_term_has_no_columns() -> None:
    cells = [f"w{i}x{i}" for i in range(0)] + [f"{'ab'[i % 2] * (i + 1)}" for i in range(60)]
    assert encoded("text", cells, ["a", ""]).shape == (2, 0)


def test_the_length_of_a_text_row_is_one() -> None:
    found = encoded("text", ["free money now", "call me now"], ["free free now", "nothing known"])
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 0])


def test_trees_get_the_words_that_say_most_about_the_answer() -> None:
    rng = np.random.default_rng(0)
    names = [a + b + "x" for a in "abcdefghij" for b in "klmnopqrst"] * 2
    texts = Texts.of([" ".join(rng.choice(names, 12)) for _ in range(600)])
    column, _ = describe("c", "text", texts)
    contract = TableInput(columns=(column,), target="y")
    inputs = graph_inputs(Table({"c": parse(column, texts)}), contract)
    has = np.array([["akx" in row or "blx" in row] for row in inputs["c"].tolist()], np.float64)
    words = fit_encoder(inputs, contract, scaled=False, answers=has).texts["c"].terms
    assert len(words) == MAX_SPLIT_WORDS and {"akx", "blx"} <= set(words)
    encoder = fit_encoder(inputs, contract, scaled=False, answers=has)
    np.testing.assert_array_equal(run_front(encoder, contract, inputs), encoder(inputs))
    assert len(fit_encoder(inputs, contract, scaled=False).texts["c"].terms) > MAX_SPLIT_WORDS
    other = fit_encoder(inputs, contract, scaled=False, answers=rng.normal(size=(600, 1)))
    assert other.texts["c"].terms != words


def test_a_graph_weighs_words_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    texts = Texts.of([" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(400)])
    column, _ = describe("c", "text", texts)
    contract = TableInput(columns=(column,), target="y")
    inputs = graph_inputs(Table({"c": parse(column, texts)}), contract)
    encoder = fit_encoder(inputs, contract)
    features = encoder(inputs)
    assert features.shape[1] > 50
    np.testing.assert_array_equal(run_front(encoder, contract, inputs), features)


def test_a_column_that_is_missing_throughout_says_nothing() -> None:
    assert encoded("number", ["", ""], ["", "5"]).tolist() == [[0, 1], [5, 0]]
