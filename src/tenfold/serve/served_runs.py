"""The runs of a service: finding them, opening them, and reopening those that were replaced."""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tenfold.core.errors import RunError, SettingsError, TenfoldError
from tenfold.runs.record import Run
from tenfold.serve.access import AccessPolicy
from tenfold.serve.admission import Admission, ReaderPool
from tenfold.serve.application import Application
from tenfold.serve.explain_request import is_explained
from tenfold.serve.limits import Limits
from tenfold.serve.metrics import Metrics
from tenfold.serve.pages import ServiceState, make_pages
from tenfold.serve.predictor import Predictor

NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
"""Names that an address can contain, as UTF-8 with `%20` for a blank. They have no control
characters, and no bytes that are not text (which Python reads as surrogates)."""

LOOK_SECONDS = 1.0
"""The interval at which the folders are checked."""

Stamp = tuple[tuple[int, int, int], ...]


def find_runs(sources: Sequence[Path]) -> list[Run]:
    """The runs at some paths; of a folder that holds runs, those that are finished, by name.

    Raises:
      RunError: No run at a path, or none that is finished.
    """
    found: list[Run] = []
    for source in sources:
        records = [] if (source / "run.json").exists() else sorted(source.glob("*/run.json"))
        if not records:
            found.append(Run.open(source))
            continue
        runs = [Run.open(file.parent) for file in records]
        finished = [run for run in runs if run.record.state == "finished"]
        if not finished:
            raise RunError(
                "E718", "No run in this folder is finished", where=source, n_runs=len(runs)
            )
        found += finished
    return found


def build(
    runs: Sequence[Run], limits: Limits, access: AccessPolicy, *, lists_runs: bool = False
) -> Application:
    """The application for some runs; the first one answers requests that name no run.

    `lists_runs` says that `/` is a list of the runs instead of the page of the first one.
    """
    metrics, state, admission = Metrics(), ServiceState(lists_runs=lists_runs), Admission(limits)
    application = Application(access, admission, ReaderPool(admission), metrics, state)
    metrics.gauge(
        "tenfold_in_flight", "Requests being received or answered", lambda: admission.in_flight
    )
    metrics.gauge(
        "tenfold_ready", "1 while the service is ready", lambda: state.ready and not state.leaving
    )
    install(application, runs)
    return application


def install(application: Application, runs: Sequence[Run]) -> None:
    """Add runs to an application; a run of the same name is replaced."""
    limits, metrics = application.admission.limits, application.metrics
    added: dict[str, Predictor] = {}
    for run in runs:
        name = _name(run.path)
        if not NAME.fullmatch(name) or name in added:
            raise SettingsError(
                "E915",
                "The name of a run cannot be used in an address",
                where=run.path,
                expected="no control characters, and each name once",
                fix="Rename its folder",
                name=name,
            )
        added[name] = Predictor(name, run, limits, metrics, application.readers)
    models = {**application.models, **added}
    pages = make_pages(models, application.state, metrics, limits)
    paths = {f"/v1/models/{name}/predict": predictor for name, predictor in models.items()}
    paths |= {f"/v2/models/{name}/infer": predictor for name, predictor in models.items()}
    paths |= {
        f"/v1/models/{name}/explain": predictor
        for name, predictor in models.items()
        if is_explained(predictor.model.contract)
    }
    paths["/v1/predict"] = next(iter(models.values()))
    application.models, application.pages, application.predictors = models, pages, paths


class RunWatcher:
    """Reopens runs whose folders were replaced, and opens new ones.

    A request that was admitted is answered by the old model or by the new one. A run that cannot be
    opened changes nothing: it may be incomplete, and is tried again when it changes.
    """

    def __init__(self, application: Application, sources: Sequence[Path]) -> None:
        self._application = application
        self._sources = sources
        self._seen = {name: _stamp(one.run.path) for name, one in application.models.items()}

    async def watch(self) -> None:
        """Check the folders every second, forever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Open what has changed since the last look."""
        changed = await asyncio.to_thread(self._changed)
        for path in changed:
            name = _name(path)
            self._seen[name] = _stamp(path)
            try:
                await asyncio.to_thread(self._open, path)
            except (TenfoldError, OSError) as error:
                self._application.log.event(not_loaded=name, reason=str(error))
            else:
                sha256 = self._application.models[name].model.sha256
                self._application.log.event(loaded=name, model=sha256)

    def _changed(self) -> list[Path]:
        models = self._application.models
        paths = {name: one.run.path for name, one in models.items()}
        for source in self._sources:
            if not (source / "run.json").exists():
                paths |= {_name(file.parent): file.parent for file in source.glob("*/run.json")}
        return [
            path
            for name, path in paths.items()
            if (stamp := _stamp(path)) and stamp != self._seen.get(name)
        ]

    def _open(self, path: Path) -> None:
        run = Run.open(path)
        if run.record.state != "finished":
            raise RunError("E719", "The run is not finished", where=path, state=run.record.state)
        install(self._application, [run])


def _name(path: Path) -> str:
    """The name of a run in addresses: the name of its folder, or of the link to it."""
    return os.path.basename(os.path.abspath(path))


def _stamp(path: Path) -> Stamp:
    """A value that changes when the files of a run are replaced; empty if one is missing."""
    try:
        found = [(path / name).stat() for name in ("run.json", "model.onnx")]
    except OSError:
        return ()
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)
