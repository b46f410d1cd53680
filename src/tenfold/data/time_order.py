"""Sort rows in the order of time, and add earlier values of the target."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Column, ColumnKind, Order, SeriesEnd, TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.core.systems import quoted
from tenfold.data.targets import no_column
from tenfold.data.timeline import (
    Known,
    Timeline,
    find_steps,
    seconds_of_step,
    series_name,
    step_name,
    steps_between,
    time_texts,
)
from tenfold.inputs.tables.cells import Cells, float_text
from tenfold.inputs.tables.columns import (
    FileStyle,
    describe,
    infer_kind,
    infer_time_kind,
    parse,
    parse_names,
)
from tenfold.inputs.tables.numbers import parse_numbers
from tenfold.inputs.tables.texts import CellColumn, Texts, missing_texts

DEFAULT_LAGS = 7

FEW_REPEATS = 0.01
"""Maximum share of rows whose time repeats in the same series, if lags are made. Only the hour when
clocks are set back repeats, but if a file contains several shops, every time does."""

FRACTION = re.compile(r"[.,]\d")

PART_OF_TIME = re.compile(
    r"(?:^|[^a-z])(?:hour|hr|minute|min|second|time|clock|month|week|weekday|day|date|year|quarter)s?"
    r"(?:$|[^a-z])",
    re.I,
)
"""Names of columns that are probably another part of the time, so that they are not suggested as
series."""

MAX_CANDIDATES = 10
"""Maximum number of columns whose pairs are tried, to suggest the columns that distinguish
series."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ordered:
    """The rows with an answer, in the order of time.

    Attributes:
      cells: The rows, sorted by time.
      order: The order, without lags and ends of series.
      kinds: The kinds of the columns of time and series.
      names: The name of each series.
      timeline: The position of each row in time. The target before it is not known yet.
      notes: Notes for the user.
    """

    cells: Cells
    order: Order
    kinds: dict[str, str]
    names: tuple[str, ...]
    timeline: Timeline
    notes: list[str]

    @property
    def repeated(self) -> Ints:
        """The rows whose time occurs in an earlier row of their series."""
        pairs = np.stack([self.timeline.series, self.timeline.times], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        return np.setdiff1d(np.arange(len(pairs)), first)


def in_order(
    cells: Cells,
    answered: Cells,
    reading: Reading,
    style: FileStyle,
    like: TableInput | None = None,
) -> Ordered:
    """Sort the rows that are `answered` by the requested column of time.

    A model to be measured (`like`) determines how columns are read and steps are counted. Steps are
    counted over all rows of `cells`, so that a lag is missing if the row before has no answer.

    Raises:
      DataError: There is no such column, a row without time or series, or only a single time.
    """
    time, order = reading.time or "", like.order if like is not None else None
    series_columns = _asked_series(reading, cells) if order is None else order.series_columns
    for name in (time, *series_columns):
        if name not in cells:
            no_column(name, cells)
    asked = reading.columns.get(time, "")
    is_asked = asked.startswith(("date", "number"))
    kind, notes = asked if is_asked else infer_time_kind(time, answered[time]), list[str]()
    if like is not None and order is not None and order.time == time:
        column = _time_column(like, order)
    else:
        column, notes = describe(time, kind, answered[time], style)
    _times(answered, column)  # this refuses rows without a time, except those without an answer
    times = _read_times(cells, column)
    names = _series(cells, series_columns, answered)
    rows = np.flatnonzero(~np.isnan(times))
    is_answered = np.isin(cells.row_numbers[rows], answered.row_numbers)
    found, series = np.unique(names[rows], return_inverse=True)
    times = times[rows]
    if order is None and len(np.unique(times[is_answered])) < 2:
        raise DataError(
            "E240",
            "All rows have the same time",
            where=cells.name,
            expected="at least two different times",
            column=time,
        )
    if order is None:
        is_learned = not asked or is_asked
        order = Order(
            time=time,
            is_date=column.kind == "date",
            last=float(times[is_answered].max()),
            series=series_columns if len(series_columns) > 1 else next(iter(series_columns), None),
            date_format="ISO8601" if is_learned else column.date_format,
            **find_steps(times, series, is_date=column.kind == "date"),
        )
    ends = np.full(len(found), -np.inf)
    np.maximum.at(ends, series[is_answered], times[is_answered])
    positions, in_steps = _positions(order, times, series, np.where(ends > -np.inf, ends, 0))
    if not in_steps and like is None:
        order = order.model_copy(update={"steps": "rows", "step": seconds_of_step(order)})
    sorted_rows = np.flatnonzero(is_answered)
    sorted_rows = sorted_rows[np.argsort(times[sorted_rows], kind="stable")]
    found, codes = np.unique(names[rows[sorted_rows]], return_inverse=True)
    unknown = np.full(len(sorted_rows), np.nan)
    timeline = Timeline(times[sorted_rows], codes, positions[sorted_rows], unknown)
    kinds = {time: asked or kind}
    kinds |= {name: reading.columns.get(name, "category") for name in series_columns}
    return Ordered(
        cells.take(rows[sorted_rows]),
        order,
        kinds,
        tuple(found.tolist()),
        timeline,
        notes,
    )


def _asked_series(reading: Reading, cells: Cells) -> tuple[str, ...]:
    """The requested columns: one, several, or several in one text such as `shop,item`."""
    asked = reading.series or ()
    if isinstance(asked, tuple):
        return asked
    if asked in cells or "," not in asked:
        return (asked,)
    return tuple(name.strip() for name in asked.split(","))


def _time_column(contract: TableInput, order: Order) -> Column:
    """The column of time in the form that a model reads."""
    used = [column for column in contract.columns if column.name == order.time]
    kind: ColumnKind = "date" if order.is_date else "number"
    other = Column(name=order.time, kind=kind, date_format=order.date_format)
    return used[0] if used else other


def _read_times(cells: Cells, column: Column) -> Floats:
    """The time of each row (n,): seconds since 1970, or a number. NaN if it has none."""
    values = parse(column, cells[column.name])
    if column.kind == "date":
        return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(float))
    return values.astype(np.float64)


