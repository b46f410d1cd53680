"""Read CSV and similar files as cells: find encoding, separator, quotes and header.

All of this is determined from the whole file, reported in `Cells.notes`, and can be overridden. No
row is dropped: a row of another length is refused, and the error names its line.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from tenfold.core.errors import DataError, FormatError
from tenfold.inputs.tables.cells import (
    FIRST_ROWS,
    MAX_CELL,
    Cells,
    column_names,
    refuse_long_cells,
    too_long,
)
from tenfold.inputs.tables.csv_columns import CsvRows, Dialect, read_columns
from tenfold.inputs.tables.texts import MISSING, CellColumn, Texts

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SNIFFED_ROWS, SNIFFED_CELLS = 20_000, 2_000_000

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks and their encodings."""

MAX_REPLACED = 0.001
"""Maximum share of characters that are replaced because a given encoding does not have them."""

MAX_SIGNS = 0.02
"""Maximum share of non-ASCII characters that are signs inside words. One such sign is the ³ in
w³adza, which should be an ł and is written in Windows-1250."""

SIGN_IN_WORD = re.compile(
    r"(?<=[^\W\d_])(?:[\xb2\xb3\xb9]|[^\w\x00-\x7f\u2018\u2019\xb4\xb7])(?=[^\W\d_])"
)
"""A non-ASCII sign between two letters, except apostrophes and the Catalan point."""

MAX_TITLES = 10
"""Maximum number of lines before the header."""

TOO_LONG = "field larger than field limit"
"""The message of Python's `csv` module for a cell that is too long."""


@dataclass(frozen=True)
class TextOptions:
    """Options for a text file, as arguments of `read.read_table`."""

    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    otherwise: str | None = None
    known: Sequence[str] = ()
    unread: Container[str] = ()


def read_csv_text(content: bytes, path: Path, asked: TextOptions) -> Cells:
    """Read the bytes of the CSV file at a path. The errors are those of `read.read_table`.

    If a cell is too long, the file is read again, because its column may not be needed.
    """
    try:
        return _read_text(content, path, asked)
    except DataError as error:
        if error.code != "E224" or not asked.unread:
            raise
    with _cells_of_any_length(len(content)):
        return _read_text(content, path, asked)


@contextmanager
def _cells_of_any_length(longest: int) -> Iterator[None]:
    """Allow longer cells in the `csv` module. The limit applies to the whole process."""
    before = csv.field_size_limit(longest)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_text(content: bytes, path: Path, asked: TextOptions) -> Cells:
    text, encoding, n_replaced = decode_text(content, path, asked)
    decoded = text = text.strip("\r\n")
    text, declared, n_skipped = _without_preamble(text)
    if asked.separator is None and declared is None:
        text = _with_tabs(text)
    dialect = _sniff(text, asked.separator or declared, path)
    n_titles = 0
    if asked.header is not False:
        text, n_titles = _without_titles(text, dialect, asked.known)
    n_skipped += n_titles
    rows = _first_rows(text, dialect) or _check_widths(text, dialect, path, n_skipped)
    named = _has_header(rows, asked.known) if asked.header is None else asked.header
    names = column_names(rows[0] if named else None, dialect.width, path)
    is_whole = text is decoded and _is_utf_8(content, text, encoding)
    # If there is a single column, line ends after the text would be read as rows.
    is_whole = is_whole and dialect.width > 1
    raw = content if is_whole else text.encode("utf-8", "surrogatepass")
    body = CsvRows(raw, dialect, tuple(names), named)
    del text, decoded
    columns = read_columns(body, rows[0]) if len(rows) > FIRST_ROWS else None
    if columns is None or _are_too_long(columns):
        _check_widths(body.text.decode(), dialect, path, n_skipped)
        columns = body.columns()
        columns = {name: _of_cells(columns[name], name, path, asked) for name in names}
    if not len(next(iter(columns.values()))):
        raise DataError(
            "E436", "The table has no rows", where=path, expected="at least one row of data"
        )
    notes = [f"cells separated by {SEPARATORS.get(dialect.separator, repr(dialect.separator))}"]
    notes.append("names in the first row" if named else "no header: columns are named by position")
    if encoding != "utf-8":
        notes.append(f"text read as {encoding}")
    if n_titles:
        notes.append(f"{n_titles} lines before the header not read")
    if n_replaced:
        notes.append(f"{n_replaced} characters that are not {encoding} replaced")
    if not dialect.quote:
        notes.append("quotes are part of the text")
    return Cells(path.name, columns, named, tuple(notes), dialect.separator)


