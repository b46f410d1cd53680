"""The coverage of prediction sets: of all rows, and of the rows of each label."""

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tenfold.core.conformal import fewest_rows
from tenfold.core.contract import Frozen, PredictionSets
from tenfold.core.text import percent, shorten
from tenfold.evaluation.intervals import Finite, Score, share_of

MAX_NAMED = 5
"""Maximum number of labels without a calibrated set that a line names."""


class LabelCoverage(Frozen):
    """The coverage of the prediction sets of one label's rows.

    Attributes:
      n: The number of its rows among those that were measured.
      calibration_rows: The number of rows from which its threshold comes.
      coverage: The share of its rows whose set contains it. None without rows or without sets.
    """

    label: str
    n: int
    calibration_rows: int
    coverage: Score | None


class SetScores(Frozen):
    """Prediction sets on one set of rows. The scores are None if the model has no sets.

    Attributes:
      nominal_coverage: The share of the rows of each label whose set should contain it.
      coverage: The share of all rows whose set contains the true label.
      mean_size: The average number of labels in a set.
      single: The share of sets with one label.
      empty: The share of sets without any label.
    """

    nominal_coverage: Finite
    coverage: Score | None
    mean_size: Finite | None
    single: Score | None
    empty: Score | None
    per_class: tuple[LabelCoverage, ...]

    @classmethod
    def of(
        cls,
        y: NDArray[np.int64],
        in_set: NDArray[np.bool_] | None,
        promise: PredictionSets,
        labels: tuple[str, ...],
        groups: NDArray[np.int64] | None = None,
    ) -> Self:
        """Compare sets, bool (n, n_labels), with the true codes (n,) of rows in groups (n,)."""
        holds = None if in_set is None else in_set[np.arange(len(y)), y]
        sizes = None if in_set is None else in_set.sum(axis=1)

        def share(hits: NDArray[np.bool_] | None, rows: NDArray[np.bool_]) -> Score | None:
            own = None if groups is None else groups[rows]
            return None if hits is None else share_of(hits[rows], own)

        every = np.ones(len(y), bool)
        return cls(
            nominal_coverage=promise.coverage,
            coverage=share(holds, every),
            mean_size=None if sizes is None else float(sizes.mean()),
            single=share(None if sizes is None else sizes == 1, every),
            empty=share(None if sizes is None else sizes == 0, every),
            per_class=tuple(
                LabelCoverage(
                    label=label,
                    n=int((y == code).sum()),
                    calibration_rows=n_rows,
                    coverage=share(holds, y == code),
                )
                for code, (label, n_rows) in enumerate(
                    zip(labels, promise.calibration_rows, strict=True)
                )
            ),
        )

    @property
    def lacking(self) -> tuple[LabelCoverage, ...]:
        """The labels with too few calibration rows for a set of their own."""
        fewest = fewest_rows(self.nominal_coverage)
        return tuple(one for one in self.per_class if one.calibration_rows < fewest)

    @property
    def limit(self) -> str | None:
        """A sentence about labels whose coverage is not guaranteed, with the reason. None: there
        are none."""
        few = [f"{one.label!r} ({one.calibration_rows})" for one in self.lacking]
        if not few:
            return None
        share = percent(self.nominal_coverage, 0)
        fewest = fewest_rows(self.nominal_coverage)
        needed = f"{share} coverage needs {fewest} calibration rows of a label"
        if self.coverage is None:
            return f"There are no prediction sets, because {needed}: {shorten(few, MAX_NAMED)}."
        return f"Every set contains {shorten(few, MAX_NAMED)}, because {needed}."

    def lines(self) -> Iterator[str]:
        """The scores for people."""
        if self.coverage and self.single and self.empty:
            share = percent(self.nominal_coverage, 0)
            of_each = f"made for {share} of each label"
            yield f"prediction sets    {self.coverage.in_percent} hold the label, {of_each}"
            least = min(
                (one for one in self.per_class if one.coverage and one not in self.lacking),
                key=lambda one: one.coverage.value if one.coverage else 1.0,
                default=None,
            )
            if least and least.coverage:
                yield f"least covered      {least.label!r}: {least.coverage.in_percent}"
            sizes = f"{self.mean_size:.2f} labels on average, one in {percent(self.single.value)}"
            yield f"set sizes          {sizes} of the rows, none in {percent(self.empty.value)}"
