"""Dates as people write them; of two readings the one that makes sense, else it is said."""

import numpy as np
import pandas as pd
import pytest

from tenfold.core.contract import Column
from tenfold.inputs.tables.columns import describe, infer_kind, parse
from tenfold.inputs.tables.dates import choose_date_format, parse_dates
from tenfold.inputs.tables.texts import Texts


def series(*cells: str) -> Texts:
    return Texts.of(cells)


def months(form: str, n: int = 30) -> Texts:
    return Texts.of(pd.date_range("2015-01-01", periods=n, freq="MS").strftime(form))


@pytest.mark.parametrize(
    ("cells", "dates"),
    [
        (["20.03.2023 01:30", "21.03.2023 23:00:05"], ["2023-03-20T01:30", "2023-03-21T23:00:05"]),
        (["3/20/2023 12:05:00 AM", "3/20/2023 1:00 PM"], ["2023-03-20T00:05", "2023-03-20T13:00"]),
        (["3/20/2023 0:00", "3/20/2023 25:00"], ["2023-03-20", "NaT"]),
        (["Jan-05", "Feb-05"], ["2005-01-01", "2005-02-01"]),
        (["5 Mar 2020", "17 Apr 2020"], ["2020-03-05", "2020-04-17"]),
        (["March 5, 2020", "May 17, 2020"], ["2020-03-05", "2020-05-17"]),
        (["05-Mar-2020"], ["2020-03-05"]),
        (["03/2020", "04/2020"], ["2020-03-01", "2020-04-01"]),
        (["20231027", "20231101"], ["2023-10-27", "2023-11-01"]),
        (["202310", "202311"], ["2023-10-01", "2023-11-01"]),
        (["1698364800", "1698451200"], ["2023-10-27", "2023-10-28"]),
        (["1698364800000"], ["2023-10-27"]),
        (["20231027.0", "20231101.0"], ["2023-10-27", "2023-11-01"]),
        (["2023.01", "2023.10"], ["2023-01-01", "2023-10-01"]),
        (["2023102705", "2023102706"], ["2023-10-27T05", "2023-10-27T06"]),
        (["202310270530"], ["2023-10-27T05:30"]),
        (["20231027053001"], ["2023-10-27T05:30:01"]),
        (["2023Q1", "2023-Q4", "Q2 2024"], ["2023-01-01", "2023-10-01", "2024-04-01"]),
        (["2020-W53", "2021-W01"], ["2020-12-28", "2021-01-04"]),
        (["1. Mar 2020"], ["2020-03-01"]),
        (["Wed 04/03/2020", "Fri 13/03/2020"], ["2020-03-04", "2020-03-13"]),
        (["Thursday, March 5, 2020"], ["2020-03-05"]),
        (["24/03/2023, 23:00:00"], ["2023-03-24T23:00"]),
        (["31.12.2023 24:00", "31.12.2023 24:01"], ["2024-01-01", "NaT"]),
    ],
)
def test_dates_in_more_spellings(cells: list[str], dates: list[str]) -> None:
    expected = np.array(dates, "datetime64[s]")
    np.testing.assert_array_equal(parse_dates(series(*cells)), expected)


@pytest.mark.parametrize(
    "cells",
    [
        ["2023-03-26T01:30:00+01:00", "2023-03-26T03:30:00+02:00"],
        ["2023-03-26 01:30 +0100", "2023-03-26 03:30 +0200"],
        ["2023-03-26 01:30 CET", "2023-03-26 03:30 CEST"],
        ["2023-03-26 00:30:00 UTC", "2023-03-26 01:30:00 GMT"],
        ["26.03.2023 01:30 +01:00", "26.03.2023 03:30 +02:00"],
        ["03/26/2023 01:30 AM +0100", "03/26/2023 03:30 AM +0200"],
        ["Sun, 26 Mar 2023 01:30:00 +0100", "Sun, 26 Mar 2023 01:30:00 GMT"],
        ["Sun Mar 26 2023 01:30:00 GMT+0100 (CET)", "Sun Mar 26 2023 03:30:00 GMT+0200 (CEST)"],
        ["26/Mar/2023:01:30:00 +0100", "25/Mar/2023:18:30:00 -0700"],
        ["25.03.2023 20:00 -0430", "25.03.2023 17:30 PST"],
    ],
)
def test_zones_become_one_line_of_time(cells: list[str]) -> None:
    expected = np.array(["2023-03-26T00:30", "2023-03-26T01:30"], "datetime64[s]")
    np.testing.assert_array_equal(parse_dates(series(*cells)), expected)
    assert infer_kind("when", series(*cells)) == "date"


def test_months_are_no_days_of_january() -> None:
    for form in ("%d/%m/%Y", "%m/%d/%Y"):
        found = choose_date_format(months(form))
        assert (found.form, found.other) == (form, None)
    shuffled = months("%d/%m/%Y").take(np.random.default_rng(0).permutation(30))
    assert choose_date_format(shuffled).form == "%d/%m/%Y"


def test_dates_that_run_in_one_direction_are_right() -> None:
    cells = series("05/01/2020", "06/01/2020", "07/01/2020", "01/02/2020", "02/02/2020")
    assert choose_date_format(cells).form == "%d/%m/%Y"


def test_another_column_of_the_file_decides() -> None:
    unclear = series("03/04/2020", "03/04/2020", "05/06/2020")
    assert choose_date_format(unclear, ["%d/%m/%Y"]).form == "%d/%m/%Y"


def test_a_tie_is_said_and_can_be_overruled() -> None:
    unclear = series("03/04/2020", "11/12/2019", "05/06/2020")
    column, remarks = describe("day", "date", unclear)
    assert column.date_format == "%m/%d/%Y"
    assert remarks == [
        "day: 03/04/2020 may be %m/%d/%Y or %d/%m/%Y, read as the first; "
        "--column 'day=date:%d/%m/%Y' reads the other"
    ]
    column, remarks = describe("day", "date:%d/%m/%Y", unclear)
    assert parse(column, unclear)[0] == np.datetime64("2020-04-03") and not remarks


@pytest.mark.parametrize(
    ("kind", "name", "cells"),
    [
        ("date", "a", [f"202301{day:02}" for day in range(1, 31)]),
        ("date", "event_time", [str(1_698_364_800 + 977 * i * i) for i in range(30)]),
        ("number", "price", [str(1_698_364_800 + 977 * i * i) for i in range(30)]),
        ("number", "load", [f"2023{i:02}" for i in range(1, 13)] * 3),
        ("date", "month", [f"2023{i:02}" for i in range(1, 13)] * 3),
        ("number", "a", ["20231301", "20239999", "12345678", "20230101"]),
    ],
)
def test_numbers_that_are_dates(kind: str, name: str, cells: list[str]) -> None:
    assert infer_kind(name, series(*cells)) == kind


def test_a_number_that_is_a_date_is_read_alike_when_asked() -> None:
    column, _ = describe("day", "date", series("20231027", "20231028", "20231101"))
    assert parse(column, series("20231102"))[0] == np.datetime64("2023-11-02")
    assert parse(column, series("2023-11-02"))[0] == np.datetime64("2023-11-02")
    old = Column(name="day", kind="date", date_format="%d/%m/%Y")
    assert parse(old, series("03/04/2020"))[0] == np.datetime64("2020-04-03")
