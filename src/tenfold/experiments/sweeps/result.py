"""What a sweep or a comparison came to."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tenfold.core import html_repr
from tenfold.core.records import TrialResult
from tenfold.experiments.sweeps.best import BEST
from tenfold.experiments.sweeps.folder import LeaderboardEntry, SweepRecord
from tenfold.experiments.sweeps.table import PointResult
from tenfold.runs.record import Run


class Sweep:
    """What a sweep or a comparison came to.

    Attributes:
      path: Its folder.
      record: Its `sweep.json` or `comparison.json`.
      trials: The trials that have ended, by settings and seed.
      points: Settings of which all trials were finished, best first by the validation rows.
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
        """The result in plain words."""
        return self.record.findings

    @property
    def leaderboard(self) -> list[LeaderboardEntry]:
        """Of a comparison, its learners, best first by the validation rows."""
        return self.record.places

    @cached_property
    def best(self) -> Run:
        """The chosen run: its model was measured on the test rows."""
        if self.record.kind == "sweep":
            return Run.open(self.path / BEST)
        return Run.open(self.points[0].trials[0].run)

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r}, {len(self.trials)} trials)"

    def _repr_html_(self) -> str:
        rows = [
            (_words(result), f"{result.mean:.4f}", f"{result.training_seconds:.2f} s")
            for result in self.points
        ]
        parts = [html_repr.table(("settings", "validation score", "training"), rows)]
        return html_repr.card(str(self.path), *parts)


def _words(result: PointResult) -> str:
    return ", ".join(f"{name} {value}" for name, value in result.point.items())
