"""The measured figures in README.md, taken from the files that hold them.

`python -m docs.measured` writes the table anew, and a test compares it with these files.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).parent.parent
ACCURACY = ROOT / "bench" / "results" / "accuracy"
PERFORMANCE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
TABLE = re.compile(r"(?<=\n<!-- measured: python -m docs.measured -->\n).*?(?=<!-- end -->)", re.S)


def table() -> str:
    """The table as Markdown."""
    lines = ["| measured on two cores | Tenfold | comparison |", "|---|---|---|"]
    lines += [f"| {what} | {ours} | {theirs} |" for what, ours, theirs in _rows()]
    return "\n".join(lines) + "\n"


def accuracy_of(learner: str, recipe: str) -> float:
    """Mean test accuracy over the seeds of a recipe, in percent."""
    results = ACCURACY.glob(f"mnist-{learner}-{recipe}-*.json")
    return 100 * fmean(json.loads(path.read_text("utf-8"))["accuracy"] for path in results)


def figure(section: str, row: str, column: int) -> str:
    """A cell of a table in docs/performance.md, without the range in brackets behind it."""
    text = PERFORMANCE.read_text("utf-8").partition(f"\n## {section}")[2].partition("\n## ")[0]
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
    return re.sub(r" \(.*\)", "", line.split("|")[column + 1].strip())


def _rows() -> Iterator[tuple[str, str, str]]:
    """What was measured, Tenfold's figure, and a peer's."""
    tutorial = float(figure("Accuracy", "`tutorial`", 2))
    yield (
        "Test accuracy, default network, 784-128-10",
        f"{accuracy_of('network', 'default'):.1f}%",
        f"{tutorial:.1f}% with the settings of the tutorial",
    )
    yield (
        "Test accuracy, `--learner cnn --recipe fast`",
        f"{accuracy_of('cnn', 'fast'):.2f}%",
        "",
    )
    keras = "the tutorial's, Keras on TensorFlow (`bench/tutorial.py`)"
    yield (
        "The whole program, from start to report",
        f"{figure('The tutorial', '`tenfold train`', 1)} s",
        f"{figure('The tutorial', keras, 1)} s for the tutorial's program in Keras",
    )
    yield (
        "Time to 98% accuracy on validation images",
        f"{figure('Time to 98%', '**Tenfold**', 2)} s",
        f"{figure('Time to 98%', 'Keras `fit` on JAX', 2)} s with Keras on JAX",
    )


def main() -> None:
    """Write the table into README.md."""
    README.write_text(TABLE.sub(lambda _: table(), README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
