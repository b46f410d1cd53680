"""The scikit-learn estimators: scikit-learn's own checks, and what those do not look at."""

import copy
import pickle
import threading
from pathlib import Path
from signal import SIGINT, raise_signal
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import tenfold
from tenfold import Model, NetworkClassifier, NetworkRegressor
from tenfold.build import choose_features, chosen, table_plan
from tenfold.build.onnx.fronts import encode_features
from tenfold.core.contract import FeaturesInput
from tenfold.core.errors import DataError, SettingsError
from tenfold.learners import jax_runtime
from tenfold.model.predictions import Prediction, Predictions, Value, Values
from tests.support.errors import refused

Floats = NDArray[np.float64]


@parametrize_with_checks([NetworkClassifier(max_epochs=50)])  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


AUTO = NetworkClassifier(learner="auto", minutes=1e-6)
"""It chooses between two quick learners."""


@parametrize_with_checks([AUTO])  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks_of_auto(estimator: Any, check: Any) -> None:
    check(estimator)


REGRESSION = ("check_regressors_train", "check_regressors_int", "check_supervised_y_2d")


@pytest.mark.parametrize("name", REGRESSION)
def test_scikit_learns_checks_of_regressors(name: str) -> None:
    for regressor in (NetworkRegressor(), NetworkRegressor(learner="auto", minutes=1e-6)):
        checks = estimator_checks_generator(regressor)
        own = [pair for pair in checks if pair[1].func.__name__ == name]
        assert own
        for estimator, check in own:
            check(estimator)


@pytest.mark.slow
@parametrize_with_checks([NetworkClassifier(), NetworkRegressor()])  # type: ignore[untyped-decorator]
def test_scikit_learns_own_checks_of_the_defaults(estimator: Any, check: Any) -> None:
    check(estimator)


def heaps(n: int = 90) -> tuple[Floats, NDArray[np.int64]]:
    """Three heaps in the plane that touch."""
    x, y = make_blobs(n, centers=[[0, 0], [4, 0], [0, 4]], cluster_std=1.0, random_state=0)
    return x, y


def slope(n: int = 400) -> tuple[Floats, Floats]:
    """A plane over four columns, with noise of standard deviation 5."""
    x, y = make_regression(n, 4, noise=5.0, random_state=0)
    return x, y + 1000


@pytest.fixture(scope="module")
def regressor() -> NetworkRegressor:
    return NetworkRegressor().fit(*(part[:300] for part in slope()))


@pytest.mark.parametrize(
    "names",
    [np.array([5.0, 1.0, -2.0]), np.array(["low", "mid", "high"]), np.array([7, 3, 5])],
    ids=["floats", "strings", "integers"],
)
def test_labels_of_every_kind_come_back_as_they_were(names: NDArray[Any]) -> None:
    x, y = heaps()
    fitted = NetworkClassifier().fit(x, names[y])
    assert fitted.classes_.tolist() == sorted(names.tolist())
    assert fitted.predict(x).dtype == names.dtype
    assert fitted.score(x, names[y]) > 0.9
    assert fitted.model_.labels == tuple(str(label) for label in sorted(names.tolist()))
    best = fitted.predict_proba(x).argmax(axis=1)
    answers = fitted.model_.answer(x)
    assert isinstance(answers, Predictions)
    assert answers.labels == [str(fitted.classes_[code]) for code in best]


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_it_works_where_scikit_learn_puts_estimators_together(n_jobs: int | None) -> None:
    x, y = heaps()
    line = make_pipeline(StandardScaler(), NetworkClassifier(max_epochs=100))
    scores = cross_val_score(line, x, y, cv=2, n_jobs=n_jobs)
    assert scores.min() > 0.8
    asked = {"networkclassifier__hidden_layer_sizes": [(), (16,)]}
    search = GridSearchCV(line, asked, cv=2).fit(x, y)
    assert search.best_score_ > 0.8
    copied = clone(search.best_estimator_[-1])
    assert copied.get_params() == search.best_estimator_[-1].get_params()
    assert not hasattr(copied, "model_")


def test_the_file_answers_what_predict_answers(tmp_path: Path, regressor: NetworkRegressor) -> None:
    x, _ = slope()
    path = tmp_path / "model.onnx"
    path.write_bytes(regressor.onnx_)
    model = Model.open(path)
    assert model.contract.input == FeaturesInput(n_features=4)
    answers = model.predict(x)
    assert isinstance(answers, Values)
    assert (answers.value == regressor.predict(x)).all()
    assert repr(model) == "Model(network, 4 features, regression)"
    one = model.predict_one(x[0].tolist())
    assert isinstance(one, Value) and one.value == pytest.approx(float(answers.value[0]))


