"""What a model answers: labels with probabilities, or values with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tenfold.core import html_repr
from tenfold.core.contract import (
    Decision,
)
from tenfold.inputs.pictures.preprocess import PictureSteps

Floats = NDArray[np.float32]


NEAR_SHARE = 0.5
"""An unsure answer whose second label has this share of the first's probability is between both."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One answer.

    Attributes:
      label: The most probable label, or the one that the model's threshold decides.
      confidence: Its probability.
      values: The probability of each label, float32 (n_labels,).
      labels: Their names.
      image: What the model saw, of the contract's shape; None for rows of a table.
      unsure: The model would rather not answer.
      reason: Why it is unsure.
      novelty: How unlike the training rows the input is; None: the model does not know.
      steps: What became of a picture file on the way to `image`; None for others.
    """

    label: str
    confidence: float
    values: Floats
    labels: tuple[str, ...]
    image: NDArray[np.uint8] | None = None
    unsure: bool = False
    reason: str | None = None
    novelty: float | None = None
    steps: PictureSteps | None = None

    @property
    def probabilities(self) -> dict[str, float]:
        """Label to probability, in the model's order of labels."""
        return dict(zip(self.labels, self.values.tolist(), strict=True))

    def __repr__(self) -> str:
        doubt = ", unsure" if self.unsure else ""
        return f"Prediction({self.label!r}, confidence={self.confidence:.4f}{doubt})"

    def _repr_html_(self) -> str:
        best = sorted(self.probabilities.items(), key=lambda item: -item[1])
        rows = [(label, html_repr.bar(p), f"{p:.4f}") for label, p in best]
        seen = "" if self.image is None else html_repr.picture(self.image, 112)
        title = f"{self.label}, {self.confidence:.1%}" + (", unsure" if self.unsure else "")
        return html_repr.card(title, seen, html_repr.table((), rows, len(rows)))


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """Answers to many inputs: a sequence of `Prediction` over arrays.

    Attributes:
      probabilities: float32 (n, n_labels).
      label_names: Names of the columns.
      decision: A threshold that decides between two labels; None: the larger probability does.
      images: What the model saw: uint8 (n, ...); None for rows of a table.
      notes: What a reader should know about the inputs.
      novelty: How unlike the training rows each input is, float32 (n,); None: the model does not
        know.
      novelty_threshold: Answers with more novelty are unsure.
    """

    probabilities: Floats
    label_names: tuple[str, ...]
    decision: Decision | None = None
    images: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    novelty: Floats | None = None
    novelty_threshold: float = np.inf

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """The code of each answer's label (n,)."""
        if self.decision is None:
            best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
            return best
        positive = self.label_names.index(self.decision.positive)
        likely = self.probabilities[:, positive] >= np.float32(self.decision.threshold)
        return np.where(likely, positive, 1 - positive)

    @property
    def labels(self) -> list[str]:
        """The label of each answer."""
        return [self.label_names[code] for code in self.codes]

    @property
    def confidence(self) -> Floats:
        """The probability of each answer's label (n,)."""
        return np.take_along_axis(self.probabilities, self.codes[:, None], axis=1)[:, 0]

    @cached_property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether the model would rather not give each answer (n,)."""
        if self.novelty is None:
            return np.zeros(len(self), bool)
        # A novelty that is not a number is no reason to be sure.
        return ~(self.novelty <= np.float32(self.novelty_threshold))

    def _reason(self, index: int) -> str | None:
        """Why an answer is unsure: two labels are near each other, or nothing is like the input."""
        if self.novelty is None or not self.unsure[index]:
            return None
        values = self.probabilities[index]
        second, first = np.argsort(values)[-2:].tolist()
        if values[second] >= NEAR_SHARE * values[first]:
            names, p = self.label_names, values
            return f"{names[first]} ({p[first]:.2f}) or {names[second]} ({p[second]:.2f})"
        novelty = f"novelty {self.novelty[index]:.2f}, more than {self.novelty_threshold:g}"
        return f"unlike the training examples: {novelty}"

    def __len__(self) -> int:
        return len(self.probabilities)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...
    def __getitem__(self, index: int | slice) -> "Prediction | Predictions":
        if isinstance(index, slice):
            images = None if self.images is None else self.images[index]
            novelty = None if self.novelty is None else self.novelty[index]
            chosen = self.probabilities[index]
            return replace(self, probabilities=chosen, images=images, novelty=novelty)
        code, values = int(self.codes[index]), self.probabilities[index]
        image = None if self.images is None else self.images[index]
        reason = self._reason(index)
        unlike = None if self.novelty is None else float(self.novelty[index])
        return Prediction(
            self.label_names[code], float(values[code]), values, self.label_names, image,
            reason is not None, reason, unlike,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Predictions({len(self)})"

    def _repr_html_(self) -> str:
        pictured = self.images is not None
        rows = (
            ([html_repr.picture(one.image)] if one.image is not None else [])
            + [one.label, html_repr.bar(one.confidence), f"{one.confidence:.4f}"]
            for one in (self[row] for row in range(min(len(self), html_repr.MAX_SHOWN)))
        )
        head = ["seen"] * pictured + ["label", "", "confidence"]
        table = html_repr.table(head, rows, len(self))
        return html_repr.card(f"{len(self):,} predictions", table)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One answer of regression: the value, and the interval that holds the truth in 90 of 100."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Estimates(Sequence[Estimate]):
    """Answers of regression to many inputs, in the target's unit.

    Attributes:
      value, low, high: float32 (n,).
      notes: What a reader should know about the inputs.
      times: For a forecast the time of each step.
    """

    value: Floats
    low: Floats
    high: Floats
    notes: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.value)

    @overload
    def __getitem__(self, index: int) -> Estimate: ...
    @overload
    def __getitem__(self, index: slice) -> "Estimates": ...
    def __getitem__(self, index: int | slice) -> "Estimate | Estimates":
        if isinstance(index, slice):
            return Estimates(
                self.value[index], self.low[index], self.high[index], self.notes, self.times[index]
            )
        return Estimate(float(self.value[index]), float(self.low[index]), float(self.high[index]))

    def __repr__(self) -> str:
        return f"Estimates({len(self)})"

    def _repr_html_(self) -> str:
        ends = zip(self.value[: html_repr.MAX_SHOWN], self.low, self.high, strict=False)
        rows = [[f"{number:.6g}" for number in row] for row in ends]
        table = html_repr.table(("value", "low", "high"), rows, len(self))
        return html_repr.card(f"{len(self):,} estimates", table)


Answers = Predictions | Estimates


def of_picture(answer: Prediction | Estimate, steps: PictureSteps) -> Prediction | Estimate:
    """An answer to what a model saw of a picture: unsure where the picture has a problem."""
    if isinstance(answer, Estimate):
        return answer
    answer = replace(answer, steps=steps)
    return replace(answer, unsure=True, reason=steps.problem) if steps.problem else answer
