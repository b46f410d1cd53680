"""The compiled epoch does what a plain loop does, and only chance that is seeded."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.layers import Parameters
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.learners.architectures import dense_network, first_parameters
from tenfold.learners.job import Examples, Purpose, stream
from tenfold.learners.keras_layers import import_keras
from tenfold.learners.network import Network
from tenfold.learners.training import DenseTraining
from tenfold.learners.training.steps import batches, first_moments, learning_rate, updated
from tests.support.errors import refused

PLAIN = Settings(
    optimizer="sgd",
    schedule="constant",
    learning_rate=0.1,
    label_smoothing=0,
    shift_px=0,
    average=0,
    epochs=2,
    batch_size=8,
    hidden=(5,),
)


@pytest.fixture(scope="module")
def examples() -> Examples:
    rng = np.random.default_rng(0)
    return Examples(rng.integers(0, 256, (21, 4, 4), np.uint8), rng.integers(0, 3, 21))


def fit(examples: Examples, settings: Settings, **others: Any) -> tuple[Any, list[Epoch]]:
    training = begin(examples, settings, **others)
    history = list(training)
    return training.fitted(), history


def begin(examples: Examples, settings: Settings, **others: Any) -> DenseTraining:
    shape, n_labels = examples.x.shape[1:], 3 if examples.y.dtype == np.int64 else None
    architecture = dense_network(shape, settings.hidden, n_labels, settings.dropout)
    return DenseTraining(architecture, examples, others.get("validation"), settings)


def first_of(settings: Settings = PLAIN) -> Parameters:
    return first_parameters(dense_network((4, 4), settings.hidden, 3), settings.seed)


def weights_of(parameters: Parameters) -> list[np.ndarray]:
    """Kernel and bias of each layer in turn."""
    return [arrays[name] for arrays in parameters.values() for name in ("kernel", "bias")]


def answered(parameters: Parameters, x: np.ndarray, hidden: tuple[int, ...] = (5,)) -> np.ndarray:
    return Network(dense_network((4, 4), hidden, 3), parameters).answers(x)


def plain_loop(examples: Examples, settings: Settings) -> tuple[list[np.ndarray], list[float]]:
    """The same training in NumPy with hand-written gradients, a batch at a time."""
    w1, b1, w2, b2 = (weight.astype(np.float64) for weight in weights_of(first_of(settings)))
    losses = []
    for epoch in range(1, settings.epochs + 1):
        order = stream(settings, Purpose.ORDER, epoch).permutation(len(examples.y))
        total = 0.0
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            x, y = examples.x[rows].reshape(len(rows), -1) / 255, examples.y[rows]
            hidden = np.maximum(x @ w1 + b1, 0)
            p = np.exp(hidden @ w2 + b2)
            p /= p.sum(axis=1, keepdims=True)
            total -= np.log(p[np.arange(len(y)), y]).sum()
            d2 = (p - np.eye(3)[y]) / len(rows)
            d1 = (d2 @ w2.T) * (hidden > 0)
            w2, b2 = (
                w2 - settings.learning_rate * hidden.T @ d2,
                b2 - settings.learning_rate * d2.sum(0),
            )
            w1, b1 = w1 - settings.learning_rate * x.T @ d1, b1 - settings.learning_rate * d1.sum(0)
        losses.append(total / len(order))
    return [w1, b1, w2, b2], losses


def test_an_epoch_is_a_plain_loop_of_gradient_steps(examples: Examples) -> None:
    # 21 rows in batches of 8: the last batch has 5 rows, which must weigh as much as 5 rows do.
    network, history = fit(examples, PLAIN)
    expected, losses = plain_loop(examples, PLAIN)
    for weight, reference in zip(weights_of(network), expected, strict=True):
        np.testing.assert_allclose(weight, reference, atol=1e-5)
    assert [epoch.loss for epoch in history] == pytest.approx(losses, abs=1e-5)


def test_a_batch_larger_than_the_data_is_one_step(examples: Examples) -> None:
    settings = PLAIN.model_copy(update={"batch_size": 500})
    network, _ = fit(examples, settings)
    for weight, reference in zip(
        weights_of(network), plain_loop(examples, settings)[0], strict=True
    ):
        np.testing.assert_allclose(weight, reference, atol=1e-5)


def test_same_seed_same_weights_to_the_last_bit(examples: Examples) -> None:
    default = Settings(epochs=3, batch_size=4, hidden=(6, 5), seed=7)
    first, second = (weights_of(fit(examples, default)[0]) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    other = weights_of(fit(examples, default.model_copy(update={"seed": 8}))[0])
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_records_count_up_and_know_their_learning_rate(examples: Examples) -> None:
    settings = Settings(epochs=4, learning_rate=0.008, schedule="linear", batch_size=8, hidden=(5,))
    history = fit(examples, settings)[1]
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]
    assert [epoch.learning_rate for epoch in history] == pytest.approx([0.006, 0.004, 0.002, 0])
    assert all(epoch.seconds > 0 for epoch in history)
    assert all(epoch.val_loss is None and epoch.val_accuracy is None for epoch in history)


def test_validation_measures_the_weights_of_its_epoch(examples: Examples) -> None:
    validation = Examples(examples.x[:11], examples.y[:11])
    network, history = fit(examples, PLAIN, validation=validation)
    p = answered(network, validation.x)
    given_to_truth = p[np.arange(11), validation.y]
    assert history[-1].val_loss == pytest.approx(-np.log(given_to_truth).mean(), abs=1e-5)
    assert history[-1].val_accuracy == pytest.approx((p.argmax(1) == validation.y).mean())


def test_validation_rows_do_not_change_the_weights(examples: Examples) -> None:
    other = Examples(255 - examples.x[:9], examples.y[:9])
    without, with_rows = fit(examples, PLAIN)[0], fit(examples, PLAIN, validation=other)[0]
    for a, b in zip(weights_of(without), weights_of(with_rows), strict=True):
        assert (a == b).all()


def test_the_caller_may_stop_and_has_the_weights_of_that_epoch(examples: Examples) -> None:
    training = begin(examples, PLAIN)
    assert next(iter(training)).epoch == training.epoch == 1
    one = PLAIN.model_copy(update={"epochs": 1})
    for a, b in zip(weights_of(training.fitted()), weights_of(fit(examples, one)[0]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("stopped_after", [1, 3])
def test_a_restored_training_ends_with_the_same_bits(
    examples: Examples, stopped_after: int
) -> None:
    settings = Settings(
        epochs=5, batch_size=4, hidden=(6, 5), dropout=0.2, patience=2, weight_decay=0.01
    )
    straight, history = fit(examples, settings, validation=examples)
    first = begin(examples, settings, validation=examples)
    records = iter(first)
    done = [next(records) for _ in range(stopped_after)]
    again = begin(examples, settings, validation=examples)
    again.restore(first.state())
    done += list(again)
    pairs = zip(weights_of(straight), weights_of(again.fitted()), strict=True)
    assert all((a == b).all() for a, b in pairs)
    assert [(e.epoch, e.loss, e.val_loss) for e in done] == [
        (e.epoch, e.loss, e.val_loss) for e in history
    ]


def test_the_state_of_another_network_is_refused(examples: Examples) -> None:
    state = begin(examples, PLAIN.model_copy(update={"hidden": (7,)})).state()
    training = begin(examples, PLAIN)
    with refused("E633", r"n_arrays=\d+"):
        training.restore(state)


def test_pixels_blank_in_all_training_images_are_left_out_and_stay_in_the_network() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (30, 4, 4), np.uint8)
    x[:, 0] = x[:, :, 3] = 0
    y = rng.integers(0, 3, 30)
    seen = rng.integers(1, 256, (9, 4, 4), np.uint8)  # validation images are not blank there
    network, history = fit(Examples(x, y), PLAIN, validation=Examples(seen, y[:9]))
    expected, _ = plain_loop(Examples(x, y), PLAIN)
    for weight, reference in zip(weights_of(network), expected, strict=True):
        np.testing.assert_allclose(weight, reference, atol=1e-5)
    first = weights_of(first_of())[0]
    assert (weights_of(network)[0][:4] == first[:4]).all()
    p = answered(network, seen)
    assert history[-1].val_loss == pytest.approx(-np.log(p[np.arange(9), y[:9]]).mean(), abs=1e-5)


def test_averages_follow_the_weights(examples: Examples) -> None:
    # The last step of three: (1 + t) / (10 + t) is below 0.9, so it is what is kept.
    settings = PLAIN.model_copy(update={"epochs": 1, "average": 0.9})
    averaged, _ = fit(examples, settings)
    order = stream(PLAIN, Purpose.ORDER, 1).permutation(21)
    mean = [w.astype(np.float64) for w in weights_of(first_of())]
    for t in range(3):
        rows = order[: 8 * (t + 1)]
        now = one_pass(examples, rows)
        kept = min(0.9, (1 + t) / (10 + t))
        mean = [kept * a + (1 - kept) * w for a, w in zip(mean, now, strict=True)]
    for weight, reference in zip(weights_of(averaged), mean, strict=True):
        np.testing.assert_allclose(weight, reference, atol=1e-5)


def one_pass(examples: Examples, rows: np.ndarray) -> list[np.ndarray]:
    """The weights after the batches of 8 that `rows` are, in NumPy."""
    w1, b1, w2, b2 = (weight.astype(np.float64) for weight in weights_of(first_of()))
    for start in range(0, len(rows), 8):
        batch = rows[start : start + 8]
        x, y = examples.x[batch].reshape(len(batch), -1) / 255, examples.y[batch]
        hidden = np.maximum(x @ w1 + b1, 0)
        p = np.exp(hidden @ w2 + b2)
        p /= p.sum(axis=1, keepdims=True)
        d2 = (p - np.eye(3)[y]) / len(batch)
        d1 = (d2 @ w2.T) * (hidden > 0)
        w2, b2 = w2 - 0.1 * hidden.T @ d2, b2 - 0.1 * d2.sum(0)
        w1, b1 = w1 - 0.1 * x.T @ d1, b1 - 0.1 * d1.sum(0)
    return [w1, b1, w2, b2]


def test_shifted_images_are_windows_of_the_bordered_image(examples: Examples) -> None:
    from tenfold.learners.training.dense import _Layout, _plan, _windows

    settings = Settings(shift_px=2, batch_size=8)
    layout = _Layout.of(dense_network((4, 4), (5,), 3), {}, examples, settings)
    bordered = layout.rows(examples.x)
    rows, _, corners, *_ = _plan(settings, 1, examples)
    assert corners is not None
    seen = np.asarray(_windows(bordered, rows[0], corners[0], (4, 4)))
    for image, row, (top, left) in zip(seen, rows[0], corners[0], strict=True):
        moved = np.zeros((4, 4), np.uint8)
        dy, dx = top - 2, left - 2
        for i in range(4):
            for j in range(4):
                if 0 <= i + dy < 4 and 0 <= j + dx < 4:
                    moved[i, j] = examples.x[row, i + dy, j + dx]
        assert (image == moved).all()
    assert {(int(t), int(s)) for t, s in corners.reshape(-1, 2)} <= {
        (t, s) for t in range(5) for s in range(5)
    }


def test_a_row_is_shifted_alike_whatever_the_batch_size() -> None:
    from tenfold.learners.training.dense import _plan

    def corner_of(batch_size: int) -> dict[int, tuple[int, ...]]:
        blank = Examples(np.zeros((50, 4, 4), np.uint8), np.zeros(50, np.int64))
        rows, present, corners, *_ = _plan(Settings(batch_size=batch_size), 3, blank)
        assert corners is not None
        real = present.ravel() > 0
        pairs = zip(rows.ravel()[real], corners.reshape(-1, 2)[real], strict=True)
        return {int(row): tuple(corner) for row, corner in pairs}

    assert corner_of(8) == corner_of(13)
    assert len(corner_of(8)) == 50


@given(st.integers(1, 200), st.integers(1, 64))
def test_batches_hold_every_row_once(n: int, batch_size: int) -> None:
    order = np.random.default_rng(n).permutation(n)
    rows, present = batches(order, batch_size)
    assert rows.shape == present.shape == (-(-n // batch_size), batch_size)
    assert (rows[present == 1] == order).all()
    assert present.sum() == n


def test_label_smoothing_spreads_the_answer(examples: Examples) -> None:
    from tenfold.learners.training.steps import losses_of

    logits = np.array([[2.0, 0.0, -1.0]], np.float32)
    log_p = logits - np.log(np.exp(logits).sum())
    target = np.array([[0.1, 0.8, 0.1]])  # 0.3 of the answer over three labels, 0.7 on its own
    loss = float(losses_of(logits, np.array([1]), 0.3)[0])
    assert loss == pytest.approx(-float((target * log_p).sum()), abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_optimisers_step_as_those_of_keras(name: str, weight_decay: float) -> None:
    settings = Settings.model_validate({"optimizer": name, "weight_decay": weight_decay})
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 2), "bias": (2,)}
    ours = {"layer": {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}}
    keras = import_keras()
    kinds = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    optimizer = kinds[name](0.1, weight_decay=weight_decay or None)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    theirs = [keras.Variable(value, name=n) for n, value in ours["layer"].items()]
    moments = first_moments(settings, ours)
    for number, rate in enumerate(np.array([0.1, 0.3, 0.05], np.float32)):
        gradients = [rng.normal(size=s).astype(np.float32) for s in shapes.values()]
        optimizer.learning_rate = rate
        optimizer.apply(gradients, theirs)
        own = {"layer": dict(zip(shapes, gradients, strict=True))}
        ours, moments = updated(settings, ours, moments, own, number, rate)
        for variable in theirs:
            np.testing.assert_allclose(ours["layer"][variable.name], variable.value, rtol=2e-6)


def test_the_learning_rate_is_constant_or_falls_to_nothing() -> None:
    constant = PLAIN.model_copy(update={"epochs": 2})
    assert learning_rate(constant, np.arange(4), 2).tolist() == [0.1] * 4
    linear = constant.model_copy(update={"schedule": "linear"})
    assert learning_rate(linear, np.arange(5), 2) == pytest.approx([0.1, 0.075, 0.05, 0.025, 0])


def test_regression_is_least_squares() -> None:
    # One linear output, full batches: gradient descent ends where the normal equations do.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5] + 0.3 + rng.normal(size=40) * 0.1).astype(np.float32)
    settings = PLAIN.model_copy(update={"hidden": (), "epochs": 300, "batch_size": 40})
    network, history = fit(Examples(x, y), settings, validation=Examples(x[:9], y[:9]))
    exact, squares, *_ = np.linalg.lstsq(np.c_[x, np.ones(40)], y)
    kernel, bias = weights_of(network)
    np.testing.assert_allclose([*kernel[:, 0], *bias], exact, atol=1e-3)
    assert history[-1].loss == pytest.approx(squares[0] / 40, abs=1e-4)
    error = np.c_[x, np.ones(40)][:9] @ exact - y[:9]
    assert history[-1].val_loss == pytest.approx((error**2).mean(), abs=1e-3)
    assert history[-1].accuracy is None and history[-1].val_accuracy is None


def test_features_are_taken_as_they_are_and_never_moved(examples: Examples) -> None:
    flat = Examples((examples.x.reshape(21, 16) / 255).astype(np.float32), examples.y)
    settings = PLAIN.model_copy(update={"shift_px": 2})
    network, history = fit(flat, settings)
    assert len(history) == 2
    for one, other in zip(weights_of(network), plain_loop(examples, PLAIN)[0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_pictures_in_colour_are_moved_with_all_their_channels(examples: Examples) -> None:
    from tenfold.learners.training.dense import _Layout, _windows

    x = examples.x.astype(np.uint8)
    colour = np.stack([x, 255 - x, x // 2], axis=-1)
    settings = PLAIN.model_copy(update={"shift_px": 1})
    layout = _Layout.of(
        dense_network((4, 4, 3), (5,), 3), {}, Examples(colour, examples.y), settings
    )
    bordered = layout.rows(colour)
    rows, corners = np.array([3, 8]), np.array([[0, 2], [1, 1]])
    seen = np.asarray(_windows(bordered, rows, corners, (4, 4, 3)))
    assert (seen[0, 1:, :3] == colour[3, :3, 1:]).all()
    assert (seen[0, 0] == 0).all() and (seen[0, :, 3] == 0).all()
    assert (seen[1] == colour[8]).all()
    assert len(fit(Examples(colour, examples.y), settings)[1]) == 2


def test_a_weight_of_two_is_the_row_twice(examples: Examples) -> None:
    # In one full batch the order of rows plays no part.
    whole = PLAIN.model_copy(update={"batch_size": 100})
    weight = np.where(np.arange(21) < 5, 2, np.where(np.arange(21) < 8, 0, 1)).astype(np.float32)
    rows = np.repeat(np.arange(21), weight.astype(int))
    repeated = Examples(examples.x[rows], examples.y[rows])
    weighted = examples._replace(weight=weight)
    one, one_history = fit(repeated, whole, validation=repeated)
    other, other_history = fit(weighted, whole, validation=weighted)
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for first, second in zip(one_history, other_history, strict=True):
        measured = [first.loss, first.accuracy, first.val_loss, first.val_accuracy]
        assert measured == pytest.approx(
            [second.loss, second.accuracy, second.val_loss, second.val_accuracy], abs=1e-5
        )


def test_a_batch_without_weight_changes_nothing(examples: Examples) -> None:
    nothing = examples._replace(weight=np.zeros(21, np.float32))
    network, history = fit(nothing, PLAIN)
    untouched = weights_of(first_of())
    assert all((a == b).all() for a, b in zip(weights_of(network), untouched, strict=True))
    assert history[-1].loss == 0


def test_dropout_is_seeded_differs_by_step_and_is_off_when_measuring(examples: Examples) -> None:
    settings = PLAIN.model_copy(update={"dropout": 0.5, "hidden": (32,)})
    (one, history), (again, _) = (fit(examples, settings, validation=examples) for _ in range(2))
    assert all((a == b).all() for a, b in zip(weights_of(one), weights_of(again), strict=True))
    kept, _ = fit(examples, settings.model_copy(update={"dropout": 0.0}))
    assert any((a != b).any() for a, b in zip(weights_of(one), weights_of(kept), strict=True))
    p = answered(one, examples.x, (32,))
    assert history[-1].val_loss == pytest.approx(-np.log(p[np.arange(21), examples.y]).mean())
    # Same rows in each step and a step that changes nothing: only what is dropped can differ.
    frozen = settings.model_copy(update={"learning_rate": 1e-30, "batch_size": 21, "epochs": 3})
    assert len({epoch.loss for epoch in fit(examples, frozen)[1]}) == 3


def test_weight_decay_pulls_kernels_and_leaves_biases(examples: Examples) -> None:
    settings = PLAIN.model_copy(update={"batch_size": 100, "epochs": 1})
    plain, _ = fit(examples, settings)
    decayed, _ = fit(examples, settings.model_copy(update={"weight_decay": 0.5}))
    first = weights_of(first_of())
    for before, a, b in zip(first, weights_of(plain), weights_of(decayed), strict=True):
        pull = 0.5 * settings.learning_rate * before if before.ndim == 2 else 0
        np.testing.assert_allclose(b, a - pull, atol=1e-6)


def test_no_two_purposes_epochs_steps_or_seeds_share_random_numbers() -> None:
    seeds = [Settings(seed=seed) for seed in (0, 1, 2, 3)]
    draws = [
        stream(settings, purpose, epoch, step).bytes(8)
        for settings in seeds
        for purpose in Purpose
        for epoch in range(4)
        for step in range(4)
    ]
    # What splits rows and chooses among them begins with the seed alone.
    draws += [np.random.default_rng(settings.seed).bytes(8) for settings in seeds]
    assert len(set(draws)) == len(draws)


def test_patience_stops_and_keeps_the_weights_of_the_lowest_validation_loss(
    examples: Examples,
) -> None:
    # Answers at random: the fit gets worse on other rows before long.
    rng = np.random.default_rng(1)
    other = Examples(rng.integers(0, 256, (30, 4, 4), np.uint8), rng.integers(0, 3, 30))
    settings = PLAIN.model_copy(update={"epochs": 400, "patience": 4, "learning_rate": 0.5})
    network, history = fit(examples, settings, validation=other)
    losses = [epoch.val_loss or 0 for epoch in history]
    best = int(np.argmin(losses))
    assert len(losses) < 400 and best == len(losses) - 5
    p = answered(network, other.x)
    assert -np.log(p[np.arange(30), other.y]).mean() == pytest.approx(losses[best], abs=1e-5)


def test_bent_pictures_are_new_in_each_epoch_and_clean_at_the_end(examples: Examples) -> None:
    settings = PLAIN.model_copy(
        update={"rotate_degrees": 30.0, "shift_px": 1, "epochs": 3, "clean_epochs": 1}
    )
    training = begin(examples, settings)
    seen = [training._prepare(epoch)[1] for epoch in (1, 2, 3, 4)]
    assert seen[3] is None  # no epoch that is trained
    flat = examples.x.reshape(21, -1)
    np.testing.assert_array_equal(seen[2][:21], flat)  # type: ignore[index]
    for one in seen[:2]:
        assert one is not None and one.shape == (24, 16) and (one[:21] != flat).any()
    assert not np.array_equal(seen[0], seen[1])  # type: ignore[arg-type]
    whole = fit(examples, settings)
    again = fit(examples, settings)
    np.testing.assert_array_equal(weights_of(whole[0])[0], weights_of(again[0])[0])
