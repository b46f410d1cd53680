"""Files of tables as cells of text: CSV and its kin, Parquet, Feather, Excel, JSON, also packed.

What a file is shows in its first bytes; its name decides where they do not.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from tenfold.core import files
from tenfold.core.errors import DataError
from tenfold.inputs.tables import arrow, excel, json_rows
from tenfold.inputs.tables.cells import Cells, from_frame
from tenfold.inputs.tables.csv_text import TextOptions, decode_text, read_csv_text
from tenfold.inputs.tables.unpack import GZIP, ZIP, check_cells, gunzip, unzip_one

TEXT_SUFFIXES = {".csv", ".tsv", ".txt", ".data"}
JSON_LINES = {".jsonl", ".ndjson"}
SUFFIXES = {
    *TEXT_SUFFIXES,
    *JSON_LINES,
    ".json",
    ".parquet",
    ".feather",
    ".arrow",
    ".xlsx",
    ".xlsm",
}
"""How names of files of tables end, in lower case; `.gz` and `.zip` may follow."""

PACKED = {".gz", ".zip"}

UNREAD = {
    ".xls": "an old Excel workbook",
    ".xlsb": "a binary Excel workbook",
    ".ods": "an OpenDocument sheet",
    ".sav": "an SPSS file",
    ".dta": "a Stata file",
    ".sas7bdat": "a SAS file",
    ".rds": "an R file",
    ".rdata": "an R file",
    ".orc": "an ORC file",
    ".avro": "an Avro file",
    ".arff": "an ARFF file",
    ".sqlite": "a database",
    ".db": "a database",
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".pkl": "a pickle, which could run code",
    ".pickle": "a pickle, which could run code",
}
"""Kinds of files that hold tables and are not read."""

UNREAD_PACKED = {".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz"}

OLE = b"\xd0\xcf\x11\xe0"
"""How Excel workbooks before 2007 begin."""

MAX_BYTES = 2 << 30


def is_table_name(path: Path) -> bool:
    """Whether a file is called like a table that is read, packed or not.

    Raises:
      DataError: It is called like a table of a kind that is not read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if not suffixes:
        return False
    last, before = suffixes[-1], suffixes[0]
    if last in UNREAD or (last in UNREAD_PACKED and before in SUFFIXES):
        raise _unread(path, UNREAD.get(last, f"a table packed as {last}"))
    return last in SUFFIXES or (last in PACKED and before in SUFFIXES) or last == ".zip"


def read_table(
    path: Path | str,
    *,
    header: bool | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    otherwise: str | None = None,
    known: Sequence[str] = (),
) -> Cells:
    """Read a file of a table: CSV or TSV, Parquet, Feather, Excel, JSON or JSON Lines.

    Also one of them in a gzip file, or alone in a zip archive.

    Args:
      path: The file.
      header: Whether the first row holds names; found out when None.
      separator: Character between cells of a text file; found out when None.
      encoding: Of a text file, as Python calls it; found out when None.
      otherwise: Encoding of a text file that is neither UTF-8 nor UTF-16; found out when None.
      known: Names of columns that are looked for: a first row with one of them is a header.

    Raises:
      DataError: No rows, rows of another length (with their lines), names that repeat, a kind of
        table that is not read, or a package that is missing.
      FormatError: Damaged, larger than it may be, no text, or an unclosed quote.
      FileError: The file cannot be read.
    """
    path = Path(path)
    with files.os_errors("read", path):
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise DataError(
                "E219", "File too large", where=path, expected=f"<= {MAX_BYTES}", n_bytes=n_bytes
            )
        content = path.read_bytes()
    asked = TextOptions(header, separator, encoding, otherwise, known)
    name = path.name
    if content.startswith(GZIP):
        content, name = gunzip(content, path), name.removesuffix(".gz")
    elif content.startswith(ZIP) and not excel.is_workbook(content, path):
        name, content = unzip_one(content, path)
    if name != path.name and not content.startswith((arrow.PARQUET, arrow.FEATHER, ZIP)):
        check_cells(content.count(b"\n"), n_bytes, path)
    return replace(_read(content, path, PurePosixPath(name).suffix.lower(), asked), name=path.name)


def is_text(path: Path) -> bool:
    """Whether a file begins like text.

    Raises:
      FileError: It cannot be read.
    """
    with files.os_errors("read", path), path.open("rb") as file:
        start = file.read(512)
    return b"\0" not in start and not start.startswith(GZIP)


def read_frame(source: Any, name: str = "table") -> Cells:
    """The cells of a pandas frame, or of what hands over an Arrow stream: Polars, DuckDB, PyArrow.

    Raises:
      DataError: Neither, no rows, or values that are no cells.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return from_frame(source, name)
    if hasattr(source, "__arrow_c_stream__"):
        return from_frame(arrow.frame_of_stream(source), name)
    raise DataError(
        "E418",
        "Nothing to load",
        expected="a name, a path, a pandas frame, or a table of Polars, DuckDB or PyArrow",
        fix="Make a dataset of arrays with tenfold.Dataset.from_arrays",
        kind=type(source).__name__,
    )


def _read(content: bytes, path: Path, suffix: str, asked: TextOptions) -> Cells:
    """The cells of unpacked bytes."""
    if content.startswith(arrow.PARQUET):
        frame, notes = arrow.read_parquet(content, path), ("Parquet",)
    elif content.startswith(arrow.FEATHER):
        frame, notes = arrow.read_feather(content, path), ("Feather",)
    elif content.startswith(ZIP):
        frame, sheet_notes = excel.read_workbook(content, path, asked.header)
        cells = from_frame(frame, path.name)
        return replace(cells, header=asked.header is not False, notes=sheet_notes)
    elif content.startswith(OLE):
        raise _unread(path, UNREAD[".xls"])
    elif suffix == ".json" or suffix in JSON_LINES:
        text, _, _ = decode_text(content, path, asked)
        frame = json_rows.read_json_rows(text, path, by_line=suffix in JSON_LINES)
        notes = ("JSON",)
    else:
        return read_csv_text(content, path, asked)
    return replace(from_frame(frame, path.name), notes=notes)


def _unread(path: Path, what: str) -> DataError:
    return DataError(
        "E239",
        "A table in a form that is not read",
        where=path,
        expected="CSV, Parquet, Feather, Excel (.xlsx), JSON or JSON Lines, also as .gz or .zip",
        fix=f"It is {what}; save it as CSV",
    )
