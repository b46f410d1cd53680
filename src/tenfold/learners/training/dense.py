"""The compiled epoch of dense layers: rows stay on the device as uint8, are permuted once, and are
divided into batches in one scan.

Keras' own `fit` prepares each batch on the host, while here XLA runs the whole epoch. Measurements
of this and other designs are in docs/guide/training.md.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tenfold.core.layers import Architecture, Parameters
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.inputs.pictures.augment import augment, has_distortions
from tenfold.learners.forward import forward
from tenfold.learners.jax_runtime import compile_program
from tenfold.learners.job import Examples, Purpose, stream
from tenfold.learners.training.base import Training
from tenfold.learners.training.steps import (
    TINY,
    Score,
    averaged,
    batches,
    known,
    learning_rate,
    losses_of,
    means_of,
    totals_of,
    updated,
)

SCORED_ROWS = 1024
"""Number of validation rows in a batch. This is enough to occupy the cores, and takes 3 MB for
MNIST's pictures as float32."""


class DenseTraining(Training):
    """The training of a network of dense layers."""

    def _begin(self, parameters: Parameters) -> Parameters:
        self._layout = _Layout.of(self._architecture, parameters, self._train, self._settings)
        return self._layout.compact

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
                # This runs in a thread, so that the main thread can receive a signal.
                running = threads.submit(_run, run, state, rows, plan)
                coming = threads.submit(self._prepare, self.epoch + 2)
                (self._weights, self._averages, self._moments), totals = running.result()
                seconds = time.perf_counter() - start
                found, outputs = score(self._ranks.local(self._averages))
                self._judge(outputs)
                yield self._record(seconds, totals, self._ranks.agreed(found))

    def _prepare(self, epoch: int) -> tuple["_Plan", NDArray[np.uint8] | None]:
        """The random choices of an epoch, and its pictures if augmentation changes them."""
        plan, settings = _plan(self._settings, epoch, self._train), self._settings
        if not self._layout.is_augmented or epoch > settings.epochs:
            return plan, None
        x = self._train.x
        if epoch <= settings.epochs - settings.clean_epochs:
            rng = stream(settings, Purpose.AUGMENTATION, epoch)
            order = rng.permutation(len(x))
            moved = np.empty(x.shape, np.uint8)
            moved[order] = augment(x[order], settings, rng)
            x = moved
        return plan, _filled(self._layout.rows(x), plan)

    def _compile(
        self, threads: ThreadPoolExecutor, plan: "_Plan"
    ) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
        """Compile the epoch and the score in parallel, and put the rows on the device."""
        chooses = self._choice is not None
        score = threads.submit(_compile_score, self._layout, self._validation, chooses)
        x = self._layout.rows(self._train.x)
        resident = self._ranks.put((_filled(x, plan), _filled(known(self._train.y), plan)))
        run = self._ranks.compile_epoch(_epoch_function(self._layout, self._settings))
        state = self._weights, self._averages, self._moments
        compiled = threads.submit(compile_program, run.lower(state, resident, plan))
        return compiled.result(), score.result(), resident

    def fitted(self) -> Parameters:
        fitted: Parameters = jax.tree.map(np.asarray, self._layout.whole(self._best))
        return fitted


def _run(program: Callable[..., Any], *arguments: Any) -> Any:
    """Run a program and wait for its result."""
    return jax.block_until_ready(program(*arguments))  # type: ignore[no-untyped-call]


def _filled(values: NDArray[Any], plan: "_Plan") -> NDArray[Any]:
    """Fill rows up to whole batches, so that one program works for any number of rows. The added
    rows are never read."""
    n_more = plan.rows.size - len(values)
    return np.pad(values, [(0, n_more)] + [(0, 0)] * (values.ndim - 1))


