"""The common result of all sources of images, and the checks of their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.data.dataset import MAX_LABELS

MAX_WITH_GAPS = 256
"""Up to this number of codes, most of them may be unused. A model has an output for each code, used
or not."""

SIDE_PX = 28
N_PIXELS = SIDE_PX * SIDE_PX
"""Flat images have MNIST's size: 28 rows of 28 pixels."""


@dataclass(frozen=True, eq=False)
class Images:
    """The content of a source in the order of `Dataset`: training, validation and test rows.

    Attributes:
      x: Pictures, with numbers of any scale.
      n_train, n_validation: The number of training and validation rows.
      notes: What was done to the images, for the user.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    labels: tuple[str, ...]
    keys: Sequence[str]
    n_train: int
    n_validation: int = 0
    notes: tuple[str, ...] = ()


def check_counts(n_images: int, n_labels: int, where: object) -> None:
    """Refuse images and labels that differ in number."""
    if n_images != n_labels:
        raise DataError(
            "E426",
            "The numbers of images and labels differ",
            where=where,
            expected="one label for each image",
            n_images=n_images,
            n_labels=n_labels,
        )


def check_sizes(shapes: Sequence[tuple[int, ...]], where: object) -> None:
    """Refuse parts, training first, whose images have different sizes."""
    if len({shape[1:] for shape in shapes}) > 1:
        train, test = shapes[0][1:], next(s[1:] for s in shapes if s[1:] != shapes[0][1:])
        wrong = "The images have two sizes"
        raise DataError(
            "E422", wrong, where=where, expected="one size for all", train=train, test=test
        )


def whole_codes(values: NDArray[Any], where: object) -> NDArray[np.int64]:
    """Label codes int64 (n,) from numbers, which must be integers from 0 to 65,535."""
    if values.dtype.kind not in "iuf":
        raise DataError(
            "E409",
            "The labels are not whole numbers",
            where=where,
            expected="numbers",
            dtype=str(values.dtype),
        )
    wrong = ~((values >= 0) & (values < MAX_LABELS) & (values == np.floor(values)))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            "E427",
            "A label is out of range",
            where=where,
            expected=f"whole numbers from 0 to {MAX_LABELS - 1}",
            row=row,
            value=values[row].item(),
        )
    codes: NDArray[np.int64] = values.astype(np.int64)
    n_codes, n_used = int(codes.max(initial=-1)) + 1, len(np.unique(codes))
    if n_codes > MAX_WITH_GAPS and n_codes > 2 * n_used:
        raise DataError(
            "E428",
            "The label codes have gaps",
            where=where,
            expected=f"codes from 0, at least half of which occur (above {MAX_WITH_GAPS} codes)",
            n_codes=n_codes,
            n_used=n_used,
        )
    return codes


def code_labels(y: NDArray[np.int64]) -> tuple[str, ...]:
    """Labels that are named by their own codes."""
    return tuple(str(code) for code in range(int(y.max(initial=-1)) + 1))


def named_codes(answers: Sequence[str], where: object) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The codes and the labels of answers given as text. Integers are codes, and other texts are
    names."""
    numbers = [parse_number(answer) for answer in answers]
    named = [row for row, number in enumerate(numbers) if number is None]
    if not named:
        codes = whole_codes(np.array(numbers, np.float64), where)
        return codes, code_labels(codes)
    if len(named) < len(answers) or "" in answers:
        row = answers.index("") if "" in answers else named[0]
        expected = "all of them numbers or all of them names"
        raise DataError(
            "E429",
            "A label cannot be read",
            where=where,
            expected=expected,
            row=row,
            value=answers[row],
        )
    labels, codes = np.unique(np.array(answers, object), return_inverse=True)
    return codes.astype(np.int64), tuple(labels.tolist())


def parse_number(cell: str) -> float | None:
    """The number in a text. None if it is not a number."""
    try:
        return float(cell)
    except ValueError:
        return None
