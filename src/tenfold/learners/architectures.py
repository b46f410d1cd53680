"""The layers of the learners `network` and `cnn`, in Keras on JAX.

Keras is imported inside the functions: whoever only predicts never loads it.
"""

import importlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np

from tenfold.core.errors import BackendError, SettingsError
from tenfold.core.processes import usable_cores
from tenfold.core.records import LayerRow

COMPANIONS = ("matplotlib.pyplot", "pandas", "sklearn")
"""What Keras imports when it is there, for parts of it that Tenfold does not use."""

BEFORE_KERAS = (
    "jax",
    "jax.experimental.sparse",
    "jax.experimental.pallas.ops.tpu.splash_attention",
)
"""What Keras imports of JAX, 0.4 s of its 0.9: done while MNIST is unpacked without the GIL."""

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

_alone = False


def prepare() -> None:
    """Start to import JAX while the data are read, for a process that is Tenfold's own.

    In such a process Keras is imported without its companions, in less than half the time.
    Elsewhere they stay, for somebody may want Keras' wrappers or plots.
    """
    global _alone
    _alone = True
    # No daemon: a process that ends in the middle of this import is aborted by C++ (seen).
    threading.Thread(target=import_all, args=(BEFORE_KERAS,)).start()


def import_all(names: Sequence[str]) -> None:
    """Import modules in order; those that are not there are met by whoever needs them."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Let imports of modules that are not loaded fail, as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def import_keras() -> Any:
    """Keras, running on JAX.

    Raises:
      BackendError: Keras is already loaded with another backend; it cannot change any more.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    _share_cores()
    _give_products_alone()
    with _without(COMPANIONS if _alone else ()):
        import keras

    if keras.backend.backend() != "jax":
        raise BackendError(
            "E911",
            "Keras already runs on another backend",
            expected="jax",
            fix="Set KERAS_BACKEND=jax before Keras is imported",
            backend=keras.backend.backend(),
        )
    return keras


def _share_cores() -> None:
    """One device of JAX for each core: two halves of a batch then convolve side by side.

    XLA's convolutions use little more than one core: with a device for each, a step of the `cnn`
    takes 36 instead of 73 ms (two cores, batch 256). It must be said before JAX starts.
    """
    import jax

    if os.environ.get("JAX_NUM_CPU_DEVICES"):
        return  # somebody shares the cores out already
    with suppress(RuntimeError):  # JAX runs already, with what it has
        jax.config.update("jax_num_cpu_devices", usable_cores())  # type: ignore[no-untyped-call]


def _give_products_alone() -> None:
    """Turn the faulty fusions off before JAX starts and reads the flags; whatever the user says of
    them stays. Processes that this one starts inherit it."""
    given = os.environ.get("XLA_FLAGS", "")
    is_file = given.strip() and not given.lstrip().startswith("-")  # then it is the name of one
    release = tuple(int(part) for part in metadata.version("jaxlib").split(".")[:2])
    if FUSIONS not in given and not is_file and FLAG_SINCE <= release < FLAG_BEFORE:
        os.environ["XLA_FLAGS"] = f"{PRODUCTS_ALONE} {given}".strip()