def test_one_row_of_features_is_one_prediction() -> None:
    x, y = heaps()
    fitted = NetworkClassifier(max_epochs=50).fit(x, y)
    one = fitted.model_.predict_one(x[0])
    assert isinstance(one, Prediction) and one.image is None
    assert one.probabilities == pytest.approx(fitted.predict_proba(x[:1])[0], abs=1e-6)


def test_a_copy_holds_the_models_bytes_and_answers_alike(regressor: NetworkRegressor) -> None:
    x, _ = slope()
    state = regressor.__getstate__()
    assert "model_" not in state and isinstance(state["onnx_"], bytes)
    for twin in (pickle.loads(pickle.dumps(regressor)), copy.deepcopy(regressor)):
        assert (twin.predict(x) == regressor.predict(x)).all()
    assert pickle.loads(pickle.dumps(NetworkRegressor(max_epochs=7))).max_epochs == 7


def test_values_are_in_the_targets_unit_with_an_honest_interval(
    regressor: NetworkRegressor,
) -> None:
    x, y = slope()
    assert regressor.score(x[300:], y[300:]) > 0.95
    answers = regressor.model_.answer(x[300:])
    assert isinstance(answers, Values)
    inside = (answers.low <= y[300:]) & (y[300:] <= answers.high)
    assert 0.75 < inside.mean() <= 1


def test_training_stops_by_its_patience_and_keeps_a_record(regressor: NetworkRegressor) -> None:
    assert regressor.n_iter_ == len(regressor.history_) == len(regressor.loss_curve_) < 200
    lowest = int(np.argmin([epoch.val_loss or 0 for epoch in regressor.history_]))
    assert regressor.n_iter_ == lowest + 1 + 20
    assert regressor.loss_curve_[-1] < regressor.loss_curve_[0]


def test_few_rows_are_all_trained_on() -> None:
    x, y = heaps()
    fitted = NetworkClassifier(max_epochs=30, patience=2).fit(x, y)
    assert fitted.n_iter_ == 30
    assert {epoch.val_loss for epoch in fitted.history_} == {None}


def test_a_class_of_one_row_stays_in_training() -> None:
    x, y = heaps(200)
    x, y = np.vstack([x, [[40.0, 40.0]]]), np.append(y, 3)
    fitted = NetworkClassifier().fit(x, y)
    assert fitted.history_[0].val_loss is not None
    assert fitted.predict([[40.0, 40.0]]).tolist() == [3]


def test_an_offset_far_from_zero_costs_nothing() -> None:
    x, y = heaps()
    near, far = (NetworkClassifier().fit(x + offset, y) for offset in (0, 2.0**40))
    assert near.predict_proba(x) == pytest.approx(far.predict_proba(x + 2.0**40), abs=1e-2)
    # In float32 there is nothing left to tell the rows apart by.
    assert np.unique((x + 2.0**40).astype(np.float32)).size == 1


def test_weights_rows_repeated_and_rows_in_another_order_are_the_same_model() -> None:
    x, y = heaps(30)
    weight = np.arange(30) % 4
    repeated = np.repeat(np.arange(30), weight)
    shuffled = np.random.default_rng(0).permutation(repeated)
    models = [
        NetworkClassifier(max_epochs=20).fit(x, y, sample_weight=weight),
        NetworkClassifier(max_epochs=20).fit(x[repeated], y[repeated]),
        NetworkClassifier(max_epochs=20).fit(x[shuffled], y[shuffled]),
    ]
    assert len({model.onnx_ for model in models}) == 1


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 19.0}])
def test_class_weights_make_a_rare_class_count(class_weight: Any) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [190, 10])
    x = rng.normal(y[:, None], 1.0)
    plain = NetworkClassifier(()).fit(x, y).predict_proba([[0.5]])[0, 1]
    weighted = NetworkClassifier((), class_weight=class_weight).fit(x, y)
    assert plain < 0.2 < 0.3 < weighted.predict_proba([[0.5]])[0, 1] < 0.7


def test_random_state_decides_the_model() -> None:
    x, y = heaps()

    def content(random_state: Any) -> bytes:
        fitted = NetworkClassifier(max_epochs=5, random_state=random_state).fit(x, y)
        return bytes(fitted.onnx_)

    assert content(0) == content(0) != content(1)
    assert content(np.random.RandomState(1)) == content(1)
    drawn = np.random.RandomState(1)
    assert content(drawn) != content(drawn)
    assert content(None) != content(None)


def test_a_fit_of_the_same_shapes_compiles_nothing() -> None:
    x, y = heaps(40)
    NetworkClassifier(max_epochs=3).fit(x, y)
    before = list(jax_runtime._programs)
    NetworkClassifier(max_epochs=3).fit(x + 1, y)
    assert sorted(jax_runtime._programs) == sorted(before)
    assert len(before) <= jax_runtime.MAX_PROGRAMS


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"max_epochs": 0}, "max_epochs must be 1 or more, not 0"),
        ({"hidden_layer_sizes": (8, -1)}, "hidden_layer_sizes must be 1 or more, not -1"),
        ({"validation_fraction": 1.5}, "validation_fraction must be less than 1, not 1.5"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0, not 0.0"),
    ],
)
def test_parameters_outside_their_rule_are_called_by_their_name(
    asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=f"^The settings are not valid: {said}"):
        NetworkClassifier(**asked).fit(*heaps())


