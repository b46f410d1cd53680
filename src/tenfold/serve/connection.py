"""HTTP/1.1 on one connection: it turns bytes into requests and answers into bytes.

llhttp, the parser of Node.js, finds where a request begins and ends. Every wait has a deadline: a
connection knows how long it may stay in its present state, and the server checks all connections
ten times a second. A request that never ends, arrives too slowly or is too large is refused here,
before any other part of the service works on it.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Literal, cast
from urllib.parse import unquote

import httptools

from tenfold.serve.access import HEALTH, headers_by_name
from tenfold.serve.application import Application
from tenfold.serve.messages import HTTPError, Reply, Request

INCOMPLETE = HTTPError("E945", "The body of the request is incomplete", 408, expected="all of it")

LINGER_SECONDS = 2.0
"""How long a client may take to read the last answer before its connection is cut."""

MAX_HEADERS = 100

MAX_PIPELINED = 16
"""How many requests may wait behind the current one of a connection. Further ones are not read, and
the connection closes after the answers. Without this limit they took 120 MB of memory a second."""

MAX_OVERHEAD = 2
"""How many bytes may be sent for each byte of a body, in addition to `header_bytes`. Trailers and
chunk extensions, which are ignored, could go on forever, and chunks of one byte keep the parser
busy."""

GUESTS = 16
"""Connections beyond the limit. They may ask for the health of the service and nothing else."""

GUEST_SECONDS = 1.0
"""How long such a connection may take to send its request."""


class Connection(asyncio.Protocol):
    """The connection of one client; `connections` holds all connections of the service.

    Requests are answered in the order in which they arrive: the first of `_requests` is being
    received or answered, and the others wait behind it.
    """

    def __init__(self, application: Application, connections: "set[Connection]") -> None:
        self._application = application
        self._limits = application.admission.limits
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[Request] = deque()
        self._incoming = Request()  # whose headers or body come now, or came last
        self._work: asyncio.Task[None] | None = None  # on the first request
        self._receiving: Literal["headers", "body"] | None = None
        self._n_received = 0  # bytes of the headers, or of the body with its framing
        self._n_at_once = 0  # requests in the same data
        self._deadline = self._loop.time() + self._limits.header_seconds  # for what comes next
        self._answer_until = self._closed_at = 0.0
        self._is_guest = False  # beyond the limit
        self._is_last = False  # what follows is not read
        self._is_full = False  # the client does not read its answers
        self._is_reading = True

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        n_before, limit = len(self._connections), self._limits.connections
        self._connections.add(self)
        if n_before >= limit + GUESTS:
            self._refuse(self._application.admission.full("connections"))
        elif n_before >= limit:
            self._is_guest = True
            self._deadline = self._loop.time() + GUEST_SECONDS

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._work is not None:  # it ends by itself
            self._requests.popleft()
        for request in self._requests:
            self._application.finish(request, INCOMPLETE.reply, closes=True)
        self._requests.clear()

    def data_received(self, data: bytes) -> None:
        if self._is_last or self._transport.is_closing():
            return
        if self._receiving is None:
            self._expect_headers()
        self._n_received += len(data)
        self._n_at_once = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # what follows would be in another language
            self._read_no_more()
        except httptools.HttpParserError:
            self._refuse(HTTPError("E967", "This is not an HTTP request", 400))
        most = self._limits.header_bytes
        if self._receiving == "body":
            most += MAX_OVERHEAD * self._incoming.n_received
        if self._n_received > most:
            self._refuse(self._long_headers())

    def eof_received(self) -> bool:
        """A client that has sent everything may still wait for its answer."""
        if self._receiving == "body":
            self._refuse(INCOMPLETE)
        self._read_no_more()
        return True

    def pause_writing(self) -> None:
        self._is_full = True
        self._answer_until = self._loop.time() + self._limits.answer_seconds
        self._update_reading()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._work is None:
            self._next()

    # Called by the parser

    def on_message_begin(self) -> None:
        if self._receiving is None:  # behind another one, in the same data
            self._expect_headers()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._receiving == "headers":  # and no trailer, which would become one
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._n_at_once += 1
        if self._n_at_once > 1 + MAX_PIPELINED:
            self._read_no_more()
            raise httptools.HttpParserError("too many requests one behind the other")
        self._receiving, self._n_received = "body", 0
        self._deadline = self._loop.time() + self._limits.body_seconds
        self._incoming = request = Request(self._parser.get_method().decode())
        self._requests.append(request)
        try:
            self._read_headers(request)
            self._application.admit(request)
        except HTTPError as error:
            request.refusal = error.with_traceback(None)  # which holds the request
        if len(self._requests) == 1:
            self._begin()
        self._update_reading()

    def on_body(self, body: bytes) -> None:
        request = self._incoming
        request.n_received += len(body)
        if request.refusal is None:
            try:
                self._application.admission.add(request, body)
            except HTTPError as error:
                request.refusal = error.with_traceback(None)
                if request is self._requests[0]:
                    self._begin()

    def on_message_complete(self) -> None:
        self._incoming.is_complete, self._receiving, self._n_received = True, None, 0
        self._deadline = self._loop.time() + self._limits.idle_seconds
        if self._requests and self._requests[0] is self._incoming:
            self._begin()

    def _expect_headers(self) -> None:
        self._receiving, self._n_received = "headers", 0
        if not self._is_guest:
            self._deadline = self._loop.time() + self._limits.header_seconds

    def _read_headers(self, request: Request) -> None:
        """Set the fields of a request from its headers, or refuse the headers."""
        n_bytes = len(self._url) + sum(len(name) + len(value) for name, value in self._headers)
        if n_bytes > self._limits.header_bytes or len(self._headers) > MAX_HEADERS:
            raise self._long_headers()
        request.path = _path_of(self._url)
        if self._is_guest and request.path not in HEALTH:
            raise self._application.admission.full("connections")
        is_new = self._parser.get_http_version() == "1.1"
        request.kept = is_new and self._parser.should_keep_alive() and not self._is_guest
        request.headers = headers_by_name(self._headers)
        if request.headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise HTTPError("E965", "The transfer coding is not supported", 400, expected="chunked")

    # Answers

    def _begin(self) -> None:
        """Answer the first request, or tell the client to send its body."""
        request = self._requests[0]
        if request.refusal is not None:
            self._answer(request, request.refusal.reply)
        elif request.is_complete:
            seconds = self._limits.body_seconds + 2 * self._limits.answer_seconds
            self._answer_until = self._loop.time() + seconds
            answer = self._application.answer(request)
            self._work = self._loop.create_task(self._worked(request, answer))
        elif request.headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _worked(self, request: Request, answer: Coroutine[Any, Any, Reply]) -> None:
        reply = await answer
        self._work = None
        self._answer(request, reply)

    def _answer(self, request: Request, reply: Reply) -> None:
        if self._requests and self._requests[0] is request:
            self._requests.popleft()
        is_last = not self._requests and (self._is_last or self._application.state.leaving)
        closes = is_last or not request.kept
        content = self._application.finish(request, reply, closes=closes)
        if self._transport.is_closing():
            return
        self._transport.write(content)
        if closes:
            self._transport.close()
        else:
            self._next()

    def _next(self) -> None:
        if self._requests and not self._is_full:
            self._begin()
        elif self._receiving is None:
            self._deadline = self._loop.time() + self._limits.idle_seconds
        self._update_reading()

    def _update_reading(self) -> None:
        """Read only while few requests wait; an interrupted request gets its full time again."""
        wanted = not (self._is_last or self._is_full or len(self._requests) > 1)
        if wanted == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = wanted
        if not wanted:
            self._transport.pause_reading()
            return
        self._transport.resume_reading()
        if self._receiving is not None:
            seconds = self._limits.header_seconds, self._limits.body_seconds
            self._deadline = self._loop.time() + seconds[self._receiving == "body"]

    def _long_headers(self) -> HTTPError:
        most = f"at most {self._limits.header_bytes} bytes, {MAX_HEADERS} lines"
        return HTTPError("E966", "The headers are too long", 431, expected=most)

    def _refuse(self, error: HTTPError) -> None:
        """Refuse the request that is being received, in its turn, and read nothing more."""
        if self._is_last or self._transport.is_closing():
            return
        request = self._incoming
        if self._receiving != "body":
            if not self._requests:
                self._answer(Request(), error.reply)
        elif request in self._requests:
            request.refusal, request.kept = request.refusal or error, False
            if request is self._requests[0]:
                self._answer(request, error.reply)
        self._read_no_more()

    def _read_no_more(self) -> None:
        self._is_last, self._receiving = True, None
        if not self._requests:
            self._transport.close()
        self._update_reading()

    # Called by the server

    def shutdown(self) -> None:
        """Close the connection, unless a request has begun to arrive, which is answered first."""
        if not self._requests and self._receiving != "headers" and not self._has_bytes():
            self._transport.close()

    def _has_bytes(self) -> bool:
        """Whether the client has sent bytes that were not read yet."""
        ours = self._transport.get_extra_info("socket")
        copy = socket.fromfd(ours.fileno(), ours.family, ours.type)
        copy.setblocking(False)  # as ours is
        try:
            return bool(copy.recv(1, socket.MSG_PEEK))
        except OSError:
            return False
        finally:
            copy.close()

    def check(self, now: float) -> None:
        """Close the connection if its deadline has passed."""
        if self._transport.is_closing():
            self._closed_at = self._closed_at or now
            if now > self._closed_at + LINGER_SECONDS:
                self._transport.abort()
        elif self._work is not None or self._is_full:
            if now > self._answer_until:
                self._transport.abort()
        elif now > self._deadline:
            if self._is_guest:
                self._refuse(self._application.admission.full("connections"))
            elif self._receiving is not None:
                late = f"The {self._receiving} did not arrive in time"
                self._refuse(HTTPError("E968", late, 408, expected="a faster sender"))
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()


@lru_cache(maxsize=256)
def _path_of(url: bytes) -> str:
    """The path of a request's target, without a slash at its end."""
    path = unquote((httptools.parse_url(url).path or b"").decode("ascii"))
    return path.rstrip("/") or "/"
