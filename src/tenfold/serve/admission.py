"""How much is taken on at once: requests, the bytes of their bodies, and threads that read them."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from tenfold.core.systems import usable_cores
from tenfold.serve.encodings import too_large
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError, Request

Read = TypeVar("Read")


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
        return self._full[limit, random.randint(1, 3)].with_traceback(None)

    def enter(self, request: Request, n_waiting: int) -> None:
        """Count a request for a model with so many items waiting, or refuse it unread."""
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
        """Count a part of a request's body: 413 and 503 beyond a limit."""
        request.parts.append(part)
        self.body_bytes += len(part)
        if request.n_received > self.limits.body_bytes:
            raise too_large(self.limits)
        if self.body_bytes > self.limits.bodies_bytes:
            raise self.full("bodies_bytes")

    def leave(self, request: Request) -> None:
        """Let go of a request that is answered, or whose client has left."""
        self.in_flight -= request.is_counted
        self.body_bytes -= sum(map(len, request.parts))
        request.is_counted = False
        request.parts.clear()


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
