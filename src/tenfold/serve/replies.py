"""What goes back over the wire: a status, a body, and the errors that become one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from tenfold.core.errors import TenfoldError

JSON = b"application/json"

Headers = tuple[tuple[bytes, bytes], ...]


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
