"""What a column is taken for, and that a cell means the same in training and when asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.contract import DATE_PARTS, Column, DecimalMark, TableInput
from tenfold.core.errors import DataError
from tenfold.inputs.tables.cells import Cells
from tenfold.inputs.tables.columns import (
    LARGEST,
    Table,
    as_cells,
    date_parts,
    describe,
    graph_inputs,
    infer_kind,
    levels,
    parse,
    profile,
    read_rows,
    split_words,
    word_matrix,
)
from tenfold.inputs.tables.dates import choose_date_format, parse_dates
from tenfold.inputs.tables.numbers import number_format, parse_numbers
from tenfold.inputs.tables.texts import Texts


def series(*cells: str) -> Texts:
    return Texts.of(cells)


MANY = [str(i) for i in range(30)]


@pytest.mark.parametrize(
    ("kind", "name", "cells"),
    [
        ("constant", "a", ["x"] * 5),
        ("constant", "a", ["", "NA", "?"]),
        ("yes/no", "a", ["yes", "No", ""]),
        ("yes/no", "a", ["0", "1", "1"]),
        ("yes/no", "a", ["True", "False"]),
        ("number", "a", ["1", "2.5", "NA", "1e3"]),
        ("number", "a", ["$1,200.50", "$3"]),
        ("number", "a", ["12%", "3 %"]),
        ("number", "a", ["1,5", "2,25"]),
        ("number", "a", ["inf", *MANY, *MANY]),
        ("identifier", "a", MANY),  # counts up
        ("identifier", "customer_id", [str(i * 7 % 31) for i in range(1, 31)]),
        ("identifier", "size", [str(i * 7 % 31) for i in range(1, 31)]),  # in another order
        ("identifier", "PassengerId", [str(i * i % 997) for i in range(1, 60)]),
        ("identifier", "size", [str(7 * i % 9973) for i in range(1, 1000)]),  # some of many
        ("number", "size", [str(i * i) for i in range(1, 30)]),
        ("number", "size", [str(7 * i % 9973) for i in range(1, 100)]),  # chance alone
        ("identifier", "a", [f"K-{i}" for i in range(30)]),
        ("category", "a", [f"K-{i}" for i in range(10)]),
        ("category", "a", ["red", "blue", "red", ""]),
        ("category", "a", ["12:30", "x", "12:30"]),
        ("date", "a", ["2020-01-01", "2020-01-02T10:00:00", ""]),
        ("date", "a", ["31/12/2020", "01/02/2020"]),
        ("date", "a", ["31.12.2020", "1.2.2020"]),
        ("text", "a", ["the cat sat down", "a dog ran off now", "birds fly very high"]),
    ],
)
def test_the_kind_follows_the_cells(kind: str, name: str, cells: list[str]) -> None:
    assert infer_kind(name, series(*cells)) == kind


def test_a_profile_counts_what_is_missing_and_what_cannot_be_read() -> None:
    found = profile("a", series("NA", "1", "x", "2", "2"), "number")
    assert (found.n_missing, found.n_distinct, found.n_unreadable, found.example) == (1, 3, 1, "1")
    assert profile("a", series("2020-01-01", "soon"), "date").n_unreadable == 1
    assert profile("a", series("", "")).example == ""


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1", "-2.5", "+3", "1e3", ""], [1, -2.5, 3, 1000, np.nan]),
        (["1,234", "12,345.5", "2"], [1234, 12345.5, 2]),
        (["1,5", "2,25", "1.234,5"], [1.5, 2.25, 1234.5]),
        (["0,125", "3,125"], [0.125, 3.125]),  # no thousands begin with 0
        (["$1,200.50", "-$3", "€4", "5%"], [1200.5, -3, 4, 5]),
        (["inf", "-inf", "1e400", "nan", "abc", "1 2"], [np.nan] * 6),
        ([str(2**60), "1e300", "1e-300"], [2.0**60, 1e300, 1e-300]),
    ],
)
def test_numbers_in_their_spellings(cells: list[str], numbers: list[float]) -> None:
    assert np.array_equal(parse_numbers(series(*cells)), np.array(numbers), equal_nan=True)


@pytest.mark.parametrize(
    ("cells", "dates"),
    [
        (["2020-02-01", "2020-02-01T03:04", ""], ["2020-02-01", "2020-02-01T03:04", "NaT"]),
        (["2020-02-01", "x"], ["2020-02-01", "NaT"]),
        (["02/13/2020", "01/02/2020"], ["2020-02-13", "2020-01-02"]),
        (["13/02/2020", "01/02/2020"], ["2020-02-13", "2020-02-01"]),
        (["13.02.2020", "1.2.2020", "2020-05-06"], ["2020-02-13", "2020-02-01", "2020-05-06"]),
        (["13-02-2020"], ["2020-02-13"]),
        (["2020/02/13"], ["2020-02-13"]),
        (["2020-02-01T00:00:00+02:00"], ["2020-01-31T22:00:00"]),
    ],
)
def test_dates_in_their_spellings(cells: list[str], dates: list[str]) -> None:
    expected = np.array(dates, "datetime64[s]")
    assert np.array_equal(parse_dates(series(*cells)), expected, equal_nan=True)


def test_a_single_cell_is_read_as_training_read_it() -> None:
    comma, _ = describe("x", "number", series("3,5", "2,25"))
    assert comma.decimal == "," and parse(comma, series("3,125"))[0] == 3.125
    point, _ = describe("x", "number", series("1,200", "3"))
    assert point.decimal == "." and parse(point, series("3,125"))[0] == 3125
    european, _ = describe("d", "date", series("31/12/2020", "05/06/2020"))
    assert european.date_format == "%d/%m/%Y"
    assert parse(european, series("03/04/2020"))[0] == np.datetime64("2020-04-03")
    assert parse(european, series("2020-04-03"))[0] == np.datetime64("2020-04-03")
    assert number_format(series("1", "2")).decimal == "."
    assert choose_date_format(series("2020-01-01")).form == "ISO8601"


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=20))
def test_numbers_as_cells_are_the_same_numbers(numbers: list[float]) -> None:
    values = np.array(numbers)
    cells = as_cells(Table({"x": values}))["x"]
    marks: tuple[DecimalMark, ...] = (".", ",")
    for mark in marks:
        column = Column(name="x", kind="number", decimal=mark)
        assert np.array_equal(parse(column, series(*cells)), values, equal_nan=True)


@given(st.lists(st.integers(-2_000_000_000, 4_000_000_000), min_size=1, max_size=20))
def test_dates_as_cells_are_the_same_dates(seconds: list[int]) -> None:
    dates = np.array([*seconds, 0], "datetime64[s]")
    dates[-1] = np.datetime64("NaT", "s")
    cells = as_cells(Table({"d": dates}))["d"]
    column = Column(name="d", kind="date", date_format="%d/%m/%Y")
    assert np.array_equal(parse(column, series(*cells)), dates, equal_nan=True)


def test_categories_take_whole_numbers_and_missing_cells_alike() -> None:
    column = Column(name="c", kind="category")
    assert parse(column, series("1.0", "1", "01", "?", "x")).tolist() == ["1", "1", "01", "", "x"]
    yes = Column(name="c", kind="yes/no")
    assert parse(yes, series("Yes", "NO", "")).tolist() == ["yes", "no", ""]


def test_levels_come_in_order_of_their_number() -> None:
    assert levels(np.array(["b", "a", "b", "c", "a", ""], object)) == ("a", "b", "", "c")


CONTRACT = TableInput(
    columns=(
        Column(name="size", kind="number"),
        Column(name="colour", kind="category", levels=("red", "blue")),
        Column(name="day", kind="date"),
    ),
    target="y",
)


def cells_of(**columns: list[str]) -> Cells:
    return Cells("rows.csv", {name: Texts.of(cells) for name, cells in columns.items()}, True)


def test_rows_are_read_by_name_and_remarks_are_one_line_each() -> None:
    table, notes = read_rows(
        cells_of(
            day=["2020-01-01", "soon"],
            other=["1", "2"],
            colour=["green", "red"],
            size=["1", "big"],
            y=["", ""],
        ),
        CONTRACT,
    )
    assert list(table.columns) == ["size", "colour", "day"]
    assert notes == [
        "columns not used by the model: other (rows.csv)",
        "not a number, read as missing: size=big in 1 rows, first row 1 (rows.csv)",
        "never seen in training: colour=green in 1 rows, first row 0 (rows.csv)",
        "not a date, read as missing: day=soon in 1 rows, first row 1 (rows.csv)",
    ]


def test_all_missing_columns_are_in_one_message() -> None:
    with pytest.raises(DataError) as raised:
        read_rows(cells_of(color=["red"], size=["1"]), CONTRACT)
    assert str(raised.value) == (
        "The table lacks columns that the model needs: columns=['colour', 'day'] "
        "(rows.csv). Expected size, colour, day. "
        "Did you mean 'color'?"
    )


def test_inputs_of_a_graph_never_share_a_name() -> None:
    names = ["low", "low.column", "column", "front/Concat_0", "d.year", "d.year.column", "image"]
    columns = [Column(name=name, kind="number") for name in names] + [Column(name="d", kind="date")]
    contract = TableInput(columns=tuple(columns), target="y")
    assert len(contract.inputs) == len(names) + len(DATE_PARTS)
    assert {"low.column", "low.column.column", "image", "d.year"} <= contract.inputs.keys()


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("ad."), max_size=4).map(lambda s: s + "x")
            | st.sampled_from(["low", "d", "d.year", "d.column", "front/x"]),
            st.lists(st.sampled_from([".year", ".column", ".year_sin"]), max_size=2).map("".join),
            st.sampled_from(["number", "date", "text", "category"]),
        ),
        unique_by=lambda row: row[0] + row[1],
        min_size=1,
        max_size=8,
    )
)
def test_names_of_inputs_are_unique_whatever_the_columns(rows: list[tuple[str, str, str]]) -> None:
    columns = tuple(Column(name=a + b, kind=kind) for a, b, kind in rows)  # type: ignore[arg-type]
    contract = TableInput(columns=columns, target="y")
    assert len(contract.inputs) == sum(len(column.inputs) for column in columns)


def test_numbers_beyond_float32_are_cut_and_nothing_is_infinite() -> None:
    contract = TableInput(columns=(Column(name="x", kind="number"),), target="y")
    values = np.array([1e300, -1e300, 1e-300, np.nan, 2.5])
    found = graph_inputs(Table({"x": values}), contract)["x"]
    assert found.dtype == np.float32 and found.shape == (5, 1)
    expected = np.array([LARGEST, -LARGEST, 0, np.nan, 2.5], np.float32)
    assert np.array_equal(found[:, 0], expected, equal_nan=True)


def test_parts_of_a_date() -> None:
    parts = date_parts(np.array(["2024-02-29T06:30", "NaT"], "datetime64[s]"))
    assert list(parts) == list(DATE_PARTS)
    first = {name: float(values[0]) for name, values in parts.items()}
    assert first["year"] == 2024 and first["month"] == 2 and first["day"] == 29
    assert first["weekday"] == 3 and first["hour"] == 6.5  # a Thursday
    assert first["year_sin"] ** 2 + first["year_cos"] ** 2 == pytest.approx(1)
    assert all(np.isnan(values[1]) for values in parts.values())


def test_words_of_a_text() -> None:
    assert split_words("Call 08001, NOW! Größe_x") == ["call", "#5", ",", "now", "!", "größe", "x"]
    assert len(split_words("a " * 5000)) == 2000
    assert word_matrix([["a"], [], ["b", "c"]]).tolist() == [["a", ""], ["", ""], ["b", "c"]]
    assert word_matrix([]).shape == (0, 1)


def test_copies_are_equal_in_every_column_missing_cells_too() -> None:
    table = Table(
        {
            "x": np.array([1, np.nan, 1, np.nan, 2]),
            "c": np.array(["a", "", "a", "", "a"], object),
            "d": np.array(["2020-01-01", "NaT", "2020-01-01", "NaT", "NaT"], "datetime64[s]"),
        }
    )
    assert table.duplicate_of.tolist() == [0, 1, 0, 1, 4]
    assert len(table[np.array([0, 2])]) == 2
