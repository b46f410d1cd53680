"""Tenfold turns labelled examples into a model you can trust, with one command.

>>> import tenfold
>>> run = tenfold.train("mnist")                         # doctest: +SKIP
>>> run.evaluation.accuracy                              # doctest: +SKIP
0.9876 [0.9852, 0.9896]
>>> model = tenfold.open("runs/mnist-network-1").model   # doctest: +SKIP
"""

import os
import warnings
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from tenfold.core import installation as _installation
from tenfold.core.version import __version__ as __version__

# From its import on, ONNX Runtime sends usage data over the network and stores an identifier of the
# machine below the home folder (its Privacy.md). Only `data fetch` should use the network.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if len(_installation.distributions()) > 1:
    warnings.warn(_installation.BOTH_INSTALLED, stacklevel=2)

if TYPE_CHECKING:
    from tenfold.build.sklearn import NetworkClassifier as NetworkClassifier
    from tenfold.build.sklearn import NetworkRegressor as NetworkRegressor
    from tenfold.core.errors import TenfoldError as TenfoldError
    from tenfold.data.dataset import Dataset as Dataset
    from tenfold.data.load import load as load
    from tenfold.data.split import Split as Split
    from tenfold.data.split import split as split
    from tenfold.evaluation import Evaluation as Evaluation
    from tenfold.evaluation import Score as Score
    from tenfold.experiments.evaluate import evaluate as evaluate
    from tenfold.experiments.sweeps import Sweep as Sweep
    from tenfold.experiments.sweeps import compare as compare
    from tenfold.experiments.sweeps import sweep as sweep
    from tenfold.experiments.train import resume as resume
    from tenfold.experiments.train import train as train
    from tenfold.inputs.pictures.decode import PictureOptions as PictureOptions
    from tenfold.model.model import Model as Model
    from tenfold.model.predictions import Prediction as Prediction
    from tenfold.model.predictions import Predictions as Predictions
    from tenfold.model.transcript import Transcript as Transcript
    from tenfold.report.network_page import Form as Form
    from tenfold.report.watching import Watching as Watching
    from tenfold.runs.ask import predict as predict
    from tenfold.runs.ask import read as read
    from tenfold.runs.record import Run as Run
    from tenfold.runs.verify import verify as verify
    from tenfold.serve.client import Client as Client

    open = Run.open

PUBLIC = {
    "Client": "tenfold.serve.client:Client",
    "Dataset": "tenfold.data.dataset:Dataset",
    "Evaluation": "tenfold.evaluation:Evaluation",
    "Form": "tenfold.report.network_page:Form",
    "Model": "tenfold.model.model:Model",
    "NetworkClassifier": "tenfold.build.sklearn:NetworkClassifier",
    "NetworkRegressor": "tenfold.build.sklearn:NetworkRegressor",
    "PictureOptions": "tenfold.inputs.pictures.decode:PictureOptions",
    "Prediction": "tenfold.model.predictions:Prediction",
    "Predictions": "tenfold.model.predictions:Predictions",
    "Run": "tenfold.runs.record:Run",
    "Score": "tenfold.evaluation:Score",
    "Split": "tenfold.data.split:Split",
    "Sweep": "tenfold.experiments.sweeps:Sweep",
    "TenfoldError": "tenfold.core.errors:TenfoldError",
    "Transcript": "tenfold.model.transcript:Transcript",
    "Watching": "tenfold.report.watching:Watching",
    "compare": "tenfold.experiments.sweeps:compare",
    "evaluate": "tenfold.experiments.evaluate:evaluate",
    "load": "tenfold.data.load:load",
    "open": "tenfold.runs.record:Run.open",
    "predict": "tenfold.runs.ask:predict",
    "read": "tenfold.runs.ask:read",
    "resume": "tenfold.experiments.train:resume",
    "split": "tenfold.data.split:split",
    "sweep": "tenfold.experiments.sweeps:sweep",
    "train": "tenfold.experiments.train:train",
    "verify": "tenfold.runs.verify:verify",
}
"""Every public name and its module. Each is imported when it is first used, because importing all
of them takes a second."""

__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _installation.missing_packages():
        value = globals()[name] = resolve_name(PUBLIC[name])
    return value


def __dir__() -> list[str]:
    return [*globals(), *PUBLIC]