@pytest.mark.parametrize("few", [2_000, 10])
def test_auto_chooses_a_learner_by_folds_or_by_validation_rows(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose_features, "FEW", few)
    x, y = slope(300)
    fitted, again = (NetworkRegressor(learner="auto", minutes=0.05).fit(x, y) for _ in range(2))
    assert fitted.onnx_ == again.onnx_
    assert fitted.learner_ == "linear" == fitted.candidates_[0].learner
    assert "baseline" in {one.learner for one in fitted.candidates_}
    assert fitted.score(x, y) > 0.95


@pytest.mark.parametrize("few", [2_000, 10])
def test_auto_may_keep_a_vote(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_features, "FEW", few)
    monkeypatch.setattr(chosen, "STANDARD_ERRORS", -np.inf)
    costs = {name: table_plan.COSTS[name] for name in ("linear", "neighbors")}
    monkeypatch.setattr(table_plan, "COSTS", costs)
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (300, 1))
    y = x[:, 0] + np.sin(3 * x[:, 0]) + rng.normal(0, 0.8, 300)
    fitted = NetworkRegressor(learner="auto").fit(x, y)
    assert fitted.learner_ == "vote"
    assert set(fitted.model_.contract.vote) == {"linear", "neighbors"}


def test_rows_that_weigh_nothing_choose_nothing() -> None:
    x, y = heaps(200)
    weight = np.r_[np.ones(150), np.zeros(50)]
    wrong = np.where(weight > 0, y, 0)
    models = [
        NetworkClassifier(learner="auto", minutes=0.02).fit(x, wrong, sample_weight=weight),
        NetworkClassifier(learner="auto", minutes=0.02).fit(x[:150], y[:150], np.ones(150)),
    ]
    assert len({model.onnx_ for model in models}) == 1


@pytest.mark.parametrize("learner", ["logistic", "boosting", "neighbors"])
def test_other_learners_have_their_own_defaults(learner: str) -> None:
    x, y = heaps()
    fitted = NetworkClassifier(learner=learner).fit(x, y)
    assert fitted.learner_ == learner and fitted.score(x, y) > 0.9 and not fitted.candidates_


def test_learners_of_another_task_are_refused() -> None:
    with refused("E626", "learner='linear'"):
        NetworkClassifier(learner="linear").fit(*heaps())
    with refused("E632", "learner='cnn'"):
        NetworkClassifier(learner="cnn").fit(*heaps())


def test_no_validation_fraction_needs_no_patience() -> None:
    fitted = NetworkClassifier(validation_fraction=0, max_epochs=3).fit(*heaps(200))
    assert fitted.n_iter_ == 3


def test_one_class_is_refused() -> None:
    with refused("E612", r"classes=\['a'\]"):
        NetworkClassifier().fit([[1.0], [2.0]], ["a", "a"])


def test_arrays_that_do_not_fit_the_model_are_refused(regressor: NetworkRegressor) -> None:
    with refused("E503", r"dtype='float32', shape=\(2, 4\)"):
        regressor.model_.answer(np.zeros((2, 4), np.float32))
    with pytest.raises(DataError, match=r"The values fit: x.reshape\(-1, 4\)"):
        regressor.model_.predict(np.zeros((2, 8)))
    with refused("E507", "kind='list'"):
        regressor.model_.predict(["a", "b", "c", "d"])


def test_ctrl_c_ends_the_fit_and_whatever_it_is_part_of() -> None:
    x, y = heaps()
    NetworkClassifier(max_epochs=1).fit(x, y)  # Keras is loaded
    fits = NetworkClassifier(max_epochs=100_000)
    ends = threading.Timer(0.5, raise_signal, [SIGINT])
    ends.start()
    with pytest.raises(KeyboardInterrupt):
        fits.fit(x, y)
    ends.join()
    assert not hasattr(fits, "model_")


def test_numpy_scales_like_the_graph(regressor: NetworkRegressor) -> None:
    x = np.array([[0.0, 5.0, 1e300], [1.0, 7.5, -1e300]])
    mean, deviation = np.array([0.5, 5.0, 0.0]), np.array([0.5, 2.0, 1.0])
    scaled = encode_features(FeaturesInput(n_features=3), mean, deviation).encode(x)
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[-1, 0, 10], [1, 1.25, -10]]
    assert np.isfinite(regressor.predict(np.full((1, 4), 1e300))).all()


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'NetworkClasifier'"):
        _ = tenfold.NetworkClasifier
