"""Boosted trees: ended by validation rows, and the same to 1e-6 in the graph."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from tenfold.core.errors import ModelError
from tenfold.core.progress import Listener
from tenfold.core.settings import resolve
from tenfold.learners import LEARNERS, boosting
from tenfold.learners.classical import loss_of
from tenfold.learners.job import Examples, Fitted, TrainingJob
from tenfold.model.model import Model
from tests.learners.test_learners import ask, export


def fit(
    train: Examples, held: Examples | None = None, n_labels: int | None = None, **asked: Any
) -> Fitted:
    return LEARNERS["boosting"].fit(job_of(train, held, n_labels, **asked))


def refit(train: Examples, held: Examples, n_labels: int | None, **asked: Any) -> Fitted:
    """The same where validation rows may be fitted to in the end."""
    job = job_of(train, held, n_labels, **asked)
    return LEARNERS["boosting"].fit(job._replace(refit=True))


def job_of(
    train: Examples, held: Examples | None, n_labels: int | None, **asked: Any
) -> TrainingJob:
    chosen = resolve({"learner": "boosting", **asked}, table=True)
    return TrainingJob(train, held, n_labels, chosen, Listener())


def rows(seed: int, n: int, n_labels: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Numbers of many sizes, whole ones, and missing ones; labels leave the second one out."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) * 10.0 ** rng.integers(-20, 20, 4)
    x[:, 1] = rng.integers(0, 3, n)
    x[rng.random(x.shape) < 0.2] = np.nan
    signal = np.sign(np.nan_to_num(x[:, 0])) + np.isnan(x[:, 2]) + rng.normal(size=n)
    if n_labels is None:
        return x.astype(np.float32), (signal / signal.std()).astype(np.float32)
    codes = np.digitize(signal, np.linspace(-1, 1, n_labels - 1))
    codes = np.where(codes == 1, 0, codes) if n_labels > 2 else codes
    return x.astype(np.float32), codes.astype(np.int64)


def asked_of(fitted: Fitted, x: NDArray[Any], seed: int) -> NDArray[Any]:
    """Rows at every threshold and the next float32 to it, with nothing, and with the infinite."""
    trees = [tree for trees in fitted.body.estimator._predictors for tree in trees]  # type: ignore[attr-defined]
    nodes = np.concatenate([tree.nodes for tree in trees])
    nodes = nodes[(nodes["is_leaf"] == 0) & (np.abs(nodes["num_threshold"]) < 1e37)]
    rng = np.random.default_rng(seed)
    more = x[rng.integers(0, len(x), 3 * len(nodes) + 3)].copy()
    for i, node in enumerate(nodes):
        at, column = np.float32(node["num_threshold"]), node["feature_idx"]
        more[3 * i : 3 * i + 3, column] = [at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf)]
    more[-3:] = np.array([np.nan, -np.inf, np.inf])[:, None]
    return np.concatenate([x, more])


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    n_labels=st.sampled_from([None, 2, 5]),
    weighted=st.booleans(),
    watched=st.booleans(),
)
def test_graph_and_trees_agree_to_a_millionth(
    seed: int, n_labels: int | None, weighted: bool, watched: bool
) -> None:
    x, y = rows(seed, 150, n_labels)
    if n_labels is not None and len(np.unique(y[:100])) < 2:
        return
    weight = np.arange(100, dtype=np.float32) if weighted else None
    held = Examples(x[100:], y[100:]) if watched else None
    fitted = fit(Examples(x[:100], y[:100], weight), held, n_labels, rounds=40, min_leaf=3)
    x = asked_of(fitted, x, seed)
    expected, found = fitted.answers(x), ask(export(fitted, x, n_labels), x)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.isfinite(expected).all()


def test_sums_of_many_trees_keep_their_digits() -> None:
    x, y = rows(0, 400, None)
    fitted = fit(Examples(x, y), rounds=600, min_leaf=2, learning_rate=0.3)
    difference = ask(export(fitted, x, None), x)[0] - fitted.answers(x)
    assert np.abs(difference).max() < 1e-6 * y.std()


@pytest.mark.parametrize("n_labels", [None, 2, 5])
def test_validation_rows_choose_the_rounds(n_labels: int | None) -> None:
    x, y = rows(1, 300, n_labels)
    held = Examples(x[200:], y[200:])
    fitted = fit(Examples(x[:200], y[:200]), held, n_labels, patience=10)
    assert fitted.note is not None and "chosen on the validation rows" in fitted.note
    n_kept, n_made = int(fitted.note.split()[0]), int(fitted.note.split()[2])
    assert n_kept <= n_made <= n_kept + 11 < 1000
    losses = []
    for n in range(max(1, n_kept - 2), n_kept + 3):
        other = fit(Examples(x[:200], y[:200]), None, n_labels, rounds=n)
        losses.append(loss_of(other.answers(held.x), held.y, None))
    assert min(losses) == pytest.approx(loss_of(fitted.answers(held.x), held.y, None))
    assert fitted.judged is not None and fitted.judged.shape == fitted.answers(held.x).shape
    assert np.isfinite(fitted.judged).all()


@pytest.mark.parametrize("n_labels", [None, 2, 5])
def test_few_rows_choose_the_rounds_by_folds_and_all_are_fitted_to(n_labels: int | None) -> None:
    x, y = rows(1, 300, n_labels)
    train, held = Examples(x[:270], y[:270]), Examples(x[270:], y[270:])
    fitted = refit(train, held, n_labels, patience=10, rounds=60)
    assert fitted.note is not None and "fitted to training and validation rows" in fitted.note
    whole = fit(Examples(x, y), None, n_labels, rounds=int(fitted.note.split()[0]))
    np.testing.assert_array_equal(whole.answers(x), fitted.answers(x))
    cross = fitted.cross
    assert cross is not None and fitted.judged is not None
    np.testing.assert_array_equal(cross.rows.y, y)
    np.testing.assert_array_equal(cross.answers[270:], fitted.judged)
    assert loss_of(cross.answers, y, None) > loss_of(fitted.answers(x), y, None)
    changed = Examples(np.where(np.arange(30)[:, None] < 1, 9, held.x), held.y)
    other = refit(train, changed, n_labels, patience=10, rounds=60)
    assert (whole.answers(x) != other.answers(x)).any()


def test_many_rows_choose_by_the_validation_rows_and_are_fitted_to_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boosting, "FEW_ANSWERS", 0)
    x, y = rows(1, 300, 2)
    train, held = Examples(x[:200], y[:200]), Examples(x[200:], y[200:])
    alone, fitted = (make(train, held, 2, patience=10, rounds=60) for make in (fit, refit))
    assert alone.judged is not None and fitted.judged is not None and alone.note is not None
    np.testing.assert_array_equal(alone.judged, fitted.judged)
    whole = fit(Examples(x, y), None, 2, rounds=int(alone.note.split()[0]))
    np.testing.assert_array_equal(whole.answers(x), fitted.answers(x))
    monkeypatch.setattr(boosting, "MAX_REFITTED", 299)
    kept = refit(train, held, 2, patience=10, rounds=60)
    np.testing.assert_array_equal(kept.answers(x), alone.answers(x))


def test_labels_that_training_never_had_do_not_end_the_rounds() -> None:
    x, y = rows(2, 120, 2)
    held = Examples(x[:60], np.full(60, 3))
    fitted = fit(Examples(x[60:], y[60:]), held, 4, rounds=3)
    assert fitted.note is None and fitted.judged is None
    some = Examples(x[:60], np.r_[y[:50], np.full(10, 3)])
    assert fit(Examples(x[60:], y[60:]), some, 4, rounds=3).judged is not None
    few = Examples(x[:49], y[:49])
    assert fit(Examples(x[60:], y[60:]), few, 4, rounds=3).judged is None


def test_tensors_of_nodes_are_inside_the_file() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 2, 2), np.uint8)
    y = x[:, 0, 0].astype(np.float32)
    proto = onnx.ModelProto.FromString(export(fit(Examples(x, y), rounds=2), x, None))
    (node,) = (node for node in proto.graph.node if node.op_type == "TreeEnsembleRegressor")
    (values,) = (a.t for a in node.attribute if a.name == "nodes_values_as_tensor")
    values.data_location = onnx.TensorProto.EXTERNAL
    values.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(ModelError) as error:
        Model(proto.SerializeToString())
    assert error.value.code == "E513"


def test_few_values_are_computed_by_one_thread() -> None:
    x = np.zeros((10, 4), np.float32)
    with boosting._threads_for(x):
        found = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "openmp"]
    assert found and set(found) == {1}


def test_bins_that_nothing_needs_change_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 17, (300, 5)).astype(np.float32)
    x[::7, 0] = np.nan
    y = (x[:, 1] > x[:, 2]).astype(np.int64)
    assert boosting._bins(x) == 17
    assert boosting._bins(rng.normal(size=(300, 2)).astype(np.float32)) == 255
    few = fit(Examples(x, y), None, 2, rounds=20).answers(x)
    monkeypatch.setattr(boosting, "_bins", lambda x: 255)
    assert np.array_equal(few, fit(Examples(x, y), None, 2, rounds=20).answers(x))


@pytest.mark.parametrize(("n_labels", "rounds"), [(None, 1000), (2, 1000), (10, 500), (100, 200)])
def test_many_labels_have_fewer_rounds(n_labels: int | None, rounds: int) -> None:
    assert boosting._watched_rounds(n_labels) == rounds
