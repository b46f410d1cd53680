"""Whether what JAX compiles here is right: a small known sum before each training."""

import functools
from importlib import metadata

import numpy as np

from tenfold.core.errors import BackendError
from tenfold.learners.jax_runtime import PRODUCTS_ALONE, configure

SIDE = 20
"""A cube of 8,000 numbers, twice as many as the fault of jaxlib 0.10.2 to 0.12.0.1 needs to show:
16 x 16 x 16 are wrong in every sum, 15 x 16 x 16 in none."""

QUICK: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}
"""LLVM's passes off for this one program: it compiles in a third of the time. The fault lies in the
fusion before them and is the same with and without."""


@functools.cache
def check_compiler() -> None:
    """Compile a sum whose answer is known, once in a process, and compare.

    A product with a constant matrix, multiplied and added up: XLA fuses all of it into the
    reduction and computes it wrongly on a CPU, with every jaxlib from 0.10.2 to 0.12.0.1. Wherever
    the sum of https://github.com/jax-ml/jax/issues/39103 is wrong, which needs 32,769 rows, this
    one is too. The numbers are small and whole, so each step is exact on any device.

    Raises:
      BackendError: The compiler computes it wrongly: what it trains cannot be trusted.
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
            "JAX's compiler adds up wrongly here",
            expected=f"{expected.size} sums of small whole numbers, exact",
            fix=f"Set XLA_FLAGS={PRODUCTS_ALONE} before JAX starts, or take another jaxlib",
            n_wrong=n_wrong,
            jaxlib=metadata.version("jaxlib"),
            platform=jax.default_backend(),
        )
