"""The processes that train a network: this one alone, or several that share each batch.

If there are several, each has all rows and the same parameters and takes the same number of steps.
In each step, one collective operation adds up the gradients, with one device of each process.
Devices of the same process never take part in the same collective.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tenfold.learners.training.steps import Score, summed_trees

START_SECONDS = 300
"""How many seconds a process waits for the others to start."""

T = TypeVar("T")


def join(rank: int, n_ranks: int, port: int) -> None:
    """Make this process one of a group on this computer, before JAX computes anything. Rank 0
    listens on a free TCP port of the loopback interface, to which the others connect."""
    address = f"127.0.0.1:{port}"
    jax.distributed.initialize(
        address,
        n_ranks,
        rank,
        coordinator_bind_address=address,
        cluster_detection_method="deactivate",
        initialization_timeout=START_SECONDS,
    )


class Alone:
    """The operations of a process that trains alone. `Ranks` provides the same for several
    processes."""

    def compile_epoch(self, epoch: Callable[..., Any]) -> Any:
        """An epoch of dense layers, (state, rows, plan) -> state, to be lowered."""
        return jax.jit(epoch)

    def put(self, arrays: Any) -> Any:
        """Put arrays that every step reads on the devices."""
        return jax.device_put(arrays)

    def own(self, shares: Sequence[T]) -> Sequence[T]:
        """The shares of a batch that this process computes."""
        return shares

    def n_parts(self, n_shares: int) -> int:
        """The number of parts that `summed` returns for a batch with this many shares."""
        return n_shares

    def summed(self, found: list[Any], nothing: Any) -> list[Any]:
        """The results of all shares of a batch, in parts that remain to be added up.

        `found` contains a tree of arrays for each own share, on its device; `nothing` is one of
        zeros.
        """
        return found

    def local(self, arrays: Any) -> Any:
        """The result of an epoch, for programs of this process alone."""
        return arrays

    def agreed(self, score: Score) -> Score:
        """The score that decides when training stops early."""
        return score


class Ranks(Alone):
    """The joint operations of several processes. Each must call the same ones in the same order.

    The compiled epoch of dense layers is the same program, of which XLA divides the batches and
    adds up the gradients in each step. For convolutions, the shares of a batch are divided among
    the processes, and are normalised separately, as in one process. Therefore only the order in
    which gradients are added changes.
    """

    def __init__(self) -> None:
        self._rank, self._n = jax.process_index(), jax.process_count()
        first = [
            min((one for one in jax.devices() if one.process_index == i), key=lambda one: one.id)
            for i in range(self._n)
        ]
        mesh = Mesh(np.array(first), ("rank",))
        self._own = first[self._rank]
        self._together = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
        self._columns = NamedSharding(mesh, PartitionSpec(None, "rank"))  # type: ignore[no-untyped-call]
        self._rows = NamedSharding(mesh, PartitionSpec("rank"))  # type: ignore[no-untyped-call]
        self._sum = jax.jit(lambda parts: parts.sum(axis=0), out_shardings=self._together)
        self._flat = jax.jit(lambda trees: ravel_pytree(summed_trees(trees))[0])
        self._unflat: Any = None

    def compile_epoch(self, epoch: Callable[..., Any]) -> Any:
        def shared(state: Any, resident: Any, plan: Any) -> Any:
            def parted(array: Any) -> Any:
                return jax.lax.with_sharding_constraint(array, self._columns)  # type: ignore[no-untyped-call]

            corners = None if plan.corners is None else parted(plan.corners)
            rows, present = parted(plan.rows), parted(plan.present)
            return epoch(
                state, resident, plan._replace(rows=rows, present=present, corners=corners)
            )

        return jax.jit(shared, in_shardings=self._together, out_shardings=self._together)

    def put(self, arrays: Any) -> Any:
        return jax.device_put(arrays, self._together)

    def own(self, shares: Sequence[T]) -> Sequence[T]:
        # Neighbouring shares belong together, because they are on different devices.
        n = len(shares)
        return shares[n * self._rank // self._n : n * (self._rank + 1) // self._n]

    def n_parts(self, n_shares: int) -> int:
        return 1

    def summed(self, found: list[Any], nothing: Any) -> list[Any]:
        if self._unflat is None:
            self._unflat = jax.jit(ravel_pytree(nothing)[1])
        flat = self._flat([nothing, *jax.device_put(found, self._own)])
        return [self._unflat(self._total(flat))]

    def _total(self, values: Any) -> Any:
        """The sum over all processes of arrays (n,), on the first device of this one."""
        part = jax.device_put(values, self._own)[None]
        shape = (self._n, part.shape[1])
        parts = jax.make_array_from_single_device_arrays(shape, self._rows, [part])
        return self._sum(parts).addressable_data(0)

    def local(self, arrays: Any) -> Any:
        return jax.tree.map(np.asarray, arrays)

    def agreed(self, score: Score) -> Score:
        """The loss and accuracy of rank 0. Those of two processors may differ in the last bits, and
        early stopping would then happen at different epochs."""
        bits = np.array([math.nan if value is None else value for value in score]).view(np.int32)
        first = np.asarray(self._total(bits if self._rank == 0 else np.zeros_like(bits)))
        loss, accuracy = first.view(np.float64).tolist()
        return None if score[0] is None else loss, None if score[1] is None else accuracy
