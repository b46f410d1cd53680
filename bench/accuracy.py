"""`make bench-accuracy`: accuracy of each recipe over seeds, and docs/accuracy.md.

One file per data set, recipe and seed under bench/results/accuracy: only what is missing, or was
measured with other settings or other code, is trained. So it may be stopped at any time and go on
later.
"""

import argparse
import ast
import functools
import hashlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

import tenfold
from bench.measure import busy_seconds, run_process
from tenfold.core import files
from tenfold.core.errors import TenfoldError
from tenfold.core.settings import Settings, resolve

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "accuracy"
PAGE = ROOT / "docs" / "accuracy.md"
TENFOLD = Path(sys.executable).with_name("tenfold")


class Case(NamedTuple):
    """A recipe of a learner on a data set, and what it is to reach: percent of the test rows right,
    and seconds of training on two cores."""

    data: str
    learner: str
    recipe: str
    accuracy: float
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.data}-{self.learner}-{self.recipe}"


CASES = (
    Case("mnist", "network", "default", 98.7, 6),
    Case("mnist", "network", "long", 99.10, 150),
    Case("mnist", "network", "accurate", 99.55, 600),
    Case("mnist", "cnn", "fast", 99.35, 100),
    Case("mnist", "cnn", "default", 99.70, 310),
    Case("mnist", "cnn", "accurate", 99.75, 1500),
    Case("fashion-mnist", "cnn", "default", 93.5, 480),
)

CALIBRATION = 0.5
"""Calibration error, in percent, that every recipe is to stay under."""

ENOUGH = 3
"""Seeds from which on a bar is met or missed."""

IDLE = 0.1
"""Share of the cores up to which other programs may have worked meanwhile for seconds to count."""

DECIDING = (
    "inputs/pictures/augment.py",
    "core/layers.py",
    "learners/architectures.py",
    "learners/forward.py",
    "learners/training/base.py",
    "learners/training/steps.py",
    "learners/training/convolution.py",
)
"""Sources that decide what a recipe's settings make of the rows. The settings themselves are
compared one by one."""

DECIDING_NETWORK = (*DECIDING, "learners/training/dense.py")
"""Those of a `network`, which may have a `cnn` as its teacher."""

MNIST = (
    ("nine networks in ensembles", "99.91", "best of searched combinations", "arXiv 2008.10400"),
    ("vector capsules, one network", "99.83", "best of 32 trials", "arXiv 2001.09136"),
    ("committee of 35 networks", "99.77", "", "Ciresan et al. 2012"),
    ("15 convolutional networks", "99.745", "mean of 100, sd 0.020", "cdeotte/MNIST-CNN-99.75"),
    ("dense layers, committee of 7", "99.69", "", "Ciresan et al. 2010"),
    ("784-800-10, elastic deformations", "99.30", "", "Simard et al. 2003"),
    ("one epoch on a laptop's GPU", "99.04", "mean of 30, sd 0.066", "tuomaso/train_mnist_fast"),
)
FASHION = (
    ("best in the list of the data set", "96.9", "", "zalandoresearch/fashion-mnist"),
    ("WRN-28-10", "96.3", "", "zalandoresearch/fashion-mnist"),
    ("20 epochs", "93.2", "epoch challenge, 2022", "zalandoresearch/fashion-mnist"),
    ("5 epochs", "92.7", "epoch challenge, 2022", "zalandoresearch/fashion-mnist"),
    ("HOG and a support vector machine", "92.6", "", "zalandoresearch/fashion-mnist"),
    ("XGBoost", "89.8", "", "zalandoresearch/fashion-mnist"),
    ("people", "83.5", "", "zalandoresearch/fashion-mnist"),
)
"""Model, accuracy in percent, how it was found, source."""


