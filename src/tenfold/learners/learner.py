"""The description of a learner: an entry of the registry `LEARNERS`."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import FeaturesInput, ImageInput, TableInput
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.settings import Settings
from tenfold.core.task import TaskKind as TaskKind
from tenfold.learners.jax_runtime import check_compiler
from tenfold.learners.job import Examples, Fitted, TrainingJob

Accepted = ImageInput | TableInput | FeaturesInput
"""The input of any kind of model: pictures, columns of a table, or features."""

BOTH: tuple[TaskKind, ...] = get_args(TaskKind)

EPOCHS = (
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "schedule",
    "label_smoothing",
    "average",
    "dropout",
    "weight_decay",
    "patience",
    "processes",
    "members",
    *("shift_px", "rotate_degrees", "zoom", "shear", "elastic_px", "thicken", "contrast"),
    "clean_epochs",
)
"""Settings of every learner that learns in epochs."""


def multiplications(n_inputs: int, hidden: Sequence[int], n_outputs: int) -> int:
    """Number of multiplications of a forward pass of a dense network for one row.

    Example:
      >>> multiplications(784, (128,), 10)
      101632
    """
    widths = (n_inputs, *hidden, n_outputs)
    return sum(math.prod(pair) for pair in itertools.pairwise(widths))


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An entry of the registry: everything that the rest of the program needs to know about a
    learner.

    Attributes:
      description: One line for a user who chooses.
      run: The function that fits it.
      tasks: The tasks that it can learn. `instead` is the learner that is suggested for other
        tasks.
      settings: The settings that it uses in addition to those of every learner.
      sides: The range of the sides of pictures, if it only takes pictures. None: it also takes
        tables.
      photos: Whether it uses the features of a network that was trained on photos.
      scaled: Whether a table's numbers are scaled for it. Trees use them unscaled.
      ordered: Whether a table's missing numbers stay missing for it, and categories are put in the
        order of the target (`inputs.tables.ordered`).
      quick_on_pictures: Whether a comparison tries it on pictures by default.
      epochs: Whether it learns in epochs with JAX, with a history and checkpoints.
      streams: Whether it reads images a few at a time, so that they need not fit into memory.
      divides_batches: Whether several processes divide the rows of each batch equally.
      looks: Whether its predictions depend on the input. Those of the baseline do not.
      remembers: Whether it memorises its training rows, so that its predictions for them say
        nothing.
      is_simple: Whether it adds up the effects of columns, so that more complex learners should be
        better.
      hidden_weight: Weight of its hidden values of pictures, compared with pixels, in the novelty.
        Convolutions distinguish letters and clothes from digits, while a dense layer hardly does
        (`python -m bench.novelty`).
      sees_shapes: Whether its hidden values of pictures tell strangers better than pixels do.
      cost: Approximate number of multiplications to fit to a row, computed from settings and the
        numbers of inputs and outputs. In a sweep, the longest trainings start first.
    """

    name: str
    description: str
    run: Callable[[TrainingJob], Fitted]
    tasks: tuple[TaskKind, ...] = BOTH
    instead: str | None = None
    settings: tuple[str, ...] = ()
    sides: tuple[int, int] | None = None
    photos: bool = False
    scaled: bool = True
    ordered: bool = False
    quick_on_pictures: bool = True
    epochs: bool = False
    streams: bool = False
    divides_batches: bool = False
    looks: bool = True
    remembers: bool = False
    is_simple: bool = False
    hidden_weight: float = 1.0
    sees_shapes: bool = False
    cost: Callable[[Settings, int, int], float] = lambda settings, n_inputs, n_outputs: 0.0

    @property
    def encoding(self) -> dict[str, bool]:
        """How the columns of a table are encoded for it, as `build.problem.prepare` takes it."""
        return {"scaled": self.scaled, "ordered": self.ordered}

    def accepts(self, accepted: Accepted) -> bool:
        """Whether it takes such rows. A learner for photos also takes grey pictures if
        requested."""
        if self.sides is None:
            return True
        if accepted.kind != "image" or (self.photos and accepted.channels == 1):
            return False
        low, high = self.sides
        return all(low <= side <= high for side in accepted.shape[:2])

    def check_ready(self) -> None:
        """Refuse if it cannot be trained here. For learners with epochs, this starts JAX.

        Raises:
          BackendError: JAX's compiler computes wrong results here.
        """
        if self.epochs:
            check_compiler()

    def fit(self, job: TrainingJob) -> Fitted:
        """Fit this learner, whichever learner the settings name.

        Raises:
          SettingsError: Class weights name other labels than the data.
          DataError: There are no training rows, or they have a single label.
        """
        train, n_labels, class_weights = job.train, job.n_labels, job.settings.class_weights
        if not len(train.y):
            raise DataError(
                "E628", "There are no training rows", expected="at least one", n_train=0
            )
        if n_labels is not None and self.looks and (train.y == train.y[0]).all():
            raise DataError(
                "E629",
                "All training rows have the same label",
                expected="at least two",
                fix="The learner 'baseline' takes such rows",
                learner=self.name,
                code=int(train.y[0]),
            )
        if class_weights is not None:
            train = train._replace(weight=_weights(train, n_labels, class_weights))
        return self.run(job._replace(train=train))


def _weights(
    train: Examples, n_labels: int | None, class_weights: str | tuple[float, ...]
) -> NDArray[np.float32]:
    """The weight of each row (n,), which is its own weight times that of its label."""
    if n_labels is None or (class_weights != "balanced" and len(class_weights) != n_labels):
        raise SettingsError(
            "E627",
            "The class weights do not match the labels",
            expected="none for regression"
            if n_labels is None
            else f"{n_labels} numbers, one for each label",
            class_weights=class_weights,
        )
    own = train.weights
    if class_weights == "balanced":
        share = np.bincount(train.y, weights=own, minlength=n_labels) / train.total_weight
        of_label = 1 / (n_labels * np.maximum(share, np.finfo(np.float32).tiny))
    else:
        of_label = np.asarray(class_weights, np.float64)
    weights: NDArray[np.float32] = (own * of_label[train.y]).astype(np.float32)
    return weights
