"""The input and the result of a fit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.learners.checkpoints import Checkpoints as Checkpoints


class Examples(NamedTuple):
    """Rows for a learner. The dtype of `y` shows the task: integers are label codes.

    Attributes:
      x: Pictures uint8 (n, height, width) or (n, height, width, 3), or features float32 (n, d).
      y: Label codes int64 (n,) for classification, or targets float32 (n,) for regression.
      weight: The weight of each row in losses and accuracies, float32 (n,). None: all rows count
        the same.
      group: The group of each row, int64 (n,). Rows of one group stay in the same part when rows
        are divided. None: there are no groups.
      views: Features of mirrored and cropped views of the same photos (`learners.views`), float32
        (n, k, d). None: there are none.
    """

    x: NDArray[np.uint8] | NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float32]
    weight: NDArray[np.float32] | None = None
    group: NDArray[np.int64] | None = None
    views: NDArray[np.float32] | None = None

    @property
    def weights(self) -> NDArray[np.float32]:
        """The weight of each row (n,), which is 1 if all are equal."""
        return np.ones(len(self.y), np.float32) if self.weight is None else self.weight

    @property
    def total_weight(self) -> float:
        """The total weight of all rows, which is their number if there are no weights."""
        return float(self.weights.sum(dtype=np.float64))

    def take(self, rows: Any) -> "Examples":
        """Some of the rows, by numbers, a slice, or a mask (n,)."""
        weight = None if self.weight is None else self.weight[rows]
        group = None if self.group is None else self.group[rows]
        views = None if self.views is None else self.views[rows]
        return Examples(self.x[rows], self.y[rows], weight, group, views)

    def joined(self, other: "Examples") -> "Examples":
        """These rows, followed by the others."""
        weighted = self.weight is not None or other.weight is not None
        weight = np.concatenate([self.weights, other.weights]) if weighted else None
        x, y = np.concatenate([self.x, other.x]), np.concatenate([self.y, other.y])
        group = None
        if self.group is not None and other.group is not None:
            group = np.concatenate([self.group, other.group])
        views = None
        if self.views is not None and other.views is not None:
            views = np.concatenate([self.views, other.views])
        return Examples(x, y, weight, group, views)


def is_classification(y: Any) -> bool:
    """Whether answers are label codes."""
    return bool(np.issubdtype(y.dtype, np.integer))


class TrainingJob(NamedTuple):
    """The input of a fit. Validation rows are used only to choose and to monitor.

    `n_labels` also counts labels without training rows. It is None for regression. A network
    resumes from checkpoints and writes them, while other learners start again. With `refit`, the
    model is not evaluated on the validation rows afterwards, so that the last fit may use them,
    too. `Fitted.judged` or `Fitted.cross` are then predictions of fits without these rows.
    """

    train: Examples
    validation: Examples | None
    n_labels: int | None
    settings: Settings
    listener: Listener
    checkpoints: Checkpoints | None = None
    refit: bool = False


class Purpose(IntEnum):
    """The purposes of NumPy's random numbers in a fit. Each has its own streams."""

    ORDER = 1
    AUGMENTATION = 2
    STATISTICS = 3
    CHOICE = 4


def stream(
    settings: Settings, purpose: Purpose, epoch: int = 0, step: int = 0
) -> np.random.Generator:
    """The random numbers of one purpose, epoch and step, which no other stream shares.

    The purpose is last and never 0, because NumPy treats (1, 2) and (1, 2, 0) as the same seed.
    """
    return np.random.default_rng((settings.seed, epoch, step, purpose))


class Body(Protocol):
    """The fitted parameters of one kind of learner. `tenfold.build.onnx` translates each kind."""

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Predict probabilities (n, n_labels), or values (n,) in the unit in which it was
        fitted."""


@dataclass(frozen=True, eq=False)
class CrossAnswers:
    """Predictions for rows, each by a fit that did not see the row's part.

    Attributes:
      rows: The rows that the learner was fitted to.
      part_of: The part of each row (n,), from 0.
      answers: Probabilities (n, n_labels), or values (n,).
    """

    rows: Examples
    part_of: NDArray[np.int64]
    answers: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted learner, by its name in `LEARNERS`, or a vote of several.

    Attributes:
      parameters: Number of fitted parameters.
      history: A record per finished epoch. Empty if there are no epochs.
      interrupted: Whether Ctrl-C was pressed. The state is then that after the last finished epoch.
      note: A remark about this fit for the user.
      judged: Predictions for the validation rows, if these chose something: each by a candidate
        that was chosen without the row's part (`choice.Choice`). None: they chose nothing.
      cross: Cross-validated predictions for the rows that it was fitted to, each by a fit without
        the row. None: there was no cross-validation.
      rows_at_once: Maximum number of rows that can be predicted at once within 128 MiB. None: there
        is no limit.
      vote: For a vote, the weight of each learner by its name. It is empty for a single learner.
      at_edge: The settings whose best value was the first or last one that was tried, in words.
    """

    learner: str
    body: Body
    parameters: int
    history: tuple[Epoch, ...] = ()
    interrupted: bool = False
    note: str | None = None
    judged: NDArray[np.float32] | None = None
    rows_at_once: int | None = None
    cross: CrossAnswers | None = None
    vote: Mapping[str, float] = field(default_factory=dict)
    at_edge: tuple[str, ...] = ()

    @property
    def learners(self) -> tuple[str, ...]:
        """The names, in `LEARNERS`, of the learners that predict."""
        return tuple(self.vote) or (self.learner,)

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The learner's own predictions. Its graph is compared with them."""
        return self.body.answers(x)

    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32] | None:
        """The last hidden activations of a network (n, d). None for other learners."""
        of_body = getattr(self.body, "hidden", None)
        return None if of_body is None else of_body(x)
