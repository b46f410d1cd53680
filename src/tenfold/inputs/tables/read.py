"""Read table files as cells of text: CSV and similar, Parquet, Feather, Excel and JSON, plain or
packed.

The type of a file is recognised by its first bytes, or else by its name. The size that a file
claims is checked before memory is allocated, because with run-length encoding and dictionaries a
thousand bytes can stand for a million rows.
"""

import io
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tenfold.core import files
from tenfold.core.csv_cells import escape_formula, unescape_formula
from tenfold.core.errors import DataError, FormatError, TenfoldError
from tenfold.core.installation import adding
from tenfold.core.text import shorten
from tenfold.inputs.tables.cells import Cells, from_frame
from tenfold.inputs.tables.csv_text import MAX_TITLES, TextOptions, decode_text, read_csv_text
from tenfold.inputs.tables.texts import PlainNumbers
from tenfold.inputs.tables.unpack import GZIP, ZIP, check_cells, gunzip, open_zip, unzip_one

if TYPE_CHECKING:
    import pandas as pd

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
"""Suffixes of table files, in lower case. `.gz` and `.zip` may follow."""

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
"""Types of table files that are not supported."""

UNREAD_PACKED = {".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz"}

PARQUET, FEATHER, OLE = b"PAR1", b"ARROW1", b"\xd0\xcf\x11\xe0"
"""First bytes of Parquet, Arrow (Feather, version 2) and Excel files before 2007."""

SHEET = "xl/workbook.xml"
"""The part by which a zip archive is recognised as a workbook (ECMA-376, part 1, 12.3.23)."""

MAX_BYTES = 2 << 30
LEAST_TEXT, TEXT_A_BYTE = 256 << 20, 16
"""The number of bytes of text that any Parquet, Feather or Excel file may contain, and how many
more for each of its bytes."""


def is_table_name(path: Path) -> bool:
    """Whether the name of a file is that of a supported table, packed or not."""
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
    unread: Container[str] = (),
) -> Cells:
    """Read a table file: CSV or TSV, Parquet, Feather, Excel, JSON or JSON Lines.

    It may be in a gzip file, or alone in a zip archive.

    Args:
      path: The file.
      header: Whether the first row contains names. None: determined from the file.
      separator: Character between the cells of a text file. None: determined from the file.
      encoding: Python's name of the encoding of a text file. None: determined from the file.
      otherwise: Encoding of a text file that is neither UTF-8 nor UTF-16. None: determined from the
        file.
      known: Names of columns that are searched for: a first row with one of them is a header.
      unread: Names of columns that are not needed and may contain lists, for example. They are left
        empty.

    Raises:
      DataError: There are no rows, rows have different lengths (with their lines), names repeat,
        the type of table is not supported, or a package is missing.
      FormatError: The file is damaged, too large, not text, or has an unclosed quote.
      FileError: The file cannot be read.
    """
    path = Path(path)
    content, suffix = _unpacked(path)
    asked = TextOptions(header, separator, encoding, otherwise, known, unread)
    cells = _read(content, path, suffix, asked)
    return replace(_unescaped(cells, known), name=path.name)


def read_values(path: Path | str) -> "pd.DataFrame | None":
    """The unconverted values of a Parquet, Feather or JSON file. None for other files.

    The errors are those of `read_table`.
    """
    path = Path(path)
    content, suffix = _unpacked(path)
    if content.startswith(PARQUET):
        return _read_parquet(content, path)
    if content.startswith(FEATHER):
        return _read_feather(content, path)
    if suffix == ".json" or suffix in JSON_LINES:
        text, _, _ = decode_text(content, path, TextOptions())
        return _read_json(text, path, by_line=suffix in JSON_LINES)
    return None


def _unpacked(path: Path) -> tuple[bytes, str]:
    """The content of a file, taken out of its archive, and the suffix of its name."""
    with files.os_errors("read", path):
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise DataError(
                "E219",
                "The file is too large",
                where=path,
                expected=f"at most {MAX_BYTES >> 30} GiB",
                fix="Split the file, or remove columns",
                n_bytes=n_bytes,
            )
        content = path.read_bytes()
    name = path.name
    if content.startswith(GZIP):
        content, name = gunzip(content, path), name.removesuffix(".gz")
    elif content.startswith(ZIP) and not _is_workbook(content, path):
        name, content = unzip_one(content, path)
    if name != path.name and not content.startswith((PARQUET, FEATHER, ZIP)):
        check_cells(content.count(b"\n"), n_bytes, path)
    return content, PurePosixPath(name).suffix.lower()


