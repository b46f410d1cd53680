"""`sweep` and `compare`: run many trainings through an executor and collect one table."""

from tenfold.experiments.sweeps.commands import compare, sweep
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.results import PointResult, Sweep
from tenfold.experiments.sweeps.sweep_run import SweepInterrupted

__all__ = [
    "Executor",
    "LocalProcesses",
    "PointResult",
    "Sweep",
    "SweepInterrupted",
    "compare",
    "sweep",
]
