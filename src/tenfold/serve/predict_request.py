"""The body of a request -> rows for the model, each item apart: one that is wrong fails alone."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Contract, FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import TenfoldError, did_you_mean, message
from tenfold.data.from_table import with_earlier_values
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.inputs.pictures.preprocess import PictureSteps, preprocess
from tenfold.inputs.tables.columns import Table, read_rows
from tenfold.model.model import read_cells
from tenfold.serve.limits import Limits
from tenfold.serve.replies import HTTPError

Rows = NDArray[Any] | Table

# Possessive: with a way back for each byte, a text of 1 MB took 115 MB.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.S)
MAX_UNKNOWN = 20
"""Columns that a model does not use and that are read to be told about; the others are dropped."""

NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True, eq=False)
class PredictRequest:
    """What a request asks.

    Attributes:
      kind: What was sent: `images`, `rows`, `features`, `picture` or `raw`.
      rows: The items that can be answered, as `Model.answer` takes them.
      errors: For each item sent, in order, why it cannot be answered, or None.
      notes: What a reader should know about the rows of a table.
      steps: What became of a picture file.
    """

    kind: str
    rows: Rows
    errors: Sequence[str | None]
    notes: Sequence[str] = ()
    steps: PictureSteps | None = None


def read_predict_request(
    media_type: str, body: bytes, contract: Contract, limits: Limits
) -> PredictRequest:
    """Read a request's body.

    Args:
      media_type: `application/json`, `application/octet-stream` or `image/...`.
      body: Its bytes, within the limit.
      contract: Of the model that is asked.
      limits: Of items, pixels and depth.

    Raises:
      HTTPError: 413 for too many items, 415 for a kind of body that the model does not take, 422
        for what cannot be read or when no item can.
    """
    accepted = contract.input
    if media_type == "application/json":
        request = _json_request(body, contract, limits)
    elif not isinstance(accepted, ImageInput):
        raise HTTPError(
            415, message("Not a body for this model", expected="JSON", content_type=media_type)
        )
    elif media_type == "application/octet-stream":
        request = _raw_request(body, accepted, limits)
    else:
        try:
            steps = preprocess(body, accepted, PictureOptions(max_pixels=limits.pixels))
        except TenfoldError as error:
            raise HTTPError(422, str(error)) from error
        request = PredictRequest("picture", steps.image[None], (None,), steps=steps)
    if all(request.errors):
        raise HTTPError(422, next(filter(None, request.errors)))
    return request


def _check_items(n: int, limits: Limits) -> None:
    if n > limits.items:
        raise HTTPError(413, message("Too many items", expected=f"at most {limits.items}", items=n))
    if not n:
        raise HTTPError(422, message("Nothing to answer", expected="at least one item", items=0))


def _raw_request(body: bytes, accepted: ImageInput, limits: Limits) -> PredictRequest:
    size = math.prod(accepted.shape)
    n, rest = divmod(len(body), size)
    if rest:
        shape = " x ".join(map(str, accepted.shape))
        raise HTTPError(
            422,
            message(
                "Not whole pictures",
                expected=f"{size} bytes for each, {shape}",
                n_bytes=len(body),
            ),
        )
    _check_items(n, limits)
    rows = np.frombuffer(body, np.uint8).reshape(n, *accepted.shape)
    return PredictRequest("raw", rows, (None,) * n)


def _json_request(body: bytes, contract: Contract, limits: Limits) -> PredictRequest:
    accepted = contract.input
    kind = {ImageInput: "images", TableInput: "rows", FeaturesInput: "features"}[type(accepted)]
    sent = read_json(body, limits.json_depth)
    if not isinstance(sent, dict) or list(sent) != [kind]:
        found = sorted(sent) if isinstance(sent, dict) else type(sent).__name__
        raise HTTPError(422, message("Not a request", expected=f'{{"{kind}": [...]}}', found=found))
    items = sent[kind]
    if not isinstance(items, list):
        raise HTTPError(
            422, message("Not a list", where=kind, expected="a list", found=_name(items))
        )
    _check_items(len(items), limits)
    if isinstance(accepted, TableInput):
        return _table_request(items, accepted)
    read: Callable[[Any, tuple[int, ...]], NDArray[Any]] = (
        _pixels if isinstance(accepted, ImageInput) else _features
    )
    rows: list[NDArray[Any]] = []
    errors: list[str | None] = []
    for item in items:
        try:
            rows.append(read(item, accepted.shape))
            errors.append(None)
        except _Unreadable as problem:
            errors.append(str(problem))
    return PredictRequest(kind, np.stack(rows) if rows else np.empty(0), errors)


class _Unreadable(Exception):
    """Why an item cannot be read."""


def _pixels(item: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """One picture: all its numbers in a list, or lists of the picture's shape."""
    size, given = math.prod(shape), item
    if isinstance(item, list) and item and isinstance(item[0], list):
        item = _flattened(item, shape)
    if isinstance(item, list) and len(item) == size:
        if set(map(type, item)) == {int}:
            try:
                return np.frombuffer(bytes(item), np.uint8).reshape(shape)
            except ValueError:
                pass
        elif set(map(type, item)) <= {int, float} and all(0 <= x <= 255 for x in item):
            values = np.array(item)
            if (values == np.rint(values)).all():
                return values.astype(np.uint8).reshape(shape)
        raise _Unreadable(
            message(
                "Not a pixel",
                expected="whole numbers from 0 to 255",
                fix="Values from 0 to 1 have to be multiplied by 255 and rounded",
                value=_first_wrong(item),
            )
        )
    sides = " x ".join(map(str, shape))
    raise _Unreadable(
        message("Not a picture", expected=f"{sides} or {size} numbers", found=_name(given))
    )


