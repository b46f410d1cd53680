"""How much is taken on at once: requests, and the bytes of their bodies."""

import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from tenfold.serve.limits import Limits
from tenfold.serve.replies import HTTPError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Admission:
    """Counts what is being received, read and answered, and refuses what is too much.

    Attributes:
      in_flight: Requests being received or answered.
      body_bytes: Of their bodies, and of those that a thread still reads.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.body_bytes = 0
        self._full = {  # made once, for they are needed when there is no time
            (limit, seconds): HTTPError(
                "E944",
                "Too many requests at once",
                503,
                expected=f"fewer: {limit}",
                fix="Try again in a moment",
                headers=((b"retry-after", b"%d" % seconds),),
            )
            for limit in ("connections", "in_flight", "bodies_bytes", "queue", "answer_seconds")
            for seconds in (1, 2, 3)
        }

    def full(self, limit: str) -> HTTPError:
        """The refusal of one too many. Who comes again is told different seconds, not all one."""
        return self._full[limit, random.randint(1, 3)]

    def no_room(self, n_waiting: int) -> HTTPError | None:
        """Why a request for a model with so many items waiting is refused unread, if it is."""
        if self.in_flight >= self.limits.in_flight:
            return self.full("in_flight")
        return self.full("queue") if n_waiting >= self.limits.queue else None

    @contextmanager
    def request(self) -> Iterator["RequestBody"]:
        """A request that is counted, and its body, until it is answered."""
        body = RequestBody(self)
        self.in_flight += 1
        try:
            yield body
        finally:
            self.in_flight -= 1
            self.body_bytes -= body.n_bytes


class RequestBody:
    """The body of one request: counted as it comes."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.n_bytes = 0

    async def receive(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole body.

        Raises:
          HTTPError: 408 if its end does not come, 413 and 503 beyond a limit.
        """
        admission, limits = self._admission, self._admission.limits
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated[:20]) > limits.body_bytes:
            raise _too_large(limits)
        parts: list[bytes] = []
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise HTTPError("E945", "The body did not arrive", 408, expected="all of it")
            parts.append(event.get("body", b""))
            self.n_bytes += len(parts[-1])
            admission.body_bytes += len(parts[-1])
            if self.n_bytes > limits.body_bytes:
                raise _too_large(limits)
            if admission.body_bytes > limits.bodies_bytes:
                raise admission.full("bodies_bytes")
            if not event.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limits: Limits) -> HTTPError:
    return HTTPError("E946", "Body too large", 413, expected=f"at most {limits.body_bytes} bytes")
