"""Whole processes and single calls, measured: wall seconds, peak memory, medians with spread."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """What one run of a program cost: wall seconds and peak resident memory."""

    seconds: float
    peak_mb: float


def run_process(command: Sequence[str | Path], cwd: Path) -> Process:
    """Run a program to its end, quietly.

    Raises:
      RuntimeError: It failed; the message holds the end of what it printed.
    """
    start = time.perf_counter()
    log = cwd / "process.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{command[0]} failed:\n{log.read_text(errors='replace')[-2000:]}")
    return Process(seconds, usage.ru_maxrss / 1024)  # Linux counts in KiB


def time_calls(call: Callable[[], object], n: int) -> list[float]:
    """Seconds of each of `n` calls, after as many unmeasured ones (at most 1,000)."""
    for _ in range(min(n, 1000)):
        call()
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def spread(values: Sequence[float], digits: int = 1, unit: str = "") -> str:
    """Median with the smallest and the largest value, as `3.1 s (2.9 to 3.4)`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"
