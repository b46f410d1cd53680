"""Both wheels in empty environments outside of the repository, as a user has them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from release.environment import ROOT, install, new_environment, python_of, run

from tenfold import Dataset, Prediction, Run
from tests.support.wheels import Wheels

pytestmark = pytest.mark.slow

SLIM_BYTES, SECONDS = 350e6, 60.0
"""What tenfold-slim with the service may take on the disk; the processor time that it may take from
nothing to a trained network for MNIST, where the packages are in uv's cache."""


class Installed:
    """An empty environment with a wheel in it, and a folder to work in."""

    def __init__(self, folder: Path, wheel: Path, extra: str = "") -> None:
        self.bin, self.folder = python_of(folder / "env").parent, folder / "work"
        self.folder.mkdir()
        new_environment(sys.executable, folder / "env")
        self.install(f"{wheel}{extra}")

    def install(self, *wanted: str) -> None:
        install(python_of(self.bin.parent), *wanted)

    def call(self, program: str, *words: object, status: int = 0) -> str:
        """Run a program of the environment; returns what it printed."""
        done = subprocess.run(
            [str(self.bin / program), *map(str, words)],
            cwd=self.folder, env=environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def service(self, folder: Path) -> Iterator[str]:
        """`tenfold serve` on a free port; gives its address."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [str(self.bin / "tenfold"), "serve", str(folder), "--port", str(port)]
        process = subprocess.Popen(command, cwd=self.folder, env=environment())
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/health/ready")
            yield address
        finally:
            process.terminate()
            assert process.wait(30) == 0

    @property
    def n_bytes(self) -> int:
        """What the packages take on the disk, compiled by Python too as pip does."""
        subprocess.run([self.bin / "python", "-m", "compileall", "-qq", self.bin.parent / "lib"])
        files = (path for path in (self.bin.parent / "lib").rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files)


def environment() -> dict[str, str]:
    """That of the tests, without the repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def processor_seconds() -> float:
    """What the programs that were started and have ended took."""
    return sum(os.times()[2:4])


def wait_for(address: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(address)


def ask(address: str, picture: bytes) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/v1/predict", picture, {"content-type": "image/png"}
    )
    with urllib.request.urlopen(request) as reply:
        (answer,) = json.load(reply)["predictions"]
        return dict(answer)


@pytest.fixture
def pictures(mnist: Dataset, tmp_path: Path) -> Path:
    """A photo of a digit and a page of three."""
    large = [255 - np.kron(mnist.x[i], np.ones((6, 6), np.uint8)) for i in range(3)]
    Image.fromarray(large[0]).save(tmp_path / "photo.png")
    Image.fromarray(np.hstack(large)).save(tmp_path / "page.png")
    return tmp_path


def test_the_wheel_alone_does_all_that_the_readme_shows(
    wheels: Wheels, pictures: Path, tmp_path: Path
) -> None:
    begun = processor_seconds()
    installed = Installed(tmp_path, wheels.full.path)
    installed.call("tenfold", "train", "mnist")
    seconds = processor_seconds() - begun
    assert "pip install 'tenfold[serve]'" in installed.call("tenfold", "serve", "x", status=1)
    made = installed.folder / "runs" / "mnist-network-1"
    assert "5" in installed.call("tenfold", "predict", made, pictures / "photo.png")
    assert "504" in installed.call("tenfold", "read", made, pictures / "page.png")
    assert "accuracy" in installed.call("python", "-m", "tenfold", "evaluate", made)
    installed.call("tenfold", "verify", made)
    installed.call("tenfold", "report", made)
    installed.install(f"tenfold[serve] @ {wheels.full.path.as_uri()}")
    shutil.copytree(ROOT / "examples", installed.folder / "examples")
    with installed.service(made) as address:
        assert ask(address, (pictures / "photo.png").read_bytes())["label"] == "5"
        installed.call("python", "examples/service.py", address)
    for example in ("mnist", "pictures", "table", "pipeline", "sweep"):
        installed.call("python", f"examples/{example}.py")
    assert seconds < SECONDS


def test_with_uvx_one_command_trains(wheels: Wheels, tmp_path: Path) -> None:
    uvx = [sys.executable, "-m", "uv", "tool", "run", "--python", sys.executable]
    command = [*uvx, "--from", str(wheels.full.path), "tenfold", "train", "mnist", "--epochs", "1"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True)
    assert (tmp_path / "runs" / "mnist-network-1" / "model.onnx").exists()


def test_slim_asks_measures_reports_and_serves_a_run_that_was_made_elsewhere(
    wheels: Wheels, small_run: Run, pictures: Path, tmp_path: Path
) -> None:
    installed = Installed(tmp_path, wheels.slim.path, "[serve]")
    made = shutil.copytree(small_run.path, installed.folder / "digits")
    photo = pictures / "photo.png"
    answer = small_run.model.predict_one(photo)
    assert isinstance(answer, Prediction)
    label = answer.as_dict()
    answered = json.loads(installed.call("tenfold", "predict", made, photo, "--json"))
    assert answered["predictions"][0]["probabilities"] == pytest.approx(label)
    installed.call("tenfold-slim", "read", made, pictures / "page.png")
    assert "accuracy" in installed.call("tenfold", "evaluate", made, "mnist")
    installed.call("tenfold", "verify", made)
    installed.call("tenfold", "report", made)
    installed.call("tenfold", "doctor")
    with installed.service(made) as address:
        assert ask(address, photo.read_bytes())["probabilities"] == pytest.approx(label)
    for words, extra in (
        (("train",), "train"),
        (("data", "fetch", "fashion-mnist"), "train"),
        (("evaluate", made, "mnist", "--robustness"), "measure"),
    ):
        said = installed.call("tenfold", *words, status=1)
        assert f"pip install 'tenfold-slim[{extra}]'" in said and "E922" in said
    assert installed.n_bytes < SLIM_BYTES


@pytest.mark.parametrize("first", ["full", "slim"])
def test_pip_installs_both_and_removes_one(first: str, wheels: Wheels, tmp_path: Path) -> None:
    """Without the packages that they need: the package itself needs none to be imported."""
    run(sys.executable, "-m", "venv", tmp_path / "env")
    python = python_of(tmp_path / "env")

    def pip(*words: object) -> None:
        run(python, "-m", "pip", "--disable-pip-version-check", *words, "--quiet")

    def imported() -> str:
        command = [str(python), "-c", "import tenfold"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        return done.stderr.strip()

    for name in ("full", "slim") if first == "full" else ("slim", "full"):
        pip("install", "--no-deps", getattr(wheels, name).path)
    assert "are both installed" in imported()
    kept, removed = ("tenfold", "tenfold-slim") if first == "full" else ("tenfold-slim", "tenfold")
    pip("uninstall", "--yes", removed)
    assert imported().endswith(f"pip install --force-reinstall --no-deps {kept}")
    pip("install", "--force-reinstall", "--no-deps", getattr(wheels, first).path)
    assert imported() == ""
