"""The table of a sweep: a row per trial, read from its folder; and the rows of a point together."""

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.core.csv_cells import number_text, write_csv
from tenfold.core.records import TrialResult
from tenfold.experiments.sweeps.plan import Point
from tenfold.runs.record import Run


@dataclass(frozen=True)
class Group:
    """The trials of a point that were finished.

    Attributes:
      mean: Of their scores.
      deviation: Standard deviation over the seeds; None of a single one.
      seconds, epoch_seconds: Mean of those of the rows.
    """

    point: Point
    rows: tuple[TrialResult, ...]
    mean: float
    deviation: float | None
    seconds: float
    epoch_seconds: float | None

    @property
    def parameters(self) -> int:
        """Numbers fitted, of the first seed; a tree's number depends on it."""
        return self.rows[0].parameters or 0

    @property
    def training_seconds(self) -> float:
        """Without compilation where that is known, which the first trial of a shape alone pays."""
        return self.seconds if self.epoch_seconds is None else self.epoch_seconds


def read_row(point: Point, folder: Path) -> TrialResult:
    """The row of a trial that has ended.

    Raises:
      RunError: The folder holds none, or it is damaged.
    """
    run = Run.open(folder)
    record, is_done = run.record, run.record.state == "finished"
    epochs = run.history if (folder / "history.csv").is_file() else []
    model = folder / "model.onnx"
    return TrialResult(
        point=point,
        seed=record.config.seed,
        score=run.evaluation.score.value if is_done else None,
        parameters=record.parameters,
        state=record.state,
        seconds=record.seconds.get("train"),
        epoch_seconds=sum(row["seconds"] or 0 for row in epochs) if epochs else None,
        n_bytes=model.stat().st_size if is_done else 0,
        run=folder,
        why=record.error or (record.note if record.state == "stopped" else None),
    )


def sort_rows(rows: Iterable[TrialResult]) -> list[TrialResult]:
    """By settings, then seed."""
    return sorted(rows, key=lambda row: (*row.point.values(), row.seed))


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[TrialResult], score: str
) -> None:
    """Write `sweep.csv` or `comparison.csv`; `score` is the name of its column."""
    head = (*columns, "seed", score, "parameters", "state", "seconds", "run")
    lines = []
    for row in sort_rows(rows):
        settings = [_cell(row.point[name]) for name in columns]
        numbers = [str(row.seed), number_text(row.score), number_text(row.parameters)]
        lines.append([*settings, *numbers, row.state, number_text(row.seconds), str(row.run)])
    write_csv(path, head, lines)


def _cell(value: Any) -> str:
    return number_text(value) if isinstance(value, int | float) else str(value)


def read_table(path: Path) -> list[dict[str, str]]:
    """The lines of a table, without what differs between equal sweeps: `seconds` and `run`."""
    lines = csv.DictReader(io.StringIO(path.read_text("utf-8")))
    return [{k: v for k, v in line.items() if k not in ("seconds", "run")} for line in lines]


def group_rows(rows: Iterable[TrialResult], *, least_is_best: bool) -> list[Group]:
    """Points of which every trial was finished, best mean first; of equal ones the smaller.

    A search may ask for a point twice. Its trials are the same then: one of each seed counts, a
    finished one where there is one.
    """
    by_point: dict[tuple[Any, ...], dict[int, TrialResult]] = {}
    for row in sort_rows(rows):
        trials = by_point.setdefault(tuple(row.point.values()), {})
        if row.seed not in trials or trials[row.seed].score is None:
            trials[row.seed] = row
    groups = []
    for trials in by_point.values():
        members = list(trials.values())
        scores = [row.score for row in members if row.score is not None]
        if len(scores) < len(members):
            continue
        epochs = [row.epoch_seconds for row in members if row.epoch_seconds is not None]
        groups.append(
            Group(
                point=members[0].point,
                rows=tuple(members),
                mean=statistics.mean(scores),
                deviation=statistics.stdev(scores) if len(scores) > 1 else None,
                seconds=statistics.mean(row.seconds or 0 for row in members),
                epoch_seconds=statistics.mean(epochs) if epochs else None,
            )
        )
    sign = 1 if least_is_best else -1
    return sorted(groups, key=lambda group: (sign * group.mean, group.parameters))
