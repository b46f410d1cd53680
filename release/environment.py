"""Virtual environments in which a release is tested."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*command: object, folder: Path = ROOT) -> None:
    """Run a program; its failure is ours."""
    subprocess.run([str(word) for word in command], check=True, cwd=folder)


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def new_environment(folder: Path) -> Path:
    """An empty environment with pip; returns its interpreter."""
    venv.create(folder, with_pip=True, clear=True)
    return python_of(folder)


def make_environment(python: Path | str, folder: Path, *options: str) -> Path:
    """An environment of an interpreter with this tree and what its tests need.

    It is kept: what is there already is not installed again. The options are those of
    `uv pip install`.
    """
    if not python_of(folder).exists():
        run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", python, folder)
    own = python_of(folder)
    chosen = ("--quiet", "--python", own, *options)
    run(sys.executable, "-m", "uv", "pip", "install", *chosen, "--editable", ".[dev]")
    return own


def passes(python: Path, *options: str) -> bool:
    """Whether the tests pass on an interpreter; the options are those of pytest."""
    command = [str(python), "-m", "pytest", "-n", "2", "-q", "-rs", *options]
    return subprocess.run(command, cwd=ROOT).returncode == 0
