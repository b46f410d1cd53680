"""How much the service works on at once: requests, bytes of bodies, and threads that read them."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from tenfold.core.systems import usable_cores
from tenfold.serve.limits import Limits, too_large
from tenfold.serve.messages import HTTPError, Request

Read = TypeVar("Read")


class Admission:
    """Counts the requests that are being received or answered, and refuses those beyond a limit.

    `body_bytes` counts the bodies of these requests, and those that a thread is still reading.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.body_bytes = 0
        self._full = {  # made in advance: they are needed when the service is busy
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
        """The refusal of a request beyond a limit.

        `Retry-After` is random, so that refused clients do not all come back at the same moment.
        """
        return self._full[limit, random.randint(1, 3)].with_traceback(None)

    def enter(self, request: Request, n_waiting: int) -> None:
        """Count a request for a model with `n_waiting` items in its queue, or refuse it unread."""
        if self.in_flight >= self.limits.in_flight:
            raise self.full("in_flight")
        if n_waiting >= self.limits.queue:
            raise self.full("queue")
        stated = request.headers.get(b"content-length", b"0")
        if stated.isdigit() and int(stated[:20]) > self.limits.body_bytes:
            raise too_large(self.limits)
        request.is_counted = True
        self.in_flight += 1

    def add(self, request: Request, part: bytes) -> None:
        """Count a part of a request's body; beyond a limit the request is refused (413 or 503)."""
        request.parts.append(part)
        self.body_bytes += len(part)
        if request.n_received > self.limits.body_bytes:
            raise too_large(self.limits)
        if self.body_bytes > self.limits.bodies_bytes:
            raise self.full("bodies_bytes")

    def leave(self, request: Request) -> None:
        """Release a request that was answered, or whose client has gone."""
        self.in_flight -= request.is_counted
        self.body_bytes -= sum(map(len, request.parts))
        request.is_counted = False
        request.parts.clear()


class ReaderPool:
    """The threads that read bodies for all models: two, or one on a single core.

    A body waits for a free thread outside the queue of the threads, so that an abandoned request
    releases its body at once. A thread cannot be stopped: the body that it is reading is held, and
    counted, until it is done.
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
        """Call a function when a thread is free, without waiting for it."""
        self._threads.submit(function, *arguments)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function in the event loop, from another thread."""
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(function)