def _unescaped(cells: Cells, known: Sequence[str]) -> Cells:
    """Undo what Tenfold did to cells for spreadsheets. If a column is searched for by a name that
    is a formula, its header in the file has an additional `'` in front."""
    names = set(cells.names)
    if not any(escape_formula(name) in names - {name} for name in known if name not in names):
        return cells
    columns = {
        unescape_formula(name): column
        if isinstance(column, PlainNumbers)
        else column.changed(unescape_formula)
        for name, column in cells.columns.items()
    }
    return replace(cells, columns=columns)


def is_text(path: Path) -> bool:
    """Whether a file begins like text."""
    with files.os_errors("read", path), path.open("rb") as file:
        start = file.read(512)
    return b"\0" not in start and not start.startswith(GZIP)


def read_frame(source: Any, name: str = "table", unread: Container[str] = ()) -> Cells:
    """The cells of a pandas data frame, or of an Arrow stream from Polars, DuckDB or PyArrow.

    Raises:
      DataError: The object is neither, has no rows, or has values that are not cells.
    """
    return from_frame(as_frame(source), name, unread)


def as_frame(source: Any) -> "pd.DataFrame":
    """The data frame of an object that `read_frame` takes, with unconverted values. Pictures of a
    Hugging Face dataset stay bytes of files."""
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return source
    if not is_frame(source):
        fix = "Make a dataset of arrays with tenfold.Dataset.from_arrays"
        if isinstance(source, Mapping) and source:
            fix = f"Choose one of its parts: {shorten([str(part) for part in source])}"
        raise DataError(
            "E418",
            "Data of this type cannot be loaded",
            expected="a name, a path, a pandas data frame, or a table of Polars, DuckDB or PyArrow",
            fix=fix,
            kind=type(source).__name__,
        )
    if _is_hugging_face(source):
        source = source.with_format("arrow")[:]
    with _reading("An Arrow stream", "pyarrow", type(source).__name__):
        import pyarrow
    return _named_labels(pyarrow.table(source))


def is_frame(source: Any) -> bool:
    """Whether the object is a table in memory, which `read_frame` takes."""
    import pandas as pd

    is_arrow = hasattr(source, "__arrow_c_stream__")
    return isinstance(source, pd.DataFrame) or is_arrow or _is_hugging_face(source)


def _is_hugging_face(source: Any) -> bool:
    """Whether the object is a `datasets.Dataset`, or several in a dict."""
    names = ("with_format", "features", "num_rows")
    return all(hasattr(source, name) for name in names) and not isinstance(source, Mapping)


def _named_labels(table: Any) -> "pd.DataFrame":
    """The data frame of an Arrow table, with the names of the labels that Hugging Face stores for
    their numbers. -1 stands for no label."""
    frame: pd.DataFrame = table.to_pandas()
    try:
        about = json.loads((table.schema.metadata or {})[b"huggingface"])
        features = about["info"]["features"].items()
        names = {name: list(map(str, kind["names"])) for name, kind in features if "names" in kind}
    except (KeyError, TypeError, AttributeError, ValueError):
        return frame
    for name in names.keys() & set(frame):
        frame[name] = frame[name].map(dict(enumerate(names[name])))
    return frame


def _read(content: bytes, path: Path, suffix: str, asked: TextOptions) -> Cells:
    """The cells of unpacked bytes."""
    header = True
    if content.startswith(PARQUET):
        frame, notes = _read_parquet(content, path), ["Parquet"]
    elif content.startswith(FEATHER):
        frame, notes = _read_feather(content, path), ["Feather"]
    elif content.startswith(ZIP):
        header = asked.header is not False
        frame, notes = _read_workbook(content, path, header)
    elif content.startswith(OLE):
        raise _unread(path, UNREAD[".xls"])
    elif suffix == ".json" or suffix in JSON_LINES:
        text, _, _ = decode_text(content, path, asked)
        frame, notes = _read_json(text, path, by_line=suffix in JSON_LINES), ["JSON"]
    else:
        return read_csv_text(content, path, asked)
    cells = from_frame(frame, path.name, asked.unread)
    return replace(cells, header=header, notes=tuple(notes))


