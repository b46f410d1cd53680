"""The compiled step of a `cnn`, called from Python, with the batch shared out to the cores.

Never inside `lax.scan`: there XLA takes the slow way to convolve (26 times,
docs/guide/training.md).
"""

import functools
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.inputs.pictures.augment import augment, has_distortions
from tenfold.learners.architectures import Convolution, convolutions, rows_at_once
from tenfold.learners.training.base import Training
from tenfold.learners.training.steps import (
    TINY,
    Purpose,
    averaged,
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

EPSILON = 1e-3
"""Added to variances, as in Keras."""

SHARE = 32
"""Rows of a batch that one device answers for at once, normalised by their own means, at most."""

STATISTICS_ROWS = 2048
"""Training rows whose means and variances the finished network normalises with."""

PART = 512
"""Rows that are answered or measured at once, at most; of large pictures fewer."""

AHEAD = 3
"""Batches that are made while the one before is learned from."""


class ConvolutionTraining(Training):
    """The training of what `build_cnn` builds.

    A batch is cut into equal shares of at most 32 rows, dealt out to the devices. Each share is
    normalised by its own means and variances (ghost batches: Hoffer, Hubara and Soudry 2017,
    arXiv:1705.08741, section 4), so devices meet only to add up gradients, and their number changes
    nothing that is computed. The network's own means and variances are those of its averaged
    weights over clean training rows, measured when they are needed.
    """

    def __init__(
        self, network: Any, train: Examples, validation: Examples | None, settings: Settings
    ) -> None:
        first = [np.asarray(variable.value) for variable in network.trainable_variables]
        super().__init__(network, _that_count(train), validation, settings, first)
        self._spec = convolutions(train.x.shape[1:], settings.width)
        order = stream(settings, Purpose.STATISTICS).permutation(len(self._train.y))
        self._typical = np.sort(order[:STATISTICS_ROWS])

    def __iter__(self) -> Iterator[Epoch]:
        if self.is_done:
            return
        plan = _plan(self._settings, self.epoch + 1, self._train)
        devices = _devices()[: len(plan.rows[0])]
        gradient, update = self._compile(devices, plan)
        with ThreadPoolExecutor(1) as thread:
            feed = self._feed(devices, thread)
            while not self.is_done:
                start = time.perf_counter()
                state = self._weights, self._averages, self._moments, np.zeros(2, np.float32)
                for shares, number, rate in itertools.islice(feed, self.n_steps):
                    copies = [_put(state[0], device) for device in devices]
                    found = [
                        gradient[i % len(devices), len(share[0])](
                            copies[i % len(devices)], *share, number, np.int32(i)
                        )
                        for i, share in shares
                    ]
                    state = update(*state, _put(self._met(found), devices[0]), number, rate)
                    # More steps in flight take longer: 33 instead of 20 ms each (batch 128).
                    wait_for(state)
                *arrays, totals = state
                self._weights, self._averages, self._moments = (
                    [np.asarray(array) for array in part] for part in arrays
                )
                seconds = time.perf_counter() - start
                yield self._record(seconds, totals, self._score())

    def _feed(self, devices: Sequence[Any], thread: ThreadPoolExecutor) -> Iterator["_Batch"]:
        """Batch after batch, to the last epoch, made ahead in a thread."""
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
        if epoch <= settings.epochs - settings.clean_epochs and _moves(settings):
            x = augment(x, settings, stream(settings, Purpose.AUGMENTATION, epoch, i))
        parts = np.split(x, np.cumsum([len(share) for share in shares[:-1]]))
        placed = [
            _put((part, *self._answers(share)), device)
            for part, share, device in zip(parts, shares, itertools.cycle(devices), strict=False)
        ]
        return _Batch(list(enumerate(placed)), plan.numbers[i], plan.rates[i])

    def _answers(self, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The answers of rows and what each of them weighs."""
        weight, y = self._train.weight, known(self._train.y[rows])
        return y, np.ones(len(rows), np.float32) if weight is None else weight[rows]

    def _compile(
        self, devices: Sequence[Any], plan: "_Plan"
    ) -> tuple[dict[tuple[int, int], Callable[..., Any]], Callable[..., Any]]:
        """The gradients of a share, by place of the device and number of rows; and the update."""
        gradient, update = _functions(self._spec, self._optimizer, self._settings)
        shares = {
            (i % len(devices), len(rows)): rows
            for step in plan.rows for i, rows in enumerate(step)
        }  # fmt: skip
        number, rate = plan.numbers[0], plan.rates[0]
        state = self._weights, self._averages, self._moments, np.zeros(2, np.float32)
        sums = self._weights, state[-1], np.float32(0)
        found = [sums] * len(plan.rows[0])
        with ThreadPoolExecutor(2) as threads:
            compiling = {
                key: threads.submit(
                    compile_program,
                    gradient.lower(
                        *_put((self._weights, self._train.x[rows]), devices[key[0]]),
                        *self._answers(rows), number, np.int32(0),
                    ),
                    str(devices[key[0]]),
                )
                for key, rows in shares.items()
            }  # fmt: skip
            whole = compile_program(
                update.lower(*_put((*state, found), devices[0]), number, rate), str(devices[0])
            )
            return {key: running.result() for key, running in compiling.items()}, whole

    def _met(self, found: list[Any]) -> list[Any]:
        """What the shares of the batch found, those of other processes too."""
        return found

    def _score(self) -> tuple[float | None, float | None]:
        """Mean loss and accuracy of the averaged weights on the validation rows."""
        held = self._validation
        if held is None:
            return None, None
        statistics = self._statistics(self._averages)
        outputs = answers_of(self._spec, self._averages, statistics, held.x)
        present = np.ones(len(held.y), np.float32) if held.weight is None else held.weight
        return means_of(totals_of(outputs, known(held.y), present), held)

    def _statistics(self, weights: list[Any]) -> list[Any]:
        return statistics_of(self._spec, weights, self._train.x[self._typical])

    def write_back(self) -> None:
        weights = [np.asarray(array) for array in self._best]
        for variable, value in zip(self._network.trainable_variables, weights, strict=True):
            variable.assign(value)
        moving = iter(self._statistics(weights))
        for variable in self._network.non_trainable_variables:
            if "moving" in variable.name:
                variable.assign(next(moving))


def _moves(settings: Settings) -> bool:
    return bool(settings.shift_px) or has_distortions(settings)


def _that_count(rows: Examples) -> Examples:
    """Rows without those that weigh 0: batch normalisation would see them. If all do, all stay."""
    if rows.weight is None or not (counts := rows.weight > 0).any() or counts.all():
        return rows
    return Examples(rows.x[counts], rows.y[counts], rows.weight[counts])


class _Plan(NamedTuple):
    """The chance of one epoch.

    Attributes:
      rows: For each step the rows of each share, int64 (n_rows,). Numbers differ by one at most.
      numbers: A number for each step that no other step of the fit has, uint32 (n_steps,).
      rates: The learning rate of each step, float32 (n_steps,).
    """

    rows: list[list[NDArray[np.int64]]]
    numbers: NDArray[np.uint32]
    rates: NDArray[np.float32]


def _plan(settings: Settings, epoch: int, train: Examples) -> _Plan:
    order = stream(settings, Purpose.ORDER, epoch).permutation(len(train.y))
    n_steps = -(-len(order) // settings.batch_size)
    parts = np.array_split(order, n_steps)  # no batch of a few rows left over
    n_shares = -(-len(parts[0]) // SHARE)
    rows = [np.array_split(part, n_shares) for part in parts]
    steps = (epoch - 1) * n_steps + np.arange(n_steps)
    rates = learning_rate(settings, steps, n_steps).astype(np.float32)
    return _Plan(rows, steps.astype(np.uint32), rates)


class _Batch(NamedTuple):
    """One batch: its shares' places and (x, y, present), on a device; its number, learning rate."""

    shares: Sequence[tuple[int, tuple[Any, ...]]]
    number: np.uint32
    rate: np.float32


def _devices() -> Sequence[Any]:
    import jax

    return jax.local_devices()  # type: ignore[no-any-return]


def _put(arrays: Any, device: Any) -> Any:
    import jax

    return jax.device_put(arrays, device)


def _functions(spec: Sequence[Convolution], optimizer: Any, settings: Settings) -> tuple[Any, Any]:
    """The gradients of a share, and the step that adds them up, to be compiled.

    gradient: (weights, x, y, present, number of the step, place of the share) -> (summed gradients,
    totals, summed weight). update: (weights, averages, moments, totals, those of all shares, number
    of the step, rate) -> the first four anew.
    """
    import jax
    import jax.numpy as jnp

    rate_at = [variable is optimizer.learning_rate for variable in optimizer.variables].index(True)
    start = jax.random.key(settings.seed)

    def loss_of(weights: Any, x: Any, y: Any, present: Any, key: Any) -> Any:
        outputs, _ = forward(spec, weights, x, dropout=settings.dropout, key=key)
        losses = losses_of(outputs, y, settings.label_smoothing)
        return jnp.sum(losses * present), totals_of(outputs, y, present)

    def gradient(weights: Any, x: Any, y: Any, present: Any, number: Any, place: Any) -> Any:
        key = jax.random.fold_in(jax.random.fold_in(start, number), place)
        gradients, totals = jax.grad(loss_of, has_aux=True)(weights, x, y, present, key)
        return gradients, totals, jnp.sum(present)

    def update(
        weights: Any, averages: Any, moments: Any, totals: Any, found: Any, number: Any, rate: Any
    ) -> Any:
        gradients, own, weight = jax.tree.map(lambda *shares: sum(shares), *found)
        gradients = [g / jnp.maximum(weight, TINY) for g in gradients]
        moments = [*moments[:rate_at], rate, *moments[rate_at + 1 :]]
        weights, moments = optimizer.stateless_apply(moments, gradients, weights)
        averages = (
            averaged(averages, weights, settings.average, number) if settings.average else weights
        )
        return list(weights), list(averages), list(moments), totals + own

    return jax.jit(gradient), jax.jit(update)


def forward(
    spec: Sequence[Convolution],
    weights: Sequence[Any],
    x: Any,
    statistics: Sequence[Any] | None = None,
    *,
    dropout: float = 0.0,
    key: Any = None,
) -> tuple[Any, list[Any]]:
    """What `build_cnn` computes, up to its logits.

    Args:
      spec: Its convolutions.
      weights: A kernel and a bias for each, then those of the output.
      x: Pictures uint8 (n, height, width) or (n, height, width, 3).
      statistics: Mean and variance behind each convolution, in turn; None: those of these rows.
      dropout: Share of the last layer's inputs that is silenced.
      key: Decides which.

    Returns:
      Logits (n, n_labels), and the means and variances that were used.
    """
    import jax
    import jax.numpy as jnp

    x = x.astype(jnp.float32) / 255
    x = x[..., None] if x.ndim == 3 else x
    used = []
    for i, one in enumerate(spec):
        x = jax.lax.conv_general_dilated(
            x, weights[2 * i], (one.stride, one.stride), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        if one.is_pooled:
            x = _pool(x)
        if statistics is None:
            mean = jnp.mean(x, axis=(0, 1, 2))
            variance = jnp.maximum(jnp.mean(x * x, axis=(0, 1, 2)) - mean * mean, 0)
        else:
            mean, variance = statistics[2 * i : 2 * i + 2]
        used += [mean, variance]
        factor = jax.lax.rsqrt(variance + EPSILON)
        x = jax.nn.relu(x * factor + (weights[2 * i + 1] - mean * factor))
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    if dropout:
        kept = jax.random.bernoulli(key, 1 - dropout, x.shape)
        x = jnp.where(kept, x / (1 - dropout), 0)
    return x @ weights[-2] + weights[-1], used


def _pool(x: Any) -> Any:
    """The largest of each 2x2 pixels, as a maximum of slices: XLA's own pooling has a slow gradient
    (notes on speed: 48 s an epoch against 33 to 37)."""
    import jax.numpy as jnp

    odd = [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)]
    if any(after for _, after in odd):
        x = jnp.pad(x, odd, constant_values=-jnp.inf)
    top, bottom = x[:, ::2], x[:, 1::2]
    return jnp.maximum(
        jnp.maximum(top[:, :, ::2], top[:, :, 1::2]),
        jnp.maximum(bottom[:, :, ::2], bottom[:, :, 1::2]),
    )


def _part(spec: Sequence[Convolution], x: NDArray[Any]) -> int:
    return min(PART, rows_at_once(x.shape[1:], spec[0].channels))


@functools.cache
def _answer(spec: tuple[Convolution, ...]) -> Callable[..., Any]:
    import jax

    return jax.jit(lambda weights, statistics, x: forward(spec, weights, x, statistics)[0])


@functools.cache
def _measure(spec: tuple[Convolution, ...]) -> Callable[..., Any]:
    import jax

    return jax.jit(lambda weights, x: forward(spec, weights, x)[1])


def answers_of(
    spec: tuple[Convolution, ...], weights: list[Any], statistics: list[Any], x: NDArray[Any]
) -> NDArray[np.float32]:
    """Logits (n, n_labels), a part of the rows after the other."""
    devices = _devices()
    fitted = [_put((weights, statistics), device) for device in devices]
    size = min(_part(spec, x), 1 << (len(x) - 1).bit_length())
    found = []
    for i, start in enumerate(range(0, len(x), size)):
        part = np.zeros((size, *x.shape[1:]), x.dtype)  # few programs for all numbers of rows
        part[: len(x) - start] = x[start : start + size]
        device = i % len(devices)
        found.append(_answer(spec)(*fitted[device], _put(part, devices[device])))
    return np.concatenate([np.asarray(part) for part in found])[: len(x)]


def statistics_of(
    spec: tuple[Convolution, ...], weights: list[Any], x: NDArray[Any]
) -> list[NDArray[np.float32]]:
    """Mean and variance behind each convolution over rows (n, ...), in turn.

    Rows are normalised in parts of their own on the way, of about 512 (of large pictures fewer):
    nearly as in one.
    """
    devices = _devices()
    fitted = [_put(weights, device) for device in devices]
    n_parts = -(-len(x) // _part(spec, x))
    size = len(x) // n_parts
    parts = []
    for i in range(n_parts):
        device = i % len(devices)
        part = _put(x[i * size : (i + 1) * size], devices[device])
        parts.append([*map(np.asarray, _measure(spec)(fitted[device], part))])
    found = []
    for mean, variance in zip(*[iter(zip(*parts, strict=True))] * 2, strict=True):
        means, variances = np.stack(mean), np.stack(variance)
        found += [means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)]
    return [value.astype(np.float32) for value in found]
