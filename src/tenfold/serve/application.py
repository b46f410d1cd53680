"""The service put together: routes for people and supervisors, predictions, the gate before."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import tenfold
from tenfold.errors import SettingsError, message
from tenfold.runs import Run
from tenfold.serve.gate import Doors, Gate, State
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import CONTENT_TYPE, Metrics
from tenfold.serve.predictor import Predictor


def build(runs: Sequence[Run], limits: Limits, doors: Doors) -> Gate:
    """The application over some runs; the first one answers where none is named.

    Raises:
      SettingsError: Two runs of one name.
      RunError: A run without a model.
    """
    metrics, state = Metrics(), State()
    predictors: dict[str, Predictor] = {}
    for run in runs:
        name = run.path.resolve().name
        if name in predictors:
            raise SettingsError(
                message("Two runs of one name", expected="different names", name=name)
            )
        predictors[name] = Predictor(run, limits, metrics.batches(name))
    first = next(iter(predictors.values()))
    paths = {"/v1/predict": first} | {
        f"/v1/models/{name}/predict": predictor for name, predictor in predictors.items()
    }
    gate = Gate(paths, _pages(predictors, state, metrics), doors, limits, state, metrics)
    metrics.gauge(
        "tenfold_in_flight", "Requests being received or answered", lambda: state.in_flight
    )
    metrics.gauge(
        "tenfold_ready", "1 while the service is ready", lambda: state.ready and not state.leaving
    )
    return gate


def about(predictor: Predictor) -> dict[str, Any]:
    """What a model is."""
    model = predictor.model
    return {
        "name": predictor.name,
        "model": model.sha256,
        "bytes": model.n_bytes,
        "learner": model.contract.learner,
        "task": model.contract.task,
        "labels": list(model.labels),
        "input": model.contract.input.model_dump(mode="json"),
    }


def _pages(predictors: dict[str, Predictor], state: State, metrics: Metrics) -> FastAPI:
    app = FastAPI(
        title="Tenfold", version=tenfold.__version__, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    first = next(iter(predictors.values()))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        words = {404: "Not here", 405: "Not this method"}.get(error.status_code, "Refused")
        return JSONResponse(
            {"error": message(words, expected="one of the addresses in /docs")},
            error.status_code,
            error.headers,
        )

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready")
    async def ready() -> Response:
        is_ready = state.ready and not state.leaving
        return JSONResponse(
            {"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503
        )

    @app.get("/metrics")
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE.decode())

    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        return about(first)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"models": [about(one) for one in predictors.values()]}

    return app
