"""A worker process: `python -m tenfold.experiments.sweeps.worker`.

It receives jobs, and reports epochs and finished jobs.
"""

from dataclasses import asdict

from tenfold.core.errors import TenfoldError
from tenfold.core.processes import Parent
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.experiments.sweeps.environment import check_process
from tenfold.experiments.sweeps.job import Job
from tenfold.experiments.sweeps.trials import run_trial


class _Reports(Listener):
    """Reports the epochs and warnings of a trial to the parent process."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._parent.send({"epoch": asdict(epoch), "n_epochs": n_epochs})

    def warn(self, text: str) -> None:
        self._parent.send({"warning": text})


def main() -> None:
    parent = Parent()
    listener = _Reports(parent)
    while True:
        message = parent.receive()
        try:
            if "check" in message:
                for learner in message["check"]:
                    check_process(learner)
                parent.send({"checked": message["check"]})
            else:
                job = Job.from_plain(message["job"])
                check_process(job.learner)
                run_trial(job, listener)
                parent.send({"done": job.folder})
        except TenfoldError as error:  # of the folder, the data or this process
            parent.send_error(error)


if __name__ == "__main__":
    main()
