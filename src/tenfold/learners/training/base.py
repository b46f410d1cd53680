"""The common part of every training: rows, records, patience, and a state to resume from."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.core.layers import Architecture, Parameters
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.learners.architectures import first_parameters
from tenfold.learners.choice import Choice, row_losses, softmax
from tenfold.learners.jax_runtime import check_compiler
from tenfold.learners.job import Examples, is_classification
from tenfold.learners.training.ranks import Alone
from tenfold.learners.training.steps import Score, first_moments, learning_rate, means_of


class Training(ABC):
    """The training of a network in steps. Iterating over it yields an `Epoch` after each epoch.

    Random numbers depend on (seed, epoch, row) for order and shifts and on (seed, epoch, step) for
    dropout and augmentation, never on what came before. Therefore `restore` with a `state`
    continues exactly.
    """

    epoch = 0

    def __init__(
        self,
        architecture: Architecture,
        train: Examples,
        validation: Examples | None,
        settings: Settings,
        ranks: Alone | None = None,
    ) -> None:
        """Prepare for the first epoch. The processes in `ranks` share the work. None: there is only
        this process."""
        check_compiler()
        self._architecture, self._settings = architecture, settings
        self._train, self._validation = train, validation
        self._ranks = ranks or Alone()
        first = self._begin(first_parameters(architecture, settings.seed))
        self._weights = self._best = self._averages = first
        self._moments = first_moments(settings, first)
        self._lowest, self._waited = math.inf, 0
        self._choice = None
        if validation is not None and settings.patience is not None:
            n_outputs = architecture.n_outputs
            self._choice = Choice(validation, (len(validation.y), n_outputs))

    @abstractmethod
    def _begin(self, parameters: Parameters) -> Parameters:
        """The trained part of the network's initial arrays, in the form in which it is trained."""

    @abstractmethod
    def __iter__(self) -> Iterator[Epoch]:
        """Train up to the last epoch, or until early stopping. The caller may stop after any
        record."""

    @abstractmethod
    def fitted(self) -> Parameters:
        """The fitted arrays: those of the last epoch, or with patience those of the best."""

    def weights(self) -> Parameters:
        """The current arrays, for showing a training. `fitted` may add others."""
        return self.fitted()

    @property
    def n_steps(self) -> int:
        """Number of steps in an epoch."""
        return -(-len(self._train.y) // self._settings.batch_size)

    def judged(self) -> NDArray[np.float32] | None:
        """Probabilities (n, n_labels) or values (n,) of the validation rows, each at the epoch that
        is chosen on the other parts of the rows. None if no epoch is chosen."""
        if self._choice is None or self._validation is None:
            return None
        return _answers_of(self._choice.answers, self._validation).astype(np.float32)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are finished, or patience has run out."""
        patience = self._settings.patience
        return self.epoch >= self._settings.epochs or (
            patience is not None and self._waited >= patience
        )

    def _judge(self, outputs: NDArray[np.float32] | None) -> None:
        """Offer the finished epoch, by the outputs of the output layer for the validation rows."""
        held = self._validation
        if self._choice is not None and held is not None and outputs is not None:
            self._choice.offer(outputs, row_losses(_answers_of(outputs, held), held.y))

    def _record(self, seconds: float, totals: Any, score: Score) -> Epoch:
        """Record a finished epoch, with its summed measures and those of the validation rows."""
        self.epoch += 1
        val_loss = score[0]
        if self._settings.patience is None or val_loss is None or val_loss < self._lowest:
            self._best, self._waited = self._averages, 0
            self._lowest = math.inf if val_loss is None else val_loss
        else:
            self._waited += 1
        loss, accuracy = means_of(totals, self._train)
        rate = float(learning_rate(self._settings, self.epoch * self.n_steps, self.n_steps))
        return Epoch(self.epoch, seconds, loss, accuracy, *score, rate)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that determines how the training continues, by name."""
        leaves, _ = jax.tree.flatten_with_path(self._parts())
        return {
            jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
            for path, leaf in leaves
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from a `state` of a training of the same network, rows and settings. Otherwise
        raise a `DataError`."""
        own = self.state()
        if _forms(own) != _forms(state):
            raise DataError(
                "E633",
                "The checkpoint belongs to another training",
                expected=f"{len(own)} arrays of the shapes of this one",
                n_arrays=len(state),
            )
        form = jax.tree.structure(self._parts())
        given = jax.tree.unflatten(form, [state[name] for name in own])
        self.epoch, self._waited = int(given["epoch"]), int(given["waited"])
        self._lowest = float(given["lowest"])
        self._weights, self._averages = given["weights"], given["averages"]
        self._best, self._moments = given["best"], given["moments"]
        if self._choice is not None:
            self._choice.lowest, self._choice.answers = map(np.array, given["choice"])

    def _parts(self) -> dict[str, Any]:
        chosen = self._choice
        return ({} if chosen is None else {"choice": (chosen.lowest, chosen.answers)}) | {
            "epoch": self.epoch,
            "lowest": self._lowest,
            "waited": self._waited,
            "weights": self._weights,
            "averages": self._averages,
            "best": self._best,
            "moments": self._moments,
        }


def _answers_of(outputs: NDArray[np.float32], rows: Examples) -> NDArray[np.floating[Any]]:
    """Probabilities or values from the outputs of the output layer (n, k)."""
    return softmax(outputs) if is_classification(rows.y) else outputs[:, 0]


def _forms(state: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in state.items()}
