"""`sweep` and `compare`: many trainings through an executor, one table."""

from tenfold.experiments.sweeps.commands import Sweep, compare, sweep
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.table import Group
from tenfold.experiments.sweeps.work import SweepInterrupted

__all__ = [
    "Executor",
    "Group",
    "LocalProcesses",
    "Sweep",
    "SweepInterrupted",
    "compare",
    "sweep",
]
