"""Compute the layers of `core/layers` in JAX."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from tenfold.core import layers as nn
from tenfold.core.layers import Parameters

Statistics = dict[str, dict[str, Any]]
"""Mean and variance of each batch normalisation, by layer and name, as in `Parameters`."""


def forward(
    layers: Sequence[nn.Layer], parameters: Parameters, x: Any, key: Any = None
) -> tuple[Any, Statistics]:
    """Compute layers for rows (n, ...), float32, and the means and variances of these rows.

    A batch normalisation without mean and variance in `parameters` uses those of these rows. `key`
    determines which values dropout removes. None: there is no dropout.
    """
    x, statistics = x.astype(jnp.float32), Statistics()
    for i, layer in enumerate(layers):
        own = parameters.get(layer.name, {})
        if isinstance(layer, nn.BatchNormalization):
            if "moving_mean" not in own:
                statistics[layer.name] = _statistics_of(x)
            x = _normalized(x, {**own, **statistics.get(layer.name, {})}, layer.epsilon)
        elif isinstance(layer, nn.Dropout):
            if key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - layer.rate, x.shape)
                x = jnp.where(kept, x / (1 - layer.rate), 0)
        else:
            x = COMPUTE[type(layer)](layer, own, x)
    return x, statistics


def _statistics_of(x: Any) -> dict[str, Any]:
    mean = jnp.mean(x, axis=(0, 1, 2))
    variance = jnp.maximum(jnp.mean(x * x, axis=(0, 1, 2)) - mean * mean, 0)
    return {"moving_mean": mean, "moving_variance": variance}


def _normalized(x: Any, own: Mapping[str, Any], epsilon: float) -> Any:
    factor = jax.lax.rsqrt(own["moving_variance"] + epsilon)
    return x * factor + (own["beta"] - own["moving_mean"] * factor)


def _dense(layer: nn.Dense, own: Mapping[str, Any], x: Any) -> Any:
    x = x @ own["kernel"] + own["bias"]
    return jax.nn.relu(x) if layer.activation == "relu" else x


def _convolution(layer: nn.Conv2D, own: Mapping[str, Any], x: Any) -> Any:
    x = jax.lax.conv_general_dilated(
        x, own["kernel"], layer.strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return x + own["bias"] if layer.use_bias else x


def _pool(layer: nn.MaxPooling2D, own: Mapping[str, Any], x: Any) -> Any:
    """A maximum of slices, because XLA's own pooling has a slow gradient (48 s per epoch of the
    `cnn` instead of 33 to 37)."""
    odd = [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)]
    if any(after for _, after in odd):
        x = jnp.pad(x, odd, constant_values=-jnp.inf)
    top, bottom = x[:, ::2], x[:, 1::2]
    return jnp.maximum(
        jnp.maximum(top[:, :, ::2], top[:, :, 1::2]),
        jnp.maximum(bottom[:, :, ::2], bottom[:, :, 1::2]),
    )


COMPUTE: dict[type[nn.Layer], Callable[[Any, Mapping[str, Any], Any], Any]] = {
    nn.Rescaling: lambda layer, own, x: x * layer.scale,
    nn.Reshape: lambda layer, own, x: x.reshape(len(x), *layer.target_shape),
    nn.Permute: lambda layer, own, x: x.transpose(0, *layer.dims),
    nn.Flatten: lambda layer, own, x: x.reshape(len(x), -1),
    nn.Dense: _dense,
    nn.Conv2D: _convolution,
    nn.MaxPooling2D: _pool,
    nn.ReLU: lambda layer, own, x: jax.nn.relu(x),
    nn.Softmax: lambda layer, own, x: jax.nn.softmax(x),
}
"""The computation of each kind of layer from its arrays and its input."""
