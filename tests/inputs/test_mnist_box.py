"""The fit to the MNIST box, on synthetic paper and on real handwriting where it is at hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import tenfold
from tenfold import Dataset
from tenfold.inputs.pictures import mnist_box
from tenfold.inputs.pictures.decode import read_picture
from tests.support.errors import refused
from tests.support.paper import CONDITIONS, Paper, blank, on_paper, outlined

HANDWRITING = Path(tenfold.__file__).parents[2].parent / "shared" / "data" / "handwriting"
DIGITS = tenfold.load("mnist").x[:40]


def alike(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Cosine of two pictures, the best over shifts by one pixel: 1 for the same."""
    x = a.astype(float).ravel()
    shifts = [np.roll(b, (dy, dx), (0, 1)).ravel() for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return float(max(x @ y / np.linalg.norm(x) / np.linalg.norm(y.astype(float)) for y in shifts))


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_digit_on_any_paper_fits_as_on_none(name: str) -> None:
    paper = CONDITIONS[name]
    scores = []
    for seed, digit in enumerate(DIGITS[:7]):
        clean = mnist_box.to_box(outlined(digit, 200, paper.pen).astype(np.float32))
        fit = mnist_box.fit(on_paper(digit, paper, seed))
        assert fit.polarity == ("light on dark" if paper.light_on_dark else "dark on light")
        scores.append(alike(fit.image, clean))
    assert np.median(scores) > 0.95, scores
    assert min(scores) > 0.8, scores


def test_an_mnist_image_comes_out_nearly_itself(mnist: Dataset) -> None:
    before = mnist.x[:300]
    after = np.array([mnist_box.fit(image).image for image in before])
    assert np.abs(after.astype(int) - before).mean() < 1.5  # grey levels of 255
    assert np.median([alike(a, b) for a, b in zip(after, before, strict=True)]) > 0.995


def test_the_box_is_the_one_of_mnist() -> None:
    for digit in DIGITS:
        image = mnist_box.fit(on_paper(digit, Paper())).image
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
        total = image.sum(dtype=float)
        centre = [(image.sum(1 - axis) * np.arange(28)).sum() / total for axis in (0, 1)]
        assert np.allclose(centre, 14, atol=0.6)
        assert image.dtype == np.uint8 and image.max() == 255


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 39), st.sampled_from(sorted(CONDITIONS)), st.integers(0, 9))
def test_the_inverted_picture_gives_the_same(digit: int, name: str, seed: int) -> None:
    picture = on_paper(DIGITS[digit], CONDITIONS[name], seed)
    assert np.array_equal(mnist_box.fit(picture).image, mnist_box.fit(255 - picture).image)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 39), st.integers(0, 60), st.integers(0, 60))
def test_where_the_digit_stands_does_not_matter(digit: int, down: int, across: int) -> None:
    picture = on_paper(DIGITS[digit], Paper(px=(120, 120), digit=0.5, ground=255))
    drawn = picture[25:95, 25:95]
    moved = np.full((160, 160), 255, np.uint8)
    moved[10 + down : 80 + down, 10 + across : 80 + across] = drawn
    assert alike(mnist_box.fit(moved).image, mnist_box.fit(picture).image) > 0.98


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 39), st.integers(0, 200))
def test_a_margin_does_not_matter(digit: int, margin: int) -> None:
    picture = on_paper(DIGITS[digit], Paper(px=(150, 130), digit=0.8))
    wider = np.pad(picture, margin, constant_values=225)
    assert alike(mnist_box.fit(wider).image, mnist_box.fit(picture).image) > 0.98


def test_the_box_on_the_picture_is_in_its_own_pixels() -> None:
    paper = Paper(px=(1500, 1100), digit=0.4, at=(0.25, 0.75))
    x, y, width, height = mnist_box.fit(on_paper(DIGITS[0], paper)).box
    drawn = outlined(DIGITS[0], 440)
    assert abs(x - 0.75 * (1100 - drawn.shape[1])) < 8
    assert abs(y - 0.25 * (1500 - drawn.shape[0])) < 8
    assert abs(width - drawn.shape[1]) < 16 and abs(height - drawn.shape[0]) < 16


def test_the_steps_are_shown() -> None:
    picture = on_paper(DIGITS[0], CONDITIONS["ruled"])
    fit = mnist_box.fit(picture)
    assert np.array_equal(fit.grey, picture)
    assert fit.ink.dtype == np.uint8 and fit.ink.shape == picture.shape
    x, y, width, height = fit.box
    outside = fit.ink.copy()
    outside[y : y + height, x : x + width] = 0
    assert fit.ink.max() == 255 and not outside.any()


def test_the_same_picture_fits_the_same_twice() -> None:
    picture = on_paper(DIGITS[3], CONDITIONS["a photo"])
    kept = picture.copy()
    assert np.array_equal(mnist_box.fit(picture).image, mnist_box.fit(picture).image)
    assert np.array_equal(picture, kept)


def test_strokes_of_a_broken_digit_stay_together() -> None:
    picture = np.full((200, 200), 230, np.uint8)
    picture[50:56, 80:130] = 30  # the bar of a 5, apart from its belly
    picture[64:150, 80:86] = 30
    picture[144:150, 80:120] = 30
    x, y, width, height = mnist_box.fit(picture).box
    assert (x, y) == (80, 50) and (width, height) == (50, 100)


