"""The body of a request -> rows for the model, each item apart: one that is wrong fails alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
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
from tenfold.serve.strict_json import read_json

ModelInput = NDArray[Any] | Table

JSON_TYPE, RAW_TYPE = "application/json", "application/octet-stream"

MAX_UNKNOWN = 20
"""Columns that a model does not use and that are read to be told about; the others are dropped."""

MAX_NAMED = 5
"""Columns that an error names: with all of them, 1,000 short rows would be answered with 88 MB."""

MAX_COMPARED = 50
"""Names of a row that are compared with a missing one, to propose the nearest."""

MAX_SHOWN = 80
"""Characters of a sender's name that an error shows."""


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
    rows: ModelInput
    errors: Sequence[str | None]
    notes: Sequence[str] = ()
    steps: PictureSteps | None = None


def media_type_of(headers: Mapping[bytes, bytes]) -> str:
    """The kind of a request's body.

    Raises:
      HTTPError: 415 for one that cannot be read.
    """
    if b"content-encoding" in headers:
        raise HTTPError(415, "An encoded body", expected="no Content-Encoding")
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind = given.partition(";")[0].strip().lower()
    if kind in (JSON_TYPE, RAW_TYPE) or kind.startswith("image/"):
        return kind
    raise HTTPError(
        415,
        "Not a content type that can be read",
        expected=f"{JSON_TYPE}, {RAW_TYPE} or image/...",
        content_type=given[:80],
    )


def read_predict_request(
    body: bytes, media_type: str, contract: Contract, limits: Limits
) -> PredictRequest:
    """Read a request's body.

    Args:
      body: Its bytes, within the limit.
      media_type: `application/json`, `application/octet-stream` or `image/...`.
      contract: Of the model that is asked.
      limits: Of items, pixels, depth and cells.

    Raises:
      HTTPError: 413 for too many items, 415 for a kind of body that the model does not take, 422
        for what cannot be read or when no item can.
    """
    accepted = contract.input
    if media_type == JSON_TYPE:
        request = _json_request(body, contract, limits)
    elif not isinstance(accepted, ImageInput):
        raise HTTPError(415, "Not a body for this model", expected="JSON", content_type=media_type)
    elif media_type == RAW_TYPE:
        request = _raw_request(body, accepted, limits)
    else:
        try:
            steps = preprocess(body, accepted, PictureOptions(max_pixels=limits.pixels))
        except TenfoldError as error:
            raise HTTPError.with_text(422, str(error)) from error
        request = PredictRequest("picture", steps.image[None], (None,), steps=steps)
    if all(request.errors):
        raise HTTPError.with_text(422, next(filter(None, request.errors)))
    return request


def _check_items(n: int, limits: Limits) -> None:
    if n > limits.items:
        raise HTTPError(413, "Too many items", expected=f"at most {limits.items}", items=n)
    if not n:
        raise HTTPError(422, "Nothing to answer", expected="at least one item", items=0)


def _raw_request(body: bytes, accepted: ImageInput, limits: Limits) -> PredictRequest:
    size = math.prod(accepted.shape)
    n, rest = divmod(len(body), size)
    if rest:
        shape = " x ".join(map(str, accepted.shape))
        raise HTTPError(
            422, "Not whole pictures", expected=f"{size} bytes for each, {shape}", n_bytes=len(body)
        )
    _check_items(n, limits)
    rows = np.frombuffer(body, np.uint8).reshape(n, *accepted.shape)
    return PredictRequest("raw", rows, (None,) * n)


