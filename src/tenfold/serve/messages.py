"""What goes over the wire: a request, its answer, and the errors that become one."""

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
    """A request, and what becomes of it: `parts` are those of its body that are
    kept of the `n_received` bytes that have come.

    `kept` says whether the connection stays open after it, `refusal` why it is not answered, if
    so. `items` are pictures or rows that were answered; `fault` is the kind of exception, where the
    service or its model failed.
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
    """An HTTP answer, before the headers that all of them have."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


@dataclass(frozen=True)
class WebPage:
    """An address that is read by GET: what is there, what makes it, and its body as OpenAPI says.

    A slow one may take so long to make that others would wait.
    """

    summary: str
    make: Callable[[], Reply]
    schema: dict[str, Any]
    media_type: str = "application/json"
    is_slow: bool = False


class HTTPError(TenfoldError):
    """A request that is refused, with a status of HTTP and headers that belong to it.

    The rest is as of every `TenfoldError`.
    """

    def __init__(
        self, code: str, wrong: str, status: int, /, *, headers: Headers = (), **message: Any
    ) -> None:
        super().__init__(code, wrong, **message)
        self.status = status
        self.headers = headers

    @classmethod
    def saying(cls, error: TenfoldError) -> Self:
        """Something in a body that cannot be read, in the words of the error that says it."""
        refusal = cls(error.code, "", 422)
        refusal.args = error.args
        return refusal

    @cached_property
    def reply(self) -> Reply:
        """The refusal as an answer: `{"error": "..."}`, in the words of the command line."""
        return json_reply({"error": str(self)}, self.status, self.headers)


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """An answer in JSON that every reader takes: no NaN, no infinity."""
    return Reply(status, json.dumps(value, allow_nan=False).encode(), JSON, headers)
