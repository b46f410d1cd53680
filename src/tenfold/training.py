"""The compiled epoch: rows resident as uint8, one permutation, every batch inside one scan.

Keras' own `fit` prepares each batch on the host; here XLA runs the whole epoch. Layers and
optimisers stay Keras': `stateless_call` and `stateless_apply` are traced into the scan.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.contract import Settings
from tenfold.network import import_keras, logits_network

TINY = 1e-30
"""Stands for a sum of weights that is 0."""


class Examples(NamedTuple):
    """Rows handed to a learner. The dtype of `y` is the task: whole numbers are label codes.

    Attributes:
      x: Pictures uint8 (n, height, width) or (n, height, width, 3), or features float32 (n, d).
      y: Label codes int64 (n,) for classification, or targets float32 (n,) for regression.
      weight: What each row counts in losses and in accuracies, float32 (n,); None: all alike.
    """

    x: NDArray[np.uint8] | NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float32]
    weight: NDArray[np.float32] | None = None

    @property
    def total_weight(self) -> float:
        """What all rows count together: their number when none has a weight."""
        return float(len(self.y) if self.weight is None else self.weight.sum(dtype=np.float64))


@dataclass(frozen=True)
class Epoch:
    """What one epoch did; `seconds` is its training alone, without compilation or validation.

    Losses are mean cross-entropies, or mean squared errors; then there is no accuracy.
    """

    epoch: int
    seconds: float
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float


def run_epochs(
    network: Any, train: Examples, validation: Examples | None, settings: Settings
) -> Iterator[Epoch]:
    """Train `network`, yielding after each epoch; its weights are then those of that epoch.

    The caller may stop at any record. What chance decides in an epoch depends on (seed, epoch)
    and the row for order and shifts, on (seed, epoch, step) for dropout. With `patience`, the
    weights are those of the lowest validation loss so far.
    """
    import jax

    n_steps = -(-len(train.y) // settings.batch_size)
    optimizer, rate_after = build_optimizer(settings, n_steps)
    optimizer.build(network.trainable_variables)
    weights = [variable.value for variable in network.trainable_variables]
    moments = [variable.value for variable in optimizer.variables]
    body = logits_network(network)
    resident = jax.device_put((_with_border(train.x, settings.shift_px), _known(train.y)))
    traced = jax.jit(_epoch_function(body, optimizer, train.x.shape[1:], settings))
    run = traced.lower(weights, moments, resident, _plan(settings, 1, train)).compile()
    score = _compile_score(body, weights, validation, settings.batch_size)
    lowest, waited = math.inf, 0

    for epoch in range(1, settings.epochs + 1):
        start = time.perf_counter()
        weights, moments, totals = run(weights, moments, resident, _plan(settings, epoch, train))
        loss, accuracy = _measures(totals, train.y, train.total_weight)
        seconds = time.perf_counter() - start
        val_loss, val_accuracy = score(weights)
        if settings.patience is None or val_loss is None or val_loss < lowest:
            lowest, waited = val_loss or 0.0, 0
            for variable, value in zip(network.trainable_variables, weights, strict=True):
                variable.assign(value)
        else:
            waited += 1
        rate = rate_after(epoch * n_steps)
        yield Epoch(epoch, seconds, loss, accuracy, val_loss, val_accuracy, rate)
        if waited and waited == settings.patience:
            return


def build_optimizer(settings: Settings, n_steps: int) -> tuple[Any, Callable[[int], float]]:
    """The Keras optimiser of these settings, and its learning rate after a number of steps.

    Args:
      settings: Optimiser, schedule, learning rate and epochs.
      n_steps: Steps in an epoch.
    """
    keras = import_keras()
    rate: Any = settings.learning_rate
    if settings.schedule == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(
            settings.learning_rate, settings.epochs * n_steps, end_learning_rate=0.0
        )
    optimizers = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    optimizer = optimizers[settings.optimizer](rate, weight_decay=settings.weight_decay or None)
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer, lambda step: float(rate(step)) if callable(rate) else float(rate)


def batches(order: NDArray[np.int64], batch_size: int) -> tuple[Any, Any]:
    """Cut an order of rows into equal batches; what fills up the last one weighs 0.

    Returns:
      Rows int32 and their weights float32 (1 or 0), both (n_batches, batch_size).
    """
    n_batches = -(-len(order) // batch_size)
    rows = np.zeros((n_batches, batch_size), np.int32)
    present = np.zeros((n_batches, batch_size), np.float32)
    rows.flat[: len(order)] = order
    present.flat[: len(order)] = 1
    return rows, present


def _plan(settings: Settings, epoch: int, train: Examples) -> tuple[Any, Any, Any, Any]:
    """Chance of one epoch: rows and weights of its batches, where each row's window starts, and a
    number for each step that no other step of the fit has."""
    n = len(train.y)
    rng = np.random.default_rng((settings.seed, epoch))
    rows, present = batches(rng.permutation(n), settings.batch_size)
    if train.weight is not None:
        present *= train.weight[rows]
    corners = rng.integers(0, 2 * settings.shift_px + 1, (n, 2), np.int32)
    steps = (np.arange(len(rows)) + epoch * len(rows)).astype(np.uint32)
    return rows, present, corners[rows], steps


def _with_border(x: NDArray[Any], width: int) -> NDArray[Any]:
    """Pictures with a blank border to be moved into; features are not moved."""
    sides = ((0, 0), (width, width), (width, width), (0, 0))
    return np.pad(x, sides[: x.ndim]) if width and x.ndim > 2 else x


def _epoch_function(
    body: Any, optimizer: Any, size: tuple[int, ...], settings: Settings
) -> Callable[..., Any]:
    """(weights, moments, (x, y), plan) -> (weights, moments, totals), one scan."""
    import jax
    import jax.numpy as jnp

    chance = [variable.value for variable in body.non_trainable_variables]  # (seed, counter) each
    shifted = settings.shift_px and len(size) > 1

    def loss_of(weights: Any, x: Any, y: Any, present: Any, number: Any) -> Any:
        drawn = [state.at[1].set(number) for state in chance]
        outputs, _ = body.stateless_call(weights, drawn, x, training=True)
        losses = _losses(outputs, y, settings.label_smoothing)
        # A batch whose rows all weigh 0 has no say.
        mean = jnp.sum(losses * present) / jnp.maximum(jnp.sum(present), TINY)
        return mean, _totals(outputs, y, present)

    def epoch(weights: Any, moments: Any, resident: Any, plan: Any) -> Any:
        examples, answers = resident

        def step(state: Any, batch: Any) -> Any:
            weights, moments, totals = state
            rows, present, corners, number = batch
            x = _windows(examples, rows, corners, size) if shifted else examples[rows]
            gradient = jax.grad(loss_of, has_aux=True)
            gradients, batch_totals = gradient(
                weights, x.astype(jnp.float32), answers[rows], present, number
            )
            weights, moments = optimizer.stateless_apply(moments, gradients, weights)
            return (weights, moments, totals + batch_totals), None

        state, _ = jax.lax.scan(step, (weights, moments, jnp.zeros(2)), plan)
        return state

    return epoch


def _windows(images: Any, rows: Any, corners: Any, size: tuple[int, ...]) -> Any:
    """The `size` window of each row's bordered image: one gather, 1.05 times plain indexing."""
    import jax
    import jax.numpy as jnp

    start = jnp.concatenate([rows[:, None], corners], axis=1)  # (batch, 3): row, top, left
    axes = jax.lax.GatherDimensionNumbers(
        offset_dims=tuple(range(1, len(size) + 1)),
        collapsed_slice_dims=(0,),
        start_index_map=(0, 1, 2),
    )
    return jax.lax.gather(images, start, axes, (1, *size))


