"""A worker process: `python -m tenfold.experiments.sweeps.worker`.

It receives jobs, and sends epochs and which jobs are done.
"""

from dataclasses import asdict

from tenfold.core.errors import TenfoldError
from tenfold.core.processes import Parent
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.experiments.sweeps.trials import Job, run_trial
from tenfold.learners import LEARNERS
from tenfold.learners.jax_runtime import prepare


class _Reports(Listener):
    """Reports the epochs and warnings of a trial to the process that started this one."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._parent.send({"epoch": asdict(epoch), "n_epochs": n_epochs})

    def warn(self, text: str) -> None:
        self._parent.send({"warning": text})


def main() -> None:
    """Make trials until the input ends."""
    parent = Parent()
    listener = _Reports(parent)
    is_ready = False
    while True:
        job = Job.from_plain(parent.receive())
        if not is_ready and LEARNERS[job.record["learner"]].epochs:
            prepare()
            is_ready = True
        try:
            run_trial(job, listener)
            parent.send({"done": job.folder})
        except TenfoldError as error:  # nothing of the trial: the folder, the data, this process
            parent.send_error(error)


if __name__ == "__main__":
    main()
