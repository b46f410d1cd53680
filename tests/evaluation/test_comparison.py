"""Two models on the same rows: which is better, or that nobody can tell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold import Run
from tenfold.core.errors import DataError
from tenfold.evaluation import compare_labels, compare_values
from tenfold.evaluation.intervals import mcnemar_p, wilson
from tenfold.runs.csv_files import compare_runs
from tests.conftest import Few
from tests.support.errors import refused

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]


def a_model(true: NDArray[np.int64], share: float, rng: np.random.Generator, k: int = 3) -> Answers:
    """Answers of which `share` are right, sure of them with 0.8."""
    wrong = rng.random(len(true)) > share
    codes = np.where(wrong, (true + 1 + rng.integers(0, k - 1, len(true))) % k, true)
    probabilities = np.full((len(true), k), 0.2 / (k - 1))
    probabilities[np.arange(len(true)), codes] = 0.8
    return codes, probabilities


def test_a_better_model_is_called_better_from_either_side() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 2000)
    weak, strong = a_model(true, 0.8, rng), a_model(true, 0.9, rng)
    there = compare_labels(true, weak, strong, ("weak", "strong"))
    back = compare_labels(true, strong, weak, ("strong", "weak"))
    assert there.verdict == back.verdict == "strong is better than weak."
    assert [one.score for one in there.differences] == ["accuracy", "log loss", "macro F1"]
    assert {one.verdict for one in there.differences} == {"better"}
    assert {one.verdict for one in back.differences} == {"worse"}
    gain = float((strong[0] == true).mean() - (weak[0] == true).mean())
    assert there.differences[0].change.value == pytest.approx(gain)
    assert there.differences[1].change.high < 1 < back.differences[1].change.low
    assert (there.only_first, there.only_second) == (back.only_second, back.only_first)
    assert there.p_value == back.p_value and there.p_value and there.p_value < 0.001


def test_models_alike_are_not_distinguishable() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, 3, 300)
    one, other = a_model(true, 0.9, rng), a_model(true, 0.9, rng)
    found = compare_labels(true, one, other)
    assert {part.verdict for part in found.differences} == {"not distinguishable"}
    assert found.verdict.startswith("Not distinguishable: on these 300 rows")
    assert any("exact McNemar test" in line for line in found.lines())
    same = compare_labels(true, one, one)
    assert same.p_value == 1
    assert {part.change.value for part in same.differences} == {0, 1}


def test_where_nothing_differs_one_in_twenty_at_most_is_called_different() -> None:
    """The exact test holds its level: it errs on the careful side."""
    rng = np.random.default_rng(2)
    true = rng.integers(0, 2, 100)
    called = 0
    for _ in range(400):
        rights = rng.random((2, len(true))) < 0.85
        called += (
            mcnemar_p(int((rights[0] & ~rights[1]).sum()), int((~rights[0] & rights[1]).sum()))
            <= 0.05
        )
    assert called / 400 <= 0.06


def test_the_exact_test_is_scipys() -> None:
    from scipy.stats import binomtest

    for won, lost in ((0, 0), (1, 0), (10, 2), (300, 340), (5, 5)):
        expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
        assert mcnemar_p(won, lost) == pytest.approx(expected)


def test_many_labels_are_compared_without_macro_f1() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 60, 500)
    found = compare_labels(true, a_model(true, 0.5, rng, 60), a_model(true, 0.9, rng, 60))
    assert [one.score for one in found.differences] == ["accuracy", "log loss"]


def test_values_are_compared_by_their_errors() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=400)
    near, far = true + 0.1 * rng.normal(size=400), true + 0.2 * rng.normal(size=400)
    found = compare_values(true, far, near, ("far", "near"))
    assert found.verdict == "near is better than far." and found.p_value is None
    rmse = found.differences[0]
    assert rmse.change.low < 0.5 < rmse.change.high and rmse.verdict == "better"
    twin = far + 1e-9
    assert compare_values(true, far, twin).verdict.startswith("Not distinguishable")
    perfect = compare_values(true, true, near)
    assert perfect.differences[0].verdict == "worse"
    assert compare_values(true, near, true).differences[0].verdict == "better"


def test_models_without_errors_are_no_surer_than_their_rows() -> None:
    true = np.arange(44) % 3
    sure = np.full((44, 3), 0.01)
    sure[np.arange(44), true] = 0.98
    accuracy, log_loss, macro_f1 = compare_labels(true, (true, sure), (true, sure)).differences
    assert accuracy.change.high == -accuracy.change.low == pytest.approx(0.0603, abs=1e-4)
    assert macro_f1.change == accuracy.change
    assert log_loss.change.low == pytest.approx(wilson(44, 44).low)
    assert log_loss.change.high == pytest.approx(1 / wilson(44, 44).low)


@pytest.mark.parametrize("n_wrong", [1, 5, 6, 20])
def test_a_model_without_errors_is_better_from_six_rows_on(n_wrong: int) -> None:
    """As McNemar's exact test has it: of five rows the smallest p value is 0.0625."""
    true = np.arange(40.0)
    wrong = true + (true < n_wrong)
    there, back = compare_values(true, wrong, true), compare_values(true, true, wrong)
    told = n_wrong >= 6
    assert {part.verdict for part in there.differences} == {
        "better" if told else "not distinguishable"
    }
    assert {part.verdict for part in back.differences} == {
        "worse" if told else "not distinguishable"
    }
    mae = there.differences[1].change
    assert mae.low == 0 and mae.high == pytest.approx(0.025 ** (-1 / n_wrong) - 1)
    assert back.differences[1].change.low == pytest.approx(1 / mae.high)
    assert all(len(line) < 120 for line in back.lines())


