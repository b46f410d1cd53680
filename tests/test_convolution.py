"""The learner `cnn`: its steps are plain gradient steps, its graph answers like it."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold.contract import Contract, ImageInput, Reader, Settings, resolve
from tenfold.errors import SettingsError
from tenfold.graph import check_agreement, to_graph
from tenfold.learners import LEARNERS, Watcher
from tenfold.network import build_cnn, convolutions, import_keras
from tenfold.training import ConvolutionTraining, Examples
from tenfold.training.convolution import (
    SHARE,
    _plan,
    answers_of,
    forward,
    statistics_of,
)

PLAIN = Settings(
    learner="cnn", optimizer="sgd", schedule="constant", learning_rate=0.1, label_smoothing=0,
    shift_px=0, average=0, epochs=2, batch_size=16, width=4,
)  # fmt: skip
SHAPES = [(28, 28), (11, 20), (66, 37, 3)]


def some(n: int, shape: tuple[int, ...] = (8, 8), n_labels: int = 3, seed: int = 0) -> Examples:
    """Pictures whose labels are where they are bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_labels, n)
    x = rng.integers(0, 100, (n, *shape), np.uint8)
    for i, label in enumerate(y):
        x[i, label * 2 : label * 2 + 3] += 120
    return Examples(x, y)


def training(rows: Examples, settings: Settings = PLAIN, **others: Any) -> ConvolutionTraining:
    network = build_cnn(rows.x.shape[1:], 3, seed=settings.seed, width=settings.width)
    return ConvolutionTraining(network, rows, others.get("validation"), settings)


def weights_of(network: Any) -> list[NDArray[np.float32]]:
    return [np.asarray(variable.value) for variable in network.trainable_variables]


def keras_steps(rows: Examples, settings: Settings, shares: int) -> list[NDArray[np.float32]]:
    """The same training through Keras' own layers, each share of a batch by itself."""
    import jax
    import jax.numpy as jnp

    network = build_cnn(rows.x.shape[1:], 3, seed=settings.seed, width=settings.width)
    weights = [jnp.asarray(w) for w in weights_of(network)]
    fixed = [variable.value for variable in network.non_trainable_variables]

    @jax.jit
    @jax.grad
    def gradient(weights: Any, x: Any, y: Any) -> Any:
        p, _ = network.stateless_call(weights, fixed, x, training=True)
        return -jnp.sum(jnp.log(p[jnp.arange(len(y)), y]))

    for epoch in range(1, settings.epochs + 1):
        for batch in _plan(settings, epoch, rows).rows:
            parts = np.split(batch, shares)
            summed = [gradient(weights, rows.x[p].astype("f4"), rows.y[p]) for p in parts]
            for i in range(len(weights)):
                mean = sum(part[i] for part in summed) / len(batch)
                weights[i] = weights[i] - settings.learning_rate * mean
    return [np.asarray(weight) for weight in weights]


def test_a_step_is_a_gradient_step_of_keras_layers() -> None:
    rows, settings = some(128), PLAIN.model_copy(update={"batch_size": 64})
    mine = training(rows, settings)
    history = list(mine)
    mine.write_back()
    for weight, expected in zip(
        weights_of(mine._network), keras_steps(rows, settings, 64 // SHARE), strict=True
    ):
        np.testing.assert_allclose(weight, expected, atol=2e-4)
    assert history[1].loss < history[0].loss


def import_jax() -> Any:
    import_keras()
    import jax

    return jax


def test_rows_that_fill_up_the_last_batch_weigh_nothing() -> None:
    rows = some(21)
    plan = _plan(PLAIN, 1, rows)
    assert plan.rows.shape == (2, 16) and plan.present.sum() == 21
    assert sorted(plan.rows.flat[:21]) == list(range(21))
    np.testing.assert_array_equal(plan.rows.flat[21:], plan.rows.flat[:11])  # real pictures
    record = next(iter(training(rows)))
    assert record.accuracy is not None and record.accuracy * 21 == pytest.approx(
        round(record.accuracy * 21), abs=1e-4
    )


def test_the_same_seed_is_the_same_model_and_a_restored_one_goes_on_exactly() -> None:
    settings = PLAIN.model_copy(
        update={"optimizer": "adam", "average": 0.9, "epochs": 3, "rotate_degrees": 10.0,
                "shift_px": 1, "dropout": 0.2, "clean_epochs": 1, "schedule": "cycle"}
    )  # fmt: skip
    rows, held = some(40), some(20, seed=1)
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
    rows = some(70, shape)
    fitted = LEARNERS["cnn"].fit(
        rows, None, n_labels=3, settings=PLAIN.model_copy(update={"epochs": 1}), watcher=Watcher()
    )
    expected = fitted.answers(rows.x)
    height, width, *channels = shape
    contract = Contract(
        task="classification",
        input=ImageInput(height=height, width=width, channels=len(channels) and 3 or 1),
        reader=Reader(name="array"), labels=("a", "b", "c"), learner="cnn", tenfold="0",
    )  # fmt: skip
    session = onnxruntime.InferenceSession(to_graph(fitted, contract))
    answered = session.run(None, {"image": rows.x})[0]
    check_agreement(expected, answered, [str(i) for i in range(70)])
    spec = convolutions(shape, 4)
    network = fitted.body.keras  # type: ignore[attr-defined]
    moving = [np.asarray(v.value) for v in network.non_trainable_variables if "moving" in v.name]
    logits = answers_of(spec, weights_of(network), moving, rows.x)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), expected, atol=1e-4)


