"""What a step is made of, whatever it trains: batches, rates, losses, averages."""

import hashlib
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.settings import Settings
from tenfold.learners.training.types import Examples

RISE = 0.2
"""Share of a `cycle` in which the learning rate rises (Smith and Topin 2017, arXiv:1708.07120)."""

TINY = 1e-30
"""Stands for a sum of weights that is 0."""

MAX_PROGRAMS = 32
"""Compiled programs kept for the next fit of the same shapes."""

_programs: dict[bytes, Any] = {}


def compile_program(lowered: Any, device: str = "") -> Any:
    """The program compiled, or compiled before in this process: a fit of few rows is little else.

    Known by its whole text, constants included, so that nothing it depends on can be left out, and
    by what its text does not say: the `device` it was lowered for, and the names of its arguments.
    """
    known_by = f"{device}\n{lowered.in_tree}\n{lowered.as_text()}"
    key = hashlib.sha256(known_by.encode()).digest()
    compiled = _programs.pop(key, None) or lowered.compile()
    _programs[key] = compiled  # the last one used stands last
    while len(_programs) > MAX_PROGRAMS:
        _programs.pop(next(iter(_programs)), None)
    return compiled


class Purpose(IntEnum):
    """What NumPy's chance decides in a fit: each has streams of its own."""

    ORDER = 1
    AUGMENTATION = 2
    STATISTICS = 3
    CHOICE = 4


def stream(
    settings: Settings, purpose: Purpose, epoch: int = 0, step: int = 0
) -> np.random.Generator:
    """The random numbers of one purpose, epoch and step: no other ones share them.

    The purpose stands last and is never 0, for NumPy takes (1, 2) and (1, 2, 0) for the same seed.
    """
    return np.random.default_rng((settings.seed, epoch, step, purpose))


def wait_for(results: Any) -> Any:
    import jax

    return jax.block_until_ready(results)  # type: ignore[no-untyped-call]


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


def learning_rate(settings: Settings, step: Any, n_steps: int) -> NDArray[np.float64]:
    """The learning rate of a step, counted from 0 over the whole fit.

    Args:
      settings: Schedule, learning rate and epochs.
      step: One step or an array of them.
      n_steps: Steps in an epoch.
    """
    done = np.asarray(step) / (settings.epochs * n_steps)
    if settings.schedule == "cycle":
        return settings.learning_rate * np.minimum(
            done / RISE, np.maximum(1 - done, 0) / (1 - RISE)
        )
    if settings.schedule == "linear":
        return settings.learning_rate * np.maximum(1 - done, 0)
    return settings.learning_rate * np.ones_like(done)


def averaged(averages: Any, parameters: Any, kept: float, number: Any) -> Any:
    """Running averages after a step; the first steps weigh more, or the start would linger."""
    import jax
    import jax.numpy as jnp

    if not kept:
        return parameters
    share = jnp.minimum(kept, (1 + number) / (10 + number))
    return jax.tree.map(lambda a, w: share * a + (1 - share) * w, averages, parameters)


def is_classification(y: Any) -> bool:
    """Whether answers are label codes."""
    return bool(np.issubdtype(y.dtype, np.integer))


def known(y: NDArray[Any]) -> NDArray[Any]:
    """Answers as the device holds them: label codes int32, targets float32."""
    return y.astype(np.int32 if is_classification(y) else np.float32)


def losses_of(outputs: Any, y: Any, smoothing: float) -> Any:
    """The loss of each row (n,): cross-entropy of logits, with `smoothing` of the answer spread
    over all labels; or the squared error of a value."""
    import jax
    import jax.numpy as jnp

    if not is_classification(y):
        return jnp.square(outputs[:, 0] - y)
    n_labels = outputs.shape[-1]
    target = jax.nn.one_hot(y, n_labels) * (1 - smoothing) + smoothing / n_labels
    return -jnp.sum(target * jax.nn.log_softmax(outputs), axis=-1)


def totals_of(outputs: Any, y: Any, present: Any) -> Any:
    """Summed loss (without smoothing) and summed weight of right labels, float32 (2,)."""
    import jax.numpy as jnp

    correct = jnp.argmax(outputs, axis=-1) == y
    return jnp.stack([jnp.sum(losses_of(outputs, y, 0.0) * present), jnp.sum(correct * present)])


def means_of(totals: Any, examples: Examples) -> tuple[float, float | None]:
    """Mean loss and accuracy from summed ones; no accuracy for targets."""
    loss, correct = (np.asarray(totals) / max(examples.total_weight, TINY)).tolist()
    return loss, correct if is_classification(examples.y) else None
