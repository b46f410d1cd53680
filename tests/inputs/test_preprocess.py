"""What a model sees of a picture file, and the steps that led there."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tenfold
from tenfold import Prediction, Run
from tenfold.core.contract import ImageInput
from tenfold.inputs.pictures import mnist_box
from tenfold.inputs.pictures.decode import ORIENTATION, PictureOptions
from tenfold.inputs.pictures.preprocess import centred, preprocess
from tests.support.errors import refused
from tests.support.paper import Paper, blank, on_paper

MNIST = tenfold.load("mnist")
DIGITS = ImageInput(height=28, width=28)


def test_the_steps_of_a_fit_are_those_of_the_box(tmp_path: Path) -> None:
    picture = on_paper(MNIST.x[7], Paper(gradient=60, noise=4))
    Image.fromarray(picture).save(tmp_path / "digit.png")
    steps, fit = preprocess(tmp_path / "digit.png", DIGITS), mnist_box.fit(picture)
    assert (steps.box, steps.polarity, steps.problem) == (fit.box, fit.polarity, None)
    np.testing.assert_array_equal(steps.image, fit.image)
    np.testing.assert_array_equal(steps.original, fit.grey)
    assert steps.ink is not None
    np.testing.assert_array_equal(steps.ink, fit.ink)


def test_the_box_is_in_pixels_of_a_file_that_was_shrunk(tmp_path: Path) -> None:
    small = on_paper(MNIST.x[7], Paper(px=(300, 360)))
    large = Image.fromarray(small).resize((360 * 8, 300 * 8))
    large.save(tmp_path / "large.jpg", quality=92)
    steps, fit = preprocess(tmp_path / "large.jpg", DIGITS), mnist_box.fit(small)
    assert steps.box is not None
    assert np.allclose(np.array(steps.box) / 8, fit.box, atol=2)


def test_a_blank_is_a_problem_and_no_error(tmp_path: Path) -> None:
    Image.fromarray(blank(Paper(noise=3))).save(tmp_path / "blank.png")
    steps = preprocess(tmp_path / "blank.png", DIGITS)
    assert steps.problem == "nothing is drawn on it"
    assert (steps.box, steps.polarity) == (None, None)
    assert steps.image.shape == (28, 28) and not steps.image.any()
    assert steps.ink is not None and steps.ink.shape == steps.original.shape


def test_several_digits_are_a_problem_that_names_the_way_out(tmp_path: Path) -> None:
    def trimmed(row: int) -> np.ndarray:
        x = MNIST.x[row]
        rows, columns = np.flatnonzero(x.any(axis=1)), np.flatnonzero(x.any(axis=0))
        return np.kron(x[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], np.ones((5, 5)))

    found = []
    for first in range(60_000, 60_040, 2):
        a, b = trimmed(first), trimmed(first + 1)
        page = np.full((140, a.shape[1] + b.shape[1] + 60), 255, np.uint8)
        page[20 : 20 + len(a), 20 : 20 + a.shape[1]] -= a.astype(np.uint8)
        page[20 : 20 + len(b), -20 - b.shape[1] : -20] -= b.astype(np.uint8)
        Image.fromarray(page).save(tmp_path / "two.png")
        found.append(preprocess(tmp_path / "two.png", DIGITS).problem)
    assert found == ["several digits stand side by side: `tenfold read` reads them"] * 20
    single = []
    for row in range(60_000, 60_100):
        Image.fromarray(on_paper(MNIST.x[row], Paper(gradient=40, noise=4))).save(
            tmp_path / "one.png"
        )
        single.append(preprocess(tmp_path / "one.png", DIGITS).problem)
    assert sum(problem is not None for problem in single) <= 1  # 1 of 200 measured


def test_the_turn_is_honoured_or_not(tmp_path: Path) -> None:
    picture = on_paper(MNIST.x[7], Paper())
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    upright, stale = (
        preprocess(tmp_path / "turned.png", DIGITS, PictureOptions(apply_exif=turn))
        for turn in (True, False)
    )
    assert upright.original.shape == stale.original.shape[::-1]
    np.testing.assert_array_equal(stale.image, mnist_box.fit(picture).image)


def test_a_model_of_another_size_says_that_it_cannot_fit_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    accepted = ImageInput(height=8, width=8)
    with refused("E323"):
        preprocess(path, accepted)
    assert preprocess(path, accepted, PictureOptions(fit_to_box=False)).image.shape == (8, 8)


def test_the_middle_is_cut_out_and_resized(tmp_path: Path) -> None:
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = (200, 100, 50)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    accepted = ImageInput(height=10, width=10, channels=3, crop="centre")
    steps = preprocess(tmp_path / "wide.png", accepted)
    assert (steps.image == (200, 100, 50)).all() and steps.image.shape == (10, 10, 3)
    assert steps.original.shape == (40, 100, 3)
    assert (steps.ink, steps.box, steps.polarity, steps.problem) == (None, None, None, None)


@given(*[st.integers(1, 40)] * 4, st.sampled_from([(), (3,)]))
def test_any_size_becomes_any_other(
    old_h: int, old_w: int, height: int, width: int, channels: tuple[int, ...]
) -> None:
    found = centred(np.full((old_h, old_w, *channels), 77, np.uint8), height, width)
    assert found.shape == (height, width, *channels) and (found == 77).all()


def test_what_has_the_size_already_stays_as_it_is() -> None:
    np.testing.assert_array_equal(centred(MNIST.x[3], 28, 28), MNIST.x[3])


def test_python_gives_the_same_steps(small_run: Run, tmp_path: Path) -> None:
    Image.fromarray(on_paper(MNIST.x[7], Paper())).save(tmp_path / "digit.png")
    answer = small_run.model.predict_one(tmp_path / "digit.png")
    assert isinstance(answer, Prediction) and answer.steps is not None and answer.image is not None
    np.testing.assert_array_equal(answer.steps.image, answer.image)
    array = small_run.model.predict_one(answer.image)
    assert isinstance(array, Prediction) and array.steps is None