def test_the_statistics_are_those_of_one_large_batch() -> None:
    import_jax()
    spec, rows = convolutions((8, 8), 4), some(900)
    weights = weights_of(build_cnn((8, 8), 3, seed=0, width=4))
    found = statistics_of(spec, weights, rows.x)
    expected = forward(spec, weights, rows.x)[1]
    for mine, whole in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, whole, rtol=0.05, atol=0.02)


def test_it_learns_and_keeps_the_best_when_it_is_patient() -> None:
    rows, held = some(300), some(60, seed=1)
    settings = resolve({"learner": "cnn", "epochs": 12, "width": 8, "patience": 2, "shift_px": 0,
                        "rotate_degrees": 0.0, "zoom": 0.0, "shear": 0.0})  # fmt: skip
    fitted = LEARNERS["cnn"].fit(rows, held, n_labels=3, settings=settings, watcher=Watcher())
    assert (fitted.answers(held.x).argmax(axis=1) == held.y).mean() > 0.95
    assert fitted.rows_at_once == (1 << 27) // (4 * 64 * 8)


@pytest.mark.parametrize("side", [8, 9, 19, 20, 28, 32, 64, 65, 96, 128, 200, 256])
@pytest.mark.parametrize("width", [32, 48])
def test_the_layers_follow_the_size(side: int, width: int) -> None:
    spec = convolutions((side, side), width)
    left = side
    for one in spec:
        left = -(-left // one.stride)
        left = -(-left // 2) if one.is_pooled else left
    assert 2 <= left <= 4
    assert spec[0].channels == width and max(one.channels for one in spec) <= 4 * width


@pytest.mark.parametrize("shape", [(7, 8), (8, 257, 3)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError) as raised:
        build_cnn(shape, 2, seed=0)
    assert str(raised.value) == (
        f"Pictures of a size that the learner does not take: learner='cnn', height={shape[0]}, "
        f"width={shape[1]}. Expected sides of 8 to 256 pixels. The learner 'network' takes any "
        "size."
    )


def test_a_table_is_refused() -> None:
    rows = Examples(np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1]))
    with pytest.raises(SettingsError, match="A learner for pictures alone: learner='cnn'"):
        LEARNERS["cnn"].fit(rows, None, n_labels=2, settings=PLAIN, watcher=Watcher())


def test_from_pictures_to_a_run(few: Any) -> None:
    data = few(300, 60)
    run = tenfold.train(data, learner="cnn", epochs=2, width=8, batch_size=64)
    assert run.record.state == "finished" and run.record.learner == "cnn"
    assert run.record.parameters == sum(
        weight.size for weight in weights_of(build_cnn((28, 28), 10, seed=0, width=8))
    ) + 2 * sum(one.channels for one in convolutions((28, 28), 8))
    assert tenfold.verify(run.path)["examples"] == 10
    assert tenfold.evaluate(run, data) == run.evaluation
    assert run.model.contract.rows_at_once is not None


def test_recipes_of_other_learners_are_refused() -> None:
    for recipe in ("tutorial", "long"):
        with pytest.raises(SettingsError, match="learner='cnn', expected network with recipe"):
            resolve({"learner": "cnn", "recipe": recipe})
