"""The compiled step of a `cnn`, called from Python, with the batch shared out to the cores.

Never inside `lax.scan`: there XLA takes the slow way to convolve (26 times, docs/training.md).
"""

import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.augment import bend, is_bending
from tenfold.contract import Settings
from tenfold.network import Convolution, convolutions
from tenfold.training.base import Epoch, Examples, Training
from tenfold.training.steps import (
    TINY,
    averaged,
    batches,
    compile_program,
    known,
    learning_rate,
    losses_of,
    means_of,
    totals_of,
    wait_for,
)

EPSILON = 1e-3
"""Added to variances, as in Keras."""

SHARE = 32
"""Rows of a batch on each device, at least: they share the means of batch normalisation."""

STATISTICS_ROWS = 2048
"""Training rows whose means and variances the finished network normalises with."""

PART = 512
"""Rows that are answered or measured at once."""

AHEAD = 3
"""Batches that are made while the one before is learned from."""


class ConvolutionTraining(Training):
    """The training of what `build_cnn` builds.

    Each device normalises its share of a batch by that share's own means and variances (ghost
    batches: Hoffer, Hubara and Soudry 2017, arXiv:1705.08741, section 4), so devices meet once in a
    step, to add up gradients. The network's own means and variances are those of its averaged
    weights over clean training rows, measured when they are needed.
    """

    def __init__(
        self, network: Any, train: Examples, validation: Examples | None, settings: Settings
    ) -> None:
        first = [np.asarray(variable.value) for variable in network.trainable_variables]
        super().__init__(network, train, validation, settings, first)
        self._spec = convolutions(train.x.shape[1:], settings.width)
        rng = np.random.default_rng((settings.seed, 0))
        self._typical = np.sort(rng.permutation(len(train.y))[:STATISTICS_ROWS])

    def __iter__(self) -> Iterator[Epoch]:
        if self.is_done:
            return
        devices = _Devices.of(self._settings.batch_size)
        with ThreadPoolExecutor(1) as thread:
            feed = self._feed(devices, thread)
            run = self._compile(devices)
            while not self.is_done:
                start = time.perf_counter()
                state = devices.copies((self._weights, self._averages, self._moments))
                totals = devices.copies(np.zeros(2, np.float32))
                for _ in range(self.n_steps):
                    *state, totals = run(*state, totals, *next(feed))
                wait_for(totals)
                self._weights, self._averages, self._moments = (
                    [np.asarray(array) for array in arrays] for arrays in state
                )
                seconds = time.perf_counter() - start
                yield self._record(seconds, totals, self._score(devices))

    def _feed(self, devices: "_Devices", thread: ThreadPoolExecutor) -> Iterator[tuple[Any, ...]]:
        """Batch after batch, to the last epoch, made ahead in a thread."""
        coming: deque[Future[tuple[Any, ...]]] = deque()
        for epoch in range(self.epoch + 1, self._settings.epochs + 1):
            plan = _plan(self._settings, epoch, self._train)
            for i in range(self.n_steps):
                coming.append(thread.submit(self._batch, devices, plan, epoch, i))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()

    def _batch(self, devices: "_Devices", plan: "_Plan", epoch: int, i: int) -> tuple[Any, ...]:
        rows, settings = plan.rows[i], self._settings
        x = self._train.x[rows]
        if epoch <= settings.epochs - settings.clean_epochs and _moves(settings):
            x = bend(x, settings, np.random.default_rng((settings.seed, epoch, i)))
        shared = devices.shares((x, known(self._train.y[rows]), plan.present[i]))
        return *shared, *devices.copies((plan.numbers[i], plan.rates[i]))

    def _compile(self, devices: "_Devices") -> Callable[..., Any]:
        import jax

        state = devices.copies((self._weights, self._averages, self._moments))
        totals = devices.copies(np.zeros(2, np.float32))
        with ThreadPoolExecutor(1) as thread:
            example = next(self._feed(devices, thread))
        step = _step_function(self._spec, self._optimizer, self._settings, devices)
        lowered = jax.jit(step, donate_argnums=(0, 1, 2, 3)).lower(*state, totals, *example)
        compiled: Callable[..., Any] = compile_program(lowered)
        return compiled

    def _score(self, devices: "_Devices") -> tuple[float | None, float | None]:
        """Mean loss and accuracy of the averaged weights on the validation rows."""
        held = self._validation
        if held is None:
            return None, None
        statistics = self._statistics(self._averages)
        outputs = answers_of(self._spec, self._averages, statistics, held.x, devices)
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
    return bool(settings.shift_px) or is_bending(settings)


class _Plan(NamedTuple):
    """The chance of one epoch, by step and row.

    Attributes:
      rows: Which row, int32 (n_steps, batch_size).
      present: What it weighs, float32; 0 where the last batch is filled up.
      numbers: A number for each step that no other step of the fit has, uint32 (n_steps,).
      rates: The learning rate of each step, float32 (n_steps,).
    """

    rows: NDArray[np.int32]
    present: NDArray[np.float32]
    numbers: NDArray[np.uint32]
    rates: NDArray[np.float32]


