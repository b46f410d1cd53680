"""An answer as `predict --json` prints it and the service sends it."""

from typing import Any, NamedTuple

from tenfold.model.predictions import Prediction, Value


class Answer(NamedTuple):
    """An answer to one input, or why there is none.

    Attributes:
      input: Where it came from: a file, or the part of a request.
      row: Its number there.
      complete: Whether there is an answer, and its picture was written where one was asked for.
    """

    input: str
    row: int
    answer: Prediction | Value | None = None
    error: str | None = None
    complete: bool = True


def as_json(answer: Answer, top: int | None = None) -> dict[str, Any]:
    """The promised form (docs/format.md); with `top` only so many labels, the best first."""
    if answer.answer is None:
        return {"input": answer.input, "error": answer.error}
    return {"input": answer.input, "row": answer.row, **answer.answer.as_json(top)}
