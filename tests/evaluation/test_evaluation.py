"""Scores and their intervals, against slow reference code, hand cases and known theory."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError

from tenfold import Evaluation, Score
from tenfold.core.errors import DataError
from tenfold.evaluation.classification import (
    confusion_matrix,
    expected_calibration_error,
    f1_scores,
    log_losses,
)
from tenfold.evaluation.intervals import wilson
from tests.support.answers import evaluate_labels
from tests.support.errors import refused

Floats = NDArray[np.float64]
Case = tuple[list[int], Floats, list[bool], tuple[str, ...]]

Z = 1.959963984540054
ABC = ("a", "b", "c")


def sure(predicted: list[int], n_labels: int = 3) -> Floats:
    """Probabilities of a model that is certain of each answer."""
    return np.eye(n_labels)[predicted]


def random_answers(n: int, n_labels: int, seed: int = 0) -> tuple[NDArray[np.int64], Floats]:
    """Truth and calibrated answers: each true label is drawn with its stated probability."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_labels, 0.5), size=n)
    true = (rng.random((n, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return true, p


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n, n_labels = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    true = draw(st.lists(st.integers(0, n_labels - 1), min_size=n, max_size=n))
    weights = draw(arrays(np.int64, (n, n_labels), elements=st.integers(0, 9)))
    weights = weights + (weights.sum(axis=1, keepdims=True) == 0)
    unsure = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    labels = tuple("abcde"[:n_labels])
    return true, weights / weights.sum(axis=1, keepdims=True), unsure, labels


def scores(result: Evaluation) -> list[Score]:
    found = [
        result.accuracy,
        result.log_loss,
        result.macro_f1,
        result.calibration_error,
        result.baseline.accuracy,
        result.answered.share,
        result.answered.accuracy,
    ]
    found += [score for one in result.per_class for score in (one.precision, one.recall, one.f1)]
    return [score for score in found if score is not None]


# Wilson's interval


def lower_bound(p: float, n: int) -> float:
    """The smallest share that n rows with share p do not contradict: |p - share| = Z sd(share)."""
    low, high = 0.0, p
    for _ in range(200):
        middle = (low + high) / 2
        if (p - middle) ** 2 > Z**2 * middle * (1 - middle) / n:
            low = middle
        else:
            high = middle
    return low


@given(right=st.integers(0, 100_000), wrong=st.integers(0, 100_000))
@example(right=0, wrong=1)
@example(right=1, wrong=0)
@example(right=0, wrong=10_000)
@example(right=10_000, wrong=0)
def test_wilson_solves_the_score_equation(right: int, wrong: int) -> None:
    n = max(1, right + wrong)
    score = wilson(right, n)
    assert score.value == right / n
    assert score.low == pytest.approx(lower_bound(score.value, n), abs=1e-9)
    assert score.high == pytest.approx(1 - lower_bound(1 - score.value, n), abs=1e-9)
    assert 0 <= score.low <= score.value <= score.high <= 1


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # R. G. Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_values(successes: int, n: int, low: float, high: float) -> None:
    score = wilson(successes, n)
    assert (score.low, score.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_covers_the_true_share_about_95_times_in_100() -> None:
    n, share = 60, 0.9
    chance = [
        math.comb(n, k) * share**k * (1 - share) ** (n - k)
        for k in range(n + 1)
        if wilson(k, n).low <= share <= wilson(k, n).high
    ]
    assert 0.93 < sum(chance) < 0.98


# Confusion, F1, calibration, log loss


def test_rows_of_the_confusion_matrix_are_the_truth() -> None:
    true, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 2])
    assert confusion_matrix(true, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]


def slow_f1(confusion: list[list[int]], label: int) -> float | None:
    n_true, n_predicted = sum(confusion[label]), sum(row[label] for row in confusion)
    if not n_true and not n_predicted:
        return None
    precision = confusion[label][label] / n_predicted if n_predicted else 0.0
    recall = confusion[label][label] / n_true if n_true else 0.0
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def slow_macro_f1(confusion: list[list[int]]) -> float:
    found = [slow_f1(confusion, label) for label in range(len(confusion))]
    known = [f1 for f1 in found if f1 is not None]
    return sum(known) / len(known)


@given(
    confusion=st.integers(2, 5).flatmap(
        lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 4)).filter(np.any)
    )
)
def test_f1_is_the_harmonic_mean_or_nothing(confusion: NDArray[np.int64]) -> None:
    for label, f1 in enumerate(f1_scores(confusion).tolist()):
        expected = slow_f1(confusion.tolist(), label)
        assert np.isnan(f1) if expected is None else f1 == pytest.approx(expected)


