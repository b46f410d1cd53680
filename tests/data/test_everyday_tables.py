"""What everyday tables hold beside their data, and how columns are meant that look like others."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.core.settings import Reading
from tenfold.data.audit import audit_data
from tenfold.data.dataset import Dataset
from tests.support.errors import refused

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(50, 20, N).round(2)
Z = RNG.integers(0, 5, N)
Y = np.where(X + RNG.normal(0, 5, N) > 50, "yes", "no")


def load(folder: Path, rows: list[str], target: str = "y", **reading: Any) -> Dataset:
    (folder / "t.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return tenfold.load(folder / "t.csv", reading=Reading(target=target, **reading))


def table(**columns: Any) -> list[str]:
    """A header and rows of comma-separated cells."""
    rows = zip(*columns.values(), strict=True)
    return [",".join(columns), *(",".join(map(str, row)) for row in rows)]


def notes(data: Dataset) -> str:
    assert data.info is not None
    return "; ".join(data.info.notes)


def kinds(data: Dataset) -> dict[str, str]:
    assert data.info is not None
    return {profile.name: profile.kind for profile in data.info.profiles}


def test_a_header_that_stands_there_again_is_no_row(tmp_path: Path) -> None:
    rows = table(x=X, z=Z, y=Y)
    data = load(tmp_path, [*rows[:30], rows[0], *rows[30:], rows[0]])
    assert len(data) == N and data.labels == ("no", "yes")
    assert "2 rows that repeat the header are left out" in notes(data)


@pytest.mark.parametrize("units", ["(cm),(n),(-)", "m/s,n,-", "float64,int64,object", "[kg],,"])
def test_units_below_the_header_are_no_row(units: str, tmp_path: Path) -> None:
    head, *rows = table(x=X, z=Z, y=Y)
    data = load(tmp_path, [head, units, *rows])
    assert len(data) == N and data.labels == ("no", "yes")
    assert "the row below the header is not data, left out: " in notes(data)


@pytest.mark.parametrize("last", [["Total"], ["Summe:"], ["Average", "Total"]])
def test_totals_at_the_end_are_no_rows(last: list[str], tmp_path: Path) -> None:
    rows = table(region=[f"r{i % 7}" for i in range(N)], x=X, sales=X * 3)
    rows += [f"{word},{X.sum()},{3 * X.sum()}" for word in last]
    data = load(tmp_path, rows, "sales")
    assert len(data) == N
    assert notes(data).count("is no case of its own, left out") == len(last)


def test_rows_that_only_look_so_stay(tmp_path: Path) -> None:
    head, *rows = table(kind=["total", "part"] * 30, x=X, y=Y)
    assert len(load(tmp_path, [head, *rows[:-1]])) == N - 1  # several totals, the last one too
    odd = load(tmp_path, [head, "total,n.d.,no", *rows])  # one cell that is no number
    assert len(odd) == N + 1


@pytest.mark.parametrize("clock", [0.0, 0.5])
def test_days_as_spreadsheets_count_them_are_dates(clock: float, tmp_path: Path) -> None:
    days = 44_927 + np.arange(N) + clock
    text = [f"{day:g}" for day in days]
    data = load(tmp_path, table(date=text, z=Z, y=Y))
    assert kinds(data)["date"] == "date"
    values: Any = data.table and data.table.columns["date"]
    assert str(values[0]) == f"2023-01-01T{12 if clock else 0:02d}:00:00"
    assert f"date: {text[0]} is read as 2023-01-01: days as spreadsheets count them" in notes(data)
    series = load(tmp_path, table(date=text, sales=X), "sales", time="date")
    order = series.info and series.info.input.order
    assert order and order.is_date and order.step == 86_400
    assert notes(series).count("as spreadsheets") == 1
    assert kinds(load(tmp_path, table(price=text, z=Z, y=Y)))["price"] != "date"


def test_numbers_behind_an_apostrophe_are_numbers(tmp_path: Path) -> None:
    data = load(tmp_path, table(x=[f"'{x}" for x in X], z=Z, y=Y))
    assert kinds(data)["x"] == "number"
    np.testing.assert_array_equal(data.table and data.table.columns["x"], X)


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("plz", [f"{1067 + i % 9 * 1130:05d}" for i in range(N)], "category"),
        ("area", [f"{100 + i % 9 * 130:05d}" for i in range(N)], "category"),
        ("article", [f"{i * 7919 % 100_000:05d}" for i in range(N)], "identifier"),
        ("zip_code", [str(10_115 + i % 9) for i in range(N)], "category"),
        ("time", [f"{i % 24:02d}{i % 60:02d}" for i in range(N)], "number"),
        ("month", [f"{1 + i % 12:02d}" for i in range(N)], "number"),
        ("size", [str(100 + i % 50) for i in range(N)], "number"),
    ],
)
def test_digits_may_be_names(name: str, cells: list[str], kind: str, tmp_path: Path) -> None:
    data = load(tmp_path, table(**{name: cells}, z=Z, y=Y))
    assert kinds(data)[name] == kind
    if kind == "category":
        values: Any = data.table and data.table.columns[name]
        assert values[1] == cells[1]


def test_years_of_two_digits_that_may_be_of_another_century_are_said(tmp_path: Path) -> None:
    born = pd.date_range("1930-01-01", periods=N, freq="YS").strftime("%d.%m.%y")
    assert "born: 01.01.30 is read as 2030-01-01" in notes(load(tmp_path, table(born=born, y=Y)))
    late = pd.date_range("1975-01-01", periods=N // 2, freq="YS").strftime("%d.%m.%y")
    assert "is read as" not in notes(load(tmp_path, table(day=[*late, *late], y=Y)))


def test_minus_one_far_from_all_others_is_named(tmp_path: Path) -> None:
    x = np.where(np.arange(N) % 6, X + 150, -1)
    assert "x has numbers far from all others: -1 in 10 rows" in notes(
        load(tmp_path, table(x=x, z=Z, y=Y))
    )
    usual = RNG.integers(-2, 3, N)
    assert "far from" not in notes(load(tmp_path, table(x=usual, z=Z, y=Y)))


def test_cells_of_columns_that_are_not_used_are_not_said_to_be_filled_in(tmp_path: Path) -> None:
    data = load(tmp_path, [f"{row}," for row in table(x=X, z=Z, y=Y)])  # a separator at each end
    assert kinds(data)["column 4"] == "constant"
    texts = [finding.text for finding in audit_data(data).findings]
    assert not any("missing cells" in text for text in texts)


def test_short_texts_and_texts_without_blanks_are_read_word_by_word(tmp_path: Path) -> None:
    words = ["good", "great", "happy", "fine", "top", "bad", "awful", "sad", "grim", "lame"]
    pairs = [f"{words[i % 10]} {words[(i * 7 + i // 10) % 10]}" for i in range(100)]
    label = ["pos" if i % 10 < 5 else "neg" for i in range(100)]
    data = load(tmp_path, table(review=pairs, y=label))
    assert kinds(data)["review"] == "text"
    signs = "好看喜欢很最佳电影糟糕差讨厌"
    chinese = ["".join(RNG.choice(list(signs), 9)) for _ in range(100)]
    data = load(tmp_path, table(review=chinese, y=label))
    assert kinds(data)["review"] == "text" and data.info
    assert data.info.input.columns[0].signs
    weights = [f"{x} kg" for x in RNG.normal(50, 20, 100).round(1)]
    assert kinds(load(tmp_path, table(weight=weights, y=label)))["weight"] != "text"
    cities = ["New York", "Los Angeles", "San Jose", "El Paso"] * 25
    assert kinds(load(tmp_path, table(city=cities, y=label)))["city"] == "category"


CLOCK = [f"{i // 12}:{i * 7 % 60:02d}" for i in range(N)]
DAYS = [f"{i % 28 + 1}. {('Januar', 'März')[i % 2]} 2020" for i in range(N)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([f"{i % 30} kg" for i in range(N)], "look like numbers with a unit and are read as names"),
        ([f"{x} MB" for x in X], "look like numbers with a unit and are not used"),
        (CLOCK, "look like times or durations"),
        ([f"{i % 12 + 1}:{i % 60:02d} PM" for i in range(N)], "look like times or durations"),
        (DAYS, "look like dates"),
        (["Ja", "ja", "nein"] * 20, "x: 'Ja' and 'ja' are names of their own"),
        (["yes", "no", "TRUE", "FALSE", "1", "0"] * 10, "'yes' and 'TRUE' and '1', 'no' and"),
        (
            [f"{i + 1}-{i + 9}" for i in range(N)],
            "look like two numbers in a cell and are not used",
        ),
        ([f"{i % 7 + 1}/{i % 5 + 2}" for i in range(N)], "look like two numbers in a cell"),
        ([f"{5 + i % 2}'{i % 12}" for i in range(N)], "look like two numbers in a cell"),
        ([f'"{40 + i / 9:.4f}, {9 - i / 9:.4f}"' for i in range(N)], "look like two numbers"),
        ([f"{48 + i % 3}°{i % 60}'N" for i in range(N)], "look like two numbers in a cell"),
        ([f'"({i % 9},{i % 5})"' for i in range(N)], "look like two numbers in a cell"),
        ([f"{i % 6}h {i % 60}m" for i in range(N)], "look like two numbers in a cell"),
        ([f"{i % 30}±{i % 4}" for i in range(N)], "look like two numbers in a cell"),
        ([f"{'<' * (i % 3 == 0)}{i % 40}" for i in range(N)], "look like numbers with a sign"),
        ([f"{i % 40}+" for i in range(N)], "look like numbers with a sign"),
        ([f'"{i % 60 / 10} Mio. €"'.replace(".", ",", 1) for i in range(N)], "numbers with a unit"),
    ],
)
def test_names_that_look_like_something_else_are_said(
    cells: list[str], said: str, tmp_path: Path
) -> None:
    assert said in notes(load(tmp_path, table(x=cells, z=Z, y=Y)))


@pytest.mark.parametrize(
    "form", ["12{}", "flat {}", "1.{}.2", "10.0.0.{}", "123-45-{}7", "Q1 {}", "0x{}"]
)
def test_names_that_are_names_are_not_said(form: str, tmp_path: Path) -> None:
    cells = [form.format("abcdefghijklmnopqrst"[i % 20]) for i in range(N)]
    assert "look like" not in notes(load(tmp_path, table(x=cells, z=Z, y=Y)))


def test_digits_of_other_scripts_are_numbers(tmp_path: Path) -> None:
    wide = [str(x).translate(str.maketrans("0123456789.", "０１２３４５６７８９．")) for x in X]
    data = load(tmp_path, table(x=wide, z=Z, y=Y))
    assert data.table is not None
    np.testing.assert_array_equal(data.table.columns["x"], X)


@pytest.mark.parametrize("first", ["size,,class", "size,size,class", "Table 3,,"])
def test_what_stands_above_the_header_is_no_row(first: str, tmp_path: Path) -> None:
    data = load(tmp_path, [first, *table(x=X, z=Z, y=Y)])
    assert len(data) == N and list(kinds(data)) == ["x", "z"]
    assert "1 lines before the header not read" in notes(data)


def test_a_label_that_means_a_missing_cell_is_named_where_no_other_is_left(tmp_path: Path) -> None:
    with refused("E210", "answer='Some'") as raised:
        load(tmp_path, table(x=X, y=["Some", "None"] * 30))
    assert "--na-values ''" in str(raised.value)
