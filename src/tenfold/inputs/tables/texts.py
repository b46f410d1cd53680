"""Columns as they are written in a source, stored as plain numbers or as texts, of which each
distinct one is stored once.

A cell takes a few bytes: the position of its text, or its number. Each distinct text is analysed
once, and the result is kept.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "<na>", "nat"})
"""Texts of missing cells, compared in lower case, unless others are given."""

_missing: ContextVar[frozenset[str]] = ContextVar("missing", default=MISSING)
"""The texts of missing cells while a table is read, so that all code treats its cells in the same
way."""

PLAIN_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.I)

LARGEST_WHOLE = 2.0**53
"""Integers up to this are exact in float64."""

Strings: TypeAlias = NDArray[np.object_]
Rows: TypeAlias = NDArray[Any]
"""Positions of rows, or a mask."""

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def missing_texts(texts: Sequence[str] | None) -> Iterator[None]:
    """Treat cells with these texts as missing, in addition to empty cells, inside a `with` block.
    None: `MISSING`."""
    chosen = MISSING if texts is None else frozenset({"", *(text.lower() for text in texts)})
    token = _missing.set(chosen)
    try:
        yield
    finally:
        _missing.reset(token)


def says_nothing(text: str) -> bool:
    """Whether a cell is missing."""
    return text.lower() in _missing.get()


def numbers_are_missing() -> bool:
    """Whether a number, such as -999, was given as a text of missing cells."""
    return any(PLAIN_NUMBER.fullmatch(text) for text in _missing.get())


def kept(
    function: 'Callable[Concatenate["Texts", P], R]',
) -> 'Callable[Concatenate["Texts", P], R]':
    """Decorate a function of texts so that its result is kept with them.

    The texts of missing cells are part of the key, because they may change.
    """

    @functools.wraps(function)
    def found(texts: "Texts", /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = (function, args, tuple(kwargs.items()), _missing.get())
        if key not in texts.found:
            texts.found[key] = function(texts, *args, **kwargs)
        value: R = texts.found[key]
        return value

    return found


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of text.

    Attributes:
      different: The distinct texts in the order of their first occurrence, without surrounding
        spaces and in Unicode's normal form (NFC); object (n_different,).
      codes: The position of each row's text, int32 (n,).
      found: Stored results of functions of the texts, see `kept`.
    """

    different: Strings
    codes: NDArray[np.int32]
    found: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, cells: Iterable[str]) -> "Texts":
        """Make a column from the texts of cells, one for each row."""
        position: dict[str, int] = {}
        codes = np.fromiter((position.setdefault(text, len(position)) for text in cells), np.int32)
        return cls.coded(codes, position, in_order=True)

    @classmethod
    def coded(cls, codes: NDArray[Any], texts: Iterable[str], *, in_order: bool = False) -> "Texts":
        """Make a column from positions in a list of texts. -1 is an empty cell.

        They are `in_order` if the list has the texts in the order of their first occurrence.
        """
        clean = [_clean(text) for text in texts]
        if len(set(clean)) == len(clean) and not (codes < 0).any():
            found = cls(_objects(clean), codes.astype(np.int32, copy=False))
            return found if in_order else found.take(slice(None))
        position = {text: i for i, text in enumerate(dict.fromkeys([*clean, ""]))}
        changed = np.array([*(position[text] for text in clean), position[""]], np.int32)
        return cls(_objects(list(position)), changed[codes]).take(slice(None))

    def take(self, rows: "Rows | slice") -> "Texts":
        """The texts of these rows."""
        codes, first = _factorize(self.codes[rows])
        if len(first) == len(self.different) and (first == np.arange(len(first))).all():
            return Texts(self.different, self.codes[rows])
        return Texts(self.different[first], codes.astype(np.int32))

    @property
    def texts(self) -> "Texts":
        """The column as text."""
        return self

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of rows with each distinct text (n_different,)."""
        return np.bincount(self.codes, minlength=len(self.different))

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Whether each distinct text means a missing cell (n_different,)."""
        return _missing_ones(self)

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Whether the cell of each row is missing (n,)."""
        return self.missing[self.codes]

    def present(self) -> "Texts":
        """The texts of the cells that are not missing."""
        return _present(self)

    def changed(self, change: Callable[[str], str]) -> "Texts":
        """Change each text. Texts that become equal are merged."""
        return Texts.coded(self.codes, map(change, self.different), in_order=True)

    def rows(self) -> Strings:
        """The text of each row (n,). Equal texts are the same object."""
        return self.different[self.codes]

    def tolist(self) -> list[str]:
        """The text of each row."""
        texts: list[str] = self.rows().tolist()
        return texts

    def __getitem__(self, row: int) -> str:
        return str(self.different[self.codes[row]])

    def match(self, pattern: "re.Pattern[str]") -> NDArray[np.bool_]:
        """Whether a pattern matches the beginning of each distinct text (n_different,)."""
        begins = pattern.match
        return np.fromiter((begins(text) is not None for text in self.different), bool)


@kept
def _missing_ones(texts: Texts) -> NDArray[np.bool_]:
    nothing = _missing.get()
    return np.fromiter((text.lower() in nothing for text in texts.different), bool)


@kept
def _present(texts: Texts) -> Texts:
    gone = texts.missing
    if not gone.any():
        return texts
    positions = (np.cumsum(~gone) - 1).astype(np.int32)
    codes = texts.codes[~gone[texts.codes]]
    return Texts(texts.different[~gone], positions[codes])


@dataclass(frozen=True, eq=False)
class PlainNumbers:
    """A column of plain numbers: digits with a decimal point, as every program writes them.

    Attributes:
      values: The number of each row, float64 (n,), finite; NaN if the cell is empty.
      first: The texts of some of the first rows, which show how the numbers are written.
      read: Reads the texts of all rows.
      is_whole: Whether all are written as integers, without a decimal mark.
    """

    values: NDArray[np.float64]
    first: Texts
    read: Callable[[], Texts]
    is_whole: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: "Rows | slice") -> "PlainNumbers":
        """The numbers of these rows."""
        at = np.arange(len(self))[rows]
        first = self.first.take(at[at < len(self.first)])
        return PlainNumbers(self.values[rows], first, lambda: self.texts.take(rows), self.is_whole)

    @property
    def example(self) -> str:
        """The text of the first cell that is not empty, or "" if there is none."""
        if not len(self.present):
            return ""
        shown = self.first.present()
        if len(shown) and float(shown[0]) == self.present[0]:
            return shown[0]
        return self.texts.present()[0]

    @cached_property
    def texts(self) -> Texts:
        """The column as text."""
        return self.read()

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Whether the cell of each row is missing (n,)."""
        return np.isnan(self.values)

    @cached_property
    def present(self) -> NDArray[np.float64]:
        """The numbers that are not missing."""
        gone = np.isnan(self.values)
        return self.values[~gone] if gone.any() else self.values

    @cached_property
    def n_distinct(self) -> int:
        """The number of distinct numbers."""
        ordered = np.sort(self.present)
        return int((ordered[1:] != ordered[:-1]).sum()) + bool(len(ordered))


CellColumn: TypeAlias = Texts | PlainNumbers


def _factorize(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Codes of values in the order of their first occurrence, and the values."""
    import pandas as pd

    codes, different = pd.factorize(values)
    return codes, different


def _clean(text: str) -> str:
    """A cell without surrounding spaces, in Unicode's normal form."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _objects(texts: Sequence[str]) -> Strings:
    array: Strings = np.empty(len(texts), object)
    array[:] = texts
    return array
