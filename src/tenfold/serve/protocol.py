"""HTTP on a connection: uvicorn's, with a deadline for every wait and an end of every sending.

uvicorn 0.54 waits for headers and bodies without end (protocols/http/httptools_impl.py): only
between two requests it has a timer, which each byte stops. It takes requests that come one behind
the other without end too. Here a connection knows until when it may be in its present state, and
the server looks at all of them ten times a second. What is too much is refused here, before the
application is asked.
"""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, Literal, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tenfold.serve.replies import HTTPError
from tenfold.serve.request_guard import RequestGuard

LINGER_SECONDS = 2.0
"""How long a client may take to read its last answer."""

MAX_HEADERS = 100

MAX_PIPELINED = 16
"""Requests that may wait behind another one of their connection. What follows is not read, and the
connection closes after the answers; without end they took 120 MB a second."""

MAX_OVERHEAD = 2
"""Bytes on the wire for each byte of a body, beside `header_bytes`. Trailers and extensions of
chunks, which are thrown away, could go on for ever, and chunks of a byte keep the parser busy."""


class Protocol(HttpToolsProtocol):
    """A connection. `guard` is set on a subclass, for uvicorn makes the instances."""

    guard: RequestGuard

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = self.guard.admission.limits
        self._receiving: Literal["headers", "body"] | None = None
        self._deadline: float | None = None  # for the rest of it
        self._n_received = 0  # bytes of it
        self._n_body = 0  # bytes that are body, and not its framing
        self._asked = 0.0  # when the last headers were complete
        self._closing: float | None = None
        self._is_last = False  # what follows is not read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.time() + self._limits.header_seconds
        if len(self.connections) > self._limits.connections:
            self._refuse(self.guard.admission.full("connections"), close=True)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self._is_last:
            return
        if self._receiving is None:
            self._expect_headers()
        self._n_received += len(data)
        super().data_received(data)
        most = self._limits.header_bytes
        if self._receiving == "body":
            most += MAX_OVERHEAD * self._n_body
        if self._n_received > most:
            self._refuse_current(self._long_headers())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._receiving is None:  # behind another one, in the same data
            self._expect_headers()

    def _expect_headers(self) -> None:
        self._receiving, self._n_received = "headers", 0
        self._deadline = self._deadline or self.loop.time() + self._limits.header_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._receiving == "headers":  # and no trailer, which would become one
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._receiving, self._n_received, self._n_body = "body", 0, 0
        self._asked = now = self.loop.time()
        self._deadline = now + self._limits.body_seconds
        if len(self.pipeline) >= MAX_PIPELINED:
            self._read_no_more()
            raise httptools.HttpParserError("too many requests one behind the other")
        n_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if n_bytes > self._limits.header_bytes or len(self.headers) > MAX_HEADERS:
            self._refuse(self._long_headers(), close=True)
        elif codings and codings != [b"chunked"]:
            error = HTTPError(
                "E965", "The transfer coding is not supported", 400, expected="chunked"
            )
            self._refuse(error, close=True)
        elif self._is_alone and (full := self.guard.no_room(self.url.decode("latin-1"))):
            self._refuse(full, close=not self.parser.should_keep_alive())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._n_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._receiving, self._deadline, self._n_received = None, None, 0
        super().on_message_complete()
        if self._is_alone:  # answered before its body was there, which has stopped uvicorn's timer
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all may still wait for its answer."""
        if self._is_alone or self._receiving is not None:
            return False
        self.cycle.keep_alive = False
        return True

    @property
    def _is_alone(self) -> bool:
        """Whether no earlier request of the connection waits for its answer."""
        return self.cycle is None or self.cycle.response_complete

    def _long_headers(self) -> HTTPError:
        most = self._limits.header_bytes
        return HTTPError(
            "E966",
            "The headers are too long",
            431,
            expected=f"at most {most} bytes, {MAX_HEADERS} lines",
        )

    def _refuse(self, error: HTTPError, *, close: bool) -> None:
        """Answer without asking the application, which has cost enough already."""
        if self.transport.is_closing():
            return
        reply = error.reply
        close = close or self.guard.state.leaving
        head = [STATUS_LINE[reply.status]]
        for name, value in self.guard.headers(reply, self.guard.log.next_id()):
            head += [name, b": ", value, b"\r\n"]
        if close:
            head.append(b"connection: close\r\n")
        self.cycle = cast(Any, ANSWERED)
        self.transport.write(b"".join([*head, b"\r\n", reply.body]))
        self.guard.note_refused(reply.status)
        if close:
            self.transport.close()

    def _refuse_current(self, error: HTTPError) -> None:
        """Refuse what is being received, though the application may wait for the rest of it."""
        cycle, is_alone = self.cycle, self._is_alone
        if not is_alone and self._receiving == "headers":
            self._read_no_more()
            return
        if self.pipeline or (not is_alone and cycle.response_started):
            self.transport.abort()  # an answer now would be taken for that of another request
            return
        self._refuse(error, close=True)
        if not is_alone:
            cycle.disconnected = True
            cycle.message_event.set()

    def _read_no_more(self) -> None:
        self._is_last = True
        self.cycle.keep_alive = False
        self._receiving = self._deadline = None
        self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes that are no request."""
        if self._is_last:
            return
        if self._is_alone or self._receiving == "body":
            self._refuse_current(HTTPError("E967", "This is not an HTTP request", 400))
        else:
            self._read_no_more()

    def handle_websocket_upgrade(self) -> None:
        raise httptools.HttpParserError("no upgrades")

    def shutdown(self) -> None:
        """Leave in order: a request that has begun to arrive is still answered."""
        is_waiting = self._is_alone and (self._receiving == "headers" or self._has_bytes())
        if not is_waiting:
            super().shutdown()

    def _has_bytes(self) -> bool:
        """Whether something was sent that has not been read."""
        ours = self.transport.get_extra_info("socket")
        copy = socket.fromfd(ours.fileno(), ours.family, ours.type)
        copy.setblocking(False)  # as ours is
        try:
            return bool(copy.recv(1, socket.MSG_PEEK))
        except OSError:
            return False
        finally:
            copy.close()

    def check(self, now: float) -> None:
        """Cut the connection off if it is past its deadline."""
        limits = self._limits
        if self.transport.is_closing():
            self._closing = self._closing or now
            if now > self._closing + LINGER_SECONDS:
                self.transport.abort()
        elif not self._is_alone and self._receiving != "body":  # all of it is there
            if now > self._asked + limits.body_seconds + 2 * limits.answer_seconds:
                self.transport.abort()
        elif self._deadline is not None and now > self._deadline and not self.flow.read_paused:
            if self._is_alone and self._receiving != "headers":
                self.transport.close()  # nothing was asked, or it has its answer
            else:
                error = HTTPError(
                    "E968",
                    f"The {self._receiving} did not arrive in time",
                    408,
                    expected="a faster sender",
                )
                self._refuse_current(error)


ANSWERED = SimpleNamespace(
    response_complete=True, response_started=True, disconnected=False, message_event=asyncio.Event()
)
"""In the place of a request's cycle: uvicorn leaves what has been answered alone."""
