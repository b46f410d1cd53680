"""The environment that all processes that run trials share, so that they compute the same
results."""

import functools
import os
from collections.abc import Mapping

from tenfold.core.errors import SettingsError
from tenfold.learners import LEARNERS

THREADS = 1
"""Number of threads of each trial. More would add numbers in another order, and change the last
bits of results."""

ENVIRONMENT: Mapping[str, str] = dict.fromkeys(
    (
        "OMP_NUM_THREADS",  # NumPy, SciPy, scikit-learn
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",  # joblib in scikit-learn's forests
        "NPROC",  # XLA's own pool
        "PJRT_NPROC",
        "JAX_NUM_CPU_DEVICES",  # two devices would sum a batch in another order
    ),
    str(THREADS),
)
"""Environment variables that must be set before a worker's Python starts."""


@functools.cache
def check_process(learner: str) -> None:
    """Check that this process can run trials of a learner correctly. Checks once per process.

    The process must have been started with `ENVIRONMENT`, and JAX's compiler must be correct.
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
