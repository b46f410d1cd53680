"""Requests, replies, and the errors that become replies."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

from tenfold.core.errors import TenfoldError

JSON = b"application/json"

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(eq=False, slots=True)
class Request:
    """A request and its outcome.

    `parts` are the pieces of its body that are kept, of `n_received` bytes that have arrived.
    `kept` says whether the connection stays open after it. `refusal` is the reason why it is not
    answered, if there is one. `items` counts the pictures or rows that were answered, and `fault`
    is the kind of exception if the service or its model failed.
    """

    method: str = ""
    path: str = ""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    kept: bool = False
    is_complete: bool = False
    refusal: "HTTPError | None" = None
    parts: list[bytes] = field(default_factory=list)
    n_received: int = 0
    is_counted: bool = False
    route: str = "other"
    items: int = 0
    fault: str = ""
    start: float = field(default_factory=time.perf_counter)
    media_type: str = ""
    is_compressed: bool = False

    def body(self) -> bytes:
        """The whole body."""
        self.parts[:] = [b"".join(self.parts)]
        return self.parts[0]


class Reply(NamedTuple):
    """An HTTP response, without the headers that all responses have."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


@dataclass(frozen=True)
class WebPage:
    """An address that is read by GET: a summary, the function that makes the reply, and its schema.

    A slow page is made in a thread, because other requests would wait for it.
    """

    summary: str
    make: Callable[[], Reply]
    schema: dict[str, Any]
    media_type: str = "application/json"
    is_slow: bool = False


class HTTPError(TenfoldError):
    """A request is refused, with this HTTP status and these additional headers.

    The other arguments are those of every `TenfoldError`.
    """

    def __init__(
        self, code: str, wrong: str, status: int, /, *, headers: Headers = (), **message: Any
    ) -> None:
        super().__init__(code, wrong, **message)
        self.status = status
        self.headers = headers

    @classmethod
    def saying(cls, error: TenfoldError) -> Self:
        """A refusal (422) with the text of an error about the body of the request."""
        refusal = cls(error.code, "", 422)
        refusal.args = error.args
        return refusal

    @cached_property
    def reply(self) -> Reply:
        """The refusal as a reply: `{"error": "..."}`, with the same text as on the command line."""
        return json_reply({"error": str(self)}, self.status, self.headers)


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """A reply in standard JSON, which has neither NaN nor infinity."""
    return Reply(status, json.dumps(value, allow_nan=False).encode(), JSON, headers)
