"""`make bench-accuracy`: accuracy of each recipe over seeds, and docs/accuracy.md.

One file per data set, recipe and seed under bench/results/accuracy: only what is missing, or was
measured with other settings, is trained. So it may be stopped at any time and go on later.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tenfold
from bench.measure import run_process
from tenfold import files
from tenfold.contract import resolve
from tenfold.errors import TenfoldError

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "accuracy"
PAGE = ROOT / "docs" / "accuracy.md"
TENFOLD = Path(sys.executable).with_name("tenfold")


class Case(NamedTuple):
    """A recipe of a learner on a data set."""

    data: str
    learner: str
    recipe: str

    @property
    def name(self) -> str:
        return f"{self.data}-{self.learner}-{self.recipe}"


CASES = (
    Case("mnist", "network", "default"),
    Case("mnist", "network", "long"),
    Case("mnist", "network", "accurate"),
    Case("mnist", "cnn", "fast"),
    Case("mnist", "cnn", "default"),
    Case("mnist", "cnn", "accurate"),
    Case("fashion-mnist", "cnn", "default"),
)

PUBLISHED = (
    ("nine networks in ensembles", "99.91", "best of searched combinations", "arXiv 2008.10400"),
    ("vector capsules, one network", "99.83", "best of 32 trials", "arXiv 2001.09136"),
    ("committee of 35 networks", "99.77", "", "Ciresan et al. 2012"),
    ("15 convolutional networks", "99.745", "mean of 100, sd 0.020", "cdeotte/MNIST-CNN-99.75"),
    ("dense layers, committee of 7", "99.69", "", "Ciresan et al. 2010"),
    ("784-800-10, elastic deformations", "99.30", "", "Simard et al. 2003"),
    ("one epoch on a laptop's GPU", "99.04", "mean of 30, sd 0.066", "tuomaso/train_mnist_fast"),
)
"""Network, accuracy in percent, how it was found, source."""


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
            if _result(case, seed) is None and _is_there(case.data):
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


def _result(case: Case, seed: int) -> dict[str, Any] | None:
    """What was measured, unless with other settings than the recipe has now."""
    if not _path(case, seed).is_file():
        return None
    found: dict[str, Any] = json.loads(_path(case, seed).read_text("utf-8"))
    asked = {"learner": case.learner, "recipe": case.recipe, "seed": seed}
    try:
        now = resolve(asked).model_dump(mode="json")
    except TenfoldError:
        return None
    return found if found["config"] == now else None


def _measure(case: Case, seed: int) -> None:
    print(f"{case.name}, seed {seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as name:
        folder = Path(name)
        command: Sequence[str | Path] = [
            TENFOLD, "train", case.data, "--learner", case.learner, "--recipe", case.recipe,
            "--seed", str(seed), "--out", folder / "runs",
        ]  # fmt: skip
        process = run_process(command, folder)
        run = tenfold.open(next((folder / "runs").iterdir()))
        evaluation = run.evaluation
        assert isinstance(evaluation, tenfold.Evaluation)
        before = evaluation.calibration_error_before or evaluation.calibration_error
        result = {
            "accuracy": evaluation.accuracy.value,
            "n": evaluation.n,
            "log_loss": evaluation.log_loss.value,
            "calibration_error": evaluation.calibration_error.value,
            "calibration_error_before": before.value,
            "validation": run.history[-1]["val_accuracy"],
            "parameters": run.record.parameters,
            "model_mb": (run.path / "model.onnx").stat().st_size / 1e6,
            "peak_mb": process.peak_mb,
            "seconds": run.record.seconds,
            "whole_seconds": process.seconds,
            "config": run.record.config,
            "versions": run.record.versions,
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    files.write_text(_path(case, seed), json.dumps(result, indent=1) + "\n")


def _write_page() -> None:
    PAGE.write_text("\n".join(_page()) + "\n", encoding="utf-8")


def _page() -> Iterator[str]:
    yield "# Accuracy"
    yield ""
    yield "Written by `make bench-accuracy` from one result file per recipe and seed"
    yield "(`bench/results/accuracy`). Official test rows, the model of the last epoch, settings"
    yield "chosen on validation rows. Two cores. Accuracy: mean over seeds, standard deviation."
    yield "`train`: all of fitting, compilation included. Calibration error: before and after it."
    yield ""
    yield (
        "| data | recipe | seeds | test accuracy, % | validation, % | calibration error, % "
        "| parameters | train, s | peak MB |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for case in CASES:
        found = [result for seed in range(100) if (result := _result(case, seed))]
        title = f"| {case.data} | `{case.learner}` {case.recipe} |"
        yield f"{title} {_row(found)}" if found else f"{title} not measured | | | | | | |"
    yield ""
    yield "Of MNIST's 10,000 test labels 15 are wrong, so a reader who is always right has 99.85%"
    yield "([arXiv:2103.14749](https://arxiv.org/abs/2103.14749)). Published figures, below, that"
    yield "come from the best epoch or the best of many models on these same test rows flatter."
    yield ""
    yield "| published | accuracy, % | how | source |"
    yield "|---|---|---|---|"
    for row in PUBLISHED:
        yield f"| {' | '.join(row)} |"


def _row(found: Sequence[dict[str, Any]]) -> str:
    def percent(name: str, digits: int) -> str:
        values = [100 * one[name] for one in found]
        deviation = f" (sd {statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
        return f"{statistics.mean(values):.{digits}f}{deviation}"

    before, after = (
        statistics.mean(100 * one[name] for one in found)
        for name in ("calibration_error_before", "calibration_error")
    )
    seconds = statistics.mean(one["seconds"]["train"] for one in found)
    peak = statistics.mean(one["peak_mb"] for one in found)
    return (
        f"{len(found)} | {percent('accuracy', 3)} | {percent('validation', 2)} "
        f"| {before:.2f}, {after:.2f} | {found[0]['parameters']:,} | {seconds:.0f} | {peak:.0f} |"
    )


if __name__ == "__main__":
    main()
