"""One of several processes of a service, as `tenfold serve --workers N` starts it."""

import gc
import sys
from pathlib import Path

from tenfold.core.errors import TenfoldError
from tenfold.core.systems import take_over
from tenfold.serve.supervisor import CANNOT_START, WorkerTask


def answer(task: WorkerTask) -> None:
    """Answer requests until the supervisor tells this process to leave."""
    # These imports take seconds on a busy machine. They come after the task was received, because
    # from then on the process notices the end of its supervisor.
    from tenfold.serve.limits import Limits
    from tenfold.serve.server import work

    with take_over(task.listener) as listener:
        limits, runs = Limits.model_validate(task.limits), [Path(path) for path in task.runs]
        work(runs, listener, limits, task.access(), shares_port=True)


if __name__ == "__main__":
    gc.set_threshold(100_000, 20, 100)  # as in the command line
    try:
        answer(WorkerTask.receive())
    except TenfoldError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        sys.exit(CANNOT_START)
