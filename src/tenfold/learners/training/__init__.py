"""Training: the compiled epoch of dense layers, the compiled step of convolutions.

`dense` and `convolution` are two trainings of one kind; `steps` is what both are made of.
`compiler` looks before each whether what JAX compiles is right.
"""

from tenfold.learners.training.base import Training
from tenfold.learners.training.compiler import check_compiler
from tenfold.learners.training.convolution import ConvolutionTraining
from tenfold.learners.training.dense import DenseTraining
from tenfold.learners.training.steps import is_classification
from tenfold.learners.training.types import Examples

__all__ = [
    "ConvolutionTraining", "DenseTraining", "Examples", "Training", "check_compiler",
    "is_classification",
]  # fmt: skip
