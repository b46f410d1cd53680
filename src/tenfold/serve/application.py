"""The service put together: models and pages, and what every request passes before them."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

from tenfold.core.errors import SettingsError
from tenfold.runs.record import Run
from tenfold.serve.access import AccessPolicy
from tenfold.serve.access_log import AccessLog
from tenfold.serve.admission import Admission, ReaderPool
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError, Reply, Request, WebPage
from tenfold.serve.metrics import Metrics
from tenfold.serve.pages import ServiceState, make_pages
from tenfold.serve.predictor import Predictor

NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
"""Names that an address can have, as UTF-8 with `%20` for a blank: no control characters in them,
and no bytes that are not text (surrogates, as Python reads them)."""

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

ALWAYS = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"


@dataclass(eq=False)
class Application:
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

    def admit(self, request: Request) -> None:
        """Let in a request whose body has not come yet, or refuse it."""
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
                expected="one of the addresses in /docs",
            )

    async def answer(self, request: Request) -> Reply:
        """The answer to a request that was let in, and has come whole."""
        try:
            if page := self.pages.get(request.path):
                return await asyncio.to_thread(page.make) if page.is_slow else page.make()
            async with asyncio.timeout(self.admission.limits.answer_seconds):
                predictor = self.predictors[request.path]
                answered = await predictor.answer(request.media_type, request.body())
            request.items, request.fault = answered.n_items, answered.fault
            return answered.reply
        except HTTPError as error:
            return error.reply
        except TimeoutError:
            return self.admission.full("answer_seconds").reply
        except Exception as error:  # a fault of ours: its kind is written down, nothing is told
            request.fault = type(error).__name__
            return HTTPError("E947", "The service failed", 500).reply

    def finish(self, request: Request, reply: Reply, *, closes: bool) -> bytes:
        """Let go of a request, write down what became of it, and write its answer."""
        number = self.log.next_id()
        if request.method and (request.is_counted or reply.status != 503):
            seconds = time.perf_counter() - request.start
            self.metrics.request(request.route, reply.status, seconds)
            self.log.write(request, number, reply.status, seconds)
        else:  # refused unread: many of them share a line
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
        """What is to be done a few times in a second."""
        self.state.date = f"date: {formatdate(usegmt=True)}\r\n".encode()

    def open(self) -> None:
        self.tick()
        self.state.ready = True
        for predictor in set(self.predictors.values()):
            predictor.warm_up()

    def close(self) -> None:
        """Write what is left of the log and let go of the threads."""
        self.log.flush()
        self.readers.close()
        for predictor in set(self.predictors.values()):
            predictor.close()


def build(runs: Sequence[Run], limits: Limits, access: AccessPolicy) -> Application:
    """The application over some runs; the first one answers where none is named."""
    metrics, state, admission = Metrics(), ServiceState(), Admission(limits)
    readers = ReaderPool(admission)
    predictors: dict[str, Predictor] = {}
    for run in runs:
        name = run.path.resolve().name
        if not NAME.fullmatch(name) or name in predictors:
            raise SettingsError(
                "E915",
                "The name of a run cannot be used in an address",
                where=run.path,
                expected="printable text, each name once",
                fix="Rename its folder",
                name=name,
            )
        predictors[name] = Predictor(run, limits, metrics, readers)
    metrics.gauge(
        "tenfold_in_flight", "Requests being received or answered", lambda: admission.in_flight
    )
    metrics.gauge(
        "tenfold_ready", "1 while the service is ready", lambda: state.ready and not state.leaving
    )
    by_path = {f"/v1/models/{name}/predict": predictor for name, predictor in predictors.items()}
    by_path["/v1/predict"] = next(iter(predictors.values()))
    pages = make_pages(predictors, state, metrics, limits)
    return Application(by_path, pages, access, admission, readers, metrics, state)


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
