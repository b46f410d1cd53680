"""The learner `cnn`: its steps are plain gradient steps, its graph answers like it."""

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import tenfold
from tenfold import Run
from tenfold.build.onnx import check_agreement, to_graph
from tenfold.core.contract import Contract, ImageInput, Reader
from tenfold.core.errors import SettingsError
from tenfold.core.layers import Conv2D, Parameters, Permute, trained
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings, resolve
from tenfold.learners import LEARNERS, Examples, Fitted, TrainingJob, jax_runtime
from tenfold.learners import network as learners_network
from tenfold.learners.architectures import (
    architecture_of,
    convolutional_network,
    first_parameters,
    rows_at_once,
)
from tenfold.learners.forward import forward
from tenfold.learners.jax_runtime import configure
from tenfold.learners.network import Network
from tenfold.learners.training import ConvolutionTraining, convolution
from tenfold.learners.training.convolution import SHARE, _plan, logits_of, statistics_of
from tests.support.networks import keras_network

PLAIN = Settings(
    learner="cnn",
    optimizer="sgd",
    schedule="constant",
    learning_rate=0.1,
    label_smoothing=0,
    shift_px=0,
    average=0,
    epochs=2,
    batch_size=16,
    width=4,
)
"""Most trainings here have these settings and steps of 16 pictures of 8x8, compiled once."""

SHAPES = [
    (8, 8),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((28, 28), (11, 20), (66, 37, 3))),
]


def some(n: int, shape: tuple[int, ...] = (8, 8), n_labels: int = 3, seed: int = 0) -> Examples:
    """Pictures whose labels are where they are bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_labels, n)
    x = rng.integers(0, 100, (n, *shape), np.uint8)
    for i, label in enumerate(y):
        x[i, label * 2 : label * 2 + 3] += 120
    return Examples(x, y)


def training(rows: Examples, settings: Settings = PLAIN, **others: Any) -> ConvolutionTraining:
    architecture = architecture_of(settings, rows.x.shape[1:], 3)
    return ConvolutionTraining(architecture, rows, others.get("validation"), settings)


def fit(
    rows: Examples, settings: Settings, held: Examples | None = None, n_labels: int = 3
) -> Fitted:
    """What the learner `cnn` makes of these rows."""
    return LEARNERS["cnn"].fit(
        TrainingJob(rows, held, n_labels=n_labels, settings=settings, listener=Listener())
    )


def by_name(parameters: Parameters) -> dict[str, NDArray[np.float32]]:
    return {f"{layer}.{name}": a for layer, own in parameters.items() for name, a in own.items()}


def assert_equal(one: Parameters, other: Parameters) -> None:
    arrays, others = by_name(one), by_name(other)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def keras_steps(rows: Examples, settings: Settings) -> dict[str, NDArray[np.float32]]:
    """The same training through Keras' own layers, each share of a batch by itself."""
    import jax
    import jax.numpy as jnp

    architecture = architecture_of(settings, rows.x.shape[1:], 3)
    network = keras_network(architecture, first_parameters(architecture, settings.seed))
    weights = [jnp.asarray(variable.value) for variable in network.trainable_variables]
    fixed = [variable.value for variable in network.non_trainable_variables]

    @jax.jit
    @jax.grad
    def gradient(weights: Any, x: Any, y: Any) -> Any:
        p, _ = network.stateless_call(weights, fixed, x, training=True)
        return -jnp.sum(jnp.log(p[jnp.arange(len(y)), y]))

    for epoch in range(1, settings.epochs + 1):
        for parts in _plan(settings, epoch, rows).rows:
            summed = [gradient(weights, rows.x[p].astype("f4"), rows.y[p]) for p in parts]
            for i in range(len(weights)):
                mean = sum(part[i] for part in summed) / sum(map(len, parts))
                weights[i] = weights[i] - settings.learning_rate * mean
    names = [v.path.partition("/")[2] for v in network.trainable_variables]
    return {n.replace("/", "."): np.asarray(w) for n, w in zip(names, weights, strict=True)}


def import_jax() -> Any:
    configure()
    import jax

    return jax


class Trained(NamedTuple):
    """A training to its end, and what happened in it: `compiled`, `_batch`, `_score`."""

    training: ConvolutionTraining
    history: list[Epoch]
    events: list[str]


@pytest.fixture(scope="module")
def uneven() -> Trained:
    """126 rows in two steps, each of two shares, of 32 and of 31 rows."""
    jax = import_jax()
    events = list[str]()

    def listen(name: str, seconds: float, **others: Any) -> None:
        if name.endswith("backend_compile_duration"):
            events.append("compiled")

    mine = training(some(126), PLAIN.model_copy(update={"batch_size": 64}))

    def told(method: Any) -> Any:
        def call(*args: Any) -> Any:
            events.append(method.__name__)
            return method(*args)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mine, "_batch", told(mine._batch))
        patch.setattr(mine, "_score", told(mine._score))
        patch.setattr(jax_runtime, "_programs", {})  # of other trainings in this process
        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            history = list(mine)
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
    return Trained(mine, history, events)


