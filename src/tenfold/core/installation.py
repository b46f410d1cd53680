"""Which distribution of Tenfold is installed, what it leaves out, and the command that adds it.

Two distributions hold the same files (docs/howto/release.md). `tenfold` brings every package that
trains; `tenfold-slim` brings those alone that open, ask, measure, report and serve a model.
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
"""Modules that an installation may lack, and the extra that brings each. `tenfold` has
always what `train` and `measure` bring: these are extras of `tenfold-slim` alone."""

BOTH_INSTALLED = (
    f"{FULL} and {SLIM} are both installed; they hold the same files, so that removing one breaks "
    f"the other. Keep one: pip uninstall {FULL} {SLIM}, then pip install {FULL}, or {SLIM}"
)


def distributions() -> list[str]:
    """The distributions whose files these are, by their metadata beside the package.

    None of them where Tenfold runs from its sources.
    """
    beside = os.listdir(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    stems = [name.partition("-")[0] for name in beside if name.endswith(".dist-info")]
    return [name for name in (FULL, SLIM) if name.replace("-", "_") in stems]


def distribution() -> str:
    """The distribution that is installed; `tenfold` where it runs from its sources."""
    return SLIM if distributions() == [SLIM] else FULL


def version_of(package: str) -> str:
    """The version of an installed package; Tenfold's own, whichever distribution it came with."""
    from importlib import metadata  # 20 ms that `import tenfold` does without

    return __version__ if package == FULL else metadata.version(package)


def adding(extra: str) -> str:
    """The command that adds an extra to the distribution that is installed here."""
    if extra in ("train", "measure") and distribution() == FULL:
        return f"pip install {FULL}"
    return f"pip install '{distribution()}[{extra}]'"


def is_importable(module: str) -> bool:
    """Whether a module that an installation may lack can be imported."""
    return find_spec(module) is not None


def require(extra: str) -> None:
    """Refuse what needs an extra before anything is begun.

    Raises:
      BackendError: A package of it is not installed.
    """
    for module, of in EXTRAS.items():
        if of == extra and not is_importable(module):
            raise _left_out(module)


@contextmanager
def missing_packages() -> Iterator[None]:
    """Turn the import of a package that an extra brings, and that is not here, into one line."""
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