def _known(y: NDArray[Any]) -> NDArray[Any]:
    """Answers as the device holds them: label codes int32, targets float32."""
    return y.astype(np.int32 if is_classification(y) else np.float32)


def is_classification(y: Any) -> bool:
    """Whether answers are label codes."""
    return bool(np.issubdtype(y.dtype, np.integer))


def _losses(outputs: Any, y: Any, smoothing: float) -> Any:
    """The loss of each row (n,): cross-entropy of logits, with `smoothing` of the answer spread
    over all labels; or the squared error of a value."""
    import jax
    import jax.numpy as jnp

    if not is_classification(y):
        return jnp.square(outputs[:, 0] - y)
    n_labels = outputs.shape[-1]
    target = jax.nn.one_hot(y, n_labels) * (1 - smoothing) + smoothing / n_labels
    return -jnp.sum(target * jax.nn.log_softmax(outputs), axis=-1)


def _totals(outputs: Any, y: Any, present: Any) -> Any:
    """Summed loss (without smoothing) and summed weight of right labels, float32 (2,)."""
    import jax.numpy as jnp

    correct = jnp.argmax(outputs, axis=-1) == y
    return jnp.stack([jnp.sum(_losses(outputs, y, 0.0) * present), jnp.sum(correct * present)])


def _measures(totals: Any, y: Any, total_weight: float) -> tuple[float, float | None]:
    """Mean loss and accuracy of summed ones; no accuracy for targets."""
    loss, correct = (np.asarray(totals) / max(total_weight, TINY)).tolist()
    return loss, correct if is_classification(y) else None


def _compile_score(
    body: Any, weights: Any, examples: Examples | None, batch_size: int
) -> Callable[[Any], tuple[float | None, float | None]]:
    """A function of the weights: mean loss and accuracy on `examples`, or two Nones without any."""
    if examples is None:
        return lambda weights: (None, None)
    import jax
    import jax.numpy as jnp

    resident = jax.device_put((examples.x, _known(examples.y)))
    rows, present = batches(np.arange(len(examples.y)), batch_size)
    if examples.weight is not None:
        present *= examples.weight[rows]
    chance = [variable.value for variable in body.non_trainable_variables]

    def total(weights: Any, x: Any, y: Any, plan: Any) -> Any:
        def step(totals: Any, batch: Any) -> Any:
            rows, present = batch
            outputs, _ = body.stateless_call(
                weights, chance, x[rows].astype(jnp.float32), training=False
            )
            return totals + _totals(outputs, y[rows], present), None

        return jax.lax.scan(step, jnp.zeros(2), plan)[0]

    compiled = jax.jit(total).lower(weights, *resident, (rows, present)).compile()
    return lambda weights: _measures(
        compiled(weights, *resident, (rows, present)), examples.y, examples.total_weight
    )
