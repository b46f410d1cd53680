"""What the service accepts and answers, as OpenAPI says it: predictions, which go past FastAPI."""

from collections.abc import Mapping
from math import prod
from typing import Any

from tenfold.core.contract import FeaturesInput, ImageInput
from tenfold.inputs.pictures.decode import FORMATS
from tenfold.model.model import Model
from tenfold.serve.limits import Limits
from tenfold.serve.predictor import Predictor

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
TEXT: Schema = {"type": "string"}


def add_predictions(document: Schema, predictors: Mapping[str, Predictor], limits: Limits) -> None:
    """Complete FastAPI's document by the paths that the guard answers itself."""
    first = next(iter(predictors.values()))
    document["paths"]["/v1/predict"] = {"post": _operation(first, limits, "predict")}
    for number, (name, predictor) in enumerate(predictors.items()):
        operation = _operation(predictor, limits, f"predict_{number}")
        document["paths"][f"/v1/models/{name}/predict"] = {"post": operation}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = _object({"error": TEXT})
    for path in document["paths"].values():
        for operation in path.values():
            for status, about in REFUSALS.items():
                operation["responses"].setdefault(status, _error(about))


REFUSALS = {
    "400": "Not an HTTP request that can be understood",
    "401": "No token, or another one",
    "403": "Not a name of this service, or a foreign page",
    "404": "Not here",
    "405": "Not this method",
    "408": "Headers or body did not arrive in time",
    "431": "Headers too long",
    "503": "Not now: too many requests, or not ready",
}

PREDICT_REFUSALS = {
    "413": "Body too large, or too many items",
    "415": "Not a content type that this model reads",
    "422": "Nothing in it can be answered",
}


def _error(about: str) -> Schema:
    return {
        "description": about,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _operation(predictor: Predictor, limits: Limits, identifier: str) -> Schema:
    model = predictor.model
    answers = {
        "description": "An answer for each item, in order",
        "content": {"application/json": {"schema": _answers(model)}},
    }
    refusals = {status: _error(about) for status, about in PREDICT_REFUSALS.items()}
    return {
        "operationId": identifier,
        "summary": f"Ask {predictor.name}",
        "requestBody": {"required": True, "content": _bodies(model, limits)},
        "responses": {"200": answers, **refusals},
    }


def _bodies(model: Model, limits: Limits) -> Schema:
    accepted = model.contract.input
    if not isinstance(accepted, ImageInput):
        is_features = isinstance(accepted, FeaturesInput)
        cell: Schema = {"type": ["string", "number", "boolean", "null"]}
        item = (
            _list(NUMBER, accepted.n_features)
            if isinstance(accepted, FeaturesInput)
            else {"type": "object", "additionalProperties": cell}
        )
        items = _object({"features" if is_features else "rows": _items(item, limits)})
        return {"application/json": {"schema": items}}
    pixel = {"type": "integer", "minimum": 0, "maximum": 255}
    size, nested = prod(accepted.shape), pixel
    for side in reversed(accepted.shape):
        nested = _list(nested, side)
    picture = {"oneOf": [_list(pixel, size), nested]}
    file = {"schema": {"type": "string", "format": "binary"}}
    return {
        "application/json": {"schema": _object({"images": _items(picture, limits)})},
        "application/octet-stream": {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": f"{size} bytes for each picture",
            }
        },
        **{f"image/{kind.lower()}": file for kind in FORMATS},
    }


def _answers(model: Model) -> Schema:
    place: Schema = {"input": TEXT, "row": {"type": "integer"}}
    if model.labels:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        answer = {
            "label": {"enum": list(model.labels)},
            "confidence": share,
            "unsure": {"type": "boolean"},
            "reason": {"type": ["string", "null"]},
            "probabilities": _object({label: share for label in model.labels}),
        }
    else:
        end = {"type": ["number", "null"]}
        answer = {"value": NUMBER, "low": end, "high": end}
    one = {"oneOf": [_object(place | answer), _object(place | {"error": TEXT})]}
    found = _object({"model": TEXT, "predictions": {"type": "array", "items": one, "minItems": 1}})
    found["properties"]["notes"] = {"type": "array", "items": TEXT}
    return found


def _items(item: Schema, limits: Limits) -> Schema:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": limits.items}


def _list(item: Schema, n: int) -> Schema:
    return {"type": "array", "items": item, "minItems": n, "maxItems": n}


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