@dataclass(frozen=True)
class _Layout:
    """The layout of kernels and rows during training: (outputs, inputs), without blank pixels.

    If a pixel is 0 in every training image, its weights have no gradient and keep their initial
    values, which are in `first`. Transposing kernels and leaving out these pixels together save a
    fifth of the time of an epoch (docs/guide/training.md).

    Attributes:
      columns: The inputs that are kept, in order. None: all.
      border_px: Maximum shift of an image.
      is_augmented: Whether images are augmented outside the compiled epoch, which also moves them.
    """

    architecture: Architecture
    first: Parameters
    columns: NDArray[np.int64] | None
    border_px: int
    is_augmented: bool

    @classmethod
    def of(
        cls, architecture: Architecture, first: Parameters, train: Examples, settings: Settings
    ) -> "_Layout":
        is_picture = train.x.ndim > 2
        is_augmented = is_picture and has_distortions(settings)
        border_px = settings.shift_px if is_picture and not is_augmented else 0
        columns = None
        # If images are shifted, no pixel stays black. Weight decay changes weights without a
        # gradient, too.
        if is_picture and not border_px and not is_augmented and not settings.weight_decay:
            columns = np.flatnonzero(train.x.any(axis=0))
        return cls(architecture, first, columns, border_px, is_augmented)

    @property
    def compact(self) -> Parameters:
        """The parameters to train."""
        kept = dict(self.first)
        if self.columns is not None:
            name = next(iter(kept))  # the layer whose input is the pixels
            kept[name] = {**kept[name], "kernel": kept[name]["kernel"][self.columns]}
        return _map_kernels(lambda kernel: np.ascontiguousarray(kernel.T), kept)

    def whole(self, compact: Parameters) -> Parameters:
        """The parameters of the whole network, from the trained ones, as JAX arrays."""
        parameters = _map_kernels(lambda kernel: kernel.T, compact)
        if self.columns is not None:
            name = next(iter(self.first))
            kernel = jnp.asarray(self.first[name]["kernel"])
            kernel = kernel.at[self.columns].set(parameters[name]["kernel"])
            parameters[name] = {**parameters[name], "kernel": kernel}
        return parameters

    def rows(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rows in the form from which the epoch takes its batches: with a border for shifts, or
        flat and without blank pixels."""
        if self.border_px:
            sides = ((0, 0), (self.border_px,) * 2, (self.border_px,) * 2, (0, 0))
            return np.pad(x, sides[: x.ndim])
        flat = x.reshape(len(x), -1)
        return flat if self.columns is None else flat[:, self.columns]


def _map_kernels(change: Callable[[Any], Any], parameters: Parameters) -> dict[str, Any]:
    return {
        layer: {**arrays, "kernel": change(arrays["kernel"])}
        for layer, arrays in parameters.items()
    }


class _Plan(NamedTuple):
    """The random choices of one epoch, by step and row.

    Attributes:
      rows: The rows of each step, int32 (n_steps, batch_size).
      present: Their weights, float32. They are 0 for rows that fill up the last batch.
      corners: The corners of their windows, int32 (n_steps, batch_size, 2). None: images are not
        shifted.
      numbers: A number that no other step of the fit has, uint32 (n_steps,).
      rates: The learning rate, float32 (n_steps,).
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


def _epoch_function(layout: _Layout, settings: Settings) -> Callable[..., Any]:
    """(state, (x, y), plan) -> (state, totals), where a state is (weights, averages, moments)."""
    start = jax.random.key(settings.seed)
    layers, size = layout.architecture.to_logits, layout.architecture.input_shape

    def loss_of(weights: Any, x: Any, y: Any, present: Any, key: Any) -> Any:
        outputs, _ = forward(layers, _map_kernels(lambda kernel: kernel.T, weights), x, key)
        losses = losses_of(outputs, y, settings.label_smoothing)
        # A batch whose rows all have weight 0 has no effect.
        mean = jnp.sum(losses * present) / jnp.maximum(jnp.sum(present), TINY)
        return mean, totals_of(outputs, y, present)

    def step(resident: Any, carried: Any, batch: _Plan) -> Any:
        (examples, answers), ((weights, averages, moments), totals) = resident, carried
        if layout.border_px:
            x = _windows(examples, batch.rows, batch.corners, size)
        else:
            x = examples[batch.rows]
        key = jax.random.fold_in(start, batch.numbers)
        gradients, batch_totals = jax.grad(loss_of, has_aux=True)(
            weights, x, answers[batch.rows], batch.present, key
        )
        weights, moments = updated(
            settings, weights, moments, gradients, batch.numbers, batch.rates
        )
        averages = averaged(averages, weights, settings.average, batch.numbers)
        return ((weights, averages, moments), totals + batch_totals), None

    def epoch(state: Any, resident: Any, plan: _Plan) -> Any:
        carried = state, jnp.zeros(2)
        return jax.lax.scan(lambda carried, batch: step(resident, carried, batch), carried, plan)[0]

    return epoch


def _windows(images: Any, rows: Any, corners: Any, size: tuple[int, ...]) -> Any:
    """A window of the given size in each row's bordered image, with a single gather. It takes 1.05
    times as long as plain indexing."""
    start = jnp.concatenate([rows[:, None], corners], axis=1)  # (batch, 3): row, top, left
    axes = jax.lax.GatherDimensionNumbers(
        offset_dims=tuple(range(1, len(size) + 1)),
        collapsed_slice_dims=(0,),
        start_index_map=(0, 1, 2),
    )
    return jax.lax.gather(images, start, axes, (1, *size))


def _compile_score(
    layout: _Layout, examples: Examples | None, chooses: bool
) -> Callable[[Parameters], tuple[Score, NDArray[np.float32] | None]]:
    """Make a function of the weights that returns the mean loss and accuracy on `examples` (None
    without examples) and, if the rows choose an epoch, the outputs of the output layer (n, k)."""
    if examples is None:
        return lambda weights: ((None, None), None)
    resident = jax.device_put((examples.x, known(examples.y)))
    plan = batches(np.arange(len(examples.y)), min(SCORED_ROWS, len(examples.y)))
    if examples.weight is not None:
        plan = (plan[0], plan[1] * examples.weight[plan[0]])

    def total(weights: Any, x: Any, y: Any, plan: Any) -> Any:
        parameters = layout.whole(weights)

        def step(totals: Any, batch: Any) -> Any:
            rows, present = batch
            outputs, _ = forward(layout.architecture.to_logits, parameters, x[rows])
            found = outputs if chooses else None
            return totals + totals_of(outputs, y[rows], present), found

        return jax.lax.scan(step, jnp.zeros(2), plan)

    compiled = compile_program(jax.jit(total).lower(layout.compact, *resident, plan))

    def score(weights: Parameters) -> tuple[Score, NDArray[np.float32] | None]:
        totals, outputs = compiled(weights, *resident, plan)
        if outputs is not None:
            outputs = np.asarray(outputs).reshape(-1, outputs.shape[-1])[: len(examples.y)]
        return means_of(totals, examples), outputs

    return score
