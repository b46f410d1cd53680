"""The body of a request -> rows for the model, each item apart: one that is wrong fails alone."""

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.core.contract import Contract, ImageInput
from tenfold.core.errors import TenfoldError
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.inputs.pictures.preprocess import PictureSteps, preprocess
from tenfold.model.json_items import described, first_names
from tenfold.model.readers import Rows, reader_of
from tenfold.serve.limits import Limits
from tenfold.serve.replies import HTTPError
from tenfold.serve.strict_json import read_json

JSON_TYPE, RAW_TYPE = "application/json", "application/octet-stream"


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
    errors: Sequence[TenfoldError | None]
    notes: Sequence[str] = ()
    steps: PictureSteps | None = None


def media_type_of(headers: Mapping[bytes, bytes]) -> str:
    """The kind of a request's body.

    Raises:
      HTTPError: 415 for one that cannot be read.
    """
    if b"content-encoding" in headers:
        raise HTTPError("E950", "An encoded body", 415, expected="no Content-Encoding")
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind = given.partition(";")[0].strip().lower()
    if kind in (JSON_TYPE, RAW_TYPE) or kind.startswith("image/"):
        return kind
    raise HTTPError(
        "E951",
        "Not a content type that can be read",
        415,
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
    elif accepted.kind != "image":
        raise HTTPError(
            "E952", "Not a body for this model", 415, expected="JSON", content_type=media_type
        )
    elif media_type == RAW_TYPE:
        request = _raw_request(body, accepted, limits)
    else:
        try:
            steps = preprocess(body, accepted, PictureOptions(max_pixels=limits.pixels))
        except TenfoldError as error:
            raise HTTPError.saying(error) from error
        request = PredictRequest("picture", steps.image[None], (None,), steps=steps)
    if all(request.errors):
        raise HTTPError.saying(next(filter(None, request.errors)))
    return request


def read_some_picture(contract: Contract, limits: Limits) -> None:
    """Read a picture as a request would send it, so that all is loaded that the next one needs."""
    from PIL import Image

    drawn = np.zeros((40, 40), np.uint8)
    drawn[8:32, 18:22] = 255
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    with contextlib.suppress(HTTPError):  # not every model reads pictures of files
        read_predict_request(file.getvalue(), "image/png", contract, limits)


def _check_items(n: int, limits: Limits) -> None:
    if n > limits.items:
        raise HTTPError("E953", "Too many items", 413, expected=f"at most {limits.items}", items=n)
    if not n:
        raise HTTPError("E954", "Nothing to answer", 422, expected="at least one item", items=0)


def _raw_request(body: bytes, accepted: ImageInput, limits: Limits) -> PredictRequest:
    size = math.prod(accepted.shape)
    n, rest = divmod(len(body), size)
    if rest:
        shape = " x ".join(map(str, accepted.shape))
        raise HTTPError(
            "E955",
            "Not whole pictures",
            422,
            expected=f"{size} bytes for each, {shape}",
            n_bytes=len(body),
        )
    _check_items(n, limits)
    rows = np.frombuffer(body, np.uint8).reshape(n, *accepted.shape)
    return PredictRequest("raw", rows, (None,) * n)


def _json_request(body: bytes, contract: Contract, limits: Limits) -> PredictRequest:
    reader = reader_of(contract.input)
    sent = read_json(body, limits.json_depth)
    if not isinstance(sent, dict) or list(sent) != [reader.items]:
        keys = first_names(sorted(sent)) if isinstance(sent, dict) else type(sent).__name__
        expected = f'{{"{reader.items}": [...]}}'
        raise HTTPError("E956", "Unexpected JSON", 422, expected=expected, found=keys)
    items = sent[reader.items]
    if not isinstance(items, list):
        raise HTTPError(
            "E957", "Not a list", 422, where=reader.items, expected="a list", found=described(items)
        )
    _check_items(len(items), limits)
    try:
        batch = reader.read_json(items, limits.cell_characters)
    except TenfoldError as error:
        raise HTTPError.saying(error) from error
    return PredictRequest(reader.items, batch.rows, batch.errors, batch.notes)
