"""How large a JSON text is inside, from its bytes: nothing of it is built that would be too much.

Python's decoder holds the interpreter from the first byte to the last, so that nobody else is
answered meanwhile: 15 MB of commas take half a second. Here the text is looked at in parts of 256
kB, by NumPy, and what is too much is refused.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.serve.limits import Limits
from tenfold.serve.messages import HTTPError

PART_BYTES = 1 << 18
SMALL_BYTES = 1 << 16
"""A text of fewer bytes takes the decoder a few milliseconds at most, whatever is in it."""

QUOTE, BACKSLASH, OPEN, CLOSE, SEPARATOR = range(1, 6)

KIND = np.zeros(256, np.uint8)
for _kind, _characters in enumerate((b'"', b"\\", b"[{", b"]}", b",:"), QUOTE):
    KIND[list(_characters)] = _kind


class Place(NamedTuple):
    """What is known at a place in a text: its depth there, and whether it is in a string.

    `is_escaped` says whether a backslash stands before it.
    """

    depth: int = 0
    in_string: bool = False
    is_escaped: bool = False


def check_structure(body: bytes, limits: Limits) -> None:
    """Refuse JSON with too many values, or nested too deeply; what is in strings does not count."""
    if len(body) <= SMALL_BYTES and body.count(b"[") + body.count(b"{") <= limits.json_depth:
        return
    place, n_values = Place(), 1
    for start in range(0, len(body), PART_BYTES):
        place, n_separators, deepest = _look(body[start : start + PART_BYTES], place)
        n_values += n_separators
        if deepest > limits.json_depth:
            most = f"at most {limits.json_depth} levels"
            raise HTTPError("E958", "The JSON is nested too deeply", 422, expected=most)
        if n_values > limits.json_values:
            raise HTTPError(
                "E983",
                "The JSON has too many values",
                413,
                expected=f"at most {limits.json_values} keys and values: json_values",
                fix="Send pictures as files or as raw bytes, or fewer items at once",
            )


def _look(part: bytes, before: Place) -> tuple[Place, int, int]:
    """The place at the end of a part, the separators in it, and its greatest depth."""
    kinds = KIND[np.frombuffer(part, np.uint8)]
    at = np.flatnonzero(kinds)
    kinds = kinds[at]
    escaped = _escaped(at[kinds == BACKSLASH], before.is_escaped)
    quotes = np.setdiff1d(at[kinds == QUOTE], escaped, assume_unique=True)
    outside = (np.searchsorted(quotes, at) + before.in_string) % 2 == 0
    steps = (outside & (kinds == OPEN)).astype(np.int32) - (outside & (kinds == CLOSE))
    depths = before.depth + steps.cumsum()
    n_separators = int((outside & (kinds == SEPARATOR)).sum())
    deepest = int(depths.max(initial=before.depth))
    after = Place(
        depth=int(depths[-1]) if len(depths) else before.depth,
        in_string=(len(quotes) + before.in_string) % 2 == 1,
        is_escaped=bool(len(escaped)) and int(escaped[-1]) == len(part),
    )
    return after, n_separators, deepest


def _escaped(backslashes: NDArray[np.intp], is_first: bool) -> NDArray[np.intp]:
    """Where characters stand behind a backslash that is not itself behind one, in order."""
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
