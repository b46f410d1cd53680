"""Whether the interval of an accuracy holds where rows of a table repeat.

    python -m bench.repeats [DRAWS]

Draws tables of 400 rows, 1,000 for each line unless told otherwise, of which 10, 25 or 50% equal an
earlier row. The product splits them, a decision tree learns its training rows by heart, and the
interval is that of the product. It holds where the accuracy on fresh rows of the same source lies
in it. Writes bench/results/repeats.json and prints the table of docs/guide/tables.md.

Repeats come about in two ways. A source that repeats has so many different rows, each as likely as
the others, and fresh rows repeat as often: their accuracy is the mean over all of them. Copies by
mistake are rows that were written twice; fresh rows are new.
"""

import itertools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.tree import DecisionTreeClassifier

from tenfold.core.contract import Column, TableInput
from tenfold.core.settings import Reading, Settings
from tenfold.data.dataset import Dataset, TableInfo
from tenfold.evaluation import MEASURES, Score
from tenfold.experiments.run_data import split_of
from tenfold.inputs.tables.columns import Table

N_ROWS, N_FRESH = 400, 20_000
COLUMNS = ("a", "b", "c")
SHARES = (0.1, 0.25, 0.5)
RESULTS = Path(__file__).parent / "results" / "repeats.json"


class Rows(NamedTuple):
    """Three numbers in each row (n, 3), and its answer (n,)."""

    x: NDArray[np.float64]
    y: NDArray[np.int64]


Source = Callable[[float, np.random.Generator], tuple[Rows, Rows]]
"""From the share of rows that repeat to a table, and fresh rows of the same source."""


def new_rows(n: int, rng: np.random.Generator) -> Rows:
    x = rng.normal(size=(n, 3)).round(6)
    right = rng.random(n) < 0.9
    return Rows(x, np.where(right, x[:, 0] + x[:, 1] > 0, x[:, 2] > 0).astype(np.int64))


def repeating(share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Rows of a source that has so many different ones that this share of a table repeats."""

    def repeated(per_row: float) -> float:
        return 1 - (1 - math.exp(-per_row)) / per_row - share

    known = new_rows(round(N_ROWS / brentq(repeated, 1e-6, 50)), rng)
    rows = rng.integers(len(known.y), size=N_ROWS)
    return Rows(known.x[rows], known.y[rows]), known


def copied(share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Different rows, of which some were written again."""
    n_once = round(N_ROWS * (1 - share))
    once = new_rows(n_once, rng)
    rows = rng.permutation(np.r_[np.arange(n_once), rng.integers(n_once, size=N_ROWS - n_once)])
    return Rows(once.x[rows], once.y[rows]), new_rows(N_FRESH, rng)


def interval(table: Rows, fresh: Rows, reading: Reading, seed: int) -> tuple[Score, float]:
    """The accuracy that the product states, and that on fresh rows."""
    columns = dict(zip(COLUMNS, table.x.T, strict=True))
    accepted = TableInput(
        columns=tuple(Column(name=name, kind="number") for name in COLUMNS), target="answer"
    )
    keys = [str(row) for row in range(len(table.y))]
    info = TableInfo(accepted, reading, (), ())
    data = Dataset("repeats", Table(columns), table.y, ("0", "1"), keys, info=info)
    split = split_of(data, Settings(learner="forest", seed=seed))
    x, y = table.x, table.y
    tree = DecisionTreeClassifier(random_state=seed).fit(x[split.train], y[split.train])
    right = tree.predict(x[split.test]) == y[split.test]
    score = MEASURES["classification"].of_rows(right.astype(np.float64), y[split.test])
    return score, float((tree.predict(fresh.x) == fresh.y).mean())


def held(source: Source, share: float, rule: str, draws: int) -> dict[str, float]:
    """In how many of 100 draws the interval holds, and the means of what was stated and true."""
    reading = Reading.model_validate({"equal_rows": rule})
    told = []
    for draw in range(draws):
        rng = np.random.default_rng([draw, round(100 * share)])
        told.append(interval(*source(share, rng), reading, draw))
    holds = [score.low <= truth <= score.high for score, truth in told]
    return {
        "holds": 100 * float(np.mean(holds)),
        "stated": float(np.mean([score.value for score, _ in told])),
        "true": float(np.mean([truth for _, truth in told])),
    }


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    sources: dict[str, Source] = {"a source that repeats": repeating, "copies by mistake": copied}
    lines = []
    print("| rows that repeat | come from | `--equal-rows` | stated | true | holds |")
    print("|---|---|---|---|---|---|")
    for name, rule in itertools.product(sources, ("spread", "together")):
        for share in SHARES:
            line: dict[str, Any] = {"source": name, "share": share, "rule": rule}
            line |= held(sources[name], share, rule, draws)
            lines.append(line)
            numbers = f"{line['stated']:.3f} | {line['true']:.3f} | {line['holds']:.1f}%"
            print(f"| {share:.0%} | {name} | {rule} | {numbers} |", flush=True)
    RESULTS.write_text(
        json.dumps({"draws": draws, "rows": N_ROWS, "lines": lines}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
