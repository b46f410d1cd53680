"""Files become cells: what was written is read again, and what cannot be is refused by its line."""

import csv
import gzip
import io
import json
import resource
import sys
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from tenfold.core.errors import DataError, FormatError
from tenfold.inputs.tables import cells as cells_module
from tenfold.inputs.tables import read as tables
from tenfold.inputs.tables.cells import Cells, from_frame
from tenfold.inputs.tables.csv_text import SEPARATORS
from tenfold.inputs.tables.read import is_table_name, read_frame, read_table
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
    return [list(row) for row in zip(*cells.as_text().values(), strict=True)]


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
        with pytest.raises(DataError, match="The file is empty"):
            read_table(path, header=header, separator=separator)
        return
    cells = read_table(path, header=header, separator=separator)
    body = rows[1:] if header else rows
    assert rows_of(cells) == [[cell.strip() for cell in row] for row in body]
    assert cells.names == (rows[0] if header else [str(i) for i in range(len(rows[0]))])


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
        with pytest.raises(DataError, match="The table has no rows"):
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
        (b"", DataError, "The file is empty (t.csv). Expected rows of cells."),
        (b" \n \n", DataError, "The file is empty"),
        (
            b"a,b\n1,2\n3\n4,5\n6,7,8\n",
            DataError,
            "Some rows have another number of cells: lines=[3, 5], n_rows=2 (t.csv). "
            "Expected 2 cells in each row. "
            "Correct these lines, or use another --separator.",
        ),
        (
            b'a,b\n1,"2\n3,4\n5,6\n' + b"x" * 140_000,
            FormatError,
            "A quotation mark is never closed",
        ),
        (
            b"a,b\n1,\0\n",
            FormatError,
            "The file is not a text file (t.csv). Expected CSV in UTF-8, UTF-16",
        ),
        (b"\xff\xfea", FormatError, "The file is not a text file"),
        (b"a,\x81\x8d\n", FormatError, "The file is not a text file"),
        (b"a,b,a\n1,2,3\n", DataError, "Several columns have the same name"),
        (b"PAR1 but no more", FormatError, "The Parquet file is damaged: reason="),
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
    monkeypatch.setattr(cells_module, "MAX_COLUMNS", 2)
    with refused("E217", r"n_columns=3 \(t.csv\)"):
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
    assert cells.as_text() == EXPECTED
    assert cells.header and len(cells) == 3


def test_parquet_is_read_like_the_frame(tmp_path: Path) -> None:
    frame = typed_frame().rename(columns={3: "3"})
    frame.to_parquet(tmp_path / "t.dat")
    cells = read_table(tmp_path / "t.dat")
    assert cells.as_text() == EXPECTED
    assert cells.notes == ("Parquet",)


def test_parquet_needs_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed_frame().rename(columns={3: "3"}).to_parquet("t.parquet")
    for name in ("pyarrow", "fastparquet", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with refused("E220"):
        read_table("t.parquet")


def test_frames_that_are_no_table_are_refused() -> None:
    for empty in (pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame(index=[1, 2])):
        with pytest.raises(
            DataError, match=r"The table has no rows \(frame\). Expected at least one row and"
        ):
            from_frame(empty, "frame")
    with refused("E218", r"names=\['a'\]"):
        from_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with refused("E223", r"column='a' \(table\)"):
        from_frame(pd.DataFrame({"a": [None, [1, 2]]}))


def test_blank_names_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",b\n1,2\n3,4\n", "utf-8")
    assert read_table(tmp_path / "t.csv").names == ["column 1", "b"]


TABLE = "größe,farbe,y\n1.5,rot,a\n2.5,blau,b\n"


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zip", "t.zip"])
def test_a_packed_table_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(TABLE.encode()[:20]) + gzip.compress(TABLE.encode()[20:]))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("folder/", "")
            archive.writestr("folder/rows.csv", TABLE)
            archive.writestr("__MACOSX/._rows.csv", "x")
    cells = read_table(path)
    assert cells.name == name
    assert rows_of(cells) == [["1.5", "rot", "a"], ["2.5", "blau", "b"]]
    assert is_table_name(path)


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", TABLE)
        archive.writestr("b.csv", TABLE)
    with pytest.raises(
        DataError,
        match=r"The archive does not contain exactly one file: files=\['a.csv', 'b.csv'\]",
    ):
        read_table(tmp_path / "t.zip")


