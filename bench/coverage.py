"""Whether prediction sets hold each label as often as they promise, in simulated draws.

    python -m bench.coverage [DRAWS]

For each learner 200 tables are drawn, unless told otherwise, fitted and calibrated as by
`tenfold train`, and asked about fresh rows of the same source. Writes bench/results/coverage.json
and prints the table of docs/guide/prediction-sets.md.

The three labels are clouds of points that overlap, so that some in six rows are answered wrongly.
1,000, 1,500 and 2,500 of the validation rows are of each.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import fit_model
from tenfold.build.problem import Problem
from tenfold.core.contract import Column, TableInput
from tenfold.core.settings import Reading, resolve
from tenfold.data.dataset import Dataset, TableInfo
from tenfold.data.split import Split
from tenfold.inputs.tables.columns import Table
from tenfold.model.model import Model
from tenfold.model.predictions import Predictions

LABELS = ("a", "b", "c")
CENTRES = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
N_TRAIN, N_CALIBRATION, N_FRESH = (300, 450, 750), (1_000, 1_500, 2_500), (3_000, 3_000, 3_000)
LEARNERS: dict[str, dict[str, Any]] = {
    "logistic": {},
    "bayes": {},
    "neighbors": {},
    "forest": {"trees": 30},
    "boosting": {"rounds": 60},
    "network": {"epochs": 10},
}
"""With settings that make a draw quick; fewer trees are other models, and promise as much."""

RESULTS = Path(__file__).parent / "results" / "coverage.json"


def rows_of_labels(
    counts: Sequence[int], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """So many rows of each label (n, 3), in any order, and their codes (n,)."""
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return CENTRES[y] + rng.normal(size=(len(y), CENTRES.shape[1])), y


def fitted(
    learner: str, x: NDArray[np.float64], y: NDArray[Any], n_train: int, seed: int, **more: Any
) -> Model:
    """The model of a learner whose validation rows are those behind the first ones."""
    asked = LEARNERS[learner] | {"learner": learner, "seed": seed} | more
    settings = resolve(asked, table=True, n_rows=len(y))
    names = [f"x{i}" for i in range(x.shape[1])]
    accepted = TableInput(
        columns=tuple(Column(name=name, kind="number") for name in names), target="answer"
    )
    info = TableInfo(accepted, Reading(), (), ())
    labels = LABELS if y.dtype.kind == "i" else ()
    table = Table(dict(zip(names, x.T, strict=True)))
    data = Dataset("drawn", table, y, labels, [str(row) for row in range(len(y))], info=info)
    rows, none = np.arange(len(y)), np.empty(0, np.int64)
    split = Split(rows[:n_train], rows[n_train:], none, none)
    return Model(fit_model(Problem(data, split, settings, refit=True)).content)


def answers_to(model: Model, x: NDArray[np.float64]) -> Any:
    """The model's answers to rows (n, d)."""
    return model.answer(Table({f"x{i}": column for i, column in enumerate(x.T)}))


def draw_sets(learner: str, seed: int) -> dict[str, Any]:
    """Of one draw, how often sets of fresh rows of each label hold it, and how large they are."""
    rng = np.random.default_rng(seed)
    parts = [rows_of_labels(counts, rng) for counts in (N_TRAIN, N_CALIBRATION, N_FRESH)]
    x, y = (np.concatenate([part[i] for part in parts[:2]]) for i in (0, 1))
    answers = answers_to(fitted(learner, x, y, sum(N_TRAIN), seed), parts[2][0])
    fresh = parts[2][1]
    assert isinstance(answers, Predictions) and answers.in_set is not None
    holds, sizes = answers.in_set[np.arange(len(fresh)), fresh], answers.in_set.sum(axis=1)
    return {
        "coverage": [float(holds[fresh == code].mean()) for code in range(len(LABELS))],
        "right": float((answers.codes == fresh).mean()),
        "size": float(sizes.mean()),
        "empty": float((sizes == 0).mean()),
    }


def main() -> None:
    n_draws = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print("| learner | right | a | b | c | labels in a set | empty sets |")
    print("|---|---|---|---|---|---|---|")
    found = {}
    for learner in LEARNERS:
        draws = [draw_sets(learner, seed) for seed in range(n_draws)]
        found[learner] = {
            name: np.mean([d[name] for d in draws], axis=0).tolist() for name in draws[0]
        }
        mean = found[learner]
        held = " | ".join(f"{100 * share:.1f}%" for share in mean["coverage"])
        others = f"{mean['size']:.2f} | {100 * mean['empty']:.1f}%"
        print(f"| `{learner}` | {100 * mean['right']:.1f}% | {held} | {others} |", flush=True)
    RESULTS.write_text(json.dumps(known | {"draws": n_draws, "sets": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
