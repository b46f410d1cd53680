"""The trials of a sweep, the points that they belong to, and the result of the sweep."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core import html_repr
from tenfold.core.csv_cells import number_text, write_csv
from tenfold.core.errors import RunError
from tenfold.core.records import TrialResult
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.evaluation import Floats
from tenfold.experiments.sweeps.folder import BEST, LeaderboardEntry, SweepRecord
from tenfold.experiments.sweeps.plan import Point
from tenfold.runs.record import Run


@dataclass(frozen=True)
class PointResult:
    """The finished trials of a point, one for each seed.

    `mean` and `deviation` (None for a single seed) are those of the scores. Times are means over
    the seeds.
    """

    point: Point
    trials: tuple[TrialResult, ...]
    mean: float
    deviation: float | None
    seconds: float
    epoch_seconds: float | None

    @property
    def parameters(self) -> int:
        """Number of fitted parameters of the first seed. That of a tree depends on the seed."""
        return self.trials[0].parameters or 0

    @property
    def training_seconds(self) -> float:
        """Seconds of training, if possible without the compilation, which only the first trial of
        each shape needs."""
        return self.seconds if self.epoch_seconds is None else self.epoch_seconds

    @property
    def words(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.point.items())

    def ask(self, data: Dataset, rows: RowNumbers) -> tuple[Floats, float]:
        """Return the row scores (n,), averaged over the seeds, and the prediction time of a model
        in seconds."""
        y = data.y[rows]
        total, seconds = np.zeros(len(rows)), []
        for trial in self.trials:
            model = Run.open(trial.run).model
            x = data.seen_as(model.contract.input).x[rows]
            start = time.perf_counter()
            answers = model.answer(x)
            seconds.append(time.perf_counter() - start)
            total += answers.row_scores(y)
        return total / len(self.trials), statistics.mean(seconds)


def read_result(point: Point, folder: Path) -> TrialResult:
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


def sort_results(results: Iterable[TrialResult]) -> list[TrialResult]:
    return sorted(results, key=lambda result: (*result.point.values(), result.seed))


def write_table(
    path: Path, columns: Sequence[str], results: Iterable[TrialResult], score: str
) -> None:
    """Write `sweep.csv` or `comparison.csv`. `score` is the name of the score's column."""
    head = (*columns, "seed", score, "parameters", "state", "seconds", "run")
    lines = (
        [
            *(_cell(result.point[name]) for name in columns),
            str(result.seed),
            number_text(result.score),
            number_text(result.parameters),
            result.state,
            number_text(result.seconds),
            str(result.run),
        ]
        for result in sort_results(results)
    )
    write_csv(path, head, lines)


def _cell(value: Any) -> str:
    return number_text(value) if isinstance(value, int | float) else str(value)


def rank_points(
    results: Iterable[TrialResult], n_seeds: int, *, least_is_best: bool, where: Path
) -> list[PointResult]:
    """Rank the points whose trials have all finished by their mean score. Of points with equal
    scores, the smaller model comes first.

    A search may request a point twice. Its trials are then the same, and only one of each seed
    counts, if possible a finished one. `where` is the sweep's folder, for the error if no point is
    complete.
    """
    by_point: dict[tuple[Any, ...], dict[int, TrialResult]] = {}
    ended = sort_results(results)
    for result in ended:
        trials = by_point.setdefault(tuple(result.point.values()), {})
        if result.seed not in trials or trials[result.seed].score is None:
            trials[result.seed] = result
    complete = (tuple(trials.values()) for trials in by_point.values() if len(trials) == n_seeds)
    points = [
        _point_result(trials)
        for trials in complete
        if all(trial.score is not None for trial in trials)
    ]
    if not points:
        reasons = [result.why for result in ended if result.why]
        raise RunError(
            "E814",
            "No setting has finished all of its trials",
            where=where,
            n_ended=len(ended),
            why=reasons[0] if reasons else "the time limit was reached",
        )
    sign = 1 if least_is_best else -1
    return sorted(points, key=lambda point: (sign * point.mean, point.parameters))


def _point_result(trials: tuple[TrialResult, ...]) -> PointResult:
    scores = [trial.score for trial in trials if trial.score is not None]
    epochs = [trial.epoch_seconds for trial in trials if trial.epoch_seconds is not None]
    return PointResult(
        point=trials[0].point,
        trials=trials,
        mean=statistics.mean(scores),
        deviation=statistics.stdev(scores) if len(scores) > 1 else None,
        seconds=statistics.mean(trial.seconds or 0 for trial in trials),
        epoch_seconds=statistics.mean(epochs) if epochs else None,
    )


class Sweep:
    """The result of a sweep or a comparison.

    Attributes:
      path: The folder.
      record: The content of `sweep.json` or `comparison.json`.
      trials: The trials that have ended, sorted by settings and seed.
      points: The settings whose trials have all finished, ranked by the validation rows.
    """

    def __init__(
        self,
        path: Path,
        record: SweepRecord,
        trials: Sequence[TrialResult],
        points: Sequence[PointResult],
    ) -> None:
        self.path, self.record = path, record
        self.trials, self.points = tuple(trials), tuple(points)

    @property
    def findings(self) -> list[str]:
        return self.record.findings

    @property
    def leaderboard(self) -> list[LeaderboardEntry]:
        """The learners of a comparison, ranked by the validation rows."""
        return self.record.places

    @cached_property
    def best(self) -> Run:
        """The best run, whose model was measured on the test rows."""
        if self.record.kind == "sweep":
            return Run.open(self.path / BEST)
        return Run.open(self.points[0].trials[0].run)

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r}, {len(self.trials)} trials)"

    def _repr_html_(self) -> str:
        rows = [
            (result.words, f"{result.mean:.4f}", f"{result.training_seconds:.2f} s")
            for result in self.points
        ]
        parts = [html_repr.table(("settings", "validation score", "training"), rows)]
        return html_repr.card(str(self.path), *parts)