JSON_FORMS = [
    ("t.json", '[{"a": 1.5, "y": "x"}, {"y": "z", "a": 2}]'),
    ("t.json", '{"a": [1.5, 2], "y": ["x", "z"]}'),
    ("t.json", '{"columns": ["a", "y"], "data": [[1.5, "x"], [2, "z"]]}'),
    ("t.json", '{"a": {"0": 1.5, "1": 2}, "y": {"0": "x", "1": "z"}}'),
    ("t.json", '{"rows": [{"a": 1.5, "y": "x"}, {"a": 2, "y": "z"}]}'),
    ("t.json", '{"a": 1.5, "y": "x"}\n{"a": 2, "y": "z"}\n'),
    ("t.jsonl", '{"a": 1.5, "y": "x"}\n\n{"a": 2, "y": "z"}\n'),
]


@pytest.mark.parametrize(("name", "text"), JSON_FORMS)
def test_json_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    cells = read_table(tmp_path / name)
    assert cells.as_text() == {"a": ["1.5", "2"], "y": ["x", "z"]}
    assert cells.notes == ("JSON",)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[1, 2]", "The JSON file does not contain a table"),
        ("{", "The JSON file is damaged"),
        ("[" * 100_000, "The JSON file is damaged"),
    ],
)
def test_json_that_is_no_table_is_refused(tmp_path: Path, text: str, wrong: str) -> None:
    (tmp_path / "t.json").write_text(text, "utf-8")
    with pytest.raises((DataError, FormatError), match=wrong):
        read_table(tmp_path / "t.json")


def workbook(path: Path, *rows: Sequence[object]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("other")
    book.save(path)
    return path


def test_titles_of_a_workbook_are_no_header_and_formulas_without_values_are_said(
    tmp_path: Path,
) -> None:
    path = workbook(
        tmp_path / "t.xlsx",
        ["Sales of 2024"],
        [],
        ["a", "sum", "y"],
        [1, "=A4*2", 2],
        [3, "=A5*2", 4],
    )
    cells = read_table(path)
    assert cells.as_text() == {"a": ["1", "3"], "sum": ["", ""], "y": ["2", "4"]}
    titles, formulas = cells.notes[2:]
    assert titles == "1 lines before the header not read"
    assert formulas.startswith("columns of formulas whose values are not in the file: 'sum'; open")
    one_column = workbook(tmp_path / "list.xlsx", *[[f"{i}"] for i in range(40)], ["40", "last"])
    assert len(read_table(one_column).as_text()["0"]) == 40  # a list, and no titles


def test_the_first_sheet_of_a_workbook_is_read_and_formulas_are_values(tmp_path: Path) -> None:
    moment = datetime(2020, 1, 2)
    path = workbook(
        tmp_path / "t.xlsx",
        [],
        ["size", "day", "name"],
        [1.125, moment, "a"],
        [2, None, "=1+1"],
    )
    cells = read_table(path)
    assert cells.as_text() == {
        "size": ["1.1250", "2"],
        "day": ["2020-01-02 00:00:00", ""],
        "name": ["a", ""],  # Excel has not stored the value of the formula
    }
    assert cells.notes == ("Excel, sheet Sheet", "1 other sheets not read")
    assert not read_table(path, header=False).header


def test_feather_and_arrow_streams_are_read(tmp_path: Path) -> None:
    frame = typed_frame().rename(columns={3: "3"})
    frame.to_feather(tmp_path / "t.feather")
    assert read_table(tmp_path / "t.feather").as_text() == EXPECTED
    assert read_frame(feather.read_table(tmp_path / "t.feather")).as_text() == EXPECTED


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(Path("t.xlsx"), ["a", "y"], [1, 2])
    typed_frame().rename(columns={3: "3"}).to_feather("t.feather")
    for name in ("pyarrow", "openpyxl"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"Excel needs openpyxl \(t.xlsx\). pip install 'tenfold\["):
        read_table(path)
    with pytest.raises(DataError, match=r"Feather needs pyarrow \(t.feather\)"):
        read_table("t.feather")


@pytest.mark.parametrize("name", ["t.xls", "t.ods", "t.csv.bz2", "t.sav", "t.pkl"])
def test_a_table_that_is_not_read_is_called_one(name: str) -> None:
    with pytest.raises(DataError, match=f"Tables in this format cannot be read .{name}"):
        is_table_name(Path(name))
    Path("old.csv").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100))
    with pytest.raises(DataError, match="It is an old Excel workbook; save it as CSV"):
        read_table("old.csv")


