"""Which distribution of Tenfold is installed, what it lacks, and the command that adds it.

Two distributions contain the same files (docs/howto/release.md). `tenfold` installs every package
for training; `tenfold-slim` installs only those that open, use, measure, report and serve a model.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from tenfold.core.errors import BackendError
from tenfold.core.version import __version__

FULL, SLIM = "tenfold", "tenfold-slim"

EXTRAS = {
    "jax": "train",
    "jaxlib": "train",
    "keras": "train",
    "onnx": "train",
    "pooch": "train",
    "requests": "train",
    "sklearn": "train",
    "threadpoolctl": "train",
    "scipy": "measure",
    "httptools": "serve",
    "openpyxl": "tables",
    "pyarrow": "tables",
    "optuna": "search",
    "ray": "cluster",
}
"""Modules that an installation may lack, and the extra that installs each. `train` and `measure`
are extras of `tenfold-slim` only; `tenfold` always includes them."""

BOTH_INSTALLED = (
    f"{FULL} and {SLIM} are both installed; they hold the same files, so that removing one breaks "
    f"the other. Keep one: pip uninstall {FULL} {SLIM}, then pip install {FULL}, or {SLIM}"
)


def distributions() -> list[str]:
    """The distributions that own these files, by their metadata beside the package.

    There are none if Tenfold runs from its sources.
    """
    beside = os.listdir(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    stems = [name.partition("-")[0] for name in beside if name.endswith(".dist-info")]
    return [name for name in (FULL, SLIM) if name.replace("-", "_") in stems]


def distribution() -> str:
    """The installed distribution, or `tenfold` if it runs from its sources."""
    return SLIM if distributions() == [SLIM] else FULL


def version_of(package: str) -> str:
    """The version of an installed package; for Tenfold, the version of either distribution."""
    from importlib import metadata  # takes 20 ms, which `import tenfold` does not need

    return __version__ if package == FULL else metadata.version(package)


def adding(extra: str) -> str:
    """The command that adds an extra to the installed distribution."""
    if extra in ("train", "measure") and distribution() == FULL:
        return f"pip install {FULL}"
    return f"pip install '{distribution()}[{extra}]'"


def is_importable(module: str) -> bool:
    """Whether a module that an installation may lack can be imported."""
    return find_spec(module) is not None


def require(extra: str) -> None:
    """Raise an error before any work starts if the packages of an extra are missing.

    Raises:
      BackendError: A package of it is not installed.
    """
    for module, of in EXTRAS.items():
        if of == extra and not is_importable(module):
            raise _left_out(module)


@contextmanager
def missing_packages() -> Iterator[None]:
    """Convert the import error of a missing package of an extra to a one-line error."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS or is_importable(module):
            raise
        raise _left_out(module) from error


def _left_out(module: str) -> BackendError:
    return BackendError(
        "E922", "A package is not installed", fix=adding(EXTRAS[module]), package=module
    )