def build_network(
    input_shape: Sequence[int],
    hidden: Sequence[int],
    n_labels: int | None,
    *,
    seed: int,
    dropout: float = 0.0,
) -> Any:
    """A dense network: hidden layers with ReLU, then one output per label and softmax.

    Args:
      input_shape: Shape of one example: (28, 28) or (28, 28, 3) for pictures, whose values from 0
        to 255 are scaled to 0..1; (d,) for features, which are taken as they are.
      hidden: Neurons of each hidden layer; none gives softmax or linear regression.
      n_labels: Number of labels; None: regression, one linear output named `value`.
      seed: Decides the first weights (Glorot uniform, biases 0) and what is dropped.
      dropout: Share of each hidden layer's outputs that is silenced while training.

    Returns:
      A built `keras.Sequential` from examples (n, *input_shape) to probabilities (n, n_labels) or
      values (n, 1). Its softmax is a layer alone.
    """
    keras = import_keras()
    is_picture = len(input_shape) >= 2
    seeds = np.random.SeedSequence(seed).spawn(len(hidden) + 1)

    def dense(position: int, n_neurons: int, **options: Any) -> Any:
        return keras.layers.Dense(
            n_neurons,
            kernel_initializer=_glorot_uniform(seeds[position]),
            bias_initializer=lambda shape, dtype: np.zeros(shape, np.float32),
            **options,
        )

    name = "image" if is_picture else "features"
    layers = [keras.Input(tuple(input_shape), dtype="float32", name=name)]
    if is_picture:
        layers += [
            keras.layers.Rescaling(1 / 255, name="scale"),
            keras.layers.Flatten(name="flatten"),
        ]
    for i, n_neurons in enumerate(hidden):
        layers.append(dense(i, n_neurons, activation="relu", name=f"hidden_{i + 1}"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, name=f"dropout_{i + 1}"))
    if n_labels is None:
        layers.append(dense(len(hidden), 1, name="value"))
    else:
        layers.append(dense(len(hidden), n_labels, name="output"))
        layers.append(keras.layers.Softmax(name="probabilities"))
    return keras.Sequential(layers, name="network")


class Convolution(NamedTuple):
    """One convolution of a `cnn`, with batch normalisation and ReLU behind it.

    Attributes:
      size: Pixels of its window, each way.
      channels: Pictures it makes.
      stride: Pixels between windows.
      is_pooled: Whether the largest of each 2x2 pixels goes on.
    """

    size: int
    channels: int
    stride: int = 1
    is_pooled: bool = False


SMALL = 20
"""Pixels of a side from which the first convolution leaves every other pixel out."""

LAST_SIDE = 4
"""Pixels of a side after the last pooling, at most."""


