"""`sweep` and `compare`: many trainings through an executor, one table."""

from tenfold.sweeps.commands import Sweep, compare, sweep
from tenfold.sweeps.executors import Executor, LocalProcesses
from tenfold.sweeps.table import Group, Row
from tenfold.sweeps.work import SweepInterrupted, SweepWatcher

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
