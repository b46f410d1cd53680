"""HTTP on a connection: uvicorn's, with a deadline for every wait and a cheap no when it is full.

uvicorn 0.54 waits for headers and bodies without end (protocols/http/httptools_impl.py); only
between two requests it has a timer, which each byte stops. Here a connection knows until when it
may be in its present state, and the server looks at all of them ten times a second.
"""

import asyncio
import socket
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tenfold.core.errors import message
from tenfold.serve.replies import HTTPError
from tenfold.serve.request_guard import RequestGuard

LINGER_SECONDS = 2.0
"""How long a client may take to read its last answer."""

MAX_HEADERS = 100


class Protocol(HttpToolsProtocol):
    """A connection. `guard` is set on a subclass, for uvicorn makes the instances."""

    guard: RequestGuard

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = self.guard.limits
        self._reading: float | None = None  # until when the headers, or the body, have to be there
        self._asked = 0.0
        self._closing: float | None = None
        self._in_headers = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading = self.loop.time() + self._limits.header_seconds
        if len(self.connections) > self._limits.connections:
            self._refuse(self.guard.full("connections"), close=True)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._reading is None:
            self._reading = self.loop.time() + self._limits.header_seconds
        self._in_headers += len(data)
        super().data_received(data)
        if self._in_headers > self._limits.header_bytes:
            self._refuse(self._long_headers(), close=True)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._reading is None:
            self._reading = self.loop.time() + self._limits.header_seconds

    def on_headers_complete(self) -> None:
        self._in_headers = -(1 << 62)  # what follows is a body, until the message ends
        self._asked = now = self.loop.time()
        self._reading = now + self._limits.body_seconds
        n_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if n_bytes > self._limits.header_bytes or len(self.headers) > MAX_HEADERS:
            self._refuse(self._long_headers(), close=True)
        elif self._is_alone and (refusal := self.guard.no_room(self.url.decode("latin-1"))):
            self._refuse(refusal, close=not self.parser.should_keep_alive())
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._reading, self._in_headers = None, 0
        super().on_message_complete()
        if self._is_alone:  # answered before its body was there, which has stopped uvicorn's timer
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all may still wait for its answer."""
        if self._is_alone or self._reading is not None:
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
            431, message("Headers too long", expected=f"at most {most} bytes, {MAX_HEADERS} lines")
        )

    def _refuse(self, refusal: HTTPError, *, close: bool) -> None:
        """Answer without asking the application, which has cost enough already."""
        if self.transport.is_closing():
            return
        reply = refusal.reply
        close = close or self.guard.state.leaving
        head = [STATUS_LINE[reply.status]]
        for name, value in self.guard.headers(reply, self.guard.next_id()):
            head += [name, b": ", value, b"\r\n"]
        if close:
            head.append(b"connection: close\r\n")
        self.cycle = cast(Any, ANSWERED)
        self.transport.write(b"".join([*head, b"\r\n", reply.body]))
        self.guard.note_refused(reply.status)
        if close:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes that are no request."""
        if self._is_alone:
            self._refuse(HTTPError(400, message("Not an HTTP request")), close=True)
        else:
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        raise httptools.HttpParserError("no upgrades")

    def shutdown(self) -> None:
        """Leave in order: a request that has begun to arrive is still answered."""
        is_waiting = self._is_alone and (self._in_headers > 0 or self._has_bytes())
        if not is_waiting:
            super().shutdown()

    def _has_bytes(self) -> bool:
        """Whether something was sent that has not been read."""
        found = self.transport.get_extra_info("socket")
        copy = socket.fromfd(found.fileno(), found.family, found.type)
        try:
            return bool(copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
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
        elif (
            not self._is_alone and self._in_headers >= 0
        ):  # all of it is there, or a next one begins
            if now > self._asked + limits.body_seconds + 2 * limits.answer_seconds:
                self.transport.abort()
        elif self._reading is not None and now > self._reading and not self.flow.read_paused:
            self._refuse_late()

    def _refuse_late(self) -> None:
        cycle = self.cycle
        if self._is_alone and self._in_headers <= 0:
            self.transport.close()  # nothing was asked, or it has its answer
            return
        if not self._is_alone and cycle.response_started:
            self.transport.abort()
            return
        part = "body" if self._in_headers < 0 else "headers"
        self._refuse(
            HTTPError(
                408, message(f"The {part} did not arrive in time", expected="a faster sender")
            ),
            close=True,
        )
        if cycle is not None:  # its application waits for the rest
            cycle.disconnected = True
            cycle.message_event.set()


class _Answered:
    """In the place of a request's cycle: uvicorn leaves what has been answered alone."""

    response_complete = response_started = True
    disconnected = False

    class message_event:
        @staticmethod
        def set() -> None:
            """Nobody waits."""


ANSWERED = _Answered()
