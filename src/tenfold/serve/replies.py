"""What goes back over the wire: a status, a body, and the errors that become one."""

import json
from functools import cached_property
from typing import Any, NamedTuple

from tenfold.core.errors import TenfoldError

JSON = b"application/json"


class Reply(NamedTuple):
    """An HTTP answer, before the headers that all of them have."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class HTTPError(TenfoldError):
    """A request that is not answered, and with which status that is said.

    Attributes:
      status: The HTTP status.
      headers: Headers that belong to it, such as `Retry-After`.
    """

    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        Exception.__init__(self, text)
        self.code, self.where, self.facts = "E900", None, {}
        self.status = status
        self.headers = headers

    @cached_property
    def reply(self) -> Reply:
        """The refusal as an answer: `{"error": "..."}`, in the words of the command line."""
        return Reply(self.status, written({"error": str(self)}), JSON, self.headers)


def written(value: Any) -> bytes:
    """JSON that every reader takes: no NaN, no infinity."""
    return json.dumps(value, allow_nan=False).encode()
