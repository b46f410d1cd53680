"""How far predicted values are from the true ones, and whether they beat knowing nothing."""

from html import escape
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.core import html_repr
from tenfold.core.contract import Frozen
from tenfold.core.errors import DataError
from tenfold.evaluation.intervals import Finite, Floats, Ratio, Score, Verdict, ratios, wilson

MAX_SIZE = 1e150
"""Squares of larger numbers overflow."""

BaselineKind = Literal["mean", "last value"]


ROUNDING = 1e-5
"""Answers that differ by less than this share of the largest error are the same, in float32."""


class RegressionBaseline(Frozen):
    """What knowing nothing would score: always the training rows' mean, or the last value seen."""

    kind: BaselineKind
    mae: Score
    rmse: Score


class RegressionEvaluation(Frozen):
    """Every number about one model of a quantity on one set of rows.

    Attributes:
      part: Which rows: `test`, `validation` or `all`.
      target: Name of the quantity; `mae`, `rmse` and `interval_width` are in its unit.
      mae: Mean absolute error.
      rmse: Root mean squared error.
      r2: 1 - squared error / squared deviation from the mean of these rows: 1 is perfect, 0 that
        mean itself; None where all true values are equal, or as good as, beside the errors.
      coverage: Share of the rows inside their interval; None where the model gives none.
      interval_width: Mean width of the intervals.
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

    @property
    def verdict(self) -> str:
        """In plain words: whether the model is worth anything beside its baseline."""
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
        value: ArrayLike,
        *,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
        baseline_value: ArrayLike,
        baseline_kind: BaselineKind,
        data: str = "arrays",
        part: str = "all",
        target: str = "value",
        seed: int = 0,
    ) -> Self:
        """Measure predicted values against the truth.

        Args:
          true: True values (n,), n at least 2.
          value: Predicted values (n,).
          low: Lower end of each row's interval (n,), with `high`.
          high: Upper end (n,).
          baseline_value: What the baseline answers: one number, or one for each row (n,).
          baseline_kind: What that is.
          data: Name of the dataset, for the record.
          part: Which of its rows.
          target: Name of the quantity.
          seed: Decides the bootstrap resamples.

        Raises:
          DataError: Fewer than two rows, shapes that disagree, a number that is not finite, or an
            interval whose ends are swapped.
        """
        y, predicted, base, ends = _check(true, value, low, high, baseline_value)
        # Squares of the smallest numbers must not vanish.
        size = float(max(np.abs(y - predicted).max(), np.abs(y - base).max(), np.ptp(y))) or 1.0
        error, other, deviation = (
            np.abs(a - b) / size for a, b in ((y, predicted), (y, base), (y, y.mean()))
        )
        # By squares, which those that are small beside the largest error do not survive.
        varies, errs = bool((deviation**2).any()), bool((other**2).any())
        pairs: list[tuple[Floats, Floats | None]] = [
            (error, None), (error**2, None), (other, None), (other**2, None),
        ]  # fmt: skip
        pairs += [(error**2, deviation**2)] if varies else []
        pairs += [(error**2, other**2)] if errs else []
        found = ratios(pairs, np.random.default_rng(seed))
        mae, rmse, other_mae, other_rmse = (
            _scaled(ratio.score(power), size)
            for ratio, power in zip(found, (1, 0.5, 1, 0.5), strict=False)
        )
        # Answers are float32: apart by no more than its rounding, they are the baseline's.
        if np.abs(predicted - base).max() <= ROUNDING * size + 2e-7 * np.abs(base).max():
            verdict: Verdict = "not distinguishable"
        else:
            verdict = _verdict(found[-1]) if errs else _beside_perfection(error)
        return cls(
            data=data,
            part=part,
            n=len(y),
            target=target,
            baseline=RegressionBaseline(kind=baseline_kind, mae=other_mae, rmse=other_rmse),
            better_than_baseline=verdict,
            beats_baseline=verdict == "better",
            mae=mae,
            rmse=rmse,
            r2=_one_minus(found[4].score()) if varies else None,
            coverage=None if ends is None else wilson(int(_inside(y, *ends).sum()), len(y)),
            interval_width=None if ends is None else float((ends[1] - ends[0]).mean()),
        )


def _inside(y: Floats, low: Floats, high: Floats) -> NDArray[np.bool]:
    inside: NDArray[np.bool] = (low <= y) & (y <= high)
    return inside


def _scaled(score: Score, size: float) -> Score:
    return Score(value=score.value * size, low=score.low * size, high=score.high * size)


def _one_minus(score: Score) -> Score:
    return Score(value=1 - score.value, low=1 - score.high, high=1 - score.low)


def _verdict(squares: Ratio) -> Verdict:
    """What the ratio of the squared errors to the baseline's says."""
    ends = squares.score()
    return "better" if ends.high < 1 else "worse" if ends.low > 1 else "not distinguishable"


def _beside_perfection(error: Floats) -> Verdict:
    return "worse" if error.any() else "not distinguishable"


def _check(
    true: ArrayLike,
    value: ArrayLike,
    low: ArrayLike | None,
    high: ArrayLike | None,
    baseline_value: ArrayLike,
) -> tuple[Floats, Floats, Floats, tuple[Floats, Floats] | None]:
    given: dict[str, Any] = {"true": true, "value": value, "baseline_value": baseline_value}
    given |= {name: end for name, end in (("low", low), ("high", high)) if end is not None}
    arrays = {name: np.asarray(numbers, np.float64) for name, numbers in given.items()}
    y, base = arrays["true"], arrays["baseline_value"]
    if base.ndim == 0 and y.ndim == 1:
        arrays["baseline_value"] = np.full_like(y, base)
    alike = all(numbers.shape == y.shape for numbers in arrays.values())
    if y.ndim != 1 or len(y) < 2 or not alike or (low is None) != (high is None):
        shapes: dict[str, Any] = {name: numbers.shape for name, numbers in arrays.items()}
        raise DataError(
            "E623",
            "Values and truth do not belong together",
            expected="one shape (n,), n at least 2 for an interval, and low with high",
            **shapes,
        )
    for name, numbers in arrays.items():
        wrong = ~(np.abs(numbers) < MAX_SIZE)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                "E625",
                "Not a number that can be measured",
                where=name,
                expected=f"finite numbers below {MAX_SIZE:g}",
                row=row,
                number=float(numbers[row]),
            )
    if low is None:
        return y, arrays["value"], arrays["baseline_value"], None
    swapped = arrays["low"] > arrays["high"]
    if swapped.any():
        row = int(swapped.argmax())
        low_end, high_end = (float(arrays[name][row]) for name in ("low", "high"))
        raise DataError(
            "E624", "Not an interval", expected="low <= high", row=row, low=low_end, high=high_end
        )
    return y, arrays["value"], arrays["baseline_value"], (arrays["low"], arrays["high"])
