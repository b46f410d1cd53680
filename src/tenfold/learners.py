"""The learners: `fit(train, validation, ...) -> Fitted`, a value, so nothing half-fitted exists."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.checkpoints import Checkpoint, Checkpoints
from tenfold.contract import Settings
from tenfold.errors import SettingsError, message
from tenfold.network import Layer, build_network, layer_table
from tenfold.training import Epoch, Examples, Training


class Watcher:
    """What a caller may want to see while a run is made. By itself it only warns."""

    def stage(self, name: str) -> None:
        """A stage begins: load, train, export, evaluate or report."""

    def layers(self, layers: Sequence[Layer]) -> None:
        """The network stands; training is about to start."""

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        """Training goes on after these epochs, done by a process before this one."""

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        """An epoch ended."""

    def warn(self, text: str) -> None:
        """Something the user should know, though the run goes on: one line."""
        print(f"tenfold: {text}", file=sys.stderr)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted learner.

    Attributes:
      learner: Its name in `LEARNERS`.
      network: The Keras network.
      parameters: Numbers fitted.
      history: A record per finished epoch.
      interrupted: Ctrl-C came; this is the state after the last finished epoch.
    """

    learner: str
    network: Any
    parameters: int
    history: tuple[Epoch, ...]
    interrupted: bool = False

    def probabilities(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The learner's own answers (n, n_labels): what its graph is checked against."""
        return self.outputs(x)

    def outputs(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """What the network returns for pictures or features: probabilities (n, n_labels), or for
        regression values (n, 1) on the scale of the targets it was fitted to."""
        import jax

        # Highest: on a GPU the default products keep only 10 bits of the mantissa.
        with jax.default_matmul_precision("highest"):
            return np.asarray(self.network(x.astype(np.float32)))


def fit_network(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int | None,
    settings: Settings,
    watcher: Watcher,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Fit a dense network.

    Args:
      train: Rows to fit to; the dtype of their answers is the task.
      validation: Rows to watch the fit with, and to stop it by with `settings.patience`.
      n_labels: Number of labels; None for regression.
      settings: All of them.
      watcher: Sees the layers and each epoch.
      checkpoints: Where to go on from and to write to; a fit without is lost with its process.

    Returns:
      The fitted network; `interrupted` after Ctrl-C, which ends the fit with the epoch it came in.

    Raises:
      SettingsError: Class weights that are not one for each label.
      FileError: A checkpoint cannot be written.
    """
    if settings.class_weights is not None:
        train = train._replace(weight=_weights(train, n_labels, settings.class_weights))
    network = build_network(
        train.x.shape[1:],
        settings.hidden,
        n_labels,
        seed=settings.seed,
        dropout=settings.dropout,
    )
    watcher.layers(layer_table(network))
    training, history = Training(network, train, validation, settings), list[Epoch]()
    if checkpoints is not None and (found := _newest(checkpoints, watcher)) is not None:
        training.restore(found.arrays)
        history += found.history
        watcher.resumed(history, settings.epochs)
    with _stopping() as stop:
        for epoch in training:
            history.append(epoch)
            watcher.epoch(epoch, settings.epochs)
            due = checkpoints is not None and checkpoints.are_due and not training.is_done
            if checkpoints is not None and (due or stop.asked):
                checkpoints.save(Checkpoint(training.state(), tuple(history)))
            if stop.asked:
                break
    training.write_back()
    return Fitted("network", network, network.count_params(), tuple(history), stop.asked)


def _newest(checkpoints: Checkpoints, watcher: Watcher) -> Checkpoint | None:
    """Where to go on from; damaged checkpoints are passed over aloud."""
    found = checkpoints.newest()
    place = "the beginning" if found is None else f"epoch {len(found.history)}"
    for error in checkpoints.damaged:
        watcher.warn(f"{error} Going on from {place}.")
    return found


@dataclass
class _Stop:
    """Whether a signal asked to stop."""

    asked: bool = False


@contextmanager
def _stopping() -> Iterator[_Stop]:
    """Ctrl-C, and SIGTERM where it does the same, asks to stop; the second one ends the process."""
    stop = _Stop()

    def ask(number: int, _: object) -> None:
        stop.asked = True
        signal.signal(number, signal.SIG_DFL)

    in_main = threading.current_thread() is threading.main_thread()
    ours = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if in_main and signal.getsignal(number) is signal.default_int_handler
    ]
    for number in ours:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)


def _weights(
    train: Examples, n_labels: int | None, class_weights: str | tuple[float, ...]
) -> NDArray[np.float32]:
    """The weight of each row (n,): its own times that of its label."""
    if n_labels is None or (class_weights != "balanced" and len(class_weights) != n_labels):
        raise SettingsError(
            message(
                "Class weights that do not fit the labels",
                expected="none for regression" if n_labels is None else f"{n_labels} numbers",
                class_weights=class_weights,
            )
        )
    own = np.ones(len(train.y), np.float32) if train.weight is None else train.weight
    if class_weights == "balanced":
        share = np.bincount(train.y, weights=own, minlength=n_labels) / train.total_weight
        of_label = 1 / (n_labels * np.maximum(share, np.finfo(np.float32).tiny))
    else:
        of_label = np.asarray(class_weights, np.float64)
    weights: NDArray[np.float32] = (own * of_label[train.y]).astype(np.float32)
    return weights


LEARNERS: dict[str, Callable[..., Fitted]] = {"network": fit_network}
"""Every learner by name."""
