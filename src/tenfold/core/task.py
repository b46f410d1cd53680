"""What kind of answer is learned: labels, or numbers. Facts alone; each wing has one table of what
it does with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

TaskKind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Classification:
    """The answers are labels, in the order of their codes.

    Attributes:
      positive: Of two labels the one that is looked for; None: not known yet, or more labels.
      kind: Key of the tables.
      more_is_better: Whether the larger of two scores, accuracies here, is the better one.
    """

    labels: tuple[str, ...]
    positive: str | None = None
    kind: ClassVar[TaskKind] = "classification"
    more_is_better: ClassVar[bool] = True

    def with_facts(self, *, positive: str | None, mean: float | None) -> "Classification":
        """The task with what is known of the training rows: here the label that is looked for."""
        return replace(self, positive=positive)


@dataclass(frozen=True)
class Regression:
    """The answers are numbers.

    Attributes:
      target: What they are called.
      mean: Of the training rows, in the target's unit; None: not known yet.
      scale: Standard deviation of the training rows; None: not known.
      more_is_better: As of `Classification`, for root mean squared errors.
    """

    target: str = "value"
    mean: float | None = None
    scale: float | None = None
    kind: ClassVar[TaskKind] = "regression"
    more_is_better: ClassVar[bool] = False
    labels: ClassVar[tuple[str, ...]] = ()

    def with_facts(self, *, positive: str | None, mean: float | None) -> "Regression":
        """The task with what is known of the training rows: here their mean."""
        return replace(self, mean=mean)


Task = Classification | Regression


def positive_of(labels: Sequence[str], counts: Sequence[int], asked: str | None) -> str | None:
    """Of two labels the one that is looked for: the asked one, else the rarer, by their counts.

    The second where both are as frequent; None where there are not two labels.
    """
    if len(labels) != 2:
        return None
    return labels[int(counts[1] <= counts[0])] if asked is None else asked
