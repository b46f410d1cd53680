"""The layers of the learners `network` and `cnn`, and their initial weights."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core import layers as nn
from tenfold.core.errors import SettingsError
from tenfold.core.layers import Architecture, Parameters, Shape
from tenfold.core.records import LayerRow
from tenfold.core.settings import Settings

SMALL = 20
"""If the longer side of a picture has at least this many pixels, the first convolution has stride
2."""

LAST_SIDE = 4
"""Maximum longer side after the last pooling, in pixels."""

MEMORY = 1 << 27
"""Maximum number of bytes of the largest outputs of a layer that are computed at a time."""


def architecture_of(settings: Settings, input_shape: Shape, n_labels: int | None) -> Architecture:
    """The layers for the settings of a `network` or a `cnn`."""
    if settings.learner == "cnn" and n_labels is not None:
        return convolutional_network(input_shape, n_labels, settings.width, settings.dropout)
    return dense_network(input_shape, settings.hidden, n_labels, settings.dropout)


def dense_network(
    input_shape: Shape, hidden: Sequence[int], n_labels: int | None, dropout: float = 0.0
) -> Architecture:
    """Hidden layers with ReLU, then one output per label and softmax.

    Without labels there is one linear output named `value`. Pictures of shape (28, 28) or (28, 28,
    3), with values from 0 to 255, are scaled to 0..1; features (d,) are not. Without hidden layers
    this is softmax or linear regression. `dropout` is the share of each hidden layer's outputs that
    is set to 0 during training.
    """
    layers = list[nn.Layer]()
    if len(input_shape) >= 2:
        layers += [nn.Rescaling("scale", 1 / 255), nn.Flatten("flatten")]
    for i, units in enumerate(hidden, 1):
        layers.append(nn.Dense(f"hidden_{i}", units, "relu"))
        if dropout:
            layers.append(nn.Dropout(f"dropout_{i}", dropout))
    if n_labels is None:
        layers.append(nn.Dense("value", 1))
    else:
        layers += [nn.Dense("output", n_labels), nn.Softmax("probabilities")]
    return Architecture(input_shape, tuple(layers))


def convolutional_network(
    input_shape: Shape, n_labels: int, width: int = 32, dropout: float = 0.0
) -> Architecture:
    """Convolutions that halve a picture until a side has at most four pixels, then one output per
    label and softmax.

    Each convolution is followed by batch normalisation and ReLU; before these, every other one is
    pooled. The first one has 5x5 windows and stride 2, except for small pictures. The first two
    have `width` channels, and later ones two, three and at most four times as many. `dropout` is
    the share of the output layer's inputs that is set to 0 during training.

    Raises:
      SettingsError: A side is not between 8 and 256 pixels.
    """
    sides = input_shape[:2]
    if min(sides) < 8 or max(sides) > 256:
        raise SettingsError(
            "E630",
            "The learner cannot use pictures of this size",
            expected="sides of 8 to 256 pixels",
            fix="The learner 'network' takes any size",
            learner="cnn",
            height=sides[0],
            width=sides[1],
        )
    layers: list[nn.Layer] = [nn.Rescaling("scale", 1 / 255)]
    if len(input_shape) == 2:
        layers.append(nn.Reshape("channel", (*input_shape, 1)))
    for i, block in enumerate(_blocks(max(sides), width), 1):
        layers += block.layers(i)
    layers += [nn.Permute("channels_first", (3, 1, 2)), nn.Flatten("flatten")]  # the order of ONNX
    if dropout:
        layers.append(nn.Dropout("dropout", dropout))
    layers += [nn.Dense("output", n_labels), nn.Softmax("probabilities")]
    return Architecture(input_shape, tuple(layers))


class _Block(NamedTuple):
    """A convolution followed by batch normalisation and ReLU, with windows of `size` pixels and a
    stride of `stride` pixels. If it `is_pooled`, the maximum of each 2x2 pixels is passed on."""

    channels: int
    size: int = 3
    stride: int = 1
    is_pooled: bool = False

    def layers(self, i: int) -> list[nn.Layer]:
        size, strides = (self.size, self.size), (self.stride, self.stride)
        convolution = nn.Conv2D(f"convolution_{i}", self.channels, size, strides, use_bias=False)
        pool = [nn.MaxPooling2D(f"pool_{i}")] if self.is_pooled else []
        return [convolution, *pool, nn.BatchNormalization(f"normal_{i}"), nn.ReLU(f"relu_{i}")]


def _blocks(side: int, width: int) -> Iterator[_Block]:
    """The blocks for pictures whose longer side has this many pixels."""
    if side < SMALL:
        yield _Block(width)
    else:
        yield _Block(width, 5, 2, is_pooled=side > 64)
        side = -(-side // (4 if side > 64 else 2))
    yield _Block(width, is_pooled=True)
    side, times = -(-side // 2), 1
    while side > LAST_SIDE:
        times = min(times + 1, 4)
        yield _Block(times * width)
        yield _Block(times * width, is_pooled=True)
        side = -(-side // 2)
    yield _Block(min(times + 1, 4) * width)


def first_parameters(architecture: Architecture, seed: int) -> Parameters:
    """The initial arrays: random kernels, variances of 1, and zeros for all others. Each kernel has
    its own stream of random numbers. They are drawn by NumPy, because JAX would compile for 0.3 s
    for each shape."""
    seeds = iter(np.random.SeedSequence(seed).spawn(len(architecture.layers)))

    def first(layer: nn.Layer, name: str, shape: Shape) -> NDArray[np.float32]:
        if name == "kernel":
            draw = _glorot_uniform if isinstance(layer, nn.Dense) else _he_normal
            return draw(np.random.default_rng(next(seeds)), shape).astype(np.float32)
        return np.full(shape, name == "moving_variance", np.float32)

    return {
        layer.name: {name: first(layer, name, shape) for name, shape in shapes.items()}
        for layer, takes, _ in architecture.places()
        if (shapes := layer.parameter_shapes(takes))
    }


def _he_normal(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """Initial kernels of a convolution (He et al. 2015, arXiv:1502.01852, section 2.2)."""
    return rng.normal(0, math.sqrt(2 / math.prod(shape[:-1])), shape)


def _glorot_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """Initial kernels of a dense layer, as in Keras (Glorot and Bengio 2010, section 4.2.1)."""
    limit = math.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


def rows_at_once(architecture: Architecture) -> int | None:
    """Number of pictures whose largest convolution outputs fit into 128 MiB as float32, at least 1.
    None for a network without convolutions."""
    places = architecture.places()
    sizes = [math.prod(gives) for layer, _, gives in places if isinstance(layer, nn.Conv2D)]
    return max(1, MEMORY // (4 * max(sizes))) if sizes else None


def layer_table(architecture: Architecture) -> list[LayerRow]:
    """Name, kind, output shape and parameter count of each layer, first to last."""
    return [
        LayerRow(place.layer.name, place.layer.kind, (None, *place.gives), place.n_parameters)
        for place in architecture.places()
    ]
