"""Validation rows choose, and calibrate only what they did not choose."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold.core.conformal import conformal_half_width
from tenfold.core.progress import Listener
from tenfold.core.settings import resolve
from tenfold.learners import LEARNERS
from tenfold.learners.choice import PARTS, Choice, row_losses, softmax, validation_parts
from tenfold.learners.job import Examples, Fitted, TrainingJob


def chosen(answers: NDArray[np.float32], y: NDArray[np.float32]) -> Choice:
    """The choice among candidates (n_candidates, n)."""
    choice = Choice(Examples(np.zeros((len(y), 1), np.float32), y), y.shape)
    for candidate in answers:
        choice.offer(candidate, row_losses(candidate, y))
    return choice


@given(st.integers(1, 400), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_row_has_no_say_in_what_answers_it(n: int, n_candidates: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n).astype(np.float32)
    answers = rng.normal(size=(n_candidates, n)).astype(np.float32)
    found, part_of = chosen(answers, y).answers, validation_parts(n)
    for part in range(PARTS):
        own = part_of == part
        squares = ((answers[:, ~own].astype(np.float64) - y[~own]) ** 2).sum(axis=1)
        np.testing.assert_array_equal(found[own], answers[squares.argmin(), own])
        other_truth = np.where(own, y + 100, y).astype(np.float32)
        np.testing.assert_array_equal(chosen(answers, other_truth).answers[own], found[own])


def test_rows_of_a_single_group_are_cut_like_rows_without_groups() -> None:
    assert (validation_parts(100, np.zeros(100, np.int64)) == validation_parts(100)).all()
    two = validation_parts(100, np.arange(100) // 50)
    assert two.tolist() == [0] * 50 + [1] * 50


@given(st.integers(1, 5_000))
def test_parts_are_of_about_one_size_and_neighbours_stay_together(n: int) -> None:
    counts = np.bincount(validation_parts(n), minlength=PARTS)
    assert counts.max() - counts.min() <= max(1, n // 50)
    assert len(validation_parts(n)) == n
    assert (np.diff(validation_parts(n)) != 0).sum() <= max(n // max(1, n // 50), PARTS)


def test_rows_without_weight_choose_nothing() -> None:
    y = np.zeros(10, np.float32)
    weight = np.r_[np.ones(5), np.zeros(5)].astype(np.float32)
    choice = Choice(Examples(np.zeros((10, 1), np.float32), y, weight), (10,))
    for answers in (np.r_[np.ones(5), np.zeros(5)], np.r_[np.zeros(5), np.full(5, 9.0)]):
        choice.offer(answers, row_losses(answers, y))
    np.testing.assert_array_equal(choice.answers, np.r_[np.zeros(5), np.full(5, 9.0)])


def test_intervals_hold_though_the_rows_chose() -> None:
    """Sixty candidates that are all alike: what 40 rows choose looks better on them than it is."""
    rng = np.random.default_rng(0)
    held = {"judged": 0.0, "chosen": 0.0}
    for _ in range(300):
        y = np.zeros(40, np.float32)
        answers = rng.normal(size=(60, 40)).astype(np.float32)
        best = answers[(answers**2).sum(axis=1).argmin()]
        for name, seen in (("judged", chosen(answers, y).answers), ("chosen", best)):
            width = conformal_half_width(y, seen)
            held[name] += (np.abs(rng.normal(size=2_000)) <= width).mean() / 300
    assert 0.88 < held["judged"] < 0.92
    assert held["chosen"] < 0.82


def test_the_softmax_of_logits() -> None:
    np.testing.assert_allclose(softmax(np.log([[1.0, 3.0]])), [[0.25, 0.75]])
    assert softmax(np.array([[1e4, 0.0]], np.float32)).tolist() == [[1.0, 0.0]]
    np.testing.assert_allclose(row_losses(np.array([[0.25, 0.75]]), np.array([1])), -np.log(0.75))


def test_learners_say_what_their_validation_rows_did_not_choose() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=90) > 0).astype(np.int64)
    train, held = Examples(x[:60], y[:60]), Examples(x[60:], y[60:])

    def fitted(learner: str, **asked: object) -> Fitted:
        settings = resolve({"learner": learner, **asked}, table=True)
        return LEARNERS[learner].fit(TrainingJob(train, held, 2, settings, Listener()))

    assert fitted("logistic", penalty=1.0).judged is None
    assert fitted("network", hidden=(4,), epochs=1, patience=None).judged is None
    one_epoch = fitted("network", hidden=(4,), epochs=1)
    assert one_epoch.judged is not None
    np.testing.assert_allclose(one_epoch.judged, one_epoch.answers(held.x), atol=1e-6)
    for learner in ("logistic", "neighbors"):
        judged = fitted(learner).judged
        assert judged is not None and judged.shape == (30, 2), learner
        np.testing.assert_allclose(judged.sum(axis=1), 1, atol=1e-6)


def test_a_small_probability_of_one_of_two_labels_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    y = (x[:, 0] + 0.1 * rng.normal(size=200) > 0).astype(np.int64)
    settings = resolve({"learner": "logistic", "penalty": 0.001}, table=True)
    fitted = LEARNERS["logistic"].fit(TrainingJob(Examples(x, y), None, 2, settings, Listener()))
    model: Any = fitted.body
    score = x.astype(np.float64) @ model.estimator.coef_[0] + model.estimator.intercept_[0]
    exact = 1 / (1 + np.exp(score))  # of the first label
    assert exact.min() < 1e-6
    np.testing.assert_allclose(fitted.answers(x)[:, 0], exact, rtol=1e-6, atol=1e-15)
