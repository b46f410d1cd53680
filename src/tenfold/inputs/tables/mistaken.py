"""Cells that look like numbers, times or dates and are read as names: what a reader should know.

Numbers with a unit, durations, dates in words and levels that differ in case alone are names to a
model, or are not used at all. Nothing is guessed; a line says what would make them be understood.
"""

import re
from collections import Counter, defaultdict

from tenfold.core.contract import ColumnKind
from tenfold.core.text import shorten
from tenfold.inputs.tables.texts import Texts

MOSTLY, FEW = 0.8, 10
"""Share of the different cells that must look alike, and how many there are at least."""

MAX_UNITS = 3
"""Cells of more different words behind a number are names, such as the flats of a house."""

UNIT = re.compile(r"[-+]?\d[\d.,]*\s?((?:[^\W\d_]|[°µ²³*'\"/]){1,6})\.?")
CLOCK = re.compile(r"\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:\s?[AaPp]\.?[Mm]\.?)?")
DAY = re.compile(
    r"\d{1,2}(?:st|nd|rd|th|\.)?\s+[^\W\d_]{3,}\.?,?\s+\d{4}"
    r"|\d{1,2}[/.-]\d{1,2}[/.-](?:\d{2}|\d{4})|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}"
)


def name_remarks(name: str, texts: Texts, kind: ColumnKind) -> list[str]:
    """Lines about a column of names whose cells look like something else, or like each other.

    Args:
      name: The column.
      texts: Its cells.
      kind: What the column is taken for: a category, text or an identifier, which is not used.
    """
    different = [text for text in texts.different if text and len(text) <= 40]
    looks = _looks(different)
    what = {"category": "read as names", "text": "read as words"}.get(kind, "not used")
    lines = []
    if looks is not None:
        like, fix = looks
        lines.append(
            f"{name}: cells such as {different[0]!r} look like {like} and are {what}; {fix}"
        )
    if kind == "category" and (alike := _alike(different)):
        lines.append(f"{name}: {shorten(alike)} are names of their own; write them alike")
    return lines


def _looks(different: list[str]) -> tuple[str, str] | None:
    """What most of the different cells look like, and what to do; None: like names."""
    if len(different) < FEW:
        return None
    least = MOSTLY * len(different)
    if sum(map(bool, map(CLOCK.fullmatch, different))) >= least:
        return "times or durations", "write them as numbers, such as minutes"
    if sum(map(bool, map(DAY.fullmatch, different))) >= least:
        return "dates", "write all in one form, such as 2020-12-31"
    units = Counter(found[1] for text in different if (found := UNIT.fullmatch(text)))
    if units.total() and len(units) <= MAX_UNITS and _with_numbers(different, units) >= least:
        return "numbers with a unit", "leave the unit out of the cells"
    return None


def _with_numbers(different: list[str], units: Counter[str]) -> int:
    """How many cells are a number with a unit, or one without."""
    return units.total() + sum(text.replace(".", "", 1).isdecimal() for text in different)


def _alike(different: list[str]) -> list[str]:
    """Levels that differ in case or blanks alone, those of one letter aside."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for text in different:
        groups[" ".join(text.casefold().split())].append(text)
    return [
        " and ".join(map(repr, group))
        for folded, group in groups.items()
        if len(group) > 1 and len(folded) > 1
    ]
