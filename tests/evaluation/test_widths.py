"""No interval is without width, whatever the rows: what few or equal rows cannot tell is not
certain."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from tenfold.evaluation import compare_labels, compare_values, compare_with_best
from tenfold.evaluation.intervals import Score
from tenfold.evaluation.measures import MEASURES
from tests.support.answers import evaluate_labels, evaluate_values

Floats = NDArray[np.float64]

N_ROWS = (2, 3, 7)


def scores_in(value: Any) -> Iterator[Score]:
    """All scores of an evaluation or a comparison."""
    if isinstance(value, Score):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from scores_in(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            yield from scores_in(part)


def errors_of(kind: str, n: int) -> Floats:
    """Errors of n rows: none, all equal, of either sign, of one row alone, or of two sizes."""
    row = np.arange(n)
    kinds: dict[str, Floats] = {
        "none": np.zeros(n),
        "equal": np.full(n, 0.5),
        "signs": np.where(row % 2, 0.5, -0.5),
        "one": np.eye(n)[0],
        "sizes": np.where(row < n // 2, 1.0, 2.0),
    }
    return kinds[kind]


ERRORS = ("none", "equal", "signs", "one", "sizes")


@pytest.mark.parametrize("n", N_ROWS)
@pytest.mark.parametrize("first", ERRORS)
def test_intervals_of_values_have_a_width(first: str, n: int) -> None:
    true = np.where(np.arange(n) % 2, 3.0, -1.0)
    for second in ERRORS:
        mine, other = (true + errors_of(kind, n) for kind in (first, second))
        row_scores = np.stack([-((true - values) ** 2) for values in (mine, other)])
        for baseline in (true.mean(), other):
            assert_wide(evaluate_values(true, mine, baseline_value=baseline), first, second)
        assert_wide(compare_values(true, mine, other), first, second)
        beside = compare_with_best(row_scores, 0, size=float(true.var()))[1]
        assert_wide(beside and beside.change, first, second)
        assert_wide(MEASURES["regression"].of_rows(row_scores[0], true), first, second)


@pytest.mark.parametrize("n", N_ROWS)
@pytest.mark.parametrize("n_labels", [2, 3])
def test_intervals_of_labels_have_a_width(n_labels: int, n: int) -> None:
    for true in (np.zeros(n, np.int64), np.arange(n) % n_labels):
        sure, other = np.eye(n_labels)[true], np.eye(n_labels)[(true + 1) % n_labels]
        flat = np.full((n, n_labels), 1 / n_labels)
        for first, second in product((sure, other, flat, 0.7 * sure + 0.3 * flat), repeat=2):
            codes = [p.argmax(axis=1) for p in (first, second)]
            assert_wide(evaluate_labels(true, first, tuple("abc"[:n_labels]), temperature=2.0))
            assert_wide(compare_labels(true, (codes[0], first), (codes[1], second)))
            rights = np.stack([answers == true for answers in codes]).astype(float)
            beside = compare_with_best(rights, 0, largest=1)[1]
            assert_wide(beside and beside.change)


def assert_wide(value: Any, *case: str) -> None:
    scores = list(scores_in(value))
    assert scores
    for score in scores:
        assert score.low < score.high and score.low <= score.value <= score.high, case


def test_where_nothing_varies_no_interval_is_said() -> None:
    found = evaluate_values(np.full(5, 7.0), np.full(5, 7.0), baseline_value=7.0)
    assert found.rmse.in_unit == "0.0000 [no interval: the rows do not vary]"


@pytest.mark.parametrize(
    ("score", "text", "share", "quantity"),
    [
        (
            Score(value=0.999997, low=0.999996, high=0.999998),
            "0.999997 [0.999996, 0.999998]",
            "99.9997% [99.9996%, 99.9998%]",
            "0.999997 [0.999996, 0.999998]",
        ),
        (
            Score(value=0.5, low=0.49999, high=0.50001),
            "0.50000 [0.49999, 0.50001]",
            "50.000% [49.999%, 50.001%]",
            "0.50000 [0.49999, 0.50001]",
        ),
    ],
)
def test_a_narrow_interval_is_written_with_the_digits_that_it_needs(
    score: Score, text: str, share: str, quantity: str
) -> None:
    assert (str(score), score.in_percent, score.in_unit) == (text, share, quantity)
