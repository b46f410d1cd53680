"""Who makes the trials of a sweep: the interface, and processes of this computer.

The contract of an executor, for whoever writes another one (`experiments/ray.py`):

- A job is a plain value (`Job.as_plain`, `Job.from_plain`); the work is `trials.run_trial(job)`, a
  function at module level. What becomes of a trial stands in files of its folder, written
  durably; nothing is returned. Doing a job twice, or again after a process died, changes nothing.
- Worker processes are started with `trials.ENVIRONMENT`, so that a trial computes with one thread
  wherever it runs; `run_trial` refuses to work without. Give each worker one core.
- A process that made one trial is warm: Keras is imported, the rows are mapped and encoded, the
  programs of that `Job.kind` are compiled. So workers live on from trial to trial.
- `Job.folder` and `Job.data` are absolute paths. Workers that do not see them need the same files:
  `data` holds about what the rows take in memory, and may be copied anywhere (replace `job.data`).
- A trial that fails has said so in its own `run.json`: it is no matter of the executor. A worker
  that dies is: its job is given out again, at most `ATTEMPTS` times, then `trials.give_up` writes
  down why.
- `run` begins no job any more once `go_on()` is false, and ends when those begun have ended.
- KeyboardInterrupt leaves `run` at once; leaving the outermost `with` block ends the workers, so
  that one block around several sweeps keeps them for all. Trials under
  way stay behind as they are, and go on when they are asked for again.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, Self

from tenfold.core import errors
from tenfold.core.errors import FileError, SettingsError, message
from tenfold.core.processes import python_path, usable_cores
from tenfold.experiments.sweeps.trials import ENVIRONMENT, Job, give_up

ATTEMPTS = 3
"""How often a job is given out whose worker dies: what kills three kills the fourth."""


class Watch(Protocol):
    """Who sees the trials as they are made."""

    def started(self, job: Job) -> None:
        """A worker took the job; again after a worker died."""

    def epoch(self, job: Job, epoch: int, n_epochs: int, score: float | None) -> None:
        """An epoch ended; `score` is that of the validation rows. An executor may leave it out."""

    def ended(self, job: Job) -> None:
        """The folder says how: read its `run.json`."""

    def warn(self, text: str) -> None:
        """Something the user should know: one line."""


class Executor(Protocol):
    """Makes trials. A context manager: workers live from `with` to its end."""

    n_workers: int
    """Trials made at once, at most; no trial's result depends on it."""

    def run(
        self, jobs: Sequence[Job], watch: Watch, go_on: Callable[[], bool] = lambda: True
    ) -> None:
        """Make the trials, in about this order, and return when all have ended.

        Args:
          jobs: What to make.
          watch: Sees it; called in this thread alone.
          go_on: Asked before each job is begun.

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


class LocalProcesses:
    """Worker processes of this computer, one thread each; they end with the process that has them.

    They are programs of their own (`python -m tenfold.experiments.sweeps.worker`), told jobs as
    lines of JSON: nothing of the caller's is imported again, and no pickle is read.

    Attributes:
      n_workers: Processes; None: one for each core that this process may use.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        if n_workers is not None and n_workers < 1:
            raise SettingsError(message("Too few", expected="1 or more", workers=n_workers))
        self.n_workers = n_workers or usable_cores()
        self._workers: list[_Worker] = []
        self._n_entered = 0
        self._heard: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._n_entered += 1
        return self

    def __exit__(self, *error: object) -> None:
        """Workers end with the outermost block: one around several sweeps keeps them warm. Those
        with a trial under way, after Ctrl-C, end at once."""
        self._n_entered -= 1
        for worker in list(self._workers):
            if self._n_entered == 0 or worker.job is not None:
                worker.end()
                self._workers.remove(worker)

    def run(
        self, jobs: Sequence[Job], watch: Watch, go_on: Callable[[], bool] = lambda: True
    ) -> None:
        pending, attempts = list(jobs), dict.fromkeys((job.folder for job in jobs), 0)
        while len(self._workers) < min(self.n_workers, len(pending)):
            self._workers.append(_Worker(self._heard))
        while True:
            for worker in self._workers:
                if worker.job is None and pending and go_on():
                    busy = {other.job.kind for other in self._workers if other.job is not None}
                    job = pending.pop(next_job(pending, worker.last_kind, busy))
                    attempts[job.folder] += 1
                    watch.started(job)
                    worker.give(job)
            if all(worker.job is None for worker in self._workers):
                return
            worker, said = self._heard.get()
            if worker not in self._workers:
                continue  # the last words of one that is gone already
            if worker.job is None:
                if said is None:  # it died while it waited for a job
                    worker.end()
                    self._workers[self._workers.index(worker)] = _Worker(self._heard)
                continue
            self._hear(worker, worker.job, said, pending, attempts, watch)

    def _hear(
        self,
        worker: "_Worker",
        job: Job,
        said: dict[str, Any] | None,
        pending: list[Job],
        attempts: dict[str, int],
        watch: Watch,
    ) -> None:
        """What a worker said, or that it died."""
        if said is None:
            why = worker.end()
            self._workers[self._workers.index(worker)] = _Worker(self._heard)
            if attempts[job.folder] < ATTEMPTS:
                watch.warn(f"{job.name}: {why}; it is made again")
                pending.insert(0, job)
                return
            give_up(job, f"{why}, {ATTEMPTS} times")
            watch.ended(job)
        elif "epoch" in said:
            watch.epoch(job, said["epoch"], said["n_epochs"], said["score"])
        elif "error" in said:
            worker.job = None
            kind = getattr(errors, said["error"], FileError)
            raise kind(said["text"])
        else:
            worker.job, worker.last_kind = None, job.kind
            watch.ended(job)


class _Worker:
    """One process, the job it is at, and a thread that listens to it."""

    def __init__(self, heard: "queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]") -> None:
        self.job: Job | None = None
        self.last_kind: str | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tenfold.experiments.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is ours to hear
        )
        threading.Thread(target=self._listen, args=(heard,), daemon=True).start()

    def _listen(self, heard: "queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]") -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            heard.put((self, json.loads(line)))
        heard.put((self, None))

    def give(self, job: Job) -> None:
        self.job = job
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died; the listener says so
            self._process.stdin.write(json.dumps(job.as_plain()).encode() + b"\n")
            self._process.stdin.flush()

    def end(self) -> str:
        """End the process if it lives; returns how it ended."""
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError, AttributeError):
                pipe.close()  # type: ignore[union-attr]
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        self._log.close()
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return f"the worker process died ({how})" + (f": {lines[-1]}" if lines else "")


def _environment() -> dict[str, str]:
    """The environment of a worker: one thread, and the Tenfold of this process."""
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": python_path()}
