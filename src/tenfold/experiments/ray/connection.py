"""The connection to a Ray cluster, whose errors are reported in one line."""

import logging
import os
import secrets
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from tenfold.core.errors import BackendError, TenfoldError
from tenfold.core.installation import adding
from tenfold.core.systems import usable_cores
from tenfold.experiments.sweeps.environment import ENVIRONMENT

LOCAL = "local"

STORE_BYTES = 150 << 20
"""Size of the shared memory of a cluster that is started here. It contains results in transit, but
no rows."""


def connect(address: str, n_cores: int | None = None) -> ModuleType:
    """Connect to Ray, with usage statistics and dashboard off and the token on.

    `n_cores` limits the cores of a cluster that is started here. None: all that this process may
    use.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        raise BackendError(
            "E908", "Ray is not installed", fix=adding("cluster"), cluster=address
        ) from error
    started: dict[str, Any] = {
        "num_cpus": n_cores or usable_cores(),
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
    }
    if address == LOCAL:
        keep_token_private(Path.home() / ".ray" / "auth_token")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            # Ray starts separate programs, so its processes are no danger to JAX.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\)")
            ray.init(
                address=address,
                runtime_env={"env_vars": dict(ENVIRONMENT)},
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(started if address == LOCAL else {}),
            )
    except Exception as error:  # a plain Exception if Ray did not start within 30 s
        raise BackendError(
            "E909",
            "There is no cluster to use",
            expected="local, or the HOST:PORT of a cluster this computer belongs to",
            fix="Start one with: ray start --head (docs/guide/scale.md)",
            cluster=address,
            reason=first_line(error),
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # otherwise Ray would end this process its own way
    return ray


def keep_token_private(path: Path) -> None:
    """Make the token of clusters readable by the user only, and create it if there is none.

    Ray makes it readable by everyone, and whoever reads it may run code on the cluster.
    """
    with suppress(OSError):  # Ray reports the problem itself
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with open(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        path.chmod(0o600)


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Raise the original exception of a task, and a `BackendError` if the cluster failed."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        raise task_error(error) from error
    except RayError as error:
        raise BackendError("E907", "The cluster failed", reason=first_line(error)) from error


def task_error(error: Any) -> Exception:
    """Return the original exception of a task, or one line if it is not Tenfold's."""
    cause = error.cause
    if isinstance(cause, TenfoldError):
        return cause
    fix = "Is the same Tenfold installed on every machine?"
    return BackendError(
        "E905", "A worker of the cluster cannot start", fix=fix, reason=first_line(cause)
    )


def first_line(error: object) -> str:
    with suppress(IndexError):
        return str(error).strip().splitlines()[0]
    return type(error).__name__
