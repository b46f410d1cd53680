"""One process of a service that has several; `tenfold serve --workers N` starts it."""

import sys
from pathlib import Path

from tenfold.core.errors import TenfoldError
from tenfold.core.systems import take_over
from tenfold.serve.limits import Limits
from tenfold.serve.server import work
from tenfold.serve.supervisor import CANNOT_START, WorkerTask

if __name__ == "__main__":
    task = WorkerTask.receive()
    try:
        with take_over(task.listener) as listener:
            limits, runs = Limits.model_validate(task.limits), [Path(path) for path in task.runs]
            work(runs, listener, limits, task.access(), shares_port=True)
    except TenfoldError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        sys.exit(CANNOT_START)