def test_the_interval_of_f1_holds_about_95_times_in_100() -> None:
    rng, hits = np.random.default_rng(0), 0
    shares = np.array(
        [0.7, 0.06, 0.06, 0.18]
    )  # of rows: (no, no), (no, yes), (yes, no), (yes, yes)
    true_f1 = 2 * 0.18 / (2 * 0.18 + 0.12)
    for _ in range(200):
        cells = rng.multinomial(100, shares)
        true, answers = np.repeat([0, 0, 1, 1], cells), np.repeat([0, 1, 0, 1], cells)
        f1 = evaluate_labels(true, sure(answers.tolist(), 2), ("no", "yes")).per_class[1].f1
        assert f1
        hits += f1.low <= true_f1 <= f1.high
    assert 0.90 <= hits / 200 <= 0.99


def test_an_f1_of_nothing_right_is_not_known_to_be_zero() -> None:
    f1 = evaluate_labels([0] * 98 + [1] * 2, sure([0] * 95 + [1] * 3 + [0] * 2, 2), ("no", "yes"))
    found = f1.per_class[1].f1
    assert found
    j = wilson(0, 5).high
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(2 * j / (1 + j))


def test_f1_of_a_hand_case() -> None:
    # a: precision 8/8, recall 8/10; b: precision 10/12, recall 10/10.
    by_hand = [2 * 8 / (8 + 10), 2 * 10 / (12 + 10)]
    assert f1_scores(np.array([[8, 2], [0, 10]])).tolist() == pytest.approx(by_hand)


def slow_calibration_error(confidence: list[float], right: list[bool]) -> float:
    total = 0.0
    for b in range(15):
        inside = [
            i
            for i, c in enumerate(confidence)
            if b / 15 <= c and (c < (b + 1) / 15 or (b == 14 and c == 1))
        ]
        if inside:
            accuracy = sum(right[i] for i in inside) / len(inside)
            stated = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - stated)
    return total


# Odd multiples of 1/2048 are exact and never an edge of a bin.
confidences = st.integers(0, 1023).map(lambda k: (2 * k + 1) / 2048) | st.just(1.0)


@given(rows=st.lists(st.tuples(confidences, st.booleans()), min_size=1, max_size=60))
def test_calibration_error_is_that_of_the_slow_reference(rows: list[tuple[float, bool]]) -> None:
    confidence, right = [c for c, _ in rows], [r for _, r in rows]
    fast = expected_calibration_error(np.array(confidence), right)
    assert fast == pytest.approx(slow_calibration_error(confidence, right), abs=1e-12)
    assert 0 <= fast <= 1


def test_calibration_error_of_hand_cases() -> None:
    # Four answers at 90%, three right: 0.15 off. Two at 50%, one right: 0 off.
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5])
    right = [True, True, True, False, True, False]
    assert expected_calibration_error(confidence, right) == pytest.approx(4 / 6 * 0.15)
    assert expected_calibration_error(np.ones(3), [True] * 3) == 0
    assert expected_calibration_error(np.ones(3), [False] * 3) == 1


@given(case=cases())
def test_log_loss_is_that_of_the_slow_reference(case: Case) -> None:
    true, p, _, _ = case
    slow = [-math.log(max(1e-7, p[row, code])) for row, code in enumerate(true)]
    assert log_losses(np.array(true), p).tolist() == pytest.approx(slow, abs=1e-12)


def test_log_loss_of_a_hand_case_and_of_a_sure_mistake() -> None:
    losses = log_losses(np.array([0, 1, 0]), np.array([[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]]))
    assert losses.tolist() == pytest.approx([math.log(2), math.log(4), 7 * math.log(10)])


# Intervals by resampling


