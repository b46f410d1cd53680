"""Facts about picture files that reveal the label, so that a model may learn them instead of the
picture.

Source: Geirhos et al. 2020, arXiv:2004.07780.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.text import percent
from tenfold.data.disk_images import AnyImages
from tenfold.data.duplicates import parts

GIVEN_AWAY = 0.5
"""A fact is reported if it avoids at least this share of the errors of always predicting the most
frequent label."""

ENOUGH = 20
"""With fewer pictures, those of a label may have the same size or type by chance."""


PARTS, IN_PART = 10, 15
"""The maximum number of bins into which numbers are divided, and the minimum number of pictures in
each. With a minimum of eight, the brightness of 20 photos of two kinds of flowers predicted the
kind of 80% of them in one of 30 draws."""


def brightness(x: AnyImages) -> NDArray[np.float64]:
    """The mean of all values of each image (n,)."""
    return np.concatenate([part.mean(axis=1) for part in parts(x)])


def tenths(numbers: NDArray[Any]) -> list[int]:
    """The bin of each number (n,), from 0 for the lowest ones. Equal numbers are in the same bin.

    Example:
      >>> tenths(np.arange(30) % 2)[:4]
      [0, 1, 0, 1]
    """
    n = len(numbers)
    n_below = np.searchsorted(np.sort(numbers), numbers)
    part: list[int] = (n_below * min(PARTS, max(1, n // IN_PART)) // n).tolist()
    return part


def shortcuts(
    facts: Mapping[str, Sequence[Hashable]], y: NDArray[np.int64], labels: Sequence[str]
) -> Iterator[str]:
    """Yield a line for each fact that predicts the label of most pictures.

    The prediction for each picture (of n) is the most frequent label of the other pictures with the
    same fact or, if there are none, of all pictures.
    """
    if len(y) < ENOUGH:
        return
    usual = int(np.bincount(y).argmax())
    base = float((y == usual).mean())
    for what, values in facts.items():
        number_of = {value: i for i, value in enumerate(dict.fromkeys(values))}
        which = np.array([number_of[value] for value in values])
        counts = np.zeros((len(number_of), len(labels)))
        np.add.at(counts, (which, y), 1)
        others = counts[which]
        others[np.arange(len(y)), y] -= 1
        guessed = np.where(others.any(axis=1), others.argmax(axis=1), usual)
        right = float((guessed == y).mean())
        if right >= base + GIVEN_AWAY * (1 - base) and right > base:
            yield (
                f"the {what} alone tells the label of {percent(right)} of the pictures (always "
                f"{labels[usual]!r}: {percent(base)}); a model may learn that instead"
            )