def convolutions(input_shape: Sequence[int], width: int = 32) -> tuple[Convolution, ...]:
    """The convolutions for pictures of a size: halved until at most four pixels a side are left.

    Args:
      input_shape: (height, width) or (height, width, 3), sides of 8 to 256 pixels.
      width: Channels of the first; later ones have two and three, at most four times as many.

    Raises:
      SettingsError: Sides outside that range.
    """
    sides = input_shape[:2]
    if min(sides) < 8 or max(sides) > 256:
        raise SettingsError(
            "E630",
            "Pictures of a size that the learner does not take",
            expected="sides of 8 to 256 pixels",
            fix="The learner 'network' takes any size",
            learner="cnn",
            height=sides[0],
            width=sides[1],
        )
    side = max(sides)
    first = Convolution(5, width, 2, side > 64) if side >= SMALL else Convolution(3, width)
    side = -(-side // (1 if side < SMALL else 4 if first.is_pooled else 2))
    found, times = [first, Convolution(3, width, 1, True)], 1
    side = -(-side // 2)
    while side > LAST_SIDE:
        times = min(times + 1, 4)
        found += [Convolution(3, times * width), Convolution(3, times * width, 1, True)]
        side = -(-side // 2)
    return (*found, Convolution(3, min(times + 1, 4) * width))


MEMORY = 1 << 27
"""Bytes that the largest answers of a layer may take at once."""


def rows_at_once(input_shape: Sequence[int], width: int = 32) -> int:
    """Pictures whose largest answers of a layer fit into 128 MiB as float32, at least 1.

    Args:
      input_shape, width: As in `convolutions`.
    """
    first, second, *_ = convolutions(input_shape, width)
    pixels = math.prod(-(-side // first.stride) for side in input_shape[:2])
    return max(1, MEMORY // (4 * pixels * max(first.channels, second.channels)))


def build_cnn(
    input_shape: Sequence[int], n_labels: int, *, seed: int, width: int = 32, dropout: float = 0.0
) -> Any:
    """A convolutional network: `convolutions`, then one output per label and softmax.

    Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) has no factor of its own: the
    convolution behind it has one. So it only ever multiplies by more than 0, and commutes with the
    maximum in front of it: at export it goes into the convolution's own numbers.

    Args:
      input_shape: (height, width) or (height, width, 3), values from 0 to 255.
      n_labels: Number of labels.
      seed: Decides the first weights (He normal, biases 0).
      width: As in `convolutions`.
      dropout: Share of the last layer's inputs that is silenced while training.

    Returns:
      A built `keras.Sequential` from pictures (n, *input_shape) to probabilities (n, n_labels).

    Raises:
      SettingsError: A size that it does not take.
    """
    spec = convolutions(input_shape, width)
    keras = import_keras()
    seeds = np.random.SeedSequence(seed).spawn(len(spec) + 1)
    layers = [
        keras.Input(tuple(input_shape), dtype="float32", name="image"),
        keras.layers.Rescaling(1 / 255, name="scale"),
    ]
    if len(input_shape) == 2:
        layers.append(keras.layers.Reshape((*input_shape, 1), name="channel"))
    for i, one in enumerate(spec):
        layers.append(
            keras.layers.Conv2D(
                one.channels, one.size, one.stride, "same", use_bias=False,
                kernel_initializer=_he_normal(seeds[i]), name=f"convolution_{i + 1}",
            )
        )  # fmt: skip
        if one.is_pooled:
            layers.append(keras.layers.MaxPooling2D(2, padding="same", name=f"pool_{i + 1}"))
        layers.append(keras.layers.BatchNormalization(scale=False, name=f"normal_{i + 1}"))
        layers.append(keras.layers.ReLU(name=f"relu_{i + 1}"))
    layers.append(keras.layers.Permute((3, 1, 2), name="channels_first"))  # as in ONNX
    layers.append(keras.layers.Flatten(name="flatten"))
    if dropout:
        layers.append(keras.layers.Dropout(dropout, name="dropout"))
    output = keras.layers.Dense(
        n_labels, kernel_initializer=_glorot_uniform(seeds[-1]), name="output"
    )
    return keras.Sequential(
        [*layers, output, keras.layers.Softmax(name="probabilities")], name="cnn"
    )


def _he_normal(seed: np.random.SeedSequence) -> Callable[..., Any]:
    """First kernels of a convolution (He et al. 2015, arXiv:1502.01852, section 2.2)."""

    def draw(shape: tuple[int, ...], dtype: object) -> Any:
        deviation = math.sqrt(2 / math.prod(shape[:-1]))
        return np.random.default_rng(seed).normal(0, deviation, shape).astype(np.float32)

    return draw


def _glorot_uniform(seed: np.random.SeedSequence) -> Callable[..., Any]:
    """Keras' default for kernels, drawn by NumPy: JAX compiles for 0.3 s for each shape it draws.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """

    def draw(shape: tuple[int, int], dtype: object) -> Any:
        limit = math.sqrt(6 / sum(shape))
        return np.random.default_rng(seed).uniform(-limit, limit, shape).astype(np.float32)

    return draw


def hidden_network(network: Any) -> Any:
    """`network` up to what its output layer sees, (n, d), sharing its weights."""
    return import_keras().Model(network.inputs[0], output_layer(network).input)


def output_layer(network: Any) -> Any:
    """The last layer with weights."""
    return next(layer for layer in reversed(network.layers) if layer.weights)


def layer_table(network: Any) -> list[LayerRow]:
    """Name, kind, output shape and parameter count of each layer, first to last."""
    return [
        LayerRow(layer.name, _kind(layer), tuple(layer.output.shape), layer.count_params())
        for layer in network.layers
    ]


def _kind(layer: Any) -> str:
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return type(layer).__name__ + ("" if activation == "linear" else f" ({activation})")
