"""The parts of a step of any training: batches, learning rates, losses, optimisers, averages.

The optimisers are Adam and plain gradient descent. A test compares both with Keras' own.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tenfold.core.layers import Parameters
from tenfold.core.settings import Settings
from tenfold.learners.job import Examples, is_classification

RISE = 0.2
"""Share of a `cycle` in which the learning rate rises (Smith and Topin 2017, arXiv:1708.07120)."""

TINY = 1e-30
"""Replaces a sum of weights that is 0."""

MEAN_KEPT, SQUARE_KEPT, EPSILON = 0.9, 0.999, 1e-7
"""Constants of Adam (Kingma and Ba 2015, arXiv:1412.6980), with the epsilon of Keras."""

Score = tuple[float | None, float | None]
"""Mean loss and accuracy of the validation rows. Both are None without such rows, and the accuracy
is None for regression."""


def summed_trees(trees: Sequence[Any]) -> Any:
    """Add up trees of the same form, leaf by leaf."""
    return jax.tree.map(lambda *leaves: sum(leaves), *trees)


def batches(order: NDArray[np.int64], batch_size: int) -> tuple[Any, Any]:
    """Divide an order of rows into equal batches: rows int32, weights float32, (n_batches,
    batch_size).

    Rows that fill up the last batch have weight 0, all others 1.
    """
    n_batches = -(-len(order) // batch_size)
    rows = np.zeros((n_batches, batch_size), np.int32)
    present = np.zeros((n_batches, batch_size), np.float32)
    rows.flat[: len(order)] = order
    present.flat[: len(order)] = 1
    return rows, present


def learning_rate(settings: Settings, step: Any, n_steps: int) -> NDArray[np.float64]:
    """The learning rate of a step, or of an array of steps, counted from 0 over the whole fit."""
    done = np.asarray(step) / (settings.epochs * n_steps)
    if settings.schedule == "cycle":
        return settings.learning_rate * np.minimum(
            done / RISE, np.maximum(1 - done, 0) / (1 - RISE)
        )
    if settings.schedule == "linear":
        return settings.learning_rate * np.maximum(1 - done, 0)
    return settings.learning_rate * np.ones_like(done)


def averaged(averages: Any, parameters: Any, kept: float, number: Any) -> Any:
    """The running averages after a step. They change faster in the first steps, so that the initial
    weights are forgotten."""
    if not kept:
        return parameters
    share = jnp.minimum(kept, (1 + number) / (10 + number))
    return jax.tree.map(lambda a, w: share * a + (1 - share) * w, averages, parameters)


def known(y: NDArray[Any]) -> NDArray[Any]:
    """The answers in the form for the device: label codes int32, targets float32."""
    return y.astype(np.int32 if is_classification(y) else np.float32)


def losses_of(outputs: Any, y: Any, smoothing: float) -> Any:
    """The loss of each row (n,): cross-entropy of logits, with a share `smoothing` of the answer
    spread over all labels; or the squared error of a value."""
    if not is_classification(y):
        return jnp.square(outputs[:, 0] - y)
    n_labels = outputs.shape[-1]
    target = jax.nn.one_hot(y, n_labels) * (1 - smoothing) + smoothing / n_labels
    return -jnp.sum(target * jax.nn.log_softmax(outputs), axis=-1)


def totals_of(outputs: Any, y: Any, present: Any) -> Any:
    """The summed loss (without label smoothing) and the summed weight of correct predictions,
    float32 (2,)."""
    correct = jnp.argmax(outputs, axis=-1) == y
    return jnp.stack([jnp.sum(losses_of(outputs, y, 0.0) * present), jnp.sum(correct * present)])


def means_of(totals: Any, examples: Examples) -> tuple[float, float | None]:
    """The mean loss and accuracy from their sums. The accuracy is None for regression."""
    loss, correct = (np.asarray(totals) / max(examples.total_weight, TINY)).tolist()
    return loss, correct if is_classification(examples.y) else None


def first_moments(settings: Settings, parameters: Parameters) -> dict[str, Any]:
    """The initial state of the optimiser: for Adam, running means of the gradients and of their
    squares; for plain gradient descent, nothing."""
    if settings.optimizer == "sgd":
        return {}
    zeros = {
        layer: {name: np.zeros_like(array) for name, array in arrays.items()}
        for layer, arrays in parameters.items()
    }
    return {"mean": zeros, "square": zeros}


def updated(
    settings: Settings, parameters: Any, moments: Any, gradients: Any, number: Any, rate: Any
) -> tuple[Any, Any]:
    """Parameters and moments after a step. `number` is counted from 0 over the whole fit.
    `weight_decay` shrinks kernels towards 0."""
    if settings.weight_decay:
        decay = jnp.float32(settings.weight_decay)
        parameters = {
            layer: {
                name: array - array * decay * rate if name == "kernel" else array
                for name, array in arrays.items()
            }
            for layer, arrays in parameters.items()
        }
    if settings.optimizer == "sgd":
        return jax.tree.map(lambda w, g: w - g * rate, parameters, gradients), moments
    n = jnp.float32(number + 1)
    root = jnp.sqrt(1 - jnp.power(jnp.float32(SQUARE_KEPT), n))
    rate = rate * root / (1 - jnp.power(jnp.float32(MEAN_KEPT), n))
    mean = jax.tree.map(lambda m, g: m + (g - m) * (1 - MEAN_KEPT), moments["mean"], gradients)
    square = jax.tree.map(
        lambda v, g: v + (jnp.square(g) - v) * (1 - SQUARE_KEPT), moments["square"], gradients
    )
    parameters = jax.tree.map(
        lambda w, m, v: w - m * rate / (jnp.sqrt(v) + EPSILON), parameters, mean, square
    )
    return parameters, {"mean": mean, "square": square}
