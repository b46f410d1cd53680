"""A run that answers: its model, what may wait for it, and answers in the form of `predict`."""

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

from tenfold.model.answer_forms import Answer, as_json
from tenfold.runs.record import Run
from tenfold.serve.admission import ReaderPool
from tenfold.serve.batching import Batcher, Outcome, profile_model
from tenfold.serve.limits import Limits
from tenfold.serve.messages import Reply, Request, json_reply
from tenfold.serve.metrics import Metrics
from tenfold.serve.predict_request import (
    JSON_TYPE,
    RAW_TYPE,
    PredictRequest,
    media_type_of,
    read_predict_request,
    read_some_picture,
)

INLINE_BYTES = 1 << 16
"""JSON and raw bodies up to this are read where they arrive: a thread costs more."""

FAILED = "The model failed on this input, which may be in order."


class AnsweredRequest(NamedTuple):
    """An answered request; `fault` is the kind of exception that some of its items met."""

    reply: Reply
    n_items: int
    fault: str


class Predictor:
    """A run's model behind the service; in addresses it has the name of its folder."""

    def __init__(self, run: Run, limits: Limits, metrics: Metrics, readers: ReaderPool) -> None:
        self.name = run.path.resolve().name
        self.run = run
        self.model = run.model
        self._limits = limits
        self._metrics = metrics
        self._readers = readers
        self._batcher = Batcher(self.model, profile_model(run), metrics.batches(self.name))
        self._n_reading = 0

    @property
    def waiting(self) -> int:
        """Items that wait for the model, and bodies that are being read."""
        return self._batcher.waiting + self._n_reading

    def accept(self, asked: Request) -> None:
        """Look at what kind of body is to come, or refuse it."""
        asked.media_type = media_type_of(asked.headers)

    async def answer(self, media_type: str, body: bytes) -> AnsweredRequest:
        """Answer a request's body.

        When the model failed on everything that was asked, what it raised is raised.
        """
        request = await self._read(media_type, body)
        outcomes = await self._batcher.answer(request.rows)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        self._metrics.failures[self.name] += len(failures)
        if failures and len(failures) == len(outcomes):
            try:
                raise failures[0]
            finally:
                del failures, outcomes  # or the error would hold them, and they the error
        answers = list(_answers(request, outcomes))
        content = {
            "model": self.model.sha256,
            "predictions": [
                as_json(answer) | (_place(answer) if answer.error else {}) for answer in answers
            ],
        }
        if request.notes:
            content["notes"] = list(request.notes)
        fault = type(failures[0]).__name__ if failures else ""
        return AnsweredRequest(json_reply(content), len(answers), fault)

    async def _read(self, media_type: str, body: bytes) -> PredictRequest:
        contract = self.model.contract
        is_quick = len(body) <= INLINE_BYTES and contract.input.kind != "table"
        if is_quick and media_type in (JSON_TYPE, RAW_TYPE):
            return read_predict_request(body, media_type, contract, self._limits)
        self._n_reading += 1
        try:
            return await self._readers.read(
                read_predict_request, body, media_type, contract, self._limits
            )
        finally:
            self._n_reading -= 1

    def warm_up(self) -> None:
        """Load what the first picture needs, 0.3 s of scipy, before somebody waits for it."""
        if self.model.contract.input.kind == "image":
            self._readers.run(read_some_picture, self.model.contract, self._limits)

    def close(self) -> None:
        self._batcher.close()


def _place(answer: Answer) -> dict[str, object]:
    """Which item an answer is to, where it has no other facts."""
    return {"row": answer.row} | ({} if answer.id is None else {"id": answer.id})


def _answers(request: PredictRequest, outcomes: list[Outcome]) -> Iterator[Answer]:
    remaining = zip(outcomes, request.ids or repeat(None), strict=False)
    for row, error in enumerate(request.errors):
        if error:
            yield Answer(request.kind, row, error=str(error))
            continue
        outcome, name = next(remaining)
        if isinstance(outcome, Exception):
            yield Answer(request.kind, row, error=FAILED, id=name or None)
        else:
            if request.steps is not None:
                outcome = outcome.with_steps(request.steps)
            yield Answer(request.kind, row, outcome, id=name or None)
