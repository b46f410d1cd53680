"""The application that the server calls: every request passes here before anything answers it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from tenfold.serve.access import AccessPolicy, headers_by_name
from tenfold.serve.access_log import AccessLog, RequestRecord
from tenfold.serve.admission import Admission, ReaderPool, Receive
from tenfold.serve.metrics import Metrics
from tenfold.serve.pages import ServiceState
from tenfold.serve.predict_request import media_type_of
from tenfold.serve.predictor import Predictor
from tenfold.serve.replies import Headers, HTTPError, Reply, WebPage

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ALWAYS: Headers = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


@dataclass(eq=False)
class RequestGuard:
    """Lets in who may ask, as many as there is room for, and writes down what became of them.

    Predictors stand by the path of their requests, pages by theirs: all of those are read by GET.
    """

    predictors: Mapping[str, Predictor]
    pages: Mapping[str, WebPage]
    access: AccessPolicy
    admission: Admission
    readers: ReaderPool
    metrics: Metrics
    state: ServiceState
    log: AccessLog = field(default_factory=AccessLog)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = RequestRecord(self.log.next_id(), scope["method"])
        try:
            reply = await self._reply(scope, receive, record)
        except HTTPError as error:
            reply = error.reply
        except Exception as error:  # a fault of ours: its kind is written down, nothing is told
            record.fault = type(error).__name__
            reply = HTTPError("E947", "The service failed", 500).reply
        record.status = reply.status
        headers = self.headers(reply, record.request_id)
        if self.state.leaving:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        seconds = time.perf_counter() - record.start
        self.metrics.request(record.route, record.status, seconds)
        self.log.write(record.line(seconds))

    async def _reply(self, scope: Scope, receive: Receive, record: RequestRecord) -> Reply:
        method, path = scope["method"], scope["path"]
        headers = headers_by_name(scope["headers"])
        self.access.check(method, path, headers)
        if path in self.predictors:
            record.route = "predict"
            _check_method(method, "POST")
            return await self._predict(path, headers, receive, record)
        if path not in self.pages:
            raise HTTPError(
                "E948",
                "There is nothing at this address",
                404,
                expected="one of the addresses in /docs",
            )
        record.route = path
        _check_method(method, "GET")
        page = self.pages[path]
        return await asyncio.to_thread(page.make) if page.is_slow else page.make()

    async def _predict(
        self, path: str, headers: Mapping[bytes, bytes], receive: Receive, record: RequestRecord
    ) -> Reply:
        media_type = media_type_of(headers)
        if error := self.no_room(path):
            raise error
        with self.admission.request() as request:
            body = await request.receive(headers, receive)
            try:
                async with asyncio.timeout(self.admission.limits.answer_seconds):
                    answered = await self.predictors[path].answer(media_type, body)
            except TimeoutError:
                raise self.admission.full("answer_seconds") from None
        record.items, record.fault = answered.n_items, answered.fault
        return answered.reply

    def no_room(self, path: str) -> HTTPError | None:
        """Why a request for this path is refused before its body is read, if it is."""
        predictor = self.predictors.get(path)
        return self.admission.no_room(predictor.waiting) if predictor else None

    def note_refused(self, status: int) -> None:
        """Write down a request that was refused before it reached the application."""
        self.metrics.request("refused", status, 0.0)
        self.log.refused(status)

    def headers(self, reply: Reply, request_id: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-request-id", request_id.encode()),
            *ALWAYS,
            *reply.headers,
        ]

    def open(self) -> None:
        self.state.ready = True
        for predictor in set(self.predictors.values()):
            predictor.warm_up()

    def close(self) -> None:
        """Write what is left of the log and let go of the threads."""
        self.log.flush()
        self.readers.close()
        for predictor in set(self.predictors.values()):
            predictor.close()


def _check_method(method: str, expected: str) -> None:
    if method != expected:
        raise HTTPError(
            "E949",
            "This address does not accept this method",
            405,
            expected=expected,
            headers=((b"allow", expected.encode()),),
            method=method[:20],
        )
