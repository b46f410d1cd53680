"""The layers of a network, written down once: training, ONNX and Keras are all made from this.

Kinds, settings and arrays have the names and the meaning that Keras gives them, and a test holds
each kind to Keras' own. A layer takes what the layer before it gives.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]
"""Of one example, without the axis of the examples."""

Parameters = Mapping[str, Mapping[str, Any]]
"""The arrays of a network by layer and name, as `parameters["hidden_1"]["kernel"]`: NumPy's, or
traced ones of JAX."""

MOVING = ("moving_mean", "moving_variance")
"""Arrays that are measured on rows, where all others are trained."""


@dataclass(frozen=True)
class Layer:
    """What all kinds have: a name that is unique in its network."""

    name: str

    @property
    def kind(self) -> str:
        """What it is, for a reader."""
        return type(self).__name__

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of what it gives for an example of a shape."""
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """The shapes of its arrays for examples of a shape."""
        return {}


@dataclass(frozen=True)
class Rescaling(Layer):
    """Every value times `scale`."""

    scale: float


@dataclass(frozen=True)
class Reshape(Layer):
    """The same values in the same order: a grey picture gets the axis of its one channel."""

    target_shape: Shape

    def output_shape(self, shape: Shape) -> Shape:
        return self.target_shape


@dataclass(frozen=True)
class Permute(Layer):
    """Axes in another order; the axis of the examples is 0 and stays."""

    dims: Shape

    def output_shape(self, shape: Shape) -> Shape:
        return tuple(shape[axis - 1] for axis in self.dims)


@dataclass(frozen=True)
class Flatten(Layer):
    """All values of an example along one axis."""

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
    """Windows over (height, width, channels), padded as `same_padding` says.

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
    """The largest value of each 2x2 pixels; of an odd side the last pixel stands alone."""

    def output_shape(self, shape: Shape) -> Shape:
        return (*strided(shape, (2, 2)), shape[-1])


@dataclass(frozen=True)
class BatchNormalization(Layer):
    """Each channel less its mean, over its deviation, plus beta (Ioffe and Szegedy 2015,
    arXiv:1502.03167).

    While it is trained, mean and variance are those of the rows at hand. There is no factor beside
    beta: it only ever multiplies by more than 0, so it commutes with a maximum.
    """

    epsilon: float = 1e-3

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("beta", *MOVING), shape[-1:])


@dataclass(frozen=True)
class ReLU(Layer):
    """What is below 0 becomes 0."""


@dataclass(frozen=True)
class Dropout(Layer):
    """While it is trained, a share `rate` of the values is 0 and the others are larger for it."""

    rate: float


@dataclass(frozen=True)
class Softmax(Layer):
    """Logits to probabilities."""


class Place(NamedTuple):
    """A layer, and the shapes of what it takes and gives."""

    layer: Layer
    takes: Shape
    gives: Shape

    @property
    def n_parameters(self) -> int:
        """Numbers in the layer's arrays, measured ones included."""
        return sum(map(math.prod, self.layer.parameter_shapes(self.takes).values()))


@dataclass(frozen=True)
class Architecture:
    """The layers of a network in order, from one example of a shape to its answer.

    Attributes:
      input_shape: Shape of an example: (height, width) or (height, width, channels) for pictures,
        whose values go from 0 to 255; (d,) for features.
      layers: Of classification the last is a `Softmax`; of regression a `Dense` with one unit.
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
        """Numbers that the output layer gives for a row: logits, or one value."""
        return math.prod(self.output.output_shape(self.input_shape))

    @property
    def to_logits(self) -> tuple[Layer, ...]:
        """Layers up to the output layer, which gives logits or a value."""
        return self.layers[: self.layers.index(self.output) + 1]

    @property
    def to_hidden(self) -> tuple[Layer, ...]:
        """Layers up to what the output layer takes."""
        return self.layers[: self.layers.index(self.output)]

    def n_parameters(self) -> int:
        """Numbers in all arrays, measured ones included."""
        return sum(place.n_parameters for place in self.places())


def strided(shape: Shape, strides: Shape) -> Shape:
    """How many windows there are each way: those of (height, width, ...) padded as `same`."""
    return tuple(-(-side // stride) for side, stride in zip(shape, strides, strict=False))


def same_padding(side: int, window: int, stride: int) -> tuple[int, int]:
    """Keras' padding `same` of a side, before and behind: the odd pixel stands behind."""
    total = max((-(-side // stride) - 1) * stride + window - side, 0)
    return total // 2, total - total // 2


def trained(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """The arrays that a training changes step by step, without those that it measures."""
    return {
        layer: {name: array for name, array in arrays.items() if name not in MOVING}
        for layer, arrays in parameters.items()
    }


def without_normalization(
    architecture: Architecture, parameters: Parameters
) -> tuple[Architecture, Parameters]:
    """The same function with each batch normalisation put into the convolution before it.

    It multiplies by more than 0, so a maximum may stand between them. Sums are made in float64.
    Layers that do something only while they are trained are left out too.
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
