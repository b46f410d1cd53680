"""Rows in the order of time: sorted by it, and with earlier values of the target."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Column, Order, TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.data.targets import no_column
from tenfold.inputs.tables.cells import Cells, float_text
from tenfold.inputs.tables.columns import FileStyle, describe, parse
from tenfold.inputs.tables.dates import are_numeric_dates
from tenfold.inputs.tables.numbers import parse_numbers

DEFAULT_LAGS = 7


def in_order(
    cells: Cells, reading: Reading, style: FileStyle, like: TableInput | None = None
) -> tuple[Cells, Order, str, list[str]]:
    """The rows sorted by the column of time that is asked for, and what a reader should know of it.

    Of a model to be measured (`like`) the column is read as its own was. Returned are the rows,
    their order, the kind of the column of time, and the remarks.

    Raises:
      DataError: No such column, a row without its time, or more lags than rows allow.
    """
    name = reading.time or ""
    if name not in cells.frame.columns:
        no_column(name, cells)
    kind, notes = reading.columns.get(name), list[str]()
    if kind is None:
        column_cells = cells.frame[name]
        are_numbers = not np.isnan(parse_numbers(column_cells)).any()
        is_date = not are_numbers or are_numeric_dates("time", column_cells)
        kind = "date" if is_date else "number"
    if like is not None and like.order is not None and like.order.time == name:
        column = _time_column(like, like.order)
    else:
        column, notes = describe(name, kind, cells.frame[name], style)
    times = _times(cells, column)
    rows = np.argsort(times, kind="stable")
    lags = DEFAULT_LAGS if reading.lags is None else reading.lags
    if lags >= len(rows) // 2:
        raise DataError(
            "E206",
            "More lags than rows allow",
            where=cells.name,
            expected=f"less than half of the {len(rows)} rows",
            lags=lags,
        )
    steps = np.diff(times[rows])
    order = Order(
        time=name,
        is_date=column.kind == "date",
        step=float(np.median(steps)),
        last=float(times[rows[-1]]),
        lags=lags,
    )
    return replace(cells, frame=cells.frame.iloc[rows]), order, kind, notes


def _time_column(contract: TableInput, order: Order) -> Column:
    """The column of time as a model reads it."""
    used = [column for column in contract.columns if column.name == order.time]
    return used[0] if used else Column(name=order.time, kind="date" if order.is_date else "number")


def _times(cells: Cells, column: Column) -> NDArray[np.float64]:
    """The time of each row: seconds since 1970, or a number."""
    values = parse(column, cells.frame[column.name])
    times = values.astype(np.float64)
    if column.kind == "date":
        times = np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(float))
    if np.isnan(times).any():
        row = int(np.isnan(times).argmax())
        raise DataError(
            "E207",
            "Not a time",
            where=f"{cells.name}, row {cells.frame.index[row]}",
            expected=f"a {column.kind} in each row",
            column=column.name,
            value=str(cells.frame[column.name].iloc[row]),
            n_rows=int(np.isnan(times).sum()),
        )
    return times


def with_earlier_values(cells: Cells, contract: TableInput) -> tuple[Cells, list[str]]:
    """The rows of a model's input with their earlier values, and what a reader should know.

    Earlier values that are no columns follow from the target of the rows before; before the first
    row from the last values of the training data, where the rows go on right after them.
    """
    order, frame = contract.order, cells.frame
    lagged = () if order is None else order.lag_columns(contract.target)
    missing = [name for name in lagged if name not in frame.columns]
    if order is None or not missing:
        return cells, []
    goes_on = False
    if order.time in frame.columns:
        times = _times(cells, _time_column(contract, order))
        goes_on = 0 < times.min() - order.last <= 1.5 * order.step
    if order.time not in frame.columns or not (goes_on or contract.target in frame.columns):
        raise DataError(
            "E208",
            "Earlier values are not known",
            where=cells.name,
            expected=f"{order.time} and {contract.target}, from whose rows they follow",
            fix="Or forecast instead: tenfold predict RUN --steps N",
            columns=missing[:5],
        )
    target = np.full(len(cells), np.nan)
    if contract.target in frame.columns:
        target = parse_numbers(frame[contract.target], contract.target_decimal)
    rows = np.argsort(times, kind="stable")
    before = order.last_values if goes_on else [np.nan] * order.lags
    series = np.concatenate([before, target[rows]])
    columns = {}
    for lag, name in enumerate(lagged, start=1):
        values = np.empty(len(cells))
        values[rows] = series[order.lags - lag : len(series) - lag]
        columns[name] = values
    unknown = np.flatnonzero(np.isnan(list(columns.values())).any(axis=0))
    notes = []
    if unknown.size:
        where = f"in {len(unknown)} rows, first row {unknown[0]} ({cells.name})"
        notes.append(f"earlier values not known, read as missing: {contract.target} {where}")
    texts = {
        name: [float_text(value) for value in values.tolist()]
        for name, values in columns.items()
        if name in missing
    }
    return replace(cells, frame=frame.assign(**texts)), notes


def with_lags(cells: Cells, y: NDArray[Any], names: Sequence[str]) -> Cells:
    """The cells with a column for each earlier value of the target; "" where there is none."""
    if not names:
        return cells
    texts = [float_text(float(value)) for value in y]
    frame = cells.frame.assign(
        **{name: [""] * lag + texts[: len(texts) - lag] for lag, name in enumerate(names, start=1)}
    )
    return replace(cells, frame=frame)


def previous_values(y: NDArray[Any], order: Order | None) -> NDArray[np.float64] | None:
    """The target one row before each row (n,); None for rows without an order."""
    if order is None:
        return None
    return np.concatenate([[np.nan], y[:-1]])[order.lags :]
