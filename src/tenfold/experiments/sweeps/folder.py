"""The folder of a sweep: found again by what was asked for, so that the same command goes on."""

import glob
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tenfold.core import files
from tenfold.evaluation import Score
from tenfold.runs.record import DataRecord


class Place(BaseModel):
    """A learner of a comparison, measured on the test rows.

    Attributes:
      test: Accuracy, or RMSE, over the seeds.
      change: Score beside the best one's, paired; positive is better. None of the best itself.
      p_value: Corrected by Holm for all that are listed.
      verdict: Beside the best one.
      predict_seconds: To answer 10,000 rows.
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
      key: `Plan.key`: the same command finds this folder again.
      asked: The plan, for a reader.
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
    threads: int
    n_workers: int
    seconds: dict[str, float] = {}
    test_opened: int = 0
    chosen: str | None = None
    findings: list[str] = []
    places: list[Place] = []
    error: str | None = None
    versions: dict[str, str]


def claim(out: Path, stem: str, record: SweepRecord) -> tuple[Path, SweepRecord]:
    """The folder of an equal sweep under `out`, with its record; else a new one, `stem-N`.

    Raises:
      FileError: It cannot be made or read.
    """
    with files.os_errors("create", out):
        out.mkdir(parents=True, exist_ok=True)
    with files.locked(out):  # two at once must not take the same number
        taken = sorted(
            out.glob(f"{glob.escape(stem)}-*"), key=lambda path: (len(path.name), path.name)
        )
        for path in taken:
            known = read_record(path, record.kind)
            if known is not None and known.key == record.key:
                return path, known
        number = 1
        while (path := out / f"{stem}-{number}").exists():
            number += 1
        with files.os_errors("create", path):
            path.mkdir()
        save_record(path, record)
    return path, record


def read_record(path: Path, kind: str) -> SweepRecord | None:
    """The record of a sweep's folder; None where there is none that can be read."""
    file = path / f"{kind}.json"
    if not file.is_file():
        return None
    with files.os_errors("read", file):
        content = file.read_bytes()
    try:
        return SweepRecord.model_validate_json(content)
    except ValidationError:
        return None  # damaged, or of another version: it is nobody's to go on with


def save_record(path: Path, record: SweepRecord) -> None:
    """Write the record."""
    files.write_text(path / f"{record.kind}.json", record.model_dump_json(indent=2) + "\n")
