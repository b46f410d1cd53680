"""Constants from validation rows: right where the answer is known, and honest where it is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.build.calibration import Constants, at_temperature, choose_threshold, fit_temperature
from tenfold.core.conformal import conformal_half_width
from tests.support.errors import refused


def drawn(n: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right at `temperature`, and labels drawn from those."""
    rng = np.random.default_rng(0)
    stated = rng.dirichlet(np.ones(4), n)
    true = at_temperature(stated, temperature)
    return stated, (true.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 5.0])
def test_the_temperature_is_found_again(temperature: float) -> None:
    stated, y = drawn(20_000, temperature)
    assert fit_temperature(stated, y) == pytest.approx(temperature, rel=0.05)


def test_probabilities_that_are_right_stay_as_they_are() -> None:
    stated, y = drawn(20_000, 1.0)
    assert fit_temperature(stated, y) == 1.0


def test_few_rows_give_no_temperature() -> None:
    stated, y = drawn(49, 5.0)
    assert fit_temperature(stated, y) == 1.0


def test_weights_count_rows() -> None:
    stated, y = drawn(400, 3.0)
    twice = np.arange(400) % 2 + 1
    repeated = np.repeat(np.arange(400), twice)
    assert fit_temperature(stated, y, twice) == pytest.approx(
        fit_temperature(stated[repeated], y[repeated]), rel=1e-3
    )


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6), st.floats(0.05, 100))
def test_a_temperature_keeps_the_order_and_the_sum(logits: list[float], temperature: float) -> None:
    p = np.exp(logits) / np.exp(logits).sum()
    answers = at_temperature(p[None], temperature)[0]
    assert answers.sum() == pytest.approx(1)
    assert (np.diff(answers[np.argsort(p, kind="stable")]) >= -1e-12).all()


def test_constants_apply_to_answers() -> None:
    p = np.array([[0.8, 0.2]], np.float32)
    assert Constants().apply(p) is p
    np.testing.assert_allclose(Constants(2.0).apply(p), [[2 / 3, 1 / 3]], atol=1e-6)  # sqrt(4) = 2
    values = Constants(target_mean=10, target_scale=2).apply(np.array([1.5], np.float32))
    np.testing.assert_allclose(values, [13])


@pytest.mark.parametrize(
    ("n", "coverage", "width"),
    [
        (9, 0.9, 8.0), (8, 0.9, np.inf), (19, 0.9, 17.0), (99, 0.9, 89.0), (0, 0.9, np.inf),
        (9, 0.8, 7.0), (1, 0.5, 0.0),
    ],
)  # fmt: skip
def test_the_half_width_is_the_quantile_of_finite_samples(
    n: int, coverage: float, width: float
) -> None:
    errors = np.arange(n, dtype=float)
    assert conformal_half_width(errors, np.zeros(n), coverage) == width
    assert conformal_half_width(np.zeros(n), errors[::-1], coverage) == width


def test_intervals_hold_their_share_of_new_values() -> None:
    rng = np.random.default_rng(1)
    held = [
        np.mean(np.abs(rng.standard_t(3, 200)) <= conformal_half_width(seen, np.zeros(50)))
        for seen in rng.standard_t(3, (400, 50))
    ]
    # Between 0.9 and 0.9 + 1/51 in expectation; the standard error of this mean is 0.0024.
    assert 0.893 < np.mean(held) < 0.927


def cost(threshold: float, p: np.ndarray, positive: np.ndarray, miss: float, alarm: float) -> float:
    taken = p >= threshold
    return float((positive & ~taken).sum() * miss + (~positive & taken).sum() * alarm)


@given(
    rows=st.lists(st.tuples(st.integers(0, 10), st.booleans()), max_size=60),
    miss=st.sampled_from([0.5, 1.0, 10.0]),
    alarm=st.sampled_from([1.0, 3.0]),
)
def test_no_threshold_is_cheaper(rows: list[tuple[int, bool]], miss: float, alarm: float) -> None:
    p = np.array([value / 10 for value, _ in rows])
    positive = np.array([truth for _, truth in rows], bool)
    threshold = choose_threshold(p, positive, miss, alarm)
    assert 0 <= threshold <= 1
    if min(positive.sum(), (~positive).sum()) < 5:
        assert threshold == pytest.approx(alarm / (alarm + miss))
        return
    others = np.r_[np.arange(0, 1.01, 0.05), 1.01]
    least = min(cost(t, p, positive, miss, alarm) for t in others)
    # A row at exactly 1 cannot be refused by a threshold up to 1.
    if not (p == 1).any():
        assert cost(threshold, p, positive, miss, alarm) <= least + 1e-9


def test_a_missed_row_that_costs_more_lowers_the_threshold() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    positive = rng.random(4000) < p
    assert choose_threshold(p, positive, 1, 1) == pytest.approx(0.5, abs=0.08)
    assert choose_threshold(p, positive, 10, 1) == pytest.approx(1 / 11, abs=0.05)


def test_ties_go_to_the_threshold_of_right_probabilities() -> None:
    p, positive = [0.1] * 5 + [0.9] * 5, [False] * 5 + [True] * 5
    assert choose_threshold(p, positive, 1, 1) == 0.5
    assert choose_threshold(p, positive, 3, 1) == 0.25
    assert choose_threshold(p, positive, 99, 1) == pytest.approx(0.5)  # 0.01 would alarm on 0.1
    assert choose_threshold([], [], 3, 1) == 0.25
    assert choose_threshold(p[:9], positive[:9], 99, 1) == 0.01  # four rows choose nothing


def test_what_does_not_fit_is_refused() -> None:
    with refused("E607", "probabilities=2, y=1"):
        fit_temperature([[0.5, 0.5]] * 2, [0])
    with refused("E607", "true=2, predicted=3"):
        conformal_half_width([1, 2], [1, 2, 3])
    with refused("E104", "coverage=1.0"):
        conformal_half_width([1], [1], 1.0)
    with refused("E606", "cost_false_negative=0"):
        choose_threshold([0.5], [True], 0, 1)
    with refused("E607", "probability_of_positive=1"):
        choose_threshold([0.5], [], 1, 1)
