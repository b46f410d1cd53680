"""`network` beside CatBoost's defaults on the same rows: `python -m bench.network [TABLE ...]`.

A table is a name of scikit-learn's or FILE:TARGET; without any those of `bench.boosting` but the
digits are measured. For each split both are fitted to the training and validation rows, ours as
`tenfold train` does it, and answer the same test rows. Of a large table 4,000 rows are drawn.

Writes bench/results/network.json after each fit, goes on where it stopped, and prints the table of
docs/guide/learners.md.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.boosting import SETS, dataset, loss, mean_ratio, plain, ratio_of_means
from bench.measure import environment
from tenfold.build.build import fit_model
from tenfold.build.problem import Problem
from tenfold.core.settings import resolve
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split, split
from tenfold.model.model import Model

RESULTS = Path(__file__).parent / "results" / "network.json"
PEER = Path(__file__).parent / "peers_boosting.py"
SPLITS, MOST_ROWS = 3, 4_000


def main() -> None:
    """Measure what is not yet measured, and print the ratios."""
    python = environment("catboost", ["catboost", "scikit-learn"])
    if python is None:
        sys.exit("CatBoost could not be installed")
    names = sys.argv[1:] or [name for name in SETS if name != "digits"]
    for seed in range(SPLITS):
        for name in names:
            known, key = _known(), Path(name.rpartition(":")[0] or name).stem
            if str(seed) not in known.get(key, {}):
                known.setdefault(key, {})[str(seed)] = _measured(name, seed, python)
                RESULTS.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    _show(_known())


def _known() -> dict[str, dict[str, dict[str, float]]]:
    known: dict[str, dict[str, dict[str, float]]] = {}
    if RESULTS.exists():
        known = json.loads(RESULTS.read_text("utf-8"))
    return known


def _measured(name: str, seed: int, python: Path) -> dict[str, float]:
    """The losses of both on the test rows of one split: log loss, or RMSE."""
    data = dataset(name)
    if len(data) > MOST_ROWS:
        data = data.take(np.random.default_rng(0).permutation(len(data))[:MOST_ROWS])
    parts = split(data, seed=seed, validation_size=0.15)
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as folder:
        np.savez(Path(folder) / "rows.npz", **plain(data, parts))
        command = [str(python), str(PEER), folder, "catboost"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        theirs = np.load(Path(folder) / "rows.answers.npy")
    found = _own(data, parts, seed) | {"catboost": loss(theirs, data.y[parts.test])}
    print(name, seed, found, file=sys.stderr, flush=True)
    return found


def _own(data: Dataset, parts: Split, seed: int) -> dict[str, float]:
    settings = resolve({"seed": seed}, table=True, n_rows=len(data))
    start = time.process_time()
    model = Model(fit_model(Problem(data, parts, settings, refit=True)).content)
    seconds = time.process_time() - start
    answers = model.answer(data.x[parts.test]).outputs[0]
    return {"ours": loss(answers, data.y[parts.test]), "cpu_seconds": seconds}


def _show(known: dict[str, dict[str, dict[str, float]]]) -> None:
    """By table the ratio of the mean losses, and the geometric mean of the ratios of the splits."""
    print("| data | splits | ours | CatBoost | ratio | mean of ratios |\n|---|---|---|---|---|---|")
    logs = []
    for name, of_seeds in known.items():
        rows = list(of_seeds.values())
        ours, theirs = (np.mean([row[key] for row in rows]) for key in ("ours", "catboost"))
        ratio, low, high = ratio_of_means(rows, "ours", "catboost")
        of_splits = mean_ratio(rows, "ours", "catboost")
        interval = f" ({low:.3f} to {high:.3f})" if len(rows) > 1 else ""
        print(
            f"| {name} | {len(rows)} | {ours:.4g} | {theirs:.4g} | {ratio:.3f}{interval} | "
            f"{of_splits:.3f} |"
        )
        logs.append(np.log([ratio, of_splits]))
    print("| geometric mean | | | | {:.3f} | {:.3f} |".format(*np.exp(np.mean(logs, axis=0))))


if __name__ == "__main__":
    main()
