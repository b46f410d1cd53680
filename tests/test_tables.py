"""Tables are read as they are meant, or refused with the place."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import DataError, FileError, FormatError
from tenfold.tables import from_frame, is_missing, read_table

CELL = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc"]), min_size=1, max_size=8
).map(str.strip)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@settings(max_examples=300, deadline=None)
@given(
    rows=st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELL, min_size=width, max_size=width), min_size=4, max_size=8
        )
    ),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_again(
    folder: Path, rows: list[list[str]], separator: str, encoding: str, ending: str
) -> None:
    """Every cell quoted, the separator named: nothing is left to guess but the encoding."""
    names = [f"column_{i}" for i in range(len(rows[0]))]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerows([names, *rows])
    content = text.getvalue().encode(encoding)
    if encoding == "cp1252":
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            content = text.getvalue().encode("utf-8")  # bytes that are both mean UTF-8
    path = folder / "table.csv"
    path.write_bytes(content)
    read = read_table(path, header=True, separator=separator)
    assert list(read.frame.columns) == names
    assert read.frame.to_numpy().tolist() == rows


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_separator_and_header_are_found_out(tmp_path: Path, separator: str, header: bool) -> None:
    rows = [["kind", "size", "note"]] if header else []
    rows += [["a", "1.5", "x y"], ["b", "2", "z"], ["a", "-3e4", "x y"]]
    (tmp_path / "t.csv").write_text("\n".join(separator.join(row) for row in rows) + "\n")
    read = read_table(tmp_path / "t.csv")
    assert (len(read), read.header) == (3, header)
    assert list(read.frame.columns) == (rows[0] if header else ["0", "1", "2"])
    words = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
    assert f"cells separated by {words[separator]}" in read.notes


def test_a_header_that_counts_the_columns_is_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2,3\n0.5,0.25,1\n0,7,0\n")
    assert list(read_table(tmp_path / "t.csv").frame.columns) == ["1", "2", "3"]


def test_numbers_alone_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("5,0.25,1\n0,7,0\n")
    assert not read_table(tmp_path / "t.csv").header
    assert read_table(tmp_path / "t.csv", header=True).frame.columns.tolist() == ["5", "0.25", "1"]


def test_quotes_that_open_and_never_close_are_text(tmp_path: Path) -> None:
    lines = [f'ham\t"hello number {i}, ok' if i % 5 else "spam\tplain" for i in range(50)]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    read = read_table(tmp_path / "t.tsv")
    assert (len(read), "quotes are part of the text" in read.notes) == (50, True)
    assert read.frame["1"].iloc[1] == '"hello number 1, ok'


def test_a_quoted_cell_may_hold_lines_and_separators(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name,text\na,"one, two\nthree"\nb,"x ""y"""\n')
    assert read_table(tmp_path / "t.csv").frame["text"].tolist() == ["one, two\nthree", 'x "y"']


def test_rows_of_another_length_are_named_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    with pytest.raises(DataError, match=r"lines=\[3, 4\], n_rows=2 .*t.csv.*Expected 2 cells"):
        read_table(tmp_path / "t.csv")


def test_names_that_repeat_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,a,b\n1,2,3\n")
    with pytest.raises(DataError, match=r"Columns of the same name: names=\['a'\].*--no-header"):
        read_table(tmp_path / "t.csv", header=True)
    (tmp_path / "t.csv").write_text("a,,b\n1,2,3\n")
    assert read_table(tmp_path / "t.csv", header=True).frame.columns[1] == "column 2"


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        (b"", DataError, "Empty file"),
        (b"\n \n", DataError, "Empty file"),
        (b"a,b\n", DataError, "No rows"),
        (b"a,b\n1,2\0\n", FormatError, "Not a text file.*UTF-8"),
        (b"\xff\xfea,b", FormatError, "Not a text file"),
        (b'a,b\n1,"' + b"x" * 200_000, FormatError, "A quote that is never closed.*line=2"),
        (b"PAR1 but no more", FormatError, "Damaged Parquet"),
    ],
    ids=["empty", "blank", "header alone", "nul", "half utf-16", "open quote", "parquet"],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, content: bytes, error: type[Exception], match: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(error, match=match):
        read_table(tmp_path / "t.csv", header=True, separator=",")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none.csv"):
        read_table(tmp_path / "none.csv")


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",".join("1" * 10_001) + "\n" + ",".join("2" * 10_001))
    with pytest.raises(DataError, match=r"Too many columns: n=10001.*<= 10000"):
        read_table(tmp_path / "t.csv")


def test_parquet_and_frames_become_the_same_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "float": [1.0, 2.5, np.nan],
            "int": pd.array([1, None, 2**60], dtype="Int64"),
            "bool": [True, False, True],
            "day": pd.to_datetime(["2020-01-02", "", "2020-01-03T04:05"], format="ISO8601"),
            "kind": pd.Categorical(["a", None, " b "]),
            "none": [None, "x", ""],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet")
    assert read.notes == ("Parquet",)
    pd.testing.assert_frame_equal(read.frame, from_frame(frame).frame)
    assert read.frame.iloc[0].tolist() == ["1", "1", "true", "2020-01-02T00:00:00", "a", ""]
    assert read.frame.iloc[1].tolist() == ["2.5", "", "false", "", "", "x"]
    assert read.frame["int"].iloc[2] == str(2**60)


def test_frames_without_rows_or_with_nested_values_are_refused() -> None:
    with pytest.raises(DataError, match="No rows"):
        from_frame(pd.DataFrame({"a": []}))
    with pytest.raises(DataError, match=r"nested values: column='b'"):
        from_frame(pd.DataFrame({"a": [1], "b": [[1, 2]]}))


def test_cells_that_say_nothing() -> None:
    cells = pd.Series(["", "NA", "n/a", "NaN", "null", "?", "-", "0", "none of it", "x"])
    assert is_missing(cells).tolist() == [True] * 7 + [False] * 3