def _times(cells: Cells, column: Column) -> Floats:
    """The time of each row. A row without a time is refused."""
    times = _read_times(cells, column)
    if np.isnan(times).any():
        row = int(np.isnan(times).argmax())
        raise DataError(
            "E207",
            "A row has no valid time",
            where=f"{cells.name}, row {cells.row_numbers[row]}",
            expected=f"a {column.kind} in each row",
            column=column.name,
            value=cells[column.name].texts[row],
            n_rows=int(np.isnan(times).sum()),
        )
    return times


def _series(
    cells: Cells, columns: Sequence[str], needed: Cells | None = None
) -> NDArray[np.object_]:
    """The name of each row's series (n,), which is "" if there is only one series."""
    if not columns:
        return np.full(len(cells), "", object)
    needed = cells if needed is None else needed
    for column in columns:
        _check_series(needed, column)
    parts = [parse_names(cells[column]).rows() for column in columns]
    if len(parts) == 1:
        return parts[0]
    return np.array([series_name(row) for row in zip(*parts, strict=True)], object)


def _check_series(cells: Cells, column: str) -> None:
    """Refuse a row without the name of its series."""
    missing = cells[column].is_missing
    if missing.any():
        raise DataError(
            "E241",
            "A row does not name its series",
            where=f"{cells.name}, row {cells.row_numbers[int(missing.argmax())]}",
            expected="the name of a series in each row",
            column=column,
            n_rows=int(missing.sum()),
        )


def _positions(order: Order, times: Floats, series: Ints, starts: Floats) -> tuple[Ints, bool]:
    """Steps of each row (n,) from the start of its series, and whether steps were counted.

    If rows are not whole steps apart, the rows are counted, from 1 in each series.
    """
    steps = steps_between(order, starts[series], times)
    if not np.isnan(steps).any():
        return steps.astype(np.int64), True
    rows = np.lexsort((times, series))
    firsts = np.searchsorted(series[rows], series[rows])
    positions = np.empty(len(rows), np.int64)
    positions[rows] = np.arange(len(rows)) - firsts + 1
    return positions, False


