"""A trial: one training of a sweep, from a plain value to a run folder. Runs in a worker process.

The whole of what happens between `Job` and files; how jobs come to workers is `executors`.
"""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.build.build import fit_model
from tenfold.build.problem import Prepared, Problem, prepare
from tenfold.core import files
from tenfold.core.errors import RunError, SettingsError, TenfoldError
from tenfold.core.progress import Listener, Listeners, OnEpochs, StageClock
from tenfold.core.records import Epoch
from tenfold.data.dataset import Dataset
from tenfold.data.split import Split
from tenfold.experiments.artifacts import measure
from tenfold.experiments.sweeps.shared import open_shared
from tenfold.learners import LEARNERS
from tenfold.learners.checkpoints import Checkpoints
from tenfold.learners.training import check_compiler
from tenfold.model.model import Model
from tenfold.runs import csv_files
from tenfold.runs.record import Record, Run

THREADS = 1
"""Threads of a trial, wherever it runs: sums in another order have other last bits."""

ENVIRONMENT: Mapping[str, str] = {
    name: str(THREADS)
    for name in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",  # NumPy, SciPy, scikit-learn
        "LOKY_MAX_CPU_COUNT",  # joblib in scikit-learn's forests
        "NPROC", "PJRT_NPROC",  # XLA's own pool
        "JAX_NUM_CPU_DEVICES",  # one device: halves of a batch would be summed otherwise
    )
}  # fmt: skip
"""What must stand in a worker's environment before its Python starts."""

ENDED = ("finished", "stopped")
"""States of a trial that is not made again."""


@dataclass(frozen=True)
class Job:
    """A trial to make: plain values alone, which JSON and pickle carry anywhere.

    Attributes:
      folder: The run folder of the trial, made by whoever makes the trial; unique in its sweep.
      data: Folder of the data, as `shared.share` wrote it.
      record: `run.json` at its beginning: settings, fingerprint, versions.
      floors: (epoch, score): stop after that epoch unless the validation score is above.
      kind: Jobs of one kind compile the same programs: a process that made one is quicker at it.
      cost: Multiplications of the whole training, to begin with the longest.
    """

    folder: str
    data: str
    record: dict[str, Any]
    floors: tuple[tuple[int, float], ...] = ()
    kind: str = ""
    cost: float = 0.0

    @property
    def name(self) -> str:
        """What people call the trial."""
        return Path(self.folder).name

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Job":
        """A job from what `dataclasses.asdict` and JSON made of it."""
        floors = tuple((int(epoch), float(score)) for epoch, score in plain["floors"])
        return cls(**{**plain, "floors": floors})

    def as_plain(self) -> dict[str, Any]:
        """The job as JSON has it."""
        return dataclasses.asdict(self)


class Stopped(Exception):
    """A trial is hopeless: it ends after this epoch."""


def run_trial(job: Job, listener: Listener | None = None) -> None:
    """Make a trial, or find it made: what becomes of it stands in its folder.

    Idempotent: a trial that has ended is left as it is; one whose process died goes on from its
    newest checkpoint to the same model. Whatever goes wrong with the trial itself is written down
    in its `run.json` (`state`, `error`) and not raised. A job that is given out twice is made once
    at a time: the folder is locked meanwhile.

    Args:
      job: The trial.
      listener: Is told of the epochs of a network, and of warnings.

    Raises:
      SettingsError: The process was not started with `ENVIRONMENT`, so that its trials would
        differ from those of another process.
      BackendError: JAX's compiler computes wrongly here: every trial of a network would fail.
      FileError: Nothing can be written in the folder.
      DataError: The data are not those that the sweep began with.
    """
    if missing := [name for name, value in ENVIRONMENT.items() if os.environ.get(name) != value]:
        raise SettingsError(
            "E813",
            "A worker with other threads",
            expected="ENVIRONMENT of sweeps.trials set",
            fix="Start worker processes with it",
            missing=missing,
        )
    if LEARNERS[job.record["learner"]].epochs:
        check_compiler()
    folder = Path(job.folder)
    with files.os_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        if has_ended(job):
            return
        run = Run(folder, Record.model_validate(job.record))
        run.sweep()
        run.save()
        clock = StageClock()
        run.record.seconds = clock.seconds
        try:
            clock.stage("train")
            _make(run, job, Listeners([clock, listener or Listener()]))
            state = "finished"
        except Stopped as stopped:
            run.record.note, state = str(stopped), "stopped"
        except Exception as error:
            run.record.error, state = _in_words(error), "failed"
        clock.pause()
        clock.total()
        run.finish(state)  # type: ignore[arg-type]
        Checkpoints(folder / "checkpoints").clear()


