"""The learning curve: the law through it, what more rows would bring, and when nothing is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation.learning_curve import LearningCurve, PowerLaw, learning_curve, round_number

SIZES = np.array([100.0, 200, 400, 800, 1600])


def scores(errors: np.ndarray, n: int = 5_000, seed: int = 0) -> np.ndarray:
    """Whether each of n rows is right (5, 3, n), where so many are wrong on average."""
    rng = np.random.default_rng(seed)
    return (rng.random((len(errors), 3, n)) >= errors[:, None, None]).astype(float)


def curve_of(row_scores: np.ndarray, kind: str = "classification") -> LearningCurve:
    return learning_curve(
        SIZES, row_scores, kind, learner="boosting", part="folds", n_rows=2_000  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_known_law_is_found_and_extrapolated() -> None:
    law = PowerLaw(floor=0.05, factor=2.0, power=0.5)
    curve = curve_of(scores(law.error(SIZES)))
    truth = law.error(np.array([2_000.0, 3_000.0]))
    assert curve.n_more == 1_000 and curve.gain is not None and curve.law is not None
    assert curve.gain.low <= truth[0] - truth[1] <= curve.gain.high
    assert curve.gain.value == pytest.approx(truth[0] - truth[1], abs=0.006)
    assert [point.n for point in curve.points] == SIZES.astype(int).tolist()
    for point, error in zip(curve.points, law.error(SIZES), strict=True):
        assert point.score.low <= 1 - error <= point.score.high
        assert np.mean(point.of_seeds) == pytest.approx(point.score.value)
    said = curve.headline
    assert said.startswith("1,000 more rows: +0.") and " points (0." in said
    assert said.endswith("); extrapolated, from models of 100 to 1,600 rows")
    assert "The learner boosting was fitted to 5 sizes" in curve.about


def test_numbers_are_said_in_the_unit_of_the_target() -> None:
    rng = np.random.default_rng(0)
    rmse = PowerLaw(floor=10.0, factor=300.0, power=0.5).error(SIZES)
    errors = rmse[:, None, None] * rng.normal(size=(5, 3, 2_000))
    curve = curve_of(-(errors**2), "regression")
    assert curve.score == "RMSE" and curve.gain is not None
    assert curve.headline.startswith("1,000 more rows: RMSE lower by ")
    assert curve.points[0].score.value == pytest.approx(rmse[0], rel=0.05)


def test_a_flat_curve_has_no_gain_that_can_be_told() -> None:
    curve = curve_of(scores(np.full(5, 0.2), n=2_000))
    assert curve.gain is not None and curve.gain.low <= 0 <= curve.gain.high
    assert "no gain can be told, " in curve.headline


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        ([0.3, 0.2, 0.1, 0.02, 0.0], "models of all rows make no mistake"),
        ([0.1, 0.15, 0.2, 0.25, 0.3], "the score became worse with more rows"),
        ([0.3, 0.1, 0.3, 0.1, 0.3], "the scores do not follow one curve, further than chance"),
    ],
)
def test_where_nothing_is_said(errors: list[float], why: str) -> None:
    curve = curve_of(scores(np.array(errors)))
    assert curve.gain is None and curve.law is None
    assert why in str(curve.why_not) and "nothing can be said, because " in curve.headline
    assert "power law" not in curve.about


def test_rows_of_few_groups_say_less() -> None:
    """Groups that are right or wrong as a whole are as few cases as there are groups."""
    of_groups = scores(np.array([0.5, 0.4, 0.32, 0.27, 0.24]), n=40)[:, :1].repeat(3, axis=1)
    row_scores = np.repeat(of_groups, 50, axis=2)
    wide = [
        curve.points[0].score.high - curve.points[0].score.low
        for groups in (None, np.repeat(np.arange(40), 50))
        for curve in [
            learning_curve(
                SIZES, row_scores, "classification", learner="x", part="folds", n_rows=2_000,
                groups=groups,
            )
        ]
    ]  # fmt: skip
    assert wide[1] > 2 * wide[0]


@given(st.integers(1, 10**9))
def test_a_round_number_is_near_below(most: int) -> None:
    number = round_number(most)
    assert number <= most < 2.5 * number and str(number).rstrip("0") in ("1", "2", "5")


def test_a_curve_is_stored_and_read() -> None:
    curve = curve_of(scores(np.array([0.3, 0.25, 0.2, 0.18, 0.17])))
    assert LearningCurve.model_validate_json(curve.model_dump_json()) == curve