def test_a_step_is_a_gradient_step_of_keras_layers(uneven: Trained) -> None:
    settings = PLAIN.model_copy(update={"batch_size": 64})
    found = by_name(trained(uneven.training.fitted()))
    expected = keras_steps(some(126), settings)
    assert found.keys() == expected.keys()
    for name, weight in found.items():
        np.testing.assert_allclose(weight, expected[name], atol=2e-4)
    assert uneven.history[1].loss < uneven.history[0].loss


def test_the_first_epoch_compiles_nothing(uneven: Trained) -> None:
    first, last = uneven.events.index("_batch"), uneven.events.index("_score")
    # Two sizes of a share are a program each, and there is the update.
    assert uneven.events[:first].count("compiled") >= 3
    assert "compiled" not in uneven.events[first:last]


@given(st.integers(1, 300), st.integers(1, 200))
def test_shares_hold_every_row_once_and_are_of_two_sizes(n: int, batch_size: int) -> None:
    settings = PLAIN.model_copy(update={"batch_size": batch_size})
    rows = Examples(np.zeros((n, 8, 8), np.uint8), np.zeros(n, np.int64))
    plan = _plan(settings, 1, rows)
    shares = [share for step in plan.rows for share in step]
    assert sorted(np.concatenate(shares)) == list(range(n))
    assert len(plan.rows) == len(plan.rates) == -(-n // batch_size)
    assert max(sum(map(len, step)) for step in plan.rows) <= batch_size
    sizes = {len(share) for share in shares}
    assert max(sizes) <= SHARE and max(sizes) - min(sizes) <= 1 and 0 not in sizes
    if batch_size >= SHARE <= n:  # then no share is so small that its mean says little
        assert min(sizes) >= SHARE // 2 - 1


@pytest.mark.parametrize("n", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_few_rows_are_seen_once_in_each_epoch_of_the_default_recipe(n: int) -> None:
    rows = some(n, n_labels=2)
    rows.y[:2] = 0, 1
    settings = resolve({"learner": "cnn", "epochs": 3, "width": 4})
    plan = _plan(settings, 1, rows)
    assert [len(share) for step in plan.rows for share in step] == [n]
    fitted = fit(rows, settings, n_labels=2)
    answers = fitted.answers(rows.x)
    assert answers.shape == (n, 2) and np.isfinite(answers).all()
    for record in fitted.history:
        assert record.accuracy is not None
        assert record.accuracy * n == pytest.approx(round(record.accuracy * n), abs=1e-4)


def test_rows_that_weigh_nothing_are_as_if_they_were_not_there() -> None:
    rows = some(72)
    weight = np.ones(72, np.float32)
    weight[::3] = 0
    with_them = training(rows._replace(weight=weight))
    without = training(Examples(rows.x[weight > 0], rows.y[weight > 0]))
    histories = list(with_them), list(without)
    assert [r.loss for r in histories[0]] == [r.loss for r in histories[1]]
    assert_equal(with_them.fitted(), without.fitted())


def test_a_training_without_weight_changes_nothing() -> None:
    nothing = training(some(32)._replace(weight=np.zeros(32, np.float32)))
    assert [record.loss for record in nothing] == [0, 0]
    first = first_parameters(architecture_of(PLAIN, (8, 8), 3), PLAIN.seed)
    assert_equal(trained(nothing.fitted()), trained(first))


def test_a_label_that_counts_more_is_answered_more_often() -> None:
    rng = np.random.default_rng(0)
    rows = Examples(rng.integers(0, 256, (64, 8, 8), np.uint8), rng.integers(0, 2, 64))
    settings = PLAIN.model_copy(update={"epochs": 8})
    shares = []
    for weights in [(1.0, 9.0, 1.0), (9.0, 1.0, 1.0)]:
        asked = settings.model_copy(update={"class_weights": weights})
        fitted = fit(rows, asked)
        shares.append(fitted.answers(rows.x)[:, 1].mean())
    assert shares[0] > shares[1] + 0.3


def test_the_same_seed_is_the_same_model_and_a_restored_one_goes_on_exactly() -> None:
    settings = PLAIN.model_copy(
        update={
            "optimizer": "adam",
            "average": 0.9,
            "epochs": 3,
            "rotate_degrees": 10.0,
            "shift_px": 1,
            "dropout": 0.2,
            "clean_epochs": 1,
            "schedule": "cycle",
        }
    )
    rows, held = some(48), some(20, seed=1)
    whole = training(rows, settings, validation=held)
    history = list(whole)
    first = training(rows, settings, validation=held)
    records = iter(first)
    next(records)
    resumed = training(rows, settings, validation=held)
    resumed.restore(first.state())
    assert [r.val_loss for r in list(resumed)] == [r.val_loss for r in history[1:]]
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, resumed.state()[name], err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_keras_and_the_graph_answer_alike(shape: tuple[int, ...]) -> None:
    rows = some(32, shape)
    fitted = fit(rows, PLAIN.model_copy(update={"epochs": 1}))
    expected = fitted.answers(rows.x)
    height, width, *channels = shape
    contract = Contract(
        task="classification",
        input=ImageInput(height=height, width=width, channels=len(channels) and 3 or 1),
        reader=Reader(name="array"),
        labels=("a", "b", "c"),
        learner="cnn",
        tenfold="0",
    )
    session = onnxruntime.InferenceSession(to_graph(fitted, contract))
    answered = session.run(None, {"image": rows.x})[0]
    check_agreement(expected, answered, [str(i) for i in range(32)])
    body = fitted.body
    assert isinstance(body, Network)
    logits = logits_of(body.architecture, body.parameters, rows.x)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), expected, atol=1e-4)
    network = keras_network(body.architecture, body.parameters)
    np.testing.assert_allclose(network(rows.x.astype("f4")), expected, atol=1e-5)


