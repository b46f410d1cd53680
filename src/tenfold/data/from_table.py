"""A table becomes a dataset: which column is the answer, what the others are, which rows count."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Column, Contract, TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset, TableInfo
from tenfold.data.targets import find_target, no_column, read_target, with_answers
from tenfold.data.time_order import in_order, previous_values, with_lags
from tenfold.inputs.tables.cells import Cells
from tenfold.inputs.tables.columns import (
    FileStyle,
    Profile,
    Table,
    describe,
    infer_kind,
    parse,
    profile,
    read_rows,
)

UNUSED = ("identifier", "constant")


def table_dataset(
    cells: Cells,
    reading: Reading | None = None,
    *,
    like: Contract | None = None,
    source: str | None = None,
) -> Dataset:
    """The dataset of a table; what `reading` does not say is found out.

    Of a model to be measured (`like`) the columns, kinds, target and labels hold.

    Raises:
      DataError: No such target or column, a single label, nothing left to learn from, or rows
        without their time.
    """
    reading = reading or Reading()
    model_input = like.input if like and like.input.kind == "table" else None
    name = model_input.target if model_input else find_target(cells, reading.target)
    cells, notes = with_answers(cells, name)
    kinds = _kinds(cells, name, reading) if model_input is None else {}
    style = FileStyle.of(cells, kinds)
    order = None
    if reading.time is not None:
        cells, order, kinds[reading.time], remarks = in_order(cells, reading, style, model_input)
        notes += remarks
    target = read_target(cells, name, reading, style, like)
    y, labels = target.y, target.labels
    notes += target.notes
    if order and labels:
        order = order.model_copy(update={"lags": 0})  # labels have no earlier numbers
    lagged = order.lag_columns(name) if order else ()
    with_past = with_lags(cells, y, lagged)
    if model_input is not None:
        contract, profiles = model_input, tuple[Profile, ...]()
        table, remarks = read_rows(with_past, contract)
    else:
        kinds |= dict.fromkeys(lagged, "number")
        columns, profiles, remarks = _columns(with_past, kinds, style, reading)
        contract = TableInput(
            columns=columns,
            target=name,
            order=order and order.model_copy(update={"last_values": _last(y, order.lags)}),
            target_decimal=target.decimal,
            encoding=reading.encoding,
        )
        frame = with_past.frame
        table = Table({column.name: parse(column, frame[column.name]) for column in columns})
    notes += remarks
    first = order.lags if order else 0  # these rows have no earlier values
    if first:
        notes.append(f"{first} first rows only serve as earlier values of the others")
    rows = slice(first, None)
    if len(np.unique(y[rows])) < 2:
        raise DataError(
            "E210",
            "A single answer",
            where=cells.name,
            expected="at least two different ones to tell apart",
            answer=labels[y[first]] if labels and len(y[rows]) else y[rows][:1].tolist(),
        )
    previous = previous_values(y, order)
    info = TableInfo(contract, reading, profiles, (*cells.notes, *notes), previous)
    return Dataset(
        name=cells.name.rpartition(".")[0] or cells.name,
        x=table[rows],
        y=y[rows],
        labels=labels,
        keys=[f"{cells.name}:{row}" for row in cells.frame.index[rows]],
        info=info,
        source=source,
    )


def _kinds(cells: Cells, target: str, reading: Reading) -> dict[str, str]:
    """What each column but the target is taken for, in the order of the file."""
    names = [str(name) for name in cells.frame.columns]
    for name in reading.columns:
        if name not in names:
            no_column(name, cells)
    return {
        name: reading.columns.get(name) or infer_kind(name, cells.frame[name])
        for name in names
        if name != target
    }


def _columns(
    cells: Cells, kinds: Mapping[str, str], style: FileStyle, reading: Reading
) -> tuple[tuple[Column, ...], tuple[Profile, ...], list[str]]:
    """The columns to learn from, what every column was taken for, and what a reader should know."""
    profiles = tuple(profile(name, cells.frame[name], kind) for name, kind in kinds.items())
    described = [
        describe(column.name, kinds[column.name], cells.frame[column.name], style)
        for column in profiles
        if column.kind not in UNUSED
    ]
    if not described:
        raise DataError(
            "E209",
            "No column to learn from",
            where=cells.name,
            expected="at least one that is no identifier and not the same throughout",
            columns={column.name: column.kind for column in profiles},
        )
    remarks = [remark for _, remarks in described for remark in remarks]
    return tuple(column for column, _ in described), profiles, remarks


def _last(y: NDArray[Any], n: int) -> tuple[float, ...]:
    return tuple(map(float, y[len(y) - n :]))
