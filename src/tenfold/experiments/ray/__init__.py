"""Trials and batch predictions on Ray. Only this package imports it, and only when asked to.

What runs elsewhere are tasks of plain values: jobs and rows go out, the files of a trial come back
as bytes and are written here, `run.json` last. So a trial that was begun twice is counted once, and
a driver that begins again finds what is whole. Ray sends Python objects as pickles: whoever holds
the token of a cluster can run code on it (docs/guide/scale.md).
"""

from tenfold.experiments.ray.batch_prediction import BatchResult, predict_many
from tenfold.experiments.ray.executor import RayCluster

__all__ = ["BatchResult", "RayCluster", "predict_many"]
