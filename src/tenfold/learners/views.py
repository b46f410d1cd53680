"""Views of a photo: mirrored and cropped copies, which a learner may fit to beside the photo."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.learners.job import Examples

CORNER = 0.8
"""Side of a corner that is cut out, as a share of the square in the middle of a photo."""


class View(NamedTuple):
    """A part of the square in the middle of a photo.

    Attributes:
      share: Its side, as a share of that of the square.
      left, top: 0 where it begins at the left or at the top, 1 where it ends at the other side.
      is_mirrored: Whether left and right change places.
    """

    share: float = 1.0
    left: int = 0
    top: int = 0
    is_mirrored: bool = False

    def side_px(self, shape: tuple[int, ...]) -> int:
        """Its side, of pictures of this shape (height, width, ...)."""
        return max(1, round(min(shape[:2]) * self.share))

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What it shows of a picture: uint8 (side, side) or (side, side, 3)."""
        square, side = min(image.shape[:2]), self.side_px(image.shape)
        top, left = ((length - square) // 2 for length in image.shape[:2])
        top, left = top + (square - side) * self.top, left + (square - side) * self.left
        seen = image[top : top + side, left : left + side]
        return np.ascontiguousarray(seen[:, ::-1] if self.is_mirrored else seen)


VIEWS = (
    View(is_mirrored=True),
    *(View(CORNER, left, top) for top in (0, 1) for left in (0, 1)),
)
"""The mirrored photo and its four corners."""

NONE = "none"
"""What no views are called."""

MIRRORED, CORNERS = (0,), (1, 2, 3, 4)
"""Their numbers among `VIEWS`."""


def choices_of_views(flip: bool | None) -> Mapping[str, tuple[int, ...]]:
    """The views among which a learner chooses, by what they are called; the first is taken where
    nothing can choose. With `flip` mirrored copies are always taken, None leaves it open."""
    both = {"mirrored and cropped": MIRRORED + CORNERS}
    if flip:
        return {"mirrored": MIRRORED} | both
    cropped: dict[str, tuple[int, ...]] = {NONE: (), "cropped": CORNERS}
    return cropped if flip is False else cropped | both


def with_views(rows: Examples, numbers: tuple[int, ...]) -> Examples:
    """The rows and these views of them, which count together what the row counts."""
    if rows.views is None or not numbers:
        return rows._replace(views=None)
    n_looks = 1 + len(numbers)
    looks = [np.asarray(rows.x, np.float32), *(rows.views[:, number] for number in numbers)]
    own = rows._replace(views=None).take(np.tile(np.arange(len(rows.y)), n_looks))
    return own._replace(x=np.concatenate(looks), weight=own.weights / np.float32(n_looks))
