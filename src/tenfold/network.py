"""The layers of the `network` learner, in Keras on JAX.

Keras is imported inside the functions: whoever only predicts never loads it.
"""

import importlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.errors import BackendError, message


@dataclass(frozen=True)
class Layer:
    """One line of the layer table."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int


COMPANIONS = ("matplotlib.pyplot", "pandas", "sklearn")
"""What Keras imports when it is there, for parts of it that Tenfold does not use."""

_alone = False


def prepare() -> None:
    """Start to import JAX while the data are read, for a process that is Tenfold's own.

    In such a process Keras is imported without its companions, in less than half the time.
    Elsewhere they stay, for somebody may want Keras' wrappers or plots.
    """
    global _alone
    _alone = True
    # No daemon: a process that ends in the middle of this import is aborted by C++ (seen).
    threading.Thread(target=importlib.import_module, args=("jax",)).start()


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
    with _without(COMPANIONS if _alone else ()):
        import keras

    if keras.backend.backend() != "jax":
        raise BackendError(
            message(
                "Keras already runs on another backend",
                expected="jax",
                fix="Set KERAS_BACKEND=jax before Keras is imported",
                backend=keras.backend.backend(),
            )
        )
    return keras


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
      values (n, 1). Its softmax is a layer alone, so `logits_network` can train in front of it.
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


def _glorot_uniform(seed: np.random.SeedSequence) -> Callable[..., Any]:
    """Keras' default for kernels, drawn by NumPy: JAX compiles for 0.3 s for each shape it draws.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """

    def draw(shape: tuple[int, int], dtype: object) -> Any:
        limit = math.sqrt(6 / sum(shape))
        return np.random.default_rng(seed).uniform(-limit, limit, shape).astype(np.float32)

    return draw


def logits_network(network: Any) -> Any:
    """`network` without its softmax if it has one, sharing its weights: logits do not overflow."""
    last = network.layers[-1]
    end = network.layers[-2] if type(last).__name__ == "Softmax" else last
    return import_keras().Model(network.inputs[0], end.output)


def hidden_network(network: Any) -> Any:
    """`network` up to what its output layer sees, (n, d), sharing its weights."""
    return import_keras().Model(network.inputs[0], output_layer(network).input)


def output_layer(network: Any) -> Any:
    """The last layer with weights."""
    return next(layer for layer in reversed(network.layers) if layer.weights)


def layer_table(network: Any) -> list[Layer]:
    """Name, kind, output shape and parameter count of each layer, first to last."""
    return [
        Layer(layer.name, _kind(layer), tuple(layer.output.shape), layer.count_params())
        for layer in network.layers
    ]


def _kind(layer: Any) -> str:
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return type(layer).__name__ + ("" if activation == "linear" else f" ({activation})")
