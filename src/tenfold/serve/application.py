"""The way of every request: access, admission, an answer by a model or a page, and the log."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from tenfold.serve.access import AccessPolicy
from tenfold.serve.access_log import AccessLog
from tenfold.serve.admission import Admission, ReaderPool
from tenfold.serve.explain_request import explain
from tenfold.serve.messages import HTTPError, Reply, Request, WebPage
from tenfold.serve.metrics import Metrics
from tenfold.serve.open_inference import infer
from tenfold.serve.pages import ServiceState
from tenfold.serve.predictor import AnsweredRequest, Predictor

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

ANSWERS: Mapping[str, Callable[[Predictor, Request], Awaitable[AnsweredRequest]]] = {
    "predict": Predictor.answer,
    "explain": explain,
    "infer": infer,
}
"""What answers a request, by the end of its address."""

ALWAYS = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"


@dataclass(eq=False)
class Application:
    """Admits requests, answers them, and records the outcome of each.

    `models` holds the predictors by the name of their run, `predictors` the same ones by the path
    of their requests. `pages` holds everything that is read by GET, by path.
    """

    access: AccessPolicy
    admission: Admission
    readers: ReaderPool
    metrics: Metrics
    state: ServiceState
    log: AccessLog = field(default_factory=AccessLog)
    models: Mapping[str, Predictor] = field(default_factory=dict)
    predictors: Mapping[str, Predictor] = field(default_factory=dict)
    pages: Mapping[str, WebPage] = field(default_factory=dict)

    def admit(self, request: Request) -> None:
        """Admit or refuse a request, before its body is read."""
        self.access.check(request)
        path = request.path
        if predictor := self.predictors.get(path):
            request.route = "predict"
            _check_method(request, ("POST",))
            predictor.accept(request)
            self.admission.enter(request, predictor.waiting)
        elif path in self.pages:
            request.route = path
            _check_method(request, ("GET", "HEAD"))
        else:
            raise HTTPError(
                "E948",
                "There is nothing at this address",
                404,
                expected="/v1/predict, or another address in /docs",
            )

    def answer(self, request: Request) -> Coroutine[Any, Any, Reply]:
        """Answer a request that was admitted and has arrived completely.

        A request for a model counts as waiting from now on, although its turn comes later. If it
        counted from then on, all requests that arrive at the same moment would be admitted.
        """
        predictor = self.predictors.get(request.path)
        if predictor is not None:
            predictor.begin()
        return self._answer(request, predictor)

    async def _answer(self, request: Request, predictor: Predictor | None) -> Reply:
        try:
            if predictor is None:
                page = self.pages[request.path]
                return await asyncio.to_thread(page.make) if page.is_slow else page.make()
            async with asyncio.timeout(self.admission.limits.answer_seconds):
                answered = await ANSWERS[request.path.rpartition("/")[2]](predictor, request)
            request.items, request.fault = answered.n_items, answered.fault
            return answered.reply
        except HTTPError as error:
            return error.reply
        except TimeoutError:
            return self.admission.full("answer_seconds").reply
        except Exception as error:  # our own fault: only its kind is logged
            request.fault = type(error).__name__
            return HTTPError("E947", "The service failed", 500).reply

    def finish(self, request: Request, reply: Reply, *, closes: bool) -> bytes:
        """Record the outcome of a request, release what it held, and return its answer as bytes."""
        number = self.log.next_id()
        if request.method and (request.is_counted or reply.status != 503):
            seconds = time.perf_counter() - request.start
            self.metrics.request(request.route, reply.status, seconds)
            self.log.write(request, number, reply.status, seconds)
        else:  # refused before it was read: many of these share one line of the log
            self.metrics.request("refused", reply.status, 0.0)
            self.log.refused(reply.status)
        self.admission.leave(request)
        lines = [
            STATUS_LINES[reply.status],
            self.state.date,
            b"content-type: %b\r\n" % reply.content_type,
            b"content-length: %d\r\nx-request-id: %b\r\n" % (len(reply.body), number.encode()),
            ALWAYS,
            *(b"%b: %b\r\n" % header for header in reply.headers),
            b"connection: close\r\n\r\n" if closes else b"\r\n",
        ]
        return b"".join(lines if request.method == "HEAD" else [*lines, reply.body])

    def tick(self) -> None:
        """Update what changes with the time; called a few times a second."""
        self.state.date = f"date: {formatdate(usegmt=True)}\r\n".encode()

    def open(self) -> None:
        self.tick()
        self.state.ready = True
        for predictor in self.models.values():
            predictor.warm_up()

    def close(self) -> None:
        """Write the rest of the log and release the threads."""
        self.log.flush()
        self.readers.close()
        for predictor in self.models.values():
            predictor.close()


def _check_method(request: Request, allowed: tuple[str, ...]) -> None:
    if request.method not in allowed:
        expected = ", ".join(allowed)
        raise HTTPError(
            "E949",
            "This address does not accept this method",
            405,
            expected=expected,
            headers=((b"allow", expected.encode()),),
            method=request.method[:20],
        )
