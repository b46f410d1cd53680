"""JSON, read by RFC 8259 and more strictly: what parsers read in different ways is refused.

The number of values and the depth of a text are counted on its bytes before it is decoded. Python's
decoder holds the interpreter from the first byte to the last, and nobody else is answered
meanwhile: 15 MB of commas take half a second. Here NumPy counts in parts of 64 kB, and a text with
too many values or levels, or with too long a number, is refused.
"""

import contextlib
import json
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from tenfold.serve.limits import Limits, check_items
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

BLANKS = r"[ \t\n\r]{0,99}"

BEGIN = re.compile(rf'{BLANKS}\{{{BLANKS}"([a-z]+)"{BLANKS}:{BLANKS}\[{BLANKS}'.encode())
"""The beginning of an object of items. It is all ASCII, so it has as many bytes as characters."""

COMMA, END = (
    re.compile(r"[ \t\n\r]*,[ \t\n\r]*"),
    re.compile(r"[ \t\n\r]*\][ \t\n\r]*\}[ \t\n\r]*\Z"),
)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(
    body: bytes, limits: Limits, most: int = MAX_IN_ITEM, *, of_items: bool = False
) -> Any:
    """Read JSON; NaN, infinity, repeated keys, lone surrogates and deep nesting are refused.

    A large text is decoded at once only if it has at most `MAX_IN_ALL` values. With `of_items` it
    may be an object whose only key holds a list of items, each of at most `most` values; if there
    are more in all, these are decoded one by one.
    """
    is_large = len(body) > SMALL_BYTES
    begin = BEGIN.match(body) if of_items and is_large else None
    n_values = check_structure(
        body, limits, most if begin else MAX_IN_ALL, of_items=begin is not None
    )
    if n_values <= MAX_IN_ALL and body.count(b":") == 1:  # a single key, which cannot occur twice
        with contextlib.suppress(ValueError):  # the other decoder says what is wrong
            return from_json(body, allow_inf_nan=False)
    try:
        text = body.decode()
        value = (
            _items_one_by_one(text, begin[1].decode(), begin.end(), limits)
            if begin and n_values > MAX_IN_ALL
            else DECODER.decode(text)
        )
    except UnicodeDecodeError as error:
        raise HTTPError(
            "E959", "The body is not UTF-8", 422, where=f"byte {error.start}"
        ) from error
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise HTTPError(
            "E960", "The body is not valid JSON", 422, where=position, problem=error.msg
        ) from error
    except ValueError as error:  # a whole number of more than 4,300 digits
        raise HTTPError(
            "E961", "A number has too many digits", 422, expected="at most 4,300 digits"
        ) from error
    if SURROGATE.search(body):
        _check_text(value)
    return value


def _items_one_by_one(text: str, key: str, at: int, limits: Limits) -> dict[str, list[Any]]:
    """Decode a list item by item; between two items, other threads have their turn."""
    items: list[Any] = []
    while True:
        item, at = DECODER.raw_decode(text, at)
        items.append(item)
        if len(items) > limits.items:
            let_go(items)
            check_items(limits.items + 1, limits)
        comma = COMMA.match(text, at)
        if comma is None:
            break
        at = comma.end()
    if not END.match(text, at):
        let_go(items)
        raise json.JSONDecodeError("Expected one list of items, and its end", text, at)
    return {key: items}


def _check_text(value: Any) -> None:
    """Refuse lone surrogates, which UTF-8 cannot represent; a pair of them is one character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise HTTPError(
            "E962", "The text is not valid Unicode", 422, expected="surrogates in pairs"
        ) from error


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                text = key[:80].encode(errors="replace").decode()
                raise HTTPError(
                    "E963", "A key occurs twice", 422, expected="each key once", key=text
                )
            seen.add(key)
    return value


def _refuse_constant(name: str) -> Any:
    raise HTTPError(
        "E964", "JSON does not allow this number", 422, expected="finite numbers", value=name
    )


DECODER = json.JSONDecoder(object_pairs_hook=_with_each_key_once, parse_constant=_refuse_constant)


def let_go(value: Any) -> None:
    """Free a list item by item: freeing a million lists at once delays all other requests."""
    while isinstance(value, list) and value:
        value.pop()


# Counting


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
