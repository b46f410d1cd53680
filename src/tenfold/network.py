"""The layers of the `network` learner, in Keras on JAX.

Keras is imported inside the functions: whoever only predicts never loads it.
"""

import os
import sys
from collections.abc import Sequence
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


def import_keras() -> Any:
    """Keras, running on JAX.

    Raises:
      BackendError: Keras is already loaded with another backend; it cannot change any more.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
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
    input_shape: Sequence[int], hidden: Sequence[int], n_labels: int, *, seed: int
) -> Any:
    """A dense network: scaling to 0..1, hidden layers with ReLU, one output per label, softmax.

    Args:
      input_shape: Shape of one example, such as (28, 28); values from 0 to 255.
      hidden: Neurons of each hidden layer; none gives softmax regression.
      n_labels: Number of labels.
      seed: Decides the first weights (Glorot uniform, biases 0).

    Returns:
      A built `keras.Sequential` from pictures (n, *input_shape) to probabilities (n, n_labels).
      Its last layer is the softmax alone, so `logits_network` can train in front of it.
    """
    keras = import_keras()
    seeds = np.random.SeedSequence(seed).generate_state(len(hidden) + 1)

    def dense(position: int, n_neurons: int, **options: Any) -> Any:
        initial = keras.initializers.GlorotUniform(seed=int(seeds[position]))
        return keras.layers.Dense(n_neurons, kernel_initializer=initial, **options)

    return keras.Sequential(
        [
            keras.Input(tuple(input_shape), dtype="float32", name="image"),
            keras.layers.Rescaling(1 / 255, name="scale"),
            keras.layers.Flatten(name="flatten"),
            *(
                dense(i, n_neurons, activation="relu", name=f"hidden_{i + 1}")
                for i, n_neurons in enumerate(hidden)
            ),
            dense(len(hidden), n_labels, name="output"),
            keras.layers.Softmax(name="probabilities"),
        ],
        name="network",
    )


def logits_network(network: Any) -> Any:
    """`network` without its softmax, sharing its weights: losses of logits do not overflow."""
    return import_keras().Model(network.inputs[0], network.layers[-2].output)


def layer_table(network: Any) -> list[Layer]:
    """Name, kind, output shape and parameter count of each layer, first to last."""
    return [
        Layer(layer.name, _kind(layer), tuple(layer.output.shape), layer.count_params())
        for layer in network.layers
    ]


def _kind(layer: Any) -> str:
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return type(layer).__name__ + ("" if activation == "linear" else f" ({activation})")
