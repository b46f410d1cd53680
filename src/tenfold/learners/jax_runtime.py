"""JAX as networks need it: set up before it starts, imported while something else is waited for.

JAX is imported inside functions: whoever only predicts never loads it.
"""

import functools
import importlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata

from tenfold.core.processes import usable_cores

FUSIONS = "xla_cpu_experimental_ynn_fusion_type"

PRODUCTS_ALONE = f"--{FUSIONS}=individual_dot"
"""Of what XLA gives to the library YNNPACK on a CPU, single matrix products alone.

By itself it gives convolutions too, and reductions with the products and sums in front of them.
From jaxlib 0.10.2 on some reductions are computed wrongly or end the process (jax-ml/jax#39103,
#39257, #40412). What single products are worth to an epoch: docs/guide/training.md.
"""

FLAG_SINCE, FLAG_BEFORE = (0, 10), (0, 13)
"""Releases of jaxlib that are known to have the flag (0.10.0 to 0.12.0.1 were tried): XLA ends a
process whose flags it does not know."""


@functools.cache
def configure() -> None:
    """Set JAX up, once in a process and before it starts; what the user chose stays.

    - `XLA_FLAGS` in the environment turns the faulty fusions off. Processes that this one starts
      inherit it.
    - JAX gets one device for each core, unless `JAX_NUM_CPU_DEVICES` is set. XLA's convolutions use
      little more than one core; with a device for each, a step of the `cnn` takes 36 instead of
      73 ms (two cores, batch 256).

    Where JAX runs already both come too late and change nothing; `check_compiler` then looks
    whether what it computes is right.
    """
    _give_products_alone()
    import jax

    if not os.environ.get("JAX_NUM_CPU_DEVICES"):
        with suppress(RuntimeError):  # JAX runs already, with what it has
            jax.config.update("jax_num_cpu_devices", usable_cores())  # type: ignore[no-untyped-call]


def _give_products_alone() -> None:
    given = os.environ.get("XLA_FLAGS", "")
    is_file = given.strip() and not given.lstrip().startswith("-")  # then it is the name of one
    release = tuple(int(part) for part in metadata.version("jaxlib").split(".")[:2])
    if FUSIONS not in given and not is_file and FLAG_SINCE <= release < FLAG_BEFORE:
        os.environ["XLA_FLAGS"] = f"{PRODUCTS_ALONE} {given}".strip()


def import_ahead() -> None:
    """Start to import JAX while the data are read, in a thread."""
    # No daemon: a process that ends in the middle of this import is aborted by C++ (seen).
    threading.Thread(target=import_all, args=(("jax",),)).start()


def import_all(names: Sequence[str]) -> None:
    """Import modules in order; those that are not there are met by whoever needs them."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
