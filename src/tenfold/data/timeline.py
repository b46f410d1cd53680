"""The position of rows in time: the length of a step, the number of steps between rows, and future
times."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tenfold.core.contract import Order
from tenfold.core.csv_cells import csv_line
from tenfold.core.text import in_unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY = 86_400
ONE_DAY, ONE_MONTH = np.timedelta64(1, "D"), np.timedelta64(1, "M")

USUAL = 0.5
"""A step is regarded as usual if at least this share of all steps is equal to it."""

JITTER = 0.05
"""The distance between rows may differ from a step by this share of it. Days may have 23 or 25
hours, and the clocks of sensors are inexact."""

FAR = 2**40
"""Maximum number of steps between two rows."""

FEWEST_MONTHS, FEWEST_DAYS = 6, 8
"""Minimum number of rows from which monthly steps with different days, or business days, are
recognised."""

SECONDS = {"months": 30.44 * DAY, "business days": 1.4 * DAY}


@dataclass(frozen=True, eq=False)
class Timeline:
    """The position of each row in time. All arrays are (n,).

    Attributes:
      times: Seconds since 1970, or a number.
      series: The series of a row, from 0.
      positions: The number of steps from a fixed row of its series.
      previous: The last value of the target at an earlier time of its series, or else the mean of
        all earlier values. It is NaN at the very first time. For labels it is the previous code.
    """

    times: Floats
    series: Ints
    positions: Ints
    previous: Floats

    def __getitem__(self, rows: Any) -> "Timeline":
        return Timeline(
            self.times[rows], self.series[rows], self.positions[rows], self.previous[rows]
        )

    def as_array(self) -> Floats:
        """All arrays as the columns of one (n, 4), for writing."""
        return np.stack([self.times, self.series, self.positions, self.previous], axis=1)

    @classmethod
    def of_array(cls, columns: Floats) -> "Timeline":
        """Restore the result of `as_array`."""
        times, series, positions, previous = np.ascontiguousarray(columns.T)
        return cls(times, series.astype(np.int64), positions.astype(np.int64), previous)


@dataclass(frozen=True, eq=False)
class Known:
    """Values by series and position. If two rows have the same position, the later one is used."""

    keys: Ints
    values: Floats

    @classmethod
    def of(cls, series: Ints, positions: Ints, values: ArrayLike) -> "Known":
        """Make it from rows, each array (n,)."""
        keys = _keys(series, positions)
        rows = np.argsort(keys, kind="stable")
        return cls(keys[rows], np.asarray(values, np.float64)[rows])

    def at(self, series: Ints, positions: Ints) -> Floats:
        """The values at these positions, in the common shape of both arguments. NaN if there is
        none."""
        keys = _keys(series, positions)
        place = np.searchsorted(self.keys, keys, side="right") - 1
        is_known = (place >= 0) & (self.keys[place] == keys)
        return np.where(is_known, self.values[place], np.nan)


def _keys(series: Ints, positions: Ints) -> Ints:
    return (series << 42) + positions + 2 * FAR


def find_steps(times: Floats, series: Ints, *, is_date: bool) -> dict[str, Any]:
    """Find the step of these rows: the fields `steps`, `step` and `day` of their `Order`.

    Rows are monthly if no month has two rows and all rows are on the same day, the last day or the
    last weekday of the month. Days without any Saturday or Sunday are business days. Other steps
    are even if the distances between rows are multiples of the usual step. In all other cases, the
    step is `rows`.
    """
    pairs = np.unique(np.stack([series, times], axis=1), axis=0)
    codes, ordered = pairs[:, 0].astype(np.int64), pairs[:, 1]
    follows = np.diff(codes) == 0
    steps = np.diff(ordered)[follows]
    usual = float(np.median(steps)) if len(steps) else 0.0
    even: dict[str, Any] = {"steps": "even", "step": usual}
    if usual <= 0:
        return even
    monthly = _months_between(ordered, follows) if is_date else None
    if monthly is not None and "day" in monthly:
        return monthly
    if (np.abs(steps / usual - 1) <= JITTER).all():
        return even
    if monthly is not None and len(steps) >= FEWEST_MONTHS:
        return monthly | {"day": _usual_day(ordered)}
    if is_date and usual == DAY and len(steps) >= FEWEST_DAYS:
        days = np.diff(_business_days(ordered))[follows]
        if np.is_busday(_dates(ordered)).all() and _are_usual(days):
            return {"steps": "business days", "step": 1.0}
    starts = ordered[np.searchsorted(codes, codes, side="right") - 1]
    counts = steps_between(Order(time="", is_date=is_date, last=0, **even), starts, ordered)
    are_usual = (np.round(steps / usual) == 1).mean() >= USUAL
    return even if are_usual and not np.isnan(counts).any() else {"steps": "rows", "step": usual}


def _months_between(times: Floats, follows: NDArray[np.bool_]) -> dict[str, Any] | None:
    """The number of months in a step, and the day if all rows have it. None: no monthly steps."""
    months = np.diff(_months(times))[follows]
    if len(months) < 2 or not _are_usual(months):
        return None
    found: dict[str, Any] = {"steps": "months", "step": float(np.median(months))}
    days, lengths = _day_of_month(times)
    day = 31 if (days == lengths).all() else int(days.max())
    return found | ({"day": day} if (days == np.minimum(day, lengths)).all() else {})


def _usual_day(times: Floats) -> int:
    """The day of a month in the form of `Order.day`, for dates whose days differ."""
    if (_dates(times) == _last_weekday(times)).all():
        return 0
    return round(float(np.median(_day_of_month(times)[0])))


def _are_usual(counts: NDArray[Any]) -> bool:
    """Whether integer steps are all multiples of the usual one, which is frequent."""
    usual = np.median(counts)
    if counts.min() < 1 or (counts % usual).any():
        return False
    return bool((counts == usual).mean() >= USUAL)


def steps_between(order: Order, starts: Floats, times: Floats) -> Floats:
    """Whole steps from `starts` to `times`, each (n,). NaN if they are not whole steps apart.

    For `rows` they do not follow from the times, and all are NaN.
    """
    if order.steps == "months":
        steps = (_months(times) - _months(starts)) / order.step
    elif order.steps == "business days":
        steps = np.asarray(_business_days(times) - _business_days(starts), float) / order.step
        steps[~np.is_busday(_dates(times))] = np.nan
    elif order.steps == "rows" or order.step <= 0:
        return np.full(len(times), np.nan)
    else:
        steps = (times - starts) / order.step
    whole = np.round(steps)
    is_whole = (np.abs(steps - whole) <= JITTER) & (np.abs(whole) < FAR)
    return np.where(is_whole, whole, np.nan)


def times_after(order: Order, starts: Floats, counts: NDArray[np.integer[Any]]) -> Floats:
    """The times (n, k) that are `counts` (k,) steps after `starts` (n,)."""
    if order.steps in ("even", "rows"):
        after: Floats = starts[:, None] + order.step * counts.astype(float)
        return after
    dates = _dates(starts)
    clock = starts - dates.astype(np.int64) * DAY
    n_steps = (counts * int(order.step)).astype(np.int64)
    if order.steps == "business days":
        days = np.busday_offset(dates[:, None], n_steps, roll="backward")
    else:
        months = dates.astype("datetime64[M]")[:, None] + n_steps * ONE_MONTH
        first = months.astype("datetime64[D]")
        last = (months + ONE_MONTH).astype("datetime64[D]") - ONE_DAY
        days = np.minimum(first + max(order.day - 1, 0) * ONE_DAY, last)
        if order.day == 0:
            days = np.busday_offset(last, 0, roll="backward")
    return days.astype(np.int64) * DAY + clock[:, None]


def seconds_of_step(order: Order) -> float:
    """The length of a step: seconds, or a number."""
    return order.step * SECONDS.get(order.steps, 1)


def step_name(order: Order, n: int) -> str:
    """A number of steps in words: `3 business days`, `1 step of 600 s`."""
    plural = "" if n == 1 else "s"
    if order.steps in SECONDS and order.step == 1:
        return f"{n:,} {order.steps[:-1]}{plural}"
    if order.steps == "months":
        name = {3: "quarter", 12: "year"}.get(int(order.step))
        return f"{n:,} {name}{plural}" if name else f"{n:,} step{plural} of {order.step:g} months"
    for seconds, name in ((DAY * 7, "week"), (DAY, "day"), (3600, "hour"), (60, "minute")):
        if order.is_date and order.step == seconds:
            return f"{n:,} {name}{plural}"
    unit = " s" if order.is_date else ""
    return f"{n:,} step{plural} of {in_unit(order.step)}{unit}"


def time_texts(order: Order, times: Sequence[float] | Floats) -> list[str]:
    """Format times. If all are at midnight, only the days are shown."""
    numbers = np.asarray(times, float)
    if not order.is_date:
        return [f"{time:.15g}" for time in numbers]
    seconds = numbers.round().astype("datetime64[s]")
    are_days = not (numbers % DAY).any()
    return [str(time)[:10] if are_days else str(time) for time in seconds]


def _dates(times: Floats) -> NDArray[np.datetime64]:
    dates: NDArray[np.datetime64] = times.round().astype("datetime64[s]").astype("datetime64[D]")
    return dates


def _months(times: Floats) -> Ints:
    return _dates(times).astype("datetime64[M]").astype(np.int64)


def _day_of_month(times: Floats) -> tuple[Ints, Ints]:
    """The day of each date, from 1, and the number of days in its month."""
    dates = _dates(times)
    months = dates.astype("datetime64[M]")
    first = months.astype("datetime64[D]")
    next_first = (months + ONE_MONTH).astype("datetime64[D]")
    return (dates - first).astype(np.int64) + 1, (next_first - first).astype(np.int64)


def _last_weekday(times: Floats) -> NDArray[np.datetime64]:
    last = (_dates(times).astype("datetime64[M]") + ONE_MONTH).astype("datetime64[D]") - ONE_DAY
    return np.busday_offset(last, 0, roll="backward")


def _business_days(times: Floats) -> Ints:
    return np.busday_count(np.datetime64("1970-01-01"), _dates(times)).astype(np.int64)


def series_name(cells: Sequence[str]) -> str:
    """The name of a series that several cells distinguish: a line of CSV.

    Example:
      >>> series_name(["Main St, 5", "milk"])
      '"Main St, 5",milk'
    """
    return csv_line(cells)


def series_cells(order: Order, name: str) -> tuple[str, ...]:
    """The cells of a series with this name, in the order of its columns."""
    if len(order.series_columns) < 2:
        return (name,) * len(order.series_columns)
    return tuple(next(csv.reader(io.StringIO(name, newline=""))))