def test_the_interval_of_log_loss_is_near_the_normal_approximation() -> None:
    true, p = random_answers(5_000, 4)
    losses = -np.log(np.clip(p[np.arange(5_000), true], 1e-7, 1))
    error = losses.std(ddof=1) / math.sqrt(5_000)
    score = evaluate_labels(true, p, tuple("abcd")).log_loss
    assert score.value == pytest.approx(losses.mean())
    # The 2.5% point of 1000 resamples is itself known to 0.085 standard errors: four of them.
    reach = NormalDist().inv_cdf(0.975) * error
    assert score.low == pytest.approx(losses.mean() - reach, abs=0.34 * error)
    assert score.high == pytest.approx(losses.mean() + reach, abs=0.34 * error)


def test_the_intervals_of_f1_and_calibration_are_those_of_resampled_rows() -> None:
    true, p = random_answers(300, 3)
    predicted, confidence = p.argmax(axis=1), p.max(axis=1)
    right = predicted == true
    rng = np.random.default_rng(99)
    f1s, errors = [], []
    for _ in range(600):
        rows = rng.integers(300, size=300)
        f1s.append(slow_macro_f1(confusion_matrix(true[rows], predicted[rows], 3).tolist()))
        errors.append(slow_calibration_error(confidence[rows].tolist(), right[rows].tolist()))
    result = evaluate_labels(true, p, ABC)
    for score, resampled in ((result.macro_f1, f1s), (result.calibration_error, errors)):
        low, high = np.percentile(resampled, [2.5, 97.5])
        near = 0.12 * (high - low)
        assert score.high == pytest.approx(high, abs=near)
        # A resampled calibration error is biased upwards: the interval still holds the value.
        assert score.low == pytest.approx(min(low, score.value), abs=near)


def test_the_interval_holds_a_value_that_resampling_never_reaches() -> None:
    # Confidence is exactly the accuracy in each of five bins, and in hardly any resample.
    confidence = np.repeat([0.5, 0.6, 0.7, 0.8, 0.9], 100)
    true = np.concatenate([np.arange(100) >= 100 * c for c in (0.5, 0.6, 0.7, 0.8, 0.9)])
    p = np.stack([confidence, 1 - confidence], axis=1)
    score = evaluate_labels(true.astype(int), p, ("a", "b")).calibration_error
    assert score.value == pytest.approx(0, abs=1e-12)
    assert score.low == score.value
    assert score.high > 0.02


def test_the_same_seed_gives_the_same_numbers_and_another_seed_other_intervals() -> None:
    true, p = random_answers(100, 3)
    one, two, other = (evaluate_labels(true, p, ABC, seed=seed) for seed in (5, 5, 6))
    assert one == two
    assert one.log_loss.value == other.log_loss.value
    assert (one.log_loss.low, one.macro_f1.low, one.calibration_error.high) != (
        other.log_loss.low,
        other.macro_f1.low,
        other.calibration_error.high,
    )


# Whole evaluations


@settings(deadline=None, max_examples=50)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_every_interval_contains_its_value_and_json_brings_all_of_it_back(
    case: Case, seed: int
) -> None:
    true, p, unsure, labels = case
    result = evaluate_labels(true, p, labels, unsure=unsure, data="d", part="test", seed=seed)
    for score in scores(result):
        assert score.low <= score.value <= score.high
        assert score is result.log_loss or (score.low >= 0 and score.high <= 1)
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


@settings(deadline=None, max_examples=50)
@given(case=cases())
def test_the_counts_agree_with_counting(case: Case) -> None:
    true, p, unsure, labels = case
    result = evaluate_labels(true, p, labels, unsure=unsure)
    predicted = [row.index(max(row)) for row in p.tolist()]
    right = [t == q for t, q in zip(true, predicted, strict=True)]
    assert result.n == len(true)
    assert result.labels == labels
    assert result.accuracy == wilson(sum(right), len(true))
    assert result.baseline.accuracy == wilson(max(map(true.count, range(len(labels)))), len(true))
    pairs = list(zip(true, predicted, strict=True))
    k = len(labels)
    assert result.confusion == tuple(tuple(pairs.count((t, q)) for q in range(k)) for t in range(k))
    for code, one in enumerate(result.per_class):
        n_right, n_predicted = pairs.count((code, code)), predicted.count(code)
        assert (one.label, one.n) == (labels[code], true.count(code))
        assert one.precision == (wilson(n_right, n_predicted) if n_predicted else None)
        assert one.recall == (wilson(n_right, one.n) if one.n else None)
        if n_predicted + one.n:
            assert one.f1 is not None
            assert one.f1.value == pytest.approx(2 * n_right / (n_predicted + one.n))
    answered = [r for r, u in zip(right, unsure, strict=True) if not u]
    assert result.answered.share == wilson(len(answered), len(true))
    expected = wilson(sum(answered), len(answered)) if answered else None
    assert result.answered.accuracy == expected


