"""Several digits on a page: found whole, in order, without rules, dots and frames."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold.inputs.pictures.page_layout import Page, read_page
from tests.support.errors import refused
from tests.support.paper import Paper, blank, outlined, printed

MNIST = tenfold.load("mnist")
# Of one piece each: what is broken in MNIST itself may be taken for two.
WHOLE = {"0": 1, "1": 3, "2": 5, "3": 7, "4": 2, "5": 11, "6": 13, "7": 15, "8": 17, "9": 4}


def written(lines: list[str], paper: Paper, size: int = 70, slope: float = 0) -> NDArray[np.uint8]:
    """A page with these lines of digits."""
    cover = np.zeros(paper.px)
    for row, line in enumerate(lines):
        for column, label in enumerate(line):
            if label == " ":
                continue
            drawn = outlined(MNIST.x[WHOLE[label]], size, -0.01)
            left = round(40 + 1.15 * size * column + (size - drawn.shape[1]) / 2)
            top = round(50 + 1.7 * size * row + slope * left + (size - drawn.shape[0]) / 2)
            cover[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return printed(cover, paper)


def nearest(page: Page) -> list[str]:
    """Read each digit by the pictures it was drawn from: no network is needed."""
    known = {label: MNIST.x[row].astype(float).ravel() for label, row in WHOLE.items()}

    def read(image: NDArray[np.uint8]) -> str:
        shifted = [np.roll(image, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        rows = np.array(
            [s.astype(float).ravel() / np.linalg.norm(s.astype(float)) for s in shifted]
        )
        return max(
            known, key=lambda label: (rows @ known[label]).max() / np.linalg.norm(known[label])
        )

    return ["".join(read(digit.image) for digit in line) for line in page.lines]


LINES = ["3141592", "65", "3 58 97", "0"]
PAGE = Paper(px=(560, 700))


@pytest.mark.parametrize(
    "paper",
    [
        PAGE,
        replace(PAGE, light_on_dark=True),
        replace(PAGE, ruled=0.4, noise=2),
        replace(PAGE, squared=0.35, noise=2),
        replace(PAGE, gradient=100, noise=4, jpeg=60),
        replace(PAGE, shadow=0.4),
        replace(PAGE, specks=25),
        replace(PAGE, px=(1400, 1900)),
    ],
    ids=repr,
)
def test_digits_are_found_in_order(paper: Paper) -> None:
    size = 70 * paper.px[0] // 560
    page = read_page(written(LINES, paper, size))
    assert nearest(page) == [line.replace(" ", "") for line in LINES]


def test_lines_may_slope() -> None:
    page = read_page(written(["123456", "7890"], PAGE, slope=0.08))
    assert nearest(page) == ["123456", "7890"]


def test_boxes_are_in_pixels_of_the_picture() -> None:
    page = read_page(written(["1", "2"], replace(PAGE, px=(1300, 2600)), 200))
    (one,), (two,) = page.lines
    x, y, width, height = two.box
    assert abs(y - (50 + 340)) < 30 and abs(max(width, height) - 200) < 20
    assert one.image.shape == (28, 28) and page.grey.shape == page.ink.shape == (640, 1280)


def test_strokes_of_one_digit_are_joined() -> None:
    cover = np.zeros((300, 500))
    for left in (100, 250):  # two fives, their bars apart
        cover[100:108, left + 8 : left + 60] = 1
        cover[116:150, left : left + 8] = 1
        cover[150:158, left : left + 50] = 1
        cover[150:210, left + 42 : left + 50] = 1
        cover[202:210, left : left + 50] = 1
    (line,) = read_page(printed(cover, Paper())).lines
    assert [digit.box[0] for digit in line] == [100, 250]
    assert all(digit.box[3] == 110 for digit in line)


def test_dots_dashes_rules_and_frames_are_no_digits() -> None:
    picture = written(["12"], Paper(px=(300, 500)))
    picture[80:84, 300:330] = 40  # a minus
    picture[110:118, 250:258] = 40  # a dot
    picture[200:203] = 40  # a rule
    picture[:, :6] = 30  # a frame
    assert nearest(read_page(picture)) == ["12"]


def test_two_touching_digits_are_parted_and_one_wide_digit_is_not() -> None:
    zero = outlined(MNIST.x[WHOLE["0"]], 90, -0.01)
    one = outlined(MNIST.x[WHOLE["1"]], 90, -0.01)
    cover = np.zeros((220, 400))
    cover[60 : 60 + zero.shape[0], 60 : 60 + zero.shape[1]] = zero
    cover[60 : 60 + zero.shape[0], 58 + zero.shape[1] : 58 + 2 * zero.shape[1]] = zero
    assert [len(line) for line in read_page(printed(cover, Paper())).lines] == [2]
    cover = np.zeros((220, 400))
    cover[60 : 60 + one.shape[0], 60 : 60 + one.shape[1]] = one
    cover[140:146, 60:200] = 1  # a foot twice as wide as the digit is high
    assert [len(line) for line in read_page(printed(cover, Paper())).lines] == [1]


def test_single_digits_are_hardly_ever_cut() -> None:
    counts = []
    for row in range(100):
        cover = np.zeros((150, 150))
        drawn = outlined(MNIST.x[row], 90)
        cover[30 : 30 + drawn.shape[0], 30 : 30 + drawn.shape[1]] = drawn
        counts.append(sum(len(line) for line in read_page(printed(cover, Paper())).lines))
    assert counts.count(1) >= 97, counts


def test_a_blank_page_is_said() -> None:
    with refused("E321", r"contrast=.* \(page.jpg\)"):
        read_page(blank(replace(PAGE, noise=3)), where="page.jpg")
