"""Every learner: its graph answers like it, it is scikit-learn's, and its errors are clear."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from threadpoolctl import threadpool_limits

import tenfold
from tenfold import Dataset
from tenfold.build.build import export as export_model
from tenfold.build.calibration import Constants
from tenfold.build.onnx import check_agreement, to_graph
from tenfold.build.onnx.trees import round_down
from tenfold.build.problem import prepare
from tenfold.core.contract import Contract, FeaturesInput, ImageInput
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.onnx_builder import Front
from tenfold.core.progress import Listener
from tenfold.core.settings import AUTO, RECIPES, LearnerName, Settings, resolve
from tenfold.learners import LEARNERS, Examples, Fitted, TrainingJob, check_learner, check_used
from tenfold.learners.neighbors import Neighbors
from tenfold.model.model import OPERATORS, Model
from tests.support.errors import refused

PICTURES = ImageInput(height=28, width=28)
CLASSICAL = [name for name, known in LEARNERS.items() if known.sides is None and name != "network"]
CLASSIFIERS = [name for name in CLASSICAL if "classification" in LEARNERS[name].tasks]
REGRESSORS = [name for name in CLASSICAL if "regression" in LEARNERS[name].tasks]


def fit(
    name: str,
    train: Examples,
    validation: Examples | None = None,
    n_labels: int | None = None,
    **asked: Any,
) -> Fitted:
    if name == "forest":
        asked.setdefault("n_trees", 7)
    if name == "boosting":
        asked.setdefault("rounds", 5)
    chosen = resolve({"learner": name, **asked})
    return LEARNERS[name].fit(
        TrainingJob(train, validation, n_labels=n_labels, settings=chosen, listener=Listener())
    )


def table_front(n_columns: int, name: str = "x") -> Front:
    """Columns times 1, as one input."""
    node = helper.make_node("Identity", [name], ["features"], name="take")
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", n_columns])
    return Front((value,), (node,), (), "features")


def export(
    fitted: Fitted, x: NDArray[Any], n_labels: int | None, constants: Constants | None = None
) -> bytes:
    """The file; tables come in through an Identity, pictures as they are."""
    is_picture = x.dtype == np.uint8
    height, width, channels = (*x.shape[1:], 1)[:3] if is_picture else (1, 1, 1)
    contract = Contract(
        task="regression" if n_labels is None else "classification",
        input=ImageInput(height=height, width=width, channels=channels),
        labels=tuple(f"label {i}" for i in range(n_labels or 0)),
        learner=fitted.learner,
        tenfold="0",
    )
    front = None if is_picture else table_front(x.shape[1])
    return to_graph(fitted, contract, constants=constants, front=front)


def ask(content: bytes, x: NDArray[Any]) -> list[NDArray[np.float32]]:
    """All outputs of the file, by another session than Tenfold's own."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: x}))


def agree(fitted: Fitted, x: NDArray[Any], n_labels: int | None) -> None:
    keys = [str(row) for row in range(len(x))]
    answers = ask(export(fitted, x, n_labels), x)
    assert {answer.dtype for answer in answers} == {np.dtype(np.float32)}
    check_agreement(fitted.answers(x), answers[0], keys)
    if n_labels is not None:
        assert answers[0].shape == (len(x), n_labels)
        np.testing.assert_allclose(answers[0].sum(axis=1), 1, atol=1e-4)


def draw_rows(rng: np.random.Generator, n: int, kind: str) -> NDArray[Any]:
    """Pictures or columns, some of them with ties, constants and outliers."""
    n_columns = int(rng.integers(1, 9))
    if kind == "picture":
        return rng.integers(0, 256, (n, 3, n_columns), np.uint8)
    if kind == "colour":
        return rng.integers(0, 256, (n, 2, n_columns, 3), np.uint8)
    if kind == "steps":
        return rng.integers(-1, 2, (n, n_columns)).astype(np.float32)
    x = rng.normal(size=(n, n_columns)) * 10.0 ** rng.integers(-3, 4, n_columns)
    if kind == "words":
        x = np.abs(x) * (rng.random(x.shape) < 0.3)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    if kind == "wide":
        x = np.concatenate([x, rng.normal(size=(n, 60)), np.ones((n, 1))], axis=1)
    return x.astype(np.float32)


KINDS = st.sampled_from(["picture", "colour", "steps", "numbers", "words", "wide"])


