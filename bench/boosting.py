"""`boosting` beside LightGBM's defaults, on the same rows: `python -m bench.boosting [TABLE ...]`.

A table is a name of `SETS` or FILE:TARGET; without any all of `SETS` are measured. For each of five
splits both are fitted to the training and validation rows, ours by `boosting` as `tenfold train`
does it, LightGBM with its defaults; it sees categories and missing cells as they are. Both answer
the same test rows. Then 1,000 trees of 60,000 rows by 50 columns become a model file.

Writes bench/results/boosting.json and prints the tables of docs/guide/learners.md.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn import datasets

import tenfold
from bench.measure import environment
from tenfold.build import onnx as graph
from tenfold.build.build import fit_model
from tenfold.build.calibration import Constants, at_temperature
from tenfold.build.onnx.fronts import encode_features
from tenfold.build.problem import Problem
from tenfold.core.contract import Contract, FeaturesInput
from tenfold.core.progress import Listener
from tenfold.core.settings import Reading, resolve
from tenfold.core.systems import usable_cores
from tenfold.core.task import TaskKind
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split, split
from tenfold.learners import LEARNERS, Examples, TrainingJob
from tenfold.learners.classical import loss_of
from tenfold.model.model import Model

RESULTS = Path(__file__).parent / "results" / "boosting.json"
PEER = Path(__file__).parent / "peers_boosting.py"
SETS = ("iris", "wine", "breast_cancer", "diabetes", "digits")
SPLITS = 5
N_SPEED, N_ASKED, N_TREES = 60_000, 100_000, 1_000


def main() -> None:
    """Measure, write the results and print both tables."""
    python = environment("lightgbm", ["lightgbm", "scikit-learn"])
    if python is None:
        sys.exit("LightGBM could not be installed")
    tables = {name: _compared(name, python) for name in sys.argv[1:] or SETS}
    found = {"tables": tables, "speed": _speed(python)}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print("\n".join(_lines(found)))


def dataset(name: str) -> Dataset:
    if name in SETS:
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        task: TaskKind = "regression" if name == "diabetes" else "classification"
        return tenfold.load(frame, reading=Reading(target="target", task=task))
    path, _, target = name.rpartition(":")
    return tenfold.load(path, target=int(target) if target.lstrip("-").isdigit() else target)


def _compared(name: str, python: Path) -> list[dict[str, float]]:
    """The losses of both on the test rows of each split: log loss, or RMSE."""
    data, found = dataset(name), []
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as text:
        folder, splits = (
            Path(text),
            [split(data, seed=s, validation_size=0.15) for s in range(SPLITS)],
        )
        for seed, parts in enumerate(splits):
            np.savez(folder / f"{seed}.npz", **plain(data, parts))
        subprocess.run([python, PEER, folder], check=True, stdout=subprocess.DEVNULL)
        for seed, parts in enumerate(splits):
            theirs = np.load(folder / f"{seed}.answers.npy")
            found.append(_losses(data, parts, seed, theirs))
            print(name, seed, found[-1], file=sys.stderr, flush=True)
    return found


def _losses(
    data: Dataset, parts: Split, seed: int, theirs: NDArray[np.float64]
) -> dict[str, float]:
    settings = resolve({"learner": "boosting", "seed": seed}, table=True)
    start = time.process_time()
    model = Model(fit_model(Problem(data, parts, settings, refit=True)).content)
    seconds, true = time.process_time() - start, data.y[parts.test]
    answers, temperature = model.answer(data.x[parts.test]).outputs[0], model.contract.temperature
    before = at_temperature(answers, 1 / temperature) if data.labels else answers
    return {
        "ours": loss(answers, true),
        "before": loss(before, true),
        "lightgbm": loss(theirs, true),
        "cpu_seconds": seconds,
    }


def loss(answers: NDArray[Any], true: NDArray[Any]) -> float:
    """Log loss of probabilities, or RMSE of values."""
    found = loss_of(answers, true, None)
    return found if answers.ndim == 2 else math.sqrt(found)


def plain(data: Dataset, parts: Split) -> dict[str, Any]:
    """Rows as LightGBM takes them: numbers, and categories by number."""
    accepted = data.input
    assert accepted.kind == "table"
    fitted_to, categories, columns = np.r_[parts.train, parts.validation], [], []
    for i, column in enumerate(accepted.columns):
        cells = data.x.columns[column.name]
        if column.kind not in ("number", "category", "yes/no"):
            raise SystemExit(f"{column.name} is of kind {column.kind}: leave it out")
        if column.kind == "number":
            columns.append(np.asarray(cells, np.float64))
        else:
            categories.append(i)
            columns.append(np.unique(cells.astype(str), return_inverse=True)[1].astype(float))
    x, y = np.stack(columns, axis=1), data.y
    return {
        "x": x[fitted_to],
        "y": y[fitted_to],
        "asked": x[parts.test],
        "categories": np.array(categories, np.int64),
        "n_labels": len(data.labels),
        "threads": usable_cores(),
    }


def _speed(python: Path) -> dict[str, float]:
    """Seconds to the model file, the largest difference, and seconds of 100,000 answers each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_SPEED, 50)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    known = np.nan_to_num(x)
    y = (known[:, 0] * known[:, 1] + known[:, 2] + rng.normal(size=N_SPEED) > 0).astype(np.int64)
    asked = rng.normal(size=(N_ASKED, 50)).astype(np.float32)
    settings = resolve({"learner": "boosting", "rounds": N_TREES, "validation_size": 0}, table=True)
    job = TrainingJob(Examples(x, y), None, 2, settings, Listener())
    fitted = LEARNERS["boosting"].fit(job)
    accepted = FeaturesInput(n_features=50)
    front = encode_features(accepted, np.zeros(50), np.ones(50)).front
    contract = Contract(
        task="classification", input=accepted, labels=("a", "b"), learner="boosting", tenfold="0"
    )
    start = time.perf_counter()
    content = graph.to_graph(fitted, contract, constants=Constants(), front=front)
    written = time.perf_counter()
    model, wide = Model(content), asked.astype(np.float64)
    model.answer(wide[:10])
    asked_at = time.perf_counter()
    answers = model.answer(wide).outputs[0]
    ended = time.perf_counter()
    # The front of features cuts at ten deviations, which no row here comes near to.
    difference = float(np.abs(answers - fitted.answers(asked)).max())
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as text:
        plain: dict[str, Any] = {"x": x, "y": y, "asked": asked, "n_labels": 2}
        plain |= {"categories": np.empty(0, np.int64), "n_trees": N_TREES}
        np.savez(Path(text) / "speed.npz", **plain, threads=usable_cores())
        run = subprocess.run([python, PEER, text], check=True, capture_output=True, text=True)
        theirs = json.loads(run.stdout)["answers"]
    return {
        "export": written - start,
        "difference": difference,
        "answers": ended - asked_at,
        "lightgbm_answers": theirs,
        "megabytes": len(content) / 1e6,
    }


