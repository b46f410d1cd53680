"""What `tenfold export` makes is used by programs that do not know Tenfold."""

import ast
import csv
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold import Dataset, Run
from tenfold.build.calibration import Constants
from tenfold.build.onnx import to_graph
from tenfold.build.onnx.fronts import encode_features
from tenfold.core.contract import Contract, FeaturesInput, ImageInput
from tenfold.core.settings import Reading, checked
from tenfold.learners.architectures import convolutional_network, dense_network
from tenfold.learners.network import Network, Vote
from tenfold.model.model import Model
from tenfold.model.predictions import Predictions, Values
from tenfold.runs.export import write_keras, write_onnx
from tests.support.errors import refused
from tests.support.networks import fitted, untrained

CALIBRATED = Constants(temperature=1.7, label_factors=(0.5, 1.0, 2.0))

PLAIN_KERAS = r"""
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
sys.modules["tenfold"] = None
import keras, numpy as np
for line in sys.stdin:
    model, x, answers = line.rstrip("\n").split("\t")
    network = keras.saving.load_model(model, compile=False)
    np.save(answers, network.predict(np.load(x), verbose=0))
    print(*(type(layer).__name__ for layer in network.layers), flush=True)
"""

Asked = Callable[[Path, NDArray[Any]], tuple[NDArray[np.float32], list[str]]]


