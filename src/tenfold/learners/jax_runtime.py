"""Configure JAX before it starts, check its compiler before each training, and cache compiled
programs.

JAX is imported inside functions, so that predicting never imports it.
"""

import functools
import hashlib
import importlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

import numpy as np

from tenfold.core.errors import BackendError
from tenfold.core.systems import usable_cores

FUSIONS = "xla_cpu_experimental_ynn_fusion_type"

PRODUCTS_ALONE = f"--{FUSIONS}=individual_dot"
"""Makes XLA use the library YNNPACK only for single matrix products on a CPU.

By default XLA also uses it for convolutions, and for reductions together with the products and sums
before them. From jaxlib 0.10.2 on, some of these reductions are computed wrongly or crash the
process (jax-ml/jax#39103, #39257, #40412). How much time the library saves for single products is
described in docs/guide/training.md.
"""

FLAG_SINCE, FLAG_BEFORE = (0, 10), (0, 13)
"""Releases of jaxlib that are known to have the flag (0.10.0 to 0.12.0.1 were tried). XLA aborts
the process if it does not know a flag."""


SIDE = 20
"""A cube of 8,000 numbers. Half as many are enough to show the fault of jaxlib 0.10.2 to 0.12.0.1:
with 16 x 16 x 16 numbers every sum is wrong, and with 15 x 16 x 16 none is."""

QUICK: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}
"""Switches off LLVM's passes for this one program, which then compiles in a third of the time. The
fault is in the fusion before these passes, so that it also occurs without them."""

MAX_PROGRAMS = 32
"""Compiled programs, kept for the next fit of the same shapes."""

_programs: dict[bytes, Any] = {}


@functools.cache
def configure() -> None:
    """Configure JAX, once in a process and before it starts. The user's own settings take
    precedence.

    - `XLA_FLAGS` in the environment switches the faulty fusions off. Child processes inherit it.
    - JAX gets one device for each core, unless `JAX_NUM_CPU_DEVICES` is set. XLA's convolutions use
      little more than one core; with a device for each, a step of the `cnn` takes 36 instead of 73
      ms (two cores, batch 256).

    If JAX is already running, both come too late and have no effect. `check_compiler` then checks
    whether its results are right.
    """
    _give_products_alone()
    import jax

    if not os.environ.get("JAX_NUM_CPU_DEVICES"):
        with suppress(RuntimeError):  # JAX is already running
            jax.config.update("jax_num_cpu_devices", usable_cores())  # type: ignore[no-untyped-call]


def _give_products_alone() -> None:
    given = os.environ.get("XLA_FLAGS", "")
    is_file = given.strip() and not given.lstrip().startswith("-")  # then it is the name of a file
    release = tuple(int(part) for part in metadata.version("jaxlib").split(".")[:2])
    if FUSIONS not in given and not is_file and FLAG_SINCE <= release < FLAG_BEFORE:
        os.environ["XLA_FLAGS"] = f"{PRODUCTS_ALONE} {given}".strip()


@functools.cache
def check_compiler() -> None:
    """Compile a sum with a known result, once in a process, and check the result.

    The program computes a product with a constant matrix, multiplies it and sums it up. XLA fuses
    all of it into one reduction. With every jaxlib from 0.10.2 to 0.12.0.1, the result is wrong on
    a CPU whenever the sum of https://github.com/jax-ml/jax/issues/39103 is. The numbers are small
    integers, so that each step is exact on any device.

    Raises:
      BackendError: The result is wrong, so that trainings cannot be trusted.
    """
    configure()
    import jax
    import jax.numpy as jnp

    cube = (np.arange(SIDE**3) % 4).astype(np.float32).reshape(SIDE, SIDE, SIDE)
    program = jax.jit(lambda x: jnp.sum((x @ jnp.full_like(x, 2)) * x, axis=-1))
    found = np.asarray(program.lower(cube).compile(compiler_options=QUICK)(cube))
    expected = 2 * cube.sum(axis=-1) ** 2
    if n_wrong := int((found != expected).sum()):
        raise BackendError(
            "E913",
            "JAX's compiler computes wrong sums on this machine",
            expected=f"{expected.size} exact sums of small integers",
            fix=f"Set XLA_FLAGS={PRODUCTS_ALONE} before JAX starts, or install another jaxlib",
            n_wrong=n_wrong,
            jaxlib=metadata.version("jaxlib"),
            platform=jax.default_backend(),
        )


def compile_program(lowered: Any, device: str = "") -> Any:
    """Compile the program, unless this process has done so before. With few rows, a fit spends most
    of its time on compilation.

    The key of the cache is the whole text of the program, including constants, with what the text
    does not contain: the `device` for which it was lowered, and its arguments (the text omits
    unused ones).
    """
    known_by = f"{device}\n{lowered.in_tree}\n{lowered.args_info}\n{lowered.as_text()}"
    key = hashlib.sha256(known_by.encode()).digest()
    compiled = _programs.pop(key, None) or lowered.compile()
    _programs[key] = compiled  # the most recently used one is last
    while len(_programs) > MAX_PROGRAMS:
        _programs.pop(next(iter(_programs)), None)
    return compiled


def devices() -> list[str]:
    """The devices of JAX, each as its platform and kind: `cpu`, or `cuda NVIDIA L4`."""
    try:
        configure()
        import jax

        found = [(device.platform, device.device_kind) for device in jax.devices()]
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BackendError("E914", "JAX cannot start", reason=reason) from error
    return [platform if kind == platform else f"{platform} {kind}" for platform, kind in found]


def import_ahead() -> None:
    """Start importing JAX in a thread while the data are read."""
    # Not a daemon: C++ aborts a process that ends in the middle of this import (observed).
    threading.Thread(target=import_all, args=(("jax",),)).start()


def import_all(names: Sequence[str]) -> None:
    """Import modules in order. If one is missing, the code that needs it reports that."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
