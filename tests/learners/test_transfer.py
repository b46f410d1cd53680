"""The learner `transfer` on features that are made up, and the views of photos that it fits to."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.core.progress import Listener
from tenfold.core.settings import resolve
from tenfold.learners import transfer
from tenfold.learners.choice import row_losses
from tenfold.learners.job import Examples, Fitted, TrainingJob
from tenfold.learners.transfer import fit_transfer
from tenfold.learners.views import VIEWS, View, with_views

N_FEATURES = 30


def rows(n: int, seed: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features around a place of each of two labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = np.where(y[:, None] == 1, 0.4, -0.4) + noise * rng.normal(size=(n, N_FEATURES))
    return x.astype(np.float32), y


def fitted(views: NDArray[np.float32], flip: bool | None = None) -> Fitted:
    """Of 40 rows with such views."""
    train = Examples(*rows(40, 0), views=views)
    settings = resolve({"learner": "transfer", "flip": flip, "penalty": 1.0})
    return fit_transfer(TrainingJob(train, Examples(*rows(10, 1)), 2, settings, Listener()))


def copies(seed: int, *, is_other_mirrored: bool = False) -> NDArray[np.float32]:
    """Views (40, 5, d) with a chance of their own; mirrored ones may look like the other label."""
    x = [rows(40, 100 * seed + number, 1.0 if number else 0.3)[0] for number in range(5)]
    if is_other_mirrored:
        x[0] *= -1
    return np.stack(x, axis=1)


@pytest.mark.parametrize(
    ("flip", "is_other_mirrored", "best"),
    [
        (None, False, "mirrored and cropped"),
        (None, True, "cropped"),
        (False, False, "cropped"),
        (True, False, "mirrored and cropped"),
    ],
)
def test_views_are_taken_where_they_help(
    flip: bool | None, is_other_mirrored: bool, best: str
) -> None:
    views = copies(3, is_other_mirrored=is_other_mirrored)
    note = fitted(views, flip).note or ""
    assert f"; fitted to {best} copies of the photos too, by the log loss" in note
    assert (
        "(as requested, always mirrored)" in note,
        "(as requested, never mirrored)" in note,
    ) == (
        flip is True,
        flip is False,
    )
    assert ("mirrored and cropped" in note) == (flip is not False)


def test_views_that_say_nothing_are_left() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 5, N_FEATURES)).astype(np.float32)
    assert "; copies of the photos do not lower the log loss" in (fitted(3 * noise).note or "")


def test_views_count_together_what_their_row_counts() -> None:
    x, y = rows(6, 0)
    views = copies(1)[:6]
    weight = np.arange(6, dtype=np.float32)
    joined = with_views(Examples(x, y, weight, views=views), (0, 3))
    assert joined.views is None and joined.x.shape == (18, N_FEATURES)
    np.testing.assert_allclose(joined.weights.reshape(3, 6).sum(axis=0), weight, rtol=1e-6)
    np.testing.assert_array_equal(joined.y, np.tile(y, 3))
    np.testing.assert_array_equal(joined.x[12:], views[:, 3])
    plain = with_views(Examples(x, y, weight, views=views), ())
    np.testing.assert_array_equal(plain.x, x)


def test_views_are_parts_of_the_square_in_the_middle() -> None:
    image = np.arange(10 * 14 * 3, dtype=np.uint8).reshape(10, 14, 3)
    square = image[:, 2:12]
    np.testing.assert_array_equal(VIEWS[0].of(image), square[:, ::-1])
    np.testing.assert_array_equal(View(0.8, 0, 0).of(image), square[:8, :8])
    np.testing.assert_array_equal(View(0.8, 1, 0).of(image), square[:8, 2:])
    np.testing.assert_array_equal(View(0.8, 0, 1).of(image), square[2:, :8])
    assert View(0.8).of(image[:1, :1]).shape == (1, 1, 3)


def test_copies_of_a_photo_do_not_answer_for_each_other() -> None:
    x, y = rows(40, 0)
    twice, group = np.repeat(np.arange(40), 2), np.repeat(np.arange(40), 2)
    settings = resolve({"learner": "transfer", "penalty": 1e-4})
    shares = []
    for copied in (None, group):
        train = Examples(x[twice], y[twice], group=copied)
        own = TrainingJob(train, Examples(*rows(10, 1)), 2, settings, Listener())
        cross = fit_transfer(own).cross
        assert cross is not None
        shares.append(float((cross.answers.argmax(axis=1) == y[twice]).mean()))
        if copied is not None:
            assert (cross.part_of[::2] == cross.part_of[1::2]).all()
    assert shares[0] == 1.0 > shares[1]  # copies know the answer


@pytest.mark.parametrize("n_of_rare", [1, 2, 3])
def test_a_rare_label_does_not_prevent_the_calibration_of_others(n_of_rare: int) -> None:
    x, y = rows(40, 0)
    x, y = np.concatenate([x, 3 - x[:n_of_rare]]), np.concatenate([y, np.full(n_of_rare, 2)])
    # A copy is no second photo.
    twice = np.append(np.arange(len(y)), len(y) - 1)
    settings = resolve({"learner": "transfer", "penalty": 1.0})
    train = Examples(x[twice], y[twice], group=twice)
    fit = fit_transfer(TrainingJob(train, Examples(*rows(10, 1)), 3, settings, Listener()))
    assert fit.cross is not None
    counts = np.bincount(fit.cross.rows.y, minlength=3)
    assert counts.tolist() == [20, 20, 0 if n_of_rare == 1 else n_of_rare + 1]
    assert sorted(np.unique(fit.cross.part_of)) == [0, 1, 2, 3, 4]
    assert fit.answers(x[-1:]).argmax() == 2
    np.testing.assert_allclose(fit.cross.answers.sum(axis=1), 1, rtol=1e-5)


def test_one_label_alone_does_not_calibrate_and_that_is_said() -> None:
    x, y = rows(40, 0)
    some = np.append(np.flatnonzero(y == 0), 1)  # one row of the other label
    settings = resolve({"learner": "transfer", "penalty": 1.0})
    train = Examples(x[some], y[some])
    fit = fit_transfer(TrainingJob(train, Examples(*rows(10, 1)), 2, settings, Listener()))
    assert fit.cross is None
    assert (fit.note or "").endswith(
        "; calibrated on only 10 validation photos, because fewer than two labels have two "
        "training photos"
    )


def job(*, refit: bool = False, **settings: float) -> TrainingJob:
    """Of 40 training and 10 validation rows."""
    train, held = Examples(*rows(40, 0)), Examples(*rows(10, 1))
    resolved = resolve({"learner": "transfer", **settings})
    return TrainingJob(train, held, 2, resolved, Listener(), refit=refit)


def test_cross_validation_chooses_the_penalty() -> None:
    fit = fit_transfer(job())
    assert (fit.note or "").startswith("L2 penalty ") and "by cross-validation" in (fit.note or "")
    assert fit.cross is not None and len(fit.cross.answers) == 40 and fit.judged is None
    weak = fit_transfer(job(penalty=1e-3))
    assert weak.note == "L2 penalty 0.001" and weak.cross is not None
    losses = [row_losses(one.answers, one.rows.y).mean() for one in (fit.cross, weak.cross)]
    assert losses[0] < losses[1]


def test_validation_rows_are_fitted_to_where_they_may_be() -> None:
    fit = fit_transfer(job(refit=True))
    assert fit.cross is not None and fit.judged is not None
    assert fit.cross.answers.shape == (50, 2)
    # Each is predicted by a fit without it.
    np.testing.assert_array_equal(fit.judged, fit.cross.answers[40:])
    assert np.abs(fit.judged - fit.answers(rows(10, 1)[0])).max() > 0.01
    assert len(np.unique(fit.cross.part_of[40:])) > 1


def test_a_validation_row_whose_label_has_no_other_is_judged_as_unknown() -> None:
    x, y = rows(10, 1)
    held = Examples(x, np.append(y[:-1], 2))
    settings = resolve({"learner": "transfer", "penalty": 1.0})
    train = Examples(*rows(40, 0))
    fit = fit_transfer(TrainingJob(train, held, 3, settings, Listener(), refit=True))
    assert fit.judged is not None and fit.judged.shape == (10, 3)
    assert (fit.judged[-1] == 0).all() and fit.answers(x[-1:]).argmax() == 2


def test_many_rows_leave_the_choice_to_the_validation_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_CROSSED", 49)
    fit = fit_transfer(job(refit=True))
    assert "chosen on the validation rows" in (fit.note or "")
    assert fit.judged is not None and fit.cross is not None and len(fit.cross.answers) == 40
