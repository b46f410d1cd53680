"""Whether prediction sets and intervals hold the truth as often as they promise, in simulation.

    python -m bench.coverage [DRAWS] [LEARNER ...]

For each learner, or those named, 200 tables are drawn, unless told otherwise, fitted and calibrated
as by `tenfold train`, and asked about fresh rows of the same source. Writes
bench/results/coverage.json and prints the tables of docs/guide/prediction-sets.md.

The three labels are clouds of points that overlap: a quarter of the rows are answered wrongly.
1,000, 1,500 and 2,500 of the validation rows are of each. Values have noise that is even, or that
depends on the row, and 1,000 rows calibrate.
"""

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.build import fit_model
from tenfold.build.problem import Problem
from tenfold.core.conformal import conformal_half_width
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
    "forest": {"n_trees": 30},
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
    learner: str,
    x: NDArray[np.float64],
    y: NDArray[Any],
    n_train: int,
    seed: int,
    *,
    refit: bool = True,
) -> Model:
    """The model of a learner whose validation rows are those behind the first ones."""
    asked = LEARNERS.get(learner, {}) | {"learner": learner, "seed": seed}
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
    return Model(fit_model(Problem(data, split, settings, refit=refit)).content)


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


NOISE: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "even": lambda x: np.ones(len(x)),
    "grows on both sides": lambda x: 0.1 + np.abs(x[:, 0]),
    "of two kinds": lambda x: np.where(x[:, 2] > 0, 1.0, 3.0),
}
"""The standard deviation of the noise in rows (n, 3)."""

VALUE_LEARNERS = {"linear": {}, "forest": LEARNERS["forest"], "boosting": LEARNERS["boosting"]}


def draw_intervals(learner: str, noise: str, seed: int, n: int = 2_000) -> dict[str, float]:
    """Of one draw with n rows, of which half calibrate, how many fresh rows are in their interval,
    and how wide the mean interval is beside one width for all from the same calibration rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + 4_000, 3))
    y = 2 * np.sin(x[:, 0]) + x[:, 1] + NOISE[noise](x) * rng.normal(size=len(x))
    model = fitted(learner, x[:n], y[:n], n // 2, seed, refit=False)
    answers, fresh = answers_to(model, x[n:]), y[n:]
    known = answers_to(model, x[n // 2 : n])
    constant = 2 * conformal_half_width(y[n // 2 : n], known.value)
    width = answers.high.astype(np.float64) - answers.low
    return {
        "coverage": float(((answers.low <= fresh) & (fresh <= answers.high)).mean()),
        "width": float(width.mean()) / constant,
        "adaptive": float(model.contract.prediction_intervals.adaptive),  # type: ignore[union-attr]
    }


def mean_of(draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([draw[name] for draw in draws], axis=0).tolist() for name in draws[0]}


def main() -> None:
    n_draws = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    asked = sys.argv[2:] or [*LEARNERS, *VALUE_LEARNERS]
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"sets": {}, "intervals": {}}
    for learner in (name for name in LEARNERS if name in asked):
        draws = [draw_sets(learner, seed) for seed in range(n_draws)]
        known["sets"][learner] = {"draws": n_draws} | mean_of(draws)
    for learner, noise in itertools.product(VALUE_LEARNERS, NOISE):
        if learner in asked:
            found = [draw_intervals(learner, noise, seed) for seed in range(n_draws)]
            known["intervals"][f"{learner}, {noise}"] = {"draws": n_draws} | mean_of(found)
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    print("\n".join(tables(known)))


def tables(known: Mapping[str, Any]) -> Iterator[str]:
    """The tables of docs/guide/prediction-sets.md."""
    yield "| learner | draws | right | a | b | c | labels in a set |"
    yield "|---|---|---|---|---|---|---|"
    for learner, mean in known["sets"].items():
        held = " | ".join(f"{100 * share:.1f}%" for share in mean["coverage"])
        right = f"{100 * mean['right']:.1f}%"
        yield f"| `{learner}` | {mean['draws']} | {right} | {held} | {mean['size']:.2f} |"
    yield ""
    yield "| learner, noise | draws | in the interval | mean width beside one for all | adaptive |"
    yield "|---|---|---|---|---|"
    for name, mean in known["intervals"].items():
        held, follow = f"{100 * mean['coverage']:.1f}%", f"{100 * mean['adaptive']:.0f}%"
        yield f"| {name} | {mean['draws']} | {held} | {mean['width']:.3f} | {follow} |"


if __name__ == "__main__":
    main()
