"""Training: the compiled epoch of dense layers, and the compiled step of convolutions.

These modules import JAX, so predicting never imports them.
"""

from tenfold.core.layers import Architecture, Conv2D
from tenfold.core.settings import Settings
from tenfold.learners.job import Examples
from tenfold.learners.training.base import Training
from tenfold.learners.training.convolution import ConvolutionTraining
from tenfold.learners.training.dense import DenseTraining
from tenfold.learners.training.ranks import Alone

__all__ = ["ConvolutionTraining", "DenseTraining", "Training", "training_of"]


def training_of(
    architecture: Architecture,
    train: Examples,
    validation: Examples | None,
    settings: Settings,
    ranks: Alone | None = None,
) -> Training:
    """The training of a network, with the arguments of `Training`. Networks with convolutions have
    their own, because convolutions are slow in `lax.scan`."""
    convolves = any(isinstance(layer, Conv2D) for layer in architecture.layers)
    kind = ConvolutionTraining if convolves else DenseTraining
    return kind(architecture, train, validation, settings, ranks)
