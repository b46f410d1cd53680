"""Training: the compiled epoch of dense layers, the compiled step of convolutions.

`dense` and `convolution` are two trainings of one kind; `steps` is what both are made of.
`compiler` looks before each whether what JAX compiles is right.
"""

from tenfold.training.base import Epoch, Examples, Training
from tenfold.training.compiler import check_compiler
from tenfold.training.convolution import ConvolutionTraining
from tenfold.training.dense import DenseTraining
from tenfold.training.steps import is_classification

__all__ = [
    "ConvolutionTraining", "DenseTraining", "Epoch", "Examples", "Training", "check_compiler",
    "is_classification",
]  # fmt: skip
