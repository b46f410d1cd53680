"""One process of a service that has several; `tenfold serve --workers N` starts it."""

import socket
import sys
from pathlib import Path

from tenfold.core.errors import TenfoldError
from tenfold.serve.limits import Limits
from tenfold.serve.server import work
from tenfold.serve.supervisor import CANNOT_START, WorkerTask

if __name__ == "__main__":
    task = WorkerTask.read(sys.argv[1])
    try:
        with socket.socket(fileno=task.listener_fd) as listener:
            limits = Limits.model_validate(task.limits)
            work([Path(path) for path in task.runs], listener, limits, task.access())
    except TenfoldError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        sys.exit(CANNOT_START)
