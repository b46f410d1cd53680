"""Read items of a JSON list (pictures, rows of numbers or rows of a table), or say why they cannot
be read."""

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError, did_you_mean
from tenfold.core.text import shorten

MAX_UNKNOWN = 20
"""Number of unused columns that are read so that a note can name them. Others are ignored."""

MAX_NAMED = 5
"""Maximum number of columns that an error names. Without a limit, the response to 1,000 short rows
had 88 MB."""

MAX_COMPARED = 50
"""Maximum number of names of a row that are compared with a missing column, to suggest the most
similar one."""

MAX_SHOWN = 80
"""Maximum number of characters of a name from a client that an error repeats."""


def read_pixels(item: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read one picture, which is a list of all its numbers, or nested lists in the shape of the
    picture."""
    size, given = math.prod(shape), item
    if isinstance(item, list) and item and isinstance(item[0], list):
        item = _flattened(item, shape)
    if isinstance(item, list) and len(item) == size:
        if set(map(type, item)) == {int}:
            with suppress(ValueError):  # the fast way, which works if every number is a byte
                return np.frombuffer(bytes(item), np.uint8).reshape(shape)
        wrong = [value for value in item if not _is_pixel(value)]
        if not wrong:
            return np.array(item, np.uint8).reshape(shape)
        raise DataError(
            "E970",
            "A value is not a pixel",
            expected="whole numbers from 0 to 255",
            fix="Values from 0 to 1 have to be multiplied by 255 and rounded",
            value=wrong[0] if isinstance(wrong[0], int | float) else described(wrong[0]),
        )
    sides = " x ".join(map(str, shape))
    raise DataError(
        "E971",
        "The item is not a picture of this size",
        expected=f"{sides} or {size} numbers",
        found=described(given),
    )


def _flattened(item: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The numbers of nested lists of this shape. None if they have another shape."""
    if not isinstance(item, list) or len(item) != shape[0]:
        return None
    if len(shape) == 1:
        return item
    parts = [_flattened(part, shape[1:]) for part in item]
    if any(part is None for part in parts):
        return None
    return [number for part in parts if part for number in part]


def _is_pixel(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 255 and value == int(value)


def read_features(item: Any, n: int) -> NDArray[np.float64]:
    """One row of `n` numbers."""
    if isinstance(item, list) and len(item) == n and set(map(type, item)) <= {int, float}:
        try:
            values = np.array(item, np.float64)
        except OverflowError:
            values = np.array([np.inf])
        if np.isfinite(values).all():
            return values
        raise DataError("E972", "A value is not a finite number", expected="numbers below 1.8e308")
    raise DataError(
        "E973",
        "The item is not a list of features",
        expected=f"a list of {n} numbers",
        found=described(item),
    )


def unknown_columns(items: Sequence[Any], known: set[str]) -> set[str]:
    """The first names of columns that the model does not know, for a note."""
    names = dict.fromkeys(name for item in items if isinstance(item, dict) for name in item)
    return set(islice((name for name in names if name not in known), MAX_UNKNOWN))


def row_error(item: Any, wanted: Sequence[str], max_characters: int) -> DataError | None:
    """Why the model cannot predict an item."""
    if not isinstance(item, dict):
        return DataError(
            "E974",
            "The item is not a row",
            expected="an object with a value for each column",
            found=described(item),
        )
    if missing := [name for name in wanted if name not in item]:
        return DataError(
            "E975",
            "The row lacks columns that the model needs",
            where="rows",
            expected=shorten(wanted, MAX_NAMED),
            fix=did_you_mean(missing[0], list(islice(item, MAX_COMPARED))),
            columns=first_names(missing),
        )
    for name, value in item.items():
        where = name[:MAX_SHOWN]
        if isinstance(value, list | dict):
            return DataError(
                "E976",
                "A value is not a cell",
                where=where,
                expected="text or a number",
                found=described(value),
            )
        if isinstance(value, float) and not math.isfinite(value):
            return DataError(
                "E972",
                "A value is not a finite number",
                where=where,
                expected="numbers below 1.8e308",
            )
        if isinstance(value, str) and len(value) > max_characters:
            most = f"at most {max_characters} characters"
            return DataError(
                "E977",
                "A cell contains too much text",
                where=where,
                expected=most,
                n_characters=len(value),
            )
    return None


def first_names(names: Sequence[str]) -> list[str]:
    """The first of many names, as many as an error shows."""
    return [name[:MAX_SHOWN] for name in names[:MAX_NAMED]]


def described(value: Any) -> str:
    """The type of a JSON value, in a few words."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {dict: "an object", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
