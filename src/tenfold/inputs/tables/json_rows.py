"""Tables in JSON: a list of objects, an object of columns, or an object in each line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.errors import DataError, FormatError

if TYPE_CHECKING:
    import pandas as pd

EXPECTED = 'a list of objects, {"column": [values]}, or an object in each line'


def read_json_rows(text: str, path: Path, *, by_line: bool) -> "pd.DataFrame":
    """The frame of a JSON text.

    Args:
      text: The text.
      path: Its file, for messages.
      by_line: Whether each line is a value of its own.

    Raises:
      DataError: Values that make no table.
      FormatError: No JSON.
    """
    if not by_line:
        try:
            return _frame(json.loads(text), path)
        except json.JSONDecodeError as error:
            if "\n" not in text.strip():
                raise _damaged(path, error) from error
        except RecursionError as error:
            raise _damaged(path, error) from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise _damaged(f"{path}, line {number}", error) from error
    return _frame(rows, path)


def _frame(value: Any, path: Path) -> "pd.DataFrame":
    import pandas as pd

    if isinstance(value, Mapping):
        names, body = value.get("columns"), value.get("data")
        if isinstance(names, list) and isinstance(body, list):
            return _records([dict(zip(names, row, strict=False)) for row in body])
        inner = [item for item in value.values() if isinstance(item, list)]
        if len(inner) == 1 and inner[0] and all(isinstance(row, Mapping) for row in inner[0]):
            return _records(inner[0])
        lengths = {len(column) if isinstance(column, list) else -1 for column in value.values()}
        if len(lengths) == 1 and lengths != {-1}:
            return pd.DataFrame(value)
        if value and all(isinstance(column, Mapping) for column in value.values()):
            keys = dict.fromkeys(key for column in value.values() for key in column)
            return pd.DataFrame(
                {name: [column.get(key) for key in keys] for name, column in value.items()}
            )
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return _records(value)
    raise DataError("E237", "JSON that is no table", where=path, expected=EXPECTED)


def _records(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame.from_records(list(rows))


def _damaged(where: object, error: Exception) -> FormatError:
    reason = "too deep" if isinstance(error, RecursionError) else str(error)
    return FormatError("E238", "Damaged JSON", where=where, reason=reason)
