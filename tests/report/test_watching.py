"""What a page of a training shows: frames that stay few, and weights in colours."""

import numpy as np
import pytest

from tenfold.core.records import Epoch, LayerRow
from tenfold.report.watching import MAX_FRAMES, Watching
from tenfold.report.weights import MAX_NEURONS, TILE_PX, tile_of, weights_picture


def test_a_long_training_keeps_few_frames_over_all_of_it() -> None:
    watching = Watching("<b>")
    watching.layers([LayerRow("flatten", "Flatten", (None, 4), 0), LayerRow("h", "Dense", (2,), 8)])
    arrays = {"h": {"kernel": np.eye(4, 2, dtype=np.float32)}}
    for number in range(1, 1001):
        watching.epoch(Epoch(number, 0.5, 1 / number, None, None, None, 0.1), 1000)
        watching.weights(lambda: arrays)
    frames = watching.state()["frames"]
    assert MAX_FRAMES / 2 <= len(frames) <= MAX_FRAMES
    assert (frames[0]["epoch"], frames[-1]["epoch"]) == (1, 1000)
    assert frames[0]["text"] == "training loss 1" and frames[0]["weights"].startswith("data:image")
    page = watching.page(is_live=False)
    assert "<b>" not in page.partition("<h1>")[2].partition("</h1>")[0]
    watching.end()
    assert watching.state()["done"] and watching.state(after=1000)["frames"] == []


@pytest.mark.parametrize(
    ("kernel", "shape", "expected"),
    [
        ((16, 40), (4, 4), (4 * (TILE_PX + 4), 8 * (TILE_PX + 4), 3)),
        ((5, 5, 3, 3), (28, 28, 3), (55 + 4, 3 * (55 + 4), 3)),
        ((6, 10), None, (80, 48, 3)),
    ],
)
def test_weights_are_tiles_of_the_first_neurons(
    kernel: tuple[int, ...], shape: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    picture = weights_picture(np.ones(kernel, np.float32), shape)
    assert picture.shape == expected and min(kernel[-1], MAX_NEURONS) <= MAX_NEURONS
    assert picture[0, 0].tolist() == [29, 91, 184]  # the largest weight above 0


def test_orange_is_below_and_white_is_nothing() -> None:
    kernel = np.array([[1.0], [0.0], [-1.0], [-0.5]], np.float32)
    picture = weights_picture(kernel, None)
    assert picture[0, ::8].tolist() == [[29, 91, 184], [255] * 3, [178, 58, 8], [216, 156, 132]]


def test_large_pictures_are_thinned() -> None:
    assert max(tile_of(np.zeros((300, 200, 3), np.uint8)).shape) <= TILE_PX