def _of_cells(column: CellColumn, name: str, where: Path, asked: TextOptions) -> CellColumn:
    """A column whose cells are not too long. Only columns that are not needed may contain longer
    cells."""
    if name in asked.unread:
        return column.texts.changed(lambda text: text if len(text) <= MAX_CELL else "")
    return refuse_long_cells(column.texts, where, name)


def _are_too_long(columns: Mapping[str, CellColumn]) -> bool:
    """Whether a cell is too long for the `csv` module, which reports its line."""
    texts = (column for column in columns.values() if isinstance(column, Texts))
    return any(max(map(len, column.different), default=0) > MAX_CELL for column in texts)


def decode_text(content: bytes, where: object, asked: TextOptions) -> tuple[str, str, int]:
    """The text of a file, its encoding, and the number of replaced characters.

    A byte order mark decides. Without one, the text is UTF-8, or UTF-16 if every other byte is 0.
    Other bytes are read as Windows-1252 if they occur singly among ASCII letters. A text that is
    UTF-8 except for a few bytes, or that seems to use another alphabet, is refused, because a guess
    would read wrong letters. A given encoding overrules the bytes; a few characters that it does
    not have are replaced.
    """
    if asked.encoding is not None:
        return _decode_as(content, where, asked.encoding)
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    encoding = encoding or _utf_16_without_mark(content) or "utf-8"
    # Line ends at the end are removed here, because removing them later would copy the whole text.
    n_bytes = _n_without_ends(content) if encoding == "utf-8" else len(content)
    try:
        text = str(memoryview(content)[:n_bytes], encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise _not_text(where) from error
        if asked.otherwise is not None:
            return _decode_as(content, where, asked.otherwise)
        text, encoding = _decode_foreign(content, where, error), "cp1252"
    if "\0" in text:
        raise _not_text(where)
    return text, "utf-8" if encoding == "utf-8-sig" else encoding, 0


def _is_utf_8(content: bytes, text: str, encoding: str) -> bool:
    """Whether the bytes are the text in UTF-8, without a byte order mark or replaced characters."""
    is_marked = any(map(content.startswith, MARKS))
    return encoding == "utf-8" and not is_marked and "\ufffd" not in text


def _n_without_ends(content: bytes) -> int:
    """Number of bytes without the line ends at the end."""
    n_bytes = len(content)
    while n_bytes and content[n_bytes - 1] in b"\r\n":
        n_bytes -= 1
    return n_bytes


def _decode_as(content: bytes, where: object, encoding: str) -> tuple[str, str, int]:
    try:
        text = content.decode(encoding, "replace")
    except LookupError as error:
        raise FormatError(
            "E226",
            "There is no such encoding",
            where=where,
            expected="a name that Python knows, such as utf-8, cp1252, gbk, shift_jis",
            encoding=encoding,
        ) from error
    n_replaced = text.count("\ufffd") - content.count("\ufffd".encode())
    if n_replaced > max(1, MAX_REPLACED * len(text)) or "\0" in text:
        raise FormatError(
            "E227",
            "The file is not in this encoding",
            where=where,
            expected="only characters of this encoding",
            fix="Use another --encoding",
            encoding=encoding,
            n_characters=n_replaced,
        )
    return text.removeprefix("\ufeff"), encoding.lower(), max(0, n_replaced)


def _not_text(where: object) -> FormatError:
    return FormatError(
        "E214",
        "The file is not a text file",
        where=where,
        expected="CSV in UTF-8, UTF-16 or Windows-1252",
    )


def _utf_16_without_mark(content: bytes) -> str | None:
    """Whether bytes look like UTF-16. In Latin letters every other byte of UTF-16 is 0, and in no
    other encoding."""
    start = content[: 1 << 16]
    even, odd = (start[i::2].count(0) / max(1, len(start[i::2])) for i in (0, 1))
    if even < 0.05 and odd > 0.5:
        return "utf-16-le"
    return "utf-16-be" if odd < 0.05 and even > 0.5 else None


def _decode_foreign(content: bytes, where: object, error: UnicodeDecodeError) -> str:
    """Read text that is not UTF-8 as Windows-1252, if no other encoding is plausible."""
    lenient = content.decode("utf-8", "surrogateescape")
    n_broken = len(re.findall("[\udc80-\udcff]", lenient))
    n_whole = len(re.findall("[^\0-\x7f\udc80-\udcff]", lenient))
    line = content.count(b"\n", 0, error.start) + 1
    if n_whole >= n_broken:
        raise FormatError(
            "E228",
            "The file contains a byte that is not UTF-8",
            where=where,
            expected="UTF-8, like the rest of the file",
            fix="Correct it, or replace it with --encoding utf-8; or name another encoding",
            line=line,
            byte=f"0x{content[error.start]:02x}",
        ) from error
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", content)]
    text = content.decode("cp1252", "replace")
    # Signs inside words show that letters of Central European languages are in another encoding.
    n_signs = len(SIGN_IN_WORD.findall(text))
    if sum(runs) > 2 * len(runs) or n_signs > MAX_SIGNS * len(runs):
        raise FormatError(
            "E229",
            "The encoding of the file is unclear",
            where=where,
            expected="UTF-8, UTF-16 or Windows-1252",
            fix="Name the encoding, for example --encoding cp1250, cp1251, gbk or shift_jis",
            line=line,
        ) from error
    if "\ufffd" in text:
        raise _not_text(where) from error
    return text


def _without_preamble(text: str) -> tuple[str, str | None, int]:
    """The text from its first row on, the separator of Excel's `sep=` line, and the lines before.

    A line that begins with # is a comment if it has fewer cells than the first row below.
    """
    declared = re.match(r"sep=([^\r\n])\r?\n", text)
    n_lines = 1 if declared else 0
    text = text[declared.end() :] if declared else text
    comments = re.match(r"(?:#[^\r\n]*[\r\n]+)+", text)
    if comments:
        below = text[comments.end() :].partition("\n")[0]
        separator = max(SEPARATORS, key=below.count)
        while text.startswith("#"):
            line, _, rest = text.partition("\n")
            if line.count(separator) >= below.count(separator):
                break
            text, n_lines = rest, n_lines + 1
    return text, declared[1] if declared else None, n_lines


def _with_tabs(text: str) -> str:
    """Replace the spaces between cells by tabs in a text that needs it; return others unchanged.

    A text needs it if no separator occurs, all lines have the same number of words, at least two,
    and some of them are numbers.
    """
    if any(separator in text for separator in SEPARATORS) or '"' in text:
        return text
    lines = [line for line in text.splitlines() if line.strip()]
    n_words = {len(line.split()) for line in lines}
    if len(n_words) != 1 or len(lines) < 2 or max(n_words) < 2:
        return text
    if not any(map(_is_number, lines[-1].split())):
        return text
    return "\n".join("\t".join(line.split()) for line in lines)


def _without_titles(text: str, dialect: Dialect, known: Sequence[str]) -> tuple[str, int]:
    """Remove the lines of titles before the header, and count them.

    Lines of a single cell are titles if the first of them and the header begin in the first column,
    and all cells of the header are words. So are all lines above a row with a name that is searched
    for, such as the groups of columns in a header of two lines.
    """
    n_above = _lines_above(text, dialect, known)
    if n_above:
        return "".join(text.splitlines(keepends=True)[n_above:]), n_above
    if dialect.width < 3:
        return text, 0
    reader, n_lines = dialect.rows(text), 0
    for row in islice(reader, MAX_TITLES):
        filled = [cell for cell in row if cell.strip()]
        if any(map(_is_number, filled)):
            break
        if len(filled) == dialect.width and n_lines:
            return "".join(text.splitlines(keepends=True)[n_lines:]), n_lines
        if len(filled) > 1 or (row and not row[0].strip()):
            break
        n_lines = reader.line_num
    return text, 0


def _lines_above(text: str, dialect: Dialect, known: Sequence[str]) -> int:
    """Number of lines above the first row with a name that is searched for. 0 if there is none."""
    names = {name for name in known if not name.lstrip("-").isdecimal()}
    reader, n_lines = dialect.rows(text), 0
    for row in islice(reader, MAX_TITLES) if names else ():
        cells = [cell.strip() for cell in row]
        if names & set(cells):
            is_header = len(set(cells)) == len(cells) and not any(map(_is_number, cells))
            return n_lines if is_header else 0
        n_lines = reader.line_num
    return 0


def _is_well_quoted(text: str, dialect: Dialect) -> bool:
    """Whether every quote that opens a cell is closed at the end of a cell."""
    if dialect.quote not in text:
        return True
    try:
        for _ in islice(dialect.rows(text, strict=True), SNIFFED_ROWS):
            pass
    except csv.Error as error:
        return TOO_LONG in str(error)
    return True


def _quoted(text: str, separator: str) -> Iterator[Dialect]:
    """The styles of quotes that fit a text, in the order in which they are tried."""
    plain = Dialect(separator)
    is_quoted = '"' in text
    if is_quoted and re.search(rf'(?:^|{re.escape(separator)}) +"', text, re.MULTILINE):
        spaced = replace(plain, blanks=True)
        if _is_well_quoted(text, spaced):
            yield spaced
    if _is_single_quoted(text, separator):
        yield replace(plain, quote="'", blanks=True)
    escaped = replace(plain, escape="\\")
    is_escaped = is_quoted and '\\"' in text and not _is_well_quoted(text, plain)
    yield escaped if is_escaped and _is_well_quoted(text, escaped) else plain


def _is_single_quoted(text: str, separator: str) -> bool:
    """Whether all cells of a column are in single quotes, and no quote is on one side only."""
    if "'" not in text or '"' in text:
        return False
    dialect = Dialect(separator, quote="'", blanks=True)
    if not _is_well_quoted(text, dialect):
        return False
    raw = Dialect(separator, quote="")
    widths = Counter(map(len, islice(dialect.rows(text), SNIFFED_ROWS)))
    rows = [row for row in islice(raw.rows(text), SNIFFED_ROWS) if row]
    if any(len(row) not in widths for row in rows):
        return True  # there are separators inside the quotes
    body = rows[1:] or rows
    quoted = [[re.fullmatch(r"\s*'.*'\s*", cell) is not None for cell in row] for row in body]
    return any(all(column) for column in zip(*quoted, strict=False))


def _sniff(text: str, separator: str | None, where: object) -> Dialect:
    """Find the separator and quotes with which most rows have the same number of cells."""
    if not text or text.isspace():
        raise DataError("E215", "The file is empty", where=where, expected="rows of cells")
    candidates = [separator] if separator else [one for one in SEPARATORS if one in text]
    quoted = (dialect for candidate in candidates for dialect in _quoted(text, candidate))
    best = _best(text, quoted, separator)
    if best is not None and _is_well_quoted(text, best[1]):
        return best[1]
    unquoted = _best(text, (Dialect(candidate, quote="") for candidate in candidates), separator)
    if unquoted is not None and (best is None or unquoted[0] > best[0]):
        return unquoted[1]
    return best[1] if best else Dialect(separator or ",")


def _best(
    text: str, dialects: Iterable[Dialect], separator: str | None
) -> tuple[tuple[float, int, int], Dialect] | None:
    """The first dialect with the best score. None if no dialect gives rows of several cells."""
    best: tuple[tuple[float, int, int], Dialect] | None = None
    for dialect in dialects:
        # A quote that belongs to the text would join lines.
        is_quoted = bool(dialect.quote) and dialect.quote in text
        widths, broken = Counter[int](), False
        try:
            for row in islice(dialect.rows(text), SNIFFED_ROWS):
                widths[len(row)] += 1
                broken = broken or (is_quoted and any("\n" in cell for cell in row))
        except csv.Error:  # a cell that does not end, because its quote is never closed
            continue
        del widths[0]
        width, n_alike = widths.most_common(1)[0]
        if width == 1 and not separator:
            continue
        score = (n_alike / widths.total(), -int(broken), width)
        if best is None or score > best[0]:
            best = score, replace(dialect, width=width)
    return best


def _first_rows(text: str, dialect: Dialect) -> list[list[str]]:
    """The first rows, or none if a quote is never closed or one row has another length."""
    try:
        rows = list(_some(row for row in dialect.rows(text) if row))
    except csv.Error:
        return []
    return rows if all(len(row) == dialect.width for row in rows) else []


def _some(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """The first rows, as many as are needed to find out how a file is written."""
    n_cells = 0
    for row in islice(rows, SNIFFED_ROWS):
        yield row
        n_cells += len(row)
        if n_cells >= SNIFFED_CELLS:
            return


def _check_widths(text: str, dialect: Dialect, where: object, n_skipped: int) -> list[list[str]]:
    """Count every row of the file, and return the first rows."""
    reader = dialect.rows(text)
    first: list[list[str]] = []
    ragged: list[int] = []
    n_ragged = line = 0
    try:
        for row in reader:
            line = reader.line_num
            if row and len(row) != dialect.width:
                n_ragged += 1
                ragged = [*ragged, line + n_skipped][:5]
            elif row and len(first) < SNIFFED_ROWS:
                first.append(row)
    except csv.Error as error:
        if TOO_LONG in str(error) and reader.line_num == line + 1:
            raise too_long(where, line=line + 1 + n_skipped) from error
        raise FormatError(
            "E222",
            "A quotation mark is never closed",
            where=where,
            line=line + 1 + n_skipped,
            reason=str(error),
        ) from error
    if n_ragged:
        raise DataError(
            "E216",
            "Some rows have another number of cells",
            where=where,
            expected=f"{dialect.width} cells in each row",
            fix="Correct these lines, or use another --separator",
            lines=ragged,
            n_rows=n_ragged,
        )
    return first


def _has_header(rows: Sequence[Sequence[str]], known: Sequence[str]) -> bool:
    """Whether the first row contains the names of the columns.

    It does if it contains a known name. It also does if its cells are complete and distinct, and
    either count the columns, or are words above numbers, or are words that do not occur below. If
    the known names are positions, it does only if it counts the columns or contains all of the
    names.
    """
    first = [cell.strip() for cell in rows[0]]
    positions = [str(i) for i in range(len(first))]
    # Two cells may be 0,1 by chance, which is a row of many tables.
    counts = len(first) > 2 and first in (positions, [str(i + 1) for i in range(len(first))])
    if known and set(known) <= set(positions):
        return counts or (len(known) > 2 and set(known) <= set(first))
    if set(known) & set(first):
        return True
    if len(rows) < 2 or "" in first[1:] or len(set(first)) < len(first):
        return False
    if counts:
        return True
    if any(_is_number(cell) for cell in first):
        return False
    below = list(zip(*rows[1:], strict=True))
    if any(_mostly_numbers(_different(column)) for column in below):
        return True
    short = all(len(cell) <= 64 for cell in first)
    return short and not any(
        cell in _different(column) for cell, column in zip(first, below, strict=True)
    )


def _different(column: Sequence[str]) -> set[str]:
    return {cell.strip() for cell in set(column)}


def _mostly_numbers(cells: set[str]) -> bool:
    present = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(present) and sum(map(_is_number, present)) >= 0.9 * len(present)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell.replace(",", "."))) and "_" not in cell
    except ValueError:
        return False
