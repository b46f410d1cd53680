"""Files become cells: what was written is read again, and what cannot be is refused by its line."""

import csv
import io
import sys
from datetime import date
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.core.errors import DataError, FormatError
from tenfold.inputs.tables import read as tables
from tenfold.inputs.tables.read import SEPARATORS, Cells, from_frame, read_table
from tests.support.errors import refused

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252", "ascii")
LETTERS = {
    "ascii": "abcXYZ 019.-_#/()",
    "cp1252": "abcäöüßéñ 019",  # without €: ß€ are the bytes of a letter in UTF-8 as well
}
SIGNS = "=+-@'\"\t,;|:\n"


def written(
    rows: list[list[str]],
    separator: str,
    quoting: Literal[0, 1],
    encoding: str,
    line_end: str = "\n",
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=line_end)
    writer.writerows(rows)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    return (mark + text.getvalue()).encode(encoding)


def rows_of(cells: Cells) -> list[list[str]]:
    found: list[list[str]] = cells.frame.to_numpy().tolist()
    return found


FORMULAS = ["=1+1", "+2", "-x", "@SUM(A1)", "'quoted", "\t=A1", '=HYPERLINK("x")']
ODD = ["", "", "NA", "?", "1,5", "1e400", '"', '""', " blanks ", "two\nlines", "a\r\nb"]

Made = tuple[list[list[str]], bool, str, str, bytes]


def made_by(seed: int) -> Made:
    """(rows, header, separator, encoding, the bytes of a file). Drawn by Hypothesis itself it takes
    five times as long."""
    chance = Random(seed)
    encoding = chance.choice(ENCODINGS)
    separator = chance.choice([*SEPARATORS, ":"])
    quotings: list[Literal[0, 1]] = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL]
    quoting = chance.choice(quotings)
    letters = LETTERS.get(encoding, "abcäé€Жλ中🙂 019") + SIGNS
    n_columns, header = chance.randint(1, 5), chance.random() < 0.5

    def cell() -> str:
        if chance.random() < 0.4:
            return chance.choice(FORMULAS + ODD)
        return "".join(chance.choices(letters, k=chance.randint(0, 8)))

    rows = [[cell() for _ in range(n_columns)] for _ in range(chance.randint(1, 6))]
    if header:
        rows.insert(0, [f"name {i}" for i in range(n_columns)])
    line_end = chance.choice(["\n", "\r\n"])
    return rows, header, separator, encoding, written(rows, separator, quoting, encoding, line_end)


def check_round_trip(path: Path, seed: int) -> None:
    rows, header, separator, encoding, content = made_by(seed)
    path.write_bytes(content)
    if not content.decode(encoding).strip("\ufeff \t\r\n"):
        with pytest.raises(DataError, match="Empty file"):
            read_table(path, header=header, separator=separator)
        return
    cells = read_table(path, header=header, separator=separator)
    body = rows[1:] if header else rows
    assert rows_of(cells) == [[cell.strip() for cell in row] for row in body]
    assert list(cells.frame.columns) == (
        rows[0] if header else [str(i) for i in range(len(rows[0]))]
    )


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=st.integers(0, 2**64))
def test_what_was_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, start: int
) -> None:
    for seed in range(start, start + 10):
        check_round_trip(tmp_path_factory.getbasetemp() / "case.csv", seed)


@pytest.mark.slow
def test_what_was_written_is_read_again_100_000_times(tmp_path: Path) -> None:
    for seed in range(100_000):
        check_round_trip(tmp_path / "case.csv", seed)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-999, 999), st.sampled_from(["red", "a, b", "c; d", 'say "hi"', "x|y", ""])
        ),
        min_size=3,
        max_size=12,
    ),
    separator=st.sampled_from(list(SEPARATORS)),
    encoding=st.sampled_from(ENCODINGS),
    header=st.booleans(),
)
def test_separator_and_header_are_found_out(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str]],
    separator: str,
    encoding: str,
    header: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "found.csv"
    body = [[str(number), word, f"{number}.5"] for number, word in rows]
    names = [["size", "colour", "price"]] if header else []
    path.write_bytes(written(names + body, separator, csv.QUOTE_MINIMAL, encoding))
    cells = read_table(path)
    assert cells.header == header
    assert cells.notes[0] == f"cells separated by {SEPARATORS[separator]}"
    assert rows_of(cells) == body


