"""The compiled epoch: rows resident as uint8, one permutation, every batch inside one scan.

Keras' own `fit` prepares each batch on the host; here XLA runs the whole epoch. What was measured
on the way, with and without success: docs/training.md.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.contract import Settings
from tenfold.errors import DataError, message
from tenfold.network import import_keras

TINY = 1e-30
"""Stands for a sum of weights that is 0."""

SCORED_ROWS = 1024
"""Validation rows in a batch: enough for the cores, 3 MB of pictures as float32."""


MAX_PROGRAMS = 32
"""Compiled programs kept for the next fit of the same shapes."""

_programs: dict[bytes, Any] = {}


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


class Training:
    """The training of a network of dense layers: iterate, and have an `Epoch` after each epoch.

    What chance decides depends on (seed, epoch, row) for order and shifts and on (seed, epoch,
    step) for dropout, never on what came before: from `state` on, `restore` continues exactly.
    """

    def __init__(
        self, network: Any, train: Examples, validation: Examples | None, settings: Settings
    ) -> None:
        self.epoch = 0
        self._network, self._settings = network, settings
        self._train, self._validation = train, validation
        self._layout = _Layout.of(network, train, settings)
        self._weights = self._best = self._averages = self._layout.compact
        self._optimizer = build_optimizer(settings, self._weights)
        self._moments = [np.asarray(variable.value) for variable in self._optimizer.variables]
        self._lowest, self._waited = math.inf, 0

    def __iter__(self) -> Iterator[Epoch]:
        """Train on, to the last epoch or the end of patience. The caller may stop at any record."""
        if self.is_done:
            return
        n_steps = -(-len(self._train.y) // self._settings.batch_size)
        with ThreadPoolExecutor(2) as threads:
            plan = threads.submit(_plan, self._settings, self.epoch + 1, self._train)
            run, score, resident = self._compile(threads, plan.result())
            while not self.is_done:
                state, ready = (self._weights, self._averages, self._moments), plan.result()
                start = time.perf_counter()
                # In a thread, so that the main one can hear a signal.
                running = threads.submit(lambda: _wait(run(*state, resident, ready)))  # noqa: B023
                plan = threads.submit(_plan, self._settings, self.epoch + 2, self._train)
                self._weights, self._averages, self._moments, totals = running.result()
                seconds = time.perf_counter() - start
                self.epoch += 1
                loss, accuracy = _measures(totals, self._train)
                val_loss, val_accuracy = score(self._averages)
                self._keep_best(val_loss)
                rate = float(learning_rate(self._settings, self.epoch * n_steps, n_steps))
                yield Epoch(self.epoch, seconds, loss, accuracy, val_loss, val_accuracy, rate)

    @property
    def is_done(self) -> bool:
        """No epoch is left, or patience is at its end."""
        patience = self._settings.patience
        return self.epoch >= self._settings.epochs or (
            patience is not None and self._waited >= patience
        )

    def _keep_best(self, val_loss: float | None) -> None:
        if self._settings.patience is None or val_loss is None or val_loss < self._lowest:
            self._best, self._waited = self._averages, 0
            self._lowest = math.inf if val_loss is None else val_loss
        else:
            self._waited += 1

    def _compile(
        self, threads: ThreadPoolExecutor, plan: "_Plan"
    ) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
        """The epoch and the score compiled, side by side, and the rows on the device."""
        import jax

        score = threads.submit(_compile_score, self._layout, self._validation)
        x = self._layout.rows(self._train.x)
        resident = jax.device_put((_filled(x, plan), _filled(_known(self._train.y), plan)))
        run = jax.jit(_epoch_function(self._layout, self._optimizer, self._settings))
        lowered = run.lower(self._weights, self._averages, self._moments, resident, plan)
        compiled = threads.submit(_compiled, lowered)
        return compiled.result(), score.result(), resident

    def write_back(self) -> None:
        """Put the fitted weights into the network: the last ones, or with patience the best."""
        restored = self._layout.restored([np.asarray(array) for array in self._best])
        for variable, value in zip(self._network.trainable_variables, restored, strict=True):
            variable.assign(value.T)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that decides how the training goes on, by name."""
        parts = {
            "weights": self._weights,
            "averages": self._averages,
            "best": self._best,
            "moments": self._moments,
        }
        place = {"epoch": self.epoch, "lowest": self._lowest, "waited": self._waited}
        return {name: np.asarray(value) for name, value in place.items()} | {
            f"{name}.{i}": np.asarray(array)
            for name, arrays in parts.items()
            for i, array in enumerate(arrays)
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `state` of a training of the same network, rows and settings.

        Raises:
          DataError: The arrays are not those of such a training.
        """
        own = {name: (array.shape, array.dtype) for name, array in self.state().items()}
        if own != {name: (array.shape, array.dtype) for name, array in state.items()}:
            raise DataError(
                message(
                    "The state of another training",
                    expected=f"{len(own)} arrays of the shapes of this one",
                    n_arrays=len(state),
                )
            )

        def part(name: str, like: list[Any]) -> list[Any]:
            return [state[f"{name}.{i}"] for i in range(len(like))]

        self.epoch, self._waited = int(state["epoch"]), int(state["waited"])
        self._lowest = float(state["lowest"])
        self._weights = part("weights", self._weights)
        self._averages = part("averages", self._weights)
        self._best = part("best", self._weights)
        self._moments = part("moments", self._moments)


def _filled(values: NDArray[Any], plan: "_Plan") -> NDArray[Any]:
    """Rows up to whole batches, which need one program for all numbers of rows; none is read."""
    n_more = plan.rows.size - len(values)
    return np.pad(values, [(0, n_more)] + [(0, 0)] * (values.ndim - 1))


def _compiled(lowered: Any) -> Any:
    """The program compiled, or compiled before in this process: a fit of few rows is little else.

    Known by its whole text, constants included, so that nothing it depends on can be left out.
    """
    key = hashlib.sha256(lowered.as_text().encode()).digest()
    compiled = _programs.pop(key, None) or lowered.compile()
    _programs[key] = compiled  # the last one used stands last
    while len(_programs) > MAX_PROGRAMS:
        _programs.pop(next(iter(_programs)), None)
    return compiled


def _wait(results: Any) -> Any:
    import jax

    return jax.block_until_ready(results)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Layout:
    """How weights and rows lie while training: kernels as (outputs, inputs), blank pixels left out.

    A pixel that is 0 in every training image gives its weights no gradient, so they stay as they
    began. Both together take a fifth off an epoch (docs/training.md).

    Attributes:
      first: The weights the training began with, kernels transposed.
      columns: Inputs that are kept, in order; None: all.
      size: Shape of one example.
      border_px: How far an image may be moved.
    """

    first: list[NDArray[np.float32]]
    columns: NDArray[np.int64] | None
    size: tuple[int, ...]
    border_px: int

    @classmethod
    def of(cls, network: Any, train: Examples, settings: Settings) -> "_Layout":
        first = [
            np.ascontiguousarray(np.asarray(variable.value).T)
            for variable in network.trainable_variables
        ]
        size = train.x.shape[1:]
        border_px = settings.shift_px if len(size) > 1 else 0
        columns = None
        # Moved images blacken no pixel for good; decay moves weights without a gradient too.
        if len(size) > 1 and not border_px and not settings.weight_decay:
            columns = np.flatnonzero(train.x.any(axis=0))
        return cls(first, columns, size, border_px)

    @property
    def compact(self) -> list[NDArray[np.float32]]:
        """The weights to train."""
        if self.columns is None:
            return self.first
        return [np.ascontiguousarray(self.first[0][:, self.columns]), *self.first[1:]]

    def restored(self, compact: list[Any]) -> list[Any]:
        """All weights, from those that were trained; NumPy's or traced ones."""
        if self.columns is None:
            return compact
        import jax.numpy as jnp

        return [jnp.asarray(self.first[0]).at[:, self.columns].set(compact[0]), *compact[1:]]

    def rows(self, x: NDArray[Any]) -> NDArray[Any]:
        """Rows as the epoch looks them up: with a border to be moved into, or flat and compact."""
        if self.border_px:
            sides = ((0, 0), (self.border_px,) * 2, (self.border_px,) * 2, (0, 0))
            return np.pad(x, sides[: x.ndim])
        flat = x.reshape(len(x), -1)
        return flat if self.columns is None else flat[:, self.columns]


class _Plan(NamedTuple):
    """The chance of one epoch, by step and row.

    Attributes:
      rows: Which row, int32 (n_steps, batch_size).
      present: What it weighs, float32; 0 where the last batch is filled up.
      corners: Where its window starts, int32 (n_steps, batch_size, 2); None: nothing is moved.
      numbers: A number for each step that no other step of the fit has, uint32 (n_steps,).
      rates: The learning rate of each step, float32 (n_steps,).
    """

    rows: NDArray[np.int32]
    present: NDArray[np.float32]
    corners: NDArray[np.int32] | None
    numbers: NDArray[np.uint32]
    rates: NDArray[np.float32]


def _plan(settings: Settings, epoch: int, train: Examples) -> _Plan:
    n = len(train.y)
    rng = np.random.default_rng((settings.seed, epoch))
    rows, present = batches(rng.permutation(n), settings.batch_size)
    if train.weight is not None:
        present *= train.weight[rows]
    corners = None
    if settings.shift_px and train.x.ndim > 2:
        corners = rng.integers(0, 2 * settings.shift_px + 1, (n, 2), np.int32)[rows]
    steps = (epoch - 1) * len(rows) + np.arange(len(rows))
    rates = learning_rate(settings, steps, len(rows)).astype(np.float32)
    return _Plan(rows, present, corners, steps.astype(np.uint32), rates)


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
    if settings.schedule == "linear":
        return settings.learning_rate * np.maximum(1 - done, 0)
    return settings.learning_rate * np.ones_like(done)


def build_optimizer(settings: Settings, weights: list[NDArray[np.float32]]) -> Any:
    """The Keras optimiser of these settings, for kernels and biases in turn.

    Its learning rate is `optimizer.learning_rate`, a variable that every step sets.
    """
    keras = import_keras()
    optimizers = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    optimizer = optimizers[settings.optimizer](
        settings.learning_rate, weight_decay=settings.weight_decay or None
    )
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(
        [
            keras.Variable(value, name="kernel" if value.ndim == 2 else "bias", dtype="float32")
            for value in weights
        ]
    )
    return optimizer


def _epoch_function(layout: _Layout, optimizer: Any, settings: Settings) -> Callable[..., Any]:
    """(weights, averages, moments, (x, y), plan) -> (weights, averages, moments, totals)."""
    import jax
    import jax.numpy as jnp

    rate_at = [variable is optimizer.learning_rate for variable in optimizer.variables].index(True)
    start = jax.random.key(settings.seed)

    def loss_of(weights: Any, x: Any, y: Any, present: Any, key: Any) -> Any:
        outputs = _forward(weights, x, settings.dropout, key)
        losses = _losses(outputs, y, settings.label_smoothing)
        # A batch whose rows all weigh 0 has no say.
        mean = jnp.sum(losses * present) / jnp.maximum(jnp.sum(present), TINY)
        return mean, _totals(outputs, y, present)

    def step(resident: Any, state: Any, batch: _Plan) -> Any:
        (examples, answers), (weights, averages, moments, totals) = resident, state
        if layout.border_px:
            x = _windows(examples, batch.rows, batch.corners, layout.size)
        else:
            x = examples[batch.rows]
        gradients, batch_totals = jax.grad(loss_of, has_aux=True)(
            weights,
            _scaled(x),
            answers[batch.rows],
            batch.present,
            jax.random.fold_in(start, batch.numbers),
        )
        moments = [*moments[:rate_at], batch.rates, *moments[rate_at + 1 :]]
        weights, moments = optimizer.stateless_apply(moments, gradients, weights)
        if settings.average:
            averages = _averaged(averages, weights, settings.average, batch.numbers)
        else:
            averages = weights
        return (weights, averages, moments, totals + batch_totals), None

    def epoch(weights: Any, averages: Any, moments: Any, resident: Any, plan: Any) -> Any:
        state = (weights, averages, moments, jnp.zeros(2))
        return jax.lax.scan(lambda state, batch: step(resident, state, batch), state, plan)[0]

    return epoch


def _averaged(averages: list[Any], weights: list[Any], kept: float, step: Any) -> list[Any]:
    """Running averages after a step; the first steps weigh more, or the start would linger."""
    import jax.numpy as jnp

    share = jnp.minimum(kept, (1 + step) / (10 + step))
    return [share * average + (1 - share) * w for average, w in zip(averages, weights, strict=True)]


def _scaled(x: Any) -> Any:
    """A batch as the first layer takes it (n, d): pictures flat from 0 to 1, features as given."""
    import jax.numpy as jnp

    flat = x.reshape(len(x), -1)
    return flat.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else flat


def _forward(weights: list[Any], x: Any, dropout: float = 0.0, key: Any = None) -> Any:
    """Logits (n, n_labels) or values (n, 1) of what `build_network` builds."""
    import jax
    import jax.numpy as jnp

    n_hidden = len(weights) // 2 - 1
    for i in range(n_hidden):
        x = jax.nn.relu(x @ weights[2 * i].T + weights[2 * i + 1])
        if dropout:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, x.shape)
            x = jnp.where(kept, x / (1 - dropout), 0)
    return x @ weights[-2].T + weights[-1]


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


