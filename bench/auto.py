"""`auto` beside every learner by itself, on small tables: `python -m bench.auto [TABLE ...]`.

Each of ten seeds splits the table anew; all learners are fitted to the same rows as `tenfold train`
does it and answer the same test rows. Writes bench/results/auto.json after each learner, goes on
where it stopped, and prints for each table how much more `auto` errs than the learner that errs
least on the mean of all seeds, with the 95% interval over the seeds.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn import datasets

import tenfold
from tenfold.build.choose import fit_chosen
from tenfold.core.settings import resolve
from tenfold.data.dataset import Dataset
from tenfold.experiments.run_data import decided, problem_of
from tenfold.experiments.sweeps.plan import learners_for
from tenfold.model.model import Model

RESULTS = Path(__file__).parent / "results" / "auto.json"
SEEDS = range(10)
TABLES: dict[str, Callable[..., Any]] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}


def main() -> None:
    names = sys.argv[1:] or list(TABLES)
    for seed in SEEDS:
        for name in names:
            measure(name, seed)
    for name in names:
        show(name, json.loads(RESULTS.read_text())[name])


def measure(name: str, seed: int) -> None:
    """What each learner, and `auto`, loses on the test rows of one split, unless it is known."""
    data = tenfold.load(TABLES[name](as_frame=True).frame, target="target")
    data = decided(data, resolve({"seed": seed}, table=True))
    for learner in ("auto", *learners_for(data)):
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        of_split = known.setdefault(name, {}).setdefault(str(seed), {})
        if learner not in of_split:
            of_split[learner] = losses(data, learner, seed)
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")


def losses(data: Dataset, learner: str, seed: int) -> dict[str, Any]:
    settings = resolve({"learner": learner, "seed": seed}, table=True, n_rows=len(data))
    problem = problem_of(data, settings)
    built = fit_chosen(problem)
    test = problem.split.test
    answers, y = Model(built.content).answer(data.x[test]).outputs[0], data.y[test]
    if not data.labels:
        error = float(np.sqrt(np.mean((answers.ravel() - y) ** 2)))
        return {"learner": built.contract.learner, "error": error, "loss": error}
    likelihood = np.clip(answers[np.arange(len(y)), y], 1e-7, 1)
    error = float(np.mean(answers.argmax(axis=1) != y))
    loss = float(-np.log(likelihood).mean())
    return {"learner": built.contract.learner, "error": error, "loss": loss}


def show(name: str, of_seeds: dict[str, dict[str, dict[str, Any]]]) -> None:
    for measure in ("error", "loss"):
        values = {
            learner: np.array([found[learner][measure] for found in of_seeds.values()])
            for learner in next(iter(of_seeds.values()))
        }
        best = min(values.keys() - {"auto"}, key=lambda learner: values[learner].mean())
        more = values["auto"] - values[best]
        half = stats.t.ppf(0.975, len(more) - 1) * more.std(ddof=1) / np.sqrt(len(more))
        means = ", ".join(f"{learner} {found.mean():.4g}" for learner, found in values.items())
        print(
            f"{name}, {len(more)} seeds, {measure}: {means}; auto - {best}: "
            f"{more.mean():.3g} [{more.mean() - half:.3g}, {more.mean() + half:.3g}]"
        )
    print("  auto took " + ", ".join(found["auto"]["learner"] for found in of_seeds.values()))


if __name__ == "__main__":
    main()
