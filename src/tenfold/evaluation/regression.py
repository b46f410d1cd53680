"""Evaluation of regression: errors, intervals, and the comparison with the baseline."""

from collections.abc import Iterator
from html import escape
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

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
"""Squares of larger numbers overflow."""

BaselineKind = Literal["mean", "last value"]


FLOAT32_ULP = 2.0**-23
ROUNDING = 1e-5
"""Predictions that differ by less than this share of the largest error are equal in float32."""


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
    """All scores of one model of a quantity on one set of rows.

    Attributes:
      part: Which rows: `test`, `validation` or `all`.
      target: Name of the quantity; `mae`, `rmse` and `interval_width` are in its unit.
      mae: Mean absolute error.
      rmse: Root mean squared error.
      r2: 1 - squared error / squared deviation from the mean of these rows: 1 is perfect, 0 that
        mean itself; None where all true values are equal, or as good as, beside the errors.
      coverage: Share of the rows inside their interval; None where the model gives none.
      interval_width: Mean width of the intervals.
      interval_widths: The widths that a tenth and nine tenths of the intervals do not pass; None
        where all have one width, and of earlier versions.
      better_than_baseline: Paired bootstrap of the squared errors.
      beats_baseline: Whether that says `better`.
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
          answers: The predictions (n). Intervals whose upper end is not finite do not count.
          baseline: The predictions of the baseline.
          target: The name of the quantity.
          subset: The name of the rows, for the record, and the groups in which they were drawn.
          seed: Seed of the bootstrap.

        Raises:
          DataError: There are fewer than two rows, shapes disagree, a number is not finite, or the
            ends of an interval are swapped.
        """
        y, predicted, base, ends = _check(true, answers, baseline.value)
        # Squares of the smallest numbers must not vanish.
        size = float(max(np.abs(y - predicted).max(), np.abs(y - base).max(), np.ptp(y))) or 1.0
        error, other, deviation = (
            np.abs(a - b) / size for a, b in ((y, predicted), (y, base), (y, y.mean()))
        )
        # Compare squares: those that are small beside the largest error are lost.
        varies, errs = bool((deviation**2).any()), bool((other**2).any())
        pairs: list[tuple[Floats, Floats | None]]
        pairs = [(error, None), (error**2, None), (other, None), (other**2, None)]
        pairs += [(error**2, deviation**2)] if varies else []
        pairs += [(error**2, other**2)] if errs else []
        # Predictions are float32, so that errors that differ only by its rounding are
        # equal.
        rounding = 4 * FLOAT32_ULP * float(np.abs(predicted).max()) / size
        tiny = np.full(len(pairs), max(TINY, (rounding / (error.mean() or 1.0)) ** 2))
        tiny[2:4] = TINY  # those of the baseline only
        groups = subset.groups
        measured = ratios(pairs, np.random.default_rng(seed), tiny, groups)
        n_drawn = len(y) if groups is None else len(np.unique(groups))
        mae, rmse, other_mae, other_rmse = (
            _scaled(ratio.score(power), size)
            for ratio, power in zip(measured, (1, 0.5, 1, 0.5), strict=False)
        )
        r2 = None
        if varies:
            rest = measured[4].score()
            r2 = Score(value=1 - rest.value, low=1 - rest.high, high=1 - rest.low)
        share = unseen(n_drawn)
        is_exact = float(error.max()) <= rounding or not (error**2).any()
        if is_exact:
            mae, rmse = _without_errors(error, other if errs else deviation, share, size)
            r2 = r2 and Score(value=r2.value, low=1 - share, high=1)
        if not errs:
            rival = deviation if is_exact else error
            other_mae, other_rmse = _without_errors(other, rival, share, size)
        # Predictions are float32. If they differ only by its rounding, they are the
        # baseline's.
        if np.abs(predicted - base).max() <= ROUNDING * size + 2e-7 * np.abs(base).max():
            verdict: Verdict = "not distinguishable"
        elif errs and error.any():
            verdict = verdict_of(measured[-1].score(), equal=1, more_is_better=False)
        elif unseen_odds(min(n_drawn, int((error != other).sum()))) >= 1:
            verdict = "not distinguishable"
        else:
            verdict = "worse" if error.any() else "better"
        return cls(
            data=subset.data,
            part=subset.part,
            n=len(y),
            target=target,
            baseline=RegressionBaseline(kind=baseline.kind, mae=other_mae, rmse=other_rmse),
            better_than_baseline=verdict,
            beats_baseline=verdict == "better",
            mae=mae,
            rmse=rmse,
            r2=r2,
            coverage=share_of((ends[0] <= y) & (y <= ends[1]), groups) if ends else None,
            interval_width=float((ends[1] - ends[0]).mean()) if ends else None,
            interval_widths=_spread(*ends) if ends else None,
        )


def _spread(low: Floats, high: Floats) -> tuple[float, float] | None:
    """The widths below which a tenth and nine tenths of intervals (n,) lie; None where they differ
    by the rounding of float32 alone."""
    narrow, wide = np.quantile(high - low, [0.1, 0.9]).tolist()
    rounding = 4 * FLOAT32_ULP * float(np.abs([low, high]).max())
    return (narrow, wide) if wide - narrow > rounding else None


def _without_errors(error: Floats, rival: Floats, share: float, size: float) -> tuple[Score, Score]:
    """MAE and RMSE of predictions without errors: the `share` of rows that may not have been seen
    may be predicted as by a rival, whose errors are in the same unit of a `size`."""
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
    """Truth, values, baseline and the ends of the intervals as float64 (n,), checked."""
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
            "Predictions and true values do not fit together",
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
            "An interval has its ends exchanged",
            expected="low <= high",
            row=row,
            low=float(low[row]),
            high=float(high[row]),
        )
    return y, arrays["value"], arrays["baseline_value"], (low, high)
