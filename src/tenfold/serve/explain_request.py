"""Requests that ask why: each column's contribution to the predictions of rows of a table."""

from dataclasses import replace
from functools import partial

from tenfold.core.contract import Contract
from tenfold.core.errors import TenfoldError
from tenfold.model.model import Model
from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError, Request
from tenfold.serve.predict_request import PredictRequest, read_predict_request
from tenfold.serve.predictor import AnsweredRequest, Predictor

MAX_COLUMNS = 200
"""Models with more columns are not explained here: each contribution that is sampled takes 200
predictions."""

MAX_CELLS = 400
"""Maximum number of rows times columns of a request, for the same reason."""


def is_explained(contract: Contract) -> bool:
    """Whether the service explains the predictions of a model."""
    accepted = contract.input
    if accepted.kind != "table" or accepted.order is not None:
        return False
    return len(accepted.columns) <= MAX_COLUMNS


def most_rows(contract: Contract) -> int:
    """The maximum number of rows of a request that are explained."""
    assert contract.input.kind == "table"
    return max(1, MAX_CELLS // len(contract.input.columns))


async def explain(predictor: Predictor, asked: Request) -> AnsweredRequest:
    """Answer a request, with the novelty of each row and the contribution of each column."""
    return await predictor.answer(asked, partial(read_explain_request, predictor.model))


def read_explain_request(
    model: Model, body: bytes, media_type: str, contract: Contract, limits: Limits
) -> PredictRequest:
    """Read the body of a request as for a prediction, and explain its rows.

    Raises:
      HTTPError: As `read_predict_request`; 413 also for more than `most_rows`, and 422 also if the
        run is of an earlier version and lacks what an explanation needs.
    """
    fewer = limits.model_copy(update={"items": min(limits.items, most_rows(contract))})
    request = read_predict_request(body, media_type, contract, fewer)
    try:
        return replace(request, explanations=model.explain_rows(request.rows))
    except TenfoldError as error:  # its text contains a path of this computer
        raise HTTPError(
            "E986",
            "The service cannot explain the predictions of this model",
            422,
            expected="a run with the data for explanations",
            fix="Train the model again with this version of Tenfold",
        ) from error
