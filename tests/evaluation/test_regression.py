"""Errors of predicted values: hand cases, verdicts, and whether the intervals hold."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from tenfold.core.errors import DataError
from tenfold.evaluation import RegressionEvaluation, Score, read_evaluation
from tenfold.evaluation.intervals import wilson
from tests.support.answers import evaluate_labels, evaluate_values

Floats = NDArray[np.float64]


def measure(true: Any, value: Any, **others: Any) -> RegressionEvaluation:
    return evaluate_values(true, value, **others)


def found_scores(result: RegressionEvaluation) -> list[Score]:
    every = [result.mae, result.rmse, result.r2, result.baseline.mae, result.baseline.rmse]
    return [score for score in [*every, result.coverage] if score is not None]


def test_a_hand_case() -> None:
    result = measure(
        [1, 2, 3, 6], [1, 2, 5, 5], low=[0, 2, 4, 4], high=[2, 4, 6, 5], baseline_value=3,
        data="houses", part="test", target="price",
    )  # fmt: skip
    assert (result.task, result.data, result.part) == ("regression", "houses", "test")
    assert (result.n, result.target) == (4, "price")
    assert result.mae.value == pytest.approx(3 / 4)
    assert result.rmse.value == pytest.approx(math.sqrt(5 / 4))
    assert result.r2 and result.r2.value == pytest.approx(1 - 5 / 14)
    assert result.coverage == wilson(2, 4)
    assert result.interval_width == pytest.approx(7 / 4)
    assert result.baseline.kind == "mean"
    assert result.baseline.mae.value == pytest.approx(6 / 4)
    assert result.baseline.rmse.value == pytest.approx(math.sqrt(14 / 4))


def test_the_baseline_may_answer_each_row_differently() -> None:
    result = measure([1, 2, 4], [1, 2, 3], baseline_value=[0, 1, 2], baseline_kind="last value")
    assert result.baseline.mae.value == pytest.approx(4 / 3)


numbers = st.floats(-1e140, 1e140) | st.integers(-3, 3).map(float)


@settings(deadline=None, max_examples=60)
@example(rows=[(0.0, 0.0, 0.0), (0.0, 1.0, 6e-293)], seed=0)  # the baseline's square vanishes
@example(rows=[(0.0, 1.0, 1.0), (1e-300, 2.0, 3.0)], seed=0)  # the deviation's does
@given(
    rows=st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=30),
    seed=st.integers(0, 9),
)
def test_every_number_is_finite_and_comes_back_from_json(
    rows: list[tuple[float, float, float]], seed: int
) -> None:
    true, value, base = (list(column) for column in zip(*rows, strict=True))
    result = measure(true, value, baseline_value=base, low=value, high=value, seed=seed)
    for score in found_scores(result):
        assert score.low <= score.value <= score.high
    y = np.array(true)
    size = max(np.abs(y - value).max(), np.abs(y - base).max(), np.ptp(y)) or 1.0
    assert (result.r2 is not None) == bool(((np.abs(y - y.mean()) / size) ** 2).any())
    assert result.beats_baseline == (result.better_than_baseline == "better")
    assert result.verdict.endswith(".")
    assert read_evaluation(result.model_dump_json().encode()) == result


def test_truth_that_never_varies_has_no_r2() -> None:
    assert measure([2.5] * 10, np.arange(10)).r2 is None


@pytest.mark.parametrize("unit", [1e-120, 1e-3, 1.0, 1e6, 1e120])
def test_the_unit_makes_no_difference(unit: float) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    value = y + rng.normal(size=50)
    one, other = measure(y, value), measure(y * unit, value * unit)
    assert other.r2 and one.r2
    assert other.r2.low == pytest.approx(one.r2.low)
    assert other.rmse.high == pytest.approx(one.rmse.high * unit)
    assert other.better_than_baseline == one.better_than_baseline


def test_perfect_values() -> None:
    y = np.arange(10.0)
    result = measure(y, y)
    unseen = wilson(0, 10).high  # of the rows not seen, so many may be answered as the baseline
    assert (result.mae.value, result.mae.low, result.rmse.value, result.rmse.low) == (0, 0, 0, 0)
    assert result.mae.high == pytest.approx(unseen * 4.5)
    assert result.rmse.high == pytest.approx(math.sqrt(unseen * 28.5))
    assert result.r2 and (result.r2.value, result.r2.high) == (1, 1)
    assert result.r2.low == pytest.approx(1 - unseen)
    assert (result.better_than_baseline, result.beats_baseline) == ("better", True)
    assert result.coverage is None
    assert result.interval_width is None


def test_errors_that_differ_by_the_rounding_of_float32_alone_leave_the_interval_its_width() -> None:
    y = np.arange(20) * 0.1
    rounded = measure(y, (y + 0.3).astype(np.float32))
    exact = measure(np.zeros(20), np.full(20, 0.5))
    for result, error in ((rounded, 0.3), (exact, 0.5)):
        assert result.mae.low < 0.9 * error < 1.1 * error < result.mae.high
        assert result.rmse.low < 0.95 * error < 1.05 * error < result.rmse.high
    two = measure([0, 1], [0.5, 0.5], baseline_value=0.5)
    assert two.mae.high - two.mae.low > 0.5


def test_five_rows_do_not_show_that_no_errors_are_better() -> None:
    y = np.arange(1.0, 7.0)
    assert measure(y[:5], y[:5]).better_than_baseline == "not distinguishable"
    assert measure(y, y).better_than_baseline == "better"
    assert measure(y[:5], y[:5] + 1, baseline_value=y[:5]).better_than_baseline != "worse"


def test_beside_a_perfect_baseline() -> None:
    y = np.arange(10.0)
    assert measure(y, y + 1, baseline_value=y).better_than_baseline == "worse"
    result = measure(y, y, baseline_value=y)
    assert (result.better_than_baseline, result.beats_baseline) == ("not distinguishable", False)


def noisy(scale: float, n: int = 300) -> RegressionEvaluation:
    """A model whose errors are `scale` times those of repeating the last value."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=n)
    last, value = (y + size * rng.normal(size=n) for size in (1.0, scale))
    return measure(y, value, baseline_value=last, baseline_kind="last value")


