"""Make the archives of this folder: small runs written by version 0.1.0, commit 1ad35e6.

This program documents how the archives were made. It is not run again for a newer program, since
`tests/system/test_earlier_runs.py` asks whether newer programs can read what this commit wrote.
Runs of another version belong in another folder.

Everything is made in a temporary folder that is also the working folder, so that the paths in the
archives are relative: the data stand in `data.zip`, each run in an archive of its own, and
`expected.json` holds what the program printed for each command about a run.

Usage: python make.py
"""

import json
import os
import shlex
import signal
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits, load_iris
from typer.testing import CliRunner

import tenfold
from tenfold.cli.main import app
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Reading
from tenfold.experiments.make_run import Interrupted
from tenfold.inputs.idx import write_idx
from tenfold.learners import checkpoints

HERE = Path(__file__).resolve().parent

SMALL: dict[str, Any] = {"hidden": [8], "epochs": 3, "batch_size": 16}
"""Settings of the networks on images."""

TABLE: dict[str, Any] = {**SMALL, "learning_rate": 0.03}
"""Settings of the networks on tables."""

ORDERS = Reading(target="late")
DAYS = Reading(target="temperature", time="day", lags=7)

RUNS: list[tuple[str, dict[str, Any]]] = [
    ("digits", {"learner": "network", **SMALL}),
    ("digits", {"learner": "cnn", "width": 4, "epochs": 2, "batch_size": 32}),
    ("digits", {"learner": "forest", "n_trees": 8}),
    ("digits", {"learner": "bayes"}),
    ("digits", {"learner": "logistic"}),
    ("digits", {"learner": "baseline"}),
    ("iris.csv", {"learner": "neighbors", "target": "species"}),
    ("mnist-part", {"learner": "network", "robustness": True, **SMALL}),
    ("pictures", {"learner": "cnn", "width": 4, "epochs": 2, "batch_size": 16}),
    (
        "orders.csv",
        {"learner": "network", "reading": ORDERS, "folds": 3, "robustness": True, **TABLE}
        | {"cost": {"false_negative": 2.0}},
    ),
    ("diabetes.csv", {"learner": "linear", "target": "progression"}),
    ("diabetes.csv", {"learner": "network", "target": "progression", **TABLE}),
    ("days.csv", {"learner": "linear", "reading": DAYS}),
]
"""Data and arguments of `tenfold.train`."""

SWEEP = (
    "sweep iris.csv --target species --hidden 4,8 --layers 1 --epochs 3 --batch-size 16 "
    "--learning-rate 0.03 --workers 1 --json"
)
COMPARISON = "compare iris.csv --target species --learners bayes,logistic --workers 1 --json"

INTERRUPTED = "digits-network-2"
"""The run that ended with an interruption after three of its six epochs."""

ASKED = {
    "digits": "asked/digits.idx",
    "diabetes": "asked/diabetes.csv",
    "days": "asked/days.csv",
    "iris": "asked/iris.csv",
    "mnist-part": "asked/mnist.idx asked/seven.png",
    "orders": "asked/orders.csv",
    "pictures": "asked/picture.png",
}
"""Inputs of `tenfold predict` for the runs on each dataset."""


def main() -> None:
    """Make the data, the runs and `expected.json`, and archive them beside this program."""
    matplotlib.rcParams["savefig.dpi"] = 30  # no test looks at the pictures beside the report
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_data()
        archive("data", sorted(Path().iterdir()))
        for source, arguments in RUNS:
            tenfold.train(source, **arguments)
        interrupt()
        for command in (SWEEP, COMPARISON):
            printed(command)
        expected: dict[str, Any] = {}
        for run in sorted(Path("runs").iterdir()):
            archive(run.name, [run])
            expected[run.name] = {command: printed(command) for command in commands(run)}
        expected["features.onnx"] = make_features_model()
        text = json.dumps(expected, indent=1) + "\n"
        (HERE / "expected.json").write_text(text)


def commands(run: Path) -> list[str]:
    """The commands whose output is stored for a run."""
    data, kind, _ = run.name.rsplit("-", 2)
    if kind == "comparison":
        return [COMPARISON]
    if kind == "sweep":
        return [SWEEP, f"predict {run}/best {ASKED[data]} --json"]
    asked = [f"predict {run} {ASKED[data]} --json"]
    if data == "days":
        asked.append(f"predict {run} --steps 3 --json")
    if data == "mnist-part":
        asked.append(f"read {run} asked/page.png --no-picture --json")
    return asked


def printed(command: str) -> Any:
    """The JSON that a command prints."""
    result = CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)
    return json.loads(result.stdout)


def interrupt() -> None:
    """Make the interrupted run, with a checkpoint of every epoch."""

    class Interrupts(Listener):
        def epoch(self, epoch: Epoch, n_epochs: int) -> None:
            if epoch.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

    checkpoints.EVERY_SECONDS = 0
    try:
        tenfold.train("digits", listener=Interrupts(), **{**SMALL, "epochs": 6})
    except Interrupted as interrupted:
        assert interrupted.run.path.name == INTERRUPTED


def make_features_model() -> dict[str, Any]:
    """Write the model of a scikit-learn estimator; returns inputs and their probabilities."""
    iris = load_iris()
    estimator = tenfold.NetworkClassifier((8,), max_epochs=3, batch_size=16)
    estimator.fit(iris.data, iris.target_names[iris.target])
    (HERE / "features.onnx").write_bytes(estimator.onnx_)
    rows = iris.data[[0, 75, 149]]
    answers = tenfold.Model.open(HERE / "features.onnx").answer(rows).outputs[0]
    return {"features": rows.tolist(), "probabilities": answers.tolist()}


