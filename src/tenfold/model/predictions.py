"""The predictions of a model: labels with probabilities, or values with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from tenfold.core import html_repr
from tenfold.core.contract import Decision, PredictionSets
from tenfold.core.csv_cells import csv_line, escape_formula, number_text
from tenfold.core.text import and_more, percent
from tenfold.inputs.pictures.preprocess import PictureSteps

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

MAX_IN_SET = 5
"""Maximum number of labels of a prediction set that a line names."""

NEAR_SHARE = 0.5
"""If the second label has at least this share of the first label's probability, the reason of an
unsure prediction names both."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The prediction of a label.

    Attributes:
      label: The most probable label, or the one that the model's threshold gives.
      confidence: The probability of the label.
      probabilities: The probability of each class, float32 (n_classes,).
      classes: The names of all classes, in the order of the probabilities.
      image: What the model saw, in the contract's shape. None for rows of a table.
      unsure: Whether the prediction should not be relied on.
      reason: Why it is unsure.
      novelty: How much the input differs from the training rows. None: the model does not compute
        it.
      steps: The steps from a picture file to `image`. None for other inputs.
      in_set: Which classes are in the prediction set, bool (n_classes,). None: there is no set.
    """

    label: str
    confidence: float
    probabilities: Floats
    classes: tuple[str, ...]
    image: NDArray[np.uint8] | None = None
    unsure: bool = False
    reason: str | None = None
    novelty: float | None = None
    steps: PictureSteps | None = None
    in_set: Bools | None = None

    @property
    def prediction_set(self) -> tuple[str, ...] | None:
        """The labels in the prediction set, most probable first. It is empty if the probability of
        every label is unusually low compared with that label's own rows. None: the model has no
        sets."""
        if self.in_set is None:
            return None
        best_first = np.argsort(-self.probabilities, kind="stable")
        return tuple(self.classes[code] for code in best_first if self.in_set[code])

    def as_dict(self, top: int | None = None) -> dict[str, float]:
        """The probabilities by class, in the model's order, or the `top` best, best first."""
        pairs = list(zip(self.classes, self.probabilities.tolist(), strict=True))
        if top is not None:
            pairs = sorted(pairs, key=lambda pair: -pair[1])[:top]
        return dict(pairs)

    def as_json(self, top: int | None = None) -> dict[str, Any]:
        """The JSON form of `predict --json`. `top` limits it to the most probable classes, best
        first."""
        labels = self.prediction_set
        return {
            "label": self.label,
            "confidence": self.confidence,
            "unsure": self.unsure,
            "reason": self.reason,
            "probabilities": self.as_dict(top),
        } | ({} if labels is None else {"prediction_set": list(labels)})

    def as_cells(self) -> list[str]:
        """The cells of `predict --csv`: label, confidence, unsure, the probabilities and, if there
        is one, the prediction set as a line of CSV."""
        confidence, unsure = number_text(self.confidence), str(self.unsure).lower()
        probabilities = map(number_text, self.probabilities.tolist())
        labels = self.prediction_set
        in_set = [] if labels is None else [escape_formula(csv_line(labels))]
        return [escape_formula(self.label), confidence, unsure, *probabilities, *in_set]

    def as_text(self) -> str:
        """The prediction in a line for people: label, confidence, what the prediction set adds to
        them, and why it is unsure."""
        added = self.set_text and f"  {self.set_text}"
        doubt = f"  unsure: {self.reason}" if self.unsure else ""
        return f"{self.label}  {percent(self.confidence)}{added}{doubt}"

    @property
    def set_text(self) -> str:
        """What the prediction set adds to the predicted label, for people: which others are
        possible, or that every label is less probable than in 95% of its own rows. Empty if the set
        is just the predicted label, or if the model has no sets."""
        labels = self.prediction_set
        if labels in (None, (self.label,)):
            return ""
        if not labels:
            return "less sure than usual"
        others = [label for label in labels if label != self.label]
        named = " or ".join(others[:MAX_IN_SET]) + and_more(MAX_IN_SET, len(others))
        return f"could also be {named}" if self.label in labels else f"could be {named} instead"

    def with_steps(self, steps: PictureSteps) -> "Prediction":
        """The same prediction for a picture file, which is unsure if the picture has a problem."""
        if steps.problem is None:
            return replace(self, steps=steps)
        return replace(self, steps=steps, unsure=True, reason=steps.problem)

    def __repr__(self) -> str:
        doubt = ", unsure" if self.unsure else ""
        return f"Prediction({self.label!r}, confidence={self.confidence:.4f}{doubt})"

    def _repr_html_(self) -> str:
        best = self.as_dict(top=len(self.classes)).items()
        rows = [(label, html_repr.bar(p), f"{p:.4f}") for label, p in best]
        seen = "" if self.image is None else html_repr.picture(self.image, 112)
        notes = [self.set_text, "unsure" if self.unsure else ""]
        title = ", ".join([self.label, f"{self.confidence:.1%}", *filter(None, notes)])
        return html_repr.card(title, seen, html_repr.table((), rows, len(rows)))


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """Predictions for many inputs: a sequence of `Prediction`, backed by arrays.

    Attributes:
      probabilities: float32 (n, n_classes).
      classes: The names of all classes, in the order of the columns.
      decision: A threshold that decides between two labels. None: the more probable one is
        predicted.
      images: What the model saw: uint8 (n, ...). None for rows of a table.
      notes: Notes about the inputs for the user.
      novelty: How much each input differs from the training rows, float32 (n,). None: the model
        does not compute it.
      novelty_threshold: Predictions with more novelty are unsure.
      steps: The steps from each picture file to its image. Empty for other inputs.
      ids: The name of each row of a table. Empty if there are none.
      in_set: Which classes are in each prediction set, bool (n, n_classes). None: the model has
        none.
      prediction_sets: The coverage of the sets. None: unknown.
    """

    probabilities: Floats
    classes: tuple[str, ...]
    decision: Decision | None = None
    images: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    novelty: Floats | None = None
    novelty_threshold: float = np.inf
    steps: tuple[PictureSteps, ...] = ()
    ids: tuple[str, ...] = ()
    in_set: Bools | None = None
    prediction_sets: PredictionSets | None = None

    @property
    def outputs(self) -> tuple[NDArray[Any], ...]:
        """The outputs of the graph: the probabilities and, if there are any, novelty and sets."""
        given = (self.probabilities, self.novelty, self.in_set)
        return tuple(output for output in given if output is not None)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """The code of each predicted label (n,)."""
        if self.decision is None:
            best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
            return best
        positive = self.classes.index(self.decision.positive)
        likely = self.probabilities[:, positive] >= np.float32(self.decision.threshold)
        return np.where(likely, positive, 1 - positive)

    @property
    def labels(self) -> list[str]:
        """The predicted labels."""
        return [self.classes[code] for code in self.codes]

    @property
    def confidence(self) -> Floats:
        """The probability of each predicted label (n,)."""
        return np.take_along_axis(self.probabilities, self.codes[:, None], axis=1)[:, 0]

    def row_scores(self, true: NDArray[Any]) -> NDArray[np.float64]:
        """The score of each prediction, given the true codes (n,): 1 if it is correct, else 0."""
        right: NDArray[np.bool_] = self.codes == true
        return right.astype(np.float64)

    @cached_property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether each prediction should not be relied on (n,)."""
        unsure = np.zeros(len(self), bool)
        if self.novelty is not None:
            # A novelty that is NaN counts as unsure.
            unsure = ~(self.novelty <= np.float32(self.novelty_threshold))
        if self.steps:
            unsure |= [steps.problem is not None for steps in self.steps]
        return unsure

    def _reason(self, index: int) -> str | None:
        """Why a prediction is unsure: the picture has a problem, two classes are similarly
        probable, or the input differs from all training rows."""
        if not self.unsure[index]:
            return None
        if self.steps and (problem := self.steps[index].problem):
            return problem
        assert self.novelty is not None
        names, p = self.classes, self.probabilities[index]
        second, first = np.argsort(p)[-2:].tolist()
        if p[second] >= NEAR_SHARE * p[first]:
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
            return replace(
                self,
                probabilities=self.probabilities[index],
                images=None if self.images is None else self.images[index],
                novelty=None if self.novelty is None else self.novelty[index],
                steps=self.steps[index],
                ids=self.ids[index],
                in_set=None if self.in_set is None else self.in_set[index],
            )
        code, reason = int(self.codes[index]), self._reason(index)
        return Prediction(
            label=self.classes[code],
            confidence=float(self.probabilities[index, code]),
            probabilities=self.probabilities[index],
            classes=self.classes,
            image=None if self.images is None else self.images[index],
            unsure=reason is not None,
            reason=reason,
            novelty=None if self.novelty is None else float(self.novelty[index]),
            steps=self.steps[index] if self.steps else None,
            in_set=None if self.in_set is None else self.in_set[index],
        )

    def __repr__(self) -> str:
        return f"Predictions({len(self)})"

    def _repr_html_(self) -> str:
        pictured = self.images is not None
        head = [*(["seen"] if pictured else []), "label", "", "confidence"]
        rows = []
        for answer in self[: html_repr.MAX_SHOWN]:
            seen = [] if answer.image is None else [html_repr.picture(answer.image)]
            share = html_repr.bar(answer.confidence)
            rows.append([*seen, answer.label, share, f"{answer.confidence:.4f}"])
        table = html_repr.table(head, rows, len(self))
        return html_repr.card(f"{len(self):,} predictions", table)


@dataclass(frozen=True, slots=True)
class Value:
    """The prediction of a number, with an interval that contains the true value in 90 of 100
    cases."""

    value: float
    low: float
    high: float
    novelty: ClassVar[None] = None

    def as_json(self, top: int | None = None) -> dict[str, Any]:
        """The JSON form of `predict --json`. An end of the interval that is not finite is None."""
        ends = {"low": self.low, "high": self.high}
        finite = {name: end if isfinite(end) else None for name, end in ends.items()}
        return {"value": self.value, **finite}

    def as_cells(self) -> list[str]:
        """The cells of `predict --csv`: value, low and high. An end that is not finite is empty."""
        ends = (end if isfinite(end) else None for end in (self.low, self.high))
        return [number_text(self.value), *map(number_text, ends)]

    def as_text(self) -> str:
        """The prediction in a line for people: the value, and its interval if there is one."""
        interval = f"  between {self.low:.6g} and {self.high:.6g}" if isfinite(self.high) else ""
        return f"{self.value:.6g}{interval}"

    def with_steps(self, steps: PictureSteps) -> "Value":
        """The same prediction for a picture file. A value keeps no picture."""
        return self


@dataclass(frozen=True, eq=False)
class Values(Sequence[Value]):
    """Predictions of numbers for many inputs, in the target's unit.

    Attributes:
      value, low, high: float32 (n,).
      notes: Notes about the inputs for the user.
      times: For a forecast, the time of each step.
      series: For a forecast of several series, the name of each step's series.
      ids: The name of each row of a table. Empty if there are none.
    """

    value: Floats
    low: Floats
    high: Floats
    notes: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    classes: ClassVar[tuple[str, ...]] = ()

    @property
    def codes(self) -> NDArray[np.int64]:
        """The index of the explained score of each prediction (n,), of which there is only one."""
        return np.zeros(len(self), np.int64)

    @property
    def outputs(self) -> tuple[Floats, ...]:
        """The outputs of the graph: value, low and high."""
        return self.value, self.low, self.high

    @property
    def intervals(self) -> tuple[Floats, Floats] | None:
        """The ends of the intervals, each (n,). None if the model has none."""
        return (self.low, self.high) if np.isfinite(self.high).all() else None

    def row_scores(self, true: NDArray[Any]) -> NDArray[np.float64]:
        """The score of each prediction, given the true values (n,): minus the squared error."""
        errors: NDArray[np.float64] = self.value.astype(np.float64) - true
        return -(errors**2)

    def __len__(self) -> int:
        return len(self.value)

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> "Values": ...
    def __getitem__(self, index: int | slice) -> "Value | Values":
        if isinstance(index, slice):
            arrays = self.value[index], self.low[index], self.high[index]
            ids = self.ids[index]
            return Values(*arrays, self.notes, self.times[index], self.series[index], ids)
        return Value(float(self.value[index]), float(self.low[index]), float(self.high[index]))

    def __repr__(self) -> str:
        return f"Values({len(self)})"

    def _repr_html_(self) -> str:
        ends = zip(self.value[: html_repr.MAX_SHOWN], self.low, self.high, strict=False)
        rows = [[f"{number:.6g}" for number in row] for row in ends]
        table = html_repr.table(("value", "low", "high"), rows, len(self))
        return html_repr.card(f"{len(self):,} values", table)


Answers = Predictions | Values