@pytest.mark.parametrize(
    ("content", "header", "known"),
    [
        ("a,b\n1,2\n3,4\n", True, ()),
        ("1,2\n3,4\n", False, ()),
        ("0,1,2\n5,6,7\n", True, ()),  # counts the columns
        ("1,2,3\n5,6,7\n", True, ()),
        ("inf,over\n1,2\n3,4\n", True, ()),  # words, though Python reads them as numbers
        ("2019_20,2020_21\n1,2\n3,4\n", True, ()),
        ("red,large\nblue,small\nred,small\n", False, ()),
        ("a,y\nb,p\na,q\n", False, ()),  # cannot be told ...
        ("a,y\nb,p\na,q\n", True, ("y",)),  # ... unless one name is known
        ("a,b\n", True, ("a", "b", "c")),
        ("red,large\nblue,small\n", True, ()),
        ("red,large\nblue,small\n", False, ("0", "1")),  # columns known by position
        ("0,1,2\nblue,small,x\n", True, ("0", "1")),
        ("2,0,1\n5,6,7\n", True, ("0", "1", "2")),
        ("2,0,1\n5,6,7\n", False, ("0", "1")),
        ("0,1\n1,0\n", False, ()),
        ("a,\n1,2\n3,4\n", False, ()),
        ("a,a\n1,2\n", False, ()),
        ("only\n", False, ()),
    ],
)
def test_a_header_is_told_from_data(
    tmp_path: Path, content: str, header: bool, known: tuple[str, ...]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, "utf-8")
    if content.count("\n") == 1 and header:
        with pytest.raises(DataError, match="No rows"):
            read_table(path, known=known)
    else:
        assert read_table(path, known=known).header == header


def test_notes_say_what_was_found_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("größe;preis\n1;2\n3;4\n".encode("cp1252"))
    assert read_table(path).notes == (
        "cells separated by semicolon",
        "names in the first row",
        "text read as cp1252",
    )
    path.write_text("1:2\n3:4\n", "utf-8")
    assert read_table(path, separator=":").notes == (
        "cells separated by ':'",
        "no header: columns are named by position",
    )


def test_quotes_that_are_text_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "sms.tsv"
    path.write_text('ham\t"Hi there\nspam\tWin "now"\nham\t"ok" then\nham\tbye\n', "utf-8")
    cells = read_table(path)
    assert "quotes are part of the text" in cells.notes
    assert [row[1] for row in rows_of(cells)] == ['"Hi there', 'Win "now"', '"ok" then', "bye"]


