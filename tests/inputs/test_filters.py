"""The filters of pictures are those of SciPy's `ndimage`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tenfold.inputs.pictures import filters, mnist_box

sides = st.integers(1, 24)
sizes = st.integers(1, 60)  # also larger than the picture
seeds = st.integers(0, 2**32 - 1)


@given(sides | st.integers(150, 160), sides | st.integers(150, 160), sizes, seeds)
def test_the_mean_is_scipys(height: int, width: int, half: int, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    size = 2 * half + 1
    expected = ndimage.uniform_filter(x, size, mode="reflect")
    mean = filters.mean_filter(x, size)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, expected, rtol=1e-6)


@given(sides, sides, sizes, seeds, st.sampled_from([0, 1]), st.sampled_from([None, 0, 7]))
def test_the_largest_and_the_smallest_are_scipys(
    height: int, width: int, size: int, seed: int, axis: int, outside: int | None
) -> None:
    x = np.random.default_rng(seed).integers(0, 10, (height, width))
    mode, cval = ("reflect", 0) if outside is None else ("constant", outside)
    for ours, its in (
        (filters.max_filter, ndimage.maximum_filter1d),
        (filters.min_filter, ndimage.minimum_filter1d),
    ):
        expected = its(x, size, axis, mode=mode, cval=cval)
        np.testing.assert_array_equal(ours(x, size, axis, outside), expected)


@given(sides, sides, st.floats(0, 1), seeds)
def test_connected_parts_are_scipys(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    expected, n = ndimage.label(mask, np.ones((3, 3)))
    labels, boxes = filters.connected_parts(mask)
    np.testing.assert_array_equal(labels, expected)
    assert len(boxes) == n
    for box, (rows, columns) in zip(boxes, ndimage.find_objects(expected), strict=True):
        assert box.tolist() == [rows.start, rows.stop, columns.start, columns.stop]


@pytest.mark.parametrize("side", [40, 41])
def test_a_spiral_is_one_part(side: int) -> None:
    mask = np.zeros((side, side), bool)
    for ring in range(0, side // 2, 2):
        mask[ring, ring : side - ring] = mask[side - ring - 1, ring : side - ring] = True
        mask[ring : side - ring, ring] = mask[ring + 2 : side - ring, side - ring - 1] = True
        mask[ring + 2, ring : ring + 2] = True
    labels, boxes = filters.connected_parts(mask)
    assert labels.max() == len(boxes) == ndimage.label(mask, np.ones((3, 3)))[1]


@given(st.sampled_from([0.1, 1.0, 40.0]), st.integers(2, 300), seeds)
def test_values_are_counted_between_edges_as_numpy_does(
    unit: float, n_values: int, seed: int
) -> None:
    x = (np.random.default_rng(seed).integers(0, n_values, 200) * unit).astype(np.float32)
    x[:2] = 0, unit
    expected, edges = np.histogram(x, 128, (float(x.min()), float(x.max())))
    np.testing.assert_array_equal(mnist_box._counts(x, edges), expected)
