"""The learner `network`: layers in Keras, trained by the compiled epoch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.contract import Settings
from tenfold.learners.fitted import Fitted, Watcher
from tenfold.network import build_network, layer_table
from tenfold.training import Epoch, Examples, run_epochs


@dataclass(frozen=True, eq=False)
class Network:
    """A Keras network; the last layer has one output per label, or one for a value."""

    keras: Any

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        import jax

        # Highest: on a GPU the default products keep only 10 bits of the mantissa.
        with jax.default_matmul_precision("highest"):
            answers = np.asarray(self.keras(x.astype(np.float32)))
        return answers[:, 0] if answers.shape[1] == 1 else answers


def fit_network(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int | None,
    settings: Settings,
    watcher: Watcher,
) -> Fitted:
    """Fit a dense network.

    Raises:
      KeyboardInterrupt: Ctrl-C before the first epoch ended; later it ends the fit instead.
    """
    network = build_network(
        train.x.shape[1:],
        settings.hidden,
        n_labels,
        seed=settings.seed,
        dropout=settings.dropout,
    )
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
    body = Network(network)
    return Fitted("network", body, network.count_params(), tuple(history), interrupted)
