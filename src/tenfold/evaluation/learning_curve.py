"""Learning curves: how a score rises with the number of training rows, and its extrapolation."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Frozen
from tenfold.core.task import TaskKind
from tenfold.evaluation.intervals import (
    Finite,
    Floats,
    Score,
    percentile_interval,
    resampled_means,
)
from tenfold.evaluation.measures import MEASURES, Measure

POWERS = np.linspace(0.1, 2.0, 20)
"""Exponents of the power law that are tried. For networks they are 0.07 to 0.35 (Hestness et al.
2017, arXiv:1712.00409). For models with few weights the exponent is 1, or more if there are hardly
more rows than weights."""

MAX_MISFIT = 7.56
"""The 99% quantile of the F distribution with 2 and 10 degrees of freedom: five sizes minus three
parameters of the law, and five sizes with three seeds each."""


class CurvePoint(Frozen):
    """The score of models fitted to `n` rows: the mean with its interval, and the score of each
    seed."""

    n: int
    score: Score
    of_seeds: tuple[Finite, ...]


class PowerLaw(Frozen):
    """The error of models fitted to n rows, as `floor + factor * n ** -power`. It is the share of
    wrong predictions, or the RMSE.

    Source: Figueroa et al. 2012, BMC Medical Informatics and Decision Making 12:8. As there, the
    sizes are weighted by their rank.
    """

    floor: Finite
    factor: Finite
    power: Finite

    def error(self, n: Floats) -> Floats:
        """The error of models fitted to these numbers of rows (k,)."""
        return np.asarray(self.floor + self.factor * n**-self.power)


class LearningCurve(Frozen):
    """How the score rises with the training rows, measured on rows that no model of the curve saw.

    Attributes:
      learner: The learner that was fitted to parts of the rows.
      part: `validation` if the validation rows were scored, or `folds` if all rows outside the test
        part were scored by cross-validation.
      n_scored: The number of scored rows.
      score: `accuracy`, or `RMSE` in the target's unit.
      n_rows: The number of rows outside the test part, to which the run's model was fitted.
      points: The sizes, from the smallest.
      law: The power law that was fitted to the points. None: they do not follow such a law.
      n_more: The number of additional rows.
      gain: The extrapolated gain from them: in accuracy, or how much the RMSE would fall.
      why_not: The reason if no gain is given.
    """

    format: Literal[1] = 1
    learner: str
    part: Literal["validation", "folds"]
    n_scored: int
    score: Literal["accuracy", "RMSE"]
    n_rows: int
    points: tuple[CurvePoint, ...]
    law: PowerLaw | None = None
    n_more: int
    gain: Score | None = None
    why_not: str | None = None

    @property
    def measure(self) -> Measure:
        """The meaning of the score."""
        return next(measure for measure in MEASURES.values() if measure.score == self.score)

    @property
    def headline(self) -> str:
        """One line on the gain from more rows, or the reason why none is given."""
        more = f"{self.n_more:,} more rows"
        if self.gain is None:
            return f"{more}: nothing can be said, because {self.why_not}"
        if self.measure.more_is_better:
            value, low, high = self.gain.ends(lambda end, digits: f"{100 * end:.{digits}f}", 1)
            text = f"{'' if value.startswith('-') else '+'}{value} points ({low} to {high})"
        else:
            value, low, high = self.gain.ends(lambda end, digits: f"{end:.{digits}g}", 2)
            text = f"RMSE lower by {value} ({low} to {high})"
        if self.gain.low <= 0:
            text = f"no gain can be told, {text}"
        measured = f"{self.points[0].n:,} to {self.points[-1].n:,} rows"
        return f"{more}: {text}; extrapolated, from models of {measured}"

    @property
    def about(self) -> str:
        """A few sentences on what was measured, and what the headline is based on."""
        rows = {"validation": "validation rows", "folds": "rows outside the test part, by folds"}
        fitted = (
            f"The learner {self.learner} was fitted to {len(self.points)} sizes of the rows "
            f"outside the test part, {len(self.points[0].of_seeds)} times each with other rows, "
            f"and scored on {self.n_scored:,} {rows[self.part]}."
        )
        if self.gain is None:
            return fitted
        return (
            f"{fitted} What more rows would bring is extrapolated by a power law through these "
            "scores, and holds for rows of the same kind. The 95% interval in brackets is about "
            "which rows were drawn and scored; that another law holds further on is not in it."
        )


class _Laws(NamedTuple):
    """The parameters of laws that were fitted to lines of errors, each (lines,), and the errors of
    the laws at the sizes (lines, k)."""

    floor: Floats
    factor: Floats
    power: Floats
    fitted: Floats

    def gain(self, n: int, n_more: int) -> Floats:
        """How much the error falls (lines,) from n rows to n + `n_more` rows."""
        fall: Floats = self.factor * (n**-self.power - (n + n_more) ** -self.power)
        return fall


def round_number(most: int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not above `most`.

    Example:
      >>> round_number(1348), round_number(77)
      (1000, 50)
    """
    decade: int = 10 ** (len(str(most)) - 1)
    return max(step * decade for step in (1, 2, 5) if step * decade <= most)