def main() -> None:
    """Train what is missing, seed after seed, then write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="names such as mnist-cnn-fast")
    parser.add_argument("--page", action="store_true", help="train nothing, write the page")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    for seed in range(options.seeds):
        for case in () if options.page else chosen:
            found = _result(case, seed)
            if (found is None or not _is_current(found)) and _is_there(case.data):
                _measure(case, seed)
                _write_page()
    _write_page()


def _is_there(data: str) -> bool:
    try:
        tenfold.load(data)
    except TenfoldError as error:
        print(f"{data}: {error}", file=sys.stderr)
        return False
    return True


def _path(case: Case, seed: int) -> Path:
    return RESULTS / f"{case.name}-{seed}.json"


@functools.cache
def sources(learner: str) -> str:
    """SHA-256 of the code that decides a model, in hexadecimal; comments, docstrings and the
    names of files and of modules of ours do not."""
    digest = hashlib.sha256()
    for name in DECIDING_NETWORK if learner == "network" else DECIDING:
        path = ROOT / "src" / "tenfold" / name
        digest.update(f"{_bare(path.read_text('utf-8'))}\n".encode())
    return digest.hexdigest()


def _bare(source: str) -> str:
    """Python without comments, docstrings, layout and imports of our own modules."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [line for line in body if not _is_text(line) and not _is_ours(line)]
            node.body = kept  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_ours(line: ast.AST) -> bool:
    """An import that says where code lies, not what it does."""
    return isinstance(line, ast.ImportFrom) and (line.module or "").partition(".")[0] == "tenfold"


def _is_text(line: ast.AST) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )


def _result(case: Case, seed: int) -> dict[str, Any] | None:
    """What was measured, unless with other settings than the recipe has now."""
    if not _path(case, seed).is_file():
        return None
    found: dict[str, Any] = json.loads(_path(case, seed).read_text("utf-8"))
    asked = {"learner": case.learner, "recipe": case.recipe, "seed": seed}
    try:
        then, now = Settings.model_validate(found["config"]), resolve(asked)
    except (TenfoldError, ValidationError):
        return None
    return found if then == now else None  # a setting that came later was at its default then


def _is_current(found: dict[str, Any]) -> bool:
    """Whether the code that decides a model is that of then."""
    return bool(found.get("sources") == sources(found["config"]["learner"]))


