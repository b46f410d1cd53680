"""Trials as tasks of a Ray cluster: an executor for `sweep` and `compare`."""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from tenfold.core import files
from tenfold.core.errors import BackendError, FileError
from tenfold.core.installation import version_of
from tenfold.core.progress import Listener
from tenfold.experiments.ray.connection import (
    LOCAL,
    cluster_errors,
    connect,
    first_line,
    task_error,
)
from tenfold.experiments.ray.shipped_rows import Shipped, key_of, rows_here, ship
from tenfold.experiments.sweeps.environment import check_process
from tenfold.experiments.sweeps.executors import ATTEMPTS, check_workers
from tenfold.experiments.sweeps.job import Job
from tenfold.experiments.sweeps.trials import run_trial

LOOK_SECONDS = 1.0
"""Seconds between two checks of the machines of the cluster."""

Files = dict[str, bytes]


class RayCluster:
    """Runs trials as tasks of one core each on all machines of a Ray cluster. See `Executor`.

    If a worker or a machine is lost, Ray runs its task again, at most `ATTEMPTS` times in all. The
    trial starts from the beginning, because its checkpoints are lost. Machines may join and leave
    while a sweep runs. Epochs are not reported.

    Attributes:
      n_workers: Maximum number of trials at once, which is the number of cores of the cluster when
        it was joined.
    """

    def __init__(self, address: str, n_workers: int | None = None) -> None:
        """Choose the cluster. `with` starts or joins it.

        `local` starts Ray on this computer. Otherwise give the HOST:PORT of a cluster that this
        computer belongs to, or `auto`. At most `n_workers` cores are used.
        """
        check_workers(n_workers)
        self._address, self._limit = address, n_workers
        self.n_workers = n_workers or 1
        self._shipped: dict[str, tuple[str, Shipped]] = {}
        self._alive = self._n_entered = 0

    def __enter__(self) -> Self:
        self._n_entered += 1
        if self._n_entered == 1:
            self._ray = connect(self._address, self._limit)
            self._shipped.clear()  # rows that were stored in an earlier cluster
            self._alive = 0
            self._check = self._ray.remote(num_cpus=1)(_check_there)
            self._make = self._ray.remote(
                num_cpus=1, max_retries=ATTEMPTS - 1, retry_exceptions=[FileError]
            )(_make_there)
            self.n_workers = self._slots()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the cluster when the outermost block ends. The tasks of this driver then end,
        too."""
        self._n_entered -= 1
        if self._n_entered == 0:
            self._ray.shutdown()

    def start(self, learners: Iterable[str], n_trials: int) -> None:
        with cluster_errors():
            self._ray.get(self._check.remote(list(learners)))

    def run(
        self, jobs: Sequence[Job], listener: Listener, has_time: Callable[[], bool] = lambda: True
    ) -> Iterator[Job]:
        pending, running = deque(jobs), dict[Any, Job]()
        looked, slots = 0.0, 1
        while True:
            if time.monotonic() - looked > LOOK_SECONDS:
                looked, slots = time.monotonic(), self._slots()
                self._count_machines(listener)
            while pending and len(running) < slots and has_time():
                job = pending.popleft()
                listener.trial_started(job.name)
                running[self._make.remote(job.as_plain(), *self._rows_of(job.data))] = job
            if not running:
                return
            refs = list(running)
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)
            if ready:
                ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
            for ref in ready:
                job = running.pop(ref)
                self._end(job, ref)
                yield job

    def _slots(self) -> int:
        n_cores = int(self._ray.cluster_resources().get("CPU", 0))
        return max(1, min(n_cores, self._limit or n_cores))

    def _count_machines(self, listener: Listener) -> None:
        """Warn if machines were lost. Their trials start again elsewhere."""
        n_alive = sum(node["Alive"] for node in self._ray.nodes())
        if n_alive < self._alive:
            lost = self._alive - n_alive
            listener.warn(f"{lost} of {self._alive} machines lost: their trials start again")
        self._alive = n_alive

    def _rows_of(self, folder: str) -> tuple[str, Shipped]:
        """Return the key of the rows, and references to their parts in Ray's store, into which they
        are put once.

        The parts are in a list, because Ray would otherwise fetch them for every task.
        """
        if folder not in self._shipped:
            path = Path(folder)
            shipped = [] if self._address == LOCAL else ship(path, self._ray.put)
            self._shipped[folder] = key_of(path), shipped
        return self._shipped[folder]

    def _end(self, job: Job, ref: Any) -> None:
        """Write the files of a task, or the reason why there are none."""
        try:
            keep(job, self._ray.get(ref))
        except self._ray.exceptions.RayTaskError as error:
            raise task_error(error) from error
        except self._ray.exceptions.RayError as error:
            job.give_up(f"its worker died, {ATTEMPTS} times: {first_line(error)}")


def _check_there(learners: list[str]) -> None:
    """Check that a process of the cluster can run trials of these learners."""
    for learner in learners:
        check_process(learner)


def _make_there(plain: dict[str, Any], key: str, shipped: Shipped) -> Files:
    """Run a trial in a folder of this machine, and return its files."""
    import ray

    job = Job.from_plain(plain)
    check_versions(job.record["versions"])
    check_process(job.learner)
    data = rows_here(Path(job.data), key, shipped, ray.get)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        folder = Path(name) / job.name
        run_trial(replace(job, folder=str(folder), data=str(data)))
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def check_versions(versions: Mapping[str, str]) -> None:
    """Refuse to compute with other versions than the driver's, because the last bits of the results
    would differ."""
    here = {name: version_of(name) for name in versions if name != "python"}
    if other := [f"{name} {own}" for name, own in here.items() if own != versions[name]]:
        wanted = ", ".join(f"{name} {versions[name]}" for name in here)
        raise BackendError(
            "E906",
            "A worker has other versions of the libraries",
            expected=wanted,
            fix="Install the same versions on all machines",
            found=", ".join(other),
        )


def keep(job: Job, made: Files) -> None:
    """Write the files of a trial into its folder, unless it has already ended there.

    `run.json` is written last. If the driver dies before that, the trial is not regarded as
    finished.
    """
    folder = job.begin().path
    with files.locked(folder):
        if not job.has_ended():
            for name in sorted(made, key=lambda name: name == "run.json"):
                files.write_bytes(folder / name, made[name])
