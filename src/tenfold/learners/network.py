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
from tenfold.learners.architectures import architecture_of, layer_table, rows_at_once
from tenfold.learners.checkpoints import Checkpoint, Checkpoints
from tenfold.learners.group import group_epochs
from tenfold.learners.jax_runtime import compile_program, configure
from tenfold.learners.job import Fitted, TrainingJob

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

        from tenfold.learners.forward import forward

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


def fit_network(job: TrainingJob) -> Fitted:
    """Fit a dense or a convolutional network, as the settings say, on from its newest checkpoint.

    Ctrl-C ends the fit with the epoch it came in.

    Raises:
      SettingsError: Pictures of a size that a `cnn` does not take.
      FileError: A checkpoint cannot be written.
    """
    from tenfold.learners.training import training_of

    train, validation, n_labels, settings, listener, checkpoints = job[:6]
    architecture = architecture_of(settings, train.x.shape[1:], n_labels)
    training = training_of(architecture, train, validation, settings)
    listener.layers(layer_table(architecture))
    history = list[Epoch]()
    if checkpoints is not None and (found := _newest(checkpoints, listener)) is not None:
        training.restore(found.arrays)
        history += found.history
        listener.resumed(history, settings.epochs)
    with _stopping() as stop:
        for epoch in group_epochs(training, job) if settings.processes > 1 else training:
            history.append(epoch)
            listener.epoch(epoch, settings.epochs)
            due = checkpoints is not None and checkpoints.are_due and not training.is_done
            if checkpoints is not None and (due or stop):
                checkpoints.save(Checkpoint(training.state(), tuple(history)))
            if stop:
                break
    return Fitted(
        settings.learner,
        Network(architecture, training.fitted()),
        architecture.n_parameters(),
        tuple(history),
        interrupted=bool(stop),
        judged=training.judged(),
        rows_at_once=rows_at_once(architecture),
    )


def _newest(checkpoints: Checkpoints, listener: Listener) -> Checkpoint | None:
    """Where to go on from; damaged checkpoints are passed over aloud."""
    found = checkpoints.newest()
    place = "the beginning" if found is None else f"epoch {len(found.history)}"
    for error in checkpoints.damaged:
        listener.warn(f"{error} Going on from {place}.")
    return found


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Ctrl-C, and SIGTERM where it does the same, asks to stop; the second one ends the process.

    What is yielded holds the number of the signal that came."""
    stop = list[int]()

    def ask(number: int, _: object) -> None:
        stop.append(number)
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
