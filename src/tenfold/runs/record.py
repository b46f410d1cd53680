"""The run folder with settings, model and evidence. This module creates and reads it."""

import csv
import io
import itertools
import json
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tenfold.core import files, html_repr
from tenfold.core.contract import Frozen, SeriesEnd
from tenfold.core.errors import FileError, RunError, printable
from tenfold.core.records import (
    CHECKS_FILE,
    CURVE_FILE,
    UNTRUSTWORTHY,
    Audit,
    CandidatePlan,
    Check,
    Checks,
)
from tenfold.core.settings import AUTO, Reading, Settings
from tenfold.core.task import Task, TaskKind
from tenfold.evaluation import AnyEvaluation, LearningCurve, read_evaluation
from tenfold.evaluation.robustness import Robustness
from tenfold.model.model import Model

Document = TypeVar("Document", bound=Frozen)


HISTORY = ("epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
"""The columns of `history.csv`."""


class DataRecord(BaseModel):
    """The data of a run, and the number of rows for each purpose.

    Attributes:
      n_dropped: Number of training rows left out because their image is in the test set.
      n_twins: Number of test rows of a table that equal a training row. None: they were not
        counted.
      source: The file or folder. None for data by name or from memory.
      reading: The options with which a table was read.
      target_mean: For regression, the mean target of the training rows, which is the baseline.
      positive: The one of two labels that is searched for.
      series_ends: For rows in the order of time, the last rows of each series, including test rows,
        from which the run forecasts. The model file only contains the last rows before the test
        rows.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    fingerprint: str
    n_train: int
    n_validation: int
    n_test: int
    n_dropped: int = 0
    n_twins: int | None = None
    source: str | None = None
    reading: Reading | None = None
    target_mean: float | None = None
    positive: str | None = None
    series_ends: tuple[SeriesEnd, ...] = ()

    @field_validator("reading", mode="before")
    @classmethod
    def _earlier_versions_had_no_choice_for_equal_rows(cls, stored: Any) -> Any:
        return {"equal_rows": None, **stored} if isinstance(stored, dict) else stored

    @property
    def repeats(self) -> str | None:
        """A remark on test rows that equal training rows. None if there are none."""
        if not self.n_twins:
            return None
        return (
            f"{self.n_twins:,} of {self.n_test:,} test rows equal a training row. The scores are "
            "about fresh rows that repeat as often. Where the repeats are copies by mistake, "
            "--equal-rows together keeps them on one side."
        )

    def is_of(self, other: "DataRecord") -> bool:
        """Whether work on the other's rows may continue here, because the rows and the splitting
        rule are the same.

        Earlier versions kept equal rows together. Their runs may be continued although the present
        rule treats equal rows as different cases.
        """
        mine, asked = [data.reading and data.reading.equal_rows for data in (self, other)]
        return self.fingerprint == other.fingerprint and mine in (None, asked)

    @property
    def kind(self) -> TaskKind:
        """The kind of task. Only the targets of regression have a mean."""
        return "classification" if self.target_mean is None else "regression"

    def about(self, task: Task) -> Task:
        """The task, with the properties that follow from the training rows of this run."""
        return task.with_facts(positive=self.positive, mean=self.target_mean)


class Record(BaseModel):
    """`run.json`: the settings as given, the settings as resolved, and the result.

    Attributes:
      asked: Settings given by the user. `config` contains all settings, resolved.
      test_opened: The number of models in this folder of runs that were measured on the same test
        rows, including this one; 0 before it was measured.
      seconds: Elapsed time of each stage. `total` is the sum.
      peak_mb: The largest memory of the process that made the run, in 10^6 bytes. None if the
        platform does not report it.
      note: A remark of the learner about its fit.
      plan: What `auto` tried on a table. None for other runs.
      threads: Number of threads of a trial. None: as many as the computer has cores.
      files: SHA-256 of every other file of the run.
    """

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    state: Literal["running", "finished", "interrupted", "failed", "stopped"] = "running"
    learner: str
    recipe: str
    asked: dict[str, Any]
    config: Settings
    data: DataRecord
    parameters: int | None = None
    seconds: dict[str, float] = {}
    peak_mb: float | None = None
    test_opened: int = 0
    versions: dict[str, str]
    files: dict[str, str] = {}
    error: str | None = None
    note: str | None = None
    plan: CandidatePlan | None = None
    threads: int | None = None

    @classmethod
    def beginning(
        cls,
        settings: Settings,
        asked: Iterable[str],
        data: DataRecord,
        versions: dict[str, str],
        threads: int | None = None,
    ) -> "Record":
        """Make the record of a new run. `asked` names the settings that the user gave."""
        config = settings.model_dump(mode="json")
        return cls(
            learner=settings.learner,
            recipe=settings.recipe,
            asked=_told(config, asked),
            config=settings,
            data=data,
            versions=versions,
            threads=threads,
        )

    def known_settings(self) -> dict[str, Any]:
        """The resolved settings as JSON, without those that the run's version did not have."""
        return self.config.model_dump(mode="json", include=self.config.model_fields_set)


def _told(config: dict[str, Any], asked: Iterable[str]) -> dict[str, Any]:
    """The settings that were given, without those that have a key of their own. `learner` has one
    unless `auto` was requested, because the key then names the winner."""
    own = {"recipe"} if config["learner"] == AUTO else {"learner", "recipe"}
    return {name: config[name] for name in asked if name not in own}


class Run:
    """A run folder.

    Attributes:
      path: The folder.
      record: Its `run.json`.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record

    @classmethod
    def create(cls, out: Path | str, stem: str, record: Record) -> "Run":
        """Create the next free folder `out/stem-N` and write `run.json` into it.

        Raises:
          FileError: The folder cannot be created or written.
        """
        out = Path(out)
        with files.os_errors("create", out):
            out.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                path = out / f"{stem}-{number}"
                with suppress(FileExistsError):
                    path.mkdir()
                    break
        run = cls(path, record)
        try:
            with files.os_errors("create", out):
                files.sync_folder(out)
            run.save()
        except FileError as error:
            run.fail(str(error))
            with suppress(OSError):
                path.rmdir()  # if nothing could be written
            raise
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder.

        Raises:
          RunError: There is no run folder, or its `run.json` is damaged.
        """
        path = Path(path)
        file = path / "run.json"
        with files.os_errors("open", path):
            content = file.read_bytes() if file.is_file() else None
        if content is None:
            newest = newest_run(path.parent)
            raise RunError(
                "E708",
                "There is no run here",
                where=path,
                expected="a folder that `tenfold train` made",
                fix=f"The newest run beside it is {printable(newest)}" if newest else None,
            )
        try:
            return cls(path, Record.model_validate_json(content))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RunError("E710", "run.json is damaged", where=file, problem=problem) from error

    @cached_property
    def model(self) -> Model:
        """The run's model, ready to predict.

        Raises:
          RunError: There is no model, because the run failed or was interrupted before.
        """
        model = Model.open(self._existing("model.onnx"))
        return model.with_ends(self.record.data.series_ends)

    @cached_property
    def evaluation(self) -> AnyEvaluation:
        """All scores of the report.

        Raises:
          RunError: The run was not evaluated, or the file is damaged.
        """
        file = self._existing("evaluation.json")
        with files.os_errors("read", file):
            content = file.read_bytes()
        try:
            return read_evaluation(content)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RunError(
                "E711", "evaluation.json is damaged", where=file, problem=problem
            ) from error

    @property
    def audit(self) -> Audit | None:
        """The findings of the audit before training. None if there is no file.

        Raises:
          RunError: The file is damaged.
        """
        return self.document(Audit, "audit.json")

    def with_doubts(self, evaluation: AnyEvaluation, *, is_own: bool = True) -> AnyEvaluation:
        """Add the doubts of the audit to an evaluation.

        A column that leaks the target does so in other data too. Findings about the run's own test
        rows do not concern other rows.
        """
        findings = self.audit.findings if self.audit else ()
        kinds = UNTRUSTWORTHY if is_own else ("gives the answer away",)
        doubts = tuple(finding.text for finding in findings if finding.kind in kinds)
        return evaluation.model_copy(update={"doubts": doubts})

    @property
    def robustness(self) -> Robustness | None:
        """The results of `--robustness`. None if it was not requested.

        Raises:
          RunError: The file is damaged.
        """
        return self.document(Robustness, "robustness.json")

    @property
    def learning_curve(self) -> LearningCurve | None:
        """The results of `--learning-curve`. None if it was not requested.

        Raises:
          RunError: The file is damaged.
        """
        return self.document(LearningCurve, CURVE_FILE)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The findings of the checks of the training. Empty if it was not checked.

        Raises:
          RunError: The file is damaged.
        """
        document = self.document(Checks, CHECKS_FILE)
        return document.checks if document else ()

    def document(self, kind: type[Document], name: str) -> Document | None:
        """The content of a JSON file of the run. None if there is no such file.

        Raises:
          RunError: The file is damaged.
        """
        path = self.path / name
        with files.os_errors("read", path):
            if not path.is_file():
                return None
            content = path.read_bytes()
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise RunError("E701", f"{name} is damaged", where=path, problem=problem) from error

    @property
    def history(self) -> list[dict[str, float | None]]:
        """The rows of `history.csv`, one for each finished epoch, with None for an empty column.

        Raises:
          RunError: There is no file, or it is damaged.
        """
        path = self._existing("history.csv")
        with files.os_errors("read", path):
            content = path.read_bytes()
        try:
            head, *lines = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
            if missing := {*HISTORY} - {*head}:
                raise ValueError(f"expected the columns {sorted(missing)}")
            return [
                {name: float(cell) if cell else None for name, cell in zip(head, line, strict=True)}
                for line in lines
            ]
        except (ValueError, csv.Error) as error:
            raise RunError(
                "E715", "history.csv is damaged", where=path, problem=str(error)
            ) from error

    def save(self) -> None:
        files.write_document(self.path / "run.json", self.record)

    def finish(self, state: Literal["finished", "interrupted", "failed", "stopped"]) -> None:
        """Write the final state and the digest of every file."""
        self.record.state = state
        with files.os_errors("read", self.path):
            self.record.files = {name: files.sha256(self.path / name) for name in self._names()}
        self.save()

    def fail(self, why: str) -> None:
        """Record that the run failed, if its folder can still be read and written."""
        self.record.error = why
        try:
            self.finish("failed")
        except FileError:
            self.record.files = {}  # it is not known which of the files can be read
            with suppress(FileError):
                self.save()

    def _names(self) -> list[str]:
        paths = (path for path in self.path.rglob("*") if path.is_file())
        names = (path.relative_to(self.path).as_posix() for path in paths)
        return sorted(
            name
            for name in names
            if name not in ("run.json", files.LOCK)
            and not files.is_of_a_file_manager(name)
            and ".tmp." not in name
            and not name.startswith("checkpoints/")
        )

    def sweep(self) -> None:
        """Remove the unfinished files of a process that was killed."""
        with files.os_errors("clean up", self.path):
            for path in self.path.rglob("*.tmp.*"):
                path.unlink()

    def _existing(self, name: str) -> Path:
        path = self.path / name
        with files.os_errors("look for", path):
            exists = path.is_file()
        if not exists:
            raise RunError(
                "E709", f"The run has no {name}", where=self.path, state=self.record.state
            )
        return path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.record.state})"

    def _repr_html_(self) -> str:
        record, path = self.record, self.path
        rows = [
            ("state", record.state),
            ("data", f"{record.data.name}, {record.data.n_train:,} training rows"),
            ("learner", record.learner),
            ("test rows opened", record.test_opened),
            ("report", path / "report.html" if (path / "report.html").is_file() else "none"),
        ]
        parts = [html_repr.table((), rows)]
        if (path / "evaluation.json").is_file():
            parts.append(self.evaluation._repr_html_())
        return html_repr.card(str(path), *parts)


def newest_run(folder: Path) -> Path | None:
    """The run folder in `folder` that was written last. None if there is none."""
    with files.os_errors("look into", folder):
        runs = [file.parent for file in folder.glob("*/run.json")] if folder.is_dir() else []
        return max(runs, key=lambda run: run.stat().st_mtime, default=None)


def count_opening(run: Run, out: Path | None = None) -> None:
    """Count that the test rows are about to be opened, for the n-th model on these data.

    The folder of runs, `out` or the parent of the run, is locked meanwhile, so that two runs that
    end together get different numbers.
    """
    if run.record.test_opened:
        return  # a resumed run measures the same model again
    out = run.path.parent if out is None else out
    with files.locked(out):
        run.record.test_opened = 1 + most_opened(out, run.record.data.fingerprint)
        run.save()


def most_opened(out: Path, fingerprint: str) -> int:
    """How many models of a folder of runs were measured on the test rows of this data.

    This includes sweeps and comparisons. The caller locks the folder if it adds to the number.
    """
    counts = [0]
    for name in ("run", "sweep", "comparison"):
        for file in out.glob(f"*/{name}.json"):
            # A file cannot be counted if it is damaged, of a later version, or belongs to another
            # user.
            with suppress(ValueError, LookupError, TypeError, OSError):
                record = json.loads(file.read_bytes())
                if record["data"]["fingerprint"] == fingerprint:
                    counts.append(int(record["test_opened"]))
    return max(counts)
