"""Executors run the trials of a sweep: the interface, and one that uses local processes.

An executor must follow this contract (see also `experiments/ray/executor.py`):

- A job is a plain value (`Job.as_plain`, `Job.from_plain`). The work is `trials.run_trial(job)`, a
  module-level function, after `environment.check_process(job.learner)`. It returns nothing: all
  results of a trial are files in its folder, written durably. Running a job twice, or again after a
  process died, changes nothing.
- Worker processes are started with `environment.ENVIRONMENT`, so that a trial uses one thread
  wherever it runs; otherwise `check_process` refuses to work. Give each worker one core.
- A process that has run a trial is warm: JAX is imported, the rows are mapped and encoded, and the
  programs of that `Job.kind` are compiled. Therefore workers are kept from trial to trial.
- `Job.folder` and `Job.data` are absolute paths. Workers that cannot see them need copies: `data`
  is about as large as the rows in memory and may be copied anywhere (replace `job.data`).
- A trial that fails records this in its own `run.json`, so that the executor need not handle it. If
  a worker dies, the executor runs its job again, at most `ATTEMPTS` times in all, and then calls
  `Job.give_up` with the reason.
- KeyboardInterrupt leaves `run` at once. The workers end with the outermost `with` block, so that
  one block around several sweeps keeps them for all. Unfinished trials stay as they are, and resume
  when they are requested again.
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
"""Maximum number of attempts at a job whose worker dies. A job that has killed three workers would
kill a fourth."""


class Executor(Protocol):
    """Runs trials. It is a context manager: workers exist from the start of `with` to its end."""

    n_workers: int
    """Maximum number of trials that run at once. No result depends on it."""

    def start(self, learners: Iterable[str], n_trials: int) -> None:
        """Prepare for this many trials of these learners, before any folder is created for them.

        Raises:
          BackendError: `environment.check_process` fails for one of the learners in a worker.
        """

    def run(
        self, jobs: Sequence[Job], listener: Listener, has_time: Callable[[], bool] = lambda: True
    ) -> Iterator[Job]:
        """Run the trials, in about this order.

        Args:
          jobs: The trials to run.
          listener: It is told about trials that start, their epochs, and warnings.
          has_time: It is called before each job is started.

        Yields:
          Each job when it has ended; its folder contains the result. Once `has_time()` is false, no
          further job is started.

        Raises:
          FileError: A worker cannot write a file.
          KeyboardInterrupt: Ctrl-C was pressed.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def next_job(pending: Sequence[Job], last_kind: str | None, busy: set[str]) -> int:
    """Choose the job for a free worker: its position in `pending`, which must not be empty.

    A job of the kind that the worker ran last is preferred, because its programs are compiled. The
    second choice is a job of a kind that no other worker is compiling, and the third is the first
    job.
    """
    for wanted in (lambda job: job.kind == last_kind, lambda job: job.kind not in busy):
        for i, job in enumerate(pending):
            if wanted(job):
                return i
    return 0


def check_workers(n_workers: int | None) -> None:
    """Refuse fewer than one worker. None leaves the number to the executor."""
    if n_workers is not None and n_workers < 1:
        raise SettingsError(
            "E803", "There are too few workers", expected="1 or more", workers=n_workers
        )


class LocalProcesses:
    """Worker processes of this computer with one thread each. They end when this process ends.

    They are separate programs (`python -m tenfold.experiments.sweeps.worker`) that receive jobs as
    lines of JSON: no module of the caller is imported again, and no pickle is read.

    Attributes:
      n_workers: Number of processes. None: one for each core that this process may use.
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
        """End the workers when the outermost block ends, so that a block around several sweeps
        reuses them. After Ctrl-C, workers that are running a trial are ended at once."""
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
            if message is None:  # `run` starts another worker
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
                continue  # the last message of a worker that is already gone
            if message is not None:
                if (ended := speaker.hear(message, listener)) is not None:
                    yield ended
                continue
            unfinished, how = speaker.job, self._end(child)
            if unfinished is None:
                continue  # it died while it was waiting for a job
            why = f"the worker process died ({how})"
            if attempts[unfinished.folder] < ATTEMPTS:
                listener.warn(f"{unfinished.name}: {why}; the trial starts again")
                pending.insert(0, unfinished)
            else:
                unfinished.give_up(f"{why}, {ATTEMPTS} times")
                yield unfinished

    def _end(self, child: Child) -> str:
        self._workers = [worker for worker in self._workers if worker.child is not child]
        return child.end()


class _Worker:
    """A process that runs trials, its current job, and the kind of its previous job."""

    def __init__(self, inbox: Inbox) -> None:
        self.child = Child("tenfold.experiments.sweeps.worker", (), ENVIRONMENT, inbox)
        self.job: Job | None = None
        self.last_kind: str | None = None

    def give(self, job: Job) -> None:
        self.job = job
        self.child.send({"job": job.as_plain()})

    def hear(self, message: Message, listener: Listener) -> Job | None:
        """Forward a message to the listener. Returns the job if it has ended."""
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
