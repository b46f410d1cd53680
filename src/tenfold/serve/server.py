"""The server under the service: uvicorn, with the deadlines that it lacks and an end in order."""

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from tenfold.runs import Run
from tenfold.serve.application import build
from tenfold.serve.gate import Doors, Gate
from tenfold.serve.limits import Limits


def serve(runs: list[Path], host: str, port: int, limits: Limits, doors: Doors) -> None:
    """Answer requests until a signal says to leave."""
    gate = build([Run.open(path) for path in runs], limits, doors)
    gate.state.ready = True
    config = uvicorn.Config(
        gate, host, port, loop="uvloop", http="httptools", ws="none", lifespan="off",
        log_config=None, access_log=False, proxy_headers=False, server_header=False,
    )  # fmt: skip
    print(f"tenfold: http://{host}:{port}", file=sys.stderr)
    uvicorn.Server(config).run()
