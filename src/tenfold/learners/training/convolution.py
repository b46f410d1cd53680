"""The compiled step of a `cnn`, called from Python, with the batch divided among the cores.

It never runs inside `lax.scan`, where XLA uses an implementation of convolutions that is 26 times
as slow (docs/guide/training.md).
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tenfold.core.layers import Architecture, Parameters, trained
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.inputs.pictures.augment import augment, has_distortions
from tenfold.learners.architectures import rows_at_once
from tenfold.learners.forward import Statistics, forward
from tenfold.learners.jax_runtime import compile_program
from tenfold.learners.job import Examples, Purpose, stream
from tenfold.learners.training.base import Training
from tenfold.learners.training.steps import (
    TINY,
    Score,
    averaged,
    known,
    learning_rate,
    losses_of,
    means_of,
    summed_trees,
    totals_of,
    updated,
)

SHARE = 32
"""Maximum number of rows that a device processes at once, normalised by their own means."""

STATISTICS_ROWS = 2048
"""Number of training rows from which the means and variances of the finished network are
computed."""

PART = 512
"""Maximum number of rows that are predicted or measured at once. For large pictures it is
smaller."""

AHEAD = 3
"""Number of batches that are prepared during the current one."""


class ConvolutionTraining(Training):
    """The training of a convolutional network.

    A batch is divided into equal shares of at most 32 rows, which are assigned to the devices. Each
    share is normalised by its own means and variances (ghost batches: Hoffer, Hubara and Soudry
    2017, arXiv:1705.08741, section 4), so that devices only synchronise to add up gradients, and
    their number does not change the result. The means and variances of the finished network are
    computed with its averaged weights on training rows without augmentation, when they are needed.
    """

    def _begin(self, parameters: Parameters) -> Parameters:
        self._train = _that_count(self._train)
        self._is_augmented = bool(self._settings.shift_px) or has_distortions(self._settings)
        order = stream(self._settings, Purpose.STATISTICS).permutation(len(self._train.y))
        self._typical = np.sort(order[:STATISTICS_ROWS])
        return trained(parameters)

    def __iter__(self) -> Iterator[Epoch]:
        if self.is_done:
            return
        plan = _plan(self._settings, self.epoch + 1, self._train)
        devices = jax.local_devices()[: len(plan.rows[0])]
        gradient, update = self._compile(devices, plan)
        nothing = _nothing(self._weights)
        with ThreadPoolExecutor(1) as thread:
            feed = self._feed(devices, thread)
            while not self.is_done:
                start = time.perf_counter()
                state, totals = (self._weights, self._averages, self._moments), np.zeros(2, "f4")
                for shares, number, rate in itertools.islice(feed, self.n_steps):
                    copies = [jax.device_put(state[0], device) for device in devices]
                    found = [
                        gradient[i % len(devices), len(share[0])](
                            copies[i % len(devices)], *share, number, np.int32(i)
                        )
                        for i, share in shares
                    ]
                    found = jax.device_put(self._ranks.summed(found, nothing), devices[0])
                    state, totals = update(state, totals, found, number, rate)
                    # More steps at a time take longer: 33 instead of 20 ms
                    # each (batch 128).
                    jax.block_until_ready((state, totals))  # type: ignore[no-untyped-call]
                self._weights, self._averages, self._moments = jax.tree.map(np.asarray, state)
                seconds = time.perf_counter() - start
                yield self._record(seconds, totals, self._ranks.agreed(self._score()))

    def _feed(self, devices: Sequence[Any], thread: ThreadPoolExecutor) -> Iterator["_Batch"]:
        """Yield batches up to the last epoch, prepared in a thread."""
        coming: deque[Future[_Batch]] = deque()
        for epoch in range(self.epoch + 1, self._settings.epochs + 1):
            plan = _plan(self._settings, epoch, self._train)
            for i in range(self.n_steps):
                coming.append(thread.submit(self._batch, devices, plan, epoch, i))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()

    def _batch(self, devices: Sequence[Any], plan: "_Plan", epoch: int, i: int) -> "_Batch":
        shares, settings = plan.rows[i], self._settings
        x = self._train.x[np.concatenate(shares)]
        if epoch <= settings.epochs - settings.clean_epochs and self._is_augmented:
            x = augment(x, settings, stream(settings, Purpose.AUGMENTATION, epoch, i))
        parts = np.split(x, np.cumsum([len(share) for share in shares[:-1]]))
        placed = [
            jax.device_put((part, *self._answers(share)), device)
            for part, share, device in zip(parts, shares, itertools.cycle(devices), strict=False)
        ]
        own = self._ranks.own(list(enumerate(placed)))
        return _Batch(own, plan.numbers[i], plan.rates[i])

    def _answers(self, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The answers of rows, and the weight of each."""
        weight, y = self._train.weight, known(self._train.y[rows])
        return y, np.ones(len(rows), np.float32) if weight is None else weight[rows]

    def _compile(
        self, devices: Sequence[Any], plan: "_Plan"
    ) -> tuple[dict[tuple[int, int], Callable[..., Any]], Callable[..., Any]]:
        """Compile the gradients of a share, by device and number of rows, and the update."""
        gradient, update = _functions(self._architecture, self._settings)
        shares = {
            (i % len(devices), len(rows)): rows for step in plan.rows for i, rows in enumerate(step)
        }
        number, rate = plan.numbers[0], plan.rates[0]
        state = self._weights, self._averages, self._moments
        found = [_nothing(self._weights)] * self._ranks.n_parts(len(plan.rows[0]))

        def lowered(place: int, rows: NDArray[np.int64]) -> Any:
            weights, x = jax.device_put((self._weights, self._train.x[rows]), devices[place])
            return gradient.lower(weights, x, *self._answers(rows), number, np.int32(0))

        with ThreadPoolExecutor(2) as threads:
            compiling = {
                key: threads.submit(compile_program, lowered(key[0], rows), str(devices[key[0]]))
                for key, rows in shares.items()
            }
            arguments = jax.device_put((state, np.zeros(2, "f4"), found), devices[0])
            whole = compile_program(update.lower(*arguments, number, rate), str(devices[0]))
            return {key: running.result() for key, running in compiling.items()}, whole

    def _score(self) -> Score:
        """Mean loss and accuracy of the averaged weights on the validation rows."""
        held = self._validation
        if held is None:
            return None, None
        outputs = logits_of(self._architecture, self._complete(self._averages), held.x)
        self._judge(outputs)
        return means_of(totals_of(outputs, known(held.y), held.weights), held)

    def fitted(self) -> Parameters:
        return self._complete(jax.tree.map(np.asarray, self._best))

    def weights(self) -> Parameters:
        found: Parameters = jax.tree.map(np.asarray, self._best)
        return found

    def _complete(self, weights: Parameters) -> Parameters:
        """The weights, with the means and variances after each convolution, measured on a sample of
        training rows."""
        statistics = statistics_of(self._architecture, weights, self._train.x[self._typical])
        return {layer: {**arrays, **statistics.get(layer, {})} for layer, arrays in weights.items()}


