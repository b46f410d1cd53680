"""Strangers are drawn in the form of the training pictures, and a small network tells them."""

import string

import numpy as np
import pytest

import tenfold
from tenfold.build.novelty import fit_strangeness
from tenfold.build.strangers import (
    PENS,
    SIGNS,
    bent,
    draw_strangers,
    signs_without,
)
from tenfold.core.contract import ImageInput

MNIST = tenfold.load("mnist")
DIGITS = tuple("0123456789")


@pytest.mark.parametrize(
    ("accepted", "mean"),
    [
        (ImageInput(height=28, width=28), (10, 80)),
        (ImageInput(height=20, width=36, background="light"), (150, 245)),
        (ImageInput(height=12, width=12, channels=3, crop="centre"), (100, 150)),
    ],
)
def test_strangers_have_the_form_of_the_training(
    accepted: ImageInput, mean: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (400, *accepted.shape)).astype(np.uint8)
    y = np.arange(400) % 10
    drawn = draw_strangers(images, y, accepted, DIGITS, rng)
    assert drawn.dtype == np.uint8 and drawn.shape[1:] == accepted.shape
    assert 390 <= len(drawn) <= 400  # pairs of one label are left out
    assert mean[0] < drawn.mean() < mean[1]
    again = draw_strangers(images, y, accepted, DIGITS, np.random.default_rng(1))
    same = draw_strangers(images, y, accepted, DIGITS, np.random.default_rng(1))
    np.testing.assert_array_equal(again, same)


def test_letters_that_are_labels_are_no_strangers() -> None:
    assert len(signs_without(DIGITS)) == len(SIGNS) * len(PENS)
    assert len(signs_without(string.ascii_uppercase)) == (len(SIGNS) - 52) * len(PENS)


def test_a_small_network_tells_strangers_it_never_saw() -> None:
    rng = np.random.default_rng(0)
    images, y = MNIST.x[:2000], MNIST.y[:2000]
    accepted = ImageInput(height=28, width=28)
    strangers = draw_strangers(images, y, accepted, DIGITS, rng)
    strangeness = fit_strangeness(bent(images, rng), strangers)
    fresh = draw_strangers(MNIST.x[3000:3400], MNIST.y[3000:3400], accepted, DIGITS, rng)
    of_digits, of_fresh = strangeness.of(MNIST.x[3000:3400]), strangeness.of(fresh)
    assert (of_fresh[:, None] > of_digits).mean() > 0.85
    rows = MNIST.x[:50].reshape(50, -1) / np.float32(255)
    np.testing.assert_allclose(strangeness.of(rows), strangeness.of(MNIST.x[:50]), rtol=1e-5)
