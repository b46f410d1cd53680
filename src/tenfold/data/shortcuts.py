"""Facts about picture files that give the label away: a model may learn them, not the picture.

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
"""A fact is reported if it corrects this share of the errors of always predicting the usual
label."""

ENOUGH = 20
"""With fewer pictures, a size or a type may be shared by chance."""


PARTS, IN_PART = 10, 15
"""Numbers are cut into so many parts of as many pictures each, or fewer, each of so many. With
eight in each, the brightness of 20 flowers of two kinds told the kind of 80% in one of 30 draws."""


def brightness(x: AnyImages) -> NDArray[np.float64]:
    """The mean of all values of each image (n,)."""
    return np.concatenate([part.mean(axis=1) for part in parts(x)])


def tenths(numbers: NDArray[Any]) -> list[int]:
    """The part of each number (n,), from 0 for the lowest ones; equal numbers stay in one.

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
    """A line for each fact that tells the label of most pictures without a look at them.

    Each picture (of n) is given the most frequent label of the others of which the same is true,
    and that of all pictures where there are no others.
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
