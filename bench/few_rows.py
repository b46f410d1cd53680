"""How `auto` calibrates with few rows: `python -m bench.few_rows [DRAWS] [DATA ...]`.

150 and 500 rows of three labels, and 150 of values, are drawn, quick candidates are fitted and
chosen as by `tenfold train`, and thousands of fresh rows are asked about. Iris and wine are split
anew in each draw and fitted with all candidates, and their test rows are counted together. Prints
how often sets of each label, or intervals, hold the truth, how large they are, and the calibration
error.
"""

import sys
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets

import tenfold
from bench.coverage import LABELS, rows_of_labels
from tenfold.build import table_plan
from tenfold.build.choose import fit_chosen
from tenfold.core.settings import resolve
from tenfold.evaluation.classification import expected_calibration_error
from tenfold.experiments.run_data import decided, problem_of
from tenfold.model.model import Model
from tenfold.model.predictions import Predictions, Values

Draw = tuple[Model, pd.DataFrame, NDArray[Any]]
"""A model, rows that it was not fitted to, and their answers."""

SHARES = np.array([0.2, 0.3, 0.5])
"""Of the labels among the rows that are drawn. There are 2,000 fresh rows of each."""

DRAWN = {"150 rows": (150, True), "500 rows": (500, True), "150 rows of values": (150, False)}
REAL = {"iris": datasets.load_iris, "wine": datasets.load_wine}
QUICK = ("baseline", "logistic", "linear", "bayes", "neighbors")


def main() -> None:
    n_draws = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    costs = table_plan.COSTS
    for name in sys.argv[2:] or [*DRAWN, *REAL]:
        quick = name in DRAWN
        table_plan.COSTS = {key: costs[key] for key in QUICK} if quick else costs
        draws = [
            drawn(*DRAWN[name], seed) if quick else real(name, seed) for seed in range(n_draws)
        ]
        learners = Counter(model.contract.learner for model, _, _ in draws).most_common()
        print(f"{name}, {n_draws} draws, {learners}: {scores(draws)}", flush=True)


def drawn(n: int, labelled: bool, seed: int) -> Draw:
    """The model of `auto` for drawn rows, and fresh rows with their answers."""
    rng = np.random.default_rng(seed)

    def rows(counts: list[int]) -> tuple[pd.DataFrame, NDArray[Any]]:
        if labelled:
            x, y = rows_of_labels(counts, rng)
            return pd.DataFrame(x, columns=["a", "b", "c"]), y
        frame = pd.DataFrame(rng.normal(size=(sum(counts), 3)), columns=["a", "b", "c"])
        noise = rng.normal(size=len(frame))
        return frame, (2 * np.sin(frame["a"]) + frame["b"] + noise).to_numpy()

    x, y = rows((n * SHARES).round().astype(int).tolist())
    fresh, answers = rows([2_000] * 3)
    known = x.assign(answer=np.array(LABELS)[y] if labelled else y)
    return fitted(known, "answer", seed, test_size=0.01)[0], fresh, answers


def real(name: str, seed: int) -> Draw:
    """The same for a split of a table, and its test rows."""
    frame = REAL[name](as_frame=True).frame
    model, test = fitted(frame, "target", seed)
    return model, frame.iloc[test].drop(columns="target"), frame["target"].to_numpy()[test]


def fitted(
    rows: pd.DataFrame, target: str, seed: int, **asked: float
) -> tuple[Model, NDArray[np.int64]]:
    settings = resolve({"learner": "auto", "seed": seed, **asked}, table=True, n_rows=len(rows))
    problem = problem_of(decided(tenfold.load(rows, target=target), settings), settings)
    return Model(fit_chosen(problem).content), problem.split.test


def scores(draws: list[Draw]) -> str:
    return of_labels(draws) if draws[0][0].labels else of_values(draws)


def of_values(draws: list[Draw]) -> str:
    held, width = [], []
    for model, rows, y in draws:
        found = model.predict(rows)
        assert isinstance(found, Values)
        held.append(((found.low <= y) & (y <= found.high)).mean())
        width.append((found.high - found.low).mean())
    return f"intervals hold {mean(held)}, width {mean(width)}"


def of_labels(draws: list[Draw]) -> str:
    held, sizes = [], []
    sure, right = list[NDArray[np.float64]](), list[NDArray[np.bool]]()
    for model, rows, y in draws:
        found = model.predict(rows)
        assert isinstance(found, Predictions)
        p = found.probabilities
        in_set = np.ones(p.shape, bool) if found.in_set is None else found.in_set
        own = in_set[np.arange(len(y)), y]
        held.append([own[y == code].mean() for code in range(p.shape[1])])
        sizes.append(in_set.sum(axis=1).mean())
        sure.append(p.max(axis=1).astype(np.float64))
        right.append(found.codes == y)
    each = [expected_calibration_error(*one) for one in zip(sure, right, strict=True)]
    together = expected_calibration_error(np.concatenate(sure), np.concatenate(right))
    by_label = ", ".join(mean(of_label) for of_label in np.transpose(held))
    return (
        f"sets hold {by_label}, labels in a set {mean(sizes)}, calibration error of a draw "
        f"{mean(each)}, of all together {together:.4f}"
    )


def mean(values: Any) -> str:
    """The mean with its standard error."""
    return f"{np.mean(values):.4f} ({np.std(values, ddof=1) / np.sqrt(len(values)):.4f})"


if __name__ == "__main__":
    main()
