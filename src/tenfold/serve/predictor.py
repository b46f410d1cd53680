"""A run that answers: its model, what may wait for it, and answers in the form of `predict`."""

import asyncio
import contextlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tenfold.core.contract import ImageInput, TableInput
from tenfold.core.errors import TenfoldError
from tenfold.inputs.pictures.preprocess import preprocess
from tenfold.model.json_form import Answer, as_json
from tenfold.model.predictions import of_picture
from tenfold.runs.record import Run
from tenfold.serve.batch_profile import profile_model
from tenfold.serve.batching import Batcher, Outcome
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import Metrics
from tenfold.serve.predict_request import PredictRequest, read_predict_request
from tenfold.serve.replies import HTTPError, Reply, written

INLINE_BYTES = 1 << 16
"""JSON and raw bodies up to this are read where they arrive: a thread costs more."""

NO_ANSWER = "The model gives no number for this input."
FAILED = "The model failed on this input, which may be in order."


class Predictor:
    """A run's model behind the service.

    Attributes:
      name: What the run is called in addresses: the name of its folder.
    """

    def __init__(self, run: Run, limits: Limits, metrics: Metrics) -> None:
        self.name = run.path.resolve().name
        self.run = run
        self.model = run.model
        self._limits = limits
        self._metrics = metrics
        self._batcher = Batcher(self.model, profile_model(run), metrics.batches(self.name))
        self._readers = ThreadPoolExecutor(min(2, os.cpu_count() or 1), thread_name_prefix="reader")
        self._reading = 0

    @property
    def waiting(self) -> int:
        """Items that wait for the model, and bodies that are being read."""
        return self._batcher.waiting + self._reading

    async def answer(self, media_type: str, body: bytes) -> tuple[Reply, int]:
        """Answer a request's body; also says how many items were asked for.

        Raises:
          HTTPError: It cannot be read, or nothing in it can be answered.
          Exception: What the model raised, when it failed on everything that was asked.
        """
        request = await self._read(media_type, body)
        outcomes = await self._batcher.answer(request.rows)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            self._metrics.failures[self.name] += len(failures)
            if len(failures) == len(outcomes):
                raise failures[0]
        answers = list(_answers(request, outcomes))
        if all(answer.error for answer in answers):
            raise HTTPError(422, answers[0].error or NO_ANSWER)
        found = [
            as_json(answer) | ({"row": answer.row} if answer.error else {}) for answer in answers
        ]
        content = {"model": self.model.sha256, "predictions": found}
        if request.notes:
            content["notes"] = list(request.notes)
        return Reply(200, written(content)), len(found)

    async def _read(self, media_type: str, body: bytes) -> PredictRequest:
        contract = self.model.contract
        is_quick = len(body) <= INLINE_BYTES and not isinstance(contract.input, TableInput)
        if is_quick and media_type in ("application/json", "application/octet-stream"):
            return read_predict_request(media_type, body, contract, self._limits)
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._readers, read_predict_request, media_type, body, contract, self._limits
            )
        finally:
            self._reading -= 1

    def warm_up(self) -> None:
        """Load what the first picture needs, 0.3 s of scipy, before somebody waits for it."""
        accepted = self.model.contract.input
        if isinstance(accepted, ImageInput):
            self._readers.submit(_see_something, accepted)

    def close(self) -> None:
        """Let go of the threads."""
        self._readers.shutdown(wait=False)
        self._batcher.close()


def _see_something(accepted: ImageInput) -> None:
    from PIL import Image

    drawn = np.zeros((40, 40), np.uint8)
    drawn[8:32, 18:22] = 255
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    with contextlib.suppress(TenfoldError):  # not every model sees pictures of files
        preprocess(file.getvalue(), accepted)


def _answers(request: PredictRequest, outcomes: list[Outcome]) -> Iterator[Answer]:
    """An answer for each item that was sent, in its place."""
    found = iter(outcomes)
    for row, error in enumerate(request.errors):
        outcome = None if error else next(found)
        if isinstance(outcome, Exception):
            yield Answer(request.kind, row, error=FAILED)
        elif outcome is None:
            yield Answer(request.kind, row, error=error or NO_ANSWER)
        else:
            if request.steps is not None:
                outcome = of_picture(outcome, request.steps)
            yield Answer(request.kind, row, outcome)