def test_the_statistics_are_those_of_one_large_batch() -> None:
    import_jax()
    architecture, rows = convolutional_network((8, 8), 3, 4), some(900)
    weights = trained(first_parameters(architecture, 0))
    found = by_name(statistics_of(architecture, weights, rows.x))
    expected = by_name(forward(architecture.to_logits, weights, rows.x)[1])
    assert len(found) == len(expected) == 2 * 3
    for name, mine in found.items():
        np.testing.assert_allclose(mine, expected[name], rtol=0.05, atol=0.02)


def test_large_pictures_are_answered_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [((256, 256, 3), 32), ((256, 256), 64), ((8, 8), 1024)]
    limits = [rows_at_once(convolutional_network(shape, 3, width)) for shape, width in sizes]
    assert limits == [64, 32, 512]
    rows = some(64)
    fitted = fit(rows, PLAIN.model_copy(update={"epochs": 1}))
    body = fitted.body
    assert isinstance(body, Network)
    architecture, parameters = body.architecture, body.parameters
    whole, expected = logits_of(architecture, parameters, rows.x), fitted.answers(rows.x)
    import jax

    placed, put = list[int](), jax.device_put

    def putting(arrays: Any, device: Any) -> Any:
        placed.extend([len(arrays)] if isinstance(arrays, np.ndarray) else [])
        return put(arrays, device)

    monkeypatch.setattr(jax, "device_put", putting)
    monkeypatch.setattr(convolution, "rows_at_once", lambda architecture: 20)
    np.testing.assert_allclose(logits_of(architecture, parameters, rows.x), whole, atol=1e-5)
    assert placed == [20, 20, 20, 20]
    monkeypatch.setattr(learners_network, "VALUES", 64 * 20)
    np.testing.assert_allclose(fitted.answers(rows.x), expected, atol=1e-5)
    parts = [(len(part), n_new) for part, n_new in learners_network._parts(rows.x)]
    assert parts == [(20, 20), (20, 20), (20, 20), (20, 4)]


@pytest.mark.slow
def test_it_learns_and_keeps_the_best_when_it_is_patient() -> None:
    rows, held = some(300), some(60, seed=1)
    settings = resolve(
        {
            "learner": "cnn",
            "epochs": 12,
            "width": 8,
            "batch_size": 25,
            "patience": 2,
            "shift_px": 0,
            "rotate_degrees": 0.0,
            "zoom": 0.0,
            "shear": 0.0,
        }
    )
    fitted = fit(rows, settings, held)
    assert (fitted.answers(held.x).argmax(axis=1) == held.y).mean() > 0.95
    assert fitted.rows_at_once == (1 << 27) // (4 * 64 * 8)


@pytest.mark.parametrize("side", [8, 9, 19, 20, 28, 32, 64, 65, 96, 128, 200, 256])
@pytest.mark.parametrize("width", [32, 48])
def test_the_layers_follow_the_size(side: int, width: int) -> None:
    architecture = convolutional_network((side, side), 3, width)
    *_, (_, (left, *_), _) = (p for p in architecture.places() if isinstance(p.layer, Permute))
    assert 2 <= left <= 4
    filters = [layer.filters for layer in architecture.layers if isinstance(layer, Conv2D)]
    assert filters[0] == width and max(filters) <= 4 * width


@pytest.mark.parametrize("shape", [(7, 8), (8, 257, 3)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError) as raised:
        convolutional_network(shape, 2)
    assert str(raised.value) == (
        f"The learner cannot use pictures of this size: learner='cnn', height={shape[0]}, "
        f"width={shape[1]}. Expected sides of 8 to 256 pixels. The learner 'network' takes any "
        "size."
    )


def test_from_pictures_to_a_run(few: Any, small_cnn: Run) -> None:
    data, run = few(600, 100), small_cnn
    assert run.record.state == "finished" and run.record.learner == "cnn"
    assert run.record.parameters == convolutional_network((28, 28), 10, 8).n_parameters()
    assert tenfold.verify(run.path)["examples"] == 10
    assert tenfold.evaluate(run, data) == run.evaluation
    assert run.model.contract.rows_at_once is not None


def test_recipes_of_other_learners_are_refused() -> None:
    for recipe in ("tutorial", "long"):
        with pytest.raises(SettingsError, match="learner='cnn', expected network with recipe"):
            resolve({"learner": "cnn", "recipe": recipe})
