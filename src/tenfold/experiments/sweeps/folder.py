"""The folder of a sweep: found again by the work that is asked for, so that equal work goes on."""

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
"""The run folder of the chosen trial: a trial with its test rows opened."""


class LeaderboardEntry(BaseModel):
    """A learner of a comparison, measured on the test rows, beside the best one.

    `change` is paired, positive is better; `p_value` is corrected by Holm for all that are listed;
    both are None of the best itself. `predict_seconds` are those to answer 10,000 rows.
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
    """`sweep.json` or `comparison.json`.

    Attributes:
      key: `Plan.key`, as it was when the folder was made.
      asked: The plan: equal work finds this folder again.
      n_trials: Trials planned.
      threads: Of each trial, whatever the number of workers.
      n_workers: Trials made at once, by the last process that worked on it.
      test_opened: Models of this folder of runs measured on these test rows, these included.
      chosen: Name of the best trial.
      findings: The result in plain words.
      places: Of a comparison, best first.
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
    """The folder of a sweep, its record, and the plan that it was made for.

    Equal work may be planned in other words, as a list of one value or as that value. Names of
    trials and columns follow the words of the first plan.
    """

    path: Path
    record: SweepRecord
    plan: Plan

    def of_trial(self, name: str) -> Path:
        return self.path / "trials" / name

    def save(self) -> None:
        files.write_document(self.path / f"{self.record.kind}.json", self.record)


def stem_for(name: str, plan: Plan) -> str:
    """What the folder of a sweep of a dataset is called, without its number."""
    return f"{files.stem_of(name)}-{plan.kind}"


@files.os_errors()
def find_folder(out: Path, stem: str, plan: Plan, data: DataRecord) -> SweepFolder | None:
    """The folder of equal work under `out`, named `stem-N`."""
    taken = sorted(out.glob(f"{glob.escape(stem)}-*"), key=lambda path: (len(path.name), path.name))
    for path in taken:
        record = read_record(path, plan.kind)
        if record is None or not record.data.is_of(data):
            continue
        with suppress(SettingsError, KeyError):  # a plan that this version cannot make any more
            recorded = plan.from_plain(record.asked, record.n_trials)
            now = replace(plan, n_rows=recorded.n_rows)
            if recorded.key(data.fingerprint) == now.key(data.fingerprint):
                return SweepFolder(path, record, recorded)
    return None


@contextmanager
def hold_folder(out: Path, stem: str, plan: Plan, record: SweepRecord) -> Iterator[SweepFolder]:
    """Hold the folder of equal work under `out`; else a new one, `stem-N`, with this record."""
    with files.os_errors("create", out):
        out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with files.locked(out):  # two at once must not take the same number
            folder = find_folder(out, stem, plan, record.data)
            is_new = folder is None
            folder = folder or _new_folder(out, stem, plan, record)
            held.enter_context(files.locked(folder.path, wait=False))
            if is_new:  # what cannot be held has no record that says it runs
                _begin(folder)
        held.enter_context(files.os_errors())
        yield folder


def _begin(folder: SweepFolder) -> None:
    """Write the first record; one that may not last says that the sweep failed."""
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
        return None  # damaged, or of another version: it is nobody's to go on with