def archive(name: str, paths: list[Path]) -> None:
    """Write files and folders into an archive; equal files give equal archives."""
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    with ZipFile(HERE / f"{name}.zip", "w") as target:
        for file in sorted(files):
            about = ZipInfo(file.as_posix())  # dated 1980
            about.external_attr = 0o644 << 16
            target.writestr(about, file.read_bytes(), ZIP_DEFLATED, compresslevel=9)


def write_data() -> None:
    """Write the data of the runs, and further inputs for `tenfold predict`."""
    Path("asked").mkdir()
    write_digits()
    write_mnist()
    write_pictures()
    write_orders()
    write_days()
    iris = load_iris(as_frame=True)
    flowers = iris.data.assign(species=iris.target_names[iris.target])
    write_table("iris.csv", flowers, [1, 76, 148])
    diabetes = load_diabetes(as_frame=True, scaled=False).frame
    write_table("diabetes.csv", diabetes.rename(columns={"target": "progression"}), [2, 5, 11])


def write_table(name: str, table: pd.DataFrame, asked: list[int], **options: Any) -> None:
    """Write a table, and some of its rows without the answer as an input."""
    table.to_csv(name, index=False, **options)
    table.iloc[asked, :-1].to_csv(f"asked/{name}", index=False, **options)


def write_idx_folder(folder: str, x: NDArray[Any], y: NDArray[Any], n_train: int) -> None:
    """Write images and labels under the names of MNIST's files."""
    Path(folder).mkdir()
    for part, rows in (("train", slice(n_train)), ("t10k", slice(n_train, None))):
        write_idx(Path(folder, f"{part}-images-idx3-ubyte"), x[rows])
        write_idx(Path(folder, f"{part}-labels-idx1-ubyte"), y[rows].astype(np.uint8))


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The digits of scikit-learn, 8x8 pixels with 17 greys, as uint8."""
    found = load_digits()
    return (found.images * 15).astype(np.uint8), found.target


def write_digits() -> None:
    """A part of these digits, and three others."""
    x, y = digits()
    write_idx_folder("digits", x[:620], y[:620], 520)
    write_idx(Path("asked/digits.idx"), x[1000:1003])


def write_mnist() -> None:
    """A part of MNIST, one digit dark on light paper, and a page of two lines."""
    mnist = tenfold.load("mnist").images
    labels = tenfold.load("mnist").y
    rows = np.r_[:300, 60_000:60_060]
    write_idx_folder("mnist-part", mnist[rows], labels[rows], 300)
    write_idx(Path("asked/mnist.idx"), mnist[1000:1003])
    seven = 255 - np.pad(mnist[60_000], 8)
    Image.fromarray(np.kron(seven, np.ones((2, 2), np.uint8))).save("asked/seven.png")
    lines = [np.concatenate(list(np.pad(mnist[n : n + 4], ((0, 0), (6, 6), (3, 3)))), axis=1)
             for n in (60_000, 60_010)]  # fmt: skip
    Image.fromarray(255 - np.pad(np.concatenate(lines), 10)).save("asked/page.png")


def write_pictures() -> None:
    """Small pictures in colour: digits in three colours, a folder for each digit."""
    x, y = digits()
    colours = [[255, 120, 90], [90, 200, 255], [200, 255, 100]]
    for label, name in enumerate(("zero", "one", "two")):
        Path("pictures", name).mkdir(parents=True)
        for number, digit in enumerate(x[y == label][:20]):
            grey = np.kron(digit, np.ones((2, 2), np.uint8))[..., None] / 255
            pixels = grey * np.roll(colours, number, axis=0)[0]
            path = Path("pictures", name, f"{number}.png")
            Image.fromarray(pixels.round().astype(np.uint8)).save(path)
    Path("pictures/two/19.png").rename("asked/picture.png")


def write_orders() -> None:
    """A table with a column of each kind and some cells that are missing."""
    rng, n = np.random.default_rng(0), 300
    country = rng.choice(["DE", "FR", "IT"], n, p=[0.6, 0.3, 0.1])
    distance = rng.gamma(2, 200, n).round(1)
    express = rng.random(n) < 0.3
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 365, n), "D")
    notes = np.array(["leave at the door", "fragile glass", "call before arrival", "no note"])
    chosen = rng.choice(notes, (n, 2))
    late = distance / 400 - 2 * express + (country == "IT") + rng.normal(0, 0.7, n) > 1.2
    orders = pd.DataFrame(
        {
            "country": country,
            "distance_km": np.where(rng.random(n) < 0.05, np.nan, distance),
            "express": np.where(express, "yes", "no"),
            "ordered": day.strftime("%Y-%m-%d"),
            "note": [f"{a}, floor {i % 11}, {b}" for i, (a, b) in enumerate(chosen)],
            "late": np.where(late, "late", "in time"),
        }
    )
    write_table("orders.csv", orders, [1, 11, int(orders["distance_km"].isna().argmax())])


def write_days() -> None:
    """A daily series with semicolons between the cells and a decimal comma."""
    rng, n = np.random.default_rng(1), 240
    days = pd.date_range("2023-01-01", periods=n + 2).strftime("%Y-%m-%d")
    wave = 10 + 8 * np.sin(np.arange(n + 2) / 9) + rng.normal(0, 0.6, n + 2)
    series = pd.DataFrame({"day": days, "temperature": wave.round(2)})
    series[:n].to_csv("days.csv", index=False, sep=";", decimal=",")
    series[n:].to_csv("asked/days.csv", index=False, sep=";", decimal=",")


if __name__ == "__main__":
    main()