def learning_curve(
    sizes: NDArray[np.float64],
    row_scores: Floats,
    kind: TaskKind,
    *,
    learner: str,
    part: Literal["validation", "folds"],
    n_rows: int,
    groups: NDArray[np.int64] | None = None,
) -> LearningCurve:
    """The learning curve of models that were fitted to parts of the rows.

    Intervals come from the bootstrap: rows, or whole groups, are resampled, and so are the seeds of
    each size, whose spread is widened by 3/2 because there are three of them.

    Args:
      sizes: The numbers of rows of the fits (k,), in ascending order.
      row_scores: The score of each prediction (k, seeds, n). Larger is better.
      kind: The kind of task.
      learner, part, n_rows: As in `LearningCurve`.
      groups: The group of each scored row (n,). None: there are no groups.
    """
    measure = MEASURES[kind]
    seeds = _error(row_scores.mean(axis=2), measure)
    errors = _error(row_scores.mean(axis=(1, 2)), measure)
    resampled = _error(_resampled(row_scores, groups), measure)
    law, n_more = _fit(sizes, errors[None]), round_number(int(sizes[-1]))
    gains = _fit(sizes, resampled).gain(n_rows, n_more)
    gain = percentile_interval(float(law.gain(n_rows, n_more)[0]), gains)
    why_not = _why_not(errors, seeds, law.fitted[0], gain)
    numbers = zip(PowerLaw.model_fields, (law.floor, law.factor, law.power), strict=True)
    return LearningCurve(
        learner=learner,
        part=part,
        n_scored=row_scores.shape[2],
        score=measure.score,
        n_rows=n_rows,
        points=tuple(
            CurvePoint(
                n=round(size),
                score=percentile_interval(float(shown[0]), shown[1:]),
                of_seeds=tuple(_shown(seeds[i], measure).tolist()),
            )
            for i, size in enumerate(sizes.tolist())
            for shown in [_shown(np.append(errors[i], resampled[:, i]), measure)]
        ),
        law=None if why_not else PowerLaw(**{name: float(one[0]) for name, one in numbers}),
        n_more=n_more,
        gain=None if why_not else gain,
        why_not=why_not,
    )


def _resampled(row_scores: Floats, groups: NDArray[np.int64] | None) -> Floats:
    """The mean row score of each size in resamples of rows and seeds (1000, k)."""
    rng = np.random.default_rng(0)
    k, n_seeds, n_scored = row_scores.shape
    columns = row_scores.reshape(k * n_seeds, n_scored).T
    of_rows = resampled_means(columns, rng, groups).reshape(-1, k, n_seeds)
    drawn = np.take_along_axis(of_rows, rng.integers(n_seeds, size=of_rows.shape), 2)
    mean = of_rows.mean(axis=2)
    widened: Floats = mean + np.sqrt(n_seeds / (n_seeds - 1)) * (drawn.mean(axis=2) - mean)
    return widened


def _error(mean: Floats, measure: Measure) -> Floats:
    """Convert mean row scores to errors: the share of wrong predictions, or the RMSE."""
    return 1 - mean if measure.more_is_better else np.sqrt(np.maximum(-mean, 0))


def _shown(errors: Floats, measure: Measure) -> Floats:
    """Convert errors to accuracy, or return them as RMSE."""
    return 1 - errors if measure.more_is_better else errors


def _fit(sizes: NDArray[np.float64], errors: Floats) -> _Laws:
    """The law with the smallest weighted sum of squared differences for each line of errors (lines,
    k)."""
    weights = np.arange(1, len(sizes) + 1) / len(sizes)
    laws = [_law_of_power(power, sizes, errors, weights) for power in POWERS.tolist()]
    squares = np.stack([(law.fitted - errors) ** 2 @ weights for law in laws])
    best, lines = squares.argmin(axis=0), np.arange(len(errors))
    return _Laws(*(np.stack(numbers)[best, lines] for numbers in zip(*laws, strict=True)))


def _law_of_power(
    power: float, sizes: NDArray[np.float64], errors: Floats, weights: Floats
) -> _Laws:
    """The best law with this exponent, whose floor is at least 0."""
    x = sizes**-power
    design = np.sqrt(weights)[:, None] * np.stack([np.ones_like(x), x], axis=1)
    floor, factor = np.linalg.pinv(design) @ (np.sqrt(weights) * errors).T
    through_0 = errors @ (weights * x) / (weights @ x**2)
    factor, floor = np.where(floor < 0, through_0, factor), np.maximum(floor, 0)
    fitted = floor[:, None] + factor[:, None] * x
    return _Laws(floor, factor, np.full_like(floor, power), fitted)


def _why_not(errors: Floats, seeds: Floats, fitted: Floats, gain: Score) -> str | None:
    """The reason not to extrapolate from errors of sizes (k,) and of their seeds (k, seeds)."""
    k, n_seeds = seeds.shape
    if not errors[-1]:
        return "models of all rows make no mistake"
    weights = np.arange(1, k + 1) / k
    misfit = float(weights @ (errors - fitted) ** 2) / (k - len(PowerLaw.model_fields))
    chance = float(weights @ seeds.var(axis=1, ddof=1)) / k / n_seeds
    if misfit > MAX_MISFIT * chance:
        return "the scores do not follow one curve, further than chance explains"
    if gain.high < 0:
        return "the score became worse with more rows"
    return None
