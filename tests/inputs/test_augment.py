"""Bent pictures: the maps do what their ranges say, and only they."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold.core.settings import Settings
from tenfold.inputs.pictures.augment import BLOCK, augment, has_distortions

STILL = Settings(shift_px=0)


def ranges(**asked: float) -> Settings:
    return STILL.model_copy(update=asked)


def bent(images: NDArray[np.uint8], seed: int = 0, /, **asked: float) -> NDArray[np.uint8]:
    return augment(images, ranges(**asked), np.random.default_rng(seed))


@pytest.fixture
def blobs() -> NDArray[np.uint8]:
    """A bright square of 8x8 in the middle of each picture."""
    images = np.zeros((3 * BLOCK + 5, 28, 28), np.uint8)
    images[:, 10:18, 10:18] = 200
    return images


@given(
    st.tuples(st.integers(1, 40), st.integers(8, 20), st.integers(8, 20)),
    st.booleans(),
    st.integers(0, 9),
)
def test_without_ranges_nothing_changes(
    shape: tuple[int, int, int], is_colour: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (*shape, 3) if is_colour else shape, np.uint8)
    np.testing.assert_array_equal(bent(images, seed), images)


def test_a_block_shares_a_map_and_the_next_has_another(blobs: NDArray[np.uint8]) -> None:
    moved = bent(blobs, rotate_degrees=20, zoom=0.2, shear=0.2, elastic_px=1)
    for start in range(0, len(blobs), BLOCK):
        block = moved[start : start + BLOCK]
        assert (block == block[0]).all()
    assert len(np.unique(moved[::BLOCK], axis=0)) == 4


def test_a_move_keeps_the_square_and_stays_in_its_range(blobs: NDArray[np.uint8]) -> None:
    moved = bent(blobs, shift_px=3).astype(float)
    rows, columns = np.mgrid[:28, :28]
    mass = moved.sum(axis=(1, 2))
    for place in (rows, columns):
        centre = (moved * place).sum(axis=(1, 2)) / mass
        assert (np.abs(centre - 13.5) <= 3.01).all() and centre.std() > 0.3
    np.testing.assert_allclose(mass, 64 * 200, rtol=0.01)


def test_larger_pictures_move_in_proportion() -> None:
    images = np.zeros((BLOCK * 30, 56, 56), np.uint8)
    images[:, 20:36, 20:36] = 200
    moved = bent(images, shift_px=3).astype(float)
    centre = (moved * np.arange(56)).sum(axis=(1, 2)) / moved.sum(axis=(1, 2))
    assert 4 < np.abs(centre - 27.5).max() <= 6.01


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        ({"zoom": 0.3}, (1 / 1.3) ** 2, (1 / 0.7) ** 2),
        ({"thicken": 0.9}, 0.55, 1.55),
        ({"contrast": 0.5}, 0.5, 1.0),
    ],
)
def test_how_much_ink_there_may_be(
    blobs: NDArray[np.uint8], asked: dict[str, float], low: float, high: float
) -> None:
    images = np.repeat(blobs[:1], 60 * BLOCK, axis=0)
    share = bent(images, **asked).sum(axis=(1, 2)) / blobs[0].sum()
    assert low - 0.06 <= share.min() < share.max() <= high + 0.06  # pixels are whole
    assert share.max() - share.min() > 0.3 * (high - low)


def test_a_turn_keeps_distances_and_a_slant_does_not(blobs: NDArray[np.uint8]) -> None:
    images = np.zeros((40 * BLOCK, 28, 28), np.uint8)
    images[:, 13:15, 4:24] = 255  # a bar
    rows, columns = np.mgrid[:28, :28] - 13.5

    def angles(moved: NDArray[np.uint8]) -> Any:
        m = moved.astype(float)
        xy = (m * rows * columns).sum(axis=(1, 2))
        xx, yy = (m * columns**2).sum(axis=(1, 2)), (m * rows**2).sum(axis=(1, 2))
        return np.rad2deg(np.arctan2(2 * xy, xx - yy) / 2)

    turned = angles(bent(images, rotate_degrees=15))
    assert 10 < np.abs(turned).max() <= 15.5
    assert np.abs(angles(bent(images, shear=0.3))).max() < 1  # a slant leaves the level level


def test_what_comes_from_beyond_an_edge_is_that_edge() -> None:
    images = np.full((BLOCK, 12, 12, 3), (10, 20, 30), np.uint8)
    moved = bent(images, shift_px=8, rotate_degrees=45, zoom=0.5, elastic_px=2)
    assert (moved == images).all()


def test_the_seed_decides(blobs: NDArray[np.uint8]) -> None:
    asked = {"rotate_degrees": 10.0, "elastic_px": 1.0, "thicken": 0.5, "contrast": 0.3}
    np.testing.assert_array_equal(bent(blobs, 1, **asked), bent(blobs, 1, **asked))
    assert (bent(blobs, 1, **asked) != bent(blobs, 2, **asked)).any()


def test_moving_by_whole_pixels_is_no_bend() -> None:
    assert not has_distortions(Settings(shift_px=2))
    for name in ("rotate_degrees", "zoom", "shear", "elastic_px", "thicken", "contrast"):
        assert has_distortions(ranges(**{name: 0.1}))
