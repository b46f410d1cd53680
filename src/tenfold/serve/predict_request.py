"""Reading the body of a request into rows for the model; an item that is wrong fails alone."""

import contextlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.core.contract import Contract, FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import TenfoldError
from tenfold.inputs.pictures.decode import PictureOptions, png_pixels
from tenfold.inputs.pictures.preprocess import PictureSteps, as_trained, preprocess
from tenfold.model.json_items import described, first_names
from tenfold.model.readers import Rows, reader_of
from tenfold.serve.encodings import FORM_TYPE, boundary_of, form_files, from_base64
from tenfold.serve.json_text import MAX_IN_ITEM, let_go, read_json
from tenfold.serve.limits import Limits, check_items
from tenfold.serve.messages import HTTPError

JSON_TYPE, RAW_TYPE = "application/json", "application/octet-stream"

INLINE_BYTES = 1 << 16
"""Smaller bodies of numbers are read in the event loop, because a thread costs more."""

INLINE_PNG_BYTES, INLINE_PNG_PIXELS = 2048, 4096
"""So are smaller PNG files. Reading one of 28 x 28 takes 0.6 ms, and the thread another 0.2 ms."""

PICTURES = re.compile(rb'"[\w+/=:;,.\\-]{24}|BYTES|\\u')
"""What a body may contain whose numbers are not all: a file in base64, or a tensor of files. A file
of 40 bytes may have 16 million pixels."""


@dataclass(frozen=True, eq=False)
class PredictRequest:
    """The items of a request; `kind` is `images`, `rows`, `features`, `picture` or `raw`.

    `rows` are the items that can be answered, as `Model.answer` takes them. `errors` has an entry
    for each item in order: why it cannot be answered, or None. `steps` are the stages of each row
    that was a picture file, and `ids` the cells of the column that identifies rows, if one does.
    `explanations` are the `Explanation` of each row, if they were asked for.
    """

    kind: str
    rows: Rows
    errors: Sequence[TenfoldError | None]
    notes: Sequence[str] = ()
    steps: Sequence[PictureSteps | None] = ()
    ids: Sequence[str] = ()
    explanations: Sequence[Any] = ()


def media_type_of(headers: Mapping[bytes, bytes]) -> str:
    """The media type of a request's body, for a form with its boundary; 415 for other types."""
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind = given.partition(";")[0].strip().lower()
    if kind in (JSON_TYPE, RAW_TYPE) or kind.startswith("image/"):
        return kind
    if kind == FORM_TYPE and boundary_of(given):
        return given
    raise HTTPError(
        "E951",
        "The content type is not supported",
        415,
        expected=f"{JSON_TYPE}, {RAW_TYPE}, image/... or {FORM_TYPE}",
        content_type=given[:80],
    )


