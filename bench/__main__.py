"""`make bench`: measure side by side, print the table and rewrite docs/performance.md."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

import tenfold
from bench import convolution, serve, speed
from bench.measure import Process, environment, run_process, spread, time_calls

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
TRIED = ROOT / "bench" / "tried.md"
"""Written by hand, from profiles of single ideas."""
TENFOLD = Path(sys.executable).with_name("tenfold")


def main() -> None:
    """Run every comparison; the page is rewritten when all of them are done."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each whole program")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each recipe")
    parser.add_argument("--rounds", type=int, default=9, help="epochs of each contender")
    parser.add_argument(
        "--examples", type=int, default=3, help="seeds of the PyTorch and Keras examples"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as name:
        folder = Path(name)
        sections = (
            _heading(),
            speed.epochs(options.rounds),
            speed.growth(options.rounds),
            speed.time_to_98(options.repeat),
            convolution.epochs(options.rounds),
            convolution.time_to_99(options.examples),
            _whole_programs(folder, options.repeat),
            _accuracy(folder, options.seeds),
            _prediction(folder),
            ["", *(serve.section() if serve.RESULTS.exists() else [])],
            ["", *TRIED.read_text("utf-8").splitlines()],
        )
        lines: list[str] = []
        for section in sections:
            for line in section:
                lines.append(line)
                print(line, flush=True)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _heading() -> Iterator[str]:
    versions = (f"{name} {metadata.version(name)}" for name in ("jax", "keras", "onnxruntime"))
    yield "# Performance"
    yield ""
    yield "This page is written by `make bench`. All figures except those of the last two sections"
    yield "come from a single run of it. They are medians, with the smallest and the largest value"
    yield "in brackets."
    yield ""
    yield f"The machine has {os.cpu_count()} cores ({_processor()}) and runs Python"
    yield f"{platform.python_version()}, {', '.join(versions)}."
    yield ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _whole_programs(folder: Path, repeat: int) -> Iterator[str]:
    """The tutorial's program against ours, cold processes, taking turns."""
    yield "## The tutorial's whole program, cold"
    yield ""
    yield "The time from the start of the process to its end: loading, training for 20 epochs,"
    yield "evaluation, prediction and the confusion matrix. Tenfold also exports the model,"
    yield "computes intervals and writes the run folder."
    yield ""
    python = environment("tensorflow", speed.TENSORFLOW)
    programs = {"default": "`tenfold train`", "tutorial": "`tenfold train --recipe tutorial`"}
    ours: dict[str, list[Process]] = {recipe: [] for recipe in programs}
    theirs = []
    for _ in range(repeat):
        for recipe, measured in ours.items():
            arguments = ["train", "--recipe", recipe, "--out", str(folder / "runs")]
            measured.append(run_process([TENFOLD, *arguments], folder))
        if python is not None:
            script = ROOT / "bench" / "tutorial.py"
            theirs.append(run_process([python, script, speed.SOURCE, folder], folder))
    yield "| program | seconds | peak MB | x seconds | x memory |"
    yield "|---|---|---|---|---|"
    if theirs:
        title = "the tutorial's, Keras on TensorFlow (`bench/tutorial.py`)"
        yield _process_row(title, theirs, theirs)
    else:
        yield "| the tutorial's, Keras on TensorFlow | missing: could not be installed | | | |"
    for recipe, title in programs.items():
        yield _process_row(title, ours[recipe], theirs)
    yield ""


def _process_row(name: str, processes: list[Process], reference: list[Process]) -> str:
    """Seconds and memory, and both as ratios to the reference of the same turn."""
    seconds = spread([process.seconds for process in processes])
    memory = spread([process.peak_mb for process in processes], 0)
    ratios = ["", ""]
    if reference:
        pairs = list(zip(processes, reference, strict=True))
        ratios = [
            f"{statistics.median(a.seconds / b.seconds for a, b in pairs):.2f}",
            f"{statistics.median(a.peak_mb / b.peak_mb for a, b in pairs):.2f}",
        ]
    return f"| {name} | {seconds} | {memory} | {ratios[0]} | {ratios[1]} |"


def _accuracy(folder: Path, n_seeds: int) -> Iterator[str]:
    yield "## Accuracy"
    yield ""
    yield f"The mean over {n_seeds} seeds and its standard deviation, for 101,770 parameters."
    yield "`seconds.train` is the whole fit: starting JAX, compilation and all epochs."
    yield ""
    yield "| recipe | test rows | accuracy, % | seconds.train | an epoch, s |"
    yield "|---|---|---|---|---|"
    for recipe in ("tutorial", "default"):
        accuracies, fits, epochs = [], [], []
        for seed in range(n_seeds):
            command: list[str | Path] = [TENFOLD, "train", "--recipe", recipe, "--json"]
            command += ["--seed", str(seed), "--out", folder / "runs"]
            printed = subprocess.run(
                [str(part) for part in command], capture_output=True, text=True, check=True
            ).stdout
            answer = json.loads(printed)
            run, n = tenfold.open(answer["run"]), answer["evaluation"]["n"]
            accuracies.append(100 * answer["evaluation"]["accuracy"]["value"])
            fits.append(run.record.seconds["train"])
            epochs.append(statistics.median(row["seconds"] or 0 for row in run.history))
        mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
        yield (
            f"| `{recipe}` | {n:,} | {mean:.2f} (sd {deviation:.2f}) "
            f"| {spread(fits)} | {spread(epochs, 3)} |"
        )
    yield ""


def _prediction(folder: Path) -> Iterator[str]:
    run = tenfold.open(folder / "runs" / "mnist-network-1")
    data = tenfold.load("mnist")
    image, many = data.x[60_000], data.x[60_000:]
    one = [1e6 * s for s in time_calls(lambda: run.model.predict_one(image), 20_000)]
    batch = [1e3 * s for s in time_calls(lambda: run.model.predict(many), 20)]
    file = folder / "one.idx"
    tenfold.inputs.idx.write_idx(file, image)
    cold = [run_process([TENFOLD, "predict", run.path, file], folder).seconds for _ in range(10)]
    yield "## Prediction"
    yield ""
    yield "| what | figure |"
    yield "|---|---|"
    tail = float(np.percentile(one, 99))
    yield f"| one image through `Model`, warm | {statistics.median(one):.0f} us (p99 {tail:.0f}) |"
    yield f"| 10,000 images through `Model` | {spread(batch, 0, ' ms')} |"
    yield f"| `tenfold predict RUN one.idx`, cold | {spread(cold, 2, ' s')} |"


if __name__ == "__main__":
    main()
