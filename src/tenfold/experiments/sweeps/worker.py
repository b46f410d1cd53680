"""A worker process: `python -m tenfold.experiments.sweeps.worker`.

Jobs in, a line each; what happens out. It ends when its input does: with the process
that started it, however that ended.
"""

import json
import os
import queue
import sys
import threading
from typing import Any

from tenfold.core.errors import TenfoldError
from tenfold.experiments.sweeps.trials import Job, run_trial
from tenfold.learners.architectures import prepare


def main() -> None:
    """Make trials until the input ends."""
    # What a library prints must not stand between our lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()

    def say(**facts: Any) -> None:
        out.write(json.dumps(facts) + "\n")

    def report(epoch: int, n_epochs: int, score: float | None) -> None:
        say(epoch=epoch, n_epochs=n_epochs, score=score)

    is_ready = False
    while True:
        job = jobs.get()
        if not is_ready and job.record["learner"] in ("network", "cnn"):
            prepare()
            is_ready = True
        try:
            run_trial(job, report)
            say(done=job.folder)
        except TenfoldError as error:  # nothing of the trial: the folder, the data, this process
            say(error=type(error).__name__, text=str(error))


def _listen(jobs: "queue.SimpleQueue[Job]") -> None:
    """Read jobs while others are made; the end of the input is the end of the process."""
    for line in sys.stdin:
        jobs.put(Job.from_plain(json.loads(line)))
    os._exit(0)


if __name__ == "__main__":
    main()
