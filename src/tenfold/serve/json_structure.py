"""The number of values and the depth of a JSON text, counted on its bytes before it is decoded.

Python's decoder holds the interpreter from the first byte to the last, and nobody else is answered
meanwhile: 15 MB of commas take half a second. Here NumPy counts in parts of 64 kB, and a text with
too many values or levels, or with too long a number, is refused.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError

PART_BYTES = 1 << 16
MAX_NUMBER_BYTES = 1 << 16
"""A part of so many bytes has a bracket, a comma, a colon or a quote, or belongs to a string."""

SMALL_BYTES = 1 << 16
"""The decoder needs at most a few milliseconds for a shorter text, whatever it contains."""

QUOTE, BACKSLASH, OPEN, CLOSE, SEPARATOR = range(1, 6)

KIND = np.zeros(256, np.uint8)
for _kind, _characters in enumerate((b'"', b"\\", b"[{", b"]}", b",:"), QUOTE):
    KIND[list(_characters)] = _kind


MAX_IN_ITEM, MAX_IN_ALL = 10_000, 50_000
"""How many keys and values the decoder may read at once: in one item of a list, and in a text that
it reads as a whole. It takes 3 ms for 50,000 numbers, and less for 10,000 keys or empty lists."""


class Position(NamedTuple):
    """The state of the count at a position in a text: the depth, and whether it is in a string.

    `is_escaped` says whether a backslash precedes the position, `n_values` how many values there
    were so far, `n_before` how many before the current item of the first list, and `n_escaped` how
    many characters were escaped.
    """

    depth: int = 0
    in_string: bool = False
    is_escaped: bool = False
    n_values: int = 1
    n_before: int = 0
    n_escaped: int = 0


def check_structure(body: bytes, limits: Limits, most: int, *, of_items: bool) -> int:
    """Refuse JSON with too many values or levels, or with too long a number.

    Values are counted by the brackets that open and the separators. Characters inside strings count
    only if they are escaped.

    At most `most` values may be read at once: in all, or with `of_items` in each item of the list
    in the outermost object.

    Returns:
      The number of values, or 1 if the text is so short that they need not be counted.
    """
    if len(body) <= SMALL_BYTES and body.count(b"[") + body.count(b"{") <= limits.json_depth:
        return 1
    place = Position()
    for start in range(0, len(body), PART_BYTES):
        place, deepest, n_longest = _look(body[start : start + PART_BYTES], place)
        if deepest > limits.json_depth:
            levels = f"at most {limits.json_depth} levels"
            raise HTTPError("E958", "The JSON is nested too deeply", 422, expected=levels)
        if place.n_values + place.n_escaped > limits.json_values:
            _refuse_values(f"at most {limits.json_values} keys and values: json_values")
        if (n_longest if of_items else place.n_values) > most:
            _refuse_values(f"at most {most} in {'an item' if of_items else 'all'}")
    return place.n_values


def _refuse_values(expected: str) -> None:
    raise HTTPError(
        "E983",
        "The JSON has too many values",
        413,
        expected=expected,
        fix="Send pictures as files or as raw bytes, or fewer items at once",
    )


def _look(part: bytes, before: Position) -> tuple[Position, int, int]:
    """The position after a part, the greatest depth in it, and the values of its longest item."""
    kinds = KIND[np.frombuffer(part, np.uint8)]
    at = np.flatnonzero(kinds)
    if not len(at) and not before.in_string and len(part) >= MAX_NUMBER_BYTES:
        raise HTTPError(
            "E985",
            "A number or a gap in the JSON is too long",
            422,
            expected=f"at most {MAX_NUMBER_BYTES} bytes",
        )
    kinds = kinds[at]
    escaped = _escaped(at[kinds == BACKSLASH], before.is_escaped)
    is_escaped = np.zeros(len(part) + 1, np.bool_)
    is_escaped[escaped] = True
    quotes = (kinds == QUOTE) & ~is_escaped[at]
    outside = (quotes.cumsum() - quotes + before.in_string) % 2 == 0
    steps = (outside & (kinds == OPEN)).astype(np.int32) - (outside & (kinds == CLOSE))
    depths = before.depth + steps.cumsum()
    separators = outside & (kinds == SEPARATOR)
    n_values = before.n_values + (separators | (outside & (kinds == OPEN))).cumsum()
    n_after = int(n_values[-1]) if len(at) else before.n_values
    ends = np.concatenate([[before.n_before], n_values[separators & (depths == 2)], [n_after]])
    deepest = int(depths.max(initial=before.depth))
    after = Position(
        depth=int(depths[-1]) if len(depths) else before.depth,
        in_string=(int(quotes.sum()) + before.in_string) % 2 == 1,
        is_escaped=bool(is_escaped[-1]),
        n_values=n_after,
        n_before=int(ends[-2]),
        n_escaped=before.n_escaped + len(escaped),
    )
    return after, deepest, int(np.diff(ends).max())


def _escaped(backslashes: NDArray[np.intp], is_first: bool) -> NDArray[np.intp]:
    """The positions of the characters that a backslash escapes, in order."""
    if not len(backslashes):
        return np.zeros(int(is_first), np.intp)
    begins = np.diff(backslashes, prepend=-2) > 1
    order = np.arange(len(backslashes))
    in_run = order - np.maximum.accumulate(np.where(begins, order, 0))
    if is_first and backslashes[0] == 0:  # the first run is one shorter than it looks
        run = np.cumsum(begins) == 1
        in_run = in_run + run
    active = backslashes[in_run % 2 == 0] + 1
    return np.concatenate([[0], active]) if is_first else active
