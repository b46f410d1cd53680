"""Tenfold turns labelled examples into a model you can trust, in one command.

>>> import tenfold
>>> run = tenfold.train("mnist")                         # doctest: +SKIP
>>> run.evaluation.accuracy                              # doctest: +SKIP
0.9876 [0.9852, 0.9896]
>>> model = tenfold.open("runs/mnist-network-1").model   # doctest: +SKIP
"""

import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime reports its use over the network, and keeps an identifier of the machine below the
# home folder, from its import on (its Privacy.md). Nothing but `data fetch` is to use the network.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from tenfold.core.errors import TenfoldError
from tenfold.core.version import __version__ as __version__
from tenfold.data.dataset import Dataset
from tenfold.data.load import load
from tenfold.data.split import Split, split
from tenfold.evaluation import Evaluation, Score
from tenfold.experiments.evaluate import evaluate, predict, read
from tenfold.experiments.sweeps import Sweep, compare, sweep
from tenfold.experiments.train import resume, train
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.model.model import Model
from tenfold.model.predictions import Prediction, Predictions
from tenfold.model.transcript import Transcript
from tenfold.runs.record import Run
from tenfold.runs.verify import verify

if TYPE_CHECKING:
    from tenfold.build.sklearn import NetworkClassifier, NetworkRegressor

open = Run.open


__all__ = [
    "Dataset",
    "Evaluation",
    "Model",
    "NetworkClassifier",
    "NetworkRegressor",
    "PictureOptions",
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
        from tenfold.build import sklearn as estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