def test_a_named_index_is_a_column_and_bytes_and_durations_are_read() -> None:
    frame = pd.DataFrame(
        {
            "b": [b"yes", b"no", None],
            "d": pd.to_timedelta(["1h", "90s", None]),
            "mixed": [1.125, "x", b"y"],
        },
        index=pd.Index([3, 1, 2], name="day"),
    )
    assert from_frame(frame).as_text() == {
        "day": ["3", "1", "2"],
        "b": ["yes", "no", ""],
        "d": ["3600", "90", ""],
        "mixed": ["1.1250", "x", "y"],
    }
    with pytest.raises(DataError, match="A column contains bytes that are not text: column='b'"):
        from_frame(pd.DataFrame({"b": [b"\xff\xfe"]}))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            '"a", "b c", "y"\n"1", "x, y", "2"\n"3", "z", "4"\n',
            [["1", "x, y", "2"], ["3", "z", "4"]],
        ),
        (
            "'a','b c','y'\n'1','x, y','2'\n'3','it''s','4'\n",
            [["1", "x, y", "2"], ["3", "it's", "4"]],
        ),
        ("a,b c,y\n1,'x',2\n3,'z',4\n", [["1", "x", "2"], ["3", "z", "4"]]),
        ("a,b c,y\n1,'tis,2\n3,rock 'n',4\n", [["1", "'tis", "2"], ["3", "rock 'n'", "4"]]),
        (
            '"a","b c","y"\n"1","say \\"hi\\", ok","2"\n"3","z","4"\n',
            [["1", 'say "hi", ok', "2"], ["3", "z", "4"]],
        ),
        ("sep=;\na;b c;y\n1;x;2\n3;z;4\n", [["1", "x", "2"], ["3", "z", "4"]]),
        ("My report;;\n\nof 2020;;\na;b c;y\n1;x;2\n3;z;4\n", [["1", "x", "2"], ["3", "z", "4"]]),
        ("My report\na,b c,y\n1,x,2\n3,z,4\n", [["1", "x", "2"], ["3", "z", "4"]]),
        ("# by me\n# 2020\na,b c,y\n1,x,2\n3,z,4\n", [["1", "x", "2"], ["3", "z", "4"]]),
    ],
)
def test_quotes_and_lines_before_the_header(tmp_path: Path, text: str, rows: list[object]) -> None:
    (tmp_path / "t.csv").write_text(text, "utf-8")
    cells = read_table(tmp_path / "t.csv")
    assert cells.names == ["a", "b c", "y"]
    assert rows_of(cells) == rows


def test_cells_may_be_separated_by_blanks(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a   b  y\n0.5   -1  good\n1.5  2  bad\n", "utf-8")
    cells = read_table(tmp_path / "t.txt")
    assert rows_of(cells) == [["0.5", "-1", "good"], ["1.5", "2", "bad"]]
    (tmp_path / "t.txt").write_text("text\nfour words stand here\ntwo words\n", "utf-8")
    assert rows_of(read_table(tmp_path / "t.txt")) == [["four words stand here"], ["two words"]]


def test_one_broken_byte_does_not_change_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,y\nMüller,1\nKöln,2\n".encode() + b"Z\xfcrich,3\n")
    with pytest.raises(
        FormatError, match="The file contains a byte that is not UTF-8: line=4, byte='0xfc'.*--enc"
    ):
        read_table(path)
    cells = read_table(path, encoding="utf-8")
    assert rows_of(cells)[2][0] == "Z\ufffdrich"
    assert "1 characters that are not utf-8 replaced" in cells.notes


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1251", ["да", "нет", "может быть"]),
        ("gbk", ["非常喜欢", "很难看", "最佳电影"]),
        ("shift_jis", ["はい", "いいえ", "東京"]),
        ("cp1250", ["władza", "święto", "łódź"]),
    ],
)
def test_other_alphabets_are_named_and_not_guessed(
    tmp_path: Path, encoding: str, words: list[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        ("wort,y\n" + "".join(f"{word},{i}\n" for i, word in enumerate(words))).encode(encoding)
    )
    with pytest.raises(FormatError, match="The encoding of the file is unclear.*--encoding"):
        read_table(path)
    for read in (read_table(path, encoding=encoding), read_table(path, otherwise=encoding)):
        assert [row[0] for row in rows_of(read)] == words
    with pytest.raises(FormatError, match="There is no such encoding"):
        read_table(path, encoding="klingon")
    with pytest.raises(FormatError, match="The file is not in this encoding"):
        read_table(path, encoding="ascii")


def test_western_letters_and_signs_are_windows_1252(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("größe,y\nañejo “ok”,5 m²\ncafé – l’été,25 °C\n".encode("cp1252"))
    assert "text read as cp1252" in read_table(path).notes
    path.write_bytes("größe,y\nrot,1\nblau,2\n".encode("utf-16-le"))
    assert "text read as utf-16-le" in read_table(path).notes


def test_a_long_cell_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"photo,y\nab,1\n{'x' * 140_000},2\nab,1\n", "utf-8")
    with pytest.raises(
        DataError, match="A cell contains too much text: line=3.*Expected at most 131,072"
    ):
        read_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match="A cell contains too much text: row=1, column='photo'"):
        from_frame(pd.DataFrame({"photo": ["a", "x" * 140_000]}))


