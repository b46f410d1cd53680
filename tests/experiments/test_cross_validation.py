"""Cross-validation: every row is held out once, test rows never, and time never runs backwards."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.build.problem import Problem
from tenfold.core.errors import DataError
from tenfold.core.progress import Listener
from tenfold.core.records import Fold
from tenfold.core.settings import Reading, resolve
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split as split_data
from tenfold.experiments.cross_validation import (
    _turns,
    cross_validate,
    fold_spread,
)
from tenfold.experiments.run_data import record_of
from tenfold.inputs.tables.cells import from_frame
from tenfold.runs.csv_files import read_folds, write_folds

RNG = np.random.default_rng(0)


def made(n: int = 120, *, time: bool = False, regression: bool = False) -> Dataset:
    x = RNG.normal(size=n)
    y = x * 2 + 1 if regression else np.where(x + RNG.normal(0, 0.5, n) > 0, "up", "down")
    frame = pd.DataFrame({"t": np.arange(n), "x": x, "y": y})
    reading = Reading(target="y", time="t" if time else None, lags=0)
    return table_dataset(from_frame(frame if time else frame[["x", "y"]]), reading)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(30, 90), folds=st.integers(2, 7), seed=st.integers(0, 99))
def test_every_row_is_held_out_once(n: int, folds: int, seed: int) -> None:
    data = made(n)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[: n * 3 // 4])
    turns = _turns(data, rows, folds, seed)
    held = np.concatenate([held for _, held in turns])
    assert sorted(held.tolist()) == rows.tolist() and len(turns) == folds
    for fitted, out in turns:
        assert not set(fitted) & set(out) and set(fitted) | set(out) == set(rows)
        share = data.y[out].mean() - data.y[rows].mean()
        assert abs(share) <= 1.5 / len(out) + 0.05  # stratified


@settings(max_examples=30, deadline=None)
@given(n=st.integers(30, 90), folds=st.integers(2, 7))
def test_time_never_runs_backwards(n: int, folds: int) -> None:
    for fitted, held in _turns(made(n, time=True), np.arange(n), folds, 0):
        assert fitted.max() < held.min()


def test_the_folds_of_a_run_and_their_file() -> None:
    data = made(regression=True)
    config = resolve({"learner": "linear", "recipe": "fast", "folds": 3}, table=True)
    split = split_data(data, validation_size=config.validation_size)
    seen: list[tuple[int, int]] = []

    class Notes(Listener):
        def progress(self, done: int, total: int) -> None:
            seen.append((done, total))

    problem = Problem(data, split, config)
    folds = cross_validate(problem, record_of(problem, {}), Notes())
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    n = len(split.train) + len(split.validation)
    assert sum(fold.n_held_out for fold in folds) == n
    assert all(fold.n_train + fold.n_held_out == n for fold in folds)
    assert (
        set(folds[0].scores) == {"rmse", "mae", "r2"}
        and min(fold.scores["r2"] or 0 for fold in folds) > 0.9
    )
    write_folds(Path("folds.csv"), folds)
    again = read_folds(Path("folds.csv"))
    for fold, other in zip(folds, again, strict=True):
        assert other.scores == pytest.approx(fold.scores, rel=1e-8)
    mean, deviation = fold_spread(folds)["r2"]
    values = [fold.scores["r2"] or np.nan for fold in folds]
    assert mean == pytest.approx(np.mean(values)) and deviation == pytest.approx(
        np.std(values, ddof=1)
    )
    assert read_folds(Path("none.csv")) == ()


def test_a_score_that_one_fold_lacks_has_no_fold_spread() -> None:
    folds = tuple(
        Fold(fold=i, n_train=1, n_held_out=1, scores={"rmse": 1.0 * i, "r2": None if i else 0.5})
        for i in range(2)
    )
    assert list(fold_spread(folds)) == ["rmse"]
    assert fold_spread(folds)["rmse"] == pytest.approx((0.5, 0.7071), abs=1e-4)
    assert fold_spread(()) == {}


def test_more_folds_than_rows_are_refused() -> None:
    data = made(40)
    with pytest.raises(DataError) as raised:
        _turns(data, np.arange(10), 11, 0)
    assert str(raised.value) == (
        "This number of folds is not possible: folds=11 (table). Expected 2 to 10, the "
        "number of distinct "
        "training rows."
    )
    with pytest.raises(DataError) as raised:
        _turns(made(40, time=True), np.arange(10), 5, 0)
    assert (
        str(raised.value)
        == "This number of folds is not possible: folds=5 (table). Expected 2 to 4."
    )
