"""The Open Inference Protocol, version 2, which clients of KServe, Triton and MLServer use.

Sources: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; for
tensors as bytes behind the JSON: github.com/triton-inference-server/server,
docs/protocol/extension_binary_data.md.

Pictures and rows of features are one tensor; a table is one tensor for each column. The answers are
tensors of labels, confidences, doubts, probabilities and prediction sets, or of values and their
intervals.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Contract
from tenfold.core.version import __version__
from tenfold.inputs.pictures.preprocess import as_trained
from tenfold.model.model import Model
from tenfold.model.readers import reader_of
from tenfold.serve.json_text import read_json
from tenfold.serve.limits import Limits, check_items
from tenfold.serve.messages import HTTPError, Reply, Request, WebPage, json_reply
from tenfold.serve.predict_request import PredictRequest, picture_request
from tenfold.serve.predictor import AnsweredRequest, Predictor

HEADER_LENGTH = b"inference-header-content-length"

DTYPES = {
    "BOOL": "?",
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}
"""The types of tensors except BYTES, as NumPy calls them."""

KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text"}

ANSWERS = {"label": "BYTES", "confidence": "FP32", "unsure": "BOOL", "reason": "BYTES"}
INTERVAL = {"value": "FP64", "low": "FP64", "high": "FP64"}

Tensor = NDArray[Any] | list[Any]
"""Numbers are an array of the tensor's shape; BYTES are a flat list of texts or bytes."""


@dataclass(frozen=True, eq=False)
class InferRequest(PredictRequest):
    """An inference request; `outputs` says which outputs are wanted, and which of them as bytes."""

    identifier: str | None = None
    outputs: Mapping[str, bool] | None = None


