"""Tenfold turns labelled examples into a model you can trust, in one command.

>>> import tenfold
>>> run = tenfold.train("mnist")                         # doctest: +SKIP
>>> run.evaluation.accuracy                              # doctest: +SKIP
0.9858 [0.9833, 0.9879]
>>> model = tenfold.open("runs/mnist-network-1").model   # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from tenfold.data import Dataset, Split, split
from tenfold.errors import TenfoldError
from tenfold.evaluation import Evaluation, Score
from tenfold.loading import load
from tenfold.model import Model, Prediction, Predictions
from tenfold.runs import Run, verify
from tenfold.sweeps import Sweep, compare, sweep
from tenfold.transcript import Transcript
from tenfold.workflow import evaluate, predict, read, resume, train

if TYPE_CHECKING:
    from tenfold.estimators import NetworkClassifier, NetworkRegressor

open = Run.open

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Evaluation",
    "Model",
    "NetworkClassifier",
    "NetworkRegressor",
    "Prediction",
    "Predictions",
    "Run",
    "Score",
    "Split",
    "Sweep",
    "TenfoldError",
    "Transcript",
    "compare",
    "evaluate",
    "load",
    "open",
    "predict",
    "read",
    "resume",
    "split",
    "sweep",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    """The estimators, once they are asked for: they bring scikit-learn with them."""
    if name in ("NetworkClassifier", "NetworkRegressor"):
        from tenfold import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
