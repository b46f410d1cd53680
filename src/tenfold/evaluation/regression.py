"""Evaluation of regression: errors, intervals, and the comparison with the baseline."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.core import html_repr
from tenfold.core.contract import Frozen
from tenfold.core.errors import DataError
from tenfold.core.text import in_unit
from tenfold.evaluation.intervals import (
    ARRAYS,
    TINY,
    Doubted,
    Finite,
    Floats,
    Ratio,
    Score,
    Subset,
    Verdict,
    ratios,
    share_of,
    unseen,
    unseen_odds,
    verdict_of,
)
from tenfold.model.predictions import Values

MAX_SIZE = 1e150
"""Maximum size of a number. Squares of larger ones overflow."""

BaselineKind = Literal["mean", "last value"]


FLOAT32_ULP = 2.0**-23
ROUNDING = 1e-5
"""Predictions that differ by less than this share of the largest error are treated as equal,
because they are float32."""


class BaselineValues(NamedTuple):
    """The predictions of the baseline: one number, or one for each row (n,)."""

    kind: BaselineKind
    value: ArrayLike


class RegressionBaseline(Frozen):
    """The score of always predicting the mean of the training rows, or the last known value."""

    kind: BaselineKind
    mae: Score
    rmse: Score


class RegressionEvaluation(Doubted):
    """All scores of one regression model on one set of rows.

    Attributes:
      part: The name of the rows: `test`, `validation` or `all`.
      target: The name of the target. `mae`, `rmse` and `interval_width` are in its unit.
      mae: The mean absolute error.
      rmse: The root mean squared error.
      r2: The coefficient of determination: 1 - squared error / squared deviation from the mean of
        these rows. It is 1 for perfect predictions and 0 for that mean. None if the true values do
        not vary, or hardly vary compared with the errors.
      coverage: The share of the rows whose true value is inside the interval. None if the model
        gives no intervals.
      interval_width: The mean width of the intervals.
      interval_widths: The 10% and the 90% quantile of the widths of the intervals. None if all
        intervals have the same width, and in files of earlier versions.
      better_than_baseline: The result of a paired bootstrap of the squared errors.
      beats_baseline: Whether that result is `better`.
    """

    task: Literal["regression"] = "regression"
    data: str
    part: str
    n: int
    target: str
    baseline: RegressionBaseline
    better_than_baseline: Verdict
    beats_baseline: bool
    mae: Score
    rmse: Score
    r2: Score | None
    coverage: Score | None
    interval_width: Finite | None
    interval_widths: tuple[Finite, Finite] | None = None

    labels: ClassVar[tuple[str, ...]] = ()
    prediction_sets: ClassVar[None] = None
    score_name: ClassVar[str] = "RMSE"
    fold_scores: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")

    @property
    def score(self) -> Score:
        """The score that ranks models: the root mean squared error."""
        return self.rmse

    @property
    def headline(self) -> str:
        """This score with its name and interval, for people."""
        return f"RMSE {self.rmse.in_unit}"

    @property
    def beside_baseline(self) -> str:
        """In words, whether the model is better than its baseline."""
        rival = {"mean": "always answering the mean", "last value": "repeating the last value"}
        mine, other = self.rmse.value, self.baseline.rmse.value
        match self.better_than_baseline:
            case "better":
                text = f"Better than {{}}: the RMSE is {1 - mine / other:.1%} lower."
            case "worse":
                text = "Worse than {}: these rows are better answered without the model."
            case _:
                text = "Not shown to beat {}: on these rows the difference is within chance."
        return text.format(rival[self.baseline.kind])

    def lines(self) -> Iterator[str]:
        """The scores for people, beginning with the one that ranks models. Empty lines separate
        blocks."""
        yield f"RMSE               {self.rmse.in_unit}"
        yield f"baseline           RMSE {self.baseline.rmse.in_unit} ({self.baseline.kind})"
        yield f"verdict            {self.verdict}"
        yield ""
        yield f"target             {self.target}"
        yield f"MAE                {self.mae.in_unit}"
        yield f"R2                 {self.r2 or 'none: all true values are equal'}"
        if self.coverage and self.interval_width is not None:
            width = in_unit(self.interval_width)
            yield f"inside interval    {self.coverage.in_percent}, mean width {width}"
            if self.interval_widths:
                low, high = (in_unit(end, self.interval_widths[1]) for end in self.interval_widths)
                yield f"widths             follow the row: {low} to {high} for 8 of 10 rows"

    def _repr_html_(self) -> str:
        scores = [("MAE", self.mae.in_unit), ("RMSE", self.rmse.in_unit), ("R2", self.r2 or "none")]
        if self.coverage:
            scores.append(("rows inside their interval", self.coverage))
        baseline = f"baseline ({self.baseline.kind}): RMSE"
        scores.append((baseline, self.baseline.rmse.in_unit))
        table = html_repr.table(("score", "value [95% interval]"), scores)
        title = f"{self.data}: {self.target}, {self.n:,} {self.part} rows"
        return html_repr.card(title, table, f"<p>{escape(self.verdict)}</p>")

    @classmethod
    def of(
        cls,
        true: ArrayLike,
        answers: Values,
        baseline: BaselineValues,
        *,
        target: str = "value",
        subset: Subset = ARRAYS,
        seed: int = 0,
    ) -> Self:
        """Compare predicted values with the truth.

        Args:
          true: True values (n,), n at least 2.
          answers: The predictions (n). Intervals whose upper end is not finite are ignored.
          baseline: The predictions of the baseline.
          target: The name of the quantity.
          subset: The name of the rows, for the record, and the groups in which they were drawn.
          seed: Seed of the bootstrap.

        Raises:
          DataError: There are fewer than two rows, shapes disagree, a number is not finite, or the
            ends of an interval are swapped.
        """
        y, predicted, base, ends = _check(true, answers, baseline.value)
        errors, groups = _Errors.of(y, predicted, base), subset.groups
        n_drawn = len(y) if groups is None else len(np.unique(groups))
        measured = errors.measured(seed, groups)
        scores = errors.scores(measured, n_drawn)
        verdict = errors.verdict(measured, n_drawn)
        return cls(
            data=subset.data,
            part=subset.part,
            n=len(y),
            target=target,
            baseline=RegressionBaseline(
                kind=baseline.kind, mae=scores.baseline_mae, rmse=scores.baseline_rmse
            ),
            better_than_baseline=verdict,
            beats_baseline=verdict == "better",
            mae=scores.mae,
            rmse=scores.rmse,
            r2=scores.r2,
            coverage=share_of((ends[0] <= y) & (y <= ends[1]), groups) if ends else None,
            interval_width=float((ends[1] - ends[0]).mean()) if ends else None,
            interval_widths=_spread(*ends) if ends else None,
        )


class _Scores(NamedTuple):
    """The scores of a model and of its baseline, in the unit of the target."""

    mae: Score
    rmse: Score
    r2: Score | None
    baseline_mae: Score
    baseline_rmse: Score


@dataclass(frozen=True, eq=False)
class _Errors:
    """The absolute errors of three predictions (n,), as shares of the largest error, so that the
    squares of the smallest numbers do not vanish.

    Attributes:
      size: The largest error, in the unit of the target.
      model: The errors of the model.
      baseline: The errors of its baseline.
      deviation: The errors of the mean of the true values.
      rounding: The largest rounding error of a float32 prediction.
      is_baseline: Whether the predictions are those of the baseline, up to rounding.
    """

    size: float
    model: Floats
    baseline: Floats
    deviation: Floats
    rounding: float
    is_baseline: bool

    @classmethod
    def of(cls, y: Floats, predicted: Floats, base: Floats) -> Self:
        size = float(max(np.abs(y - predicted).max(), np.abs(y - base).max(), np.ptp(y))) or 1.0
        model, baseline, deviation = (
            np.abs(a - b) / size for a, b in ((y, predicted), (y, base), (y, y.mean()))
        )
        rounding = 4 * FLOAT32_ULP * float(np.abs(predicted).max()) / size
        as_near = ROUNDING * size + 2e-7 * np.abs(base).max()
        is_baseline = bool(np.abs(predicted - base).max() <= as_near)
        return cls(size, model, baseline, deviation, rounding, is_baseline)

    # Squares are compared, because those that are small compared with the largest error vanish.

    @property
    def varies(self) -> bool:
        """Whether the true values differ."""
        return bool((self.deviation**2).any())

    @property
    def baseline_errs(self) -> bool:
        return bool((self.baseline**2).any())

    @property
    def is_exact(self) -> bool:
        """Whether the model has no errors, up to rounding."""
        return float(self.model.max()) <= self.rounding or not (self.model**2).any()

    def measured(self, seed: int, groups: NDArray[np.int64] | None) -> dict[str, Ratio]:
        """The mean errors and squared errors of both, and the squared errors of the model relative
        to those of the mean (`r2`) and of the baseline (`gain`), where these are not 0."""
        pairs: dict[str, tuple[Floats, Floats | None]] = {
            "mae": (self.model, None),
            "mse": (self.model**2, None),
            "baseline mae": (self.baseline, None),
            "baseline mse": (self.baseline**2, None),
        }
        if self.varies:
            pairs["r2"] = (self.model**2, self.deviation**2)
        if self.baseline_errs:
            pairs["gain"] = (self.model**2, self.baseline**2)
        # Errors of the model that differ only by the rounding of float32 are equal.
        equal = max(TINY, (self.rounding / (self.model.mean() or 1.0)) ** 2)
        tiny = [TINY if name.startswith("baseline") else equal for name in pairs]
        found = ratios(list(pairs.values()), np.random.default_rng(seed), tiny, groups)
        return dict(zip(pairs, found, strict=True))

    def scores(self, measured: dict[str, Ratio], n_drawn: int) -> _Scores:
        """The scores, given the independent draws: rows or groups."""
        mae, rmse, baseline_mae, baseline_rmse = (
            _scaled(measured[name].score(power), self.size)
            for name, power in (
                ("mae", 1),
                ("mse", 0.5),
                ("baseline mae", 1),
                ("baseline mse", 0.5),
            )
        )
        r2 = None
        if self.varies:
            rest = measured["r2"].score()
            r2 = Score(value=1 - rest.value, low=1 - rest.high, high=1 - rest.low)
        share = unseen(n_drawn)
        if self.is_exact:
            rival = self.baseline if self.baseline_errs else self.deviation
            mae, rmse = _without_errors(self.model, rival, share, self.size)
            r2 = r2 and Score(value=r2.value, low=1 - share, high=1)
        if not self.baseline_errs:
            rival = self.deviation if self.is_exact else self.model
            baseline_mae, baseline_rmse = _without_errors(self.baseline, rival, share, self.size)
        return _Scores(mae, rmse, r2, baseline_mae, baseline_rmse)

    def verdict(self, measured: dict[str, Ratio], n_drawn: int) -> Verdict:
        """Whether the model is better than its baseline."""
        if self.is_baseline:
            return "not distinguishable"
        if self.baseline_errs and self.model.any():
            return verdict_of(measured["gain"].score(), equal=1, more_is_better=False)
        if unseen_odds(min(n_drawn, int((self.model != self.baseline).sum()))) >= 1:
            return "not distinguishable"
        return "worse" if self.model.any() else "better"


def _spread(low: Floats, high: Floats) -> tuple[float, float] | None:
    """The 10% and the 90% quantile of the widths of intervals (n,). None if the widths only differ
    by the rounding of float32."""
    narrow, wide = np.quantile(high - low, [0.1, 0.9]).tolist()
    rounding = 4 * FLOAT32_ULP * float(np.abs([low, high]).max())
    return (narrow, wide) if wide - narrow > rounding else None


def _without_errors(error: Floats, rival: Floats, share: float, size: float) -> tuple[Score, Score]:
    """MAE and RMSE of predictions without errors, with intervals. The upper ends assume that for
    `share` of the unseen rows the errors may be as large as those of a rival (n,). Errors are given
    as multiples of `size`."""
    pairs = ((error.mean(), rival.mean(), 1.0), ((error**2).mean(), (rival**2).mean(), 0.5))
    mae, rmse = (
        Score(
            value=float(value**power) * size,
            low=0,
            high=float(max(value, share * worst) ** power) * size,
        )
        for value, worst, power in pairs
    )
    return mae, rmse


def _scaled(score: Score, size: float) -> Score:
    return Score(value=score.value * size, low=score.low * size, high=score.high * size)


def _check(
    true: ArrayLike, answers: Values, baseline_value: ArrayLike
) -> tuple[Floats, Floats, Floats, tuple[Floats, Floats] | None]:
    """Check the true values, predictions, baseline and ends of the intervals, and return them as
    float64 (n,)."""
    given = {"true": true, "value": answers.value, "baseline_value": baseline_value}
    if answers.intervals is not None:
        given |= dict(zip(("low", "high"), answers.intervals, strict=True))
    arrays = {name: np.asarray(numbers, np.float64) for name, numbers in given.items()}
    y, base = arrays["true"], arrays["baseline_value"]
    if base.ndim == 0 and y.ndim == 1:
        arrays["baseline_value"] = np.full_like(y, base)
    if y.ndim != 1 or len(y) < 2 or any(numbers.shape != y.shape for numbers in arrays.values()):
        shapes: dict[str, Any] = {name: numbers.shape for name, numbers in arrays.items()}
        raise DataError(
            "E623",
            "The shapes of predictions and true values do not match",
            expected="one shape (n,), n at least 2 for an interval",
            **shapes,
        )
    for name, numbers in arrays.items():
        wrong = ~(np.abs(numbers) < MAX_SIZE)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                "E625",
                "A value is not a number that can be measured",
                where=name,
                expected=f"finite numbers below {MAX_SIZE:g}",
                row=row,
                number=float(numbers[row]),
            )
    if answers.intervals is None:
        return y, arrays["value"], arrays["baseline_value"], None
    low, high = arrays["low"], arrays["high"]
    if (low > high).any():
        row = int((low > high).argmax())
        raise DataError(
            "E624",
            "The ends of an interval are swapped",
            expected="low <= high",
            row=row,
            low=float(low[row]),
            high=float(high[row]),
        )
    return y, arrays["value"], arrays["baseline_value"], (low, high)
