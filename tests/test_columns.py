"""Columns are what a reader would call them, and cells mean what they say."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.columns import (
    Table,
    as_cells,
    date_parts,
    graph_inputs,
    infer_kind,
    levels,
    parse,
    parse_dates,
    parse_numbers,
    profile,
    read_rows,
    split_words,
    word_matrix,
)
from tenfold.contract import Column, TableInput
from tenfold.errors import DataError
from tenfold.tables import Cells, from_frame


def text(*cells: str) -> "pd.Series[str]":
    return pd.Series(list(cells), dtype=str)


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("x", [str(i / 3) for i in range(40)], "number"),
        ("x", ["1,5", "2,25", "3,0"], "number"),
        ("x", ["1,234", "12,345.5", "7"], "number"),
        ("x", ["$3", "$4.50", "-$2"], "number"),
        ("x", [*(str(i * 37 % 101) for i in range(99)), "abc"], "number"),
        ("x", ["yes", "no", "Yes", ""], "yes/no"),
        ("x", ["0", "1", "1", "0"], "yes/no"),
        ("x", ["red", "blue", "red", "red"], "category"),
        ("x", ["2020-01-02", "2020-02-03", "2021-03-04"], "date"),
        ("x", ["24.12.2020", "01.02.2021", "31.01.2020"], "date"),
        ("x", ["12/24/2020", "01/02/2021"], "date"),
        ("x", [f"these are some words number {i}" for i in range(9)], "text"),
        ("x", [f"code{i}" for i in range(30)], "identifier"),
        ("row", [str(i) for i in range(30)], "identifier"),
        ("customer_id", [str(i * 7 % 997) for i in range(30)], "identifier"),
        ("size", [str(i * 7 % 997) for i in range(30)], "number"),
        ("x", ["same"] * 5, "constant"),
        ("x", ["", "NA", "?"], "constant"),
        ("x", ["flag", "", "flag"], "category"),
    ],
)
def test_kinds(name: str, cells: list[str], kind: str) -> None:
    assert infer_kind(name, text(*cells)) == kind


def test_a_profile_counts_what_it_found() -> None:
    found = profile("age", text(*map(str, range(40)), "forty", "", "7"))
    assert (found.kind, found.n_missing, found.n_unreadable, found.n_distinct) == (
        "number", 1, 1, 41,
    )  # fmt: skip
    assert profile("age", text("1", "2", "2"), "category").kind == "category"


def test_numbers_in_all_their_forms() -> None:
    cells = ["1", "-2.5e3", "1,234,567.5", "3,5", "12%", "€ 7", "abc", "", "inf", "1e400", "1e31"]
    found = parse_numbers(text(*cells))
    np.testing.assert_array_equal(found, [1, -2500, 1234567.5, 3.5, 12, 7, *[np.nan] * 5])


@given(st.lists(st.floats(-1e30, 1e30), min_size=1))
def test_numbers_are_read_to_the_last_bit(values: list[float]) -> None:
    np.testing.assert_array_equal(parse_numbers(text(*map(repr, values))), values)


def test_dates_take_the_format_that_fits_most() -> None:
    found = parse_dates(text("13/01/2020", "02/01/2020", "x"))
    assert found.astype(str).tolist() == ["2020-01-13T00:00:00", "2020-01-02T00:00:00", "NaT"]


def test_parts_of_a_date() -> None:
    parts = date_parts(np.array(["2026-11-24T13:30", "NaT"], "datetime64[s]"))
    first = {name: values[0] for name, values in parts.items()}
    assert [first[name] for name in ("year", "month", "day", "weekday", "hour")] == [
        2026, 11, 24, 1, 13.5,
    ]  # fmt: skip
    assert first["year_sin"] ** 2 + first["year_cos"] ** 2 == pytest.approx(1)
    assert all(np.isnan(values[1]) for values in parts.values())


def test_categories_forget_how_whole_numbers_were_written() -> None:
    assert parse("category", text("1.0", "1", "01", "NA", "b")).tolist() == [
        "1", "1", "01", "", "b",
    ]  # fmt: skip
    assert parse("yes/no", text("Yes", "NO")).tolist() == ["yes", "no"]


def test_levels_come_by_frequency() -> None:
    assert levels(np.array(["b", "a", "c", "c"], object)) == ("c", "a", "b")


def test_words() -> None:
    assert split_words("Call 0800-12 NOW, Müller!") == [
        "call", "#4", "-", "#2", "now", ",", "müller", "!",
    ]  # fmt: skip
    assert word_matrix([["a"], [], ["b", "c"]]).tolist() == [["a", ""], ["", ""], ["b", "c"]]


TABLE = TableInput(
    target="t",
    columns=(
        Column(name="n", kind="number"),
        Column(name="low", kind="category", levels=("a", "b")),
        Column(name="d", kind="date"),
        Column(name="s", kind="text"),
    ),
)


def rows(**columns: list[Any]) -> Cells:
    return from_frame(pd.DataFrame(columns))


def test_rows_are_read_by_name_in_any_order_and_what_is_odd_is_said() -> None:
    cells = rows(
        more=["1", "2"], s=["x y", ""], d=["2020-01-01", "soon"], low=["a", "z"], n=["1", "one"]
    )
    table, notes = read_rows(cells, TABLE)
    assert list(table.columns) == ["n", "low", "d", "s"]
    assert notes == [
        "columns not used by the model: more (table)",
        "not a number, read as missing: n=one in 1 rows, first row 1 (table)",
        "never seen in training: low=z in 1 rows, first row 1 (table)",
        "not a date, read as missing: d=soon in 1 rows, first row 1 (table)",
    ]
    again, _ = read_rows(Cells("x", pd.DataFrame(as_cells(table), dtype=str), True), TABLE)
    for name, values in table.columns.items():
        np.testing.assert_array_equal(values, again.columns[name])


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(DataError, match=r"columns=\['low', 's'\].*Expected n, low, d, s"):
        read_rows(rows(n=[1], d=["2020-01-01"]), TABLE)


def test_inputs_of_the_graph_have_its_names_and_forms() -> None:
    table, _ = read_rows(
        rows(n=[1.5, None], low=["a", ""], d=["2020-01-01", ""], s=["x y", "z"]), TABLE
    )
    inputs = graph_inputs(table, TABLE)
    assert list(inputs) == list(TABLE.inputs)
    assert "column.low" in inputs and "low" not in inputs  # `low` is an output of regression
    assert inputs["n"].dtype == np.float32 and inputs["n"].shape == (2, 1)
    assert inputs["s"].tolist() == [["x", "y"], ["z", ""]]
    assert inputs["d.year"][0, 0] == 2020 and np.isnan(inputs["d.year"][1, 0])


def test_copies_are_found_missing_cells_included() -> None:
    table = Table(
        {
            "a": np.array([1, np.nan, 1, np.nan]),
            "b": np.array(["x", "", "x", "y"], object),
        }
    )
    assert table.copy_of.tolist() == [0, 1, 0, 3]
    assert len(table[np.array([0, 2])]) == 2
