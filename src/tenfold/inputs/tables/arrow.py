"""Parquet and Feather files, and whatever hands over an Arrow stream, as pandas frames.

What a small file claims to hold is looked at before it takes memory: runs and dictionaries let a
thousand bytes stand for a million rows.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.errors import DataError, FormatError
from tenfold.inputs.tables.unpack import check_cells

if TYPE_CHECKING:
    import pandas as pd

PARQUET, FEATHER = b"PAR1", b"ARROW1"
"""How Parquet and Arrow files (Feather, version 2) begin."""

LEAST_TEXT, TEXT_A_BYTE = 256 << 20, 16
"""Bytes of text that every file may hold, and so many more for each of its bytes."""


def read_parquet(content: bytes, path: Path) -> "pd.DataFrame":
    """The frame in a Parquet file.

    Raises:
      DataError: pyarrow is not installed.
      FormatError: Damaged, or of more cells or text than its size allows.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise needs("Parquet", "pyarrow", path) from error
    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        about = file.metadata
        check_cells(about.num_rows * about.num_columns, len(content), path)
        texts = [
            about.schema.column(i).path
            for i in range(about.num_columns)
            if about.schema.column(i).physical_type == "BYTE_ARRAY"
        ]
        # Dictionaries are kept: a text that repeats is one text in memory.
        file = parquet.ParquetFile(io.BytesIO(content), read_dictionary=texts)
        return _to_frame(file.read(), len(content), path)
    except (DataError, FormatError):
        raise
    except Exception as error:  # pyarrow's errors share no base but this
        raise _damaged("Parquet", path, error) from error


def read_feather(content: bytes, path: Path) -> "pd.DataFrame":
    """The frame in a Feather or Arrow file.

    Raises:
      DataError: pyarrow is not installed.
      FormatError: Damaged, or of more cells or text than its size allows.
    """
    try:
        from pyarrow import BufferReader, ipc
    except ImportError as error:
        raise needs("Feather", "pyarrow", path) from error
    try:
        reader = ipc.open_file(BufferReader(content))
        n_rows = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
        check_cells(n_rows * len(reader.schema), len(content), path)
        return _to_frame(reader.read_all(), len(content), path)
    except (DataError, FormatError):
        raise
    except Exception as error:  # pyarrow's errors share no base but this
        raise _damaged("Feather", path, error) from error


def frame_of_stream(source: Any) -> "pd.DataFrame":
    """The frame of an object with `__arrow_c_stream__`, as Polars, DuckDB and PyArrow have.

    Raises:
      DataError: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise needs("An Arrow stream", "pyarrow", type(source).__name__) from error
    frame: pd.DataFrame = pyarrow.table(source).to_pandas()
    return frame


def _to_frame(table: Any, n_bytes: int, path: Path) -> "pd.DataFrame":
    """The table as a frame, after the text in it was measured."""
    n_text = sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks)
    most = max(LEAST_TEXT, TEXT_A_BYTE * n_bytes)
    if n_text > most:
        raise FormatError(
            "E235",
            "More text than a file of this size may hold",
            where=path,
            expected=f"at most {most} bytes",
            n_text=n_text,
            n_bytes=n_bytes,
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _text_bytes(chunk: Any) -> int:
    """Bytes of the texts of a column, each counted as often as it stands there."""
    import pyarrow as pa
    from pyarrow import compute

    kind = chunk.type
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
    elif _is_text(kind):
        lengths = compute.binary_length(chunk)
    else:
        return 0
    return int(compute.sum(lengths.cast(pa.int64())).as_py() or 0)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def needs(what: str, package: str, where: object) -> DataError:
    """The error of a kind of file whose reader is not installed."""
    return DataError(
        "E220", f"{what} needs {package}", where=where, fix="pip install 'tenfold[tables]'"
    )


def _damaged(what: str, path: Path, error: Exception) -> FormatError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return FormatError("E221", f"Damaged {what}", where=path, reason=reason)
