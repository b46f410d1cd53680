"""The connection to a Ray cluster, and what went wrong there in one line."""

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
"""Shared memory of a cluster that is started here: it holds results on their way, no rows."""


def connect(address: str, n_cores: int | None = None) -> ModuleType:
    """Ray, connected. Usage statistics and dashboard are off, the token is on.

    `n_cores` are those of a cluster that is started here; None: all that this process may use.
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
            # Ray's processes are other programs at once: JAX has nothing to fear in them.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\)")
            ray.init(
                address=address,
                runtime_env={"env_vars": dict(ENVIRONMENT)},
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(started if address == LOCAL else {}),
            )
    except Exception as error:  # a plain one where it did not start within 30 s
        raise BackendError(
            "E909",
            "There is no cluster to use",
            expected="local, or the HOST:PORT of a cluster this computer belongs to",
            fix="Start one with: ray start --head (docs/guide/scale.md)",
            cluster=address,
            reason=first_line(error),
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray would end this process its own way
    return ray


def keep_token_private(path: Path) -> None:
    """Let the user alone read the token of clusters, which is made if there is none.

    Ray makes it readable by all, and whoever reads it may run code on the cluster.
    """
    with suppress(OSError):  # Ray says what is wrong
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with open(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        path.chmod(0o600)


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Raise what a task raised as it was, and the failure of a cluster as a `BackendError`."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        raise task_error(error) from error
    except RayError as error:
        raise BackendError("E907", "The cluster failed", reason=first_line(error)) from error


def task_error(error: Any) -> Exception:
    """What a task raised, as it was; what is not ours, as one line."""
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
