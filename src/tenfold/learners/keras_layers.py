"""Layers in Keras on JAX, for the export to Keras. Training does not use Keras.

Keras is imported inside functions, so that training and predicting never import it.
"""

import os
import sys
from dataclasses import asdict
from typing import Any

from tenfold.core import layers as nn
from tenfold.core.errors import BackendError
from tenfold.core.layers import Architecture, Parameters
from tenfold.learners.jax_runtime import configure

SETTINGS: dict[type[nn.Layer], dict[str, Any]] = {
    nn.Dense: {"kernel_initializer": "zeros"},
    nn.Conv2D: {"kernel_initializer": "zeros", "padding": "same"},
    nn.MaxPooling2D: {"pool_size": 2, "padding": "same"},
    nn.BatchNormalization: {"scale": False},
}
"""Arguments for Keras in addition to a layer's own settings.

Initial weights are constants, because they are replaced at once, here and when a file is loaded.
Keras' random initial weights would take time: XLA compiles the generator for each shape, which took
6.6 s for a kernel of (3, 3, 4, 8).
"""


def import_keras() -> Any:
    """Import Keras, running on JAX.

    Raises:
      BackendError: Keras is already loaded with another backend, which cannot be changed any more.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    configure()
    import keras

    if keras.backend.backend() != "jax":
        raise BackendError(
            "E911",
            "Keras is already using another backend",
            expected="jax",
            fix="Set KERAS_BACKEND=jax before Keras is imported",
            backend=keras.backend.backend(),
        )
    return keras


def keras_layers(architecture: Architecture) -> list[Any]:
    """The Keras layers of the same kinds, names and settings, not yet built."""
    keras = import_keras()
    return [
        getattr(keras.layers, type(layer).__name__)(
            **asdict(layer),
            **SETTINGS.get(type(layer), {}),
        )
        for layer in architecture.layers
    ]


def set_parameters(network: Any, parameters: Parameters) -> None:
    """Set the arrays of the layers of a built Keras network, by layer and name."""
    for layer, arrays in parameters.items():
        for variable in network.get_layer(layer).weights:
            variable.assign(arrays[variable.name])
