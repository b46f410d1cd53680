"""The layers of a network, described once for training, ONNX and Keras.

Kinds, settings and arrays have the names and the meaning of Keras, and a test compares each kind
with Keras' own. A layer takes the output of the layer before it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]
"""The shape of one example, without the axis of the examples."""

Parameters = Mapping[str, Mapping[str, Any]]
"""The arrays of a network by layer and name, as in `parameters["hidden_1"]["kernel"]`. They are
NumPy arrays, or are traced by JAX."""

MOVING = ("moving_mean", "moving_variance")
"""Arrays that are measured on rows. All others are trained."""


@dataclass(frozen=True)
class Layer:
    """The base class of all kinds: a name that is unique in its network."""

    name: str

    @property
    def kind(self) -> str:
        """The kind of layer, for people."""
        return type(self).__name__

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the output for an example of this shape."""
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """The shapes of the arrays for examples of this shape."""
        return {}


@dataclass(frozen=True)
class Rescaling(Layer):
    """Multiplies every value by `scale`."""

    scale: float


@dataclass(frozen=True)
class Reshape(Layer):
    """Changes the shape: a grey picture gets the axis of its only channel."""

    target_shape: Shape

    def output_shape(self, shape: Shape) -> Shape:
        return self.target_shape


@dataclass(frozen=True)
class Permute(Layer):
    """Changes the order of the axes. The axis of the examples is 0 and stays."""

    dims: Shape

    def output_shape(self, shape: Shape) -> Shape:
        return tuple(shape[axis - 1] for axis in self.dims)


@dataclass(frozen=True)
class Flatten(Layer):
    """Puts all values of an example into one axis."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@dataclass(frozen=True)
class Dense(Layer):
    """x @ kernel (inputs, units) + bias (units,), then the activation: linear or relu."""

    units: int
    activation: str = "linear"

    @property
    def kind(self) -> str:
        return "Dense" if self.activation == "linear" else f"Dense ({self.activation})"

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return {"kernel": (*shape, self.units), "bias": (self.units,)}


@dataclass(frozen=True)
class Conv2D(Layer):
    """A convolution over (height, width, channels), padded as in `same_padding`.

    The kernel is (height, width, channels, filters), the bias (filters,).
    """

    filters: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    use_bias: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        return (*strided(shape, self.strides), self.filters)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        bias = {"bias": (self.filters,)} if self.use_bias else {}
        return {"kernel": (*self.kernel_size, shape[-1], self.filters), **bias}


@dataclass(frozen=True)
class MaxPooling2D(Layer):
    """The maximum of each 2x2 pixels. If a side is odd, its last pixel is a window of its own."""

    def output_shape(self, shape: Shape) -> Shape:
        return (*strided(shape, (2, 2)), shape[-1])


@dataclass(frozen=True)
class BatchNormalization(Layer):
    """Subtracts the mean of each channel, divides by its deviation, and adds beta (Ioffe and
    Szegedy 2015, arXiv:1502.03167).

    During training, mean and variance are those of the current rows. There is no scale gamma, which
    would only multiply by a positive number and therefore commutes with a maximum.
    """

    epsilon: float = 1e-3

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("beta", *MOVING), shape[-1:])


@dataclass(frozen=True)
class ReLU(Layer):
    """Replaces negative values by 0."""


@dataclass(frozen=True)
class Dropout(Layer):
    """During training, sets a share `rate` of the values to 0 and scales up the others."""

    rate: float


@dataclass(frozen=True)
class Softmax(Layer):
    """Converts logits to probabilities."""


class Place(NamedTuple):
    """A layer, and the shapes of its input and output."""

    layer: Layer
    takes: Shape
    gives: Shape

    @property
    def n_parameters(self) -> int:
        """Number of values in the layer's arrays, including measured ones."""
        return sum(map(math.prod, self.layer.parameter_shapes(self.takes).values()))


@dataclass(frozen=True)
class Architecture:
    """The layers of a network in order, from an example to the output.

    Attributes:
      input_shape: The shape of an example: (height, width) or (height, width, channels) for
        pictures with values from 0 to 255; (d,) for features.
      layers: For classification, the last layer is a `Softmax`; for regression, a `Dense` with one
        unit.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]

    def places(self) -> Iterator[Place]:
        """Each layer with its shapes."""
        shape = self.input_shape
        for layer in self.layers:
            given = layer.output_shape(shape)
            yield Place(layer, shape, given)
            shape = given

    @property
    def output(self) -> Layer:
        """The output layer: the last dense one."""
        return next(layer for layer in reversed(self.layers) if isinstance(layer, Dense))

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the output layer for a row: logits, or one value."""
        return math.prod(self.output.output_shape(self.input_shape))

    @property
    def to_logits(self) -> tuple[Layer, ...]:
        """The layers up to the output layer, which computes logits or a value."""
        return self.layers[: self.layers.index(self.output) + 1]

    @property
    def to_hidden(self) -> tuple[Layer, ...]:
        """The layers before the output layer."""
        return self.layers[: self.layers.index(self.output)]

    def n_parameters(self) -> int:
        """Number of values in all arrays, including measured ones."""
        return sum(place.n_parameters for place in self.places())


def strided(shape: Shape, strides: Shape) -> Shape:
    """The number of windows in each direction, for (height, width, ...) padded as `same`."""
    return tuple(-(-side // stride) for side, stride in zip(shape, strides, strict=False))


def same_padding(side: int, window: int, stride: int) -> tuple[int, int]:
    """Keras' padding `same` of a side, before and after. An odd pixel comes after."""
    total = max((-(-side // stride) - 1) * stride + window - side, 0)
    return total // 2, total - total // 2


def trained(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """The arrays that training updates step by step, without those that it measures."""
    return {
        layer: {name: array for name, array in arrays.items() if name not in MOVING}
        for layer, arrays in parameters.items()
    }


def without_normalization(
    architecture: Architecture, parameters: Parameters
) -> tuple[Architecture, Parameters]:
    """Merge each batch normalisation into the convolution before it. The function is the same.

    It multiplies by a positive number, so that a maximum may be between them. Sums are computed in
    float64. Layers that only have an effect during training are removed, too.
    """
    layers, arrays, convolution = list[Layer](), dict(parameters), None
    for layer in architecture.layers:
        if isinstance(layer, Conv2D):
            convolution = replace(layer, use_bias=True)
            layers.append(convolution)
        elif isinstance(layer, BatchNormalization) and convolution is not None:
            kernel = arrays[convolution.name]["kernel"]
            arrays[convolution.name] = _with_bias(kernel, arrays.pop(layer.name), layer.epsilon)
        elif not isinstance(layer, Dropout):
            layers.append(layer)
    return Architecture(architecture.input_shape, tuple(layers)), arrays


def _with_bias(kernel: Any, normal: Mapping[str, Any], epsilon: float) -> dict[str, Any]:
    mean, variance, beta = (
        np.asarray(normal[name], np.float64) for name in ("moving_mean", "moving_variance", "beta")
    )
    factor = 1 / np.sqrt(variance + epsilon)
    return {"kernel": np.asarray(kernel, np.float64) * factor, "bias": beta - mean * factor}
