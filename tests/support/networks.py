"""Networks that nothing trained."""

from tenfold.core.layers import Architecture
from tenfold.learners import Fitted
from tenfold.learners.architectures import first_parameters
from tenfold.learners.network import Network


def untrained(architecture: Architecture, seed: int = 0) -> Network:
    """A network with the parameters that a training begins with."""
    return Network(architecture, first_parameters(architecture, seed))


def fitted(network: Network, learner: str = "network") -> Fitted:
    return Fitted(learner, network, network.architecture.n_parameters())