def _measure(case: Case, seed: int) -> None:
    print(f"{case.name}, seed {seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as name:
        folder = Path(name)
        command: Sequence[str | Path] = [
            TENFOLD, "train", case.data, "--learner", case.learner, "--recipe", case.recipe,
            "--seed", str(seed), "--out", folder / "runs",
        ]  # fmt: skip
        before = busy_seconds()
        process = run_process(command, folder)
        others = (busy_seconds() - before - process.cpu_seconds) / process.seconds / n_cores()
        run = tenfold.open(next((folder / "runs").iterdir()))
        evaluation = run.evaluation
        assert isinstance(evaluation, tenfold.Evaluation)
        uncalibrated = evaluation.calibration_error_before or evaluation.calibration_error
        result = {
            "accuracy": evaluation.accuracy.value,
            "n": evaluation.n,
            "log_loss": evaluation.log_loss.value,
            "calibration_error": evaluation.calibration_error.value,
            "calibration_error_before": uncalibrated.value,
            "validation": run.history[-1]["val_accuracy"],
            "parameters": run.record.parameters,
            "model_mb": (run.path / "model.onnx").stat().st_size / 1e6,
            "peak_mb": process.peak_mb,
            "seconds": run.record.seconds,
            "whole_seconds": process.seconds,
            "processor_seconds": process.cpu_seconds,
            "others": max(0.0, others),
            "cores": n_cores(),
            "config": run.record.config.model_dump(mode="json"),
            "sources": sources(case.learner),
            "versions": run.record.versions,
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    files.write_text(_path(case, seed), json.dumps(result, indent=1) + "\n")


def n_cores() -> int:
    """Cores that this process may use."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(mine(0)) if mine else os.cpu_count() or 1


def _write_page() -> None:
    PAGE.write_text("\n".join(_page()) + "\n", encoding="utf-8")


def _page() -> Iterator[str]:
    yield "# Accuracy"
    yield ""
    yield "This page is written by `make bench-accuracy` from one result file per recipe and seed"
    yield "(`bench/results/accuracy`). Models are measured on the official test rows after their"
    yield "last epoch; the settings were chosen on validation rows. Accuracy is the mean over the"
    yield "seeds, with its standard deviation. `train` is the time of the whole fit, including"
    yield "compilation; where other programs used more than a tenth of the cores meanwhile, the"
    yield "page says `busy` instead. The calibration error is given before and after calibration."
    yield "A result stays on this page as long as the recipe is the same. A † means that code that"
    yield "decides the model has changed since; the next `make bench-accuracy` measures it again."
    yield ""
    yield (
        "| data | recipe | seeds | test accuracy, % | validation, % | calibration error, % "
        "| parameters | train, s | cores | peak MB |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    measured = {
        case: [result for seed in range(100) if (result := _result(case, seed))] for case in CASES
    }
    for case, found in measured.items():
        mark = "" if all(map(_is_current, found)) else " †"
        title = f"| {case.data} | `{case.learner}` {case.recipe}{mark} |"
        yield f"{title} {_row(found)}" if found else f"{title} not measured | | | | | | | |"
    yield ""
    yield f"These are the targets, for means over at least {ENOUGH} seeds on two cores:"
    yield ""
    yield "| data | recipe | accuracy, % | | train, s | | calibration error, % | |"
    yield "|---|---|---|---|---|---|---|---|"
    for case, found in measured.items():
        yield f"| {case.data} | `{case.learner}` {case.recipe} | {_bars(case, found)} |"
    yield ""
    yield "## Compared with published figures"
    yield ""
    yield "15 of MNIST's 10,000 test labels are wrong: a reader who is always right scores 99.85%"
    yield "([arXiv:2103.14749](https://arxiv.org/abs/2103.14749)). Some of the published figures"
    yield "are those of the best epoch or the best of many models on the test rows, which makes"
    yield "them too optimistic."
    yield ""
    for data, published in (("mnist", MNIST), ("fashion-mnist", FASHION)):
        yield f"| {data} | accuracy, % | how | source |"
        yield "|---|---|---|---|"
        for case, found in measured.items():
            if case.data == data and found:
                how = f"mean of {len(found)}, the last epoch"
                yield f"| **`{case.learner}` {case.recipe}** | {_accuracy(found)} | {how} | above |"
        for row in published:
            yield f"| {' | '.join(row)} |"
        yield ""


def _bars(case: Case, found: Sequence[dict[str, Any]]) -> str:
    """Each bar, and whether the mean meets it."""
    if len(found) < ENOUGH:
        said = [f"fewer than {ENOUGH} seeds"] * 3
    else:
        two, seconds = all(one["cores"] == 2 for one in found), _seconds(found)
        reached = (
            _mean(found, "accuracy") >= case.accuracy,
            seconds is not None and seconds <= case.seconds,
            _mean(found, "calibration_error") < CALIBRATION,
        )
        said = ["met" if yes else "missed" for yes in reached]
        if seconds is None:
            said[1] = "measured on a busy machine"
        elif not two:
            said[1] = "not measured on two cores"
    bars = f"at least {case.accuracy:.2f}", f"at most {case.seconds:g}", f"under {CALIBRATION:g}"
    return " | ".join(f"{bar} | {word}" for bar, word in zip(bars, said, strict=True))


def _seconds(found: Sequence[dict[str, Any]]) -> float | None:
    """The mean time of the trainings during which the machine did nothing else; None without."""
    idle = [one["seconds"]["train"] for one in found if one.get("others", 0.0) <= IDLE]
    return statistics.mean(idle) if idle else None


def _mean(found: Sequence[dict[str, Any]], name: str) -> float:
    """In percent, over seeds."""
    return 100 * statistics.mean(float(one[name]) for one in found)


def _accuracy(found: Sequence[dict[str, Any]], name: str = "accuracy", digits: int = 3) -> str:
    values = [100 * one[name] for one in found]
    deviation = f" (sd {statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def _row(found: Sequence[dict[str, Any]]) -> str:
    before, after = _mean(found, "calibration_error_before"), _mean(found, "calibration_error")
    seconds = _seconds(found)
    peak = statistics.mean(one["peak_mb"] for one in found)
    cores = "/".join(sorted({str(one["cores"]) for one in found}))
    return (
        f"{len(found)} | {_accuracy(found)} | {_accuracy(found, 'validation', 2)} "
        f"| {before:.2f}, {after:.2f} | {found[0]['parameters']:,} "
        f"| {'busy' if seconds is None else format(seconds, '.0f')} | {cores} "
        f"| {peak:.0f} |"
    )


if __name__ == "__main__":
    main()