def _plan(settings: Settings, epoch: int, train: Examples) -> _Plan:
    order = np.random.default_rng((settings.seed, epoch)).permutation(len(train.y))
    rows, present = batches(order, settings.batch_size)
    if train.weight is not None:
        present *= train.weight[rows]
    # Rows that fill up the last batch weigh nothing, but batch normalisation sees them.
    n_more = rows.size - len(order)
    rows.flat[len(order) :] = np.resize(order, n_more)
    steps = (epoch - 1) * len(rows) + np.arange(len(rows))
    rates = learning_rate(settings, steps, len(rows)).astype(np.float32)
    return _Plan(rows, present, steps.astype(np.uint32), rates)


class _Devices(NamedTuple):
    """The devices that share a batch."""

    mesh: Any

    @classmethod
    def of(cls, batch_size: int) -> "_Devices":
        """As many as there are, with an equal share for each that is not too small."""
        import jax

        found = jax.devices()
        most = max(1, min(len(found), batch_size // SHARE))
        n = next(n for n in range(most, 0, -1) if batch_size % n == 0)
        return cls(jax.sharding.Mesh(np.array(found[:n]), ("batch",)))

    def shares(self, arrays: Any) -> Any:
        """Each array cut along its first axis, a part on each device."""
        return self._put(arrays, "batch")

    def copies(self, arrays: Any) -> Any:
        """Each array whole on every device."""
        return self._put(arrays)

    def _put(self, arrays: Any, *axes: str) -> Any:
        import jax

        spec = jax.sharding.PartitionSpec(*axes)  # type: ignore[no-untyped-call]
        return jax.device_put(arrays, jax.sharding.NamedSharding(self.mesh, spec))


def _step_function(
    spec: Sequence[Convolution], optimizer: Any, settings: Settings, devices: _Devices
) -> Callable[..., Any]:
    """(weights, averages, moments, totals, x, y, present, number, rate) -> the first four."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    rate_at = [variable is optimizer.learning_rate for variable in optimizer.variables].index(True)
    start = jax.random.key(settings.seed)

    def loss_of(weights: Any, x: Any, y: Any, present: Any, key: Any) -> Any:
        outputs, _ = forward(spec, weights, x, dropout=settings.dropout, key=key)
        losses = losses_of(outputs, y, settings.label_smoothing)
        return jnp.sum(losses * present), totals_of(outputs, y, present)

    def step(
        weights: Any, averages: Any, moments: Any, totals: Any,
        x: Any, y: Any, present: Any, number: Any, rate: Any,
    ) -> Any:  # fmt: skip
        key = jax.random.fold_in(jax.random.fold_in(start, number), jax.lax.axis_index("batch"))
        gradients, own = jax.grad(loss_of, has_aux=True)(weights, x, y, present, key)
        gradients, own, weight = jax.lax.psum(  # type: ignore[no-untyped-call]
            (gradients, own, jnp.sum(present)), "batch"
        )
        gradients = [g / jnp.maximum(weight, TINY) for g in gradients]
        moments = [*moments[:rate_at], rate, *moments[rate_at + 1 :]]
        weights, moments = optimizer.stateless_apply(moments, gradients, weights)
        averages = (
            averaged(averages, weights, settings.average, number) if settings.average else weights
        )
        return list(weights), list(averages), list(moments), totals + own

    whole, part = (PartitionSpec(*axes) for axes in ((), ("batch",)))  # type: ignore[no-untyped-call]
    return jax.shard_map(
        step,
        mesh=devices.mesh,
        in_specs=(whole, whole, whole, whole, part, part, part, whole, whole),
        out_specs=(whole, whole, whole, whole),
        check_vma=False,
    )


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
    x = x.reshape(len(x), -1)
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


@functools.cache
def _answer(spec: tuple[Convolution, ...]) -> Callable[..., Any]:
    import jax

    return jax.jit(lambda weights, statistics, x: forward(spec, weights, x, statistics)[0])


@functools.cache
def _measure(spec: tuple[Convolution, ...]) -> Callable[..., Any]:
    import jax

    return jax.jit(lambda weights, x: forward(spec, weights, x)[1])


def answers_of(
    spec: tuple[Convolution, ...],
    weights: list[Any],
    statistics: list[Any],
    x: NDArray[Any],
    devices: _Devices,
) -> NDArray[np.float32]:
    """Logits (n, n_labels), a part of the rows after the other."""
    weights, statistics = devices.copies((weights, statistics))
    found = []
    for start in range(0, len(x), PART):
        part = x[start : start + PART]
        filled = np.zeros((PART, *x.shape[1:]), x.dtype)  # one program for all numbers of rows
        filled[: len(part)] = part
        answers = _answer(spec)(weights, statistics, devices.shares(filled))
        found.append(np.asarray(answers)[: len(part)])
    return np.concatenate(found)


def statistics_of(
    spec: tuple[Convolution, ...], weights: list[Any], x: NDArray[Any]
) -> list[NDArray[np.float32]]:
    """Mean and variance behind each convolution over rows (n, ...), in turn.

    Rows are normalised in parts of their own on the way, of about 512: as while training.
    """
    n_parts = -(-len(x) // PART)
    size = len(x) // n_parts
    parts = [_measure(spec)(weights, x[i * size : (i + 1) * size]) for i in range(n_parts)]
    found = []
    for mean, variance in zip(*[iter(zip(*parts, strict=True))] * 2, strict=True):
        means, variances = np.stack(mean), np.stack(variance)
        centre = means.mean(axis=0)
        found += [centre, (variances + means**2).mean(axis=0) - centre**2]
    return [value.astype(np.float32) for value in found]