def saved(content: bytes) -> Path:
    path = Path("model.onnx")
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def asked_alone() -> Iterator[Asked]:
    """The answers of a Keras file in a process where Tenfold cannot be imported, and its layers."""
    command = [sys.executable, "-c", PLAIN_KERAS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        stdin, stdout = it.stdin, it.stdout
        assert stdin is not None and stdout is not None

        def ask(path: Path, x: NDArray[Any]) -> tuple[NDArray[np.float32], list[str]]:
            np.save("x.npy", x)
            names = (str(name.absolute()) for name in (path, Path("x.npy"), Path("answers.npy")))
            stdin.write("\t".join(names) + "\n")
            stdin.flush()
            layers = stdout.readline().split()
            assert layers, "the process ended; its error is above"
            answers: NDArray[np.float32] = np.load("answers.npy")
            return answers, layers

        yield ask
        stdin.close()
        assert it.wait() == 0


def pictures(network: Network | Vote, learner: str) -> Path:
    """A model file of pictures with a calibration that matters."""
    first = network.members[0] if isinstance(network, Vote) else network
    shape = first.architecture.input_shape
    promise = Contract(
        input=ImageInput(height=shape[0], width=shape[1], channels=3 if len(shape) == 3 else 1),
        labels=("a", "b", "c"),
        learner=learner,
        tenfold="0",
    )
    return saved(to_graph(fitted(network, learner), promise, constants=CALIBRATED))


@pytest.mark.slow
def test_a_trained_network_with_its_calibration(
    small_run: Run, mnist: Dataset, asked_alone: Asked
) -> None:
    path = Path("digits.keras")
    said = write_keras(small_run.path, path)
    assert said == "(n, 28, 28), values 0 to 255, to calibrated probabilities (n, 10)"
    x = mnist.x[60_000:60_200]
    answers, layers = asked_alone(path, x)
    np.testing.assert_allclose(answers, small_run.model.answer(x).outputs[0], atol=1e-5)
    assert layers[:4] == ["Rescaling", "Flatten", "Dense", "Dense"] and layers[-1] == "Softmax"
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json").decode()
    assert "tenfold" not in config.lower()
    assert '"activation": "relu"' in config


@pytest.mark.parametrize("shape", [(5, 4), (4, 5, 3)])
def test_dense_layers_of_any_picture(shape: tuple[int, ...], asked_alone: Asked) -> None:
    model = pictures(untrained(dense_network(shape, [7, 6], 3), seed=1), "network")
    write_keras(model, Path("small.keras"))
    x = np.random.default_rng(1).integers(0, 256, (50, *shape), np.uint8)
    answers, _ = asked_alone(Path("small.keras"), x)
    expected = Model.open(model).answer(x).outputs[0]
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1  # the answers differ, so that agreement says something


@pytest.mark.parametrize("shape", [(9, 8, 3), pytest.param((21, 27), marks=pytest.mark.slow)])
def test_convolutions_of_odd_sizes(shape: tuple[int, ...], asked_alone: Asked) -> None:
    network = untrained(convolutional_network(shape, 3, width=4), seed=1)
    rng = np.random.default_rng(0)
    for arrays in network.parameters.values():
        if "beta" in arrays:
            for array in arrays.values():
                array[:] = rng.uniform(0.5, 1.5, array.shape)
    model = pictures(network, "cnn")
    write_keras(model, Path("cnn.keras"))
    x = rng.integers(0, 256, (20, *shape), np.uint8)
    answers, layers = asked_alone(Path("cnn.keras"), x)
    np.testing.assert_allclose(answers, Model.open(model).answer(x).outputs[0], atol=1e-5)
    assert "Conv2D" in layers and "BatchNormalization" not in layers


def test_a_vote_of_networks(asked_alone: Asked) -> None:
    networks = [untrained(dense_network((5, 4), [6], 3), seed=seed) for seed in (1, 2, 3)]
    model = pictures(Vote(tuple(networks)), "network")
    write_keras(model, Path("vote.keras"))
    x = np.random.default_rng(1).integers(0, 256, (50, 5, 4), np.uint8)
    answers, _ = asked_alone(Path("vote.keras"), x)
    expected = Model.open(model).answer(x).outputs[0]
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    alone = Model.open(pictures(networks[0], "network")).answer(x).outputs[0]
    assert np.abs(alone - expected).max() > 0.01


def features(mean: float, n_labels: int | None) -> Path:
    """A model file of three features around a mean."""
    given = FeaturesInput(n_features=3)
    labels = ("a", "b", "c") if n_labels else ()
    promise = Contract(
        task="classification" if labels else "regression",
        input=given,
        labels=labels,
        learner="network",
        tenfold="0",
    )
    constants = CALIBRATED if labels else Constants(target_mean=50.0, target_scale=20.0)
    front = encode_features(given, np.full(3, mean), np.array([0.5, 1.0, 2.0])).front
    network = fitted(untrained(dense_network((3,), [6], n_labels), seed=2))
    return saved(to_graph(network, promise, constants=constants, front=front))


@pytest.mark.parametrize("n_labels", [3, None])
def test_features_and_values(n_labels: int | None, asked_alone: Asked) -> None:
    model = features(3.0, n_labels)
    said = write_keras(model, Path("features.keras"))
    assert said.startswith("(n, 3), float32, to ")
    x = np.random.default_rng(0).normal(3, 2, (50, 3))
    x[0] = 1e4  # farther than any deviation that the model lets through
    answers, _ = asked_alone(Path("features.keras"), x)
    expected = Model.open(model).answer(x)
    if isinstance(expected, Values):
        np.testing.assert_allclose(answers[1:, 0], expected.value[1:], atol=20e-5)
        np.testing.assert_allclose(answers[0, 0], expected.value[0], rtol=1e-5)
    else:
        np.testing.assert_allclose(answers, expected.probabilities, atol=1e-5)


def test_what_float32_cannot_hold_is_refused() -> None:
    with refused("E706"):
        write_keras(features(1e8, 3), Path("far.keras"))
    assert not Path("far.keras").exists()


def test_other_learners_and_tables_are_one_clear_error(mnist: Dataset) -> None:
    data = mnist.take(np.r_[:300, 60_000:60_050])
    run = tenfold.train(data, learner="bayes")
    with refused("E705", "learner='bayes'"):
        write_keras(run.path, Path("bayes.keras"))
    table = table_run()
    with refused("E705", "learner='logis"):
        write_keras(table.path, Path("table.keras"))
    assert not list(Path().glob("*.keras"))
    asked = sampled(table)
    assert asked == stored_answers(table)


def table_run() -> Run:
    rows = ["colour,day,words,size,kind"]
    for i in range(120):
        kind = "small" if i % 3 else "large"
        colour, day = ("red", "blue")[i % 2], f"2024-01-{i % 28 + 1:02}"
        size = i % 7 + (20 if kind == "large" else 0)
        rows.append(f"{colour},{day},a {kind} thing number {i} {colour},{size},{kind}")
    Path("rows.csv").write_text("\n".join(rows) + "\n")
    reading = checked(Reading, {"target": "kind", "columns": {"words": "text", "day": "date"}})
    return tenfold.train("rows.csv", learner="logistic", reading=reading)


def stored_answers(run: Run) -> list[str]:
    """Label and confidence of each stored example, as the run has them."""
    with (run.path / "examples" / "answers.csv").open(newline="") as file:
        return [row["predicted"] for row in csv.DictReader(file)]


def sampled(run: Run) -> list[str]:
    """The labels that the exported program prints."""
    write_onnx(run.path, Path("alone.onnx"))
    done = subprocess.run([sys.executable, "alone.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


def test_the_sample_program_answers_with_onnx_runtime_and_numpy_alone(small_run: Run) -> None:
    assert sampled(small_run) == stored_answers(small_run)
    assert Path("alone.onnx").read_bytes() == (small_run.path / "model.onnx").read_bytes()
    text = Path("alone.py").read_text()
    modules = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert modules == {"json", "os", "sys", "pathlib", "numpy", "onnxruntime"}
    assert "python alone.py own.npz" in text

    x = np.zeros((1, 28, 28), np.uint8)
    np.savez("own.npz", image=x)
    done = subprocess.run([sys.executable, "alone.py", "own.npz"], capture_output=True, text=True)
    answer = small_run.model.predict(x)
    assert isinstance(answer, Predictions)
    assert done.stdout.split()[:2] == [answer.labels[0], f"{answer.confidence[0]:.4f}"]
    assert ("unsure" in done.stdout) == bool(answer.unsure[0])


def test_a_model_alone_has_no_examples() -> None:
    with refused("E707"):
        write_onnx(features(0.0, 3), Path("alone.onnx"))
    assert not Path("alone.onnx").exists()
