"""Features are the same in NumPy and in the graph."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tenfold.columns import Table, graph_inputs
from tenfold.contract import Column, TableInput
from tenfold.features import Encoder, fit_encoder
from tenfold.graph.table import table_front

CONTRACT = TableInput(
    target="t",
    columns=(
        Column(name="n", kind="number"),
        Column(name="skewed", kind="number"),
        Column(name="c", kind="category"),
        Column(name="d", kind="date"),
        Column(name="s", kind="text"),
    ),
)


def table(n: int, rng: np.random.Generator, *, words: str = "red green blue") -> Table:
    def column(values: list[str], size: Any = n) -> Any:
        return rng.choice(np.array(values, object), size)

    number = np.where(rng.random(n) < 0.2, np.nan, rng.normal(1e5, 3, n))
    day = np.datetime64("2020-01-01", "s") + rng.integers(0, 10**8, n).astype("timedelta64[s]")
    text = np.array([" ".join(column(words.split(), rng.integers(0, 6))) for _ in range(n)], object)
    return Table(
        {
            "n": number,
            "skewed": rng.lognormal(0, 2, n) * rng.choice([1, -1, 0], n),
            "c": column([f"v{i}" for i in range(60)] + [""]),
            "d": np.where(rng.random(n) < 0.1, np.datetime64("NaT"), day),
            "s": text,
        }
    )


def run_front(encoder: Encoder, inputs: dict[str, Any]) -> Any:
    front = table_front(encoder, CONTRACT)
    output = helper.make_tensor_value_info(front.output, TensorProto.FLOAT, ["n", "d"])
    model = helper.make_model(
        helper.make_graph(front.nodes, "g", front.inputs, [output], front.initializers),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]


@pytest.mark.parametrize("scaled", [True, False])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60))
def test_the_graph_does_what_numpy_does(scaled: bool, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    encoder = fit_encoder(graph_inputs(table(n, rng), CONTRACT), CONTRACT, scaled=scaled)
    asked = graph_inputs(table(40, rng, words="red green pink =x"), CONTRACT)
    np.testing.assert_allclose(run_front(encoder, asked), encoder(asked), atol=2e-6, rtol=2e-6)


def test_unscaled_numbers_are_untouched() -> None:
    rng = np.random.default_rng(0)
    inputs = graph_inputs(table(50, rng), CONTRACT)
    features = fit_encoder(inputs, CONTRACT, scaled=False)(inputs)
    np.testing.assert_array_equal(features[:, 1], inputs["skewed"][:, 0])


def test_scaled_numbers_are_centred_compressed_and_cut() -> None:
    rng = np.random.default_rng(0)
    inputs = graph_inputs(table(400, rng), CONTRACT)
    encoder = fit_encoder(inputs, CONTRACT)
    assert encoder.numbers is not None
    assert encoder.numbers.unit[1] > 0 and encoder.numbers.unit[0] == 0
    features = encoder(inputs)
    np.testing.assert_allclose(features[:, :2].mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(features[:, :2].std(axis=0), 1, atol=2e-2)
    wild = {**inputs, "n": np.full_like(inputs["n"], 1e30)}
    assert encoder(wild)[:, 0].max() == 10


def test_missing_cells_are_the_median_and_flagged() -> None:
    rng = np.random.default_rng(0)
    inputs = graph_inputs(table(100, rng), CONTRACT)
    encoder = fit_encoder(inputs, CONTRACT, scaled=False)
    gone = np.isnan(inputs["n"][:, 0])
    features = encoder(inputs)
    assert set(features[gone, 0]) == {np.nanmedian(inputs["n"]).astype(np.float32)}
    assert encoder.numbers is not None
    flag = len(encoder.numbers.names)
    np.testing.assert_array_equal(features[:, flag], gone)


def test_categories_have_forty_columns_and_one_for_the_others() -> None:
    rng = np.random.default_rng(0)
    inputs = graph_inputs(table(3000, rng), CONTRACT)
    encoder = fit_encoder(inputs, CONTRACT)
    assert len(encoder.categories["c"]) == 40
    unseen = {**inputs, "c": np.full_like(inputs["c"], "never")}
    assert encoder.numbers is not None
    start = len(encoder.numbers.names) + len(encoder.numbers.flagged)
    block = encoder(unseen)[:, start : start + 41]
    assert (block[:, :40] == 0).all() and (block[:, 40] == 1).all()


def test_text_is_tf_idf_of_words_and_pairs() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["red red blue", "blue green", "green", ""]
    contract = TableInput(target="t", columns=(Column(name="s", kind="text"),))
    inputs = graph_inputs(Table({"s": np.array(texts, object)}), contract)
    encoder = fit_encoder(inputs, contract)
    reference = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+").fit(
        texts
    )
    assert encoder.texts["s"].terms == tuple(reference.get_feature_names_out())
    np.testing.assert_allclose(encoder(inputs), reference.transform(texts).toarray(), atol=1e-6)


def test_a_text_without_a_word_that_repeats_gives_no_columns() -> None:
    contract = TableInput(
        target="t", columns=(Column(name="n", kind="number"), Column(name="s", kind="text"))
    )
    words = np.array([f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)], object)
    inputs = graph_inputs(Table({"n": np.arange(60.0), "s": words}), contract)
    encoder = fit_encoder(inputs, contract)
    assert encoder.texts["s"].terms == ()
    assert encoder(inputs).shape == (60, 1)
