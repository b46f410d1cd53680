"""Average precision and precision at a recall, against slow code, hand cases and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold.evaluation import Ranking

Rows = list[tuple[bool, float]]
rows_of = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9])), min_size=1)


def ranking(rows: Rows) -> Ranking:
    return Ranking.of(np.array([p for p, _ in rows]), np.array([s for _, s in rows]))


def slow(rows: Rows, recall: float) -> tuple[float, float, float]:
    """Average precision, precision at the recall, and its threshold, threshold by threshold."""
    n_positive = sum(p for p, _ in rows)
    average, before, at = 0.0, 0.0, None
    for threshold in sorted({s for _, s in rows}, reverse=True):
        marked = [p for p, s in rows if s >= threshold]
        found = sum(marked) / n_positive
        precision = sum(marked) / len(marked)
        average += (found - before) * precision
        before = found
        if at is None and found >= recall - 1e-12:
            at = (precision, threshold)
    assert at
    return average, *at


@given(rows=rows_of.filter(lambda rows: any(p for p, _ in rows)), recall=st.floats(0.01, 1))
def test_both_scores_are_those_of_the_slow_reference(rows: Rows, recall: float) -> None:
    found = ranking(rows).scores(np.random.default_rng(0), recall)
    assert found
    average, at = found
    assert (average.value, at.precision.value, at.threshold) == pytest.approx(slow(rows, recall))
    for score in (average, at.precision):
        assert 0 <= score.low <= score.value <= score.high <= 1


def test_average_precision_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    positive = rng.random(3000) < 0.05
    probability = np.round(1 / (1 + np.exp(-rng.normal(size=3000) - positive)), 2)  # with ties
    found = Ranking.of(positive, probability).scores(rng)
    assert found
    expected = metrics.average_precision_score(positive, probability)
    assert found[0].value == pytest.approx(expected, abs=1e-12)
    ours = Ranking.of(positive, probability)
    precision, recall, _ = metrics.precision_recall_curve(positive, probability)
    assert ours.precision[::-1] == pytest.approx(precision[:-1])
    assert ours.recall[::-1] == pytest.approx(recall[:-1])


def test_a_hand_case() -> None:
    # + - + - by falling probability: (1/1 + 2/3) / 2.
    found = ranking([(True, 0.9), (False, 0.7), (True, 0.5), (False, 0.1)]).scores(
        np.random.default_rng(0), recall=0.5
    )
    assert found
    average, at = found
    assert average.value == pytest.approx(5 / 6)
    assert (at.recall, at.precision.value, at.threshold) == (0.5, 1.0, 0.9)


def test_without_a_positive_row_there_is_nothing_to_rank() -> None:
    assert ranking([(False, 0.5), (False, 0.9)]).scores(np.random.default_rng(0)) is None


def test_a_perfect_ranking_is_not_known_to_be_perfect() -> None:
    rows = [(i < 10, 0.9 if i < 10 else 0.1) for i in range(100)]
    found = ranking(rows).scores(np.random.default_rng(0))
    assert found
    assert found[0].value == found[1].precision.value == 1
    assert 0.7 < found[0].low < 0.75, "Wilson's lower end for 10 of 10"


def naive(positive: NDArray[np.bool], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(5)
    out = []
    for _ in range(500):
        rows = rng.integers(len(positive), size=len(positive))
        picked = list(zip(positive[rows].tolist(), probability[rows].tolist(), strict=True))
        out.append(slow(picked, 0.8)[:2])
    return np.array(out)


def test_cells_are_resampled_as_rows_would_be() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(200) < 0.3
    probability = np.round(1 / (1 + np.exp(-rng.normal(size=200) - 2 * positive)), 1)
    found = Ranking.of(positive, probability).scores(rng)
    assert found
    resampled = naive(positive, probability)
    for score, column in ((found[0], resampled[:, 0]), (found[1].precision, resampled[:, 1])):
        spread = np.log(column / (1 - column)).std()
        low, high = (math.log(end / (1 - end)) for end in (score.low, score.high))
        assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.12)


def coverage(n: int, n_repeats: int, share: float = 0.3) -> tuple[float, float]:
    """Part of the intervals that hold the average precision, and the precision, of all rows."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> Ranking:
        positive = rng.random(n) < share
        return Ranking.of(positive, 1 / (1 + np.exp(-rng.normal(size=n) - 2 * positive)))

    everything = draw(2_000_000)
    average = float(np.diff(everything.recall, prepend=0) @ everything.precision)
    precision = float(everything.precision[(everything.recall >= 0.8).argmax()])
    hits = np.zeros(2)
    for _ in range(n_repeats):
        found = draw(n).scores(rng)
        assert found
        hits += [
            found[0].low <= average <= found[0].high,
            found[1].precision.low <= precision <= found[1].precision.high,
        ]
    return float(hits[0] / n_repeats), float(hits[1] / n_repeats)


def test_intervals_hold_about_95_times_in_100() -> None:
    average, precision = coverage(300, 200)
    # 200 repeats know a share of 0.95 to 0.015: three of them.
    assert 0.90 <= average <= 0.995
    assert 0.90 <= precision <= 0.995


@pytest.mark.slow
def test_intervals_hold_94_to_96_times_in_100() -> None:
    average, precision = coverage(2000, 3000)
    print(average, precision)
    assert 0.94 <= average <= 0.96
    assert 0.94 <= precision <= 0.96


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(1000, 0.02), (1000, 0.05), (5000, 0.02)])
def test_the_coverage_for_rare_positives_that_the_page_states(n: int, share: float) -> None:
    average, precision = coverage(n, 1000, share)
    print(n, share, average, precision)
    assert 0.90 <= average <= 0.99
    assert 0.90 <= precision <= 0.99