def _unread(path: Path, what: str) -> DataError:
    return DataError(
        "E239",
        "Tables in this format cannot be read",
        where=path,
        expected="CSV, Parquet, Feather, Excel (.xlsx), JSON or JSON Lines, also as .gz or .zip",
        fix=f"It is {what}; save it as CSV",
    )


@contextmanager
def _reading(what: str, package: str, where: object) -> Iterator[None]:
    """Convert the errors of another package: it is not installed, or the file is damaged."""
    try:
        yield
    except ImportError as error:
        raise DataError(
            "E220", f"{what} needs {package}", where=where, fix=adding("tables")
        ) from error
    except TenfoldError:
        raise
    # The exceptions of pyarrow, openpyxl, zip and XML have no common base class.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        if what == "Excel":
            raise FormatError(
                "E236", "The workbook is damaged", where=where, reason=reason
            ) from error
        raise FormatError(
            "E221", f"The {what} file is damaged", where=where, reason=reason
        ) from error


# Parquet and Feather.


def _read_parquet(content: bytes, path: Path) -> "pd.DataFrame":
    with _reading("Parquet", "pyarrow", path):
        from pyarrow import parquet

        file = parquet.ParquetFile(io.BytesIO(content))
        about = file.metadata
        check_cells(about.num_rows * about.num_columns, len(content), path)
        columns = [about.schema.column(i) for i in range(about.num_columns)]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        # Dictionaries are kept, so that a repeated text is one object in memory.
        file = parquet.ParquetFile(io.BytesIO(content), read_dictionary=texts)
        return _to_frame(file.read(), len(content), path)


def _read_feather(content: bytes, path: Path) -> "pd.DataFrame":
    with _reading("Feather", "pyarrow", path):
        from pyarrow import BufferReader, ipc

        reader = ipc.open_file(BufferReader(content))
        n_rows = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
        check_cells(n_rows * len(reader.schema), len(content), path)
        return _to_frame(reader.read_all(), len(content), path)


def _to_frame(table: Any, n_bytes: int, path: Path) -> "pd.DataFrame":
    """Convert a table to a data frame, after checking the size of its text."""
    n_text = sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks)
    most = max(LEAST_TEXT, TEXT_A_BYTE * n_bytes)
    if n_text > most:
        raise FormatError(
            "E235",
            "The file claims more text than a file of its size may have",
            where=path,
            expected=f"at most {most} bytes",
            n_text=n_text,
            n_bytes=n_bytes,
        )
    return _named_labels(table)


def _text_bytes(chunk: Any) -> int:
    """Bytes of the texts of a column, counting repeated texts each time."""
    from pyarrow import compute, int64, types

    def is_text(kind: Any) -> bool:
        tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
        return any(test(kind) for test in tests)

    if types.is_dictionary(chunk.type) and is_text(chunk.type.value_type):
        lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
    elif is_text(chunk.type):
        lengths = compute.binary_length(chunk)
    else:
        return 0
    return int(compute.sum(lengths.cast(int64())).as_py() or 0)


# Excel: the first sheet of a workbook, values and never formulas.

FORMULA_ROWS = 100
"""Number of rows of a workbook in which formulas without values are searched for."""


def _is_workbook(content: bytes, path: Path) -> bool:
    with open_zip(content, path) as archive:
        return SHEET in archive.namelist()


def _read_workbook(content: bytes, path: Path, header: bool) -> tuple["pd.DataFrame", list[str]]:
    """The data frame of the first sheet, and notes for the user.

    If there is a `header`, the first non-empty row contains the names of the columns, and rows of a
    single cell before it are titles. For a formula, the value that Excel stored is read.
    """
    import pandas as pd

    with _reading("Excel", "openpyxl", path):
        import openpyxl

        book = openpyxl.load_workbook(
            io.BytesIO(content), read_only=True, data_only=True, keep_links=False
        )
        sheets = book.worksheets
        rows = list(_sheet_rows(sheets[0], len(content), path)) if sheets else []
    if not rows:
        raise DataError(
            "E436", "The table has no rows", where=path, expected="at least one row of data"
        )
    width = max(map(len, rows))
    check_cells(len(rows) * width, len(content), path)
    notes = [f"Excel, sheet {sheets[0].title}"]
    if len(sheets) > 1:
        notes.append(f"{len(sheets) - 1} other sheets not read")
    if header and (n_titles := _titles(rows)):
        rows = rows[n_titles:]
        notes.append(f"{n_titles} lines before the header not read")
    rows = [[*row, *[None] * (width - len(row))] for row in rows]
    names = [str(i) for i in range(width)]
    if header:
        names = ["" if cell is None else str(cell) for cell in rows.pop(0)]
    empty = [i for i, name in enumerate(names) if name and all(row[i] is None for row in rows)]
    if rows and empty and (formulas := _formulas(content, empty)):
        shown = shorten([repr(names[i]) for i in formulas])
        notes.append(
            f"columns of formulas whose values are not in the file: {shown}; open it in a "
            "spreadsheet program and save it"
        )
    return pd.DataFrame(rows, columns=names, dtype=object), notes


