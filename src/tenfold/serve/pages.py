"""What is read by GET: health, counters, what the models are, and pages for people."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import Any

from tenfold.report.network_page import page_text, read_text, render
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import CONTENT_TYPE, Metrics
from tenfold.serve.openapi import HEALTH, MODEL, MODELS, TEXT, openapi_document
from tenfold.serve.predictor import Predictor
from tenfold.serve.replies import Reply, WebPage, json_reply

HTML = "text/html; charset=utf-8"

CLOSED = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Headers of everything but answers, which browsers do not show."""


@dataclass
class ServiceState:
    """Where a service is in its life.

    Attributes:
      ready: Its models have answered their self-test.
      leaving: The signal to leave has come.
    """

    ready: bool = False
    leaving: bool = False


def make_pages(
    predictors: Mapping[str, Predictor], state: ServiceState, metrics: Metrics, limits: Limits
) -> dict[str, WebPage]:
    """All addresses but those of predictions, by path; `predictors` are by the names of runs."""
    first, models = next(iter(predictors)), list(predictors.values())
    html = partial(WebPage, schema=TEXT, media_type="text/html", is_slow=True)

    @cache
    def network(name: str) -> Reply:
        return _html(page_text(predictors[name].run, f"/v1/models/{name}/predict"))

    pages = {
        "/": html("The living network of the first model", partial(network, first)),
        "/health/live": WebPage("Whether the process runs", _live, HEALTH),
        "/health/ready": WebPage("Whether requests are welcome", partial(_ready, state), HEALTH),
        "/metrics": WebPage("Counters", partial(_counters, metrics), TEXT, "text/plain"),
        "/v1/model": WebPage(
            "The model that answers where none is named", partial(_model, models[0]), MODEL
        ),
        "/v1/models": WebPage("All models", partial(_models, models), MODELS),
    }
    for name, predictor in predictors.items():
        pages[f"/models/{name}"] = html(f"The living network of {name}", partial(network, name))
        pages[f"/v1/models/{name}"] = WebPage(
            f"The model {name}", partial(_model, predictor), MODEL
        )

    @cache
    def document() -> dict[str, Any]:
        others = {path: page for path, page in pages.items() if path != "/openapi.json"}
        return openapi_document(others, predictors, limits)

    pages["/docs"] = html("How to ask, for people", cache(lambda: _manual(document(), models)))
    pages["/openapi.json"] = WebPage(
        "How to ask, for programs", lambda: _json(document()), {"type": "object"}
    )
    return pages


def _json(value: Any, status: int = 200) -> Reply:
    return json_reply(value, status, CLOSED)


def _live() -> Reply:
    return _json({"status": "live"})


def _ready(state: ServiceState) -> Reply:
    if state.ready and not state.leaving:
        return _json({"status": "ready"})
    return _json({"status": "leaving" if state.leaving else "not ready"}, 503)


def _counters(metrics: Metrics) -> Reply:
    return Reply(200, metrics.text().encode(), CONTENT_TYPE, CLOSED)


def _model(predictor: Predictor) -> Reply:
    return _json(_facts(predictor))


def _models(predictors: list[Predictor]) -> Reply:
    return _json({"models": [_facts(predictor) for predictor in predictors]})


def _facts(predictor: Predictor) -> dict[str, Any]:
    model, contract = predictor.model, predictor.model.contract
    return {
        "name": predictor.name,
        "model": model.sha256,
        "n_bytes": model.n_bytes,
        "learner": contract.learner,
        "task": contract.task,
        "labels": list(model.labels),
        "input": contract.input.model_dump(mode="json"),
    }


def _manual(document: dict[str, Any], predictors: list[Predictor]) -> Reply:
    text = render(
        "tenfold.serve",
        "docs.html.j2",
        css=read_text("tenfold.report.network_page", "page.css"),
        paths=document["paths"],
        models=[_facts(predictor) for predictor in predictors],
    )
    return _html(text)


def _html(text: str) -> Reply:
    policy = (b"content-security-policy", content_policy(text).encode())
    return Reply(200, text.encode(), HTML.encode(), (policy, *CLOSED[1:]))


SCRIPT = re.compile(r'<script type="module">(.*?)</script>', re.S)


def content_policy(page: str) -> str:
    """A content security policy that lets a page run its own script and ask its own service."""
    digests = (sha256(script.encode()).digest() for script in SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