def test_answers_that_are_no_pairs_are_refused() -> None:
    codes, p = np.zeros(3, np.int64), np.full((3, 2), 0.5)
    with refused("E620", r"shapes=\[\(3,\), \(3,\), \(2, 2\)\]"):
        compare_labels(codes, (codes, p), (codes, p[:2]))
    with pytest.raises(DataError, match="n at least 1"):
        compare_labels(codes[:0], (codes[:0], p[:0]), (codes[:0], p[:0]))
    with pytest.raises(DataError, match="n at least 2"):
        compare_values(np.zeros(1), np.zeros(1), np.zeros(1))


@pytest.fixture(scope="module")
def two_runs(few: Few, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    out = tmp_path_factory.mktemp("pair")
    data = few(600, 200)
    settings: dict[str, Any] = {"out": out, "learner": "baseline"}
    return tenfold.train(data, **settings), tenfold.train(data, out=out, learner="bayes")


def test_runs_are_compared_on_the_test_rows_they_share(two_runs: tuple[Run, Run]) -> None:
    baseline, bayes = two_runs
    found = compare_runs(baseline, bayes)
    assert (found.n, found.first, found.second) == (200, "mnist-baseline-1", "mnist-bayes-1")
    assert found.verdict == "mnist-bayes-1 is better than mnist-baseline-1."
    first, second = (run.evaluation for run in two_runs)
    assert isinstance(first, tenfold.Evaluation) and isinstance(second, tenfold.Evaluation)
    accuracy = found.differences[0]
    assert (accuracy.first, accuracy.second) == (first.accuracy.value, second.accuracy.value)


def test_runs_with_other_test_rows_meet_in_what_they_share(few: Few, tmp_path: Path) -> None:
    data = few(400, 0)
    runs = [
        tenfold.train(data, learner="baseline", test_size=0.5, seed=seed, out=tmp_path)
        for seed in (0, 1)
    ]
    n = compare_runs(*runs).n
    assert 60 < n < 140


def test_runs_on_other_data_are_not_compared(
    two_runs: tuple[Run, Run], few: Few, tmp_path: Path
) -> None:
    other = tenfold.train(few(300, 50), learner="baseline", out=tmp_path)
    with refused("E801"):
        compare_runs(two_runs[0], other)