def _formulas(content: bytes, columns: Sequence[int]) -> list[int]:
    """The columns that contain formulas without stored values. Programs that write a workbook may
    leave the computation to the program that opens it."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()
    found = set[int]()
    for row in islice(sheet.iter_rows(values_only=True), FORMULA_ROWS):
        found |= {i for i in columns if i < len(row) and str(row[i] or "").startswith("=")}
    return sorted(found)


def _titles(rows: Sequence[Sequence[Any]]) -> int:
    """Number of rows of a single cell, which are titles, before the names of the columns."""
    first = enumerate(rows[: MAX_TITLES + 1])
    wide = (i for i, row in first if sum(cell not in (None, "") for cell in row) > 1)
    return next(wide, 0)


def _sheet_rows(sheet: Any, n_bytes: int, path: Path) -> Iterator[Sequence[Any]]:
    """The non-empty rows, without empty cells at their ends."""
    sheet.reset_dimensions()  # the file may give wrong dimensions
    n_cells = 0
    for row in sheet.iter_rows(values_only=True):
        n_cells += 1 + len(row)
        check_cells(n_cells, n_bytes, path)
        width = max((i for i, cell in enumerate(row, 1) if cell not in (None, "")), default=0)
        if width:
            yield list(islice(row, width))


# JSON.


def _read_json(text: str, path: Path, *, by_line: bool) -> "pd.DataFrame":
    """The data frame of a JSON text. With `by_line`, each line is a separate value."""
    if not by_line:
        try:
            return _json_frame(json.loads(text), len(text), path)
        except json.JSONDecodeError as error:
            if "\n" not in text.strip():
                raise _damaged_json(path, error) from error
        except RecursionError as error:
            raise _damaged_json(path, error) from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise _damaged_json(f"{path}, line {number}", error) from error
    return _json_frame(rows, len(text), path)


def _json_frame(value: Any, n_bytes: int, path: Path) -> "pd.DataFrame":
    """Convert a list of objects, or an object of columns, rows or a single list, to a data
    frame."""
    import pandas as pd

    if isinstance(value, Mapping):
        names, body = value.get("columns"), value.get("data")
        if isinstance(names, list) and isinstance(body, list):
            check_cells(len(names) * len(body), n_bytes, path)
            return pd.DataFrame.from_records([dict(zip(names, row, strict=False)) for row in body])
        inner = [item for item in value.values() if isinstance(item, list)]
        if len(inner) == 1 and inner[0] and all(isinstance(row, Mapping) for row in inner[0]):
            return _of_objects(inner[0], n_bytes, path)
        lengths = {len(column) if isinstance(column, list) else -1 for column in value.values()}
        if len(lengths) == 1 and lengths != {-1}:
            return pd.DataFrame(value)
        if value and all(isinstance(column, Mapping) for column in value.values()):
            keys = dict.fromkeys(key for column in value.values() for key in column)
            check_cells(len(keys) * len(value), n_bytes, path)
            return pd.DataFrame(
                {name: [column.get(key) for key in keys] for name, column in value.items()}
            )
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return _of_objects(value, n_bytes, path)
    expected = 'a list of objects, {"column": [values]}, or an object in each line'
    raise DataError("E237", "The JSON file does not contain a table", where=path, expected=expected)


def _of_objects(rows: Sequence[Mapping[str, Any]], n_bytes: int, path: Path) -> "pd.DataFrame":
    """The data frame of objects, with a cell for every key that any of them has."""
    import pandas as pd

    names = {name for row in rows for name in row}
    check_cells(len(names) * len(rows), n_bytes, path)
    return pd.DataFrame.from_records(rows)


def _damaged_json(where: object, error: Exception) -> FormatError:
    reason = "too deep" if isinstance(error, RecursionError) else str(error)
    return FormatError("E238", "The JSON file is damaged", where=where, reason=reason)
