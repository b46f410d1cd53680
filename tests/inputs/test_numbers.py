"""Numbers as people write them are the numbers that were meant; what is unclear is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.contract import Column, DecimalMark
from tenfold.inputs.tables.cells import Cells, number_text, typed_numbers
from tenfold.inputs.tables.columns import FileStyle, describe, parse, profile
from tenfold.inputs.tables.numbers import (
    number_format,
    parse_numbers,
    sentinel_remark,
    unit_remark,
)
from tenfold.inputs.tables.texts import Texts


def series(*cells: str) -> Texts:
    return Texts.of(cells)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["2.175", "1.218,42", "547"], [2175, 1218.42, 547]),
        (["1.562", "547", "88"], [1562, 547, 88]),  # whole numbers below 1000 alone
        (["1.562", "2.304", "12"], [1562, 2304, 12]),
        (["1.562", "1547"], [1.562, 1547]),  # 1547 has no mark, so a point is none
        (["1.562", "0.233", "2.304"], [1.562, 0.233, 2.304]),
        (["1.234.567", "3.125"], [1234567, 3125]),
        (["1,234,567", "3,125"], [1234567, 3125]),
        (["3,125", "12,5"], [3.125, 12.5]),
        (["1 234,5", "2\u00a0345", "3\u202f456,25"], [1234.5, 2345, 3456.25]),
        (["1'234.50", "12\u2019345"], [1234.5, 12345]),
        (["1,00,000", "12,34,567.5"], [100000, 1234567.5]),
        (["\u22125", "\u20133.5", "\uff0d2"], [-5, -3.5, -2]),
        (["12 €", "3,50 €", "EUR 4", "5 kr", "R$ 6"], [12, 3.5, 4, 5, 6]),
        (["-$3", "$-4", "€1.000,50"], [-3, -4, 1000.5]),
        (["(1,234)", "(5)", "7-"], [-1234, -5, -7]),
        (["12%", "3,5 %"], [12, 3.5]),
        ([".5", ",25", "1,5e3"], [0.5, 0.25, 1500]),
        (["1,234,5", "1.2.3", "1 2", "12 34", "089 123 456", "10.0.0.1"], [np.nan] * 6),
    ],
)
def test_numbers_are_read_as_they_were_meant(cells: list[str], numbers: list[float]) -> None:
    np.testing.assert_array_equal(parse_numbers(series(*cells)), np.array(numbers))


def test_other_columns_decide_where_a_column_does_not() -> None:
    unclear = series("1.562", "2.304", "3.125")
    assert number_format(unclear).decimal == "." and not number_format(unclear).is_certain
    assert number_format(unclear, ",").decimal == "," and number_format(unclear, ",").is_certain
    assert number_format(unclear, separator=";").decimal == ","
    cells = Cells("t", {"a": series("1.562", "2.304"), "b": series("3,5", "2,25")}, True)
    style = FileStyle.of(cells, {"a": "number", "b": "number"})
    column, remarks = describe("a", "number", cells["a"], style)
    assert parse(column, cells["a"]).tolist() == [1562, 2304]
    assert remarks == ["a: 1.562 is read as 1562; --column 'a=number:.' reads 1.562"]


def test_a_guess_is_said_and_can_be_overruled() -> None:
    unclear = series("1.562", "2.304")
    _, remarks = describe("a", "number", unclear)
    assert remarks == [
        "a: 1.562 is read as 1.562, which is a guess; --column 'a=number:,' reads 1562"
    ]
    column, remarks = describe("a", "number:,", unclear)
    assert parse(column, unclear).tolist() == [1562, 2304] and not remarks
    _, remarks = describe("a", "number", series("1.5", "2.304"))
    assert not remarks


def test_a_column_of_an_earlier_model_is_read_as_it_was() -> None:
    old = Column(name="a", kind="number", decimal=",")
    assert parse(old, series("2.175", "1.218,42", "3,5")).tolist() == [2.175, 1218.42, 3.5]
    assert "grouped" not in Column(name="a", kind="number").model_dump_json()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_that_are_typed_are_never_read_otherwise(numbers: list[float]) -> None:
    cells = series(*map(number_text, numbers))
    marks: tuple[DecimalMark, ...] = (".", ",")
    for mark in marks:
        assert parse_numbers(cells, mark).tolist() == numbers


@pytest.mark.parametrize(
    ("cells", "remark"),
    [
        (["$5", "€6", "$7"], "a has numbers of several units, read as of one: $ (2), € (1)"),
        (["12%", "0.5"], "a has numbers of several units, read as of one: % (1), none (1)"),
        (["$5", "6"], None),
        (["5", "6"], None),
        (["5%", "6%"], None),
    ],
)
def test_several_units_in_a_column_are_said(cells: list[str], remark: str | None) -> None:
    assert unit_remark("a", series(*cells)) == remark


def test_a_column_that_is_mostly_numbers_says_what_the_others_are() -> None:
    cells = series(*(f"{i}.5" for i in range(60)), *["n.d."] * 30, "<LOD")
    found = profile("a", cells)
    assert (found.kind, found.n_unreadable, found.unreadable) == ("number", 31, "n.d., <LOD")
    grades = series(*["1", "2", "3"] * 20, *["A"] * 10)
    assert profile("a", grades).kind == "category"
    codes = series(*(str(i) for i in range(100, 160)), *(f"A{i}" for i in range(40)))
    assert profile("a", codes).kind == "identifier"


def test_a_number_that_stands_for_none_is_said() -> None:
    cells = series(*(f"{i}.5" for i in range(30)), *["-999"] * 3)
    assert sentinel_remark("a", cells, ".") == (
        "a has numbers far from all others: -999 in 3 rows; if one means that the cell is "
        "missing, say --na-values -999"
    )
    plain = typed_numbers(np.array([*range(60), *[-99] * 2, *[9999] * 3], np.float64))
    both = sentinel_remark("a", plain, ".")
    assert both is not None and "-99 in 2 rows, 9999 in 3 rows" in both
    ages = series(*map(str, range(18, 90)), "-9", "-9")
    assert "-9 in 2 rows" in (sentinel_remark("age", ages, ".") or "")
    cold = series(*map(str, range(-20, 30)), "-9", "-9", "-1", "-1")
    assert sentinel_remark("cold", cold, ".") is None
    assert sentinel_remark("a", series("90", "95", "99", "99"), ".") is None
    assert sentinel_remark("a", series("-500", "-999", "-999", "3"), ".") is None
