"""`auto` beside CatBoost's defaults, on the same rows: `python -m bench.auto_catboost [TABLE ...]`.

A table is a name of `SETS` or FILE:TARGET, as of `bench.boosting`; of more than 5,000 rows a sample
is taken. For each of three splits `auto` is fitted as `tenfold train` does it, CatBoost to the same
training and validation rows with its defaults, and both answer the same test rows. Writes
bench/results/auto_catboost.json after each split, goes on where it stopped, and prints log losses
or RMSE, and how `auto`'s relate to CatBoost's (geometric mean).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.boosting import dataset, loss, plain
from bench.measure import environment
from tenfold.build.choose import fit_chosen
from tenfold.core.settings import resolve
from tenfold.data.dataset import Dataset
from tenfold.experiments.run_data import decided, problem_of
from tenfold.model.model import Model

RESULTS = Path(__file__).parent / "results" / "auto_catboost.json"
PEER = Path(__file__).parent / "peers_catboost.py"
SETS = ("iris", "wine", "breast_cancer", "diabetes")
SPLITS, MOST_ROWS = 3, 5_000


def main() -> None:
    """Measure what is not known yet, write it and print it."""
    python = environment("catboost", ["catboost"])
    if python is None:
        sys.exit("CatBoost could not be installed")
    known: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for seed in range(SPLITS):
        for table in sys.argv[1:] or SETS:
            of_table = known.setdefault(Path(table.rpartition(":")[0] or table).stem, {})
            if str(seed) not in of_table:
                of_table[str(seed)] = compared(sampled(dataset(table)), seed, python)
                RESULTS.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    logs = []
    for name, of_seeds in known.items():
        ours, theirs = (
            np.array([found[who] for found in of_seeds.values()]) for who in ("auto", "catboost")
        )
        logs.append(np.log(ours / theirs).mean())
        took = ", ".join(found["learner"] for found in of_seeds.values())
        seconds = max(found["cpu_seconds"] for found in of_seeds.values())
        print(
            f"| {name} | {ours.mean():.4g} | {theirs.mean():.4g} | {np.exp(logs[-1]):.3f} "
            f"| {took} | {seconds:.0f} |"
        )
    print(f"geometric mean {np.exp(np.mean(logs)):.3f}")


def sampled(data: Dataset) -> Dataset:
    if len(data) <= MOST_ROWS:
        return data
    rows = np.random.default_rng(0).permutation(len(data))[:MOST_ROWS]
    return data.take(np.sort(rows))


def compared(data: Dataset, seed: int, python: Path) -> dict[str, Any]:
    """The losses of both on the test rows of a split, and the processor time of ours."""
    data = decided(data, resolve({"seed": seed}, table=True))
    settings = resolve({"learner": "auto", "seed": seed}, table=True, n_rows=len(data))
    problem = problem_of(data, settings)
    parts = problem.split
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as text:
        np.savez(Path(text) / "rows.npz", **plain(data, parts))
        subprocess.run([python, PEER, text], check=True, stdout=subprocess.DEVNULL)
        theirs = np.load(Path(text) / "rows.answers.npy")
    start = time.process_time()
    built = fit_chosen(problem)
    seconds, true = time.process_time() - start, data.y[parts.test]
    answers = Model(built.content).answer(data.x[parts.test]).outputs[0]
    found = {
        "auto": loss(answers, true),
        "catboost": loss(theirs, true),
        "learner": built.contract.learner,
        "weights": built.contract.vote,
        "cpu_seconds": seconds,
    }
    print(data.name, seed, found, file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
