"""Views of a photo: mirrored and cropped copies, to which a learner may be fitted in addition."""

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
      share: The length of its side, as a share of that of the square.
      left, top: Its position: 0 at the left or top edge of the square, and 1 at the opposite edge.
      is_mirrored: Whether left and right are swapped.
    """

    share: float = 1.0
    left: int = 0
    top: int = 0
    is_mirrored: bool = False

    def side_px(self, shape: tuple[int, ...]) -> int:
        """The length of its side in pixels, for pictures of this shape (height, width, ...)."""
        return max(1, round(min(shape[:2]) * self.share))

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """This view of a picture, uint8 (side, side) or (side, side, 3)."""
        square, side = min(image.shape[:2]), self.side_px(image.shape)
        top, left = ((length - square) // 2 for length in image.shape[:2])
        top, left = top + (square - side) * self.top, left + (square - side) * self.left
        seen = image[top : top + side, left : left + side]
        return np.ascontiguousarray(seen[:, ::-1] if self.is_mirrored else seen)


VIEWS = (
    View(is_mirrored=True),
    *(View(CORNER, left, top) for top in (0, 1) for left in (0, 1)),
)
"""The views of a photo: the mirrored photo and its four corners."""

NONE = "none"
"""The name of the choice without any views."""

MIRRORED, CORNERS = (0,), (1, 2, 3, 4)
"""The choices by name, as the numbers of their views among `VIEWS`."""


def choices_of_views(flip: bool | None) -> Mapping[str, tuple[int, ...]]:
    """The views among which a learner chooses, by name. The first choice is used if there are no
    rows to choose with. `flip` decides whether mirrored copies are always or never included, and
    None leaves it open."""
    both = {"mirrored and cropped": MIRRORED + CORNERS}
    if flip:
        return {"mirrored": MIRRORED} | both
    cropped: dict[str, tuple[int, ...]] = {NONE: (), "cropped": CORNERS}
    return cropped if flip is False else cropped | both


def with_views(rows: Examples, numbers: tuple[int, ...]) -> Examples:
    """The rows and these views of them. A row and its views together have the weight of the row."""
    if rows.views is None or not numbers:
        return rows._replace(views=None)
    n_looks = 1 + len(numbers)
    looks = [np.asarray(rows.x, np.float32), *(rows.views[:, number] for number in numbers)]
    own = rows._replace(views=None).take(np.tile(np.arange(len(rows.y)), n_looks))
    return own._replace(x=np.concatenate(looks), weight=own.weights / np.float32(n_looks))
