"""Several models on the same rows: the verdicts of other methods, and few by chance."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from tenfold.core.errors import DataError
from tenfold.evaluation import MEASURES, compare_with_best
from tenfold.evaluation.intervals import wilson
from tenfold.evaluation.multiple import holm, mean_difference, sign_flip_p
from tests.support.errors import refused

RNG = np.random.default_rng(0)


def by_hand(p_values: list[float]) -> list[float]:
    """Holm's procedure as his paper words it: reject in order until one is too large."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    for place, i in enumerate(order):
        earlier = [(len(order) - k) * p_values[j] for k, j in enumerate(order[: place + 1])]
        corrected[i] = min(1.0, max(earlier))
    return corrected


@pytest.mark.parametrize("p_values", [[], [0.2], [0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.001]])
def test_holm_by_its_own_words(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(by_hand(p_values))


def test_two_models_get_the_verdict_of_mcnemar() -> None:
    for gain in (0.0, 0.01, 0.02, 0.05):
        best = RNG.random(3000) < 0.9
        other = np.where(RNG.random(3000) < gain, False, best)
        other = np.where(RNG.random(3000) < 0.01, ~other, other)
        won, lost = int((other & ~best).sum()), int((best & ~other).sum())
        exact = binomtest(won, won + lost).pvalue
        _, found = compare_with_best(np.stack([best, other]).astype(float), best=0)
        assert found is not None and found.p_value == pytest.approx(exact, abs=0.03)
        if abs(exact - 0.05) > 0.03:
            assert found.verdict == ("worse" if exact < 0.05 else "not distinguishable")


def test_the_change_and_its_interval_are_those_of_scipy() -> None:
    seeds = RNG.integers(0, 4, (2, 800)) / 3  # means of three seeds
    _, found = compare_with_best(seeds, best=0, largest=1)
    assert found is not None
    known = bootstrap(
        (seeds[1] - seeds[0],), np.mean, method="percentile", n_resamples=9999,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.change.value == pytest.approx(seeds[1].mean() - seeds[0].mean())
    assert (found.change.low, found.change.high) == pytest.approx((known.low, known.high), abs=2e-3)


def test_squared_errors_are_resampled_row_by_row() -> None:
    errors = RNG.exponential(1, (2, 1500))  # all different: no cells to count
    errors[1] += 0.2
    _, found = compare_with_best(-errors, best=0)
    assert found is not None and found.verdict == "worse" and found.change.high < 0
    many = RNG.exponential(1, (2, 60_000))  # drawn from the normal distribution of their mean
    _, found = compare_with_best(-many, best=0)
    exact = 1.96 * (many[1] - many[0]).std() / np.sqrt(60_000)
    assert found is not None
    assert (found.change.high - found.change.low) / 2 == pytest.approx(exact, rel=0.05)


def test_equal_models_are_rarely_told_apart_however_many_there_are() -> None:
    wrong = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        right = (rng.random((6, 400)) < 0.8).astype(float)
        found = compare_with_best(right, best=0, seed=trial)
        wrong += any(one is not None and one.verdict != "not distinguishable" for one in found)
    assert wrong <= 8  # 3 expected; binomial, 99.6%


def test_a_model_without_any_difference_has_p_1() -> None:
    _, found = compare_with_best(np.ones((2, 50)), best=0)
    assert found is not None and found.p_value == 1 and found.verdict == "not distinguishable"
    assert compare_with_best(np.ones((1, 5)), best=0) == [None]


@pytest.mark.parametrize("k", [1, 3, 4, 5, 6, 9])
def test_few_rows_that_differ_have_the_p_value_of_mcnemar(k: int) -> None:
    differences = np.zeros(50)
    differences[:k] = -1
    assert sign_flip_p(differences) == pytest.approx(binomtest(0, k).pvalue, abs=0.01)


def test_equal_rows_leave_an_interval_as_wide_as_their_number_allows() -> None:
    same = np.zeros(44)
    change = mean_difference(same, largest=1)
    # Bonett and Price by hand: each kind of difference 1 of 46.
    assert change.high == -change.low == pytest.approx(1.959964 * np.sqrt(2 / 46 / 46))
    squares = mean_difference(same, size=9.0)
    assert squares.high == -squares.low == pytest.approx(9 * wilson(0, 44).high)
    assert mean_difference(np.zeros(4400), largest=1).high < 0.001


def test_intervals_of_few_differences_hold() -> None:
    """Of two models whose answers differ in 2% of all rows, 100 rows at a time."""
    rng = np.random.default_rng(0)
    kinds = rng.multinomial(100, [0.015, 0.005, 0.98], size=2000)
    held = 0
    for lost, won, _ in kinds:
        change = mean_difference(
            np.r_[np.full(lost, -1.0), np.ones(won), np.zeros(100 - lost - won)], 1
        )
        held += change.low <= -0.01 <= change.high
    assert held >= 0.94 * 2000


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(DataError) as raised:
        compare_with_best(np.empty((2, 0)), best=0)
    assert str(raised.value) == (
        "There is nothing to compare: shape=(2, 0), best=0. Expected (n_models, n) with "
        "rows, and the "
        "number of one of them."
    )
    with refused("E622", "best=2"):
        compare_with_best(np.ones((2, 3)), best=2)


def in_groups(n_groups: int, seed: int, size: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Two models alike of rows in groups, of which each group favours one: (2, n) and (n,)."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), size)
    chance = 0.5 + 0.4 * rng.choice([-1, 1], n_groups)[groups]
    right = np.stack([rng.random(len(groups)) < one for one in (chance, 1 - chance)])
    return right.astype(float), groups


def test_rows_in_groups_are_compared_as_groups() -> None:
    """Models that are alike differ in 5% of all cases by groups, and much more often by rows."""
    found = {"rows": 0, "groups": 0, "outside": 0}
    for seed in range(60):
        scores, groups = in_groups(20, seed)
        differences = scores[1] - scores[0]
        found["rows"] += sign_flip_p(differences) <= 0.05
        found["groups"] += sign_flip_p(differences, groups=groups) <= 0.05
        change = mean_difference(differences, largest=1, groups=groups)
        found["outside"] += not change.low <= 0 <= change.high
    assert found["rows"] > 25 and found["groups"] <= 7 and found["outside"] <= 7


def test_errors_of_rows_in_groups_are_resampled_by_groups() -> None:
    scores, groups = in_groups(20, 0)
    numbers = scores + np.random.default_rng(0).normal(0, 0.01, scores.shape)
    for largest, of in ((1.0, scores), (None, numbers)):
        _, by_rows = compare_with_best(of, best=0, largest=largest)
        _, by_groups = compare_with_best(of, best=0, largest=largest, groups=groups)
        assert by_rows is not None and by_groups is not None
        width = by_groups.change.high - by_groups.change.low
        assert width > 2 * (by_rows.change.high - by_rows.change.low)
        assert by_groups.change.value == pytest.approx(by_rows.change.value)
    alone = np.arange(len(groups))
    _, by_rows = compare_with_best(scores, best=0, largest=1)
    _, each = compare_with_best(scores, best=0, largest=1, groups=alone)
    assert by_rows is not None and each is not None
    assert each.change.low == pytest.approx(by_rows.change.low, abs=0.01)


def test_the_score_of_models_is_about_further_groups() -> None:
    scores, groups = in_groups(20, 0)
    for kind, rows in (("classification", scores[0]), ("regression", scores[0] - 2)):
        measure = MEASURES[kind]  # type: ignore[index]
        y = np.arange(len(groups), dtype=float)
        by_rows, by_groups = measure.of_rows(rows, y), measure.of_rows(rows, y, groups)
        assert by_groups.value == pytest.approx(by_rows.value)
        assert by_groups.high - by_groups.low > 1.5 * (by_rows.high - by_rows.low)
