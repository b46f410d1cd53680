"""Every example runs, is short, and reaches its accuracy."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenfold
from tenfold import Run
from tenfold.model.predictions import Predictions
from tests.support.service import service

EXAMPLES = Path(tenfold.__file__).parent.parent.parent / "examples"
MNIST = Path(tenfold.__file__).parent / "data" / "catalog" / "mnist"


def run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    """What an example leaves: its names and their values."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


@pytest.mark.slow
def test_mnist_in_ten_lines_and_its_file_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = run("mnist", monkeypatch)
    assert left["run"].evaluation.accuracy.value > 0.978
    assert "['7', '2', '1', '0', '4'] true [7 2 1 0 4]" in capsys.readouterr().out
    code = (EXAMPLES / "mnist.py").read_text("utf-8").partition('"""\n')[2].partition("\n\n")[2]
    assert len(code.strip().splitlines()) <= 10

    images, labels = (str(next(MNIST.glob(f"t10k-{part}*"))) for part in ("images", "labels"))
    alone = run("onnx_alone", monkeypatch, "runs/mnist-network-1/model.onnx", images, labels)
    assert alone["accuracy"] == left["run"].evaluation.accuracy.value


def test_a_file_of_its_own_needs_no_tenfold() -> None:
    assert "import tenfold" not in (EXAMPLES / "onnx_alone.py").read_text("utf-8")


@pytest.mark.slow
def test_own_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("pictures", monkeypatch)["run"].evaluation.accuracy.value > 0.85


def test_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = run("table", monkeypatch)["scores"]
    assert scores.accuracy.value > 0.88 and scores.positive == "malignant"
    assert scores.average_precision.value > 0.95


def test_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("pipeline", monkeypatch)["scores"].mean() > 0.9
    assert Path("network.onnx").is_file()


def test_the_service_from_python_and_with_curl(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(small_run, log=tmp_path / "log") as running:
        address = f"http://127.0.0.1:{running.port}"
        left = run("service", monkeypatch, address)
        images = str(next(MNIST.glob("t10k-images*")))
        command = ["sh", str(EXAMPLES / "service.sh"), images, address]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # What the model has right by itself: it saw few rows.
    own = small_run.model.predict(left["images"])
    assert isinstance(own, Predictions)
    assert left["accuracy"] == np.mean(own.labels == left["true"].astype(str)) > 0.7
    assert left["answer"]["label"] == own.labels[0]
    ready, *answers = printed.splitlines()
    assert "ready" in ready and len(answers) == 2
    for text in answers:  # the same picture as bytes and as numbers
        (one,) = json.loads(text)["predictions"]
        assert one["probabilities"] == left["answer"]["probabilities"]


@pytest.mark.slow
def test_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = run("sweep", monkeypatch)["tried"]
    assert tried.best.evaluation.accuracy.value > 0.92
    assert tried.points[0].point["hidden"] == 64


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_it_has_less_than_50_lines_and_a_test(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 50
    assert f'run("{path.stem}"' in Path(__file__).read_text("utf-8")
