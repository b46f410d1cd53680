"""The learners `network` and `cnn`: layers, trained by compiled steps."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.layers import Architecture, Layer, Parameters
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.learners.architectures import architecture_of, layer_table, rows_at_once
from tenfold.learners.checkpoints import Checkpoint, Checkpoints
from tenfold.learners.fitted import Fitted
from tenfold.learners.forward import forward
from tenfold.learners.group import ProcessGroup
from tenfold.learners.jax_runtime import configure
from tenfold.learners.training import Examples, training_of
from tenfold.learners.training.steps import compile_program

AT_ONCE = 1024
"""Rows answered at once, at most: convolutions need 26 kB for each picture of 28x28."""

VALUES = 1 << 22
"""Values in the rows that are answered at once, at most: large pictures are taken a few at a time,
for convolutions make up to 32 numbers of each of theirs."""


@dataclass(frozen=True, eq=False)
class Network:
    """Layers and their fitted parameters."""

    architecture: Architecture
    parameters: Parameters

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, n_labels), or values (n,)."""
        answers = self._computed(self.architecture.layers, x)
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """What the output layer sees (n, d), float32."""
        return self._computed(self.architecture.to_hidden, x)

    def _computed(self, layers: Sequence[Layer], x: NDArray[Any]) -> NDArray[np.float32]:
        configure()
        import jax

        # Highest: on a GPU the default products keep only 10 bits of the mantissa.
        with jax.default_matmul_precision("highest"):
            call = jax.jit(lambda parameters, x: forward(layers, parameters, x)[0])
            first, _ = next(_parts(x))
            run = compile_program(call.lower(self.parameters, first.astype(np.float32)))
            parts = [
                np.asarray(run(self.parameters, part.astype(np.float32)))[-n_new:]
                for part, n_new in _parts(x)
            ]
        return np.concatenate(parts)


def _parts(x: NDArray[Any]) -> Iterator[tuple[NDArray[Any], int]]:
    """Rows a part at a time, and how many at a part's end are new: of one length, one program."""
    n = max(1, min(AT_ONCE, VALUES // max(1, x[0].size), len(x)))
    for i in range(0, len(x), n):
        start = min(i, len(x) - n)
        yield x[start : start + n], start + n - i


def fit_network(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int | None,
    settings: Settings,
    listener: Listener,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Fit a dense or a convolutional network, as the settings say.

    Trains to the end, from the newest checkpoint on, or to the epoch in which a signal came.

    Args:
      train: Rows to fit to; the dtype of their answers is the task.
      validation: Rows to watch the fit with, and to stop it by with `settings.patience`.
      n_labels: Number of labels; None for regression.
      settings: All of them.
      listener: Sees the layers and each epoch.
      checkpoints: Where to go on from and to write to; a fit without is lost with its process.

    Returns:
      The fitted network; `interrupted` after Ctrl-C, which ends the fit with the epoch it came in.

    Raises:
      SettingsError: Pictures of a size that a `cnn` does not take.
      FileError: A checkpoint cannot be written.
    """
    architecture = architecture_of(settings, train.x.shape[1:], n_labels)
    training = training_of(architecture, train, validation, settings)
    if settings.processes > 1:
        training = ProcessGroup(training, train, validation, n_labels, settings, listener.warn)
    listener.layers(layer_table(architecture))
    history = list[Epoch]()
    if checkpoints is not None and (found := _newest(checkpoints, listener)) is not None:
        training.restore(found.arrays)
        history += found.history
        listener.resumed(history, settings.epochs)
    with _stopping() as stop:
        for epoch in training:
            history.append(epoch)
            listener.epoch(epoch, settings.epochs)
            due = checkpoints is not None and checkpoints.are_due and not training.is_done
            if checkpoints is not None and (due or stop.asked):
                checkpoints.save(Checkpoint(training.state(), tuple(history)))
            if stop.asked:
                break
    body = Network(architecture, training.fitted())
    return Fitted(
        settings.learner,
        body,
        architecture.n_parameters(),
        tuple(history),
        interrupted=stop.asked,
        rows_at_once=rows_at_once(architecture),
    )


def _newest(checkpoints: Checkpoints, listener: Listener) -> Checkpoint | None:
    """Where to go on from; damaged checkpoints are passed over aloud."""
    found = checkpoints.newest()
    place = "the beginning" if found is None else f"epoch {len(found.history)}"
    for error in checkpoints.damaged:
        listener.warn(f"{error} Going on from {place}.")
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