def with_earlier_values(cells: Cells, contract: TableInput) -> tuple[Cells, list[str]]:
    """Add the earlier values to the rows of a model's input, with notes for the user.

    Earlier values without a column are taken from the target of the other rows of their series, and
    from the last values of the training data, if the rows follow these. As in training, they are
    the values a number of steps before, or for unevenly spaced rows, a number of rows before.
    """
    order = contract.order
    lagged = () if order is None else order.lag_columns(contract.target)
    missing = [name for name in lagged if name not in cells]
    if order is None or not missing:
        return cells, []
    unknown = DataError(
        "E208",
        "The earlier values of the target are missing",
        where=cells.name,
        expected=f"{order.time} and {contract.target}, from which they are computed",
        fix="To forecast from the last known rows, use tenfold predict RUN --steps N",
        columns=missing[:5],
    )
    if not {order.time, *order.series_columns} <= set(cells.names):
        raise unknown
    target = np.full(len(cells), np.nan)
    with missing_texts(contract.na_values):
        times = _times(cells, _time_column(contract, order))
        names, series = np.unique(_series(cells, order.series_columns), return_inverse=True)
        if contract.target in cells:
            target = parse_numbers(cells[contract.target], contract.target_decimal)
    firsts = np.full(len(names), np.inf)
    np.minimum.at(firsts, series, times)
    ends = {end.name: end for end in order.series_ends}
    starts = [ends[name].last if name in ends else firsts[i] for i, name in enumerate(names)]
    positions, in_steps = _positions(order, times, series, np.array(starts, float))
    before: list[tuple[int, SeriesEnd]] = []
    for i, name in enumerate(names):
        gap = (firsts[i] - starts[i]) / (seconds_of_step(order) or 1)
        if name in ends and gap > 0 and (in_steps or gap <= 1.5):
            before.append((i, ends[name]))
    history = np.arange(1 - order.lags, 1)
    known = Known.of(
        np.concatenate([*(np.full(order.lags, i) for i, _ in before), series]).astype(np.int64),
        np.concatenate([*(history for _ in before), positions]),
        np.concatenate([*(np.array(end.last_values, float) for _, end in before), target]),
    )
    columns = {name: known.at(series, positions - lag) for lag, name in enumerate(lagged, start=1)}
    if contract.target not in cells and np.isnan(list(columns.values())).all():
        raise unknown
    rows = np.flatnonzero(np.isnan(list(columns.values())).any(axis=0))
    notes = []
    if rows.size:
        where = f"in {len(rows)} rows, first row {rows[0]} ({cells.name})"
        notes.append(f"earlier values not known, read as missing: {contract.target} {where}")
    if not in_steps and order.steps != "rows":
        notes.append(
            f"{order.time}: not in steps of {step_name(order, 1)}, earlier values are those of the "
            f"rows before ({cells.name})"
        )
    texts = {name: Texts.of(map(float_text, columns[name].tolist())) for name in missing}
    return cells.with_columns(texts), notes


def with_lags(
    ordered: Ordered, y: NDArray[Any], lags: int, target: str, like: TableInput | None
) -> tuple[Ordered, Ints]:
    """Add a column for each earlier value of the target, and return which rows to use.

    The first rows of a series are only used as earlier values of the others. A cell is "" if there
    is no value so many steps before.

    Raises:
      DataError: There are too many lags for the number of rows, or several rows of the same time.
    """
    line, cells, order = ordered.timeline, ordered.cells, ordered.order
    typical = int(np.median(np.bincount(line.series)[np.unique(line.series)]))
    if lags >= typical // 2:
        raise DataError(
            "E206",
            "There are too few rows for so many lags",
            where=cells.name,
            expected=f"fewer lags than half of the {typical} rows"
            + (" of a series" if order.series else ""),
            lags=lags,
        )
    notes = [*ordered.notes, *_remarks(ordered, lags, target, like)]
    known = Known.of(line.series, line.positions, y)
    if like is None:
        order = _ended(ordered, lags, known)
    rows = Known.of(line.series, line.positions, np.arange(len(y)))
    values = np.array([*map(float_text, y.tolist() if lags else ()), ""], object)
    texts: dict[str, CellColumn] = {}
    for lag, name in enumerate(order.lag_columns(target) if lags else (), start=1):
        row = rows.at(line.series, line.positions - lag)
        texts[name] = Texts.of(values[np.where(np.isnan(row), -1, row).astype(np.int64)])
    firsts = np.full(len(ordered.names), np.iinfo(np.int64).max)
    np.minimum.at(firsts, line.series, line.positions)
    used = np.flatnonzero(line.positions - firsts[line.series] >= lags)
    cells = cells.with_columns(texts)
    line = replace(line, previous=_previous(line, y))
    return replace(ordered, cells=cells, order=order, timeline=line, notes=notes), used


def _ended(ordered: Ordered, lags: int, known: Known) -> Order:
    """The order with its lags, and the last values of each series."""
    line, order = ordered.timeline, ordered.order.model_copy(update={"lags": lags})
    ends = []
    for code, name in enumerate(ordered.names):
        rows = np.flatnonzero(line.series == code)
        at = int(line.positions[rows].max()) + np.arange(1 - lags, 1)
        values = known.at(np.full(lags, code), at).tolist()
        ends.append(
            SeriesEnd(
                name=name,
                last=float(line.times[rows].max()),
                last_values=tuple(None if np.isnan(value) else value for value in values),
            )
        )
    if order.series is not None:
        return order.model_copy(update={"ends": tuple(ends)})
    return order.model_copy(update={"last_values": ends[0].last_values})