def _json_request(body: bytes, contract: Contract, limits: Limits) -> PredictRequest:
    accepted = contract.input
    kind = {ImageInput: "images", TableInput: "rows", FeaturesInput: "features"}[type(accepted)]
    sent = read_json(body, limits.json_depth)
    if not isinstance(sent, dict) or list(sent) != [kind]:
        found = _first(sorted(sent)) if isinstance(sent, dict) else type(sent).__name__
        raise HTTPError(422, "Unexpected JSON", expected=f'{{"{kind}": [...]}}', found=found)
    items = sent[kind]
    if not isinstance(items, list):
        raise HTTPError(422, "Not a list", where=kind, expected="a list", found=_describe(items))
    _check_items(len(items), limits)
    if isinstance(accepted, TableInput):
        return _table_request(items, accepted, limits)
    read: Callable[[Any, tuple[int, ...]], NDArray[Any]] = (
        _pixels if isinstance(accepted, ImageInput) else _features
    )
    rows: list[NDArray[Any]] = []
    errors: list[str | None] = []
    for item in items:
        try:
            rows.append(read(item, accepted.shape))
            errors.append(None)
        except _ItemError as error:
            errors.append(str(error))
    return PredictRequest(kind, np.stack(rows) if rows else np.empty(0), errors)


class _ItemError(Exception):
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
        raise _ItemError(
            message(
                "Not a pixel",
                expected="whole numbers from 0 to 255",
                fix="Values from 0 to 1 have to be multiplied by 255 and rounded",
                value=_first_wrong(item),
            )
        )
    sides = " x ".join(map(str, shape))
    raise _ItemError(
        message("Not a picture", expected=f"{sides} or {size} numbers", found=_describe(given))
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
            return value if isinstance(value, int | float) else _describe(value)
    raise AssertionError("called for a list that is wrong")


def _features(item: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if isinstance(item, list) and len(item) == shape[0] and set(map(type, item)) <= {int, float}:
        try:
            values = np.array(item, np.float64)
        except OverflowError:
            values = np.array([np.inf])
        if np.isfinite(values).all():
            return values
        raise _ItemError(message("Not a finite number", expected="numbers below 1.8e308"))
    raise _ItemError(
        message("Not features", expected=f"a list of {shape[0]} numbers", found=_describe(item))
    )


def _table_request(items: list[Any], accepted: TableInput, limits: Limits) -> PredictRequest:
    # What follows earlier rows is known from the others; else each row has all columns itself.
    wanted = () if accepted.order else tuple(column.name for column in accepted.columns)
    errors = [_row_error(item, wanted, limits) for item in items]
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
        raise HTTPError.with_text(422, str(error)) from error
    return PredictRequest("rows", rows, errors, [*notes, *remarks])


def _unknown(items: Sequence[Any], known: set[str]) -> set[str]:
    """Names of the first columns that the model does not know, to be told about."""
    found: set[str] = set()
    for item in items:
        for name in item if isinstance(item, dict) else ():
            if name not in known and len(found) < MAX_UNKNOWN:
                found.add(name)
    return found


def _row_error(item: Any, wanted: Sequence[str], limits: Limits) -> str | None:
    """Why an item is no row that the model can answer."""
    if not isinstance(item, dict):
        return message("Not a row", expected="an object of column and value", found=_describe(item))
    if missing := [name for name in wanted if name not in item]:
        others = f" and {len(wanted) - MAX_NAMED} more" if len(wanted) > MAX_NAMED else ""
        return message(
            "Missing columns",
            where="rows",
            expected=", ".join(wanted[:MAX_NAMED]) + others,
            fix=did_you_mean(missing[0], list(islice(item, MAX_COMPARED))),
            columns=_first(missing),
        )
    for name, value in item.items():
        where = name[:MAX_SHOWN]
        if isinstance(value, list | dict):
            return message(
                "Not a cell", where=where, expected="text or a number", found=_describe(value)
            )
        if isinstance(value, float) and not math.isfinite(value):
            return message("Not a finite number", where=where, expected="numbers below 1.8e308")
        if isinstance(value, str) and len(value) > limits.cell_characters:
            most = f"at most {limits.cell_characters} characters"
            return message("Cell too long", where=where, expected=most, n_characters=len(value))
    return None


def _first(names: Sequence[str]) -> list[str]:
    """The first names of many, as far as an error shows them."""
    return [name[:MAX_SHOWN] for name in names[:MAX_NAMED]]


def _describe(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {dict: "an object", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
