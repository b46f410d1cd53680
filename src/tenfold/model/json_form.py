"""An answer as `predict --json` prints it and the service sends it."""

from math import isfinite
from typing import Any, NamedTuple

from tenfold.model.predictions import Estimate, Prediction


class Answer(NamedTuple):
    """An answer to one input, or why there is none.

    Attributes:
      input: Where it came from: a file, or the part of a request.
      row: Its number there.
      complete: Whether there is an answer, and its picture was written where one was asked for.
    """

    input: str
    row: int
    answer: Prediction | Estimate | None = None
    error: str | None = None
    complete: bool = True


def as_json(answer: Answer, top: int | None = None) -> dict[str, Any]:
    """The promised form (docs/design/index.md); with `top` only so many labels, the best first."""
    found, place = answer.answer, {"input": answer.input, "row": answer.row}
    if found is None:
        return {"input": answer.input, "error": answer.error}
    if isinstance(found, Estimate):
        ends = {"low": finite(found.low), "high": finite(found.high)}
        return place | {"value": found.value} | ends
    return place | {
        "label": found.label,
        "confidence": found.confidence,
        "unsure": found.unsure,
        "reason": found.reason,
        "probabilities": best(found, top),
    }


def best(prediction: Prediction, top: int | None) -> dict[str, float]:
    """Label to probability: in the model's order, or the `top` best, most probable first."""
    everything = prediction.probabilities
    if top is None:
        return everything
    return dict(sorted(everything.items(), key=lambda item: -item[1])[:top])


def finite(number: float) -> float | None:
    """None for the ends of an interval that nothing was promised about."""
    return number if isfinite(number) else None
