"""The service put together: models, pages, and the guard before them."""

import re
from collections.abc import Sequence

from tenfold.core.errors import SettingsError
from tenfold.runs.record import Run
from tenfold.serve.access import AccessPolicy
from tenfold.serve.admission import Admission, ReaderPool
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import Metrics
from tenfold.serve.pages import ServiceState, make_pages
from tenfold.serve.predictor import Predictor
from tenfold.serve.request_guard import RequestGuard

NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
"""Names that an address can have, as UTF-8 with `%20` for a blank: no control characters in them,
and no bytes that are not text (surrogates, as Python reads them)."""


def build(runs: Sequence[Run], limits: Limits, access: AccessPolicy) -> RequestGuard:
    """The application over some runs; the first one answers where none is named."""
    metrics, state, admission = Metrics(), ServiceState(), Admission(limits)
    readers = ReaderPool(admission)
    predictors: dict[str, Predictor] = {}
    for run in runs:
        name = run.path.resolve().name
        if not NAME.fullmatch(name) or name in predictors:
            raise SettingsError(
                "E915",
                "The name of a run cannot be used in an address",
                where=run.path,
                expected="printable text, each name once",
                fix="Rename its folder",
                name=name,
            )
        predictors[name] = Predictor(run, limits, metrics, readers)
    metrics.gauge(
        "tenfold_in_flight", "Requests being received or answered", lambda: admission.in_flight
    )
    metrics.gauge(
        "tenfold_ready", "1 while the service is ready", lambda: state.ready and not state.leaving
    )
    by_path = {f"/v1/models/{name}/predict": predictor for name, predictor in predictors.items()}
    return RequestGuard(
        {"/v1/predict": next(iter(predictors.values()))} | by_path,
        make_pages(predictors, state, metrics, limits),
        access,
        admission,
        readers,
        metrics,
        state,
    )
