"""Which column is the answer, what the others are, and which rows count."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.core.contract import Column, Contract, Order, TableInput
from tenfold.core.errors import DataError, TargetError
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split as split_data
from tenfold.data.time_order import with_earlier_values
from tenfold.inputs.tables.cells import Cells, from_frame
from tests.support.errors import refused


def cells(header: bool = True, **columns: Any) -> Cells:
    found = from_frame(pd.DataFrame(columns), "t.csv")
    return replace(found, header=header)


def dataset(header: bool = True, reading: Reading | None = None, **columns: Any) -> Dataset:
    return table_dataset(cells(header, **columns), reading or Reading(target="y"))


X = [float(i * i % 7) + 0.5 for i in range(24)]


@pytest.mark.parametrize(
    ("y", "task", "labels"),
    [
        (["no", "yes"] * 12, "classification", ("no", "yes")),
        ([True, False] * 12, "classification", ("False", "True")),
        ([1.0, 2.0] * 12, "classification", ("1", "2")),
        ([10, 9, 2] * 8, "classification", ("2", "9", "10")),
        (["b", "10", "9"] * 8, "classification", ("10", "9", "b")),
        ([i % 20 for i in range(60)], "classification", tuple(str(i) for i in range(20))),
        ([i % 21 for i in range(63)], "regression", ()),
        ([0.5, 1.5] * 12, "regression", ()),
        (["1,5", "2,25"] * 12, "regression", ()),
    ],
)
def test_the_task_follows_the_target(y: list[Any], task: str, labels: tuple[str, ...]) -> None:
    found = dataset(x=(X * 3)[: len(y)], y=y)
    assert found.task.kind == task and found.labels == labels


def test_the_task_can_be_said() -> None:
    asked = Reading(target="y", task="regression")
    assert dataset(reading=asked, x=X, y=[1, 2] * 12).y[:2].tolist() == [1, 2]
    asked = Reading(target="y", task="classification")
    assert dataset(reading=asked, x=X, y=[0.5, 1.5] * 12).labels == ("0.5", "1.5")


def test_rows_without_an_answer_are_dropped_and_counted() -> None:
    found = dataset(x=X, y=["a", "b", "", "NA"] * 6)
    assert len(found) == 12 and found.info
    assert "12 rows without y dropped" in found.info.notes
    assert found.keys[:3] == ["t.csv:0", "t.csv:1", "t.csv:4"]


def test_columns_that_say_nothing_are_not_learned_from() -> None:
    found = dataset(id=list(range(24)), same=["k"] * 24, gone=[None] * 24, x=X, y=["a", "b"] * 12)
    assert found.info and found.info.input.names == ("x",)
    kinds = {one.name: one.kind for one in found.info.profiles}
    assert kinds == {"id": "identifier", "same": "constant", "gone": "constant", "x": "number"}


def test_a_kind_can_be_said() -> None:
    asked = Reading(target="y", columns={"id": "number", "x": "category"})
    found = dataset(reading=asked, id=list(range(24)), x=X, y=["a", "b"] * 12)
    assert [column.kind for column in found.input.columns] == ["number", "category"]  # type: ignore[union-attr]


def test_a_dropped_column_is_not_learned_from() -> None:
    asked = Reading(target="y", drop=("x", "z"), columns={"z": "number"})
    found = dataset(reading=asked, x=X, z=X[::-1], y=["a", "b"] * 12)
    assert [column.name for column in found.input.columns] == ["z"]  # type: ignore[union-attr]
    with pytest.raises(DataError, match="There is no such column: column='q'"):
        dataset(reading=Reading(target="y", drop=("q",)), x=X, y=["a", "b"] * 12)


def test_equal_rows_are_cases_and_not_copies() -> None:
    repeated = dataset(x=[float(i % 50) for i in range(200)], y=["a", "b"] * 100)
    assert repeated.group_of.tolist() == list(range(200))
    parts = split_data(repeated, validation_size=0.1)
    twins = [row for row in parts.test if row % 50 in set(parts.train % 50)]
    assert len(twins) > 40 and repeated.n_twins(parts.test, parts.train) == len(twins)


def test_equal_rows_may_be_kept_together() -> None:
    together = Reading(target="y", equal_rows="together")
    copied = dataset(reading=together, x=[float(i % 50) for i in range(200)], y=["a", "b"] * 100)
    assert copied.group_of is copied.duplicate_of
    parts = split_data(copied, validation_size=0.1)
    assert copied.n_twins(parts.test, parts.train) == 0


@pytest.mark.parametrize(("n_values", "is_spread"), [(2, True), (50, False)])
def test_earlier_versions_spread_rows_that_repeat_often(n_values: int, is_spread: bool) -> None:
    reading = Reading(target="y", equal_rows=None)
    x = [float(i % n_values) + 0.5 for i in range(200)]
    repeated = dataset(reading=reading, x=x, y=["a", "b", "a"] * 66 + ["a", "b"])
    assert (repeated.group_of.tolist() == list(range(200))) == is_spread


def test_a_run_of_an_earlier_version_keeps_its_split() -> None:
    x = np.random.default_rng(0).integers(0, 60, 200)
    frame = pd.DataFrame({"x": x / 7, "y": np.where(x > 30, "a", "b")})
    frame.to_csv("t.csv", index=False)
    together = Reading(target="y", equal_rows="together")
    run = tenfold.train("t.csv", learner="logistic", reading=together)
    path = run.path / "run.json"
    stored = json.loads(path.read_text("utf-8"))
    del stored["data"]["reading"]["equal_rows"]  # as it was written before there was a choice
    path.write_text(json.dumps(stored), "utf-8")
    earlier = tenfold.open(run.path)
    for data in (None, tenfold.load("t.csv", target="y")):
        assert tenfold.evaluate(earlier, data).model_dump() == run.evaluation.model_dump()


def test_a_run_says_how_many_test_rows_equal_a_training_row() -> None:
    x = np.random.default_rng(0).integers(0, 30, 200)
    frame = pd.DataFrame({"x": x / 7, "y": np.where(x > 14, "a", "b")})
    run = tenfold.train(frame, target="y", learner="logistic")
    assert run.record.data.n_twins and run.record.data.n_twins > 40
    words = f"{run.record.data.n_twins} of 50 test rows equal a training row."
    assert words in (run.path / "report.html").read_text("utf-8")
    fresh = tenfold.train(
        pd.DataFrame({"x": np.arange(200) / 7, "y": ["a", "b"] * 100}), target="y", learner="bayes"
    )
    assert fresh.record.data.n_twins == 0 and fresh.record.data.repeats is None


@pytest.mark.parametrize(
    ("columns", "asked", "text"),
    [
        (
            dict(a=X, b=X),
            Reading(),
            "No target column was chosen (t.csv). Expected the column to predict, one of a, "
            "b. Use --target NAME, in Python target='NAME'.",
        ),
        (
            dict(a=X, y=X),
            Reading(target="z"),
            "There is no such column: column='z' (t.csv). Expected one of a, y.",
        ),
        (dict(size=X, y=X), Reading(target="sise"), "Did you mean 'size'?"),
        (dict(a=X, y=X), Reading(target="1"), "There is no such column: column='1'"),
        (
            dict(a=X, y=X),
            Reading(target="y", columns={"b": "number"}),
            "There is no such column: column='b'",
        ),
        (dict(a=X, y=X), Reading(target="y", time="t"), "There is no such column: column='t'"),
        (
            dict(a=X, y=[None] * 24),
            Reading(target="y"),
            "The target column is empty in every row: column='y' (t.csv).",
        ),
        (
            dict(a=X, y=["p"] * 24),
            Reading(target="y"),
            "The target has a single value: answer='p' (t.csv). Expected at least two "
            "different values.",
        ),
        (
            dict(a=X, y=[2.5] * 24),
            Reading(target="y"),
            "The target has a single value: answer=[2.5]",
        ),
        (
            dict(a=["k"] * 24, y=["p", "q"] * 12),
            Reading(target="y"),
            "The table has no column to learn from: columns={'a': 'constant'} (t.csv). "
            "Expected at least one column that is neither an identifier nor constant.",
        ),
        (
            dict(y=["p", "q"] * 12),
            Reading(target="y"),
            "The table has no column to learn from: columns={}",
        ),
        (
            dict(a=X, y=["p", *map(str, X[1:])]),
            Reading(target="y", task="regression"),
            "The target contains values that are not numbers: column='y', value='p', "
            "n_rows=1 (t.csv, row 0). Expected "
            "numbers for regression. Use --task classification if the values are labels.",
        ),
        (
            dict(a=X, y=[f"n{i}" for i in range(24)]),
            Reading(target="y"),
            "The target has too many labels: column='y', n_labels=24 (t.csv). Expected "
            "at most 1,000 labels, with two rows each on average. Use another --target, or "
            "--task regression if it is a quantity.",
        ),
        (
            dict(a=X, y=[x * 1e300 for x in X]),
            Reading(target="y", task="regression"),
            "The target has values that float32 cannot hold: column='y'",
        ),
        (
            dict(a=X, y=[x * 1e-40 for x in X]),
            Reading(target="y", task="regression"),
            "The target has values that float32 cannot hold",
        ),
        (
            dict(a=X, y=[x + 1e9 for x in X]),
            Reading(target="y", task="regression"),
            "Change its unit, or subtract a constant from all rows.",
        ),
        (
            dict(t=["2020-01-01", "soon", *["2020-01-02"] * 22], y=X),
            Reading(target="y", time="t"),
            "A row has no valid time: column='t', value='soon', n_rows=1 (t.csv, row 1). "
            "Expected a date in "
            "each row.",
        ),
        (
            dict(t=list(range(24)), y=X),
            Reading(target="y", time="t", lags=12),
            (
                "There are too few rows for so many lags: lags=12 (t.csv). Expected fewer "
                "lags than half of the 24 rows."
            ),
        ),
    ],
)
def test_what_cannot_be_learned_is_one_line(
    columns: dict[str, Any], asked: Reading, text: str
) -> None:
    with pytest.raises(DataError) as raised:
        dataset(reading=asked, **columns)
    assert text in str(raised.value) and "\n" not in str(raised.value)


def test_positions_name_columns_only_without_a_header() -> None:
    named: dict[str, Any] = {"0": X, "1": ["p", "q"] * 12}
    found = dataset(False, Reading(target="-1"), **named)
    assert found.labels == ("p", "q")
    with pytest.raises(DataError, match="Use --header if the first row contains the names"):
        dataset(False, Reading(target="7"), **named)
    with refused("E201", "column='y'"):
        dataset(False, Reading(target="y"), **named)


def test_a_likely_name_is_proposed_and_never_taken() -> None:
    with pytest.raises(TargetError, match="Use --target Class, in Python target='Class'") as error:
        dataset(reading=Reading(), a=X, y=X, Class=["p", "q"] * 12)
    assert (error.value.columns, error.value.likely) == (("a", "y", "Class"), "Class")
    assert error.value.code == "E203"


# Rows in the order of time.


def test_rows_are_sorted_and_bring_their_earlier_values() -> None:
    days = [f"2020-01-{day:02d}" for day in range(1, 25)]
    back = list(range(23, -1, -1))
    asked = Reading(target="y", time="day", lags=2)
    found = dataset(reading=asked, day=[days[i] for i in back], y=[X[i] for i in back])
    assert found.y.tolist() == X[2:] and found.info and found.info.previous is not None
    assert found.info.previous.tolist() == X[1:-1]
    table: Any = found.x
    assert table.columns["y-1"].tolist() == X[1:-1] and table.columns["y-2"].tolist() == X[:-2]
    order = found.info.input.order
    assert order == Order(
        time="day", is_date=True, step=86_400, last=1579824000, lags=2, last_values=tuple(X[-2:])
    )
    assert "2 first rows only serve as earlier values of the others" in found.info.notes
    assert found.keys[0] == "t.csv:21"  # the third day stands there


def test_labels_have_no_earlier_numbers() -> None:
    asked = Reading(target="y", time="t")
    found = dataset(reading=asked, t=list(range(24)), x=X, y=["p", "q"] * 12)
    assert found.info and found.info.input.order and found.info.input.order.lags == 0


ORDERED = TableInput(
    columns=(
        Column(name="t", kind="number"),
        Column(name="y-1", kind="number"),
        Column(name="y-2", kind="number"),
    ),
    target="y",
    order=Order(time="t", is_date=False, step=1, last=9, lags=2, last_values=(80.0, 90.0)),
)


def lagged(**columns: Any) -> tuple[list[list[str]], list[str]]:
    found, notes = with_earlier_values(cells(**columns), ORDERED)
    return [list(row) for row in zip(*map(found.as_text().get, ["y-1", "y-2"]), strict=True)], notes


def test_earlier_values_come_from_the_file_in_the_order_of_time() -> None:
    rows, notes = lagged(t=[3, 1, 2, 4], y=[30, 10, 20, None])
    assert rows == [["20.0", "10.0"], ["", ""], ["10.0", ""], ["30.0", "20.0"]]
    assert notes == ["earlier values not known, read as missing: y in 2 rows, first row 1 (t.csv)"]


def test_earlier_values_come_from_training_where_the_file_goes_on() -> None:
    rows, notes = lagged(t=[11, 10], y=[110, 100])
    assert rows == [["100.0", "90.0"], ["90.0", "80.0"]] and notes == []
    rows, notes = lagged(t=[10])  # what is asked has no target
    assert rows == [["90.0", "80.0"]] and notes == []
    rows, notes = lagged(t=[12, 13], y=[120, 130])  # a gap: not right after
    assert rows == [["", ""], ["120.0", ""]] and "2 rows" in notes[0]


def test_columns_of_earlier_values_go_before() -> None:
    earlier: dict[str, Any] = {"y-1": [5], "y-2": [6]}
    given = cells(t=[1], **earlier)
    assert with_earlier_values(given, ORDERED) == (given, [])
    first: dict[str, Any] = {"y-1": [5]}
    found, _ = with_earlier_values(cells(t=[10], y=[1], **first), ORDERED)
    first = {name: cells[0] for name, cells in found.as_text().items()}
    assert first == {"t": "10", "y": "1", "y-1": "5", "y-2": "80.0"}


@pytest.mark.parametrize("columns", [dict(t=[50]), dict(y=[1, 2])])
def test_without_earlier_values_the_line_says_what_to_do(columns: dict[str, list[Any]]) -> None:
    with pytest.raises(DataError) as raised:
        lagged(**columns)
    assert str(raised.value) == (
        "The earlier values of the target are missing: columns=['y-1', 'y-2'] (t.csv). "
        "Expected t and y, from "
        "which they are computed. To forecast from the last known rows, use tenfold predict "
        "RUN --steps N."
    )


def test_a_time_that_is_none_is_said_when_asked_too() -> None:
    with refused("E207", "column='t', value='x', n_rows=1"):
        lagged(t=["1", "x"], y=[1, 2])


def test_a_model_of_unordered_rows_is_left_alone() -> None:
    plain = TableInput(columns=(Column(name="x", kind="number"),), target="y")
    given = cells(x=[1])
    assert with_earlier_values(given, plain) == (given, [])


def test_labels_a_model_does_not_know_are_refused() -> None:
    contract = Contract(
        input=TableInput(columns=(Column(name="x", kind="number"),), target="y"),
        labels=("p", "q"),
        learner="forest",
        tenfold="0",
    )
    good = table_dataset(cells(x=X, y=["q", "p"] * 12), like=contract)
    assert good.y[:2].tolist() == [1, 0] and good.labels == ("p", "q")
    with pytest.raises(DataError) as raised:
        table_dataset(cells(x=X, y=["q", "r"] * 12), like=contract)
    assert str(raised.value) == (
        "The data contain labels that the model does not know: labels=['r'] (t.csv). Expected p, q."
    )
    with refused("E201", "column='y'"):
        table_dataset(cells(x=X), like=contract)
    assert np.array_equal(good.y, table_dataset(cells(x=X, y=["q", "p"] * 12), like=contract).y)
