"""The guard before every request: who may ask, how much, and what is written down about it."""

import asyncio
import hmac
import random
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from tenfold.core.errors import message
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import Metrics
from tenfold.serve.predictor import Predictor
from tenfold.serve.replies import HTTPError, Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = frozenset({"/health/live", "/health/ready"})
"""Asked by supervisors: no token, and never refused for lack of room."""

JSON_TYPE, RAW_TYPE = "application/json", "application/octet-stream"

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
CLOSED = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Beside `ALWAYS` for everything but answers, which browsers do not show."""


@dataclass(frozen=True)
class AccessPolicy:
    """Who may ask.

    Attributes:
      hosts: Names and addresses that a request's Host may have, without port, lower case.
      token: What a request must show; None: nothing.
    """

    hosts: Collection[str]
    token: str | None = None


@dataclass
class State:
    """Of the service, at the moment.

    Attributes:
      ready: Its models have answered their self-test.
      leaving: The signal to leave has come.
      in_flight: Requests being received or answered.
      body_bytes: Of the bodies of requests that are being received or answered.
    """

    ready: bool = False
    leaving: bool = False
    in_flight: int = 0
    body_bytes: int = 0


class Log:
    """Lines of JSON on standard error: a tenth of a second of them in one write."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._refused: Counter[int] = Counter()

    def write(self, line: str) -> None:
        """Keep a line for the next write."""
        self._schedule()
        self._lines.append(line)

    def refused(self, status: int) -> None:
        """Count a request that was refused at the door: many of them share a line."""
        self._schedule()
        self._refused[status] += 1

    def _schedule(self) -> None:
        if not self._lines and not self._refused:
            asyncio.get_running_loop().call_later(0.1, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        for status, n in self._refused.items():
            lines.append(f'{{"time": {time.time():.3f}, "refused": {n}, "status": {status}}}\n')
        self._refused.clear()
        if lines:
            sys.stderr.write("".join(lines))
            sys.stderr.flush()


@dataclass(eq=False)
class RequestGuard:
    """The outermost application. Predictions go past the routes of `pages`, for their speed.

    Attributes:
      predictors: By the path of their requests.
      pages: All other routes.
    """

    predictors: dict[str, Predictor]
    pages: App
    access: AccessPolicy
    limits: Limits
    state: State
    metrics: Metrics
    log: Log = field(default_factory=Log)
    _full: dict[tuple[str, int], HTTPError] = field(default_factory=lambda: _refusals())
    _prefix: str = field(default_factory=lambda: token_hex(4))
    _number: int = 0

    def next_id(self) -> str:
        """A request's name in the log: nothing its sender chose."""
        self._number += 1
        return f"{self._prefix}-{self._number:x}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.pages(scope, receive, send)
        start = time.perf_counter()
        seen = _Seen(self.next_id())
        try:
            headers = self._admitted(scope)
            predictor = self.predictors.get(scope["path"])
            if predictor is None:
                await self.pages(scope, receive, seen.through(send, self.state.leaving))
                seen.route = getattr(scope.get("route"), "path", "other")
            else:
                seen.route = "predict"
                reply = await self._predict(predictor, scope, headers, receive, seen)
                await self._send(seen, send, reply)
        except HTTPError as refusal:
            await self._send(seen, send, refusal.reply)
        except Exception as error:  # a fault of ours: its kind is written down, nothing is told
            seen.fault = type(error).__name__
            if not seen.status:
                await self._send(seen, send, HTTPError(500, "The service failed.").reply)
        seconds = time.perf_counter() - start
        self.metrics.request(seen.route, seen.status, seconds)
        self.log.write(seen.line(scope["method"], seconds))

    def no_room(self, path: str) -> HTTPError | None:
        """Why a request for this path is refused before its body is read, if it is."""
        predictor = self.predictors.get(path)
        if predictor is None:
            return None
        if self.state.in_flight >= self.limits.in_flight:
            return self.full("in_flight")
        return self.full("queue") if predictor.waiting >= self.limits.queue else None

    def full(self, limit: str) -> HTTPError:
        """The refusal of one too many. Who comes again is told different seconds, not all one."""
        return self._full[limit, random.randint(1, 3)]

    def note_refused(self, status: int) -> None:
        """Write down a request that was refused before it reached the application."""
        self.metrics.request("refused", status, 0.0)
        self.log.refused(status)

    def headers(self, reply: Reply, request_id: str) -> list[tuple[bytes, bytes]]:
        """The headers of a reply."""
        return [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-request-id", request_id.encode()),
            *ALWAYS,
            *reply.headers,
        ]

    def open(self) -> None:
        """Say that requests are welcome."""
        self.state.ready = True
        for predictor in set(self.predictors.values()):
            predictor.warm_up()

    def close(self) -> None:
        """Write what is left of the log and let go of the threads."""
        self.log.flush()
        for predictor in set(self.predictors.values()):
            predictor.close()

    def _admitted(self, scope: Scope) -> dict[bytes, bytes]:
        """The headers of a request that may ask."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in headers and name in SINGLE:
                raise HTTPError(400, message("A header twice", header=name.decode("ascii")))
            headers[name] = value
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if without_port(host) not in self.access.hosts:
            raise HTTPError(
                403,
                message("Unknown host", expected="a name of this service: --allow-host adds one"),
            )
        origin = headers.get(b"origin")
        if origin is not None:
            ours = {f"http://{host}", f"https://{host}"}
            if origin.decode("latin-1").lower() not in ours:
                raise HTTPError(403, message("Foreign origin", expected="a page of this service"))
        is_link = scope["method"] == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin") and not is_link:
            raise HTTPError(403, message("Foreign origin", expected="a page of this service"))
        if self.access.token is not None and scope["path"] not in HEALTH:
            self._check_token(headers.get(b"authorization", b""))
        return headers

    def _check_token(self, given: bytes) -> None:
        """Bearer, or the password of Basic, which browsers ask for by themselves."""
        kind, _, shown = given.partition(b" ")
        if kind.lower() == b"basic":
            try:
                shown = b64decode(shown, validate=True).partition(b":")[2]
            except ValueError:
                shown = b""
        elif kind.lower() != b"bearer":
            shown = b""
        if not hmac.compare_digest(shown, str(self.access.token).encode()):
            raise HTTPError(
                401,
                message("No access", expected="the service's token: Authorization: Bearer TOKEN"),
                (b"www-authenticate", b'Basic realm="tenfold", charset="UTF-8"'),
            )

    async def _predict(
        self, predictor: Predictor, scope: Scope, headers: dict[bytes, bytes], receive: Receive,
        seen: "_Seen",
    ) -> Reply:  # fmt: skip
        if scope["method"] != "POST":
            raise HTTPError(
                405, message("Not a request", expected="POST", method=scope["method"][:20]),
                (b"allow", b"POST"),
            )  # fmt: skip
        media_type = _media_type(headers)
        if refusal := self.no_room(scope["path"]):
            raise refusal
        self.state.in_flight += 1
        try:
            body = await self._body(headers, receive, seen)
            async with asyncio.timeout(self.limits.answer_seconds):
                reply, seen.items = await predictor.answer(media_type, body)
            return reply
        except TimeoutError:
            raise self.full("answer_seconds") from None
        finally:
            self.state.in_flight -= 1
            self.state.body_bytes -= seen.n_bytes

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, seen: "_Seen") -> bytes:
        """The whole body, as long as it is within the limit; `seen` knows how much came."""
        most, state = self.limits.body_bytes, self.state
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated[:20]) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise HTTPError(408, message("The body did not arrive", expected="all of it"))
            part = event.get("body", b"")
            seen.n_bytes += len(part)
            state.body_bytes += len(part)
            if seen.n_bytes > most:
                raise _too_large(most)
            if state.body_bytes > self.limits.bodies_bytes:
                raise self.full("bodies_bytes")
            parts.append(part)
            if not event.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _send(self, seen: "_Seen", send: Send, reply: Reply) -> None:
        seen.status = reply.status
        headers = self.headers(reply, seen.request_id)
        if self.state.leaving:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


SINGLE = frozenset(
    {b"host", b"origin", b"authorization", b"content-type", b"content-length", b"content-encoding"}
)
"""Headers that decide something: two of them would mean two things."""


def _refusals() -> dict[tuple[str, int], HTTPError]:
    """By limit and seconds to wait; made once, for they are made when there is no time."""
    return {
        (limit, seconds): HTTPError(
            503,
            message(
                "Too many requests at once",
                expected=f"fewer: {limit}",
                fix="Try again in a moment",
            ),
            (b"retry-after", b"%d" % seconds),
        )
        for limit in ("connections", "in_flight", "bodies_bytes", "queue", "answer_seconds")
        for seconds in (1, 2, 3)
    }


def _too_large(most: int) -> HTTPError:
    return HTTPError(413, message("Body too large", expected=f"at most {most} bytes"))


def _media_type(headers: dict[bytes, bytes]) -> str:
    """The kind of a body that can be read."""
    if b"content-encoding" in headers:
        raise HTTPError(415, message("An encoded body", expected="no Content-Encoding"))
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind = given.partition(";")[0].strip().lower()
    if kind in (JSON_TYPE, RAW_TYPE) or kind.startswith("image/"):
        return kind
    raise HTTPError(
        415,
        message(
            "Not a content type that can be read",
            expected=f"{JSON_TYPE}, {RAW_TYPE} or image/...",
            content_type=given[:80],
        ),
    )


def without_port(host: str) -> str:
    """The name or address of a Host header, without its port; "" for what is none."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and not host.endswith("]"):
        return name
    return host


@dataclass(eq=False)
class _Seen:
    """What is written down about a request: nothing that its sender chose."""

    request_id: str
    route: str = "other"
    status: int = 0
    items: int = 0
    fault: str = ""
    n_bytes: int = 0

    def through(self, send: Send, is_leaving: bool) -> Send:
        """`send` of a page, with the headers that all of them have."""

        async def seen(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                self.status = event["status"]
                own = {name for name, _ in event["headers"]}
                more = [(name, value) for name, value in (*ALWAYS, *CLOSED) if name not in own]
                more.append((b"x-request-id", self.request_id.encode()))
                if is_leaving:
                    more.append((b"connection", b"close"))
                event = {**event, "headers": [*event["headers"], *more]}
            await send(event)

        return seen

    def line(self, method: str, seconds: float) -> str:
        """A line of JSON."""
        method = method if method in METHODS else "other"
        fault = f', "fault": "{self.fault}"' if self.fault else ""
        return (
            f'{{"time": {time.time():.3f}, "id": "{self.request_id}", "method": "{method}", '
            f'"route": "{self.route}", "status": {self.status}, "items": {self.items}, '
            f'"ms": {1e3 * seconds:.2f}{fault}}}\n'
        )


METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"})
