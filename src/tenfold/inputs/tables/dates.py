"""Parse dates and times as people write them, and decide between ambiguous notations."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import DATE_FORMATS, DateFormat
from tenfold.inputs.tables.texts import CellColumn, PlainNumbers, Strings, Texts, kept

if TYPE_CHECKING:
    import pandas as pd

Dates = NDArray[np.datetime64]
DaysAndClock: TypeAlias = tuple["pd.Series[str]", NDArray[np.int64]]

HOURS = {-8: "PST", -7: "PDT MST", -6: "MDT CST", -5: "CDT EST", -4: "EDT", 0: "UTC GMT Z WET"}
HOURS |= {1: "WEST BST CET MEZ", 2: "CEST MESZ EET", 3: "EEST MSK"}
ZONES = {zone: hours for hours, zones in HOURS.items() for zone in zones.split()}
"""Names of time zones and their hours before UTC. American ones are those of RFC 822."""

ZONE = rf"(?:\s*({'|'.join(ZONES)})?(?:([+-]\d{{2}}):?(\d{{2}}))?(?: ?\([\w ]+\))?)"
ZONE_NAME = rf"(?<=\d)\s*({'|'.join(ZONES)})$"
WEEKDAY = r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,?\s+"
QUARTER = r"^(?:(?P<year>\d{4})[-/ ]?Q(?P<part>[1-4])|Q(?P<part2>[1-4])[-/ ]?(?P<year2>\d{4}))$"
WEEK = r"^(?P<year>\d{4})[- ]?W(?P<part>\d{2})$"

DATE_LIKE = re.compile(
    r"^(?:[A-Z][a-z]{2,8}\.?,?\s+)?"
    r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
    r"|\d{4}-\d{2}|\d{1,2}[-/.]\d{4}|\d{1,2}/[A-Za-z]{3}/\d{4}"
    r"|\d{4}[-/ ]?Q[1-4]|Q[1-4][-/ ]?\d{4}|\d{4}[- ]?W\d{2}"
    r"|(?:\d{1,2}\.?[- ])?[A-Za-z]{3,9}\.?[- ](?:\d{1,2},? )?\d{2,4})"
    r"(?:(?:,?[T ]+|:)\d{1,2}:\d{2}.*)?$"
)
TIME_OF_DAY = (
    r"(?:,?[T ]+|:)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp])?\.?(?:[Mm]\.?)?"
    rf"{ZONE}$"
)
COMPACT = r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
WHOLE: dict[DateFormat, re.Pattern[str]] = {
    "%Y%m%d": re.compile(rf"{COMPACT}$"),
    "%Y%m": re.compile(r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])$"),
    "%Y.%m": re.compile(r"^(?:19|20)\d{2}\.(?:0[1-9]|1[0-2])$"),
    "%Y%m%d%H": re.compile(rf"{COMPACT}(?:[01]\d|2[0-3])$"),
    "%Y%m%d%H%M": re.compile(rf"{COMPACT}(?:[01]\d|2[0-3])[0-5]\d$"),
    "%Y%m%d%H%M%S": re.compile(rf"{COMPACT}(?:[01]\d|2[0-3])[0-5]\d[0-5]\d$"),
}
"""Dates that are written as numbers, and their form."""

FIVE_DIGITS = re.compile(r"\d{5}(?:\.\d+)?")
DATE_NUMBER = re.compile(r"^(?:\d{6,19}(?:\.\d+)?|\d{4}\.\d\d)$")

TIME_NAME = re.compile(
    r"(?:^|[^a-z])(?:date|day|time|timestamp|ts|datetime|epoch|unix|month|period|created|updated)"
    r"(?:$|[^a-z])|(?:date|time|stamp)$",
    re.I,
)
"""Names of columns in which seconds since 1970 are read as times, and numbers such as 202301 as
months."""

EPOCHS: dict[DateFormat, tuple[float, int]] = {
    "epoch seconds": (1e8, 1),
    "epoch milliseconds": (1e11, 1_000),
    "epoch microseconds": (1e14, 1_000_000),
    "epoch nanoseconds": (1e17, 1_000_000_000),
}
"""The smallest number of each unit (in the year 1973), and the number of these units in a
second."""

EXCEL: DateFormat = "Excel days"
EXCEL_DAYS, EXCEL_1970 = (20_000, 73_051), 25_569
"""Days since 1899-12-30, as in Excel and Google Sheets: 1954 to 2099, and 1970."""

EXCEL_NAME = re.compile(
    r"(?:^|[^a-z])(?:date|day|datum|tag|fecha|data|dato|month|period)(?:$|[^a-z])|date$", re.I
)
"""Names of columns in which such numbers are read as dates."""

NO_FRACTION = re.compile(r"\.0+$")
"""Integers of columns with missing cells are often written with a fraction: 20231027.0."""

PROBED = 1000
"""Number of the most frequent cells on which formats are tried first. A format that fits none of
them is not tried on the others."""

LATEST = 4_102_444_800
"""The largest number of seconds since 1970 that is read as a time, in the year 2100."""

CLEARER = 0.02
"""A format is more plausible than another if the share of its most common step is larger by at
least this much."""


@dataclass(frozen=True)
class DateChoice:
    """How the dates of a column are written.

    Attributes:
      form: The format.
      other: Another format that fits as many cells and is as plausible. None if there is none.
      example: A cell that the two formats read differently. Empty if there is none.
    """

    form: DateFormat
    other: DateFormat | None = None
    example: str = ""


def choose_date_format(cells: CellColumn, others: Iterable[DateFormat] = ()) -> DateChoice:
    """Find out how the dates of a column are written.

    The format that fits most of the cells that are not ISO 8601 is chosen. If several fit as many,
    the one of another column of the file is chosen, or else the one with the more regular steps:
    01/01, 01/02, 01/03 and so on for years are months, not days of January. If this does not
    decide, the choice is a guess: the first format is used, and `other` names the alternative.
    """
    return _choice(cells.texts, tuple(others))


@kept
def _choice(texts: Texts, others: tuple[DateFormat, ...]) -> DateChoice:
    present = texts.present()
    numeric = _numeric_format(present)
    if numeric is not None:
        return DateChoice(numeric)
    rest = present.take(np.isnat(dates_of(present, "ISO8601"))[present.codes])
    fitting = _fitting_formats(rest)
    if len(fitting) < 2:
        return DateChoice(fitting[0] if fitting else "ISO8601")
    if shared := [form for form in fitting if form in others]:
        return DateChoice(shared[0])
    read = {form: dates_of(rest, form)[rest.codes] for form in fitting}
    order = {form: _regularity(read[form]) for form in fitting}
    best = max(fitting, key=lambda form: order[form])
    runs, share = order[best]
    as_good = [
        form for form in fitting if order[form][0] == runs and share <= order[form][1] + CLEARER
    ]
    if len(as_good) < 2:
        return DateChoice(best)
    best, other = as_good[:2]
    differs = np.flatnonzero(read[best] != read[other])
    return DateChoice(best, other, rest[int(differs[0])])


def _fitting_formats(rest: Texts) -> list[DateFormat]:
    """The formats that read most of these cells, each in a different way."""
    few = rest.different[np.argsort(-rest.counts, kind="stable")[:PROBED]]
    few_cells, few_parts = _series(few), _time_of_day(_series(few))
    read: dict[DateFormat, Dates] = {}
    for form in DATE_FORMATS if len(few) else ():
        is_number = form in EPOCHS or form == EXCEL
        if not is_number and not np.isnat(read_dates(few_cells, form, few_parts)).all():
            read[form] = dates_of(rest, form)
    n_read = {form: int(rest.counts[~np.isnat(dates)].sum()) for form, dates in read.items()}
    most = max(n_read.values(), default=0)
    fitting: list[DateFormat] = []
    for form, n in n_read.items():
        same = any(np.array_equal(read[form], read[other], equal_nan=True) for other in fitting)
        if n == most and not same:
            fitting.append(form)
    return fitting


def _regularity(dates: Dates) -> tuple[bool, float]:
    """Whether dates only rise or only fall, and the share of their most common step (0 to 1)."""
    dates = dates[~np.isnat(dates)]
    if len(dates) < 3:
        return False, 0.0
    steps = np.diff(dates).astype(np.int64)
    runs = bool((steps >= 0).all() or (steps <= 0).all())
    ordered = np.unique(dates)
    if len(ordered) < 3:
        return runs, 0.0
    shares = [_share_of_most_common(np.diff(ordered).astype(np.int64))]
    months = ordered.astype("datetime64[M]")
    days = (ordered - months.astype("datetime64[s]")).astype(np.int64)
    if (days == days[0]).all():
        shares.append(_share_of_most_common(np.diff(months).astype(np.int64)))
    return runs, max(shares)


def _share_of_most_common(steps: NDArray[np.int64]) -> float:
    return float(np.unique(steps, return_counts=True)[1].max() / len(steps))


@kept
def _numeric_format(present: Texts) -> DateFormat | None:
    """The format of dates that are written as integers. None for all others."""
    cells = present.different
    if len(cells) and all(map(FIVE_DIGITS.fullmatch, cells)):
        days = cells.astype(float)
        return EXCEL if days.min() >= EXCEL_DAYS[0] and days.max() <= EXCEL_DAYS[1] else None
    if not len(cells) or not all(map(DATE_NUMBER.match, cells)):
        return None
    whole = [NO_FRACTION.sub("", text) for text in cells]
    for form, pattern in WHOLE.items():
        if all(map(pattern.match, whole)):
            return form
    numbers = cells.astype(float)
    for form, (least, per_second) in EPOCHS.items():
        if numbers.min() >= least and numbers.max() <= LATEST * per_second:
            return form
    return None


def are_numeric_dates(name: str, present: CellColumn) -> bool:
    """Whether integers are dates: 20231027 always, 202310 and seconds depending on the name."""
    if isinstance(present, PlainNumbers):
        first = present.first.present()
        if len(first) and not _are_dates(name, first):
            return False
    texts = present.texts.present()
    return len(texts.different) >= 3 and _are_dates(name, texts)


def _are_dates(name: str, present: Texts) -> bool:
    form = _numeric_format(present)
    if form == EXCEL:
        return EXCEL_NAME.search(name) is not None
    return form == "%Y%m%d" or (form is not None and TIME_NAME.search(name) is not None)


def parse_dates(cells: CellColumn, form: DateFormat | None = None) -> Dates:
    """The dates of cells, datetime64[s] (n,), in UTC. They are NaT if a cell is not a date.

    `form` is the format of cells that are not in ISO 8601. None: the format that fits most cells.
    """
    texts = cells.texts
    form = form or choose_date_format(texts).form
    forms: tuple[DateFormat, DateFormat] = ("ISO8601", form)
    if form in EPOCHS or form in WHOLE or form == EXCEL:
        forms = (form, "ISO8601")
    dates = dates_of(texts, forms[0])
    if np.isnat(dates).any():
        dates = np.where(np.isnat(dates), dates_of(texts, forms[1]), dates)
    return dates[texts.codes]


@kept
def dates_of(texts: Texts, form: DateFormat) -> Dates:
    """The date of each distinct text (n_different,); see `read_dates`."""
    cells = _series(texts.different)
    needs_parts = form not in (*EPOCHS, EXCEL, "quarter", "week", "ISO8601")
    return read_dates(cells, form, _parts(texts) if needs_parts else None)


@kept
def _parts(texts: Texts) -> "DaysAndClock":
    return _time_of_day(_series(texts.different))


def _series(texts: Strings) -> "pd.Series[str]":
    import pandas as pd

    return pd.Series(texts, dtype=str)


def read_dates(
    cells: "pd.Series[str]", form: DateFormat, parts: "DaysAndClock | None" = None
) -> Dates:
    """The dates of cells in one format, datetime64[s] (n,), optionally with a time of day. NaT for
    all other cells.

    `parts` are the cells without their time of day, which saves work if several formats are tried.
    """
    import pandas as pd

    if form in EPOCHS or form == EXCEL:
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float)
        is_excel = form == EXCEL
        seconds = (numbers - EXCEL_1970) * 86_400 if is_excel else numbers / EPOCHS[form][1]
        is_time = np.isfinite(seconds) & (np.abs(seconds) <= LATEST)
        whole = np.where(is_time, seconds, 0).round().astype("datetime64[s]")
        return np.where(is_time, whole, np.datetime64("NaT", "s"))
    if form in ("quarter", "week"):
        return _periods(cells, form)
    clock = np.zeros(len(cells), np.int64)
    if form == "ISO8601":
        if cells.str.endswith(tuple(ZONES)).any():
            cells = cells.str.replace(ZONE_NAME, _offset, regex=True)
    else:
        cells, clock = parts or _time_of_day(cells)
    if form in WHOLE:
        cells = cells.str.replace(NO_FRACTION, "", regex=True)
    read = pd.to_datetime(cells, format=form, errors="coerce", utc=True)
    dates: Dates = read.dt.tz_localize(None).to_numpy("datetime64[s]")
    return dates + clock


def _offset(zone: "re.Match[str]") -> str:
    return f"{ZONES[zone[1]]:+03d}:00"


def _periods(cells: "pd.Series[str]", form: DateFormat) -> Dates:
    """The first days of quarters and of weeks, which begin on Monday as in ISO 8601."""
    import pandas as pd

    parts = cells.str.extract(QUARTER if form == "quarter" else WEEK)
    if form == "quarter":
        year = parts["year"].fillna(parts["year2"])
        text = (
            year
            + "-"
            + (parts["part"].fillna(parts["part2"]).astype(float) * 3 - 2).map("{:02.0f}".format)
        )
        read = pd.to_datetime(text, format="%Y-%m", errors="coerce")
    else:
        text = parts["year"] + "-" + parts["part"] + "-1"
        read = pd.to_datetime(text, format="%G-%V-%u", errors="coerce")
    dates: Dates = read.to_numpy("datetime64[s]")
    return dates


def _time_of_day(cells: "pd.Series[str]") -> "DaysAndClock":
    """Cells without weekday and time of day, and the time in seconds since midnight UTC (n,)."""
    cells = cells.str.replace(WEEKDAY, "", regex=True)
    parts = cells.str.extract(TIME_OF_DAY)
    numbers = parts[[0, 1, 2]].fillna("0").astype(np.int64).to_numpy()
    hours, half = numbers[:, 0], parts[3].fillna("").str.lower().to_numpy(str)
    hours = np.where((half == "a") & (hours == 12), 0, hours)
    hours = np.where((half == "p") & (hours < 12), hours + 12, hours)
    is_midnight = (hours == 24) & (numbers[:, 1:] == 0).all(axis=1)
    impossible = ((hours > 23) & ~is_midnight) | (numbers[:, 1:] > 59).any(axis=1)
    days = cells.str.replace(TIME_OF_DAY, "", regex=True)
    clock = hours * 3600 + numbers[:, 1] * 60 + numbers[:, 2]
    if parts[[4, 5]].notna().any(axis=None):
        named = parts[4].map(ZONES).fillna(0).to_numpy(float)
        minutes = parts[6].fillna("0").to_numpy(float)
        offset = parts[5].fillna("0").to_numpy(float)
        before = (named + offset) * 60 + np.where(parts[5].str[:1] == "-", -minutes, minutes)
        clock = clock - (before * 60).astype(np.int64)
    return days.mask(impossible, ""), clock