def test_the_verdict_is_said_plainly() -> None:
    better, same, worse = (noisy(scale) for scale in (0.5, 1.0, 2.0))
    assert better.beats_baseline
    change = 1 - better.rmse.value / better.baseline.rmse.value
    assert (
        better.verdict == f"Better than repeating the last value: the RMSE is {change:.1%} lower."
    )
    assert same.better_than_baseline == "not distinguishable"
    assert same.verdict == (
        "Not shown to beat repeating the last value: on these rows the difference is within chance."
    )
    assert worse.verdict == (
        "Worse than repeating the last value: these rows are better answered without the model."
    )
    assert not (same.beats_baseline or worse.beats_baseline)


def test_the_paired_test_sees_what_two_intervals_do_not() -> None:
    # Both make the same large errors, the model a little smaller ones on every row.
    y = np.random.default_rng(0).normal(size=200)
    result = measure(y, 0.05 * y)
    assert result.rmse.high > result.baseline.rmse.low
    assert result.better_than_baseline == "better"


def test_equal_models_are_told_apart_about_5_times_in_100() -> None:
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(200):
        y, one, other = rng.normal(size=(3, 60))
        verdicts.append(measure(y, y + one, baseline_value=y + other).better_than_baseline)
    assert 0 < 200 - verdicts.count("not distinguishable") <= 20


