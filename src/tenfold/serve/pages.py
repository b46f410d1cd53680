"""Everything that is read by GET: health, metrics, facts about the models, and web pages."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from tenfold.report.network_page import page_style, page_text, read_text, render
from tenfold.runs.csv_files import example_inputs
from tenfold.serve.limits import Limits
from tenfold.serve.messages import Reply, WebPage, json_reply
from tenfold.serve.metrics import CONTENT_TYPE, Metrics
from tenfold.serve.open_inference import open_inference_pages
from tenfold.serve.openapi import (
    HEALTH,
    MODEL,
    MODELS,
    OBJECT,
    PREDICT_REFUSALS,
    REFUSALS,
    TEXT,
    openapi_document,
)  # fmt: skip
from tenfold.serve.predictor import Predictor

HTML = "text/html; charset=utf-8"

CLOSED = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Headers of everything except predictions, which browsers do not display."""


@dataclass
class ServiceState:
    """The state of a service: `ready` after the self-test of its models, `leaving` at its end.

    `date` is the header line with the current second. `lists_runs` says that `/` lists the runs.
    """

    ready: bool = False
    leaving: bool = False
    date: bytes = b""
    lists_runs: bool = False


def make_pages(
    predictors: Mapping[str, Predictor], state: ServiceState, metrics: Metrics, limits: Limits
) -> dict[str, WebPage]:
    """All addresses except those of predictions, by path; `predictors` are by name of the run."""
    first, facts = next(iter(predictors)), [_facts(predictor) for predictor in predictors.values()]
    html = partial(WebPage, schema=TEXT, media_type="text/html", is_slow=True)

    @cache
    def network(name: str) -> Reply:
        return _html(page_text(predictors[name].run, f"/v1/models/{quote(name)}"))

    pages = {
        "/": html("The living network of the first model", partial(network, first))
        if not state.lists_runs
        else html("The models", cache(lambda: _list(facts))),
        "/health/live": WebPage(
            "Whether the process runs", lambda: _json({"status": "live"}), HEALTH
        ),
        "/health/ready": WebPage("Whether requests are welcome", partial(_ready, state), HEALTH),
        "/metrics": WebPage(
            "Counters",
            lambda: Reply(200, metrics.text().encode(), CONTENT_TYPE, CLOSED),
            TEXT,
            "text/plain",
            is_slow=True,  # the columns of recent rows are tested
        ),
        "/v1/model": WebPage(
            "The model that answers where none is named", lambda: _json(facts[0]), MODEL
        ),
        "/v1/models": WebPage("All models", lambda: _json({"models": facts}), MODELS),
    }
    for of_model in facts:
        name = of_model["name"]
        pages[f"/models/{name}"] = html(f"The living network of {name}", partial(network, name))
        pages[f"/v1/models/{name}"] = WebPage(f"The model {name}", partial(_json, of_model), MODEL)

    pages |= open_inference_pages(predictors, lambda: state.ready and not state.leaving, OBJECT)

    @cache
    def document() -> dict[str, Any]:
        others = {path: page for path, page in pages.items() if path != "/openapi.json"}
        return openapi_document(others, predictors, limits)

    pages["/docs"] = html("How to ask, for people", cache(lambda: _manual(document(), predictors)))
    pages["/openapi.json"] = WebPage("How to ask, for programs", lambda: _json(document()), OBJECT)
    return pages


def _json(value: Any, status: int = 200) -> Reply:
    return json_reply(value, status, CLOSED)


def _ready(state: ServiceState) -> Reply:
    if state.ready and not state.leaving:
        return _json({"status": "ready"})
    return _json({"status": "leaving" if state.leaving else "not ready"}, 503)


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


def _manual(document: dict[str, Any], predictors: Mapping[str, Predictor]) -> Reply:
    """The page on how to send requests, with a form for each model that holds an example of it."""
    text = render(
        "tenfold.serve",
        "docs.html.j2",
        css=page_style(),
        paths=document["paths"],
        models=[_facts(predictor) for predictor in predictors.values()],
        examples={name: _example(predictor) for name, predictor in predictors.items()},
        refusals=dict(sorted((REFUSALS | PREDICT_REFUSALS).items())),
        script=read_text("tenfold.serve", "try.js"),
    )
    return _html(text)


def _list(facts: Sequence[Mapping[str, Any]]) -> Reply:
    """The list of the models, with their pages and addresses."""
    return _html(render("tenfold.serve", "models.html.j2", css=page_style(), models=facts))


def _example(predictor: Predictor) -> dict[str, str] | None:
    """The first stored example of a table's run, by column; None for other kinds of input."""
    stored = example_inputs(predictor.run.path)
    return stored[0] if isinstance(stored, list) and stored else None


def _html(text: str) -> Reply:
    policy = (b"content-security-policy", content_policy(text).encode())
    return Reply(200, text.encode(), HTML.encode(), (policy, *CLOSED[1:]))


SCRIPT = re.compile(r'<script type="module">(.*?)</script>', re.S)


def content_policy(page: str) -> str:
    """A content security policy with which a page may run its own script and call its service."""
    digests = (sha256(script.encode()).digest() for script in SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