def test_the_record_says_which_data_and_which_part() -> None:
    result = evaluate_labels([0, 1], sure([0, 1]), ABC, data="mnist", part="validation")
    assert (result.task, result.data, result.part) == ("classification", "mnist", "validation")
    result = evaluate_labels([0, 1], sure([0, 1]), ABC)
    assert (result.data, result.part) == ("arrays", "all")


def test_perfect_answers() -> None:
    true = [0, 1, 2] * 20
    result = evaluate_labels(true, sure(true), ABC)
    for score in (result.accuracy, result.macro_f1):
        assert (score.value, score.high) == (1, 1)
    for score in (result.log_loss, result.calibration_error):
        assert (score.value, score.low) == (0, 0)
    unseen = wilson(0, 60).high  # rows that may be wrong, or answered without any knowledge
    assert result.calibration_error.high == unseen
    assert result.log_loss.high == pytest.approx(unseen * np.log(3))
    assert 0.93 < result.accuracy.low < 1
    assert [one.f1 and one.f1.value for one in result.per_class] == [1, 1, 1]
    assert result.most_confused == []


def test_answers_that_are_all_wrong() -> None:
    true = [0, 1, 2] * 20
    result = evaluate_labels(true, sure([1, 2, 0] * 20), ABC)
    for score in (result.accuracy, result.macro_f1):
        assert (score.value, score.low) == (0, 0)
    assert 0 < result.accuracy.high < 0.07
    assert (result.calibration_error.value, result.calibration_error.high) == (1, 1)
    assert result.log_loss.value == pytest.approx(7 * math.log(10))
    assert [one.f1 and one.f1.value for one in result.per_class] == [0, 0, 0]
    assert sum(count for _, _, count in result.most_confused) == 60


def test_a_label_that_never_occurs_has_no_recall() -> None:
    result = evaluate_labels([0, 0, 1], sure([0, 2, 1]), ABC)
    c = result.per_class[2]
    assert (c.n, c.recall, c.f1 and c.f1.value) == (0, None, 0)
    assert c.precision == wilson(0, 1)
    assert result.macro_f1.value == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_a_label_that_is_never_predicted_has_no_precision() -> None:
    result = evaluate_labels([0, 2, 1], sure([0, 0, 1]), ABC)
    c = result.per_class[2]
    assert (c.n, c.precision, c.f1 and c.f1.value) == (1, None, 0)
    assert c.recall == wilson(0, 1)
    assert result.macro_f1.value == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_a_label_that_neither_occurs_nor_is_predicted_does_not_count() -> None:
    result = evaluate_labels([0, 1], sure([0, 1]), ABC)
    c = result.per_class[2]
    assert (c.n, c.precision, c.recall, c.f1) == (0, None, None, None)
    assert result.macro_f1.value == 1


def test_the_baseline_is_the_most_frequent_label_the_first_of_equals() -> None:
    result = evaluate_labels([2, 1, 2, 0, 2], sure([0] * 5), ABC)
    assert (result.baseline.label, result.baseline.accuracy) == ("c", wilson(3, 5))
    assert evaluate_labels([2, 1], sure([0, 0]), ABC).baseline.label == "b"


def test_unsure_rows_are_not_answered() -> None:
    true, predicted = [0] * 10, [0] * 8 + [1] * 2
    unsure = [True] * 2 + [False] * 6 + [True] * 2
    result = evaluate_labels(true, sure(predicted), ABC, unsure=unsure)
    assert result.answered.share == wilson(6, 10)
    assert result.answered.accuracy == wilson(6, 6)
    assert result.accuracy == wilson(8, 10), "accuracy is that of all rows"


