"""Virtual environments in which a release is tested."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*command: object, folder: Path = ROOT) -> None:
    """Run a program; its failure is ours."""
    subprocess.run([str(word) for word in command], check=True, cwd=folder)


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def new_environment(python: Path | str, folder: Path) -> Path:
    """An empty environment of an interpreter; returns its own interpreter."""
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", python, folder)
    return python_of(folder)


def install(python: Path, *wanted: object) -> None:
    """Install packages into the environment of an interpreter, as `uv pip install` does."""
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *wanted)


def make_environment(python: Path | str, folder: Path, *options: str) -> Path:
    """An environment of an interpreter with this tree and what its tests need.

    It is kept: what is there already is not installed again. The options are those of
    `uv pip install`.
    """
    own = python_of(folder)
    if not own.exists():
        new_environment(python, folder)
    install(own, *options, "--editable", ".[dev]")
    return own


def passes(python: Path, *options: str) -> bool:
    """Whether the tests pass on an interpreter; the options are those of pytest."""
    command = [str(python), "-m", "pytest", "-n", "2", "-q", "-rs", *options]
    return subprocess.run(command, cwd=ROOT).returncode == 0
