"""`tenfold doctor`: checks this computer and this installation."""

import csv
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from typing import NamedTuple

import numpy as np

from tenfold.core.errors import BackendError
from tenfold.core.installation import (
    BOTH_INSTALLED,
    FULL,
    adding,
    distribution,
    distributions,
    is_importable,
)
from tenfold.core.systems import usable_cores
from tenfold.core.version import __version__
from tenfold.data import catalog
from tenfold.learners.jax_runtime import check_compiler, devices

SIDE = 1024
"""Rows and columns of the matrices that are multiplied."""

MULTIPLICATIONS, SECONDS = 10, 1.0
"""Maximum number and total time of repetitions. The fastest one is reported, because the first one
starts threads and others may be disturbed."""

IN_A_ROW = 3
"""Number of libraries in each line of the output."""


class Requirement(NamedTuple):
    """A line `Requires-Dist` of a package, such as `pyarrow>=20; extra == 'parquet'`.

    `least` is the oldest sufficient version, or () for any. `extra` is None if it is always needed.
    """

    name: str
    least: tuple[int, ...]
    extra: str | None

    @property
    def text(self) -> str:
        return self.name + (f">={'.'.join(map(str, self.least))}" if self.least else "")

    @property
    def installed(self) -> str | None:
        """The installed version. None: it is not installed."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    @property
    def state(self) -> str:
        """The problem, if the requirement is not met."""
        installed = self.installed
        return f"{self.text} not here" if installed is None else f"{self.text}, {installed} here"

    @property
    def is_met(self) -> bool:
        return self.installed is not None and _numbers(self.installed) >= self.least


class Line(NamedTuple):
    """The result of one check. Only a requirement can be wrong."""

    name: str
    text: str
    is_wrong: bool = False


def requirements() -> list[Requirement]:
    """The requirements of the installed distribution, including extras, from its metadata."""
    required = []
    for line in metadata.requires(distribution()) or ():
        elsewhere = re.search(r"sys_platform != ['\"](\w+)", line)
        if elsewhere and elsewhere[1] == sys.platform:
            continue
        name = re.match(r"[\w.-]+", line)
        least = re.search(r">=\s*([\d.]+)", line.partition(";")[0])
        extra = re.search(r"extra == ['\"]([\w.-]+)", line)
        if name:
            version = _numbers(least[1]) if least else ()
            required.append(Requirement(name[0], version, extra[1] if extra else None))
    return required


def _numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version: (1, 24, 1) for `1.24.1rc2`."""
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in release[0].split(".")) if release else ()


def examine() -> list[Line]:
    """Check this computer and this installation. Takes about two seconds and loads JAX."""
    needed = requirements()
    return [
        *installation_lines(),
        Line("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Line("cores", f"{usable_cores()} to be used, of {os.cpu_count()}"),
        Line("sgemm", f"{sgemm_rate() / 1e9:,.0f} GFLOP/s: NumPy, float32, {SIDE} x {SIDE}"),
        *(_jax_lines() if is_importable("jax") else _training_lines()),
        _cache_line(),
        *_library_lines([library for library in needed if library.extra is None]),
        *_extra_lines([library for library in needed if library.extra is not None]),
    ]


def checks_json(lines: Sequence[Line]) -> list[dict[str, object]]:
    """The output of `doctor --json`: `name`, `text` and `ok`. Several checks may have the same
    name."""
    checks: list[dict[str, object]] = []
    for line in lines:
        name = line.name or checks[-1]["name"]  # a further line of a list
        text = re.sub(" {2,}", ", ", line.text)
        checks.append({"name": name, "text": text, "ok": not line.is_wrong})
    return checks


def installation_lines() -> list[Line]:
    """Which distribution is installed, and whether its files are complete."""
    if len(distributions()) > 1:
        return [Line("tenfold", __version__), Line("tenfold", BOTH_INSTALLED, True)]
    return [Line(distribution(), __version__), *_lost_files()]


def _lost_files() -> list[Line]:
    """Installed files that no longer exist. `metadata.files` lists these only up to Python 3.11."""
    lost = []
    for name in distributions():
        installed = metadata.distribution(name)
        record = csv.reader((installed.read_text("RECORD") or "").splitlines())
        lost += [row[0] for row in record if not os.path.exists(str(installed.locate_file(row[0])))]
    if not lost:
        return []
    again = f"pip install --force-reinstall --no-deps {distribution()}"
    return [Line("files", f"{len(lost)} are gone, {lost[0]} first: {again}", True)]


def _training_lines() -> list[Line]:
    """The line about training if JAX is not installed, which `tenfold` needs and slim does not."""
    return [Line("training", f"not here; it takes JAX: {adding('train')}", distribution() == FULL)]


def sgemm_rate() -> float:
    """Operations per second of a product of float32 matrices in NumPy."""
    a = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    product, seconds = np.empty_like(a), list[float]()
    while len(seconds) < MULTIPLICATIONS and sum(seconds) < SECONDS:
        start = time.perf_counter()
        np.matmul(a, a, out=product)
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds)


def _jax_lines() -> list[Line]:
    """The devices of JAX, and whether what it compiles is correct."""
    try:
        kinds = devices()
    except BackendError as error:
        return [Line("JAX", str(error), True)]
    shown = ", ".join(f"{kinds.count(name)} x {name}" for name in dict.fromkeys(kinds))
    if all(name.startswith("cpu") for name in kinds):
        shown += '. No GPU seen; for one of NVIDIA: pip install "jax[cuda13]"'
    try:
        check_compiler()
    except BackendError as error:
        return [Line("JAX", shown), Line("compiler", str(error), True)]
    # XLA_FLAGS is not shown: its current value need not be what JAX read when it started.
    return [Line("JAX", shown), Line("compiler", "computes correctly")]


def _cache_line() -> Line:
    mirrored = [name for name, entry in catalog.DATASETS.items() if entry.mirrors]
    here = [name for name in mirrored if catalog.is_here(name)]
    folder = catalog.folder_of(mirrored[0]).parent
    absent = [name for name in mirrored if name not in here]
    fetch = f"; tenfold data fetch {' | '.join(absent)}" if absent else ""
    return Line("cache", f"{folder}: {', '.join(here) or 'no dataset yet'}{fetch}")


def _library_lines(needed: Sequence[Requirement]) -> list[Line]:
    good = [f"{library.name} {library.installed}" for library in needed if library.is_met]
    rows = [good[start : start + IN_A_ROW] for start in range(0, len(good), IN_A_ROW)]
    lines = [
        Line("" if i else "libraries", "".join(f"{cell:<24}" for cell in row).rstrip())
        for i, row in enumerate(rows)
    ]
    wrong = [library for library in needed if not library.is_met]
    return lines + [
        Line("libraries", f'{library.state}: pip install "{library.text}"', True)
        for library in wrong
    ]


def _extra_lines(needed: Sequence[Requirement]) -> list[Line]:
    lines = []
    for extra in sorted({library.extra for library in needed if library.extra}):
        its = [library for library in needed if library.extra == extra]
        absent = [library for library in its if not library.is_met]
        name = f"[{extra}]"
        if not absent:
            lines.append(Line(name, f"here: {', '.join(library.name for library in its)}"))
        else:
            would = ", ".join(library.state for library in absent)
            lines.append(Line(name, f"{would}: {adding(extra)}"))
    return lines
