"""Threads that read bodies: a thread cannot be stopped, so what it holds is counted to its end."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tenfold.core.processes import usable_cores
from tenfold.serve.admission import Admission

Read = TypeVar("Read")


class ReaderPool:
    """Two threads, or one on a single core, that all models share.

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
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call a function in the loop of the requests, from a thread."""
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(function)
