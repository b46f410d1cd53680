"""Training: the compiled epoch of dense layers, the compiled step of convolutions.

`dense` and `convolution` are two trainings of one kind; `steps` and `optimizers` are what both are
made of, `ranks` who shares the work. `compiler` looks before each whether what JAX compiles is
right.
"""

from tenfold.core.layers import Architecture, Conv2D
from tenfold.core.settings import Settings
from tenfold.learners.training.base import Training
from tenfold.learners.training.compiler import check_compiler
from tenfold.learners.training.convolution import ConvolutionTraining
from tenfold.learners.training.dense import DenseTraining
from tenfold.learners.training.ranks import Alone
from tenfold.learners.training.steps import is_classification
from tenfold.learners.training.types import Examples

__all__ = [
    "ConvolutionTraining",
    "DenseTraining",
    "Examples",
    "Training",
    "check_compiler",
    "is_classification",
    "training_of",
]


def training_of(
    architecture: Architecture,
    train: Examples,
    validation: Examples | None,
    settings: Settings,
    ranks: Alone | None = None,
) -> Training:
    """The training of a network, before its first epoch: a convolution is slow within `lax.scan`.

    Args:
      architecture: The layers.
      train: Rows to fit to.
      validation: Rows to watch the fit with.
      settings: All of them.
      ranks: The processes that share the work; None: this one is alone.

    Raises:
      BackendError: JAX's compiler computes wrongly here.
    """
    convolves = any(isinstance(layer, Conv2D) for layer in architecture.layers)
    kind = ConvolutionTraining if convolves else DenseTraining
    return kind(architecture, train, validation, settings, ranks)
