"""The OpenAPI 3.1 document of the service: what it accepts and what it answers."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any
from urllib.parse import quote

from tenfold.core.version import __version__
from tenfold.inputs.pictures.decode import FORMATS
from tenfold.model.model import Model
from tenfold.serve.explain_request import is_explained, most_rows
from tenfold.serve.limits import Limits
from tenfold.serve.messages import WebPage
from tenfold.serve.open_inference import HEADER_LENGTH, tensors_of
from tenfold.serve.predictor import Predictor

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}


REFERENCE = "#/components/schemas/"

HEALTH: Schema = {"$ref": f"{REFERENCE}Health"}
MODEL: Schema = {"$ref": f"{REFERENCE}Model"}
MODELS: Schema = {"$ref": f"{REFERENCE}Models"}
ERROR: Schema = {"$ref": f"{REFERENCE}Error"}


def openapi_document(
    pages: Mapping[str, WebPage], predictors: Mapping[str, Predictor], limits: Limits
) -> Schema:
    """The document for these pages (by path) and predictors (by the name of their run)."""
    paths: dict[str, Schema] = {
        quote(path): {"get": _reading(page)} for path, page in pages.items()
    }
    first = next(iter(predictors.values()))
    paths["/v1/predict"] = {"post": _operation(first, limits, "predict")}
    for number, (name, predictor) in enumerate(predictors.items()):
        operation = _operation(predictor, limits, f"predict_{number}")
        paths[f"/v1/models/{quote(name)}/predict"] = {"post": operation}
        if is_explained(predictor.model.contract):
            operation = _explaining(predictor, limits, f"explain_{number}")
            paths[f"/v1/models/{quote(name)}/explain"] = {"post": operation}
        paths[f"/v2/models/{quote(name)}/infer"] = {
            "post": _inference(predictor, f"infer_{number}")
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenfold", "version": __version__},
        "paths": paths,
        "components": {"schemas": _components()},
    }


def _components() -> Schema:
    texts = dict.fromkeys(("name", "model", "learner", "task"), TEXT)
    facts = {
        "n_bytes": {"type": "integer"},
        "labels": {"type": "array", "items": TEXT},
        "input": {"type": "object"},
    }
    return {
        "Error": _object({"error": TEXT}),
        "Health": _object({"status": TEXT}),
        "Model": _object(texts | facts),
        "Models": _object({"models": {"type": "array", "items": MODEL}}),
    }


REFUSALS = {
    "400": "Not an HTTP request that can be understood",
    "401": "No token, or another one",
    "403": "Not a name of this service, or a foreign page",
    "404": "Not here",
    "405": "Not this method",
    "408": "Headers or body did not arrive in time",
    "431": "Headers too long",
    "500": "The service or its model failed",
    "503": "Not now: too many requests, or not ready",
}

PREDICT_REFUSALS = {
    "413": "Body too large, or too many items",
    "415": "Not a content type that this model reads",
    "422": "Nothing in it can be answered",
}


def _responses(success: Schema, refusals: Mapping[str, str]) -> Schema:
    content = {"application/json": {"schema": ERROR}}
    refused = {
        status: {"description": about, "content": content} for status, about in refusals.items()
    }
    return {"200": success} | refused


def _reading(page: WebPage) -> Schema:
    content = {"content": {page.media_type: {"schema": page.schema}}}
    responses = _responses({"description": page.summary, **content}, REFUSALS)
    if page.schema in (HEALTH, OBJECT):
        responses["503"] = {
            "description": "Not ready, or too many connections",
            "content": {"application/json": {"schema": {"anyOf": [page.schema, ERROR]}}},
        }
    return {"summary": page.summary, "responses": responses}


def _operation(predictor: Predictor, limits: Limits, identifier: str) -> Schema:
    model = predictor.model
    answers = {
        "description": "An answer for each item, in order",
        "content": {"application/json": {"schema": _answers(model)}},
    }
    return {
        "operationId": identifier,
        "summary": f"Ask {predictor.name}",
        "requestBody": {"required": True, "content": _bodies(model, limits)},
        "responses": _responses(answers, REFUSALS | PREDICT_REFUSALS),
    }


def _explaining(predictor: Predictor, limits: Limits, identifier: str) -> Schema:
    """The operation that also says what each column contributed."""
    most = min(limits.items, most_rows(predictor.model.contract))
    fewer = limits.model_copy(update={"items": most})
    operation = _operation(predictor, fewer, identifier)
    operation["summary"] = f"Ask {predictor.name}, and why it answers so"
    answers = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer = answers["properties"]["predictions"]["items"]["oneOf"][0]
    answer["properties"]["explanation"] = OBJECT
    answer["required"].append("explanation")
    if predictor.model.contract.novelty_threshold is not None:
        answer["properties"]["novelty"] = NUMBER
        answer["required"].append("novelty")
    return operation


def _inference(predictor: Predictor, identifier: str) -> Schema:
    """The operation of the Open Inference Protocol, whose answers may also come as bytes."""
    inputs, outputs = tensors_of(predictor.model)
    header = {
        "name": HEADER_LENGTH.decode(),
        "in": "header",
        "description": "The bytes of the JSON, where tensors follow it as bytes",
        "schema": {"type": "integer", "minimum": 0},
    }
    answer = _object({"model_name": TEXT, "parameters": OBJECT, "outputs": _tensors(outputs)})
    answer["properties"]["id"] = TEXT  # only if the request has one
    answers = {
        "description": "The outputs that were asked for, or all",
        "content": {
            "application/json": {"schema": answer},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
    asked = {
        "type": "object",
        "properties": {
            "id": TEXT,
            "parameters": OBJECT,
            "inputs": _tensors(inputs),
            "outputs": {"type": "array", "items": _named([one["name"] for one in outputs])},
        },
        "required": ["inputs"],
    }
    return {
        "operationId": identifier,
        "summary": f"Open Inference Protocol: ask {predictor.name}",
        "parameters": [header],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": _responses(answers, REFUSALS | PREDICT_REFUSALS),
    }


def _tensors(tensors: Sequence[Mapping[str, Any]]) -> Schema:
    tensor = _named([one["name"] for one in tensors])
    shape = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
    tensor["properties"] |= {"shape": shape, "datatype": TEXT, "data": {"type": "array"}}
    tensor["required"] += ["shape", "datatype"]
    return {"type": "array", "items": tensor}


def _named(names: Sequence[str]) -> Schema:
    properties = {"name": {"enum": list(names)}, "parameters": OBJECT}
    return {"type": "object", "properties": properties, "required": ["name"]}


def _bodies(model: Model, limits: Limits) -> Schema:
    accepted = model.contract.input
    if accepted.kind != "image":
        cell: Schema = {"type": ["string", "number", "boolean", "null"]}
        item = (
            _list(NUMBER, accepted.n_features, accepted.n_features)
            if accepted.kind == "features"
            else {"type": "object", "additionalProperties": cell}
        )
        items = _object({model.reader.items: _list(item, 1, limits.items)})
        return {"application/json": {"schema": items}}
    pixel = {"type": "integer", "minimum": 0, "maximum": 255}
    size, nested = prod(accepted.shape), pixel
    for side in reversed(accepted.shape):
        nested = _list(nested, side, side)
    encoded = {"type": "string", "format": "picture", "contentEncoding": "base64"}
    picture = {"oneOf": [_list(pixel, size, size), nested, encoded]}
    file = {"schema": {"type": "string", "format": "binary"}}
    return {
        "application/json": {"schema": _object({"images": _list(picture, 1, limits.items)})},
        "application/octet-stream": {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": f"{size} bytes for each picture",
            }
        },
        "multipart/form-data": {"schema": _object({"file": file["schema"]})},
        **{f"image/{kind.lower()}": file for kind in FORMATS},
    }


def _answers(model: Model) -> Schema:
    item: Schema = {"input": TEXT, "row": {"type": "integer"}}
    if model.labels:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        answer = {
            "label": {"enum": list(model.labels)},
            "confidence": share,
            "unsure": {"type": "boolean"},
            "reason": {"type": ["string", "null"]},
            "probabilities": _object({label: share for label in model.labels}),
        }
        if model.contract.gives_sets:
            labels = {"type": "array", "items": {"enum": list(model.labels)}, "uniqueItems": True}
            answer["prediction_set"] = labels
    else:
        end = {"type": ["number", "null"]}
        answer = {"value": NUMBER, "low": end, "high": end}
    items = [_object(item | answer), _object(item | {"error": TEXT})]
    if model.contract.input.id is not None:
        for one in items:
            one["properties"]["id"] = TEXT  # only of rows that have one
    either = {"oneOf": items}
    predictions = {"type": "array", "items": either, "minItems": 1}
    schema = _object({"model": TEXT, "predictions": predictions})
    schema["properties"]["notes"] = {"type": "array", "items": TEXT}  # only if there are any
    return schema


def _list(item: Schema, least: int, most: int) -> Schema:
    return {"type": "array", "items": item, "minItems": least, "maxItems": most}


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