@pytest.mark.parametrize("name", CLASSIFIERS)
@settings(max_examples=12, deadline=None)
@given(
    kind=KINDS,
    n_labels=st.integers(2, 6),
    seed=st.integers(0, 1000),
    weighted=st.booleans(),
    watched=st.booleans(),
)
def test_any_classifier_and_its_graph_answer_alike(
    name: str, kind: str, n_labels: int, seed: int, weighted: bool, watched: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = draw_rows(rng, 90, kind)
    y = rng.integers(0, n_labels, 90)
    y[y == n_labels - 1] = 0  # the last label has no training row
    y[:2] = 0, max(n_labels - 2, 0)
    if n_labels == 2:
        y = np.arange(90) % 2
    weight = rng.choice([0.5, 1, 3], 40).astype(np.float32) if weighted else None
    validation = Examples(x[40:60], y[40:60]) if watched else None
    agree(fit(name, Examples(x[:40], y[:40], weight), validation, n_labels), x, n_labels)


@pytest.mark.parametrize("name", REGRESSORS)
@settings(max_examples=12, deadline=None)
@given(kind=KINDS, seed=st.integers(0, 1000), weighted=st.booleans(), watched=st.booleans())
def test_any_regressor_and_its_graph_answer_alike(
    name: str, kind: str, seed: int, weighted: bool, watched: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = draw_rows(rng, 90, kind)
    y = rng.normal(size=90).astype(np.float32)
    weight = rng.choice([0.5, 1, 3], 40).astype(np.float32) if weighted else None
    validation = Examples(x[40:60], y[40:60]) if watched else None
    agree(fit(name, Examples(x[:40], y[:40], weight), validation), x, None)


@pytest.fixture(scope="module")
def digits(few: Any) -> tuple[Examples, Examples]:
    data: Dataset = few(600, 200)
    return Examples(data.x[:600], data.y[:600]), Examples(data.x[600:], data.y[600:])


def accuracy(fitted: Fitted, rows: Examples) -> float:
    return float((fitted.answers(rows.x).argmax(axis=1) == rows.y).mean())


@pytest.mark.parametrize(
    ("name", "floor"),
    [("forest", 0.80), ("bayes", 0.70), ("logistic", 0.78), ("neighbors", 0.80)],
)
def test_digits_are_learned_and_the_same_seed_gives_the_same_file(
    digits: tuple[Examples, Examples], name: str, floor: float
) -> None:
    train, test = digits
    made = [fit(name, train, test, 10, n_trees=30) for _ in range(2)]
    assert accuracy(made[0], test) >= floor
    assert export(made[0], test.x, 10) == export(made[1], test.x, 10)


def peers() -> dict[str, Any]:
    """The same learners, set up by hand."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import BernoulliNB
    from sklearn.neighbors import KNeighborsClassifier

    return {
        "forest": RandomForestClassifier(7, random_state=0, bootstrap=False),
        "logistic": LogisticRegression(max_iter=200),
        "bayes": BernoulliNB(alpha=0.1, binarize=0.5),
        "neighbors": KNeighborsClassifier(5, algorithm="brute"),
    }


@pytest.mark.parametrize("name", ["forest", "logistic", "bayes", "neighbors"])
def test_the_file_answers_like_the_same_learner_of_scikit_learn(
    digits: tuple[Examples, Examples], name: str
) -> None:
    train, test = digits
    x, asked = (rows.x.reshape(len(rows.x), -1) * np.float32(1 / 255) for rows in digits)
    with threadpool_limits(1):
        expected = peers()[name].fit(x, train.y).predict_proba(asked)
    answered = ask(export(fit(name, train, None, 10), test.x, 10), test.x)[0]
    if name == "neighbors":  # of all 784 pixels there, of 50 components here
        same = np.abs(expected - answered).max(axis=1) < 1e-4
        assert same.mean() > 0.6
        assert (expected.argmax(axis=1) == answered.argmax(axis=1)).mean() > 0.93
    else:
        np.testing.assert_allclose(answered, expected, atol=1e-4)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_of_columns_are_those_of_scikit_learn(weights: str) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    y = rng.integers(0, 3, 300)
    body = fit("neighbors", Examples(x, y), None, 3).body
    assert isinstance(body, Neighbors)
    body = replace(body, by_distance=weights == "distance")
    asked = np.concatenate([rng.normal(size=(200, 6)).astype(np.float32), x[:5]])
    peer = KNeighborsClassifier(5, weights=weights, algorithm="brute").fit(x, y)
    np.testing.assert_allclose(body.answers(asked), peer.predict_proba(asked), atol=1e-4)


def test_equally_near_rows_are_taken_in_the_order_of_the_training_rows() -> None:
    x = np.array([[1], [0], [0], [0], [0]], np.float32)
    y = np.array([0, 1, 1, 2, 2])
    fitted = fit("neighbors", Examples(x, y), None, 3, n_neighbors=3)
    here = np.zeros((1, 1), np.float32)
    np.testing.assert_allclose(fitted.answers(here), [[0, 2 / 3, 1 / 3]], atol=1e-6)
    np.testing.assert_array_equal(ask(export(fitted, x, 3), here)[0], fitted.answers(here))


def test_neighbours_leave_out_rows_of_weight_0_and_bound_their_memory() -> None:
    x = np.arange(4, dtype=np.float32)[:, None]
    train = Examples(x, np.array([0, 1, 1, 0]), np.array([1, 1, 0, 2], np.float32))
    fitted = fit("neighbors", train, None, 2, n_neighbors=2)
    np.testing.assert_allclose(fitted.answers(x[2:3]), [[2 / 3, 1 / 3]], atol=1e-6)
    assert fitted.rows_at_once == (1 << 27) // (8 * 3)


def test_a_threshold_is_rounded_so_that_no_float32_changes_side() -> None:
    rng = np.random.default_rng(0)
    thresholds = np.r_[rng.normal(size=500), 0.1, -0.1, 0.0, 1e-46, -1e-46]
    rounded = round_down(thresholds)
    for around in (-1, 0, 1):
        x = rounded if not around else np.nextafter(rounded, np.float32(around * np.inf))
        np.testing.assert_array_equal(x <= thresholds, x <= rounded)


def test_bayes_says_which_variant_and_why() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    sharp = (rng.random((80, 4, 4)) > 0.5).astype(np.uint8) * 255
    grey = rng.integers(60, 190, (80, 4, 4), np.uint8)
    words = np.abs(rng.normal(size=(80, 30))) * (rng.random((80, 30)) < 0.2)
    words = (words / np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)).astype("f4")
    mixed = np.c_[rng.normal(size=(80, 2)), rng.random((80, 3)) > 0.5].astype(np.float32)
    same = np.ones((80, 2), np.float32)
    notes = {
        name: fit("bayes", Examples(x[:60], y[:60]), Examples(x[60:], y[60:]), 2).note or ""
        for name, x in dict(sharp=sharp, grey=grey, words=words, mixed=mixed, same=same).items()
    }
    assert (
        notes["sharp"] == "Bernoulli naive Bayes: 0% of the pixel values are grey (from 0.1 to 0.9)"
    )
    assert notes["grey"].startswith("Gaussian naive Bayes: 100% of the pixel")
    assert notes["words"].startswith("Bernoulli naive Bayes for 30 columns with two values")
    assert re.search(r"error on the validation rows 0\.\d{4} against 0\.\d{4}$", notes["words"])
    assert "3 columns with two values" in notes["mixed"]
    assert len(re.findall(r"0\.\d{4}", notes["mixed"])) == 3  # both kinds, and each alone
    assert notes["same"].startswith("No column varies")


def test_a_label_without_training_rows_keeps_its_column() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = np.where(x[:, 0] > 0, 3, 1)  # of 0 to 4
    for name in CLASSIFIERS:
        answers = fit(name, Examples(x, y), None, 5).answers(x)
        assert answers.shape == (60, 5), name
        assert answers[:, [0, 2, 4]].max() == 0, name


def test_the_baseline_is_the_share_of_each_label_or_the_mean() -> None:
    x = np.zeros((4, 2), np.float32)
    weight = np.array([1, 1, 1, 5], np.float32)
    fitted = fit("baseline", Examples(x, np.array([1, 1, 1, 0]), weight), None, 3)
    np.testing.assert_allclose(fitted.answers(x[:1]), [[0.625, 0.375, 0]])
    value = fit("baseline", Examples(x, np.array([1, 1, 1, 5], np.float32)))
    np.testing.assert_allclose(value.answers(x[:2]), [2, 2])
    assert ask(export(value, x, None), x[:0])[0].shape == (0,)


@pytest.mark.parametrize(
    ("name", "task", "suggestion"),
    [
        ("logistic", "regression", "Did you mean 'linear'?"),
        ("bayes", "regression", "Did you mean 'linear'?"),
        ("linear", "classification", "Did you mean 'logistic'?"),
    ],
)
def test_a_learner_for_the_other_task_names_the_right_one(
    name: str, task: Any, suggestion: str
) -> None:
    with pytest.raises(
        SettingsError, match=f"This learner is not for {task}: learner='{name}'"
    ) as error:
        check_learner(resolve({"learner": name}), task, PICTURES)
    assert suggestion in str(error.value)


def test_a_learner_for_pictures_refuses_other_rows() -> None:
    with pytest.raises(SettingsError, match="learner='cnn'.* Did you mean 'network'") as error:
        check_learner(resolve({"learner": "cnn"}), "classification", FeaturesInput(n_features=3))
    assert error.value.code == "E632"
    check_learner(resolve({"learner": "cnn"}), "classification", PICTURES)


def test_every_setting_of_a_learner_is_one_and_every_learner_has_a_name_in_settings() -> None:
    assert {*LEARNERS, AUTO} == set(get_args(LearnerName))
    for learner in LEARNERS.values():
        assert set(learner.settings) <= set(Settings.model_fields)
        assert learner.instead is None or learner.instead in LEARNERS
    for learners in RECIPES.values():
        for name, changed in learners.items():
            general = set(changed) - {"test_size", "validation_size"}
            assert not general or general <= set(LEARNERS[name].settings), name


def test_settings_that_no_learner_uses_are_refused() -> None:
    for asked, learners in (
        (["epochs"], ["forest"]),
        (["seed", "hidden"], ["cnn", "bayes"]),
        (["n_trees"], ["network"]),
    ):
        with pytest.raises(SettingsError) as error:
            check_used(asked, learners)
        assert error.value.code == "E105"
        assert error.value.facts["setting"] == asked[-1]
    assert str(error.value) == (
        "The learner does not use this setting: setting='n_trees', learner='network'. "
        "Expected n_trees for forest only. Leave out n_trees."
    )
    check_used(["epochs", "seed", "class_weights", "folds"], ["forest", "network"])
    check_used(["n_trees"], ["forrest"])  # its name is refused elsewhere


def test_rows_that_cannot_be_learned_from_are_refused() -> None:
    x = np.zeros((3, 1), np.float32)
    for name in CLASSIFIERS:
        with refused("E628", "n_train=0"):
            fit(name, Examples(x[:0], np.zeros(0, np.int64)), None, 2)
        if name != "baseline":
            with pytest.raises(DataError, match=f"learner='{name}', code=1.*'baseline' takes"):
                fit(name, Examples(x, np.ones(3, np.int64)), None, 2)


def test_a_fit_that_stopped_early_says_so(digits: tuple[Examples, Examples]) -> None:
    fitted = fit("logistic", digits[0], None, 10, max_steps=3)
    assert fitted.note == "L2 penalty 1; stopped after 3 steps, before it settled"


def test_calibration_is_in_the_graph() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3)).astype(np.float32)
    for name in CLASSIFIERS:
        fitted = fit(name, Examples(x, (x[:, 0] > 0).astype(np.int64)), None, 3)
        for temperature in (0.3, 1.0, 4.0):
            constants = Constants(temperature=temperature)
            content = export(fitted, x, 3, constants)
            expected = constants.apply(fitted.answers(x))
            np.testing.assert_allclose(ask(content, x)[0], expected, atol=1e-5)
            used = [node.op_type for node in onnx.ModelProto.FromString(content).graph.node]
            assert ("Log" in used) == (temperature != 1)


def test_values_come_back_in_their_unit_with_an_interval() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)).astype(np.float32)
    constants = Constants(target_mean=1e6, target_scale=2e4, half_width=5e3)
    for name in REGRESSORS:
        fitted = fit(name, Examples(x, x[:, 0]))
        value, low, high = ask(export(fitted, x, None, constants), x)
        assert value.shape == low.shape == high.shape == (50,)
        expected = fitted.answers(x).astype(np.float64) * 2e4 + 1e6
        np.testing.assert_allclose(value, expected, atol=1)
        check_agreement(constants.apply(fitted.answers(x)), value, [""] * 50, scale=2e4)
        np.testing.assert_allclose(high - value, 5e3, atol=1)
        np.testing.assert_allclose(value - low, 5e3, atol=1)
    _, low, high = ask(export(fitted, x, None), x)
    assert (low == -np.inf).all() and (high == np.inf).all()


def test_a_value_that_differs_is_refused_in_the_targets_scale() -> None:
    expected = np.array([1e6, 2e6], np.float32)
    check_agreement(expected, expected + 1, ["a", "b"], scale=2e4)
    with refused("E609", r"n_rows=1, of=2.*\(b\)"):
        check_agreement(expected, np.array([1e6, np.nan], np.float32), ["a", "b"], scale=2e4)
    with refused("E609", "n_rows=2"):
        check_agreement(expected, expected + 10, ["a", "b"], scale=2e4)


def test_names_of_a_front_never_clash() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    fitted = fit("linear", Examples(x, x[:, 0]))
    contract = Contract(
        task="regression", input=ImageInput(height=1, width=1), labels=(), learner="linear",
        tenfold="0",
    )  # fmt: skip
    own = to_graph(fitted, contract, front=table_front(2, "linear.kernel"))
    np.testing.assert_allclose(ask(own, x)[0], fitted.answers(x), atol=1e-5)
    with refused("E608", r"names=\['low'\]"):
        to_graph(fitted, contract, front=table_front(2, "low"))


def test_every_file_is_made_of_known_operators_and_loads_in_the_c_locale(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 2, 2, 3), np.uint8)
    y = np.arange(60) % 3
    for name in CLASSIFIERS:
        content = export(fit(name, Examples(x, y), Examples(x, y), 3), x, 3, Constants(2.0))
        (tmp_path / f"{name}.onnx").write_bytes(content)
        nodes = onnx.ModelProto.FromString(content).graph.node
        used = {f"{node.domain}.{node.op_type}".removeprefix(".") for node in nodes}
        assert used <= OPERATORS, name
    program = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom tenfold import Model\n"
        "for path in sorted(Path(sys.argv[1]).glob('*.onnx')):\n"
        "    print(Model.open(path).answer(np.zeros((2, 2, 2, 3), np.uint8)).outputs[0].shape)\n"
        "assert 'sklearn' not in sys.modules\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True,
        env={**os.environ, "LANG": "C", "LC_ALL": "C"},
    ).stdout  # fmt: skip
    assert printed == "(2, 3)\n" * len(CLASSIFIERS)


def test_a_model_answers_no_more_rows_at_once_than_its_contract_says(few: Any) -> None:
    data = few(300, 50)
    rows = Examples(data.x[:300], data.y[:300])
    fitted = replace(fit("neighbors", rows, None, 10), rows_at_once=7)
    asked = resolve({"learner": "neighbors", "validation_size": 0})
    split = tenfold.split(data)
    model = Model(export_model(fitted, prepare(data, split, scaled=True), asked)[0])
    assert [len(feed["image"]) for feed in model.reader.feeds(data.x[:20], 7)] == [7, 7, 6]
    np.testing.assert_array_equal(model.answer(data.x).outputs[0], fitted.answers(data.x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bar", "megabytes"),
    [("forest", 0.970, 45), ("neighbors", 0.970, 30), ("logistic", 0.923, 1), ("bayes", 0.84, 1)],
)
def test_mnist_is_read_as_well_as_promised(
    mnist: Dataset, name: str, bar: float, megabytes: int
) -> None:
    split = tenfold.split(mnist, seed=0, validation_size=0.1)
    asked = resolve({"learner": name})
    prepared = prepare(mnist, split, scaled=LEARNERS[name].scaled)
    fitted = fit(name, prepared.train, prepared.validation, 10, n_trees=100)
    content = export_model(fitted, prepared, asked)[0]
    assert len(content) < megabytes * 1e6
    answers = Model(content).answer(mnist.x[split.test]).outputs[0]
    assert (answers.argmax(axis=1) == mnist.y[split.test]).mean() >= bar


def test_every_recipe_has_settings_for_learners_that_exist() -> None:
    assert [name for name in RECIPES["default"] if name != AUTO] == list(LEARNERS)
    assert list(RECIPES["fast"]) == list(LEARNERS)
    for recipe, learners in RECIPES.items():
        for name in learners:
            assert resolve({"recipe": recipe, "learner": name}).learner == name
    with pytest.raises(SettingsError, match="learner='forest', expected network with recipe"):
        resolve({"recipe": "tutorial", "learner": "forest"})
    assert all(len(learner.description) < 70 for learner in LEARNERS.values())
