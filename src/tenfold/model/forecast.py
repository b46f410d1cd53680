"""Forecasts: several steps ahead, each from the answers before it, and how far they may be off."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.conformal import conformal_half_width
from tenfold.core.contract import Order, TableInput
from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.inputs.tables.columns import Table
from tenfold.model.model import Model
from tenfold.model.predictions import Values

MEASURED_STEPS = 28
"""Steps ahead whose error is measured on validation rows; further ones are given the last width."""


def forecast(model: Model, steps: int) -> Values:
    """Answer the next `steps` rows after the last known one.

    Raises:
      DataError: No model of rows in the order of time, or one of columns whose future nobody knows.
    """
    contract, order = _ordered(model)
    history = np.array([order.last_values], float)  # (1, lags)
    times = order.last + order.step * np.arange(1, steps + 1, dtype=float)
    values = _ahead(model, contract, order, history, times[None])[0]
    measured = np.array(order.half_widths or [np.inf])
    half = measured[np.minimum(np.arange(steps), len(measured) - 1)]
    shown = [
        str(np.datetime64(round(time), "s")) if order.is_date else f"{time:g}" for time in times
    ]
    if order.is_date and order.step % 86_400 == 0:
        shown = [time[:10] for time in shown]
    return Values(
        values.astype(np.float32),
        (values - half).astype(np.float32),
        (values + half).astype(np.float32),
        times=tuple(shown),
    )


def half_widths(model: Model, data: Dataset, rows: RowNumbers) -> tuple[float, ...]:
    """Half-width of the 90% interval 1, 2, ... steps ahead, from forecasts that start at each row.

    Empty where the future of a column is not known: then there is no forecast either.
    """
    try:
        contract, order = _ordered(model)
    except DataError:
        return ()
    lags = max(order.lags, 1)
    steps = min(MEASURED_STEPS, max(1, len(rows) // 4))
    starts = rows[(rows >= lags) & (rows + steps <= rows[-1] + 1)]
    if len(starts) < 9:  # no finite width can be promised at 90%
        return ()
    history = data.y[starts[:, None] - np.arange(order.lags, 0, -1)]
    ahead = starts[:, None] + np.arange(steps)
    times = data.x.columns[order.time][ahead]
    times = times.view(np.int64) if order.is_date else times
    values = _ahead(model, contract, order, history, times.astype(float))
    widths = [
        conformal_half_width(data.y[ahead[:, step]], values[:, step]) for step in range(steps)
    ]
    return tuple(np.maximum.accumulate(widths).tolist())


def _ordered(model: Model) -> tuple[TableInput, Order]:
    contract = model.contract.input
    order = contract.order
    if contract.kind != "table" or order is None or model.labels:
        raise DataError(
            "E501",
            "Nothing to forecast",
            expected="a model of numbers trained with --time",
            learner=model.contract.learner,
        )
    from_the_past = {order.time, *order.lag_columns(contract.target)}
    unknown = [column.name for column in contract.columns if column.name not in from_the_past]
    if unknown:
        raise DataError(
            "E502",
            "Columns whose future is not known",
            expected="time and earlier values of the target alone",
            fix="Answer rows with these columns instead: tenfold predict RUN rows.csv",
            columns=unknown,
        )
    return contract, order


def _ahead(
    model: Model,
    contract: TableInput,
    order: Order,
    history: NDArray[np.float64],
    times: NDArray[Any],
) -> NDArray[np.float64]:
    """Values (n, steps) at `times` (n, steps) from earlier values (n, lags), oldest first."""
    values = np.empty(times.shape)
    names = {column.name for column in contract.columns}
    for step in range(times.shape[1]):
        columns: dict[str, NDArray[Any]] = {}
        if order.time in names:
            now = times[:, step]
            columns[order.time] = now.round().astype("datetime64[s]") if order.is_date else now
        for lag, name in enumerate(order.lag_columns(contract.target), start=1):
            columns[name] = history[:, -lag]
        values[:, step] = model.answer(Table(columns)).outputs[0]
        history = np.concatenate([history, values[:, step : step + 1]], axis=1)
    return values