def _flattened(item: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The numbers of nested lists of a shape; None for another shape."""
    if not isinstance(item, list) or len(item) != shape[0]:
        return None
    if len(shape) == 1:
        return item
    parts = [_flattened(part, shape[1:]) for part in item]
    if any(part is None for part in parts):
        return None
    return [number for part in parts if part for number in part]


def _first_wrong(item: list[Any]) -> object:
    for value in item:
        if type(value) not in (int, float) or not 0 <= value <= 255 or value != int(value):
            return value if isinstance(value, int | float) else _name(value)
    raise AssertionError("called for a list that is wrong")


def _features(item: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if isinstance(item, list) and len(item) == shape[0] and set(map(type, item)) <= {int, float}:
        try:
            values = np.array(item, np.float64)
        except OverflowError:
            values = np.array([np.inf])
        if np.isfinite(values).all():
            return values
        raise _Unreadable(message("Not a finite number", expected="numbers below 1.8e308"))
    raise _Unreadable(
        message("Not features", expected=f"a list of {shape[0]} numbers", found=_name(item))
    )


def _table_request(items: list[Any], accepted: TableInput) -> PredictRequest:
    # What follows earlier rows is known from the others; else each row has all columns itself.
    wanted = () if accepted.order else tuple(column.name for column in accepted.columns)
    errors = [_row_error(item, wanted) for item in items]
    known = {*accepted.names, accepted.target}
    if accepted.order is not None:
        known.add(accepted.order.time)
    known |= _unknown(items, known)
    good = [
        {name: value for name, value in item.items() if name in known}
        for item, error in zip(items, errors, strict=True)
        if error is None
    ]
    if not good:
        return PredictRequest("rows", np.empty(0), errors)
    try:
        cells, notes = with_earlier_values(read_cells(good, accepted.names), accepted)
        rows, remarks = read_rows(cells, accepted)
    except TenfoldError as error:
        raise HTTPError(422, str(error)) from error
    return PredictRequest("rows", rows, errors, [*notes, *remarks])


def _unknown(items: Sequence[Any], known: set[str]) -> set[str]:
    """Names of the first columns that the model does not know, to be told about."""
    found: set[str] = set()
    for item in items:
        for name in item if isinstance(item, dict) else ():
            if name not in known and len(found) < MAX_UNKNOWN:
                found.add(name)
    return found


def _row_error(item: Any, wanted: Sequence[str]) -> str | None:
    if not isinstance(item, dict):
        return message("Not a row", expected="an object of column and value", found=_name(item))
    if missing := [name for name in wanted if name not in item]:
        return message(
            "Missing columns",
            where="rows",
            expected=", ".join(wanted),
            fix=did_you_mean(missing[0], list(item)),
            columns=missing,
        )
    for name, value in item.items():
        if isinstance(value, list | dict):
            return message(
                "Not a cell", where=name, expected="text or a number", found=_name(value)
            )
        if isinstance(value, float) and not math.isfinite(value):
            return message("Not a finite number", where=name, expected="numbers below 1.8e308")
    return None


def _name(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {dict: "an object", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def read_json(body: bytes, max_depth: int) -> Any:
    """JSON as RFC 8259 has it, and stricter: no NaN, no infinity, no key twice, not too deep.

    Raises:
      HTTPError: 422 for anything else.
    """
    if _is_deeper(body, max_depth):
        raise HTTPError(
            422,
            message("JSON too deep", expected=f"at most {max_depth} levels", fix=None),
        )
    try:
        return DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise HTTPError(422, message("Not UTF-8", where=f"byte {error.start}")) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise HTTPError(422, message("Not JSON", where=place, problem=error.msg)) from error
    except _Unreadable as error:
        raise HTTPError(422, str(error)) from error
    except ValueError as error:  # a whole number of more than 4,300 digits
        raise HTTPError(422, message("Not a number", expected="at most 4,300 digits")) from error


def _is_deeper(body: bytes, max_depth: int) -> bool:
    """Whether lists and objects are nested deeper; brackets in strings do not count."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return False
    brackets = np.frombuffer(STRING.sub(b"", body).translate(None, NO_BRACKETS), np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    return bool(steps.cumsum().max(initial=0) > max_depth)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Unreadable(message("A key twice", expected="each key once", key=twice[:80]))
    return found


def _no_constant(name: str) -> Any:
    raise _Unreadable(message("Not a number in JSON", expected="finite numbers", value=name))


DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
