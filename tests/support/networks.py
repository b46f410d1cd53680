"""Networks that nothing trained, and the same network in Keras."""

from typing import Any

from tenfold.core.layers import Architecture, Parameters
from tenfold.learners import Fitted
from tenfold.learners.architectures import first_parameters
from tenfold.learners.keras_layers import import_keras, keras_layers, set_parameters
from tenfold.learners.network import Network, Vote


def untrained(architecture: Architecture, seed: int = 0) -> Network:
    """A network with the parameters that a training begins with."""
    return Network(architecture, first_parameters(architecture, seed))


def fitted(network: Network | Vote, learner: str = "network") -> Fitted:
    networks = network.members if isinstance(network, Vote) else (network,)
    return Fitted(learner, network, sum(one.architecture.n_parameters() for one in networks))


def keras_network(architecture: Architecture, parameters: Parameters) -> Any:
    """A `keras.Sequential` that computes what the layers do."""
    keras = import_keras()
    given = keras.Input(architecture.input_shape, dtype="float32")
    network = keras.Sequential([given, *keras_layers(architecture)])
    set_parameters(network, parameters)
    return network
