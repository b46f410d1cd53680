"""The learners: `fit(train, validation, ...) -> Fitted`, a value, so nothing half-fitted exists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.audit import Audit
from tenfold.contract import Settings
from tenfold.network import Layer, build_network, layer_table
from tenfold.training import Epoch, Examples, run_epochs


class Watcher:
    """What a caller may want to see while a run is made. Each method does nothing by itself."""

    def stage(self, name: str) -> None:
        """A stage begins: load, train, export, evaluate or report."""

    def audit(self, audit: Audit) -> None:
        """The data were looked at; nothing is fitted yet."""

    def layers(self, layers: Sequence[Layer]) -> None:
        """The network stands; training is about to start."""

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        """An epoch ended."""


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
        import jax

        # Highest: on a GPU the default products keep only 10 bits of the mantissa.
        with jax.default_matmul_precision("highest"):
            return np.asarray(self.network(x.astype(np.float32)))


def fit_network(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int,
    settings: Settings,
    watcher: Watcher,
) -> Fitted:
    """Fit a dense network.

    Raises:
      KeyboardInterrupt: Ctrl-C before the first epoch ended; later it ends the fit instead.
    """
    network = build_network(train.x.shape[1:], settings.hidden, n_labels, seed=settings.seed)
    watcher.layers(layer_table(network))
    history: list[Epoch] = []
    interrupted = False
    try:
        for epoch in run_epochs(network, train, validation, settings):
            history.append(epoch)
            watcher.epoch(epoch, settings.epochs)
    except KeyboardInterrupt:
        if not history:
            raise
        interrupted = True
    return Fitted("network", network, network.count_params(), tuple(history), interrupted)


LEARNERS: dict[str, Callable[..., Fitted]] = {"network": fit_network}
"""Every learner by name."""
