"""Suspected wrong labels: training rows for which models fitted without them predict another label.

Source: Northcutt, Jiang, Chuang 2021, "Confident Learning", arXiv:1911.00068 (pruning by
self-confidence).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.build.choose import fit_chosen
from tenfold.build.problem import Problem, as_seen
from tenfold.core.errors import DataError
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings, resolve
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.split import Split, assign_folds
from tenfold.learners import check_learner
from tenfold.model.model import Model

FOLDS = 5


class SuspectLabel(NamedTuple):
    """A row with a suspected label error, and its predicted label. `confidence` is the
    cross-validated probability of its given label."""

    row: int
    label: str
    likely: str
    confidence: float


def find_label_errors(
    data: Dataset,
    *,
    learner: str = "network",
    folds: int = FOLDS,
    seed: int = 0,
    listener: Listener | None = None,
) -> list[SuspectLabel]:
    """Suspected wrong labels of the rows outside the official test set, most suspicious first.

    A row is suspected if models that were fitted without it predict another label. The order is by
    self-confidence, the probability of its given label. With 100 wrong labels in MNIST, 96 of them
    are among the first 150 rows, compared with 91 in the order of the margin to the predicted
    label. The paper's thresholds (the mean self-confidence of each label) would miss a third of
    them, because after label smoothing a probability rarely exceeds the mean. `learner` is any that
    learns labels from such rows; `auto` chooses one for a table in each fold. The listener is told
    how many epochs or folds are done.

    Raises:
      DataError: There are fewer distinct rows than folds, or the dataset has no labels.
      SettingsError: The seed is not valid, or the learner cannot learn these labels.
    """
    if not data.labels:
        raise DataError(
            "E621",
            "The data have no labels to check",
            where=data.name,
            expected="a dataset of labels",
        )
    rows = np.setdiff1d(np.arange(len(data)), data.test_rows)
    asked = {"learner": learner, "seed": seed, "validation_size": 0.0}
    is_table = data.input.kind == "table"
    asked |= {"members": 1} if is_table else {}  # five networks in each fold would take minutes
    settings = resolve(asked, table=is_table, n_rows=len(data))
    check_learner(settings, data.task.kind, data.input)
    probabilities = out_of_fold(as_seen(data, settings), rows, settings, folds, listener)
    y, likely = data.y[rows], probabilities.argmax(axis=1)
    own = probabilities[np.arange(len(rows)), y]
    suspects = np.flatnonzero(likely != y)
    return [
        SuspectLabel(int(rows[i]), data.labels[y[i]], data.labels[likely[i]], float(own[i]))
        for i in suspects[np.argsort(own[suspects], kind="stable")]
    ]


def out_of_fold(
    data: Dataset,
    rows: RowNumbers,
    settings: Settings,
    folds: int,
    listener: Listener | None = None,
) -> NDArray[np.float32]:
    """Probabilities (n, n_labels) of `rows`, each from a model that saw neither the row nor its
    copies."""
    listener = listener or Listener()
    fold_of = assign_folds(data, rows, folds, settings.seed)
    none = np.empty(0, np.int64)
    probabilities = np.empty((len(rows), len(data.labels)), np.float32)
    for fold in range(folds):
        held_out = fold_of == fold
        problem = Problem(data, Split(rows[~held_out], none, none, none), settings)
        built = fit_chosen(problem, _AllEpochs(listener, fold, folds))
        if built.interrupted:
            raise KeyboardInterrupt
        if not built.history:
            listener.progress(fold + 1, folds)
        probabilities[held_out] = Model(built.content).answer(data.x[rows[held_out]]).outputs[0]
    return probabilities


class _AllEpochs(Listener):
    """Counts the epochs of all folds."""

    def __init__(self, listener: Listener, fold: int, folds: int) -> None:
        self._listener, self._fold, self._folds = listener, fold, folds

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._listener.progress(self._fold * n_epochs + epoch.epoch, self._folds * n_epochs)
