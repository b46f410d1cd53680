"""The learners: `fit(train, validation, ...) -> Fitted`, a value, so nothing half-fitted exists.

scikit-learn, like Keras, is imported inside functions: whoever only predicts never loads it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError, SettingsError
from tenfold.core.progress import Watcher
from tenfold.core.settings import Settings
from tenfold.learners.bayes import fit_bayes
from tenfold.learners.checkpoints import Checkpoints
from tenfold.learners.classical import (
    fit_baseline,
    fit_forest,
    fit_last_value,
    fit_linear,
    fit_logistic,
)
from tenfold.learners.fitted import Fitted
from tenfold.learners.neighbors import fit_neighbors
from tenfold.learners.network import fit_cnn, fit_network
from tenfold.learners.training import Examples

__all__ = ["LEARNERS", "Fitted", "Learner", "Task", "check_task", "fit_last_value"]

Task = Literal["classification", "regression"]
BOTH: tuple[Task, ...] = ("classification", "regression")
INSTEAD = {"logistic": "linear", "linear": "logistic", "bayes": "linear", "cnn": "network"}


@dataclass(frozen=True)
class Learner:
    """An entry of the registry.

    Attributes:
      name: Its key.
      tasks: What it can learn.
      description: One line for a reader who chooses.
      epochs: Whether it learns in epochs, which have a history and checkpoints.
      scaled: Whether a table's numbers are scaled for it; trees compare them as they are.
      streams: Whether it takes images a few at a time, so that they need not fit into memory.
    """

    name: str
    tasks: tuple[Task, ...]
    description: str
    run: Callable[..., Fitted]
    scaled: bool = True
    epochs: bool = False
    streams: bool = False

    def fit(
        self,
        train: Examples,
        validation: Examples | None,
        *,
        n_labels: int | None,
        settings: Settings,
        watcher: Watcher,
        checkpoints: Checkpoints | None = None,
    ) -> Fitted:
        """Fit on `train`; `validation` only chooses and watches.

        Args:
          train: Rows to learn from.
          validation: Rows held out, or None.
          n_labels: Number of labels, those without training rows included; None: regression.
          settings: Those of this learner decide, `settings.seed` decides chance.
          watcher: Sees layers and epochs of a network.
          checkpoints: Where a network goes on from and writes to; other learners begin anew.

        Raises:
          SettingsError: A learner for the other task.
          DataError: No training rows, or a single label among them.
        """
        check_task(self.name, "regression" if n_labels is None else "classification")
        if not len(train.y):
            raise DataError("E628", "No training rows", expected="at least one", n_train=0)
        if n_labels is not None and self.name != "baseline" and (train.y == train.y[0]).all():
            raise DataError(
                "E629",
                "A single label among the training rows",
                expected="at least two",
                fix="The learner 'baseline' takes such rows",
                learner=self.name,
                code=int(train.y[0]),
            )
        if settings.class_weights is not None:
            train = train._replace(weight=_weights(train, n_labels, settings.class_weights))
        options = {} if checkpoints is None or not self.epochs else {"checkpoints": checkpoints}
        return self.run(
            train, validation, n_labels=n_labels, settings=settings, watcher=watcher, **options
        )


def _weights(
    train: Examples, n_labels: int | None, class_weights: str | tuple[float, ...]
) -> NDArray[np.float32]:
    """The weight of each row (n,): its own times that of its label."""
    if n_labels is None or (class_weights != "balanced" and len(class_weights) != n_labels):
        raise SettingsError(
            "E627",
            "Class weights that do not fit the labels",
            expected="none for regression" if n_labels is None else f"{n_labels} numbers",
            class_weights=class_weights,
        )
    own = np.ones(len(train.y), np.float32) if train.weight is None else train.weight
    if class_weights == "balanced":
        share = np.bincount(train.y, weights=own, minlength=n_labels) / train.total_weight
        of_label = 1 / (n_labels * np.maximum(share, np.finfo(np.float32).tiny))
    else:
        of_label = np.asarray(class_weights, np.float64)
    weights: NDArray[np.float32] = (own * of_label[train.y]).astype(np.float32)
    return weights


LEARNERS: dict[str, Learner] = {
    learner.name: learner
    for learner in (
        Learner(
            "network",
            BOTH,
            "layers of neurons, trained by gradient steps",
            fit_network,
            epochs=True,
        ),
        Learner(
            "cnn",
            ("classification",),
            "layers of small windows that move over a picture",
            fit_cnn,
            epochs=True,
            streams=True,
        ),
        Learner(
            "forest",
            BOTH,
            "the mean of many decision trees, each on a resample",
            fit_forest,
            scaled=False,
        ),
        Learner(
            "bayes",
            ("classification",),
            "each column judged by itself, by the label's own distribution",
            fit_bayes,
        ),
        Learner(
            "logistic", ("classification",), "a weighted sum of the columns per label", fit_logistic
        ),
        Learner("linear", ("regression",), "a weighted sum of the columns", fit_linear),
        Learner("neighbors", BOTH, "the vote of the most similar training rows", fit_neighbors),
        Learner(
            "baseline",
            BOTH,
            "the same answer for every row: what to beat",
            fit_baseline,
            scaled=False,
        ),
    )
}
"""Every learner by name."""


def check_task(name: str, task: Task) -> None:
    """Refuse a learner that cannot learn `task`.

    Raises:
      SettingsError: It cannot; the message names one that can.
    """
    if task in LEARNERS[name].tasks:
        return
    able = [learner.name for learner in LEARNERS.values() if task in learner.tasks]
    raise SettingsError(
        "E626",
        f"Not a learner for {task}",
        expected=f"one of {', '.join(able)}",
        fix=f"Did you mean {INSTEAD[name]!r}?" if INSTEAD[name] in able else None,
        learner=name,
    )
