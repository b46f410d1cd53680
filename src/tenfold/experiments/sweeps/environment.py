"""What every process that makes trials has in common, so that all of them compute alike."""

import functools
import os
from collections.abc import Mapping

from tenfold.core.errors import SettingsError
from tenfold.learners import LEARNERS

THREADS = 1
"""Threads of a trial, wherever it runs: sums in another order have other last bits."""

ENVIRONMENT: Mapping[str, str] = dict.fromkeys(
    (
        "OMP_NUM_THREADS",  # NumPy, SciPy, scikit-learn
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",  # joblib in scikit-learn's forests
        "NPROC",  # XLA's own pool
        "PJRT_NPROC",
        "JAX_NUM_CPU_DEVICES",  # one device: halves of a batch would be summed otherwise
    ),
    str(THREADS),
)
"""What must stand in a worker's environment before its Python starts."""


@functools.cache
def check_process(learner: str) -> None:
    """Refuse, once in a process, to make trials of a learner that would not be right.

    The process must have been started with `ENVIRONMENT`, and what JAX compiles must be right.
    """
    if missing := [name for name, value in ENVIRONMENT.items() if os.environ.get(name) != value]:
        raise SettingsError(
            "E813",
            "A worker has another number of threads",
            expected="the variables of sweeps.environment.ENVIRONMENT set",
            fix="Start worker processes with them",
            missing=missing,
        )
    LEARNERS[learner].check_ready()