def is_compressed(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body was sent as gzip or deflate; 415 for any other coding."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding in (b"gzip", b"x-gzip", b"deflate"):
        return True
    if coding == b"identity":
        return False
    raise HTTPError(
        "E950", "The body of the request is compressed", 415, expected="gzip, deflate or nothing"
    )


def is_quick(body: bytes, kind: str, contract: Contract) -> bool:
    """Whether a body can be read so quickly that other requests need not wait for it."""
    if kind == JSON_TYPE:
        is_short = len(body) <= INLINE_BYTES and contract.input.kind != "table"
        return is_short and (body.count(b'"') == 2 or not PICTURES.search(body))
    if kind == RAW_TYPE:
        return len(body) <= INLINE_BYTES
    return len(body) <= INLINE_PNG_BYTES and 0 < png_pixels(body) <= INLINE_PNG_PIXELS


def read_predict_request(
    body: bytes, media_type: str, contract: Contract, limits: Limits
) -> PredictRequest:
    """Read the body of a request for a model with this contract.

    Raises:
      HTTPError: 413 for too many items, 415 for a media type that the model does not accept, 422
        if the body, or every item in it, cannot be read.
    """
    accepted = contract.input
    if media_type == JSON_TYPE:
        request = _json_request(body, contract, limits)
    elif accepted.kind != "image":
        raise HTTPError(
            "E952",
            "This model does not accept this content type",
            415,
            expected="JSON",
            content_type=media_type,
        )
    elif media_type == RAW_TYPE:
        request = _raw_request(body, accepted, limits)
    elif media_type.startswith("image/"):
        request = picture_request([body], "picture", accepted, limits)
    else:
        files = form_files(body, boundary_of(media_type) or "", limits.items)
        request = picture_request(files, "picture", accepted, limits)
    if all(request.errors):
        raise HTTPError.saying(next(filter(None, request.errors)))
    return request


def read_some_picture(contract: Contract, limits: Limits) -> None:
    """Read a picture as a request would send it, so that all libraries are loaded afterwards."""
    from PIL import Image

    drawn = np.zeros((40, 40), np.uint8)
    drawn[8:32, 18:22] = 255
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    with contextlib.suppress(HTTPError):  # not every model reads picture files
        read_predict_request(file.getvalue(), "image/png", contract, limits)


def picture_request(
    sent: Sequence[Any], kind: str, accepted: ImageInput, limits: Limits
) -> PredictRequest:
    """A request of picture files, as bytes or as base64; one that cannot be read fails alone."""
    check_items(len(sent), limits)
    options = PictureOptions(max_pixels=limits.pixels)
    errors: list[TenfoldError | None] = []
    steps: list[PictureSteps] = []
    for item in sent:
        try:
            if not isinstance(item, bytes):
                item = from_base64(item if isinstance(item, str) else described(item))
            steps.append(preprocess(item, accepted, options))
            errors.append(None)
        except TenfoldError as error:
            errors.append(error.with_traceback(None))  # the traceback would hold the file
    notes = tuple(dict.fromkeys(note for one in steps for note in one.notes))
    rows = np.stack([one.image for one in steps]) if steps else np.empty(0)
    return PredictRequest(kind, rows, errors, notes, steps)


def _raw_request(body: bytes, accepted: ImageInput, limits: Limits) -> PredictRequest:
    size = math.prod(accepted.shape)
    n, rest = divmod(len(body), size)
    if rest:
        shape = " x ".join(map(str, accepted.shape))
        raise HTTPError(
            "E955",
            "The body does not contain whole pictures",
            422,
            expected=f"{size} bytes for each, {shape}",
            n_bytes=len(body),
        )
    check_items(n, limits)
    sent = np.frombuffer(body, np.uint8).reshape(n, *accepted.shape)
    rows, notes = as_trained(sent, accepted, "raw")
    return PredictRequest("raw", rows, (None,) * n, notes)


def _json_request(body: bytes, contract: Contract, limits: Limits) -> PredictRequest:
    most = max(MAX_IN_ITEM, 4 * values_of_an_item(contract.input))
    sent = read_json(body, limits, most, of_items=True)
    try:
        return _request_of(sent, contract, limits)
    finally:
        for value in sent.values() if isinstance(sent, dict) else ():
            let_go(value)


def _request_of(sent: Any, contract: Contract, limits: Limits) -> PredictRequest:
    reader = reader_of(contract.input)
    if not isinstance(sent, dict) or list(sent) != [reader.items]:
        keys = first_names(sorted(sent)) if isinstance(sent, dict) else type(sent).__name__
        expected = f'{{"{reader.items}": [...]}}'
        raise HTTPError(
            "E956",
            "The JSON object does not have the expected form",
            422,
            expected=expected,
            found=keys,
        )
    items = sent[reader.items]
    if not isinstance(items, list):
        raise HTTPError(
            "E957",
            "The value is not a list",
            422,
            where=reader.items,
            expected="a list",
            found=described(items),
        )
    check_items(len(items), limits)
    if contract.input.kind == "image" and any(isinstance(item, str) for item in items):
        return _mixed_request(items, contract.input, limits)
    try:
        batch = reader.read_json(items, limits.cell_characters)
    except TenfoldError as error:
        raise HTTPError.saying(error) from error
    return PredictRequest(reader.items, batch.rows, batch.errors, batch.notes, ids=batch.ids)


def _mixed_request(items: list[Any], accepted: ImageInput, limits: Limits) -> PredictRequest:
    """A request of pictures, some of which are files in base64 and others may be numbers."""
    files = [item for item in items if isinstance(item, str)]
    request = picture_request(files, "images", accepted, limits)
    if len(files) == len(items):
        return request
    batch = reader_of(accepted).read_json([one for one in items if not isinstance(one, str)], 0)
    parts = {True: list(np.asarray(request.rows)), False: list(np.asarray(batch.rows))}
    failed = {True: iter(request.errors), False: iter(batch.errors)}
    steps = iter(request.steps)
    errors, rows, rows_steps = [], [], []
    for item in items:
        is_file = isinstance(item, str)
        errors.append(next(failed[is_file]))
        if errors[-1] is None:
            rows.append(parts[is_file].pop(0))
            rows_steps.append(next(steps) if is_file else None)
    stacked = np.stack(rows) if rows else np.empty(0)
    notes = tuple(dict.fromkeys([*request.notes, *batch.notes]))
    return PredictRequest("images", stacked, errors, notes, rows_steps)


def values_of_an_item(accepted: ImageInput | TableInput | FeaturesInput) -> int:
    """The number of values or cells in one item."""
    return len(accepted.names) if accepted.kind == "table" else math.prod(accepted.shape)