def draw(kind: str, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """True values and errors: of one size, with long tails, or growing with the value."""
    x = rng.normal(size=n)
    if kind == "normal":
        return x, 0.7 * rng.normal(size=n)
    if kind == "long tails":
        return x, 0.6 * rng.standard_t(5, size=n)
    return np.exp(0.6 * x), 0.5 * np.exp(0.5 * x) * rng.normal(size=n)


def coverage(n: int, n_repeats: int, kind: str = "normal") -> list[float]:
    """Share of the intervals of MAE, RMSE and R2 that hold what endless rows would give."""
    rng = np.random.default_rng(0)
    y, error = draw(kind, 4_000_000, rng)
    squares = float((error**2).mean())
    truth = (float(np.abs(error).mean()), math.sqrt(squares), 1 - squares / float(y.var()))
    hits = np.zeros(3)
    for _ in range(n_repeats):
        y, error = draw(kind, n, rng)
        result = measure(y, y + error, seed=int(rng.integers(2**31)))
        assert result.r2
        three = (result.mae, result.rmse, result.r2)
        hits += [s.low <= t <= s.high for s, t in zip(three, truth, strict=True)]
    return [float(hit) / n_repeats for hit in hits]


def test_intervals_hold_about_95_times_in_100() -> None:
    # 300 repeats know a share of 0.95 to 0.013: three of them.
    assert all(0.91 <= share <= 0.99 for share in coverage(100, 300))


@pytest.mark.slow
def test_intervals_hold_94_to_96_times_in_100() -> None:
    shares = coverage(500, 4000)
    print(shares)
    assert all(0.94 <= share <= 0.96 for share in shares)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "long tails", "growing"])
@pytest.mark.parametrize(("n", "least"), [(30, 0.85), (100, 0.88), (1000, 0.92)])
def test_the_coverage_that_the_page_states(kind: str, n: int, least: float) -> None:
    shares = coverage(n, 1000, kind)
    print(kind, n, shares)
    assert all(least <= share <= 0.98 for share in shares)


# Refusals


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ({"true": [1], "value": [1]}, "true=(1,), value=(1,), baseline_value=(1,)"),
        (
            {"true": [], "value": []},
            "true=(0,), value=(0,), baseline_value=(0,), low=(0,), high=(0,)",
        ),
        ({"true": [1, 2], "value": [1]}, "true=(2,), value=(1,), baseline_value=(2,)"),
        (
            {"true": [1, 2], "value": [1, 2], "baseline_value": [1]},
            "true=(2,), value=(2,), baseline_value=(1,)",
        ),
        (
            {"true": [1, 2], "value": [1, 2], "low": [1, 2], "high": [3]},
            "true=(2,), value=(2,), baseline_value=(2,), low=(2,), high=(1,)",
        ),
        ({"true": [[1], [2]], "value": [[1], [2]]}, "true=(2, 1), value=(2, 1), baseline_value=()"),
    ],
)
def test_shapes_that_disagree_are_refused(given: dict[str, Any], shapes: str) -> None:
    with pytest.raises(DataError) as error:
        measure(**given)
    assert str(error.value) == (
        f"The shapes of predictions and true values do not match: {shapes}. "
        "Expected one shape (n,), n at least 2 for an interval."
    )


@pytest.mark.parametrize("name", ["true", "value", "baseline_value", "low"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -1e151])
def test_what_is_no_finite_number_is_refused(name: str, number: float) -> None:
    given = {key: [1.0, 2.0] for key in ("true", "value", "baseline_value", "low", "high")}
    given[name] = [1.0, number]
    with pytest.raises(DataError) as error:
        measure(**given)
    assert str(error.value) == (
        f"A value is not a number that can be measured: row=1, number={number} ({name}). "
        "Expected finite numbers below 1e+150."
    )


def test_an_upper_end_that_is_not_finite_is_no_interval() -> None:
    result = measure([1, 2], [1, 2], low=[0, 1], high=[2, math.inf])
    assert (result.coverage, result.interval_width) == (None, None)


def test_an_interval_with_swapped_ends_is_refused() -> None:
    with pytest.raises(DataError) as error:
        measure([1, 2], [1, 2], low=[0, 3], high=[1, 1])
    assert str(error.value) == (
        "The ends of an interval are swapped: row=1, low=3.0, high=1.0. Expected low <= high."
    )


# Reading either task


def test_the_task_says_which_evaluation_it_is() -> None:
    classes = evaluate_labels([0, 1], [[0.9, 0.1], [0.2, 0.8]], ("a", "b"))
    assert read_evaluation(classes.model_dump_json().encode()) == classes
    for text in (b"{}", b'{"task": "ranking"}', b'{"task": "regression"}'):
        with pytest.raises(ValidationError):
            read_evaluation(text)
