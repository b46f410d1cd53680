"""Trials and batch predictions on Ray. Only this package imports Ray, and only on request.

Tasks on other machines take plain values. Jobs and rows are sent to them, and the files of a trial
are returned as bytes and are written by the driver, `run.json` last. Therefore a trial that was
started twice counts once, and a driver that is started again finds all complete trials. Ray sends
Python objects as pickles, so that whoever has the token of a cluster can run code on it
(docs/guide/scale.md).
"""

from tenfold.experiments.ray.batch_prediction import BatchResult, predict_many
from tenfold.experiments.ray.executor import RayCluster

__all__ = ["BatchResult", "RayCluster", "predict_many"]
