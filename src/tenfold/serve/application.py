"""The service put together: routes for people and supervisors, predictions, the guard before."""

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from tenfold.core.contract import Frozen
from tenfold.core.errors import SettingsError, message
from tenfold.core.version import __version__
from tenfold.report.network_page import page_text, read_text, render
from tenfold.runs.record import Run
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import CONTENT_TYPE, Metrics
from tenfold.serve.openapi import add_predictions
from tenfold.serve.predictor import Predictor
from tenfold.serve.request_guard import AccessPolicy, RequestGuard, State

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""Names that an address can have as they are."""


def build(runs: Sequence[Run], limits: Limits, access: AccessPolicy) -> RequestGuard:
    """The application over some runs; the first one answers where none is named.

    Raises:
      SettingsError: Two runs of one name.
      RunError: A run without a model.
    """
    metrics, state = Metrics(), State()
    predictors: dict[str, Predictor] = {}
    for run in runs:
        name = run.path.resolve().name
        if not NAME.fullmatch(name) or name in predictors:
            raise SettingsError(
                "E915",
                "Unusable name of a run",
                where=run.path,
                expected="letters, digits and ._-, each name once",
                fix="Rename its folder",
                name=name,
            )
        predictors[name] = Predictor(run, limits, metrics)
    first = next(iter(predictors.values()))
    paths = {"/v1/predict": first} | {
        f"/v1/models/{name}/predict": predictor for name, predictor in predictors.items()
    }
    guard = RequestGuard(
        paths, _pages(predictors, state, metrics, limits), access, limits, state, metrics
    )
    metrics.gauge(
        "tenfold_in_flight", "Requests being received or answered", lambda: state.in_flight
    )
    metrics.gauge(
        "tenfold_ready", "1 while the service is ready", lambda: state.ready and not state.leaving
    )
    return guard


class About(Frozen):
    """What a model is.

    Attributes:
      name: In addresses.
      model: SHA-256 of its file.
      n_bytes: Its size.
      input: What it accepts.
    """

    name: str
    model: str
    n_bytes: int
    learner: str
    task: str
    labels: tuple[str, ...]
    input: dict[str, Any]


class Abouts(Frozen):
    """All models of a service, the first one first."""

    models: list[About]


class Health(Frozen):
    """How the service is."""

    status: str


def about(predictor: Predictor) -> About:
    """What a run's model is."""
    model, contract = predictor.model, predictor.model.contract
    return About(
        name=predictor.name, model=model.sha256, n_bytes=model.n_bytes, learner=contract.learner,
        task=contract.task, labels=model.labels, input=contract.input.model_dump(mode="json"),
    )  # fmt: skip


def _pages(
    predictors: dict[str, Predictor], state: State, metrics: Metrics, limits: Limits
) -> FastAPI:
    app = FastAPI(
        title="Tenfold", version=__version__, docs_url=None, redoc_url=None,
        redirect_slashes=False, exception_handlers={HTTPException: _refused},
    )  # fmt: skip
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = described()
            add_predictions(document, predictors, limits)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
    _add_health(app, state, metrics)
    _add_models(app, predictors)
    _add_people(app, predictors)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "Not here", 405: "Not this method"}.get(error.status_code, "Refused")
    text = message(words, expected="one of the addresses in /docs")
    return JSONResponse({"error": text}, error.status_code, error.headers)


def _add_health(app: FastAPI, state: State, metrics: Metrics) -> None:
    @app.get("/health/live", summary="Whether the process runs")
    async def live() -> Health:
        return Health(status="live")

    @app.get(
        "/health/ready",
        summary="Whether requests are welcome",
        response_model=Health,
        responses={503: {"model": Health}},
    )
    async def ready() -> Response:
        if state.ready and not state.leaving:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "leaving" if state.leaving else "not ready"}, 503)

    @app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def counters() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE.decode())


def _add_models(app: FastAPI, predictors: dict[str, Predictor]) -> None:
    first = next(iter(predictors.values()))

    @app.get("/v1/model", summary="The model that answers where none is named")
    async def model() -> About:
        return about(first)

    @app.get("/v1/models", summary="All models")
    async def models() -> Abouts:
        return Abouts(models=[about(predictor) for predictor in predictors.values()])

    for name, predictor in predictors.items():
        app.add_api_route(
            f"/v1/models/{name}", partial(about, predictor), response_model=About,
            summary=f"The model {name}", name=f"model_{name}",
        )  # fmt: skip


def _add_people(app: FastAPI, predictors: dict[str, Predictor]) -> None:
    """The pages; each is made when it is first asked for."""

    @cache
    def page(name: str) -> HTMLResponse:
        text = page_text(predictors[name].run, f"/v1/models/{name}/predict")
        return HTMLResponse(text, headers={"content-security-policy": policy(text)})

    @cache
    def manual() -> HTMLResponse:
        text = render(
            "tenfold.serve",
            "docs.html.j2",
            css=read_text("tenfold.report.network_page", "page.css"),
            paths=app.openapi()["paths"],
            models=[about(predictor) for predictor in predictors.values()],
        )
        return HTMLResponse(text, headers={"content-security-policy": policy(text)})

    first = next(iter(predictors))

    @app.get("/", response_class=HTMLResponse, summary="The living network of the first model")
    def home() -> Response:
        return page(first)

    @app.get("/docs", response_class=HTMLResponse, summary="How to ask, for people")
    def docs() -> Response:
        return manual()

    for name in predictors:
        app.add_api_route(
            f"/models/{name}", partial(page, name), response_class=HTMLResponse,
            summary=f"The living network of {name}", name=f"page_{name}",
        )  # fmt: skip


SCRIPT = re.compile(r'<script type="module">(.*?)</script>', re.S)


def policy(page: str) -> str:
    """A content security policy that lets a page run its own script and ask its own service."""
    digests = (sha256(script.encode()).digest() for script in SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
