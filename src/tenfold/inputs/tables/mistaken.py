"""Notes about cells that look like numbers, times or dates, but are read as names.

A model reads numbers with a unit, durations, dates in words and categories that differ only in case
as names, or does not use them at all. Their meaning is not guessed. A note says how to write them.
"""

import re
from collections import Counter, defaultdict

from tenfold.core.contract import ColumnKind
from tenfold.core.text import shorten
from tenfold.inputs.tables.texts import Texts

MOSTLY, FEW = 0.8, 10
"""The share of the distinct cells that must look like the same kind of thing, and their minimum
number."""

MAX_UNITS = 3
"""If more distinct words than this follow numbers, cells are names, such as the flats of a
house."""

LETTERS = r"(?:[^\W\d_]|[°µ²³*'\"/€$£¥%]){1,6}\.?"
UNIT = re.compile(rf"[-+]?\d[\d.,]*\s?({LETTERS}(?:\s{LETTERS})?)")
CLOCK = re.compile(r"\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:\s?[AaPp]\.?[Mm]\.?)?")
DAY = re.compile(
    r"\d{1,2}(?:st|nd|rd|th|\.)?\s+[^\W\d_]{3,}\.?,?\s+\d{4}"
    r"|\d{1,2}[/.-]\d{1,2}[/.-](?:\d{2}|\d{4})|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}"
)

NUMBER, MARK = r"[-+]?\d+(?:[.,]\d+)?", r"(?:\s?[^\W\d_]{1,4}\.?|[°'\"′″])"
TWO_NUMBERS = re.compile(
    rf"(?!0x)[(\[]?{NUMBER}(?:{MARK}\s?|{MARK}?\s?[-–—/:;,|x×±]\s?){NUMBER}{MARK}?[NSEW]?[)\]]?"
)
"""Cells with several numbers, such as 10-15, 1/2, 5'11", 48.1, 11.5, 3±1, (6,8) and 1h 20m."""

ABOUT = re.compile(rf"(?:[~≈<>≤≥]=?\s?{NUMBER}|{NUMBER}\s?\+)")
TRUTHS = {
    **dict.fromkeys(("yes", "y", "true", "t", "1", "on"), True),
    **dict.fromkeys(("no", "n", "false", "f", "0", "off"), False),
}
"""The meaning of a level if all levels of the column are such words."""


def name_remarks(name: str, texts: Texts, kind: ColumnKind) -> list[str]:
    """Notes about a column of names whose cells look like something else, or are similar to each
    other.

    Args:
      name: The column.
      texts: Its cells.
      kind: The kind of the column: a category, text, or an identifier, which is not used.
    """
    different = [text for text in texts.different if text and len(text) <= 40]
    looks = _looks(different)
    what = {"category": "read as names", "text": "read as words"}.get(kind, "not used")
    lines = []
    if looks is not None:
        like, fix = looks
        example = next((text for text in different if not _is_plain(text)), different[0])
        lines.append(f"{name}: cells such as {example!r} look like {like} and are {what}; {fix}")
    if kind == "category" and (alike := _alike(different)):
        lines.append(f"{name}: {shorten(alike)} are names of their own; write them alike")
    return lines


def _looks(different: list[str]) -> tuple[str, str] | None:
    """A sentence about what most of the distinct cells look like, and what to do. None: they look
    like names."""
    if len(different) < FEW:
        return None
    least = MOSTLY * len(different)
    if sum(map(bool, map(CLOCK.fullmatch, different))) >= least:
        return "times or durations", "write them as numbers, such as minutes"
    if sum(map(bool, map(DAY.fullmatch, different))) >= least:
        return "dates", "write all in one form, such as 2020-12-31"
    if sum(map(bool, map(TWO_NUMBERS.fullmatch, different))) >= least:
        return "two numbers in a cell", "write each in a column of its own, or both as one number"
    about = sum(map(bool, map(ABOUT.fullmatch, different)))
    if about and about + sum(map(_is_plain, different)) >= least:
        return "numbers with a sign such as < or +", "write the numbers alone"
    units = Counter(found[1] for text in different if (found := UNIT.fullmatch(text)))
    if units.total() and len(units) <= MAX_UNITS and _with_numbers(different, units) >= least:
        return "numbers with a unit", "write them in one unit, and leave it out of the cells"
    return None


def _with_numbers(different: list[str], units: Counter[str]) -> int:
    """The number of cells that are a number, with or without a unit."""
    return units.total() + sum(map(_is_plain, different))


def _is_plain(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _alike(different: list[str]) -> list[str]:
    """Levels with the same meaning: yes, TRUE and 1 if all levels are such, and those that differ
    only in case or spaces, except single letters."""
    folded = [" ".join(text.casefold().split()) for text in different]
    are_truths = all(text in TRUTHS for text in folded)
    groups: defaultdict[str | bool, list[str]] = defaultdict(list)
    for text, name in zip(different, folded, strict=True):
        if are_truths or len(name) > 1:
            groups[TRUTHS[name] if are_truths else name].append(text)
    return [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