@pytest.mark.parametrize("n_rows", [3, 30_000])
def test_a_column_of_long_cells_can_be_left_out(tmp_path: Path, n_rows: int) -> None:
    path, limit = tmp_path / "t.csv", csv.field_size_limit()
    rows = "".join(f'"a,{i}",{i}\n' for i in range(n_rows))
    path.write_text(f"photo,y\n{rows}{'x' * 140_000},2\n", "utf-8")
    cells = read_table(path, unread=("photo",))
    assert cells["y"].texts.tolist() == [*map(str, range(n_rows)), "2"]
    assert cells["photo"].texts.tolist()[-2:] == [f"a,{n_rows - 1}", ""]
    assert csv.field_size_limit() == limit
    with refused("E224", "column='photo'"):
        read_table(path, unread=("y",))


def test_equal_text_is_equal_in_every_form_of_unicode(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "größe,y\nköln,1\n")
    (tmp_path / "t.csv").write_text(decomposed + "köln,2\n", "utf-8")
    cells = read_table(tmp_path / "t.csv")
    assert cells.names == ["größe", "y"]
    assert cells["größe"].texts.tolist() == ["köln", "köln"]


def hostile_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of a few kilobytes that claim gigabytes, and what is said of them."""
    rows = pa.array(np.zeros(1_000_000, np.int32))
    for name, n in (("long", 1_000_000), ("short", 100_000)):
        text = pa.DictionaryArray.from_arrays(rows, pa.array(["a" * n]))
        parquet.write_table(pa.table({"x": text}), folder / f"{name}.parquet")
        yield (
            folder / f"{name}.parquet",
            "The file claims more text than a file of its size may have",
        )
    zeros = pa.array(np.zeros(20_000_000, np.int8))
    parquet.write_table(pa.table({"x": zeros}), folder / "runs.parquet")
    yield folder / "runs.parquet", "The file claims more cells than a file of its size may have"
    rows = [{f"k{i}": 1} for i in range(9000)]
    other_forms = {
        "names": rows,
        "lists": {"columns": [f"k{i}" for i in range(9000)], "data": [[]] * 9000},
        "columns": {f"c{i}": {f"k{i}": 1} for i in range(9000)},
    }
    for name, value in other_forms.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
        yield folder / f"{name}.json", "The file claims more cells than a file of its size may have"
    line = b"1,2\n" * 25_000_000
    (folder / "bomb.csv.gz").write_bytes(gzip.compress(line, 1))
    yield folder / "bomb.csv.gz", "suspicious size"
    line = b"1\n" * 12_000_000
    (folder / "lines.csv.gz").write_bytes(gzip.compress(line, 1))
    yield folder / "lines.csv.gz", "The file claims more cells than a file of its size may have"
    line = b"1,2\n" * 25_000_000
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", line)
    yield folder / "bomb.zip", "suspicious size"
    path = workbook(folder / "wide.xlsx", ["a"], *[[None]] * 3)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    far = "".join(f'<row r="{i}"><c r="XFD{i}"><v>1</v></c></row>' for i in range(2, 2000))
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(
        b"</sheetData>", far.encode() + b"</sheetData>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    yield path, "The file claims more cells than a file of its size may have"


def test_a_small_file_that_claims_much_costs_no_memory(tmp_path: Path) -> None:
    for path, wrong in hostile_files(tmp_path):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(FormatError, match=wrong):
            read_table(path)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 400, path.name
