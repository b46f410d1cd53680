"""Large CSV texts are read in blocks by pandas: what is read is what the `csv` module reads."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.inputs.tables import csv_columns
from tenfold.inputs.tables.csv_columns import CsvRows, Dialect, read_columns
from tenfold.inputs.tables.read import read_table
from tenfold.inputs.tables.texts import CellColumn, PlainNumbers, Texts

NUMBERS = ("1", "-2", "0", "3.25", "1e3", "+4", ".5", "6.", "007", "9007199254740993", "")
WORDS = ("a", "b c", " d ", "", "true", "False", "01", "1", "n.d.", "inf", "nan", "NA", "e\u0301")
QUOTED = ("x,y", "two\nlines", 'a "word"', '"', "\n", ",,", "semi;colon", "tab\t")


def csv_rows(
    table: Sequence[Sequence[str]], *, separator: str = ",", line_end: str = "\n"
) -> CsvRows:
    """A table with a header as text; every cell that needs it stands in quotes."""
    width = len(table[0])
    names = tuple(f"column {i}" for i in range(width))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=line_end)
    writer.writerows([names, *table])
    raw = text.getvalue().removesuffix(line_end).encode()
    return CsvRows(raw, Dialect(separator, width=width), names, skip_first=True)


def read(body: CsvRows, block_bytes: int) -> dict[str, CellColumn] | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_columns, "BLOCK_BYTES", block_bytes)
        return read_columns(body, body.names)


def check_same(found: dict[str, CellColumn] | None, expected: dict[str, CellColumn]) -> None:
    """The same texts; and numbers where there are some, as Python reads them."""
    assert found is not None
    assert list(found) == list(expected)
    for name, column in found.items():
        texts = expected[name].texts
        assert column.texts.different.tolist() == texts.different.tolist()
        assert column.texts.codes.tolist() == texts.codes.tolist()
        if isinstance(column, PlainNumbers):
            values = [float(text or "nan") for text in texts.tolist()]
            np.testing.assert_allclose(column.values, values, rtol=1e-15)
            is_whole = all(text.lstrip("+-").isdecimal() for text in texts.tolist())
            assert column.is_whole == is_whole


@settings(max_examples=25)
@given(st.data())
def test_blocks_of_any_size_are_read_as_the_csv_module_reads_them(data: st.DataObject) -> None:
    kinds = [NUMBERS, NUMBERS[:4], WORDS, (*WORDS, *QUOTED), (*NUMBERS, *WORDS), ("True", "1")]
    cells = data.draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=4))
    rows = st.tuples(*(st.sampled_from(kind) for kind in cells))
    table = data.draw(st.lists(rows, min_size=2, max_size=40))
    separator, line_end = data.draw(st.sampled_from([(",", "\n"), (";", "\r\n"), ("\t", "\n")]))
    body = csv_rows(table, separator=separator, line_end=line_end)
    found = read(body, data.draw(st.integers(8, 200)))
    check_same(found, body.columns())


def test_what_only_later_rows_show_holds_for_all() -> None:
    rng = Random(0)
    late = {"a word": "n.d.", "too large": "9007199254740993", "a truth": "True", "padded": "007"}
    names = list(late)
    table = [[f"{rng.uniform(1000, 9999):.2f}" for _ in names] for _ in range(3000)]
    table[2500] = list(late.values())
    body = csv_rows(table)
    found = read(body, 20_000)
    assert found is not None
    kinds = dict(zip(names, map(type, found.values()), strict=True))
    assert kinds == dict.fromkeys(names[:3], Texts) | {"padded": PlainNumbers}
    check_same(found, body.columns())


def test_a_block_of_words_that_are_all_numbers_or_truths_keeps_their_texts() -> None:
    words = ["a"] * 1500 + ["01"] * 1500 + ["True", "TRUE"] * 750
    body = csv_rows([[word, str(i)] for i, word in enumerate(words)])
    found = read(body, 4_000)
    assert found is not None
    assert found["column 0"].texts.different.tolist() == ["a", "01", "True", "TRUE"]
    check_same(found, body.columns())


def test_a_line_that_ends_inside_of_quotes_ends_no_block() -> None:
    table = [[str(i), "one\nand, two"] for i in range(2000)]
    body = csv_rows(table)
    check_same(read(body, 1_000), body.columns())


@pytest.mark.parametrize("line", ["1", "1,2,3", '1,"two'])
@pytest.mark.parametrize("row", [1100, 1998])
def test_a_row_of_another_length_is_left_to_the_reader_that_names_it(row: int, line: str) -> None:
    body = csv_rows([[str(i), f"word {i}"] for i in range(2000)])
    lines = body.text.decode().split("\n")
    text = "\n".join([*lines[:row], line, *lines[row:]])
    assert read(replace(body, text=text.encode()), 5_000) is None


def test_an_escaped_end_of_a_line_is_part_of_its_cell() -> None:
    names = ("a", "b")
    lines = b"\n".join(b'%d,"say \\"%d\\"\nagain"' % (i, i) for i in range(1500))
    body = CsvRows(b"a,b\n" + lines, Dialect(",", escape="\\", width=2), names, True)
    assert body.blocks() == [slice(0, len(body.text))]
    found = read(body, 2_000)
    assert found is not None
    assert found["b"].texts[7] == 'say "7"\nagain'
    assert len(found["a"]) == 1500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("around", [("", ""), ("\n", "\n\n"), ("# a comment\n", "\r\n")])
def test_the_bytes_of_a_file_are_read_where_they_are_its_text(
    encoding: str, around: tuple[str, str], tmp_path: Path
) -> None:
    path, rows = tmp_path / "rows.csv", [f"{i},Stra\xdfe {i % 7}" for i in range(1500)]
    text = around[0] + "\n".join(["id,street", *rows]) + around[1]
    path.write_bytes(text.encode(encoding))
    cells = read_table(path)
    assert [",".join(row) for row in zip(*cells.as_text().values(), strict=True)] == rows
    assert isinstance(cells["id"], PlainNumbers)
    if encoding == "utf-8":
        path.write_bytes(path.read_bytes().replace("\xdf".encode(), b"\xff\xff", 1))
        assert read_table(path, encoding="utf-8")["street"].texts[0] == "Stra\ufffd\ufffde 0"
