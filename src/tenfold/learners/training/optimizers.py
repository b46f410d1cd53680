"""Plain gradient descent, and Adam as Keras has it: a test holds both to Keras' own."""

from typing import Any

import numpy as np

from tenfold.core.layers import Parameters
from tenfold.core.settings import Settings

MEAN_KEPT, SQUARE_KEPT, EPSILON = 0.9, 0.999, 1e-7
"""Of Adam (Kingma and Ba 2015, arXiv:1412.6980), with the epsilon of Keras."""


def first_moments(settings: Settings, parameters: Parameters) -> dict[str, Any]:
    """What the optimiser remembers from step to step, before the first one: Adam running means of
    the gradients and of their squares, plain gradient descent nothing."""
    if settings.optimizer == "sgd":
        return {}
    zeros = {
        layer: {name: np.zeros_like(array) for name, array in arrays.items()}
        for layer, arrays in parameters.items()
    }
    return {"mean": zeros, "square": zeros}


def updated(
    settings: Settings, parameters: Any, moments: Any, gradients: Any, number: Any, rate: Any
) -> tuple[Any, Any]:
    """Parameters and moments after a step.

    Args:
      settings: The optimiser, and the `weight_decay` that pulls kernels towards 0.
      parameters, moments, gradients: Before the step.
      number: Of the step, counted from 0 over the whole fit.
      rate: Its learning rate.
    """
    import jax
    import jax.numpy as jnp

    if settings.weight_decay:
        decay = jnp.float32(settings.weight_decay)
        parameters = {
            layer: {
                name: array - array * decay * rate if name == "kernel" else array
                for name, array in arrays.items()
            }
            for layer, arrays in parameters.items()
        }
    if settings.optimizer == "sgd":
        return jax.tree.map(lambda w, g: w - g * rate, parameters, gradients), moments
    n = jnp.float32(number + 1)
    root = jnp.sqrt(1 - jnp.power(jnp.float32(SQUARE_KEPT), n))
    rate = rate * root / (1 - jnp.power(jnp.float32(MEAN_KEPT), n))
    mean = jax.tree.map(lambda m, g: m + (g - m) * (1 - MEAN_KEPT), moments["mean"], gradients)
    square = jax.tree.map(
        lambda v, g: v + (jnp.square(g) - v) * (1 - SQUARE_KEPT), moments["square"], gradients
    )
    parameters = jax.tree.map(
        lambda w, m, v: w - m * rate / (jnp.sqrt(v) + EPSILON), parameters, mean, square
    )
    return parameters, {"mean": mean, "square": square}
