"""The target of a table: which column it is, and whether it contains labels or numbers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Contract, DecimalMark
from tenfold.core.errors import DataError, TargetError, did_you_mean
from tenfold.core.settings import Reading
from tenfold.core.systems import quoted
from tenfold.core.text import shorten
from tenfold.inputs.tables.cells import Cells
from tenfold.inputs.tables.columns import LARGEST, FileStyle, describe, infer_kind, parse_names
from tenfold.inputs.tables.numbers import parse_numbers
from tenfold.inputs.tables.other_rows import without_other_rows
from tenfold.inputs.tables.texts import CellColumn, Texts

MAX_LABEL_NUMBERS = 20
"""A target with at most this many distinct integers is regarded as labels."""

FEW_ROWS = 2
"""A label with at most this many rows has too few for a score of its own."""

MAX_LABELS = 1_000
TARGET_NAMES = ("target", "label", "class", "y")

YES_NO_WORDS = {"y", "n", "t", "f", "on", "no"}
"""In words with fewer letters than this, case distinguishes labels."""

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
"""Soft hyphen, zero-width characters and direction marks, which are invisible in a label."""


@dataclass(frozen=True, eq=False)
class Target:
    """The target of each row in the form of `Dataset`, and notes for the user.

    Attributes:
      decimal: The decimal mark of the numbers, if it is a comma.
    """

    y: NDArray[np.int64] | NDArray[np.float64]
    labels: tuple[str, ...]
    decimal: DecimalMark | None = None
    notes: tuple[str, ...] = ()


def find_target(cells: Cells, target: str | None) -> str:
    """The name of the column to predict."""
    names = cells.names
    if target is None:
        raise _no_target(names, cells.name)
    if target in names:
        return target
    if not cells.header:
        with suppress(ValueError, IndexError):
            return names[int(target)]
    return no_column(target, cells)


def _no_target(names: Sequence[str], where: str) -> TargetError:
    """Suggest a column by its name. It is never chosen without asking, because it may be the wrong
    one."""
    likely = [name for usual in TARGET_NAMES for name in names if name.lower() == usual]
    example = likely[0] if likely else "NAME"
    error = TargetError(
        "E203",
        "No target column was chosen",
        where=where,
        expected=f"the column to predict, one of {shorten(names)}",
        fix=f"Use --target {quoted([example])}, in Python target={example!r}",
    )
    error.columns, error.likely = tuple(names), likely[0] if likely else None
    return error


def no_column(column: str, cells: Cells) -> NoReturn:
    """Raise the error for a column that a table does not have."""
    names = cells.names
    fix = did_you_mean(column, names)
    if names == [str(i) for i in range(len(names))]:
        fix = "Use --header if the first row contains the names"
    expected = f"one of {shorten(names)}"
    raise DataError(
        "E201",
        "There is no such column",
        where=cells.name,
        expected=expected,
        fix=fix,
        column=column,
    )


def rows_of_data(cells: Cells, target: str) -> tuple[Cells, Cells, list[str]]:
    """The rows that contain data, those of them with an answer, and notes about the other rows."""
    rows, left_out = without_other_rows(cells)
    answered, unanswered = with_answers(rows, target)
    return rows, answered, left_out + unanswered


def with_answers(cells: Cells, target: str) -> tuple[Cells, list[str]]:
    """The rows with an answer, and the number of rows without one."""
    if target not in cells:
        no_column(target, cells)
    missing = cells[target].is_missing
    n_missing = int(missing.sum())
    if n_missing == len(cells):
        raise DataError(
            "E204", "The target column is empty in every row", where=cells.name, column=target
        )
    if not n_missing:
        return cells, []
    texts = sorted(set(cells[target].texts.take(missing).different) - {""})
    notes = [f"{n_missing} rows without {target} dropped"]
    if texts:
        notes.append(f"{shorten(texts, 5)} means a missing {target}; --na-values '' keeps it")
    return cells.take(~missing), notes


def read_target(
    cells: Cells, target: str, reading: Reading, style: FileStyle, like: Contract | None = None
) -> Target:
    """The target of each row with an answer: codes and their labels, or numbers without labels.

    A model to be measured (`like`) determines the task and the labels. Without one, `reading` does.

    Raises:
      DataError: A cell is not a number (for regression), there are too many labels, or there are
        labels that the model does not know.
    """
    column = cells[target]
    kind = reading.columns.get(target, "number")
    if kind.partition(":")[0] not in ("number", "category"):
        raise DataError(
            "E230",
            "The target cannot be of this kind",
            where=cells.name,
            expected="number, number:, or number:. for its decimal mark; category for labels as "
            "they are written",
            column=target,
            kind=kind,
        )
    decimal = like.input.target_decimal if like and like.input.kind == "table" else None
    notes: list[str] = []
    if decimal is None and kind != "category":
        described, notes = describe(target, kind, column, style)
        decimal = described.decimal
    numbers = parse_numbers(column, decimal)
    task = like.task if like else reading.task
    if task is None:
        is_label = kind == "category" or _are_labels(column, numbers)
        task = "classification" if is_label else "regression"
    if task == "regression":
        _check_numbers(numbers, cells, target)
        return Target(numbers, (), "," if decimal == "," else None, tuple(notes))
    names = parse_names(column)
    if like is not None:
        return Target(_codes(names, like.labels, cells.name), like.labels)
    notes = []
    if kind != "category":
        names, notes = _merged(names, target)
    labels = _sorted_labels(sorted(names.different))
    if kind != "category" and not np.isnan(numbers).any():
        _check_repeated(names, target, cells.name)
    if len(labels) > min(MAX_LABELS, len(names) // 2):
        raise DataError(
            "E212",
            "The target has too many labels",
            where=cells.name,
            expected=f"at most {MAX_LABELS:,} labels, with two rows each on average",
            fix="Use another --target, or --task regression if it is a quantity",
            column=target,
            n_labels=len(labels),
        )
    return Target(_codes(names, labels, cells.name), labels, notes=tuple(notes))


def _check_repeated(names: Texts, target: str, where: str) -> None:
    """Refuse numbers as labels if most of them occur in one or two rows, because they must be a
    quantity."""
    n_labels, n_rare = len(names.different), int((names.counts <= FEW_ROWS).sum())
    if n_labels > MAX_LABEL_NUMBERS and 2 * n_rare > n_labels:
        raise DataError(
            "E244",
            "The numbers of the target look like quantities, not labels",
            where=where,
            expected=f"labels of which most have more than {FEW_ROWS} rows",
            fix=f"Use --task regression, or --column {quoted([f'{target}=category'])} if each "
            "number is a label",
            column=target,
            n_labels=n_labels,
            n_rare=n_rare,
        )


def _merged(names: Texts, target: str) -> tuple[Texts, list[str]]:
    """Merge different spellings of the same label, with notes about them."""
    counts = dict(zip(names.different, names.counts.tolist(), strict=True))
    groups: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups.setdefault(_same_label(name), []).append(name)
    label = {name: variants[0] for variants in groups.values() for name in variants}
    notes = [
        f"{target}: {shorten([repr(name) for name in others], 5)} read as {first!r}; --column "
        f"'{target}=category' keeps them apart"
        for first, *others in groups.values()
        if others
    ]
    left: dict[str, list[str]] = {}
    for name in sorted(set(label.values())):
        left.setdefault(name.casefold(), []).append(name)
    alike = [" and ".join(variants) for variants in left.values() if len(variants) > 1]
    if alike:
        notes.append(f"{target}: labels that differ in case alone: {shorten(alike, 5)}")
    return names.changed(label.__getitem__), notes


def _same_label(name: str) -> str:
    """The common form of spellings of one label: Yes, YES and "yes " with a hidden space.

    Case matters in words of one and two letters: m and M may be two things, as may CO and Co.
    """
    seen = " ".join(INVISIBLE.sub("", unicodedata.normalize("NFC", name)).split())
    folded = seen.casefold()
    return folded if sum(map(str.isalpha, seen)) > 2 or folded in YES_NO_WORDS else seen


def _codes(names: Texts, labels: tuple[str, ...], where: str) -> NDArray[np.int64]:
    """The code of each name (n,). A name in another spelling gets the code of its label if only one
    label is possible."""
    codes = {name: code for code, name in enumerate(labels)}
    spellings = Counter(map(_same_label, labels))
    different = set(names.different)
    for name in different - codes.keys():
        same = _same_label(name)
        if spellings[same] == 1:
            codes[name] = next(i for i, label in enumerate(labels) if _same_label(label) == same)
    unknown = sorted(different - codes.keys())
    if unknown:
        raise DataError(
            "E205",
            "The data contain labels that the model does not know",
            where=where,
            expected=", ".join(labels),
            labels=unknown[:5],
        )
    return np.array([codes[name] for name in names.different], np.int64)[names.codes]


def _check_numbers(numbers: NDArray[np.float64], cells: Cells, target: str) -> None:
    """Refuse cells that are not numbers, and targets that float32 predictions cannot represent."""
    wrong = np.flatnonzero(np.isnan(numbers))
    if wrong.size:
        raise DataError(
            "E211",
            "The target contains values that are not numbers",
            where=f"{cells.name}, row {cells.row_numbers[wrong[0]]}",
            expected="numbers for regression",
            fix="Use --task classification if the values are labels",
            column=target,
            value=cells[target].texts[int(wrong[0])],
            n_rows=len(wrong),
        )
    largest = float(np.abs(numbers).max())
    spread = float((numbers / (largest or 1)).std())
    if largest == 0 or (1e-30 < largest < LARGEST and not 0 < spread < 1e-6):
        return
    raise DataError(
        "E202",
        "The target has values that float32 cannot hold",
        where=cells.name,
        expected=f"sizes from 1e-30 to {LARGEST:g} that vary by more than a millionth",
        fix="Change its unit, or subtract a constant from all rows",
        column=target,
        largest=largest,
        relative_deviation=spread,
    )


def _are_labels(column: CellColumn, numbers: NDArray[np.float64]) -> bool:
    kind = infer_kind("", column)
    if kind in ("yes/no", "category") or np.isnan(numbers).any():
        return kind != "number"
    return bool((numbers % 1 == 0).all()) and len(np.unique(numbers)) <= MAX_LABEL_NUMBERS


def _sorted_labels(names: list[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(sorted(names))
