"""What every training shares: rows, records, patience, and a state to go on from."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.learners.training.compiler import check_compiler
from tenfold.learners.training.steps import build_optimizer, learning_rate, means_of
from tenfold.learners.training.types import Examples


class Training(ABC):
    """The training of a network: iterate, and have an `Epoch` after each epoch.

    What chance decides depends on (seed, epoch, row) for order and shifts and on (seed, epoch,
    step) for dropout and bends, never on what came before: from `state` on, `restore` continues
    exactly.
    """

    def __init__(
        self,
        network: Any,
        train: Examples,
        validation: Examples | None,
        settings: Settings,
        weights: list[NDArray[np.float32]],
    ) -> None:
        """Begin before the first epoch.

        Raises:
          BackendError: JAX's compiler computes wrongly here.
        """
        check_compiler()
        self.epoch = 0
        self._network, self._settings = network, settings
        self._train, self._validation = train, validation
        self._weights = self._best = self._averages = weights
        self._optimizer = build_optimizer(settings, weights)
        self._moments = [np.asarray(variable.value) for variable in self._optimizer.variables]
        self._lowest, self._waited = math.inf, 0

    @abstractmethod
    def __iter__(self) -> Iterator[Epoch]:
        """Train on, to the last epoch or the end of patience. The caller may stop at any record."""

    @abstractmethod
    def write_back(self) -> None:
        """Put the fitted weights into the network: the last ones, or with patience the best."""

    @property
    def n_steps(self) -> int:
        """Steps in an epoch."""
        return -(-len(self._train.y) // self._settings.batch_size)

    @property
    def is_done(self) -> bool:
        """No epoch is left, or patience is at its end."""
        patience = self._settings.patience
        return self.epoch >= self._settings.epochs or (
            patience is not None and self._waited >= patience
        )

    def _keep_best(self, val_loss: float | None) -> None:
        if self._settings.patience is None or val_loss is None or val_loss < self._lowest:
            self._best, self._waited = self._averages, 0
            self._lowest = math.inf if val_loss is None else val_loss
        else:
            self._waited += 1

    def _record(
        self, seconds: float, totals: Any, score: tuple[float | None, float | None]
    ) -> Epoch:
        """Count an epoch that ended, with its summed measures and those of the validation rows."""
        self.epoch += 1
        self._keep_best(score[0])
        loss, accuracy = means_of(totals, self._train)
        rate = float(learning_rate(self._settings, self.epoch * self.n_steps, self.n_steps))
        return Epoch(self.epoch, seconds, loss, accuracy, *score, rate)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that decides how the training goes on, by name."""
        parts = {
            "weights": self._weights,
            "averages": self._averages,
            "best": self._best,
            "moments": self._moments,
        }
        place = {"epoch": self.epoch, "lowest": self._lowest, "waited": self._waited}
        return {name: np.asarray(value) for name, value in place.items()} | {
            f"{name}.{i}": np.asarray(array)
            for name, arrays in parts.items()
            for i, array in enumerate(arrays)
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `state` of a training of the same network, rows and settings.

        Raises:
          DataError: The arrays are not those of such a training.
        """
        own = {name: (array.shape, array.dtype) for name, array in self.state().items()}
        if own != {name: (array.shape, array.dtype) for name, array in state.items()}:
            raise DataError(
                "E633",
                "The state of another training",
                expected=f"{len(own)} arrays of the shapes of this one",
                n_arrays=len(state),
            )

        def part(name: str, like: list[Any]) -> list[Any]:
            return [state[f"{name}.{i}"] for i in range(len(like))]

        self.epoch, self._waited = int(state["epoch"]), int(state["waited"])
        self._lowest = float(state["lowest"])
        self._weights = part("weights", self._weights)
        self._averages = part("averages", self._weights)
        self._best = part("best", self._weights)
        self._moments = part("moments", self._moments)
