"""A predictor: a run that answers requests, in the form of `tenfold predict --json`."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import NamedTuple, TypeVar

from tenfold.core.contract import Contract
from tenfold.model.answer_forms import Answer, as_json
from tenfold.runs.record import Run
from tenfold.serve.admission import ReaderPool
from tenfold.serve.batching import Batcher, Outcome, profile_model
from tenfold.serve.encodings import decompressed
from tenfold.serve.limits import Limits
from tenfold.serve.messages import Reply, Request, json_reply
from tenfold.serve.metrics import Metrics
from tenfold.serve.predict_request import (
    JSON_TYPE,
    PredictRequest,
    is_compressed,
    is_quick,
    media_type_of,
    read_predict_request,
    read_some_picture,
)

Asked = TypeVar("Asked", bound=PredictRequest)

MANY = 64
"""With more answers than this, a thread writes the reply: 1,000 answers take 20 ms."""

FAILED = "The model failed on this input, which may be in order."


class AnsweredRequest(NamedTuple):
    """An answered request; `fault` is the kind of exception on which items failed, or empty."""

    reply: Reply
    n_items: int
    fault: str


class Predictor:
    """The model of a run in the service; `name` is its name in addresses."""

    def __init__(
        self, name: str, run: Run, limits: Limits, metrics: Metrics, readers: ReaderPool
    ) -> None:
        self.name = name
        self.run = run
        self.model = run.model
        self._limits = limits
        self._metrics = metrics
        self._readers = readers
        self._batcher = Batcher(self.model, profile_model(run), metrics.batches(self.name))
        self._n_unread = 0
        self._drift = metrics.drift_of(name, run)

    @property
    def waiting(self) -> int:
        """The number of items that wait for the model, plus the bodies that are not yet read."""
        return self._batcher.waiting + self._n_unread

    def begin(self) -> None:
        """Count a request whose body has arrived; `answer` or `infer` follows."""
        self._n_unread += 1

    def accept(self, asked: Request) -> None:
        """Determine the kind of body from the headers, or refuse the request."""
        is_infer = asked.path.endswith("/infer")  # its clients send no content type
        asked.media_type = JSON_TYPE if is_infer else media_type_of(asked.headers)
        asked.is_compressed = is_compressed(asked.headers)

    async def answer(
        self, asked: Request, read: Callable[..., PredictRequest] | None = None
    ) -> AnsweredRequest:
        """Answer a request whose body has arrived; `read` reads it, by default for a prediction."""
        request, outcomes = await self.ask(asked, read or read_predict_request)
        fault = next((type(one).__name__ for one in outcomes if isinstance(one, Exception)), "")
        if len(outcomes) > MANY:
            reply = await asyncio.to_thread(self._reply, request, outcomes)
        else:
            reply = self._reply(request, outcomes)
        return AnsweredRequest(reply, len(request.errors), fault)

    async def ask(self, asked: Request, read: Callable[..., Asked]) -> tuple[Asked, list[Outcome]]:
        """The items of a body, and the outcome for each that could be read.

        If the model failed on all items, its first exception is raised.
        """
        request = await self._read(asked, read)
        if self._drift is not None and len(request.rows):
            self._drift.add(request.rows)
        outcomes = await self._batcher.answer(request.rows)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        self._metrics.answered(self.name, outcomes, self.model.contract.novelty_threshold)
        if failures and len(failures) == len(outcomes):
            try:
                raise failures[0]
            finally:
                del failures, outcomes  # or the error would hold them, and they the error
        return request, outcomes

    async def _read(self, asked: Request, read: Callable[..., Asked]) -> Asked:
        contract, body, kind = self.model.contract, asked.body(), asked.media_type
        try:
            if not asked.is_compressed and is_quick(body, kind, contract):
                return read(body, kind, contract, self._limits)
            read = partial(_unpacked, read) if asked.is_compressed else read
            return await self._readers.read(read, body, kind, contract, self._limits)
        finally:
            self._n_unread -= 1

    def _reply(self, request: PredictRequest, outcomes: list[Outcome]) -> Reply:
        answers = _answers(request, outcomes)
        content = {
            "model": self.model.sha256,
            "predictions": [
                as_json(answer) | (_place(answer) if answer.error else {}) for answer in answers
            ],
        }
        if request.notes:
            content["notes"] = list(request.notes)
        return json_reply(content)

    def warm_up(self) -> None:
        """Load what the first picture needs, which takes 0.3 s, before a request waits for it."""
        if self.model.contract.input.kind == "image":
            self._readers.run(read_some_picture, self.model.contract, self._limits)

    def close(self) -> None:
        self._batcher.close()


def _unpacked(
    read: Callable[..., Asked], body: bytes, kind: str, contract: Contract, limits: Limits
) -> Asked:
    return read(decompressed(body, limits), kind, contract, limits)


def _place(answer: Answer) -> dict[str, object]:
    """The position and the id of an item that has no other facts."""
    return {"row": answer.row} | ({} if answer.id is None else {"id": answer.id})


def _answers(request: PredictRequest, outcomes: list[Outcome]) -> Iterator[Answer]:
    remaining = zip(
        outcomes, request.ids or repeat(None), request.explanations or repeat(None), strict=False
    )
    steps = iter(request.steps)
    for row, error in enumerate(request.errors):
        if error:
            yield Answer(request.kind, row, error=str(error))
            continue
        outcome, name, why = next(remaining)
        step = next(steps, None)
        if isinstance(outcome, Exception):
            yield Answer(request.kind, row, error=FAILED, id=name or None)
        else:
            if step is not None:
                outcome = outcome.with_steps(step)
            yield Answer(request.kind, row, outcome, id=name or None, explanation=why)
