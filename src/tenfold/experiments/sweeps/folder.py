"""The folder of a sweep. A request for the same work finds it again and continues."""

import glob
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tenfold.core import files
from tenfold.core.errors import FileError, SettingsError
from tenfold.evaluation import Score
from tenfold.experiments.sweeps.environment import THREADS
from tenfold.experiments.sweeps.plan import Plan
from tenfold.runs.record import DataRecord

BEST = "best"
"""Run folder of the best trial, whose test rows were opened."""


class LeaderboardEntry(BaseModel):
    """A learner of a comparison, measured on the test rows and compared with the best one.

    `change` is from a paired comparison (positive is better), and `p_value` is corrected by Holm's
    procedure for all learners of the list. Both are None for the best learner. `predict_seconds` is
    the time to predict 10,000 rows.
    """

    model_config = ConfigDict(extra="forbid")
    learner: str
    val_mean: float
    val_deviation: float | None
    test: Score
    change: Score | None
    p_value: float | None
    verdict: Literal["best", "better", "worse", "not distinguishable"]
    seconds: float
    predict_seconds: float
    n_bytes: int
    parameters: int
    runs: list[str]


class SweepRecord(BaseModel):
    """The content of `sweep.json` or `comparison.json`.

    Attributes:
      key: `Plan.key` when the folder was created.
      asked: The plan. The same work finds this folder again by it.
      n_trials: Number of planned trials.
      threads: Number of threads of each trial, which does not depend on the number of workers.
      n_workers: Number of trials at once in the last process that worked on it.
      test_opened: Number of models in this folder of runs that were measured on these test rows,
        including the models of this sweep.
      chosen: Name of the best trial.
      findings: The result in words.
      places: The learners of a comparison, best first.
    """

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    kind: str
    state: Literal["running", "finished", "interrupted", "failed"] = "running"
    key: str
    asked: dict[str, Any]
    data: DataRecord
    n_trials: int
    threads: int = THREADS
    n_workers: int
    seconds: dict[str, float] = {}
    test_opened: int = 0
    chosen: str | None = None
    findings: list[str] = []
    places: list[LeaderboardEntry] = []
    error: str | None = None
    versions: dict[str, str]


@dataclass
class SweepFolder:
    """The folder of a sweep, its record, and the plan for which it was created.

    The same work may be requested in several forms, for example with a list of one value instead of
    the value. The names of trials and columns follow the first plan.
    """

    path: Path
    record: SweepRecord
    plan: Plan

    def of_trial(self, name: str) -> Path:
        return self.path / "trials" / name

    def save(self) -> None:
        files.write_document(self.path / f"{self.record.kind}.json", self.record)


def stem_for(name: str, plan: Plan) -> str:
    """The name of the folder of a sweep over a dataset, without its number."""
    return f"{files.stem_of(name)}-{plan.kind}"


@files.os_errors()
def find_folder(out: Path, stem: str, plan: Plan, data: DataRecord) -> SweepFolder | None:
    """Find the folder of the same work under `out`, named `stem-N`."""
    taken = sorted(out.glob(f"{glob.escape(stem)}-*"), key=lambda path: (len(path.name), path.name))
    for path in taken:
        record = read_record(path, plan.kind)
        if record is None or not record.data.is_of(data):
            continue
        with suppress(SettingsError, KeyError):  # a plan that this version no longer supports
            recorded = plan.from_plain(record.asked, record.n_trials)
            now = replace(plan, n_rows=recorded.n_rows)
            if recorded.key(data.fingerprint) == now.key(data.fingerprint):
                return SweepFolder(path, record, recorded)
    return None


@contextmanager
def hold_folder(out: Path, stem: str, plan: Plan, record: SweepRecord) -> Iterator[SweepFolder]:
    """Lock the folder of the same work under `out`, or create `stem-N` with this record."""
    with files.os_errors("create", out):
        out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with files.locked(out):  # two processes must not take the same number
            folder = find_folder(out, stem, plan, record.data)
            is_new = folder is None
            folder = folder or _new_folder(out, stem, plan, record)
            held.enter_context(files.locked(folder.path, wait=False))
            if is_new:  # a folder that cannot be locked has no record that says it runs
                _begin(folder)
        held.enter_context(files.os_errors())
        yield folder


def _begin(folder: SweepFolder) -> None:
    """Write the first record. If later writes could fail, it says that the sweep failed."""
    try:
        folder.save()
    except FileError as error:
        folder.record.state, folder.record.error = "failed", str(error)
        with suppress(FileError):
            folder.save()
        raise


def _new_folder(out: Path, stem: str, plan: Plan, record: SweepRecord) -> SweepFolder:
    number = 1
    while (path := out / f"{stem}-{number}").exists():
        number += 1
    with files.os_errors("create", path):
        path.mkdir()
    return SweepFolder(path, record, plan)


def read_record(path: Path, kind: str) -> SweepRecord | None:
    file = path / f"{kind}.json"
    if not file.is_file():
        return None
    with files.os_errors("read", file):
        content = file.read_bytes()
    try:
        return SweepRecord.model_validate_json(content)
    except ValidationError:
        return None  # damaged or from another version: nothing can continue it
