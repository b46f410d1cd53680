"""Which regions spoke for a label, found by covering them; those of photos: `test_photos.py`."""

import numpy as np
from PIL import Image

import tenfold
from tenfold import Run
from tenfold.model.regions import Occlusion, _span, open_regions

MNIST = tenfold.load("mnist")


def test_what_lies_on_the_digit_speaks_for_it(small_cnn: Run) -> None:
    regions = open_regions(small_cnn.path)
    assert isinstance(regions, Occlusion) and not regions.in_middle
    image = MNIST.x[3]
    shares = regions.of(image, int(small_cnn.model.answer(image[None]).outputs[0].argmax()))
    assert shares.shape == (7, 7) and shares.dtype == np.float32
    corners = shares[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).all()  # they are black, and are covered in black
    assert shares.max() > 0


def test_nothing_speaks_on_a_plain_picture(small_cnn: Run) -> None:
    shares = Occlusion(small_cnn.model).of(np.full((28, 28), 90, np.uint8), 3)
    np.testing.assert_array_equal(shares, 0)


def test_covered_regions_reach_all_pixels() -> None:
    for side in (8, 28, 48, 64):
        covered = np.zeros(side)
        for number in range(7):
            covered[_span(number, side)] += 1
        assert covered.min() >= 1 and covered.max() <= 3


def test_a_dense_network_has_no_regions_and_a_cnn_has_them_in_its_report(
    small_run: Run, small_cnn: Run
) -> None:
    assert open_regions(small_run.path) is None
    assert not (small_run.path / "regions.jpg").exists()
    with Image.open(small_cnn.path / "regions.jpg") as sheet:
        assert sheet.height > 100