def _previous(line: Timeline, y: NDArray[Any]) -> Floats:
    """See `Timeline.previous`. Rows are in the order of time."""
    rows = np.lexsort((line.times, line.series))
    pairs = np.stack([line.series, line.times], axis=1)[rows]
    _, first, group = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    before = first[group] - 1  # the last row of an earlier time, in the order by series
    is_known = (before >= 0) & (pairs[before, 0] == pairs[:, 0])
    previous = np.empty(len(rows))
    previous[rows] = np.where(is_known, y[rows][before], np.nan)
    earlier = np.searchsorted(line.times, line.times)  # the number of rows of an earlier time
    means = np.concatenate([[np.nan], np.cumsum(y) / np.arange(1, len(y) + 1)])[earlier]
    return np.where(np.isnan(previous), means, previous)


def _remarks(ordered: Ordered, lags: int, target: str, like: TableInput | None) -> list[str]:
    """Notes about steps, gaps, series and rows of the same time."""
    line, order, notes = ordered.timeline, ordered.order, list[str]()
    if order.series is not None:
        columns = " and ".join(order.series_columns)
        notes.append(f"{len(ordered.names)} series, one of each {columns}")
    repeated = ordered.repeated
    if len(repeated):
        _check_repeats(ordered, lags, target, like)
        notes.append(
            f"{order.time}: {len(repeated)} rows are of a time that another row has "
            f"({time_texts(order, line.times[repeated[:1]])[0]})"
            + (", the last one is its earlier value" if lags else "")
        )
    if not lags:
        return notes
    if order.steps == "rows":
        notes.append(
            f"{order.time}: uneven steps, half of them at most {order.step:,.6g}"
            f"{' s' if order.is_date else ''}; earlier values are those of the rows before"
        )
        return notes
    keys = np.unique(np.stack([line.series, line.positions], axis=1), axis=0)
    gaps = np.diff(keys[:, 1])[np.diff(keys[:, 0]) == 0] - 1
    n_missing = int(np.maximum(gaps, 0).sum())
    if n_missing:
        notes.append(
            f"{order.time}: {step_name(order, n_missing)} of {n_missing + len(keys):,} without a "
            f"value, at most {int(gaps.max()):,} on end; they are missing as earlier values"
        )
    return notes


def _check_repeats(ordered: Ordered, lags: int, target: str, like: TableInput | None) -> None:
    """Refuse several rows of the same time, because it is unclear which value is the earlier
    one."""
    line, order, cells = ordered.timeline, ordered.order, ordered.cells
    rows = ordered.repeated
    if like is not None or not lags or len(rows) <= FEW_REPEATS * len(cells):
        return
    others = _telling_columns(ordered, target)
    parts = [name for name in others if PART_OF_TIME.search(name)]
    if not others:
        fix = "Combine them into one row for each time, or use --lags 0 for no earlier values"
    elif parts:
        fix = f"Combine {order.time} and {parts[0]} in one column"
    else:
        flags = " ".join(f"--series {quoted([name])}" for name in others)
        fix = f"Use {flags}, which distinguishes them"
    raise DataError(
        "E242",
        "Several rows have the same time",
        where=f"{cells.name}, row {cells.row_numbers[rows[0]]}",
        expected="one row for each time" + (" in each series" if order.series else ""),
        fix=fix,
        column=order.time,
        value=time_texts(order, line.times[rows[:1]])[0],
        n_rows=len(rows),
    )


def _telling_columns(ordered: Ordered, target: str) -> tuple[str, ...]:
    """The one or two columns of names or integers with the fewest values that distinguish rows of
    the same time, together with the columns of series. Empty if there are none."""
    cells, order = ordered.cells, ordered.order
    candidates = []
    for name in cells.names:
        texts = cells[name].texts
        is_code = infer_kind(name, texts) in ("category", "yes/no", "identifier", "number")
        is_taken = name in (order.time, target, *order.series_columns)
        if is_taken or not is_code or 3 * len(texts.different) > len(texts):
            continue
        if not (any(map(FRACTION.search, texts.different)) or texts.missing.any()):
            candidates.append(name)
    pairs = combinations(candidates[:MAX_CANDIDATES], 2)
    times = np.unique(ordered.timeline.times, return_inverse=True)[1]
    for choices in ([(name,) for name in candidates], list(pairs)):
        n_values = {}
        for names in choices:
            codes = [cells[name].texts.codes for name in (*order.series_columns, *names)]
            n_series = _n_different(codes)
            is_telling = _n_different([*codes, times]) == len(cells)
            if is_telling and 3 * n_series <= len(cells):
                n_values[names] = n_series
        if n_values:
            return (*order.series_columns, *min(n_values, key=lambda names: n_values[names]))
    return ()


def _n_different(columns: Sequence[NDArray[Any]]) -> int:
    """The number of distinct rows in columns of codes."""
    return len(np.unique(np.stack(columns, axis=1), axis=0))
