"""What processes that share the work are told."""

import os
import sys
from pathlib import Path

import pytest

import tenfold
from tenfold.core.processes import python_path, usable_cores


def test_a_confined_process_counts_its_own_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert usable_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == os.cpu_count()


def test_a_process_imports_this_tenfold_and_keeps_the_users_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = str(Path(tenfold.__file__).parents[1])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert python_path() == source
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert python_path() == os.pathsep.join([source, "/mine"])