def ratio_of_means(
    rows: list[dict[str, float]], name: str, peer: str
) -> tuple[float, float, float]:
    """Ours summed over the splits to the peer's, with its 95% interval by linearisation (Cochran
    1977, "Sampling Techniques", section 6.3).

    The mean of the ratios of single splits would be another question: of a few test rows without an
    error the surest model loses next to nothing, so that it wins such a split by any factor,
    however much it loses in the next.
    """
    ours, theirs = (np.array([row[key] for row in rows]) for key in (name, peer))
    ratio = float(ours.sum() / theirs.sum())
    if len(rows) < 2:
        return ratio, 0.0, math.inf
    error = (ours - ratio * theirs).std(ddof=1) / theirs.mean() / math.sqrt(len(rows))
    half = float(student.ppf(0.975, len(rows) - 1) * error)
    return ratio, ratio - half, ratio + half


def mean_ratio(rows: list[dict[str, float]], name: str, peer: str) -> float:
    """Geometric mean over the splits of ours to the peer's."""
    return math.exp(np.mean([math.log(row[name] / row[peer]) for row in rows]))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [
        "| data | ours | LightGBM | ratio | before calibration | mean of ratios, before |",
        "|---|---|---|---|---|---|",
    ]
    logs = []
    for name, rows in found["tables"].items():
        ours, theirs = (np.mean([row[key] for row in rows]) for key in ("ours", "lightgbm"))
        of_means = [ratio_of_means(rows, key, "lightgbm") for key in ("ours", "before")]
        of_splits = [mean_ratio(rows, key, "lightgbm") for key in ("ours", "before")]
        both = " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*ratio) for ratio in of_means)
        each = "{:.3f}, {:.3f}".format(*of_splits)
        lines.append(f"| {Path(name).stem} | {ours:.4g} | {theirs:.4g} | {both} | {each} |")
        logs.append(np.log([of_means[0][0], of_means[1][0], *of_splits]))
    means = np.exp(np.mean(logs, axis=0))
    speed = found["speed"]
    return [
        *lines,
        "| geometric mean | | | {:.3f} | {:.3f} | {:.3f}, {:.3f} |".format(*means),
        "",
        f"{N_TREES:,} trees to a file of {speed['megabytes']:.1f} MB: {speed['export']:.2f} s, "
        f"difference {speed['difference']:.1e}; {N_ASKED:,} answers {speed['answers']:.2f} s, "
        f"LightGBM {speed['lightgbm_answers']:.2f} s.",
    ]


if __name__ == "__main__":
    main()
