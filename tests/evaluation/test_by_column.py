"""Scores by the values of a column: intervals for each, tested beside all other rows."""

import numpy as np

from tenfold.evaluation.by_column import by_column
from tenfold.evaluation.intervals import wilson


def test_the_rows_of_each_value_are_measured_and_tested() -> None:
    rng = np.random.default_rng(0)
    values = np.array(["a"] * 200 + ["b"] * 200 + ["c"] * 3 + [""] * 40, object)
    right = rng.random(443) < 0.9
    right[200:400] = rng.random(200) < 0.6
    found = by_column("x", values, right.astype(float), np.zeros(443, np.int64), "classification")
    assert [one.value for one in found.values] == ["a", "b", "(others)", "(missing)"]
    assert [one.n for one in found.values] == [200, 200, 3, 40]
    assert found.values[1].score == wilson(int(right[200:400].sum()), 200)
    assert [one.verdict for one in found.values[:2]] == ["better", "worse"]
    assert found.values[0].p_value == 4 / 5000  # of four values by Holm, of 4,999 draws
    assert all(0.05 < one.p_value <= 1 for one in found.values[2:])
    assert [*found.lines()][2].startswith("  b              200 rows  61.5% [")


def test_values_that_say_nothing_are_no_worse_than_others() -> None:
    wrong = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.integers(0, 4, 300).astype(float)
        scores = -(rng.normal(size=300) ** 2)
        found = by_column("x", values, scores, rng.normal(size=300), "regression")
        wrong += any(one.p_value <= 0.05 for one in found.values)
    assert wrong <= 4  # 5% of 20, and chance


def test_many_numbers_are_cut_into_quarters() -> None:
    rng = np.random.default_rng(0)
    values = np.append(rng.permutation(400).astype(float), np.nan)
    scores = -np.where(values < 100, 9.0, 1.0)
    found = by_column("size", values, scores, rng.normal(size=401), "regression")
    assert [one.value for one in found.values] == [
        *("0 to 99", "100 to 199", "200 to 299", "300 to 399", "(missing)")
    ]
    assert [one.n for one in found.values] == [100, 100, 100, 100, 1]
    assert found.values[0].score.value == 3 and found.values[0].verdict == "worse"
    days = np.datetime64("2024-01-01", "s") + np.arange(40).astype("timedelta64[D]")
    by_day = by_column("day", days, np.ones(40), np.zeros(40, np.int64), "classification")
    assert len(by_day.values) == 4 and by_day.values[0].value.startswith("2024-01-01")


def test_rows_of_a_group_are_not_taken_for_independent_rows() -> None:
    """A column that is constant in groups, which err more or less by chance."""
    wrong, by_rows = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(20), 25)
        values = (groups % 3).astype(float)
        scores = (rng.random(500) < rng.beta(4, 2, 20)[groups]).astype(float)
        y = np.zeros(500, np.int64)
        found = [
            by_column("x", values, scores, y, "classification", group) for group in (groups, None)
        ]
        wrong, by_rows = (
            count + any(one.p_value <= 0.05 for one in each.values)
            for count, each in zip((wrong, by_rows), found, strict=True)
        )
        widths = [one.values[0].score.high - one.values[0].score.low for one in found]
        assert widths[0] > widths[1]
    assert wrong <= 5 < by_rows
