"""Two runs on the test rows that both have."""

import numpy as np

from tenfold.core.errors import DataError
from tenfold.evaluation import Comparison
from tenfold.runs.csv_files import read_predictions
from tenfold.runs.record import Run


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare two runs on the test rows that both have: neither was fitted to them.

    Raises:
      RunError: One of them was not evaluated.
      DataError: Runs on other data, or without a test row in common.
    """
    if first.record.data.fingerprint != second.record.data.fingerprint:
        raise DataError(
            "E801",
            "Runs on other data",
            expected="two runs on the same data",
            **{run.path.name: run.record.data.name for run in (first, second)},
        )
    names = (first.path.resolve().name, second.path.resolve().name)
    if names[0] == names[1]:
        names = (str(first.path), str(second.path))
    stored, others = read_predictions(first), read_predictions(second)
    row_of = {key: row for row, key in enumerate(others.keys)}
    pairs = [(row, row_of[key]) for row, key in enumerate(stored.keys) if key in row_of]
    if len(pairs) < 2:
        raise DataError(
            "E802",
            "Too few test rows in common",
            where=" and ".join(names),
            expected="two or more that both were measured on",
            n_common=len(pairs),
        )
    return stored.compare(others, np.array(pairs).T, names)