def _that_count(rows: Examples) -> Examples:
    """The rows without those of weight 0, because batch normalisation would include them. If all
    weights are 0, all rows are kept."""
    if rows.weight is None or not (counts := rows.weight > 0).any() or counts.all():
        return rows
    return rows.take(counts)


class _Plan(NamedTuple):
    """The random choices of one epoch, by step.

    Attributes:
      rows: The rows of each share, int64 (n_rows,). Their numbers differ by at most one.
      numbers: A number that no other step of the fit has, uint32 (n_steps,).
      rates: The learning rate, float32 (n_steps,).
    """

    rows: list[list[NDArray[np.int64]]]
    numbers: NDArray[np.uint32]
    rates: NDArray[np.float32]


def _plan(settings: Settings, epoch: int, train: Examples) -> _Plan:
    order = stream(settings, Purpose.ORDER, epoch).permutation(len(train.y))
    n_steps = -(-len(order) // settings.batch_size)
    parts = np.array_split(order, n_steps)  # no last batch of a few rows
    n_shares = -(-len(parts[0]) // SHARE)
    rows = [np.array_split(part, n_shares) for part in parts]
    steps = (epoch - 1) * n_steps + np.arange(n_steps)
    rates = learning_rate(settings, steps, n_steps).astype(np.float32)
    return _Plan(rows, steps.astype(np.uint32), rates)


class _Batch(NamedTuple):
    """One batch: the numbers and the (x, y, present) of its shares, on devices, with the number of
    the step and its learning rate."""

    shares: Sequence[tuple[int, tuple[Any, ...]]]
    number: np.uint32
    rate: np.float32


def _nothing(weights: Parameters) -> Any:
    """The result of an empty share: gradients, totals and a weight of 0."""
    return jax.tree.map(np.zeros_like, weights), np.zeros(2, "f4"), np.zeros((), "f4")


def _functions(architecture: Architecture, settings: Settings) -> tuple[Any, Any]:
    """Two functions to be compiled: the gradients of a share, and the step that adds them up.

    gradient: (weights, x, y, present, number of the step, place of the share) -> (summed gradients,
      totals, summed weight). update: (state, totals, those of all shares, number of the step, rate)
      -> (state, totals), where a state is (weights, averages, moments).
    """
    start = jax.random.key(settings.seed)

    def loss_of(weights: Any, x: Any, y: Any, present: Any, key: Any) -> Any:
        outputs, _ = forward(architecture.to_logits, weights, x, key)
        losses = losses_of(outputs, y, settings.label_smoothing)
        return jnp.sum(losses * present), totals_of(outputs, y, present)

    def gradient(weights: Any, x: Any, y: Any, present: Any, number: Any, place: Any) -> Any:
        key = jax.random.fold_in(jax.random.fold_in(start, number), place)
        gradients, totals = jax.grad(loss_of, has_aux=True)(weights, x, y, present, key)
        return gradients, totals, jnp.sum(present)

    def update(state: Any, totals: Any, found: Any, number: Any, rate: Any) -> Any:
        weights, averages, moments = state
        gradients, own, weight = summed_trees(found)
        gradients = jax.tree.map(lambda g: g / jnp.maximum(weight, TINY), gradients)
        weights, moments = updated(settings, weights, moments, gradients, number, rate)
        averages = averaged(averages, weights, settings.average, number)
        return (weights, averages, moments), totals + own

    return jax.jit(gradient), jax.jit(update)


_compiled_forward = jax.jit(forward, static_argnums=0)


def _part(architecture: Architecture) -> int:
    return min(PART, rows_at_once(architecture) or PART)


def _forward_parts(
    architecture: Architecture, parameters: Parameters, parts: Iterable[NDArray[Any]]
) -> Iterator[tuple[Any, Statistics]]:
    """Logits and statistics of parts of the rows, divided among the devices."""
    devices = jax.local_devices()
    fitted = [jax.device_put(parameters, device) for device in devices]
    for i, part in enumerate(parts):
        placed = jax.device_put(part, devices[i % len(devices)])
        yield _compiled_forward(architecture.to_logits, fitted[i % len(devices)], placed)


def logits_of(
    architecture: Architecture, parameters: Parameters, x: NDArray[Any]
) -> NDArray[np.float32]:
    """Logits (n, n_labels), one part of the rows after the other."""
    size = min(_part(architecture), 1 << (len(x) - 1).bit_length())

    def parts() -> Iterator[NDArray[Any]]:
        for start in range(0, len(x), size):
            # So that few programs are compiled for all numbers of rows.
            part = np.zeros((size, *x.shape[1:]), x.dtype)
            part[: len(x) - start] = x[start : start + size]
            yield part

    found = [logits for logits, _ in _forward_parts(architecture, parameters, parts())]
    return np.concatenate([np.asarray(part) for part in found])[: len(x)]


def statistics_of(architecture: Architecture, weights: Parameters, x: NDArray[Any]) -> Statistics:
    """The mean and variance after each convolution over rows (n, ...). The rows are processed, and
    normalised, in parts of about 512 (fewer for large pictures), which gives nearly the same result
    as one part."""
    n_parts = -(-len(x) // _part(architecture))
    size = len(x) // n_parts
    parts = (x[i * size : (i + 1) * size] for i in range(n_parts))
    found = [
        jax.tree.map(np.asarray, statistics)
        for _, statistics in _forward_parts(architecture, weights, parts)
    ]
    of_all = Statistics()
    for layer, own in jax.tree.map(lambda *values: np.stack(values), *found).items():
        mean, variance = own["moving_mean"], own["moving_variance"]  # of equal parts, by channel
        variance = variance.mean(axis=0) + mean.var(axis=0)
        of_all[layer] = {"moving_mean": mean.mean(axis=0), "moving_variance": variance}
    return of_all
