"""Who is told of work while it is done: one protocol for trainings, sweeps and all that is long."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tenfold.core.records import Audit, Epoch, LayerRow, TrialResult


class Listener:
    """What a caller may want to see while work is done.

    Override the methods of interest. The others do nothing, but for `warn`, which prints.
    """

    def stage(self, name: str) -> None:
        """A stage begins: load, train, export, folds, evaluate, report; of a sweep test, report."""

    def progress(self, done: int, total: int) -> None:
        """So many parts of the stage are done: folds, epochs of all folds, or files."""

    def audit(self, audit: Audit) -> None:
        """The data were looked at; nothing is fitted yet."""

    def layers(self, layers: Sequence[LayerRow]) -> None:
        """The network stands; training is about to start."""

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        """Training goes on after these epochs, done by a process before this one."""

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        """An epoch ended."""

    def trials(self, folder: Path, n_trials: int, n_ended: int) -> None:
        """Trials of a sweep begin: its folder, how many there are, how many had ended before."""

    def trial_started(self, name: str) -> None:
        """A worker took a trial; again after a worker died."""

    def trial_epoch(self, name: str, epoch: Epoch, n_epochs: int) -> None:
        """An epoch of a trial ended. Trials on a cluster do not report theirs."""

    def trial_ended(self, name: str, result: TrialResult) -> None:
        """A trial ended, in whatever state."""

    def warn(self, text: str) -> None:
        """Something the user should know, though the work goes on: one line."""
        print(f"tenfold: {text}", file=sys.stderr)


Watcher = Listener


class Listeners(Listener):
    """Tells several listeners of a fit."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = tuple(listeners)

    def layers(self, layers: Sequence[LayerRow]) -> None:
        for listener in self._listeners:
            listener.layers(layers)

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        for listener in self._listeners:
            listener.resumed(history, n_epochs)

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        for listener in self._listeners:
            listener.epoch(epoch, n_epochs)

    def warn(self, text: str) -> None:
        for listener in self._listeners:
            listener.warn(text)


class OnEpochs(Listener):
    """Calls a function with each epoch that ended, and with those before a resumption at once."""

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        self._call(*history)

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._call(epoch)

    def warn(self, text: str) -> None:
        """Left to the listeners beside it."""