def tensors_of(model: Model) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The input and the output tensors of a model, as in its metadata."""
    accepted = model.contract.input
    if accepted.kind == "table":
        numbers = {column.name for column in accepted.columns if column.kind == "number"}
        inputs = [
            _tensor(name, "FP64" if name in numbers else "BYTES", [-1]) for name in accepted.names
        ]
    else:
        datatype = "UINT8" if accepted.kind == "image" else "FP64"
        inputs = [_tensor(accepted.name, datatype, [-1, *accepted.shape])]
    given = ANSWERS if model.labels else INTERVAL
    outputs = [_tensor(name, datatype, [-1]) for name, datatype in given.items()]
    if model.labels:
        outputs.append(_tensor("probabilities", "FP32", [-1, len(model.labels)]))
    if model.contract.gives_sets:
        outputs.append(_tensor("in_set", "BOOL", [-1, len(model.labels)]))
    return inputs, outputs


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


# Requests


def read_infer_request(
    body: bytes, header_length: str | None, contract: Contract, limits: Limits
) -> InferRequest:
    """Read an inference request: JSON, followed by the tensors that are sent as bytes.

    Raises:
      HTTPError: 413 for too many items, 422 if the request or any of its items cannot be read.
    """
    n = len(body) if header_length is None else _length(header_length, len(body))
    sent, rest = read_json(body[:n], limits), memoryview(body)[n:]
    if not isinstance(sent, dict) or not isinstance(sent.get("inputs"), list):
        raise _wrong("request", '{"inputs": [...]}')
    tensors: dict[str, Tensor] = {}
    for given in sent["inputs"]:
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            raise _wrong("inputs", '{"name", "shape", "datatype", "data"}')
        size = _of(given, "parameters", dict, {}).get("binary_data_size")
        if size is None:
            tensors[given["name"]] = _from_json(given)
        else:
            if type(size) is not int or not 0 <= size <= len(rest):
                raise _wrong("binary_data_size", "the bytes of the tensor behind the JSON")
            tensors[given["name"]] = _from_bytes(given, rest[:size], limits)
            rest = rest[size:]
    if len(rest):
        raise _wrong(HEADER_LENGTH.decode(), "all bytes behind the JSON in one of the inputs")
    asked = _read_items(tensors, contract, limits)
    if error := next(filter(None, asked.errors), None):
        raise HTTPError.saying(error)
    return InferRequest(
        **vars(asked), identifier=_of(sent, "id", str, None), outputs=_outputs(sent)
    )


def _length(header: str, most: int) -> int:
    if not header.isdigit() or int(header[:20]) > most:
        raise _wrong(HEADER_LENGTH.decode(), "the bytes of the JSON")
    return int(header)


def _of(given: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = given.get(name, default)
    if name in given and not isinstance(value, kind):
        raise _wrong(name, KINDS[kind])
    return value


def _shape(given: Mapping[str, Any]) -> list[int]:
    shape = _of(given, "shape", list, None)
    if not shape or not all(type(side) is int and 0 <= side <= 1 << 32 for side in shape):
        raise _wrong("shape", "a list of whole numbers")
    return list(shape)


def _from_json(given: Mapping[str, Any]) -> Tensor:
    shape, datatype, data = _shape(given), given.get("datatype"), given.get("data")
    values = data if isinstance(data, list) else [data]
    while any(isinstance(value, list) for value in values):  # at most `json_depth` levels
        lists = (value if isinstance(value, list) else [value] for value in values)
        values = [one for inner in lists for one in inner]
    if len(values) != math.prod(shape):
        raise _wrong("data", f"{math.prod(shape)} values, as its shape says")
    if datatype == "BYTES":
        return values
    try:
        kinds = set(map(type, values))
        if not kinds <= {int, float, bool}:
            raise ValueError(f"a tensor of {kinds}")
        with np.errstate(over="ignore"):
            return np.array(values, _dtype(datatype)).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise _wrong("data", f"numbers that are {datatype}") from error


def _from_bytes(given: Mapping[str, Any], content: memoryview, limits: Limits) -> Tensor:
    shape, datatype = _shape(given), given.get("datatype")
    n = math.prod(shape)
    if datatype != "BYTES":
        dtype = np.dtype(_dtype(datatype))
        if n * dtype.itemsize != len(content):
            raise _wrong("binary_data_size", f"{n * dtype.itemsize} bytes, as its shape says")
        return np.frombuffer(content, dtype).reshape(shape)
    check_items(n, limits)  # before millions of empty texts are read
    texts: list[bytes] = []
    while len(content) >= 4 and len(texts) < n:
        (length,) = struct.unpack_from("<I", content)
        if length + 4 > len(content):
            break
        texts.append(bytes(content[4 : 4 + length]))
        content = content[4 + length :]
    if len(texts) != n or len(content):
        raise _wrong("binary_data_size", f"{n} texts, each behind its length of four bytes")
    return texts


def _dtype(datatype: Any) -> str:
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise _wrong("datatype", f"BYTES or one of {', '.join(DTYPES)}")
    return DTYPES[datatype]


def _read_items(
    tensors: Mapping[str, Tensor], contract: Contract, limits: Limits
) -> PredictRequest:
    """The items in the tensors, read by the rules of the model."""
    accepted, reader = contract.input, reader_of(contract.input)
    if accepted.kind == "table":
        columns = [_cells(tensor) for tensor in tensors.values()]
        lengths = set(map(len, columns))
        if len(lengths) != 1:
            raise _wrong("shape", "one value of each column for each row")
        check_items(lengths.pop(), limits)
        rows = [dict(zip(tensors, cells, strict=True)) for cells in zip(*columns, strict=True)]
        batch = reader.read_json(rows, limits.cell_characters)
        return PredictRequest("rows", batch.rows, batch.errors, batch.notes, ids=batch.ids)
    if list(tensors) != [accepted.name]:
        raise _wrong("inputs", f"one tensor of the name {accepted.name}")
    tensor = tensors[accepted.name]
    if isinstance(tensor, list):
        if accepted.kind != "image":
            raise _wrong("datatype", "numbers")
        return picture_request(tensor, "picture", accepted, limits)
    n, size = len(tensor), math.prod(accepted.shape)
    check_items(n, limits)
    if tensor.size != n * size:
        raise _wrong("shape", f"{[n, *accepted.shape]}")
    items = tensor.reshape(n, *accepted.shape)
    if accepted.kind != "image":
        batch = reader.read_json(items.tolist(), limits.cell_characters)
        return PredictRequest("features", batch.rows, batch.errors, batch.notes)
    with np.errstate(invalid="ignore"):
        pixels = items.astype(np.uint8)
    if not np.array_equal(pixels, items):
        raise _wrong("data", "whole numbers from 0 to 255")
    rows_, notes = as_trained(pixels, accepted, "images")
    return PredictRequest("images", rows_, (None,) * n, notes)


def _cells(tensor: Tensor) -> list[Any]:
    """The cells of a column: texts, numbers, and None for missing ones."""
    if isinstance(tensor, list):
        try:
            return [cell.decode() if isinstance(cell, bytes) else cell for cell in tensor]
        except UnicodeDecodeError as error:
            raise _wrong("data", "texts in UTF-8") from error
    cells = tensor.ravel().tolist()
    return [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]


def _outputs(sent: Mapping[str, Any]) -> dict[str, bool] | None:
    """The wanted outputs by name, and whether each is to be bytes; None means all, as JSON.

    The name "" stands for all outputs as bytes.
    """
    everything = bool(_of(sent, "parameters", dict, {}).get("binary_data_output", False))
    asked = _of(sent, "outputs", list, None)
    if not asked:
        return {"": True} if everything else None
    wanted: dict[str, bool] = {}
    for one in asked:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise _wrong("outputs", '{"name": ...}')
        wanted[one["name"]] = bool(_of(one, "parameters", dict, {}).get("binary_data", everything))
    return wanted


def _wrong(where: str, expected: str) -> HTTPError:
    return HTTPError(
        "E984", "The inference request cannot be read", 422, where=where, expected=expected
    )


# Answers


async def infer(predictor: Predictor, asked: Request) -> AnsweredRequest:
    """Answer an inference request; if one item fails, the request fails."""
    header = asked.headers.get(HEADER_LENGTH)
    read = partial(_read, None if header is None else header.decode("latin-1"))
    request, outcomes = await predictor.ask(asked, read)
    steps, answers = iter(request.steps), []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        answers.append(outcome.with_steps(next(steps)) if request.steps else outcome)
    return AnsweredRequest(_reply(predictor, request, answers), len(answers), "")


def _read(header: str | None, body: bytes, kind: str, contract: Contract, limits: Limits) -> Any:
    return read_infer_request(body, header, contract, limits)


def _reply(predictor: Predictor, request: InferRequest, answers: Sequence[Any]) -> Reply:
    _, known = tensors_of(predictor.model)
    wanted = request.outputs or {}
    everything = wanted.get("", False)
    if not wanted or "" in wanted:
        wanted = {tensor["name"]: everything for tensor in known}
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in known}
    outputs, behind = [], []
    for name, as_bytes in wanted.items():
        if name not in datatypes:
            raise _wrong("outputs", f"one of {', '.join(datatypes)}")
        values = [getattr(answer, name) for answer in answers]
        array = None if datatypes[name] == "BYTES" else np.array(values, DTYPES[datatypes[name]])
        shape = [len(answers)] if array is None else list(array.shape)
        output = _tensor(name, datatypes[name], shape)
        if as_bytes:
            behind.append(_as_bytes(values) if array is None else array.tobytes())
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        elif array is None:
            output["data"] = [value or "" for value in values]
        else:
            output["data"] = [_number(value) for value in array.ravel().tolist()]
        outputs.append(output)
    content: dict[str, Any] = {"model_name": predictor.name, "outputs": outputs}
    content |= {} if request.identifier is None else {"id": request.identifier}
    content["parameters"] = {"model": predictor.model.sha256}
    if not behind:
        return json_reply(content)
    head = json.dumps(content, allow_nan=False).encode()
    headers = ((HEADER_LENGTH, b"%d" % len(head)),)
    return Reply(200, b"".join([head, *behind]), b"application/octet-stream", headers)


def _as_bytes(values: Sequence[str | None]) -> bytes:
    texts = [(value or "").encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # the end of an open interval


# Addresses that are read by GET


def open_inference_pages(
    predictors: Mapping[str, Predictor], is_ready: Any, text: dict[str, Any]
) -> dict[str, WebPage]:
    """The addresses of the protocol that are read by GET, by path; `text` is their schema."""
    server = {"name": "tenfold", "version": __version__, "extensions": ["binary_tensor_data"]}

    def ready(found: dict[str, Any]) -> Reply:
        return json_reply(found | {"ready": is_ready()}, 200 if is_ready() else 503)

    pages = {
        "/v2": WebPage("Open Inference Protocol: the server", partial(json_reply, server), text),
        "/v2/health/live": WebPage(
            "Open Inference Protocol: whether it runs", partial(json_reply, {"live": True}), text
        ),
        "/v2/health/ready": WebPage(
            "Open Inference Protocol: whether it is ready", partial(ready, {}), text
        ),
    }
    for name, predictor in predictors.items():
        inputs, outputs = tensors_of(predictor.model)
        facts = {"name": name, "platform": "onnx_onnxv1", "inputs": inputs, "outputs": outputs}
        about = f"Open Inference Protocol: the tensors of {name}"
        pages[f"/v2/models/{name}"] = WebPage(about, partial(json_reply, facts), text)
        about = f"Open Inference Protocol: whether {name} is ready"
        pages[f"/v2/models/{name}/ready"] = WebPage(about, partial(ready, {"name": name}), text)
    return pages
