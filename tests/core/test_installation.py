"""What an installation lacks is named with the command that adds it."""

import subprocess
import sys
from pathlib import Path

import pytest

import tenfold
from tenfold.core import installation
from tests.support.errors import refused


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(installation, "distributions", lambda: list(names))


@pytest.mark.parametrize(
    "names, extra, command",
    [
        ([], "serve", "pip install 'tenfold[serve]'"),
        (["tenfold"], "train", "pip install tenfold"),
        (["tenfold-slim"], "train", "pip install 'tenfold-slim[train]'"),
        (["tenfold-slim"], "serve", "pip install 'tenfold-slim[serve]'"),
    ],
)
def test_the_command_adds_to_what_is_installed(
    names: list[str], extra: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, *names)
    assert installation.adding(extra) == command


def test_a_training_without_its_packages_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, "tenfold-slim")
    monkeypatch.setitem(sys.modules, "jax", None)
    for begin in (tenfold.train, tenfold.sweep, tenfold.compare):
        with refused("E922", "package='jax'") as raised:
            begin("no such data")
        assert str(raised.value).endswith("pip install 'tenfold-slim[train]'.")
    assert not list(tmp_path.iterdir())


def test_a_public_name_that_needs_a_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(tenfold), "NetworkClassifier", raising=False)
    monkeypatch.delitem(sys.modules, "tenfold.build.sklearn", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with refused("E922", "package='sklearn'"):
        _ = tenfold.NetworkClassifier


def test_a_module_that_no_extra_brings_is_no_fault_of_the_installation() -> None:
    with pytest.raises(ModuleNotFoundError), installation.missing_packages():
        import no_such_module  # type: ignore[import-not-found] # noqa: F401


def test_the_sources_are_no_distribution() -> None:
    assert installation.distribution() == "tenfold"
    assert installation.version_of("tenfold") == tenfold.__version__


def test_the_program_is_a_module() -> None:
    command = [sys.executable, "-m", "tenfold", "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == f"tenfold {tenfold.__version__}\n"