def test_all_rows_are_answered_where_nothing_is_unsure() -> None:
    result = evaluate_labels([0, 1], sure([0, 0]), ABC)
    assert result.answered.share == wilson(2, 2)
    assert result.answered.accuracy == wilson(1, 2)


def test_no_accuracy_where_no_row_is_answered() -> None:
    result = evaluate_labels([0, 1], sure([0, 0]), ABC, unsure=[True, True])
    assert result.answered.share == wilson(0, 2)
    assert result.answered.accuracy is None


def test_the_most_confused_pairs_come_first_and_equals_in_label_order() -> None:
    pairs = [("a", "b")] * 2 + [("c", "a")] * 3 + [("b", "c")] * 2 + [("a", "a")] * 9
    true = [ABC.index(label) for label, _ in pairs]
    predicted = [ABC.index(label) for _, label in pairs]
    result = evaluate_labels(true, sure(predicted), ABC)
    assert result.most_confused == [("c", "a", 3), ("a", "b", 2), ("b", "c", 2)]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_the_type_of_whole_number_makes_no_difference(dtype: str) -> None:
    labels = tuple(f"label {code}" for code in range(20))
    true = np.arange(20)
    p = sure(true[::-1].tolist(), 20)
    assert evaluate_labels(true.astype(dtype), p, labels) == evaluate_labels(true, p, labels)


# Refusals