def test_a_table_beside_the_paper_is_no_ink() -> None:
    picture = on_paper(DIGITS[0], Paper(at=(0.5, 0.7)))
    expected = mnist_box.fit(picture).image
    picture[:, :20] = 60
    assert alike(mnist_box.fit(picture).image, expected) > 0.98


@pytest.mark.parametrize(
    "paper",
    [
        Paper(),
        Paper(light_on_dark=True),
        Paper(noise=6),
        Paper(px=(900, 900), noise=25),
        Paper(gradient=120),
        Paper(shadow=0.5),
        Paper(vignette=0.6, noise=2),
        Paper(px=(28, 28)),
        Paper(px=(1, 1)),
        Paper(px=(1, 50)),
    ],
    ids=repr,
)
def test_nothing_drawn_is_said(paper: Paper) -> None:
    with refused("E321", r"contrast=.* \(empty.png\)"):
        mnist_box.fit(blank(paper), where="empty.png")


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((5, 5, 3), np.uint8),
        np.zeros((5, 5), np.float32),
        np.zeros((0, 5), np.uint8),
    ],
)
def test_what_is_no_grey_picture_is_refused(wrong: NDArray[np.generic]) -> None:
    with refused("E322", r"dtype='.*', shape=\(.*\) \(a.png\)"):
        mnist_box.fit(wrong, where="a.png")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_area_resampling_keeps_the_mean(height: int, width: int, new_h: int, new_w: int) -> None:
    x = np.random.default_rng(height).integers(0, 256, (height, width)).astype(np.float32)
    y = mnist_box.resize(x, new_h, new_w)
    assert y.shape == (new_h, new_w)
    assert np.isclose(y.mean(), x.mean(), rtol=1e-4)


def test_area_resampling_by_hand() -> None:
    x = np.array([[0, 3, 6]], np.float32)
    assert np.allclose(mnist_box.resize(x, 1, 2), [[1, 5]])  # (0 + 3/2) / 1.5, (3/2 + 6) / 1.5


def test_the_width_of_a_bar() -> None:
    bar = np.zeros((60, 200), np.float32)
    bar[20:30, 10:190] = 1
    # The outline of a level bar counts pi / 4 of its length: 12% wide of the truth at most.
    assert 10 < mnist_box.stroke_width(bar) < 13


def test_widening_by_a_disc() -> None:
    dot = np.zeros((1, 1), np.float32)
    dot[0, 0] = 1
    assert mnist_box.widen(dot, 0.4).shape == (1, 1)
    disc = mnist_box.widen(dot, 3)
    assert disc.shape == (7, 7)
    assert np.isclose(disc.sum(), np.pi * 9, rtol=0.08)  # r = 3, with a soft edge of half a pixel


def test_otsu_parts_two_heaps() -> None:
    x = np.r_[np.full(90, 10.0), np.full(10, 200.0)].astype(np.float32)
    assert 10 < mnist_box.otsu(x) < 200
    assert mnist_box.otsu(np.full(5, 7, np.float32)) == 7


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tenfold.Model:
    return tenfold.train("mnist", out=tmp_path_factory.mktemp("full")).model


@pytest.mark.slow
def test_mnist_loses_at_most_a_tenth_of_a_point(mnist: Dataset, trained: tenfold.Model) -> None:
    x, y = mnist.x[mnist.test_rows], mnist.y[mnist.test_rows]
    fitted = np.array([mnist_box.fit(image).image for image in x])
    before, after = (
        (trained.answer(part).outputs[0].argmax(1) == y).mean() for part in (x, fitted)
    )
    assert after >= before - 0.001


@pytest.mark.slow
def test_synthetic_paper_is_read(mnist: Dataset, trained: tenfold.Model) -> None:
    rows = mnist.test_rows[:60]
    for name, paper in CONDITIONS.items():
        pictures = [on_paper(mnist.x[row], paper, int(row)) for row in rows]
        fitted = np.array([mnist_box.fit(picture).image for picture in pictures])
        right = (trained.answer(fitted).outputs[0].argmax(1) == mnist.y[rows]).mean()
        assert right >= 0.9, name


@pytest.mark.slow
@pytest.mark.skipif(not HANDWRITING.is_dir(), reason="the pictures are not at hand")
def test_real_handwriting_is_read(trained: tenfold.Model) -> None:
    with (HANDWRITING / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["label"] != "sheet"]
    pictures = [read_picture(HANDWRITING / row["path"], at_least_px=640).pixels for row in rows]
    right = [
        trained.answer(mnist_box.fit(picture).image[None]).outputs[0].argmax() == int(row["label"])
        for picture, row in zip(pictures, rows, strict=True)
    ]
    assert len(right) == 40 and sum(right) >= 39


def test_a_large_photo_is_shrunk_by_whole_blocks_first() -> None:
    x = np.random.default_rng(0).integers(0, 256, (1300, 2600)).astype(np.uint8)
    small = mnist_box.shrink(x, 640)
    assert small.shape == (320, 640)
    exact = np.asarray(Image.fromarray(x).resize((650, 325), Image.Resampling.BOX), float)
    assert np.isclose(small.mean(), exact.mean(), atol=0.5)
