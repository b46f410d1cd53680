"""Reliability and accuracy against the share answered: by hand, and whether the intervals hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation import reliability, share_answered
from tenfold.evaluation.intervals import wilson


def test_bins_hold_their_rows() -> None:
    confidence = np.array([0.05, 0.55, 0.58, 0.999, 1.0])
    right = np.array([False, True, False, True, True])
    found = reliability(confidence, right)
    assert found.n.tolist() == [1, 2, 2]
    assert found.confidence.tolist() == pytest.approx([0.05, 0.565, 0.9995])
    assert found.accuracy.tolist() == [0, 0.5, 1]
    half = wilson(1, 2)
    assert (found.low[1], found.high[1]) == (half.low, half.high)


def test_intervals_of_bins_hold_in_95_of_100() -> None:
    """Calibrated answers: the stated confidence is the true share right."""
    rng = np.random.default_rng(0)
    held = n = 0
    for _ in range(300):
        confidence = rng.choice(np.arange(0.05, 1, 0.1), 1000)
        found = reliability(confidence, rng.random(1000) < confidence)
        held += int(((found.low <= found.confidence) & (found.confidence <= found.high)).sum())
        n += len(found.n)
    assert 0.94 < held / n < 0.96


def test_the_surest_are_answered_first() -> None:
    share, accuracy = share_answered(
        np.array([0.9, 0.5, 0.9, 0.7]), np.array([True, False, True, False])
    )
    assert share.tolist() == [0.5, 0.75, 1] and accuracy.tolist() == pytest.approx([1, 2 / 3, 0.5])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=400))
def test_a_curve_ends_where_all_is_answered(rows: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([c for c, _ in rows]), np.array([r for _, r in rows])
    share, accuracy = share_answered(confidence, right)
    assert len(share) <= 200 and (np.diff(share) > 0).all()
    assert share[-1] == 1 and accuracy[-1] == pytest.approx(right.mean())
