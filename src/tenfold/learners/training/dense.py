"""The compiled epoch: rows resident as uint8, one permutation, every batch inside one scan.

Keras' own `fit` prepares each batch on the host; here XLA runs the whole epoch. What was measured
on the way, with and without success: docs/guide/training.md.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.inputs.pictures.augment import augment, has_distortions
from tenfold.learners.training.base import Training
from tenfold.learners.training.steps import (
    TINY,
    Purpose,
    averaged,
    batches,
    compile_program,
    known,
    learning_rate,
    losses_of,
    means_of,
    stream,
    totals_of,
    wait_for,
)
from tenfold.learners.training.types import Examples

SCORED_ROWS = 1024
"""Validation rows in a batch: enough for the cores, 3 MB of pictures as float32."""


class DenseTraining(Training):
    """The training of a network of dense layers."""

    def __init__(
        self, network: Any, train: Examples, validation: Examples | None, settings: Settings
    ) -> None:
        self._layout = _Layout.of(network, train, settings)
        super().__init__(network, train, validation, settings, self._layout.compact)

    def __iter__(self) -> Iterator[Epoch]:
        if self.is_done:
            return
        with ThreadPoolExecutor(2) as threads:
            coming = threads.submit(self._prepare, self.epoch + 1)
            run, score, resident = self._compile(threads, coming.result()[0])
            while not self.is_done:
                state, (plan, x) = (self._weights, self._averages, self._moments), coming.result()
                rows = resident if x is None else (x, resident[1])
                start = time.perf_counter()
                # In a thread, so that the main one can hear a signal.
                running = threads.submit(lambda: wait_for(run(*state, rows, plan)))  # noqa: B023
                coming = threads.submit(self._prepare, self.epoch + 2)
                self._weights, self._averages, self._moments, totals = running.result()
                seconds = time.perf_counter() - start
                yield self._record(seconds, totals, score(self._averages))

    def _prepare(self, epoch: int) -> tuple["_Plan", NDArray[np.uint8] | None]:
        """The chance of an epoch, and its pictures where they are bent anew for it."""
        plan, settings = _plan(self._settings, epoch, self._train), self._settings
        if not self._layout.is_bent or epoch > settings.epochs:
            return plan, None
        x = self._train.x
        if epoch <= settings.epochs - settings.clean_epochs:
            rng = stream(settings, Purpose.AUGMENTATION, epoch)
            order = rng.permutation(len(x))
            bent = np.empty(x.shape, np.uint8)
            bent[order] = augment(x[order], settings, rng)
            x = bent
        return plan, _filled(self._layout.rows(x), plan)

    def _compile(
        self, threads: ThreadPoolExecutor, plan: "_Plan"
    ) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
        """The epoch and the score compiled, side by side, and the rows on the device."""
        import jax

        score = threads.submit(_compile_score, self._layout, self._validation)
        x = self._layout.rows(self._train.x)
        resident = jax.device_put((_filled(x, plan), _filled(known(self._train.y), plan)))
        run = jax.jit(_epoch_function(self._layout, self._optimizer, self._settings))
        lowered = run.lower(self._weights, self._averages, self._moments, resident, plan)
        compiled = threads.submit(compile_program, lowered)
        return compiled.result(), score.result(), resident

    def write_back(self) -> None:
        restored = self._layout.restored([np.asarray(array) for array in self._best])
        for variable, value in zip(self._network.trainable_variables, restored, strict=True):
            variable.assign(value.T)


def _filled(values: NDArray[Any], plan: "_Plan") -> NDArray[Any]:
    """Rows up to whole batches, which need one program for all numbers of rows; none is read."""
    n_more = plan.rows.size - len(values)
    return np.pad(values, [(0, n_more)] + [(0, 0)] * (values.ndim - 1))


@dataclass(frozen=True)
class _Layout:
    """How weights and rows lie while training: kernels as (outputs, inputs), blank pixels left out.

    A pixel that is 0 in every training image gives its weights no gradient, so they stay as they
    began. Both together take a fifth off an epoch (docs/guide/training.md).

    Attributes:
      first: The weights the training began with, kernels transposed.
      columns: Inputs that are kept, in order; None: all.
      size: Shape of one example.
      border_px: How far an image may be moved.
      is_bent: Images are bent outside of the compiled epoch, which moves them too.
    """

    first: list[NDArray[np.float32]]
    columns: NDArray[np.int64] | None
    size: tuple[int, ...]
    border_px: int
    is_bent: bool

    @classmethod
    def of(cls, network: Any, train: Examples, settings: Settings) -> "_Layout":
        first = [
            np.ascontiguousarray(np.asarray(variable.value).T)
            for variable in network.trainable_variables
        ]
        size = train.x.shape[1:]
        is_bent = len(size) > 1 and has_distortions(settings)
        border_px = settings.shift_px if len(size) > 1 and not is_bent else 0
        columns = None
        # Moved images blacken no pixel for good; decay moves weights without a gradient too.
        if len(size) > 1 and not border_px and not is_bent and not settings.weight_decay:
            columns = np.flatnonzero(train.x.any(axis=0))
        return cls(first, columns, size, border_px, is_bent)

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
    rng = stream(settings, Purpose.ORDER, epoch)
    rows, present = batches(rng.permutation(n), settings.batch_size)
    if train.weight is not None:
        present *= train.weight[rows]
    corners = None
    if settings.shift_px and train.x.ndim > 2 and not has_distortions(settings):
        corners = rng.integers(0, 2 * settings.shift_px + 1, (n, 2), np.int32)[rows]
    steps = (epoch - 1) * len(rows) + np.arange(len(rows))
    rates = learning_rate(settings, steps, len(rows)).astype(np.float32)
    return _Plan(rows, present, corners, steps.astype(np.uint32), rates)


def _epoch_function(layout: _Layout, optimizer: Any, settings: Settings) -> Callable[..., Any]:
    """(weights, averages, moments, (x, y), plan) -> (weights, averages, moments, totals)."""
    import jax
    import jax.numpy as jnp

    rate_at = [variable is optimizer.learning_rate for variable in optimizer.variables].index(True)
    start = jax.random.key(settings.seed)

    def loss_of(weights: Any, x: Any, y: Any, present: Any, key: Any) -> Any:
        outputs = _forward(weights, x, settings.dropout, key)
        losses = losses_of(outputs, y, settings.label_smoothing)
        # A batch whose rows all weigh 0 has no say.
        mean = jnp.sum(losses * present) / jnp.maximum(jnp.sum(present), TINY)
        return mean, totals_of(outputs, y, present)

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
            averages = averaged(averages, weights, settings.average, batch.numbers)
        else:
            averages = weights
        return (weights, averages, moments, totals + batch_totals), None

    def epoch(weights: Any, averages: Any, moments: Any, resident: Any, plan: Any) -> Any:
        state = (weights, averages, moments, jnp.zeros(2))
        return jax.lax.scan(lambda state, batch: step(resident, state, batch), state, plan)[0]

    return epoch


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


def _compile_score(
    layout: _Layout, examples: Examples | None
) -> Callable[[list[Any]], tuple[float | None, float | None]]:
    """A function of the weights: mean loss and accuracy on `examples`, or two Nones without any."""
    if examples is None:
        return lambda weights: (None, None)
    import jax
    import jax.numpy as jnp

    resident = jax.device_put((examples.x, known(examples.y)))
    plan = batches(np.arange(len(examples.y)), min(SCORED_ROWS, len(examples.y)))
    if examples.weight is not None:
        plan = (plan[0], plan[1] * examples.weight[plan[0]])

    def total(weights: Any, x: Any, y: Any, plan: Any) -> Any:
        weights = layout.restored(weights)

        def step(totals: Any, batch: Any) -> Any:
            rows, present = batch
            return totals + totals_of(_forward(weights, _scaled(x[rows])), y[rows], present), None

        return jax.lax.scan(step, jnp.zeros(2), plan)[0]

    compiled = compile_program(jax.jit(total).lower(layout.compact, *resident, plan))
    return lambda weights: means_of(compiled(weights, *resident, plan), examples)
