"""Processes that Tenfold starts to share its work."""

import os
from pathlib import Path


def python_path() -> str:
    """`PYTHONPATH` of a process that is to import the Tenfold of this one."""
    source = str(Path(__file__).parents[2])
    return os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