def is_classification(y: Any) -> bool:
    """Whether answers are label codes."""
    return bool(np.issubdtype(y.dtype, np.integer))


def _known(y: NDArray[Any]) -> NDArray[Any]:
    """Answers as the device holds them: label codes int32, targets float32."""
    return y.astype(np.int32 if is_classification(y) else np.float32)


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


def _measures(totals: Any, examples: Examples) -> tuple[float, float | None]:
    """Mean loss and accuracy from summed ones; no accuracy for targets."""
    loss, correct = (np.asarray(totals) / max(examples.total_weight, TINY)).tolist()
    return loss, correct if is_classification(examples.y) else None


def _compile_score(
    layout: _Layout, examples: Examples | None
) -> Callable[[list[Any]], tuple[float | None, float | None]]:
    """A function of the weights: mean loss and accuracy on `examples`, or two Nones without any."""
    if examples is None:
        return lambda weights: (None, None)
    import jax
    import jax.numpy as jnp

    resident = jax.device_put((examples.x, _known(examples.y)))
    plan = batches(np.arange(len(examples.y)), min(SCORED_ROWS, len(examples.y)))
    if examples.weight is not None:
        plan = (plan[0], plan[1] * examples.weight[plan[0]])

    def total(weights: Any, x: Any, y: Any, plan: Any) -> Any:
        weights = layout.restored(weights)

        def step(totals: Any, batch: Any) -> Any:
            rows, present = batch
            return totals + _totals(_forward(weights, _scaled(x[rows])), y[rows], present), None

        return jax.lax.scan(step, jnp.zeros(2), plan)[0]

    compiled = _compiled(jax.jit(total).lower(layout.compact, *resident, plan))
    return lambda weights: _measures(compiled(weights, *resident, plan), examples)
