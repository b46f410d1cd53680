"""Who makes the trials of a sweep: the interface, and processes of this computer.

The contract of an executor, for whoever writes another one (`experiments/ray/executor.py`):

- A job is a plain value (`Job.as_plain`, `Job.from_plain`); the work is `trials.run_trial(job)`, a
  function at module level, after `environment.check_process(job.learner)`. What becomes of a trial
  stands in files of its folder, written durably; nothing is returned. Doing a job twice, or again
  after a process died, changes nothing.
- Worker processes are started with `environment.ENVIRONMENT`, so that a trial computes with one
  thread wherever it runs; `check_process` refuses to work without. Give each worker one core.
- A process that made one trial is warm: JAX is imported, the rows are mapped and encoded, the
  programs of that `Job.kind` are compiled. So workers live on from trial to trial.
- `Job.folder` and `Job.data` are absolute paths. Workers that do not see them need the same files:
  `data` holds about what the rows take in memory, and may be copied anywhere (replace `job.data`).
- A trial that fails has said so in its own `run.json`: it is no matter of the executor. A worker
  that dies is: its job is given out again, at most `ATTEMPTS` times, then `Job.give_up` writes
  down why.
- KeyboardInterrupt leaves `run` at once; leaving the outermost `with` block ends the workers, so
  that one block around several sweeps keeps them for all. Trials under
  way stay behind as they are, and go on when they are asked for again.
"""

import queue
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, Self

from tenfold.core.errors import SettingsError
from tenfold.core.processes import Child, Inbox, Message, raise_error
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.systems import usable_cores
from tenfold.experiments.sweeps.environment import ENVIRONMENT
from tenfold.experiments.sweeps.job import Job

ATTEMPTS = 3
"""How often a job is given out whose worker dies: what kills three kills the fourth."""


class Executor(Protocol):
    """Makes trials. A context manager: workers live from `with` to its end."""

    n_workers: int
    """Trials made at once, at most; no trial's result depends on it."""

    def start(self, learners: Iterable[str], n_trials: int) -> None:
        """Get ready for so many trials of these learners, before any folder is made for them.

        Raises:
          BackendError: `environment.check_process` refuses one of the learners in a worker.
        """

    def run(
        self, jobs: Sequence[Job], listener: Listener, has_time: Callable[[], bool] = lambda: True
    ) -> Iterator[Job]:
        """Make the trials, in about this order.

        Args:
          jobs: What to make.
          listener: Is told of trials that start, of their epochs, and of warnings.
          has_time: Asked before each job is begun.

        Yields:
          Each job when it has ended; its folder says how. Once `has_time()` is false those that
          were begun are the last.

        Raises:
          FileError: A worker cannot write.
          KeyboardInterrupt: Ctrl-C.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def next_job(pending: Sequence[Job], last_kind: str | None, busy: set[str]) -> int:
    """Which job a free worker takes: the position in `pending`, which must not be empty.

    One of the kind it made last, whose programs it has; else the first of a kind that no other
    worker is compiling; else the first.
    """
    for wanted in (lambda job: job.kind == last_kind, lambda job: job.kind not in busy):
        for i, job in enumerate(pending):
            if wanted(job):
                return i
    return 0


def check_workers(n_workers: int | None) -> None:
    """Refuse fewer than one worker; None leaves the number to the executor."""
    if n_workers is not None and n_workers < 1:
        raise SettingsError(
            "E803", "There are too few workers", expected="1 or more", workers=n_workers
        )


class LocalProcesses:
    """Worker processes of this computer, one thread each; they end with the process that has them.

    They are programs of their own (`python -m tenfold.experiments.sweeps.worker`), told jobs as
    lines of JSON: nothing of the caller's is imported again, and no pickle is read.

    Attributes:
      n_workers: Processes; None: one for each core that this process may use.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        check_workers(n_workers)
        self.n_workers = n_workers or usable_cores()
        self._workers: list[_Worker] = []
        self._n_entered = 0
        self._inbox: Inbox = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._n_entered += 1
        return self

    def __exit__(self, *error: object) -> None:
        """Workers end with the outermost block: one around several sweeps keeps them warm. Those
        with a trial under way, after Ctrl-C, end at once."""
        self._n_entered -= 1
        for worker in list(self._workers):
            if self._n_entered == 0 or worker.job is not None:
                self._end(worker.child)

    def start(self, learners: Iterable[str], n_trials: int) -> None:
        self._start_workers(n_trials)
        waiting = {worker.child for worker in self._workers}
        answers: list[Message] = []
        for child in waiting:
            child.send({"check": list(learners)})
        while waiting:
            child, message = self._inbox.get()
            if message is None:  # `run` starts another one
                self._end(child)
            elif child in waiting:
                answers.append(message)
            waiting.discard(child)
        for message in answers:
            raise_error(message)

    def _start_workers(self, n_jobs: int) -> None:
        while len(self._workers) < min(self.n_workers, n_jobs):
            self._workers.append(_Worker(self._inbox))

    def run(
        self, jobs: Sequence[Job], listener: Listener, has_time: Callable[[], bool] = lambda: True
    ) -> Iterator[Job]:
        pending, attempts = list(jobs), Counter[str]()
        while True:
            n_busy = sum(worker.job is not None for worker in self._workers)
            self._start_workers(n_busy + len(pending))
            for worker in self._workers:
                if worker.job is None and pending and has_time():
                    busy = {other.job.kind for other in self._workers if other.job is not None}
                    job = pending.pop(next_job(pending, worker.last_kind, busy))
                    attempts[job.folder] += 1
                    listener.trial_started(job.name)
                    worker.give(job)
            if all(worker.job is None for worker in self._workers):
                return
            child, message = self._inbox.get()
            speaker = next((worker for worker in self._workers if worker.child is child), None)
            if speaker is None:
                continue  # the last words of one that is gone already
            if message is not None:
                if (ended := speaker.hear(message, listener)) is not None:
                    yield ended
                continue
            unfinished, how = speaker.job, self._end(child)
            if unfinished is None:
                continue  # it died while it waited for a job
            why = f"the worker process died ({how})"
            if attempts[unfinished.folder] < ATTEMPTS:
                listener.warn(f"{unfinished.name}: {why}; it is made again")
                pending.insert(0, unfinished)
            else:
                unfinished.give_up(f"{why}, {ATTEMPTS} times")
                yield unfinished

    def _end(self, child: Child) -> str:
        self._workers = [worker for worker in self._workers if worker.child is not child]
        return child.end()


class _Worker:
    """A process that makes trials, the job it is at, and the kind of the job before."""

    def __init__(self, inbox: Inbox) -> None:
        self.child = Child("tenfold.experiments.sweeps.worker", (), ENVIRONMENT, inbox)
        self.job: Job | None = None
        self.last_kind: str | None = None

    def give(self, job: Job) -> None:
        self.job = job
        self.child.send({"job": job.as_plain()})

    def hear(self, message: Message, listener: Listener) -> Job | None:
        """Pass a message on; returns the job if it has ended."""
        job = self.job
        if job is None:
            return None
        if "epoch" in message:
            listener.trial_epoch(job.name, Epoch(**message["epoch"]), message["n_epochs"])
            return None
        if "warning" in message:
            listener.warn(f"{job.name}: {message['warning']}")
            return None
        self.job = None
        raise_error(message)
        self.last_kind = job.kind
        return job
