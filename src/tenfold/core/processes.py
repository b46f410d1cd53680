"""Processes that Tenfold starts to share its work."""

import os
from pathlib import Path


def usable_cores() -> int:
    """How many cores this process may use: fewer than the computer has where it is confined."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(mine(0)) if mine else os.cpu_count() or 1


def python_path() -> str:
    """`PYTHONPATH` of a process that is to import the Tenfold of this one."""
    source = str(Path(__file__).parents[2])
    return os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
