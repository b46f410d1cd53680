"""The limits of a service with their defaults: how much it accepts, and how long it waits."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, ValidationError

from tenfold.core.contract import Frozen
from tenfold.core.errors import SettingsError, did_you_mean
from tenfold.core.settings import plain_rule
from tenfold.serve.messages import HTTPError

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class Limits(Frozen):
    """The limits of a service; docs/guide/serving.md explains each, and the response beyond it."""

    body_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 16 << 20
    bodies_bytes: Annotated[int, Field(ge=1, le=1 << 40)] = 256 << 20
    items: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    pixels: Annotated[int, Field(ge=1, le=64_000_000)] = 16_000_000
    json_values: Annotated[int, Field(ge=1, le=100_000_000)] = 1_500_000
    json_depth: Annotated[int, Field(ge=1, le=100)] = 8
    cell_characters: Annotated[int, Field(ge=1, le=1 << 24)] = 64 << 10
    header_bytes: Annotated[int, Field(ge=256, le=1 << 20)] = 16 << 10
    header_seconds: Seconds = 5.0
    body_seconds: Seconds = 10.0
    answer_seconds: Seconds = 10.0
    idle_seconds: Seconds = 30.0
    connections: Annotated[int, Field(ge=1, le=65_536)] = 512
    in_flight: Annotated[int, Field(ge=1, le=65_536)] = 256
    queue: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    drain_seconds: Seconds = 8.0


def read_limits(words: Iterable[str]) -> Limits:
    """The limits that `name=value` words give; the others keep their defaults."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in Limits.model_fields:
            raise SettingsError(
                "E916",
                "There is no such limit",
                expected=f"NAME=VALUE with one of {', '.join(Limits.model_fields)}",
                fix=did_you_mean(name, Limits.model_fields),
                limit=word,
            )
        values[name] = value
    try:
        return Limits.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        facts = {str(first["loc"][0]): first["input"]}
        raise SettingsError(
            "E917",
            "The value of a limit is not allowed",
            expected=plain_rule(first["msg"]),
            **facts,
        ) from error


def too_large(limits: Limits) -> HTTPError:
    most = f"at most {limits.body_bytes} bytes"
    return HTTPError("E946", "The body of the request is too large", 413, expected=most)


def check_items(n: int, limits: Limits) -> None:
    """Refuse a request with no items, or with too many."""
    if n > limits.items:
        raise HTTPError(
            "E953",
            "The request has too many items",
            413,
            expected=f"at most {limits.items}",
            items=n,
        )
    if not n:
        raise HTTPError("E954", "The request is empty", 422, expected="at least one item", items=0)
