"""How much is taken on at once: requests, the bytes of their bodies, and threads that read them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from tenfold.core.systems import usable_cores
from tenfold.serve.limits import Limits
from tenfold.serve.replies import HTTPError

Read = TypeVar("Read")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Admission:
    """Counts what is being received, read and answered, and refuses what is too much.

    `body_bytes` are those of the requests in flight, and of bodies that a thread still reads.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.body_bytes = 0
        self._full = {  # made once, for they are needed when there is no time
            (limit, seconds): HTTPError(
                "E944",
                "The service is busy",
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
        """The whole body: 408 if its end does not come, 413 and 503 beyond a limit."""
        admission, limits = self._admission, self._admission.limits
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated[:20]) > limits.body_bytes:
            raise _too_large(limits)
        parts: list[bytes] = []
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise HTTPError(
                    "E945", "The body of the request is incomplete", 408, expected="all of it"
                )
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
    return HTTPError(
        "E946",
        "The body of the request is too large",
        413,
        expected=f"at most {limits.body_bytes} bytes",
    )


class ReaderPool:
    """Two threads that read bodies, or one on a single core, which all models share.

    A thread cannot be stopped: what it holds is counted to its end.

    A body waits for a free thread outside of their queue, so that a request that is given up lets
    go of it at once. Only what a thread works on is held longer.
    """

    def __init__(self, admission: Admission) -> None:
        n_threads = min(2, usable_cores())
        self._admission = admission
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="reader")
        self._free = asyncio.Semaphore(n_threads)

    async def read(self, function: Callable[..., Read], body: bytes, *arguments: Any) -> Read:
        """`function(body, *arguments)` in a thread."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        job = self._threads.submit(function, body, *arguments)
        job.add_done_callback(lambda _: _tell(loop, self._free.release))
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            self._count_until_done(job, len(body), loop)
            raise
        finally:
            del job  # an error that it holds would hold this frame, and with it the body

    def _count_until_done(
        self, job: Future[Any], n_bytes: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        def forget() -> None:
            self._admission.body_bytes -= n_bytes

        self._admission.body_bytes += n_bytes
        job.add_done_callback(lambda _: _tell(loop, forget))

    def run(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Do something once a thread is free; nobody waits for it."""
        self._threads.submit(function, *arguments)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function in the loop of the requests, from a thread."""
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(function)
