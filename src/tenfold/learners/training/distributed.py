"""The same trainings shared by several processes: each has a part of every batch.

All of them call `join` first, hold all rows and the same weights, and take the same number of
steps. Gradients are added up by one collective for each step, each process with one device in it;
within a process devices never meet in a collective.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tenfold.core.settings import Settings
from tenfold.learners.training.convolution import ConvolutionTraining, _Batch, _devices, _Plan, _put
from tenfold.learners.training.dense import DenseTraining, _compile_score, _epoch_function, _filled
from tenfold.learners.training.steps import compile_program, known
from tenfold.learners.training.types import Examples

LOOPBACK = "127.0.0.1"

START_SECONDS = 300
"""How long a process waits for the others to start."""


def join(rank: int, n_ranks: int, port: int) -> None:
    """Make this process one of a group on this computer, before JAX computes anything.

    Args:
      rank: Its number, from 0 on; 0 holds the meeting point.
      n_ranks: How many there are.
      port: A free TCP port of the loopback.
    """
    import jax

    jax.distributed.initialize(
        f"{LOOPBACK}:{port}",
        n_ranks,
        rank,
        coordinator_bind_address=f"{LOOPBACK}:{port}",
        cluster_detection_method="deactivate",
        initialization_timeout=START_SECONDS,
    )


class Ranks:
    """What processes that joined do together. Each has to call the same, in the same order.

    Attributes:
      rank: The number of this one.
      n: How many there are.
      together: The sharding of arrays that all hold whole.
    """

    def __init__(self) -> None:
        import jax
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        self.rank, self.n = jax.process_index(), jax.process_count()
        first = [
            min((one for one in jax.devices() if one.process_index == i), key=lambda one: one.id)
            for i in range(self.n)
        ]
        mesh = Mesh(np.array(first), ("rank",))
        self.together = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
        self.columns = NamedSharding(mesh, PartitionSpec(None, "rank"))  # type: ignore[no-untyped-call]
        self._own = first[self.rank]
        self._rows = NamedSharding(mesh, PartitionSpec("rank"))  # type: ignore[no-untyped-call]
        self._sum = jax.jit(lambda parts: parts.sum(axis=0), out_shardings=self.together)

    def total(self, values: Any) -> Any:
        """The sum over all processes of arrays (n,), on the first device of this one."""
        import jax

        part = jax.device_put(values, self._own)[None]
        shape = (self.n, part.shape[1])
        parts = jax.make_array_from_single_device_arrays(shape, self._rows, [part])
        return self._sum(parts).addressable_data(0)

    def agreed(self, score: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
        """Rank 0's loss and accuracy: two processors may differ in the last bits, and patience
        would then end at different epochs."""
        bits = np.array([math.nan if value is None else value for value in score]).view(np.int32)
        first = np.asarray(self.total(bits if self.rank == 0 else np.zeros_like(bits)))
        loss, accuracy = first.view(np.float64).tolist()
        return None if score[0] is None else loss, None if score[1] is None else accuracy


class DistributedConvolution(ConvolutionTraining):
    """`ConvolutionTraining` with the shares of each batch dealt out to processes.

    Shares are normalised by themselves, as in one process, so nothing else changes than the order
    in which their gradients are added up.
    """

    def __init__(
        self, network: Any, train: Examples, validation: Examples | None, settings: Settings
    ) -> None:
        super().__init__(network, train, validation, settings)
        self._ranks = Ranks()
        self._flat, self._unflat, self._nothing = _flattened(self._weights)

    def _batch(self, devices: Sequence[Any], plan: _Plan, epoch: int, i: int) -> _Batch:
        batch = super()._batch(devices, plan, epoch, i)
        n, (rank, n_ranks) = len(batch.shares), (self._ranks.rank, self._ranks.n)
        self._n_shares = n
        # Neighbours, so that they lie on different devices.
        return batch._replace(shares=batch.shares[n * rank // n_ranks : n * (rank + 1) // n_ranks])

    def _met(self, found: list[Any]) -> list[Any]:
        total = self._unflat(self._ranks.total(self._flat(_put(found, _devices()[0]))))
        return [total, *[self._nothing] * (self._n_shares - 1)]  # as many as `update` adds up

    def _score(self) -> tuple[float | None, float | None]:
        return self._ranks.agreed(super()._score())


def _flattened(weights: list[Any]) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    """What a share finds (gradients, totals, weight) as one array (n,), summed over shares; and
    back; and what no share finds."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    nothing = [np.zeros_like(array) for array in weights], np.zeros(2, "f4"), np.zeros((), "f4")
    _, unflat = ravel_pytree(nothing)

    def flat(found: list[Any]) -> Any:
        return ravel_pytree(jax.tree.map(lambda *shares: sum(shares), nothing, *found))[0]

    return jax.jit(flat), jax.jit(unflat), jax.tree.map(jnp.asarray, nothing)


class DistributedDense(DenseTraining):
    """`DenseTraining` with the rows of each batch shared out to processes.

    The compiled epoch is the same program; XLA parts it and adds the gradients up in each step.
    """

    def __init__(
        self, network: Any, train: Examples, validation: Examples | None, settings: Settings
    ) -> None:
        super().__init__(network, train, validation, settings)
        self._ranks = Ranks()

    def _compile(
        self, threads: ThreadPoolExecutor, plan: Any
    ) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
        import jax

        ranks = self._ranks
        epoch = _epoch_function(self._layout, self._optimizer, self._settings)

        def shared(weights: Any, averages: Any, moments: Any, resident: Any, plan: Any) -> Any:
            def parted(array: Any) -> Any:
                return jax.lax.with_sharding_constraint(array, ranks.columns)  # type: ignore[no-untyped-call]

            corners = None if plan.corners is None else parted(plan.corners)
            plan = plan._replace(
                rows=parted(plan.rows), present=parted(plan.present), corners=corners
            )
            return epoch(weights, averages, moments, resident, plan)

        resident = (
            _filled(self._layout.rows(self._train.x), plan),
            _filled(known(self._train.y), plan),
        )
        resident = jax.device_put(resident, ranks.together)
        run = jax.jit(shared, in_shardings=ranks.together, out_shardings=ranks.together)
        compiled = compile_program(
            run.lower(self._weights, self._averages, self._moments, resident, plan)
        )
        score = _compile_score(self._layout, self._validation)
        return (
            compiled,
            lambda weights: ranks.agreed(score([np.asarray(array) for array in weights])),
            resident,
        )
