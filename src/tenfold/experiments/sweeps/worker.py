"""A worker process: `python -m tenfold.experiments.sweeps.worker`.

It receives jobs, and sends epochs and which jobs are done.
"""

from tenfold.core.errors import TenfoldError
from tenfold.core.processes import Parent
from tenfold.experiments.sweeps.trials import Job, run_trial
from tenfold.learners.architectures import prepare


def main() -> None:
    """Make trials until the input ends."""
    parent = Parent()

    def report(epoch: int, n_epochs: int, score: float | None) -> None:
        parent.send({"epoch": epoch, "n_epochs": n_epochs, "score": score})

    is_ready = False
    while True:
        job = Job.from_plain(parent.receive())
        if not is_ready and job.record["learner"] in ("network", "cnn"):
            prepare()
            is_ready = True
        try:
            run_trial(job, report)
            parent.send({"done": job.folder})
        except TenfoldError as error:  # nothing of the trial: the folder, the data, this process
            parent.send_error(error)


if __name__ == "__main__":
    main()
