"""Whole processes and single calls, measured: wall seconds, peak memory, medians with spread."""

import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENTS = Path(__file__).parent.parent / ".bench"


@dataclass(frozen=True)
class Process:
    """What one run of a program cost: wall seconds, peak resident memory, and the seconds that
    cores worked for it, its own processes included: under load those say more."""

    seconds: float
    peak_mb: float
    cpu_seconds: float = 0.0


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
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Process(seconds, usage.ru_maxrss / 1024, cpu_seconds)  # Linux counts in KiB


def busy_seconds() -> float:
    """The seconds that all cores together have worked since the start of the machine, for any
    program (Linux: proc(5), /proc/stat)."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return float((user + nice + system) / os.sysconf("SC_CLK_TCK"))


def environment(name: str, packages: Sequence[str]) -> Path | None:
    """A Python with these packages, made once under .bench; None where they cannot be had."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"Making the environment .bench/{name}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *packages]
        if subprocess.run(install, check=False).returncode:
            return None
        (folder / "ready").touch()
    return python


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
