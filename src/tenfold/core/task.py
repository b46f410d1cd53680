"""The kind of answer: labels or numbers. Tasks only have properties. Each wing has one table of
what it does for each kind of task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

TaskKind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Classification:
    """The answers are labels, in the order of their codes.

    Attributes:
      positive: The one of two labels that is searched for. None: not known yet, or more labels.
      kind: The key of the tables.
      more_is_better: Whether a larger score (here accuracy) is better.
    """

    labels: tuple[str, ...]
    positive: str | None = None
    kind: ClassVar[TaskKind] = "classification"
    more_is_better: ClassVar[bool] = True

    def with_facts(self, *, positive: str | None, mean: float | None) -> "Classification":
        """The task with the properties that follow from the training rows: here the positive
        label."""
        return replace(self, positive=positive)


@dataclass(frozen=True)
class Regression:
    """The answers are numbers.

    Attributes:
      target: The name of the predicted number.
      mean: The mean over the training rows, in the target's unit. None: not known yet.
      scale: The standard deviation over the training rows. None: not known.
      more_is_better: As for `Classification`; the score is a root mean squared error.
    """

    target: str = "value"
    mean: float | None = None
    scale: float | None = None
    kind: ClassVar[TaskKind] = "regression"
    more_is_better: ClassVar[bool] = False
    labels: ClassVar[tuple[str, ...]] = ()

    def with_facts(self, *, positive: str | None, mean: float | None) -> "Regression":
        """The task with the properties that follow from the training rows: here their mean."""
        return replace(self, mean=mean)


Task = Classification | Regression


def positive_of(labels: Sequence[str], counts: Sequence[int], asked: str | None) -> str | None:
    """The one of two labels that is searched for: the requested one, or else the one with the
    smaller count.

    It is the second label if both counts are equal, and None unless there are two labels.
    """
    if len(labels) != 2:
        return None
    return labels[int(counts[1] <= counts[0])] if asked is None else asked
