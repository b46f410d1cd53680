"""Unsure is an answer: what is like no training row is said, and as often as promised."""

import csv
import functools
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import tenfold
from tenfold import Dataset, Prediction, Predictions, Run
from tenfold.build import build, held_out
from tenfold.build.novelty import (
    OFF,
    UNSURE_PICTURES,
    UNSURE_SHARE,
    Distance,
    Measured,
    Novelty,
    are_enough,
    distances_to_others,
    fit_distance,
    fit_novelty,
)
from tenfold.build.onnx import check_agreement
from tenfold.build.problem import Problem
from tenfold.core.contract import METADATA_KEY, Contract, ImageInput
from tenfold.core.settings import resolve
from tenfold.learners import LEARNERS
from tenfold.model.model import OPERATORS, Model
from tests.support import pictures
from tests.support.errors import refused

MNIST = tenfold.load("mnist")
NAMES = [
    name
    for name, learner in LEARNERS.items()
    if "classification" in learner.tasks and name != "baseline" and not learner.photos
]


def drawn(n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two heaps in five dimensions, one of them flat."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(0, [1, 1, 2, 0.4, 0], (n, 5)) + 8 * y[:, None]
    return x.astype(np.float32), y


def sure(n: int) -> NDArray[np.float32]:
    return np.tile(np.array([[1, 0]], np.float32), (n, 1))


def a_distance(**options: Any) -> Distance:
    found = fit_distance(*drawn(2000), **options)
    assert found is not None
    return found


def a_novelty(n: int = 3000) -> Novelty | None:
    x, _ = drawn(n, 2)
    return fit_novelty(Measured(a_distance(), a_distance().of(x)), None, None, sure(n))


def test_the_distance_is_in_standard_deviations() -> None:
    x, _ = drawn(4000, 1)
    squares = a_distance().of(x) ** 2
    assert 3.5 < np.mean(squares) < 5
    row = np.zeros((1, 5), np.float32)
    assert a_distance().of(row)[0] < 1
    row[0, 3] = 4
    assert 8 < a_distance().of(row)[0] < 12  # 10 along the narrow axis
    assert a_distance().of(np.full((1, 5), 4, np.float32))[0] > 8  # between the heaps


def test_what_leaves_the_flat_side_is_far() -> None:
    row = np.zeros((1, 5), np.float32)
    near = a_distance().of(row)[0]
    row[0, 4] = 3
    assert a_distance().of(row)[0] > near + 5


def test_more_centres_follow_the_shape_of_a_label() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    y = (np.arange(2000) % 2).astype(np.int64)
    middle = np.zeros((1, 2), np.float32)
    one, many = (fit_distance(ring, y, per_label=k) for k in (1, 20))
    assert one is not None and many is not None
    assert one.of(middle)[0] < one.of(ring).min()
    assert many.of(middle)[0] > many.of(ring).max()
    assert (len(one.centres), len(many.centres)) == (2, 40)


def test_few_rows_have_few_centres() -> None:
    found = fit_distance(*drawn(100), per_label=20)
    assert found is not None and len(found.centres) <= 2 * 3


def test_many_columns_are_reduced_too() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    wide = (rng.normal(0, 1, (300, 3)) @ rng.normal(0, 1, (3, 1200))).astype(np.float32)
    found = fit_distance(wide, y)
    assert found is not None and found.axes.shape == (1200, 3)
    noise = rng.normal(0, wide.std(), (20, 1200)).astype(np.float32)
    assert found.of(noise).min() > 5 * found.of(wide).max()


def test_the_threshold_is_passed_by_the_promised_share() -> None:
    known = a_novelty()
    assert known is not None
    x, _ = drawn(3000, 2)
    of_rows = known.of(x, None, sure(len(x)))
    assert (of_rows > 1).mean() == pytest.approx(UNSURE_SHARE, abs=0.001)
    assert np.median(of_rows) == pytest.approx(0, abs=1e-6)
    fresh, _ = drawn(20_000, 3)
    of_fresh = known.of(fresh, None, sure(len(fresh)))
    assert (of_fresh > 1).mean() == pytest.approx(UNSURE_SHARE, abs=0.008)


def test_doubt_and_hidden_values_count_too() -> None:
    x, _ = drawn(3000, 2)
    doubt = np.random.default_rng(0).uniform(0.5, 1, 3000)
    answers = np.stack([doubt, 1 - doubt], axis=1).astype(np.float32)
    of_x = Measured(a_distance(), a_distance().of(x))
    known = fit_novelty(of_x, of_x, None, answers)
    assert known is not None and known.hidden is not None
    row, far = x[:1], x[:1] + np.float32(30)
    one, half = np.array([[1, 0]], np.float32), np.array([[0.5, 0.5]], np.float32)
    least = known.of(row, row, one)[0]
    assert known.of(row, row, half)[0] > least + 0.1
    assert known.of(row, far, one)[0] > least + 3
    assert known.of(far, row, one)[0] > least + 3
    heavy = fit_novelty(of_x, of_x._replace(weight=4), None, answers)
    assert heavy is not None and heavy.hidden is not None
    assert heavy.hidden.scale == pytest.approx(known.hidden.scale / 4)
    assert heavy.of(row, far, one)[0] > known.of(row, far, one)[0] + 1


def test_few_rows_promise_nothing() -> None:
    assert a_novelty(49) is not None
    assert a_novelty(48) is None
    assert are_enough(59, UNSURE_PICTURES) and not are_enough(58, UNSURE_PICTURES)


def test_values_that_do_not_vary_know_nothing() -> None:
    assert fit_distance(np.ones((50, 3)), np.arange(50) % 2) is None


def test_as_many_rows_as_labels_are_needed() -> None:
    with refused("E607", "rows=3, y=2"):
        fit_distance(np.zeros((3, 2)), [0, 1])


@given(st.permutations(range(30)), st.floats(0.1, 1000))
def test_neither_order_nor_unit_matter(order: list[int], unit: float) -> None:
    x, y = drawn(30)
    asked, _ = drawn(10, 5)
    one, other = fit_distance(x, y), fit_distance(x[order] * unit, y[order])
    assert one is not None and other is not None
    np.testing.assert_allclose(one.of(asked), other.of(asked * np.float32(unit)), rtol=1e-2)


Trained = Callable[[str], Run]


@pytest.fixture(scope="module")
def trained(few: Any, once: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run of a learner on 1500 digits, made once. Tests must leave it as it is."""

    @functools.cache
    def run_of(learner: str) -> Run:
        if learner == "cnn":
            return pictures.cnn_run(few, once)
        quick: dict[str, Any] = {"network": {"epochs": 5}, "boosting": {"rounds": 10}}
        settings = quick.get(learner, {"recipe": "fast"})
        out = tmp_path_factory.mktemp(learner)
        return tenfold.train(pictures.data(few), learner=learner, out=out, **settings)

    return run_of


SLOW = {"cnn": pytest.mark.slow}
"""A thousand digits for convolutions take as long as for all other learners."""


@pytest.mark.parametrize("learner", [pytest.param(n, marks=SLOW.get(n, ())) for n in NAMES])
def test_every_learner_knows_what_it_does_not_know(learner: str, trained: Trained) -> None:
    run = trained(learner)
    proto = onnx.load(run.path / "model.onnx")
    assert [output.name for output in proto.graph.output] == ["probabilities", "novelty"]
    assert {node.op_type for node in proto.graph.node if not node.domain} <= OPERATORS
    assert run.model.contract.novelty_threshold == 1
    digits = run.model.predict(MNIST.x[60_500:61_000])
    assert isinstance(digits, Predictions) and digits.novelty is not None
    assert digits.unsure.mean() < 0.12  # 150 validation rows tell 1.7% roughly
    noise = np.random.default_rng(0).integers(0, 256, (100, 28, 28)).astype(np.uint8)
    blanks = np.repeat(np.array([128, 255], np.uint8), 28 * 28).reshape(2, 28, 28)
    for strange in (noise, blanks):
        answers = run.model.predict(strange)
        assert isinstance(answers, Predictions)
        assert answers.unsure.mean() > 0.9


def test_the_run_says_what_was_answered(trained: Trained, few: Any) -> None:
    run = trained("network")
    evaluation = run.evaluation
    assert isinstance(evaluation, tenfold.Evaluation) and evaluation.answered.accuracy is not None
    rows = list(csv.DictReader((run.path / "predictions.csv").read_text().splitlines()))
    answered = [row for row in rows if row["unsure"] == "false"]
    assert 0 < len(answered) < len(rows)
    assert evaluation.answered.share.value == len(answered) / len(rows)
    right = sum(row["true"] == row["predicted"] for row in answered)
    assert evaluation.answered.accuracy.value == right / len(answered)
    assert evaluation.answered.accuracy.value > evaluation.accuracy.value
    again = tenfold.evaluate(run, pictures.data(few))
    assert again == evaluation


def test_an_unsure_answer_has_its_reason(trained: Trained) -> None:
    model = trained("network").model
    shirt = np.zeros((28, 28), np.uint8)
    shirt[2:26, 8:20] = shirt[3:12, 2:26] = 180
    answer = model.predict_one(shirt)
    assert isinstance(answer, Prediction)
    assert answer.unsure and answer.reason is not None and answer.novelty is not None
    assert answer.novelty > 1 and repr(answer).endswith(", unsure)")
    assert (
        answer.reason.startswith("unlike the training examples: novelty ")
        or " or " in answer.reason
    )
    digit = model.predict_one(MNIST.x[1])
    assert isinstance(digit, Prediction)
    assert (digit.unsure, digit.reason) == (False, None)
    assert digit.novelty is not None and digit.novelty < 1


@pytest.mark.parametrize("learner", ["network", "logistic", "bayes", "neighbors"])
def test_a_row_far_from_all_others_is_unsure(learner: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = rng.normal(50, 5, 600)
    frame = pd.DataFrame(
        {
            "size": size,
            "huge": rng.normal(0, 1, 600) * 1e30,
            "kind": rng.choice(["a", "b"], 600),
            "y": np.where(size + rng.normal(0, 2, 600) > 50, "up", "down"),
        }
    )
    settings = {"epochs": 3} if learner == "network" else {}
    model = tenfold.train(frame, target="y", learner=learner, out=tmp_path, **settings).model  # type: ignore[arg-type]
    rows = [
        {"size": 47, "huge": 1e29, "kind": "a"},
        {"size": 5000, "huge": 0, "kind": "b"},
        {"size": 50, "huge": 1e36, "kind": "b"},
    ]
    answers = model.predict(rows)
    assert isinstance(answers, Predictions)
    assert answers.unsure.tolist() == [False, True, True]


def test_reasons_by_hand() -> None:
    answers = Predictions(
        np.array([[0.55, 0.45, 0], [0.9, 0.1, 0], [0.9, 0.1, 0], [1, 0, 0]], np.float32),
        ("a", "b", "c"),
        novelty=np.array([1.5, 1.5, 0.5, np.nan], np.float32),
        novelty_threshold=1.0,
    )
    assert [answer.reason for answer in answers] == [
        "a (0.55) or b (0.45)",
        "unlike the training examples: novelty 1.50, more than 1",
        None,
        "unlike the training examples: novelty nan, more than 1",
    ]
    assert answers.unsure.tolist() == [True, True, False, True]
    assert answers[1:3].unsure.tolist() == [True, False]


def test_no_validation_rows_no_novelty(tmp_path: Path, few: Any) -> None:
    runs = [
        tenfold.train(few(400, 50), recipe="tutorial", epochs=1, out=tmp_path),
        tenfold.train(few(400, 50), learner="baseline", out=tmp_path),
        tenfold.train(few(400, 50), learner="bayes", out=tmp_path),  # 40 validation rows: too few
    ]
    for run in runs:
        assert run.model.contract.novelty_threshold is None
        answers = run.model.predict(MNIST.x[:5])
        assert isinstance(answers, Predictions)
        assert answers.novelty is None and not answers.unsure.any()
        assert answers[0].novelty is None


def without_novelty(path: Path) -> bytes:
    """The model as versions before this one wrote it."""
    proto = onnx.load(path)
    del proto.graph.output[1]
    (entry,) = [entry for entry in proto.metadata_props if entry.key == METADATA_KEY]
    contract = json.loads(entry.value)
    del contract["novelty_threshold"], contract["input"]["crop"]
    contract["input"]["polarity"] = "light on dark"  # was written, and asked for by nothing
    entry.value = json.dumps(contract)
    content: bytes = proto.SerializeToString()
    return content


def test_an_older_model_still_opens(trained: Trained) -> None:
    run = trained("logistic")
    old = Model(without_novelty(run.path / "model.onnx"))
    answers = old.predict(MNIST.x[:20])
    assert isinstance(answers, Predictions) and answers.novelty is None
    np.testing.assert_array_equal(answers.probabilities, run.model.answer(MNIST.x[:20]).outputs[0])
    proto = onnx.load(run.path / "model.onnx")
    del proto.graph.output[1]
    with refused("E514"):
        Model(proto.SerializeToString())


def test_regression_has_no_novelty() -> None:
    with pytest.raises(ValueError, match="regression has no novelty"):
        Contract(
            task="regression", input=ImageInput(height=2, width=2), novelty_threshold=1,
            learner="linear", tenfold="0",
        )  # fmt: skip


def test_a_graph_with_another_novelty_is_refused() -> None:
    known = np.array([0.2, 0.9], np.float32)
    check_agreement(known, known + np.float32(5e-5), ["a", "b"])
    with refused("E609", r"n_rows=1, of=2.*\(b\)"):
        check_agreement(known, known + np.array([0, 1e-3], np.float32), ["a", "b"])


@pytest.mark.slow
def test_on_mnist_at_most_2_of_100_digits_are_unsure(tmp_path: Path, mnist: Dataset) -> None:
    model = tenfold.train("mnist", out=tmp_path).model
    answers = model.predict(mnist.x[mnist.test_rows])
    assert isinstance(answers, Predictions) and answers.unsure.mean() <= 0.02


def test_pictures_are_measured_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = MNIST.x[:400], MNIST.y[:400]
    found = fit_distance(x.reshape(400, -1).astype(np.float32) / np.float32(255), y)
    assert found is not None
    at_once = found.of(x)
    monkeypatch.setattr("tenfold.build.novelty.MAX_AT_ONCE", 784 * 7)
    np.testing.assert_allclose(found.of(x), at_once, rtol=1e-9)
    assert found.of(x[:0]).shape == (0,)
    tracemalloc.start()
    found.of(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # all at once: 10 MB


def test_the_threshold_is_set_by_rows_spread_over_all(
    tmp_path: Path, few: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def listening(*parts: Any, **options: Any) -> Novelty | None:
        asked.append(len(parts[3]))
        return fit_novelty(*parts, **options)

    monkeypatch.setattr(held_out, "fit_novelty", listening)
    monkeypatch.setattr(held_out, "MAX_JUDGED", 59)
    run = tenfold.train(few(600, 50), learner="bayes", out=tmp_path)
    assert run.model.contract.novelty_threshold == 1 and asked == [59]


def test_pictures_are_measured_as_they_are() -> None:
    """A step along a narrow axis counts no more than along a wide one, off the axes twice."""
    x = np.random.default_rng(0).normal(0, [4, 1, 0.01], (2000, 3)).astype(np.float32)
    found = fit_distance(x, np.zeros(2000, np.int64), whitened=False)
    assert found is not None and found.whitening is None and found.axes.shape == (3, 2)
    steps = found.of(np.diag([10, 10, 3]).astype(np.float32))
    np.testing.assert_allclose(steps, [10, 10, 3 * OFF**0.5], atol=0.2)


def test_doubt_that_hardly_varies_decides_nothing() -> None:
    # Three rows in a thousand are rare, and the columns say nothing of it: all answers are 0.998.
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(4_000, 2)), columns=list("ab"))
    frame["y"] = np.where(rng.permutation(4_000) < 12, "rare", "common")
    data = tenfold.load(frame, target="y")
    settings = resolve({"learner": "logistic"}, table=True)
    split = tenfold.split(data, test_size=0.25, validation_size=settings.validation_size)
    answers = Model(build.fit_model(Problem(data, split, settings)).content).predict(frame)
    assert isinstance(answers, Predictions) and answers.unsure.mean() < 0.1


def test_a_row_in_parts_is_as_far_from_the_others_as_a_new_row() -> None:
    """Many columns and few rows: the rows that were fitted to are much nearer than new ones."""
    x, _ = drawn(120, 1)
    wide = np.concatenate([x, np.random.default_rng(3).normal(size=(120, 30))], axis=1)
    rows, new = wide[:60].astype(np.float32), wide[60:].astype(np.float32)
    y, part_of = np.zeros(60, np.int64), np.arange(60) % 5
    whole = fit_distance(rows, y)
    assert whole is not None
    crossed = distances_to_others(fit_distance, rows, y, part_of)
    assert crossed is not None and np.median(whole.of(rows)) < 0.8 * np.median(whole.of(new))
    assert 0.95 < np.median(crossed) / np.median(whole.of(new)) < 1.4
    assert distances_to_others(fit_distance, np.ones((60, 2)), y, part_of) is None


def test_a_thousand_fine_columns_beside_coarse_ones_are_computed_in_float64() -> None:
    """As of texts and numbers: off the axes, a difference of 0.02 is a standard deviation."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(600, 4)), rng.normal(0, 0.02, (600, 1100))], axis=1)
    y = np.arange(600) % 2
    found = fit_distance(x, y)
    assert found is not None and found.wide and found.rest < 1e-3
    even = fit_distance(rng.normal(size=(600, 120)), y)
    assert even is not None and not even.wide