def test_a_single_column_of_quoted_text_is_one_column(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('text\n"Hello, world"\n"one, two, three"\n\nplain\n\n\n', "utf-8")
    cells = read_table(path)
    assert rows_of(cells) == [["Hello, world"], ["one, two, three"], [""], ["plain"]]
    assert cells.header


def test_every_line_end_is_read(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        path = tmp_path / "t.csv"
        path.write_bytes(end.join(["a,b", "1,x", "2,y", "", ""]).encode())
        assert rows_of(read_table(path)) == [["1", "x"], ["2", "y"]]


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (b"", DataError, "Empty file (t.csv). Expected rows of cells."),
        (b" \n \n", DataError, "Empty file"),
        (
            b"a,b\n1,2\n3\n4,5\n6,7,8\n",
            DataError,
            "Rows of another length: lines=[3, 5], n_rows=2 (t.csv). Expected 2 cells in each row. "
            "Correct these lines, or name another --separator.",
        ),
        (b'a,b\n1,"2\n3,4\n5,6\n' + b"x" * 140_000, FormatError, "A quote that is never closed"),
        (b"a,b\n1,\0\n", FormatError, "Not a text file (t.csv). Expected CSV in UTF-8, UTF-16"),
        (b"\xff\xfea", FormatError, "Not a text file"),
        (b"a,\x81\x8d\n", FormatError, "Not a text file"),
        (b"a,b,a\n1,2,3\n", DataError, "Columns of the same name"),
        (b"PAR1 but no more", FormatError, "Damaged Parquet: reason="),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, content: bytes, error: type[Exception], text: str
) -> None:
    Path("t.csv").write_bytes(content)
    with pytest.raises(error) as raised:
        read_table("t.csv", header=True)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_limits_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("t.csv").write_text("a,b,c\n1,2,3\n", "utf-8")
    monkeypatch.setattr(tables, "MAX_COLUMNS", 2)
    with refused("E217", r"n=3 \(t.csv\)"):
        read_table("t.csv")
    monkeypatch.setattr(tables, "MAX_BYTES", 5)
    with refused("E219", r"n_bytes=12 \(t.csv\)"):
        read_table("t.csv")


def test_a_file_that_is_not_there() -> None:
    with refused("E902", "none.csv"):
        read_table("none.csv")


def moments(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(texts, "datetime64[s]"))


def typed_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": [1, 2, 2**60],
            "float": [1.0, 0.1, float("nan")],
            "single": pd.Series([0.5, 2.0, -1e30], dtype="float32"),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "Float": pd.array([1.5, None, 2.0], dtype="Float64"),
            "truth": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "category": pd.Categorical(["b", None, "a"]),
            "numbers": pd.Categorical([3, None, 4]),
            "truths": pd.Categorical([True, None, False]),
            "naive": moments("2020-01-02", "NaT", "2020-01-03T04:05"),
            "zoned": moments("2020-01-02", "2020-07-01", "NaT").tz_localize("Europe/Paris"),
            "day": [date(2020, 1, 2), None, date(2021, 1, 1)],
            "text": [" a ", None, "b"],
            3: ["x", "y", "z"],
        }
    )


EXPECTED = {
    "whole": ["1", "2", str(2**60)],
    "float": ["1", "0.1", ""],
    "single": ["0.5", "2", "-1.0000000150474662e+30"],
    "nullable": ["1", "", "3"],
    "Float": ["1.5", "", "2"],
    "truth": ["True", "False", "True"],
    "maybe": ["True", "", "False"],
    "category": ["b", "", "a"],
    "numbers": ["3", "", "4"],
    "truths": ["True", "", "False"],
    "naive": ["2020-01-02T00:00:00", "", "2020-01-03T04:05:00"],
    "zoned": ["2020-01-02T00:00:00+01:00", "2020-07-01T00:00:00+02:00", ""],
    "day": ["2020-01-02", "", "2021-01-01"],
    "text": ["a", "", "b"],
    "3": ["x", "y", "z"],
}


def test_the_types_of_a_frame_become_plain_text() -> None:
    cells = from_frame(typed_frame())
    assert cells.frame.to_dict("list") == EXPECTED
    assert cells.header and len(cells) == 3


def test_parquet_is_read_like_the_frame(tmp_path: Path) -> None:
    frame = typed_frame().rename(columns={3: "3"})
    frame.to_parquet(tmp_path / "t.dat")
    cells = read_table(tmp_path / "t.dat")
    assert cells.frame.to_dict("list") == EXPECTED
    assert cells.notes == ("Parquet",)


def test_parquet_needs_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed_frame().rename(columns={3: "3"}).to_parquet("t.parquet")
    for name in ("pyarrow", "fastparquet", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with refused("E220"):
        read_table("t.parquet")


def test_frames_that_are_no_table_are_refused() -> None:
    for empty in (pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame(index=[1, 2])):
        with pytest.raises(DataError, match=r"No rows \(frame\). Expected at least one row and"):
            from_frame(empty, "frame")
    with refused("E218", r"names=\['a'\]"):
        from_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with refused("E223", r"column='a' \(table\)"):
        from_frame(pd.DataFrame({"a": [None, [1, 2]]}))


def test_blank_names_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",b\n1,2\n3,4\n", "utf-8")
    assert list(read_table(tmp_path / "t.csv").frame.columns) == ["column 1", "b"]
