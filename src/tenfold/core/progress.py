"""The progress of long work. All of it, such as trainings and sweeps, reports to the same
protocol."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core import systems
from tenfold.core.layers import Parameters
from tenfold.core.records import Audit, Epoch, LayerRow, TrialResult

STAGES = {
    "load": "Reading the data",
    "train": "Training",
    "export": "Calibrating and writing the model",
    "folds": "Cross-validating",
    "curve": "Measuring the learning curve",
    "evaluate": "Measuring on the test rows",
    "report": "Drawing the report",
}
"""The stages of a training, and their names for people."""


class Listener:
    """Receives events while work is done.

    Override the methods for the events of interest. The others do nothing, except `warn`, which
    prints.
    """

    def stage(self, name: str) -> None:
        """A stage begins. It is one of `STAGES`, or `test` or `report` in a sweep."""

    def progress(self, done: int, total: int) -> None:
        """A number of parts of the stage are done. Parts are folds, models, epochs of all folds, or
        files."""

    def audit(self, audit: Audit) -> None:
        """The data were audited. Nothing is fitted yet."""

    def samples(self, images: NDArray[np.uint8], labels: Sequence[str]) -> None:
        """Some of the training pictures (n, height, width) or (n, height, width, 3)."""

    def layers(self, layers: Sequence[LayerRow]) -> None:
        """The network is built, and training is about to start."""

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        """Training resumes after these epochs of an earlier process."""

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        """An epoch ended."""

    def weights(self, read: Callable[[], Parameters]) -> None:
        """After an epoch: `read` returns a copy of the network's arrays, by layer and name."""

    def trials(self, folder: Path, n_trials: int, n_ended: int) -> None:
        """The trials of a sweep begin: its folder, their number, and how many had ended before."""

    def trial_started(self, name: str) -> None:
        """A worker started a trial, possibly again because another worker died."""

    def trial_epoch(self, name: str, epoch: Epoch, n_epochs: int) -> None:
        """An epoch of a trial ended. Trials on a cluster do not report epochs."""

    def trial_ended(self, name: str, result: TrialResult) -> None:
        """A trial ended, in whatever state."""

    def warn(self, text: str) -> None:
        """There is a one-line warning for the user. The work continues."""
        print(f"tenfold: {text}", file=sys.stderr)


def _passed_on(name: str) -> Callable[..., None]:
    """Make a method that calls the method of this name of each listener."""

    def tell(self: "Listeners", *facts: Any) -> None:
        for listener in self._listeners:
            getattr(listener, name)(*facts)

    return tell


class Listeners(Listener):
    """Passes the events of a fit to several listeners."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = tuple(listeners)

    stage = _passed_on("stage")
    progress = _passed_on("progress")
    audit = _passed_on("audit")
    samples = _passed_on("samples")
    layers = _passed_on("layers")
    resumed = _passed_on("resumed")
    epoch = _passed_on("epoch")
    weights = _passed_on("weights")
    warn = _passed_on("warn")


def peak_mb() -> float | None:
    """The largest memory of this process so far, in 10^6 bytes. None if it is unknown."""
    peak = systems.peak_bytes()
    return None if peak is None else peak / 1e6


class StageClock(Listener):
    """Measures the seconds of each stage, from its beginning to the next stage or a pause."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage: str | None = None
        self._start = self._began = time.perf_counter()

    def stage(self, name: str) -> None:
        self.pause()
        self._stage, self._began = name, time.perf_counter()

    def pause(self) -> None:
        """End the stage. The time from here to the next stage is not counted."""
        if self._stage is not None:
            spent = time.perf_counter() - self._began
            self.seconds[self._stage] = round(self.seconds.get(self._stage, 0) + spent, 3)
            self._stage = None

    def total(self) -> None:
        """Store the seconds since the beginning as `total`."""
        self.seconds["total"] = round(time.perf_counter() - self._start, 3)

    def warn(self, text: str) -> None:
        """Do nothing; other listeners warn."""


class OnEpochs(Listener):
    """Calls a function with each epoch. If a training resumes, the earlier epochs are passed at
    once."""

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        self._call(*history)

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._call(epoch)

    def warn(self, text: str) -> None:
        """Do nothing; other listeners warn."""
