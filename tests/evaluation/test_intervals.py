"""Resampling, the intervals it leads to and whether they hold, and the paired test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.text import in_unit
from tenfold.evaluation import intervals
from tenfold.evaluation.intervals import (
    MAX_COUNTS,
    MAX_RESAMPLED,
    N_RESAMPLES,
    Score,
    effective_size,
    mcnemar,
    ratios,
    resampled_cells,
    resampled_counts,
    resampled_means,
    share_interval,
    share_of,
    sign_verdict,
    wilson,
)


@pytest.mark.parametrize(
    "sizes", [[1] * 40, [3, 0, 7, 1], [400, 100, 0]], ids=["rows", "cells", "few large cells"]
)
def test_resampled_counts_have_the_moments_of_drawing_rows(sizes: list[int]) -> None:
    counts = np.concatenate(list(resampled_counts(sizes, np.random.default_rng(0))))
    n, shares = sum(sizes), np.array(sizes) / sum(sizes)
    assert counts.shape == (N_RESAMPLES, len(sizes))
    assert (counts.sum(axis=1) == n).all()
    # Five standard errors of a mean and of a variance over 1000 resamples.
    variance = n * shares * (1 - shares)
    assert (abs(counts.mean(axis=0) - n * shares) <= 5 * np.sqrt(variance / 1000)).all()
    assert (abs(counts.var(axis=0) - variance) <= 5 * variance * np.sqrt(3 / 1000)).all()


def test_counts_held_at_once_are_bounded() -> None:
    lines = [len(counts) for counts in resampled_counts(np.ones(10_000), np.random.default_rng(0))]
    assert sum(lines) == N_RESAMPLES
    assert max(lines) * 10_000 <= MAX_COUNTS


@pytest.mark.parametrize("n", [500, MAX_RESAMPLED + 1])
def test_resampled_means_spread_as_theory_says_also_of_very_many_rows(n: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.exponential(size=n)
    columns = np.stack([x, 2 * x, rng.normal(size=n)], axis=1)
    means = resampled_means(columns, rng)
    error = columns.std(axis=0) / math.sqrt(n)
    assert means.shape == (N_RESAMPLES, 3)
    assert means.mean(axis=0) == pytest.approx(columns.mean(axis=0), abs=5 * error.max() / 31)
    assert means.std(axis=0) == pytest.approx(error, rel=0.12)
    assert means[:, 1] == pytest.approx(2 * means[:, 0], rel=1e-6)


def test_the_interval_of_many_rows_is_the_normal_one_of_the_log() -> None:
    x = np.random.default_rng(2).exponential(size=20_000)
    found = ratios([(x, None)], np.random.default_rng(0))[0]
    assert found.value == pytest.approx(x.mean())
    reach = 1.96 * x.std() / x.mean() / math.sqrt(len(x))
    assert math.log(found.factor) == pytest.approx(reach, rel=0.1)


def test_a_ratio_of_a_column_to_itself_is_known_exactly() -> None:
    x = np.random.default_rng(2).exponential(size=50)
    found = ratios([(3 * x, x)], np.random.default_rng(0))[0]
    assert (found.value, found.factor) == pytest.approx((3, 1 / wilson(50, 50).low))


@pytest.mark.parametrize(
    "x",
    [[0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0 + 1e-9, 5.0], [0.0] * 30 + [1e-90], [1e-150, 1.0]],
    ids=str,
)
def test_an_interval_is_finite_however_odd_the_rows(x: list[float]) -> None:
    found = ratios([(np.array(x), None)], np.random.default_rng(0))[0]
    assert 1 <= found.factor < 1e12
    score = found.score()
    assert score.low <= score.value <= score.high


@given(won=st.integers(0, 60), lost=st.integers(0, 60), both=st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(won: int, lost: int, both: int) -> None:
    right = np.array([True] * won + [False] * lost + [True] * both + [False] * both, bool)
    rival = np.array([False] * won + [True] * lost + [True] * both + [False] * both, bool)
    n, fewer = won + lost, min(won, lost)
    p = min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)
    expected = "not distinguishable" if p > 0.05 else "better" if won > lost else "worse"
    assert mcnemar(right, rival) == expected


def test_mcnemar_of_a_million_rows() -> None:
    won = np.arange(1_000_000) < 501_000
    assert mcnemar(won, ~won) == "better"
    assert mcnemar(~won, won) == "worse"
    even = np.arange(1_000_000) < 500_500
    assert mcnemar(even, ~even) == "not distinguishable"


def test_a_share_that_resampling_cannot_leave_has_the_interval_of_wilson() -> None:
    assert share_interval(1.0, np.ones(1000), 20, 90) == wilson(20, 20)


def test_a_share_near_its_end_stays_inside() -> None:
    score = share_interval(0.99, np.r_[np.ones(500), np.full(499, 0.97), np.nan], 50, 90)
    assert 0.5 < score.low < 0.99 < score.high < 1


def test_a_share_that_is_nearly_one_reaches_from_wilsons_low_end_to_one() -> None:
    score = share_interval(0.999, np.ones(1000), 20, 90)
    assert (score.low, score.value, score.high) == (wilson(20, 20).low, 0.999, 1)


def test_a_small_share_of_few_rows_among_many_has_both_ends() -> None:
    rng = np.random.default_rng(0)
    score = share_interval(0.02, np.exp(0.5 * rng.normal(size=1000)) * 0.02, 2, 100)
    assert 0.004 < score.low < 0.012 < 0.03 < score.high < 0.07


def test_where_two_rows_decide_everything_the_interval_stays_within_reason() -> None:
    x = np.r_[np.full(98, 1e-4), 7.0, 7.0]
    score = ratios([(x, None)], np.random.default_rng(0))[0].score()
    # Two events leave a Poisson mean of 0.24 to 7.2: a factor of 8 down and 3.6 up.
    assert 0.14 / 8 < score.low < 0.14 / 2
    assert 0.14 * 2 < score.high < 0.14 * 8


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((48231.55, 47100.4, 49390.2), "48,232 [47,100, 49,390]"),
        ((0.00123456, 0.001, 0.0015), "0.0012346 [0.0010000, 0.0015000]"),
        ((1.5, 0.25, 12.0), "1.500 [0.250, 12.000]"),
        ((0.0, 0.0, 0.0), "0.0000 [no interval: the rows do not vary]"),
        ((2e-30, 1e-30, 3e-30), "2.0000e-30 [1.0000e-30, 3.0000e-30]"),
        ((123456789.0, 1e8, 2e8), "123,456,789 [100,000,000, 200,000,000]"),
    ],
)
def test_a_score_in_its_unit_has_five_digits(ends: tuple[float, float, float], text: str) -> None:
    value, low, high = ends
    assert Score(value=value, low=low, high=high).in_unit == text


def test_a_single_number_in_its_unit() -> None:
    assert [in_unit(x) for x in (-2270.84, 0.5, 0.0)] == ["-2,270.8", "0.50000", "0.0000"]


def test_wilson_is_scipys() -> None:
    from scipy.stats import binomtest

    for successes, n in ((0, 5), (1, 1), (3, 7), (9881, 10_000)):
        ends = binomtest(successes, n).proportion_ci(method="wilson")
        score = wilson(successes, n)
        assert (score.low, score.high) == pytest.approx((ends.low, ends.high), abs=1e-12)


def test_rows_that_all_say_the_same_leave_the_width_that_their_number_allows() -> None:
    found = ratios([(np.full(30, 2.0), None)], np.random.default_rng(0))[0]
    assert found.value == 2 and found.factor == pytest.approx(1 / wilson(30, 30).low)


def test_groups_of_equal_rows_say_as_much_as_one_row_of_each() -> None:
    rng = np.random.default_rng(0)
    one = rng.random(200) < 0.8
    groups = np.repeat(np.arange(200), 5)
    size = effective_size(np.repeat(one, 5).astype(float), groups)
    assert 190 < size < 200  # Student's t with 199 degrees of freedom is a little more than z
    assert effective_size(np.ones(1000), groups) == 200
    assert effective_size(np.repeat(one, 5).astype(float), None) == 1000
    alone = effective_size(rng.random(1000), np.arange(1000))
    assert 900 < alone <= 1000
    few, whole = share_of(np.repeat(one, 5), groups), share_of(one)
    assert few is not None and whole is not None and few.value == whole.value
    assert abs((few.high - few.low) / (whole.high - whole.low) - 1) < 0.02
    assert share_of(one[:0]) is None


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 3.1824), (5, 2.5706), (20, 2.0860)])
def test_few_groups_have_students_quantile(freedom: int, quantile: float) -> None:
    assert abs(intervals._student(freedom) - quantile) < 0.03


def test_whole_groups_are_resampled() -> None:
    rng = np.random.default_rng(0)
    groups, cells = np.repeat(np.arange(30), 4), np.repeat(np.arange(30) % 3, 4)
    draws = np.concatenate(list(resampled_cells(cells, 4, rng, groups)))
    assert draws.shape == (1000, 4) and (draws % 4 == 0).all() and (draws.sum(axis=1) == 120).all()
    assert abs(draws[:, 0].mean() - 40) < 2 and abs(draws[:, 0].std() - 4 * 2.58) < 1
    x = np.repeat(rng.normal(size=30), 4)
    spread = resampled_means(x[:, None], rng, groups).std()
    assert abs(spread / (x.std() / 30**0.5) - 1) < 0.1
    pairs, chance = [(x**2, None)], np.random.default_rng(1)
    value, alone = (ratios(pairs, chance, groups=given)[0] for given in (groups, None))
    assert value.value == pytest.approx(alone.value) and value.factor > 1.5 * (alone.factor - 1) + 1


def test_a_gain_of_one_group_is_no_gain() -> None:
    gains = np.r_[np.ones(50), np.zeros(50)]
    groups = np.r_[np.zeros(50, int), np.arange(1, 51)]
    assert sign_verdict(gains, groups, np.random.default_rng(0)) == "not distinguishable"
    assert sign_verdict(gains, np.arange(100), np.random.default_rng(0)) == "better"
    assert sign_verdict(-gains, np.arange(100), np.random.default_rng(0)) == "worse"