@pytest.mark.parametrize(
    ("true", "probabilities", "true_shape", "shape"),
    [
        ([], np.empty((0, 3)), (0,), (0, 3)),
        ([0, 1], sure([0]), (2,), (1, 3)),
        ([0, 1], sure([0, 1], 4), (2,), (2, 4)),
        ([0, 1], [0.5, 0.5], (2,), (2,)),
        ([[0], [1]], sure([0, 1]), (2, 1), (2, 3)),
    ],
    ids=["no rows", "another count", "another width", "no matrix", "column"],
)
def test_shapes_that_disagree_are_refused(
    true: Any, probabilities: Any, true_shape: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    with pytest.raises(DataError) as error:
        evaluate_labels(true, probabilities, ABC)
    assert str(error.value) == (
        f"The shapes of predictions and true labels do not match: true={true_shape}, "
        f"probabilities={shape}, "
        f"unsure={shape[:1]}. Expected true (n,), probabilities (n, 3), unsure (n,), n at least 1."
    )


def test_a_single_number_as_truth_is_refused_as_data() -> None:
    with pytest.raises(DataError, match=r"Expected true \(n,\)"):
        evaluate_labels(1, sure([0]), ABC)


@pytest.mark.parametrize("unsure", [[True], [True, False, True], [[True], [False]]], ids=str)
def test_unsure_rows_that_are_not_those_of_the_truth_are_refused_as_data(unsure: Any) -> None:
    with refused("E613", "unsure"):
        evaluate_labels([0, 1], sure([0, 1]), ABC, unsure=unsure)


@pytest.mark.parametrize("true", [[0.0, 1.0], [True, False], ["a", "b"]], ids=str)
def test_truth_that_is_not_label_codes_is_refused(true: Any) -> None:
    with pytest.raises(DataError) as error:
        evaluate_labels(true, sure([0, 1]), ABC)
    assert str(error.value) == (
        f"A true code has no label: dtype='{np.asarray(true).dtype}', lowest=None, highest=None. "
        "Expected whole numbers from 0 to 2."
    )


@pytest.mark.parametrize("code", [-1, 3, 77])
def test_a_code_without_a_label_is_refused_and_shown(code: int) -> None:
    with pytest.raises(DataError) as error:
        evaluate_labels([0, code], sure([0, 1]), ABC)
    assert str(error.value).startswith("A true code has no label: ")
    assert "Expected whole numbers from 0 to 2." in str(error.value)
    found, _, _ = str(error.value).partition(" Expected")
    assert f"={code}" in found, "the message does not say which code was found"


@pytest.mark.parametrize(
    "row",
    [[0.5, 0.5, 0.1], [0.2, 0.2, 0.2], [1.5, -0.5, 0.0], [math.nan, 0.5, 0.5], [0, 0, math.inf]],
    ids=str,
)
def test_a_row_that_is_not_a_distribution_is_refused(row: list[float]) -> None:
    rows = np.array([[1, 0, 0], row, [9, 9, 9]], np.float64)
    with pytest.raises(DataError) as error:
        evaluate_labels([0, 1, 2], rows, ABC)
    assert str(error.value) == (
        f"The array does not contain probabilities: row=1, sum={float(np.sum(row))}. "
        "Expected rows >= 0 that sum to 1 within 1e-4."
    )


def test_rounding_to_float32_is_accepted() -> None:
    true, p = random_answers(50, 3)
    result = evaluate_labels(true, p.astype(np.float32), ABC)
    assert result.accuracy == evaluate_labels(true, p, ABC).accuracy


# Scores themselves


@pytest.mark.parametrize("name", ["value", "low", "high"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_score_is_finite(name: str, number: float) -> None:
    with pytest.raises(ValidationError, match="a finite number") as error:
        Score(**{"value": 0.5, "low": 0.4, "high": 0.6, name: number})
    assert [detail["loc"] for detail in error.value.errors()] == [(name,)]


def test_a_score_is_shown_with_its_interval_and_is_a_number() -> None:
    score = Score(value=0.9881, low=0.98579, high=0.99004)
    assert str(score) == repr(score) == "0.9881 [0.9858, 0.9900]"
    assert float(score) == 0.9881


# Beside the baseline


def test_the_verdict_is_a_paired_test_against_the_most_frequent_label() -> None:
    true = [0] * 70 + [1] * 30
    better = evaluate_labels(true, sure(true), ABC)
    assert (better.better_than_baseline, better.beats_baseline) == ("better", True)
    assert better.verdict == "Better than always answering 'a'."
    same = evaluate_labels(true, sure([0] * 100), ABC)
    assert (same.better_than_baseline, same.beats_baseline) == ("not distinguishable", False)
    assert same.verdict == (
        "Not shown to be right more often than always answering 'a': within chance on these rows."
    )
    worse = evaluate_labels(true, sure([1] * 100), ABC)
    assert (worse.better_than_baseline, worse.beats_baseline) == ("worse", False)
    assert worse.verdict == "Right less often than always answering 'a'."


def test_five_rows_more_are_not_yet_better_and_six_are() -> None:
    # Exact two-sided McNemar: 2 / 2**5 = 0.0625, 2 / 2**6 = 0.031.
    for won, verdict in ((5, "not distinguishable"), (6, "better")):
        true = [0] * 50 + [1] * won
        assert evaluate_labels(true, sure(true), ABC).better_than_baseline == verdict


# Two labels


YES_NO = ("no", "yes")


def two(yes: list[float]) -> Floats:
    return np.stack([1 - np.array(yes), yes], axis=1)


def test_of_two_labels_the_rarer_one_is_positive_of_equals_the_second() -> None:
    def positive(true: list[int]) -> str | None:
        return evaluate_labels(true, two([0.5] * len(true)), YES_NO).positive

    assert positive([0, 0, 1]) == "yes"
    assert positive([0, 1, 1]) == "no"
    assert positive([0, 1]) == "yes"


def test_the_positive_label_is_ranked_by_its_own_probability() -> None:
    true, p = [0, 0, 0, 1, 1], two([0.1, 0.6, 0.4, 0.5, 0.9])
    result = evaluate_labels(true, p, YES_NO)
    assert result.average_precision
    assert result.average_precision.value == pytest.approx((1 + 2 / 3) / 2)
    other = evaluate_labels(true, p, YES_NO, positive="no", recall=0.5)
    # By probability of "no": no, no, yes, no, yes.
    assert other.average_precision
    assert other.average_precision.value == pytest.approx((1 + 1 + 3 / 4) / 3)
    at = other.precision_at_recall
    assert at
    assert (at.recall, at.precision.value, at.threshold) == pytest.approx((0.5, 1, 0.6))


def test_with_more_labels_there_is_no_positive_one() -> None:
    result = evaluate_labels([0, 1], sure([0, 1]), ABC)
    assert (result.positive, result.average_precision, result.precision_at_recall) == (None,) * 3
    assert (result.threshold, result.of_positive) == (None, None)


def test_without_a_positive_row_there_is_no_ranking() -> None:
    result = evaluate_labels([0, 0], two([0.1, 0.2]), YES_NO)
    assert (result.positive, result.average_precision, result.precision_at_recall) == (
        "yes", None, None,
    )  # fmt: skip
    assert result.of_positive and result.of_positive.n == 0


def test_answers_by_a_threshold_decide_everything_but_the_ranking() -> None:
    true, p = [0, 0, 0, 1, 1], two([0.1, 0.2, 0.3, 0.4, 0.9])
    plain = evaluate_labels(true, p, YES_NO)
    moved = evaluate_labels(true, p, YES_NO, decision=("yes", 0.25))
    assert (plain.threshold, moved.threshold) == (None, 0.25)
    assert plain.confusion == ((3, 0), (1, 1))
    assert moved.confusion == ((2, 1), (0, 2))
    assert moved.accuracy == wilson(4, 5)
    assert moved.of_positive and moved.of_positive.recall == wilson(2, 2)
    assert moved.of_positive.f1 and moved.of_positive.f1.value == pytest.approx(4 / 5)
    assert moved.log_loss.value == plain.log_loss.value
    assert moved.average_precision and plain.average_precision
    assert moved.average_precision.value == plain.average_precision.value
    # Stated with 0.9, 0.8, 0.3 (wrong), 0.4 and 0.9: each in another bin but the two 0.9.
    stated, right = np.array([0.9, 0.8, 0.3, 0.4, 0.9]), [True, True, False, True, True]
    assert moved.calibration_error.value == pytest.approx(expected_calibration_error(stated, right))
    assert Evaluation.model_validate_json(moved.model_dump_json()) == moved


def test_answers_that_cost_accuracy_may_still_rank_well_and_the_verdict_says_so() -> None:
    rng = np.random.default_rng(0)
    true = rng.random(2000) < 0.05
    p = two((1 / (1 + np.exp(3 - rng.normal(size=2000) - 2 * true))).tolist())
    result = evaluate_labels(true.astype(int), p, YES_NO, decision=("yes", 0.0))
    assert result.verdict == (
        "Right less often than always answering 'no'. "
        "Its ranking knows more about 'yes' than chance."
    )
    blind = evaluate_labels(true.astype(int), two([0.4] * 2000), YES_NO)
    assert blind.verdict.endswith("Its ranking is not shown to know more about 'yes' than chance.")


@pytest.mark.parametrize(
    ("labels", "others", "text"),
    [
        (
            YES_NO, {"positive": "yess"},
            ("There is no such positive label: positive='yess'. Expected one of no, yes. "
            "Did you mean 'yes'?"),
        ),
        (
            ABC, {"positive": "a"},
            ("There is no such positive label: positive='a'. Expected two labels, of "
            "which one is positive."),
        ),
        (ABC, {"decision": ("a", 0.5)}, "A threshold needs two labels: n_labels=3."),
        (YES_NO, {"recall": 0}, ("The recall is out of range: recall=0. Expected a share "
        "in (0, 1].")),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused(
    labels: tuple[str, ...], others: dict[str, Any], text: str
) -> None:
    with pytest.raises(DataError) as error:
        evaluate_labels([0, 1], sure([0, 1], len(labels)), labels, **others)
    assert str(error.value).startswith(text)


def test_the_calibration_error_before_is_that_of_the_raw_probabilities() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (500, 4))
    raw = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(4, p=row) for row in raw**0.5 / (raw**0.5).sum(axis=1)[:, None]])
    cool = raw**0.5 / (raw**0.5).sum(axis=1, keepdims=True)  # a temperature of 2
    measured = evaluate_labels(y, cool, ("a", "b", "c", "d"), temperature=2.0)
    before = evaluate_labels(y, raw, ("a", "b", "c", "d"))
    assert measured.calibration_error_before is not None
    assert measured.calibration_error_before.value == pytest.approx(before.calibration_error.value)
    assert measured.calibration_error.value < before.calibration_error.value / 2
    assert before.calibration_error_before is None
