"""Forecasts several steps ahead, each computed from the predictions before it, with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.conformal import conformal_half_width
from tenfold.core.contract import Order, TableInput
from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.timeline import FAR, Known, series_cells, time_texts, times_after
from tenfold.inputs.tables.columns import Table, parse
from tenfold.inputs.tables.texts import Texts
from tenfold.model.model import Model
from tenfold.model.predictions import Values

MEASURED_STEPS = 28
"""Number of steps ahead for which the error is measured on validation rows. Later steps get the
interval width of the last one."""


def forecast(model: Model, steps: int) -> Values:
    """Predict the next `steps` rows after the last known one, for each series.

    Raises:
      DataError: The model is not for rows in the order of time, or needs columns with unknown
        future values.
    """
    contract, order = _ordered(model)
    ends, counts = order.series_ends, np.arange(1, steps + 1)
    history = np.array([end.last_values for end in ends], float)  # (n series, lags)
    times = times_after(order, np.array([end.last for end in ends]), counts)
    names = [end.name for end in ends]
    values = _ahead(model, contract, history, times, names)
    half = np.empty(values.shape)
    for widths, end in zip(half, ends, strict=True):
        measured = np.array(end.half_widths or order.half_widths or [np.inf])
        widths[:] = measured[np.minimum(counts - 1, len(measured) - 1)]
    return Values(
        values.ravel().astype(np.float32),
        (values - half).ravel().astype(np.float32),
        (values + half).ravel().astype(np.float32),
        times=tuple(time_texts(order, times.ravel())),
        series=tuple(np.repeat(names, steps).tolist()) if order.series is not None else (),
    )


def with_half_widths(model: Model, data: Dataset, rows: RowNumbers) -> Order | None:
    """Add half the widths of 90% intervals 1, 2, ... steps ahead to the order of a model.

    They come from forecasts that start at each of the rows, to which the model was not fitted,
    separately for each series with enough rows. There are none if the future of a column is not
    known, because then there is no forecast either.
    """
    accepted = model.contract.input
    timeline = data.info.timeline if data.info else None
    try:
        contract, order = _ordered(model)
    except DataError:
        return accepted.order
    if timeline is None or not len(rows):
        return order
    line, held_out = timeline, timeline[rows]
    n_series = int(line.series.max()) + 1
    firsts, lasts = np.full(n_series, FAR), np.full(n_series, -FAR)
    np.minimum.at(firsts, line.series, line.positions)
    np.maximum.at(lasts, held_out.series, held_out.positions)
    n_rows = np.median([n for n in np.bincount(held_out.series) if n])
    steps = min(MEASURED_STEPS, max(1, int(n_rows) // 4))
    has_past = held_out.positions - firsts[held_out.series] >= max(order.lags, 1)
    has_future = held_out.positions + steps - 1 <= lasts[held_out.series]
    starts = held_out[has_past & has_future]
    series, positions = starts.series[:, None], starts.positions[:, None]
    known = Known.of(line.series, line.positions, data.y)
    history = known.at(series, positions - np.arange(order.lags, 0, -1))
    ahead = positions + np.arange(steps)
    times = Known.of(line.series, line.positions, line.times).at(series, ahead)
    by_calendar = times_after(order, starts.times, np.arange(steps))
    times = np.where(np.isnan(times), by_calendar, times)
    names = [order.series_ends[code].name for code in starts.series]
    if not _are_enough(starts.times):
        return order
    errors = known.at(series, ahead) - _ahead(model, contract, history, times, names)
    ends = tuple(
        end.model_copy(update={"half_widths": _widths(errors[starts.series == code])})
        for code, end in enumerate(order.ends)
    )
    return order.model_copy(update={"half_widths": _widths(errors), "ends": ends})


def ending_at(order: Order, data: Dataset, rows: RowNumbers) -> Order:
    """The order with the last of these rows of each series, from which the model forecasts.

    If these rows are not test rows, the model contains no target of a test row. Series without any
    of these rows have no last row.
    """
    info, table = data.info, data.table
    if info is None or info.timeline is None or table is None:
        return order
    line, lags = info.timeline, order.lag_columns(info.input.target)
    ends = []
    for code, end in enumerate(order.series_ends):
        own = rows[line.series[rows] == code]
        if len(own):
            last = own[np.lexsort((own, line.positions[own]))[-1]]
            values = [data.y[last], *(table.columns[name][last] for name in lags)][: order.lags]
            known = (None if np.isnan(value) else float(value) for value in reversed(values))
            update = {"last": float(line.times[own].max()), "last_values": tuple(known)}
            ends.append(end.model_copy(update=update))
    return order.with_ends(ends)


def _are_enough(errors: NDArray[np.float64]) -> bool:
    """Whether there are enough rows for an interval with 90% coverage."""
    return len(errors) >= 9


def _widths(errors: NDArray[np.float64]) -> tuple[float, ...]:
    """Half the width for each step, from errors (n, steps), which are NaN if the true value is not
    known."""
    widths = []
    for of_step in errors.T:
        known = of_step[~np.isnan(of_step)]
        if not _are_enough(known):
            break
        widths.append(conformal_half_width(known, np.zeros(len(known))))
    return tuple(np.maximum.accumulate(widths).tolist()) if widths else ()


def _ordered(model: Model) -> tuple[TableInput, Order]:
    contract = model.contract.input
    order = contract.order
    if contract.kind != "table" or order is None or model.labels:
        raise DataError(
            "E501",
            "This model cannot forecast",
            expected="a model of numbers trained with --time",
            learner=model.contract.learner,
        )
    from_the_past = {order.time, *order.series_columns, *order.lag_columns(contract.target)}
    unknown = [column.name for column in contract.columns if column.name not in from_the_past]
    if unknown:
        raise DataError(
            "E502",
            "The model needs columns whose future values are unknown",
            expected="only time and earlier values of the target",
            fix="Predict rows with these columns instead: tenfold predict RUN rows.csv",
            columns=unknown,
        )
    return contract, order


def _ahead(
    model: Model,
    contract: TableInput,
    history: NDArray[np.float64],
    times: NDArray[np.float64],
    names: Sequence[str],
) -> NDArray[np.float64]:
    """The forecast values (n, steps) at `times` (n, steps), from earlier values (n, lags), oldest
    first.

    `names` (n,) are the names of their series.
    """
    order = contract.order
    assert order is not None
    values = np.empty(times.shape)
    used = {column.name: column for column in contract.columns}
    fixed = {}
    columns_of_names = zip(*(series_cells(order, name) for name in names), strict=True)
    for name, cells in zip(order.series_columns, columns_of_names, strict=True):
        if name in used:
            fixed[name] = parse(used[name], Texts.of(cells))
    for step in range(times.shape[1]):
        columns: dict[str, NDArray[Any]] = dict(fixed)
        if order.time in used:
            now = times[:, step]
            columns[order.time] = now.round().astype("datetime64[s]") if order.is_date else now
        for lag, name in enumerate(order.lag_columns(contract.target), start=1):
            columns[name] = history[:, -lag]
        values[:, step] = model.answer(Table(columns)).outputs[0]
        history = np.concatenate([history, values[:, step : step + 1]], axis=1)
        history = history[:, -max(order.lags, 1) :]
    return values
