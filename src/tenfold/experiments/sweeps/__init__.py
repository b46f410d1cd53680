"""`sweep` and `compare`: many trainings through an executor, one table."""

from tenfold.experiments.sweeps.commands import Sweep, compare, sweep
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.table import Group, Row
from tenfold.experiments.sweeps.work import SweepInterrupted, SweepWatcher

__all__ = [
    "Executor",
    "Group",
    "LocalProcesses",
    "Row",
    "Sweep",
    "SweepInterrupted",
    "SweepWatcher",
    "compare",
    "sweep",
]
