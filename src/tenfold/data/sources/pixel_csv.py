"""CSV files with 784 pixel columns, a common form of MNIST, with a label or an index column."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import DataError, FormatError
from tenfold.data.sources.labelled import N_PIXELS, SIDE_PX, Images, named_codes, parse_number
from tenfold.inputs.idx import describe_array, not_a
from tenfold.inputs.pictures.pixels import WHITE
from tenfold.inputs.tables.csv_text import SEPARATORS

LABEL_NAMES = ("label", "class", "target", "y", "digit")
"""Common headers of the label column, in lower case."""

INDEX_NAMES = ("", "index", "id", "imageid", "row", "unnamed: 0")
"""Headers of a first column that numbers the rows, as written by pandas and R."""

BOM = b"\xef\xbb\xbf"
CHUNK_BYTES = 1 << 21
MAX_LINE_BYTES = 1 << 16


def pixel_label(path: Path) -> str | None:
    """The header of the label in the first line of a file with 784 pixel columns. "" if it has no
    name, and None if there are no such columns."""
    with files.os_errors("read", path), path.open("rb") as file:
        layout = _layout(file, path)
    if layout is None or not layout.labelled:
        return None
    return layout.names[layout.label] if layout.names and layout.label is not None else ""


def read_pixel_csv(path: Path) -> Images:
    """Read a CSV with a label and 784 pixel columns as images of 28x28.

    The label is the column with such a header (`LABEL_NAMES`), or else the first or the last
    column, if it is clear which. The separator is a comma, semicolon or tab. A first column that
    numbers the rows (`INDEX_NAMES`) is ignored.
    """
    x, answers = _read(path, labelled=True)
    y, labels = named_codes(answers, path)
    return Images(x, y, labels, [f"{path.name}:{row}" for row in range(len(x))], len(x))


def read_unlabelled_csv(path: Path) -> NDArray[Any]:
    """The images of a CSV of pixels with or without a label, (n, 28, 28)."""
    return _read(path, labelled=False)[0]


def _read(path: Path, *, labelled: bool) -> tuple[NDArray[Any], list[str]]:
    """The images, and the answers if there are any. With `labelled` there must be some."""
    with files.os_errors("read", path), path.open("rb") as file:
        layout = _layout(file, path)
        if layout is None or (labelled and not layout.labelled):
            file.seek(0)
            raise DataError(
                "E439",
                "The CSV file does not contain images",
                where=path,
                expected=f"{'a label and ' if labelled else ''}{N_PIXELS} pixel columns",
                n_columns=len(_cells(file.readline(MAX_LINE_BYTES))[1]),
            )
        if layout.labelled and layout.label is None:
            layout = replace(layout, label=_label_column(file, layout, path))
        parts, answers = [], list[str]()
        for line, chunk in _chunks(file, layout, path):
            pixels, names = _parse_fast(chunk, layout) or _parse_slow(chunk, layout, line, path)
            parts.append(pixels)
            answers += names
    if not sum(map(len, parts)):
        raise DataError("E436", "The table has no rows", where=path, expected="at least one")
    return np.concatenate(parts).reshape(-1, SIDE_PX, SIDE_PX), answers


@dataclass(frozen=True)
class _Layout:
    """The layout of a CSV of pixels. `names` is empty without a header. `label` is None if it is
    unclear which column is the label.

    With `index`, the first column numbers the rows. With `labelled`, one column is the label.
    """

    separator: bytes
    names: tuple[str, ...]
    start: int  # the position of the first byte of the rows
    label: int | None
    labelled: bool
    index: bool = False

    @property
    def others(self) -> list[int]:
        """The number of columns that are not pixels."""
        return ([0] if self.index else []) + ([] if self.label is None else [self.label])

    @property
    def n_columns(self) -> int:
        return N_PIXELS + self.labelled + self.index

    def place(self, path: Path, line: int, column: int) -> str:
        name = f" {self.names[column]!r}" if self.names else ""
        return f"{path}, line {line}, column {column + 1}{name}"


def _layout(file: BinaryIO, path: Path) -> _Layout | None:
    first = file.readline(MAX_LINE_BYTES)
    if describe_array(first):
        raise not_a("a CSV file", path, first, expected="text in columns")
    separator, cells = _cells(first)
    n_others = len(cells) - N_PIXELS
    if n_others not in (0, 1, 2):
        return None
    labels = [i for i, cell in enumerate(cells) if cell.lower() in LABEL_NAMES]
    numbers = all(parse_number(cell) is not None for cell in cells[1:-1])
    # A row of pixels repeats some values; pandas makes a header of equal numbers 0, 0.1, 0.2
    # ...
    if not labels and numbers and len(set(cells)) < len(cells):
        start = 3 if first.startswith(BOM) else 0
        return _Layout(separator, (), start, None, n_others == 1) if n_others < 2 else None
    index = n_others > 0 and cells[0].lower() in INDEX_NAMES
    labelled = n_others - index == 1
    if n_others - index not in (0, 1) or (labels and not labelled):
        return None
    stems = [re.sub(r"\d+", "", cell) for cell in cells]  # pixel0, pixel1 ...
    ends = (int(index), len(cells) - 1) if labelled else ()
    labels = labels or [i for i in ends if stems[i] != stems[2]]
    label = labels[0] if len(labels) == 1 else None
    if index and labelled and label is None:
        return None
    layout = _Layout(separator, tuple(cells), len(first), label, labelled, index)
    others = {*layout.others, *labels}
    _check_order([cell for i, cell in enumerate(cells) if i not in others], path)
    return layout


def _check_order(pixels: list[str], path: Path) -> None:
    """Refuse pixel columns whose numbers show that they are in the wrong order."""
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in pixels]
    if all(numbers) and len(set(numbers)) == len(numbers) and numbers != sorted(numbers):
        moved = next(i for i, number in enumerate(sorted(numbers)) if numbers[i] != number)
        raise DataError(
            "E437",
            "The pixel columns are out of order",
            where=path,
            expected="row by row, in the order of their numbers",
            fix="Sort the columns",
            first=pixels[moved],
        )


def _cells(line: bytes) -> tuple[bytes, list[str]]:
    """The separator and the cells of a line."""
    separator = max(map(str.encode, SEPARATORS), key=line.count)
    text = line.removeprefix(BOM).decode("utf-8", "replace").rstrip("\r\n")
    return separator, [_bare(cell) for cell in text.split(separator.decode())]


def _bare(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _label_column(file: BinaryIO, layout: _Layout, path: Path) -> int:
    """The index of the label column, which is 0 or 784, the first or the last column.

    The label column contains names, or integers without gaps, and the other column does not. A
    pixel in the corner is usually 0 in all rows. If both columns look like labels, the file is
    ambiguous.
    """
    first, last = set[bytes](), set[bytes]()
    for _, chunk in _chunks(file, layout, path):
        for line in chunk.splitlines():
            if line.strip():
                first.add(line.split(layout.separator, 1)[0].strip(b' "'))
                last.add(line.rsplit(layout.separator, 1)[-1].strip(b' "'))
    likely = [_like_labels(cells) for cells in (first, last)]
    if likely[0] == likely[1]:
        raise DataError(
            "E438",
            "It is unclear which column is the label",
            where=path,
            expected="labels 0, 1, 2 ... or names, either in the first or in the last column",
            fix="Name the column 'label' in a header line",
        )
    return 0 if likely[0] > likely[1] else N_PIXELS


def _like_labels(cells: set[bytes]) -> int:
    """How much a column looks like labels: 2 if it contains names, 1 if it contains every integer
    from the smallest to the largest, and otherwise 0."""
    numbers = {parse_number(cell.decode("utf-8", "replace")) for cell in cells}
    if numbers == {None}:
        return 2
    if len(numbers) < 2 or None in numbers:
        return 0
    codes = sorted(number for number in numbers if number is not None)
    return int(codes[0] % 1 == 0 and codes == [codes[0] + i for i in range(len(codes))])


def _chunks(file: BinaryIO, layout: _Layout, path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines, several thousand at a time, with the line number of the first."""
    file.seek(layout.start)
    line, rest = 2 if layout.names else 1, b""
    while block := file.read(CHUNK_BYTES):
        whole, newline, rest = (rest + block).rpartition(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            where = f"{path}, line {line + (whole + newline).count(newline) if newline else line}"
            raise DataError(
                "E440",
                "A line is too long",
                where=where,
                expected=f"at most {MAX_LINE_BYTES} bytes",
            )
        if newline:
            yield line, (whole + newline).replace(b"\r\n", b"\n")
            line += whole.count(b"\n") + 1
    if rest:
        yield line, rest.rstrip(b"\r") + b"\n"


def _parse_fast(chunk: bytes, layout: _Layout) -> tuple[NDArray[np.uint8], list[str]] | None:
    """The pixels and answers of lines in the simplest form, with one to three digits in every
    cell."""
    text = np.frombuffer(chunk, np.uint8)
    # The difference wraps around, so that it is above 9 for anything but a digit.
    digits = text - ord("0")
    ends = np.flatnonzero(digits > 9)
    n_columns = layout.n_columns
    lengths = np.diff(ends, prepend=-1) - 1
    if len(ends) % n_columns or lengths.min() < 1:
        return None
    if lengths.reshape(-1, n_columns)[:, int(layout.index) :].max() > 3:
        return None
    separators = text[ends].reshape(-1, n_columns)
    if (separators[:, :-1] != ord(layout.separator)).any() or (separators[:, -1] != 10).any():
        return None
    values = digits[ends - 1].astype(np.int16)
    values += np.where(lengths > 1, digits[ends - 2], 0).astype(np.int16) * 10
    values += np.where(lengths > 2, digits[ends - 3], 0).astype(np.int16) * 100
    values = values.reshape(-1, n_columns)
    pixels = np.delete(values, layout.others, axis=1)
    if pixels.max() > 255:
        return None
    codes = [] if layout.label is None else values[:, layout.label].tolist()
    return pixels.astype(np.uint8), [str(code) for code in codes]


def _parse_slow(
    chunk: bytes, layout: _Layout, line: int, path: Path
) -> tuple[NDArray[Any], list[str]]:
    """Parse cell by cell: quotes, spaces and `0.5` are read, and everything else is refused."""
    rows, names = [], []
    kept = [i for i in range(layout.n_columns) if i not in layout.others]
    for number, text in enumerate(chunk.split(b"\n")[:-1], line):
        if not text.strip():
            continue
        try:
            cells = [_bare(cell) for cell in text.decode("utf-8").split(layout.separator.decode())]
        except UnicodeDecodeError as error:
            where = f"{path}, line {number}"
            raise FormatError(
                "E442", "The file is not UTF-8", where=where, reason=error.reason
            ) from error
        if len(cells) != layout.n_columns:
            where, expected = f"{path}, line {number}", str(layout.n_columns)
            raise DataError(
                "E441",
                "A row has another number of columns",
                where=where,
                expected=expected,
                n=len(cells),
            )
        if layout.label is not None:
            names.append(cells[layout.label])
        values = [parse_number(cells[column]) for column in kept]
        for column, value in zip(kept, values, strict=True):
            if value is None or not 0 <= value <= WHITE:
                raise DataError(
                    "E432",
                    "A value is not a pixel",
                    where=layout.place(path, number, column),
                    expected="a number from 0 to 255, or from 0 to 1",
                    value=cells[column],
                )
        rows.append(np.array(values, np.float32))
    pixels = np.array(rows, np.float32).reshape(-1, N_PIXELS)
    is_whole = (pixels == np.floor(pixels)).all()
    return pixels.astype(np.uint8) if is_whole else pixels, names