def has_ended(job: Job) -> bool:
    """Whether the job's folder holds its trial, finished or stopped."""
    with suppress(RunError):
        record = Run.open(job.folder).record
        same = record.config == Record.model_validate(job.record).config
        return same and record.state in ENDED
    return False


def give_up(job: Job, why: str) -> None:
    """Write down that a trial failed, for a worker that cannot any more.

    Raises:
      FileError: Its folder cannot be written.
    """
    folder = Path(job.folder)
    with files.os_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, Record.model_validate(job.record))
    run.record.error = why
    run.finish("failed")


def _make(run: Run, job: Job, listener: Listener) -> None:
    """Fit, export and measure on validation rows."""
    record, settings = run.record, run.record.config
    data, split = _rows(job.data)
    encoded = _prepared(job.data, LEARNERS[settings.learner].scaled)
    history = csv_files.GrowingHistory(run.path / "history.csv")
    # The epoch that ends a trial is written down and reported before.
    listeners = Listeners([OnEpochs(history.add), listener, OnEpochs(_stop_rule(job))])
    built = fit_model(
        Problem(data, split, settings, encoded), listeners, Checkpoints(run.path / "checkpoints")
    )
    record.parameters, record.note = built.parameters, built.note
    csv_files.write_history(run.path / "history.csv", built.history)
    files.write_bytes(run.path / "model.onnx", built.content)
    if built.interrupted:
        raise KeyboardInterrupt
    listener.stage("evaluate")
    rows, part = (split.validation, "validation") if split.validation.size else (split.train, "all")
    evaluation, _ = measure(Model(built.content), data, rows, part, record.data, settings.recall)
    files.write_text(run.path / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")


@functools.lru_cache(maxsize=1)
def _rows(folder: str) -> tuple[Dataset, Split]:
    """The rows of the sweep this process works for."""
    return open_shared(Path(folder))


@functools.lru_cache(maxsize=2)
def _prepared(folder: str, scaled: bool) -> Prepared:
    """Encoded rows: they are the same for every learner that wants them scaled alike."""
    return prepare(*_rows(folder), scaled=scaled)


def _stop_rule(job: Job) -> Callable[..., None]:
    """Called with each epoch: ends a trial that is hopeless."""
    floors = dict(job.floors)

    def check(*epochs: Epoch) -> None:
        for epoch in epochs:
            score, floor = score_of(epoch), floors.get(epoch.epoch)
            if not math.isfinite(epoch.loss):
                raise Stopped(f"stopped after epoch {epoch.epoch}: its loss is {epoch.loss}")
            if floor is not None and score is not None and not score > floor:
                raise Stopped(
                    f"stopped after epoch {epoch.epoch}: validation score {score:.4g}, "
                    f"not above {floor:.4g}"
                )

    return check


def score_of(epoch: Epoch) -> float | None:
    """The validation accuracy, or minus the validation loss of a regression: more is better."""
    if epoch.accuracy is None:
        return None if epoch.val_loss is None else -epoch.val_loss
    return epoch.val_accuracy


def _in_words(error: Exception) -> str:
    """One line: our errors speak for themselves, others say what they are."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TenfoldError) else f"{type(error).__name__}: {text}"
