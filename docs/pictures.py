"""The pictures of the pages, each from a real run or a measured table: `make pictures`."""

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import onnx
from PIL import Image
from rich.console import Console
from rich.text import Text

import tenfold
from docs.report_pictures import write_pictures
from tenfold.evaluation.intervals import wilson

matplotlib.use("svg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
BLUE, GREY, ORANGE, INK = "#1767b3", "#c8ced4", "#d65a0a", "#1f2933"
WIDTH = 104


def terminal(run: Path, output: str) -> None:
    """What `tenfold train mnist` printed, as a terminal."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), ("tenfold train mnist", "bold")))
    shown = Text(output.rstrip())
    shown.highlight_regex(r"(?m)^accuracy  .*$", "bold")  # as on a terminal
    console.print(shown, overflow="ellipsis", no_wrap=True)
    console.save_svg(str(IMAGES / "terminal.svg"), title="tenfold", clear=True)


def epoch(axes: Any) -> None:
    """An epoch beside the same epoch elsewhere, from docs/performance.md."""
    page = (DOCS / "performance.md").read_text("utf-8")
    table = page.partition("## A warm epoch")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \(", table, re.M)
    names = [re.sub(r"[*`]|:.*", "", name) for name, _ in rows][::-1]
    values = [float(ms.replace(",", "")) for _, ms in rows][::-1]
    colours = [BLUE if name == "Tenfold" else GREY for name in names]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, fmt="%d ms", padding=4)
    axes.set_xlim(0, max(values) * 1.15)
    axes.set_title("One epoch over 45,000 digits, 784-128-10, two cores", loc="left")


def graph(model: Path) -> Callable[[Any], None]:
    """The way to the probabilities through one model file, node by node."""
    content = onnx.load(model).graph
    wanted, steps = {"probabilities"}, []
    for node in reversed(content.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            steps.append(node.op_type)
    names = ["image\nuint8", *steps[::-1], "probabilities\nfloat32"]

    def draw(axes: Any) -> None:
        for i, name in enumerate(names):
            row, column = divmod(i, 7)
            is_end = i in (0, len(names) - 1)
            box = {"boxstyle": "round,pad=0.5", "fc": BLUE if is_end else "white", "ec": BLUE}
            axes.text(column, -row, name, ha="center", va="center", bbox=box,
                      color="white" if is_end else INK, fontsize=8)  # fmt: skip
            if i + 1 < len(names) and column < 6:
                axes.annotate("", (column + 0.6, -row), (column + 0.42, -row),
                              arrowprops={"arrowstyle": "->", "color": GREY})  # fmt: skip
        axes.set_xlim(-0.6, 6.7)
        axes.set_ylim(-(len(names) - 1) // 7 - 0.1, 0.6)
        axes.set_title("model.onnx, from pixels to calibrated probabilities", loc="left")

    return draw


def sealed(axes: Any) -> None:
    """Which rows of MNIST are for what."""
    left = 0
    for name, n, colour, place in (
        ("train 54,000: fitting", 54_000, BLUE, -0.5),
        ("validation 6,000: when to stop, calibration", 6_000, GREY, 0.9),
        ("test 10,000: sealed,\nopened once for a model", 10_000, ORANGE, -0.5),
    ):
        axes.barh(0, n, left=left, color=colour, edgecolor="white", linewidth=2)
        axes.text(left + n / 2, place, name, ha="center", va="top", fontsize=8)
        left += n
    axes.set_ylim(-1.3, 1.0)
    axes.set_title("The rows of MNIST, in a run of the default recipe", loc="left")


def intervals(axes: Any) -> None:
    """How sure an accuracy of 98% is, by the number of test rows."""
    sizes = np.unique(np.geomspace(50, 10_000, 60).round().astype(int))
    scores = [wilson(round(0.98 * n), int(n)) for n in sizes]
    axes.fill_between(
        sizes, [one.low for one in scores], [one.high for one in scores], color=BLUE, alpha=0.25
    )
    axes.plot(sizes, [0.98] * len(sizes), color=BLUE)
    axes.set_xscale("log")
    axes.set_xticks([50, 100, 1_000, 10_000], ["50", "100", "1,000", "10,000"])
    axes.set_xlabel("test rows")
    axes.set_title("What is known of a model with 98% of its test rows right (95%)", loc="left")


def data_flow(axes: Any) -> None:
    """From a source to what people and programs read, with the wing that does each step."""
    steps = {
        "source": (0.0, 3.0, "a file, folder or name", "inputs/"),
        "Dataset": (1.5, 3.0, "examples, answers, keys", "data/"),
        "Split": (3.0, 3.0, "three sets of rows", "data/"),
        "Problem": (4.5, 3.0, "rows, settings, task", "build/"),
        "fit_model": (6.0, 3.0, "fit, calibrate, check", "learners/, build/"),
        "model.onnx": (6.0, 1.7, "the one file", "build/"),
        "Model": (4.5, 1.7, "the only way to predict", "model/"),
        "Evaluation": (3.0, 1.7, "scores with intervals", "evaluation/"),
        "run folder": (1.5, 1.7, "model and evidence", "runs/"),
        "sweep, compare": (6.0, 0.4, "a Problem for each trial", "experiments/"),
        "report.html": (0.0, 1.7, "for people", "report/"),
        "service": (0.0, 0.4, "for programs", "serve/"),
        "exports": (1.5, 0.4, "page, Keras, ONNX", "runs/export/"),
    }
    for name, (x, y, about, wing) in steps.items():
        is_end = name in ("source", "model.onnx", "run folder")
        style = {"boxstyle": "round,pad=0.45", "fc": BLUE if is_end else "white", "ec": BLUE}
        colour = "white" if is_end else INK
        axes.text(x, y, name, ha="center", va="center", bbox=style, color=colour, fontsize=9)
        below = f"{about}\n{wing}"
        axes.text(x, y - 0.3, below, ha="center", va="top", color=INK, fontsize=7)
    for start, end, colour in (
        ((0.42, 3.0), (1.03, 3.0), GREY),
        ((1.97, 3.0), (2.65, 3.0), GREY),
        ((3.35, 3.0), (4.02, 3.0), GREY),
        ((4.98, 3.0), (5.52, 3.0), GREY),
        ((6.0, 2.28), (6.0, 1.98), GREY),
        ((5.45, 1.7), (4.9, 1.7), GREY),
        ((4.1, 1.7), (3.58, 1.7), GREY),
        ((2.45, 1.7), (2.05, 1.7), GREY),
        ((0.95, 1.7), (0.55, 1.7), GREY),
        ((1.08, 1.45), (0.4, 0.62), GREY),
        ((1.5, 0.98), (1.5, 0.68), GREY),
        ((3.0, 2.28), (3.0, 1.98), ORANGE),
        ((6.7, 0.5), (6.55, 3.0), GREY),
    ):
        curve = "arc3,rad=0.2" if start == (6.7, 0.5) else "arc3"
        arrow = {"arrowstyle": "->", "color": colour, "lw": 1.4, "connectionstyle": curve}
        axes.annotate("", end, start, arrowprops=arrow)
    axes.text(3.08, 2.12, "test rows, sealed", va="center", color=ORANGE, fontsize=7)
    axes.text(3.68, 3.12, "the others", ha="center", color=INK, fontsize=7)
    axes.set_xlim(-0.7, 7.2)
    axes.set_ylim(-0.35, 3.4)


def box(model: tenfold.Model, folder: Path) -> None:
    """A digit on grey paper with a shadow, and what the network sees of it."""
    digit = tenfold.load("mnist").x[60_004].astype(float) / 255
    ink = np.asarray(Image.fromarray((digit * 255).astype(np.uint8)).resize((170, 170)), float)
    page = np.linspace(215, 120, 400)[None].repeat(300, 0)
    page += np.random.default_rng(0).normal(0, 4, page.shape)
    page[60:230, 150:320] *= 1 - 0.7 * ink / 255
    photo = folder / "photo.png"
    Image.fromarray(page.clip(0, 255).astype(np.uint8)).save(photo)
    from tenfold.report.drawings import steps_picture

    (IMAGES / "box.png").write_bytes(steps_picture(model.predict_one(photo)))  # type: ignore[arg-type]


def plot(name: str, size: tuple[float, float], draw: Callable[[Any], None], bare: bool) -> None:
    """One SVG under docs/images."""
    matplotlib.rcParams.update({"svg.hashsalt": "tenfold", "svg.fonttype": "none"})
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for side in ("top", "right", *(("left", "bottom") if bare else ())):
        axes.spines[side].set_visible(False)
    if bare:
        axes.set_xticks([])
        axes.set_yticks([])
    draw(axes)
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Train once, and draw everything."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        done = subprocess.run(
            [sys.executable, "-m", "tenfold", "train", "mnist"],
            cwd=folder, capture_output=True, text=True, check=True, env=os.environ,
        )  # fmt: skip
        run = folder / "runs" / "mnist-network-1"
        shown = done.stderr + done.stdout
        terminal(run, re.sub(r"\S+ (report|predict) (?=runs/)", r"tenfold \1 ", shown))
        plot("epoch", (7.5, 3), epoch, bare=False)
        plot("graph", (8.5, 2.2), graph(run / "model.onnx"), bare=True)
        plot("sealed", (7.5, 1.7), sealed, bare=True)
        plot("intervals", (7.5, 2.8), intervals, bare=False)
        plot("data-flow", (9.5, 4.2), data_flow, bare=True)
        box(tenfold.open(run).model, folder)
        write_pictures(run)


if __name__ == "__main__":
    main()
