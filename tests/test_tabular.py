"""A table becomes a dataset: the answer, the columns, the order of time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Dataset
from tenfold.columns import Table
from tenfold.contract import Reading, TableInput, check_reading
from tenfold.errors import DataError, SettingsError
from tenfold.tables import Cells, from_frame
from tenfold.tabular import table_dataset, with_earlier_values


def dataset(reading: dict[str, Any], **columns: Any) -> Dataset:
    return table_dataset(from_frame(pd.DataFrame(columns)), Reading(**reading))


X = list(np.random.default_rng(0).normal(size=30))


@pytest.mark.parametrize(
    ("target", "task", "labels"),
    [
        (["a", "b", "c"] * 10, "classification", ("a", "b", "c")),
        ([True, False, True] * 10, "classification", ("false", "true")),
        ([10, 2, 1] * 10, "classification", ("1", "2", "10")),
        ([1.0, 2.0, 3.0] * 10, "classification", ("1", "2", "3")),
        (list(range(21)) + [0] * 9, "regression", ()),
        ([0.5, 1, 2] * 10, "regression", ()),
    ],
)
def test_the_target_tells_the_task(target: Any, task: str, labels: tuple[str, ...]) -> None:
    data = dataset({"target": "t"}, x=X, t=target)
    assert (data.task, data.labels) == (task, labels)


def test_the_task_may_be_said() -> None:
    assert dataset({"target": "t", "task": "regression"}, x=X, t=[1, 2, 3] * 10).labels == ()
    with pytest.raises(DataError, match=r"not a number: column='t', value='a', n_rows=30.*row 0"):
        dataset({"target": "t", "task": "regression"}, x=X, t=["a"] * 30)


def test_a_target_is_found_by_name_position_or_not_at_all() -> None:
    assert dataset({}, x=X, Label=["a", "b"] * 15).labels == ("a", "b")
    with pytest.raises(DataError, match=r"Which column is the answer.*--target with one of x, z"):
        dataset({}, x=X, z=["a", "b"] * 15)
    with pytest.raises(DataError, match=r"No such column: column='zz'.*Did you mean 'z'"):
        dataset({"target": "zz"}, x=X, z=["a", "b"] * 15)
    frame = pd.DataFrame({"0": X, "1": ["a", "b"] * 15}, dtype=str)
    cells = Cells("t", frame, header=False)
    assert table_dataset(cells, Reading(target="-1")).labels == ("a", "b")
    with pytest.raises(DataError, match="No such column: column='7'"):
        table_dataset(cells, Reading(target="7"))


def test_rows_without_an_answer_are_dropped_and_counted() -> None:
    data = dataset({"target": "t"}, x=X, t=["a", "b", None] * 10)
    assert data.info is not None
    assert (len(data), "10 rows without t dropped" in data.info.notes) == (20, True)
    assert data.keys[:3] == ["table:0", "table:1", "table:3"]
    with pytest.raises(DataError, match="No row has an answer: column='t'"):
        dataset({"target": "t"}, x=X, t=[None] * 30)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"x": X, "t": ["a"] * 30}, "A single answer: answer='a'"),
        ({"x": [1] * 30, "t": ["a", "b"] * 15}, r"No column to learn from: columns=\{'x': 'const"),
        ({"x": X, "t": [f"n{i}" for i in range(30)]}, "Too many labels: column='t', n_labels=30"),
        ({"x": X, "t": [1.5] * 30}, r"A single answer: answer=\[1.5\]"),
    ],
)
def test_what_cannot_be_learned_is_refused(columns: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        dataset({"target": "t"}, **columns)


def test_identifiers_and_constants_are_not_learned_from_and_kinds_may_be_said() -> None:
    columns = dict(n=list(range(30)), c=["k"] * 30, x=X, z=[1, 2, 3] * 10, t=["a", "b"] * 15)
    data = dataset({"target": "t", "columns": {"z": "category"}}, **columns)
    assert isinstance(data.input, TableInput) and data.info is not None
    kinds = {column.name: column.kind for column in data.input.columns}
    assert kinds == {"x": "number", "z": "category"}
    found = {one.name: one.kind for one in data.info.profiles}
    assert (found["n"], found["c"]) == ("identifier", "constant")
    with pytest.raises(DataError, match="No such column: column='q'"):
        dataset({"target": "t", "columns": {"q": "number"}}, **columns)
    with pytest.raises(SettingsError, match=r"columns.z='colour', expected 'number', 'category'"):
        check_reading(columns={"z": "colour"})


def ordered(n: int = 40, **reading: Any) -> Dataset:
    days = pd.date_range("2020-01-01", periods=n)
    frame = pd.DataFrame({"d": days, "t": np.arange(n) * 1.5}).sample(frac=1, random_state=0)
    return table_dataset(from_frame(frame), Reading(target="t", time="d", **reading))


def test_rows_in_the_order_of_time_know_what_was_before() -> None:
    data = ordered(lags=3)
    assert isinstance(data.input, TableInput) and isinstance(data.x, Table)
    order = data.input.order
    assert order is not None and data.info is not None and data.info.previous is not None
    np.testing.assert_array_equal(data.y, np.arange(3, 40) * 1.5)
    np.testing.assert_array_equal(data.x.columns["t-1"], data.y - 1.5)
    np.testing.assert_array_equal(data.x.columns["t-3"], data.y - 4.5)
    np.testing.assert_array_equal(data.info.previous, data.y - 1.5)
    assert (order.step, order.last_values) == (86_400, (55.5, 57.0, 58.5))
    assert "3 first rows only serve as earlier values of the others" in data.info.notes


def test_the_past_is_trained_on_and_the_future_tested() -> None:
    data = ordered(lags=0)
    split = tenfold.split(data, seed=5, validation_size=0.1)
    assert split.train.max() < split.validation.min() <= split.validation.max() < split.test.min()
    assert (len(split.test), split.test.max()) == (10, 39)


def test_seven_lags_are_the_default_and_labels_have_none() -> None:
    data = ordered()
    assert isinstance(data.input, TableInput) and data.input.order is not None
    assert data.input.order.lags == 7
    labelled = dataset({"target": "t", "time": "d"}, d=list(range(30)), x=X, t=["a", "b"] * 15)
    assert isinstance(labelled.input, TableInput) and labelled.input.order is not None
    assert (labelled.input.order.lags, labelled.input.order.is_date) == (0, False)


def test_times_and_lags_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"More lags than rows allow: lags=20.*half of the 40"):
        ordered(lags=20)
    with pytest.raises(DataError, match=r"Not a time: column='d', value='soon', n_rows=1"):
        dataset({"target": "t", "time": "d"}, d=["2020-01-01"] * 29 + ["soon"], t=X)
    with pytest.raises(DataError, match="No such column: column='day'"):
        dataset({"target": "t", "time": "day"}, d=X, t=X)
    with pytest.raises(SettingsError, match="lags=3, expected a column of time"):
        check_reading(lags=3)


def test_rows_to_be_answered_find_their_earlier_values() -> None:
    data = ordered(lags=2)
    assert isinstance(data.input, TableInput)
    later = pd.DataFrame({"d": pd.date_range("2020-02-10", periods=3), "t": [60.0, 61.5, None]})
    shuffled = later.sample(frac=1, random_state=1)
    cells, _ = with_earlier_values(from_frame(shuffled), data.input)
    lag = dict(zip(shuffled["d"].dt.day, cells.frame["t-1"], strict=True))
    assert lag == {10: "58.5", 11: "60.0", 12: "61.5"}  # the first follows the last known value

    gap = pd.DataFrame({"d": pd.date_range("2021-01-01", periods=3), "t": [1.0, 2.0, 3.0]})
    cells, short = with_earlier_values(from_frame(gap), data.input)
    assert cells.frame["t-2"].tolist() == ["", "", "1.0"]
    assert short == ["the first 2 rows in time have no earlier values in table"]
    given = from_frame(gap.assign(**{"t-1": 1.0, "t-2": 2.0}))
    assert with_earlier_values(given, data.input) == (given, [])
    with pytest.raises(DataError, match=r"No earlier values: columns=\['d'\].*--steps N"):
        with_earlier_values(from_frame(gap[["d"]]), data.input)


def test_other_data_are_read_as_the_model_has_it() -> None:
    data = dataset({"target": "t"}, x=X, c=["u", "v"] * 15, t=["a", "b"] * 15)
    run = tenfold.train(data, learner="logistic")
    other = from_frame(pd.DataFrame({"c": ["u"] * 4, "x": [1, 2, 3, 4], "t": list("abab")}))
    read = table_dataset(other, like=run.model.contract)
    assert (read.labels, len(read), read.fingerprint != data.fingerprint) == (("a", "b"), 4, True)
    wrong = from_frame(pd.DataFrame({"c": ["u"], "x": [1], "t": ["z"]}))
    with pytest.raises(DataError, match=r"Labels the model does not know: labels=\['z'\].*a, b"):
        table_dataset(wrong, like=run.model.contract)
    with pytest.raises(DataError, match="No such column: column='t'"):
        table_dataset(from_frame(pd.DataFrame({"c": ["u"], "x": [1]})), like=run.model.contract)


def test_few_distinct_rows_are_dealt_one_by_one() -> None:
    few = dataset({"target": "t"}, x=[1, 2, 3] * 10, z=[1, 1, 2] * 10, t=["a", "b", "a"] * 10)
    assert len(tenfold.split(few).test) == 8
    assert (few.group_of == np.arange(30)).all()
    copies = dataset({"target": "t"}, x=[*X[:29], X[0]], t=["a", "b"] * 15)
    assert copies.group_of[29] == 0
