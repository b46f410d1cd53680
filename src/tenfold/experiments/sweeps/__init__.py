"""`sweep` and `compare`: many trainings through an executor, one table."""

from tenfold.experiments.sweeps.commands import compare, sweep
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.result import Sweep
from tenfold.experiments.sweeps.sweep_run import SweepInterrupted
from tenfold.experiments.sweeps.table import PointResult

__all__ = [
    "Executor",
    "LocalProcesses",
    "PointResult",
    "Sweep",
    "SweepInterrupted",
    "compare",
    "sweep",
]
