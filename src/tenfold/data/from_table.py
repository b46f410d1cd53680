"""Convert a table to a dataset: find the target, the kinds of the columns, and the rows to use."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import UNUSED, Column, Contract, Order, TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.core.text import shorten
from tenfold.data.dataset import Dataset, Places, RowNumbers, TableInfo, Undecided
from tenfold.data.targets import find_target, no_column, read_target, rows_of_data, with_answers
from tenfold.data.time_order import DEFAULT_LAGS, in_order, with_lags
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
    unused_remarks,
)
from tenfold.inputs.tables.texts import missing_texts


def table_dataset(
    cells: Cells,
    reading: Reading | None = None,
    *,
    like: Contract | None = None,
    source: str | None = None,
) -> Dataset:
    """Make the dataset of a table. Everything that `reading` does not specify is determined from
    the table.

    A model to be measured (`like`) determines columns, kinds, target and labels.

    Raises:
      DataError: There is no such target or column, a single label, no column to learn from, or a
        row without time.
    """
    reading = reading or Reading()
    model_input = like.input if like and like.input.kind == "table" else None
    with missing_texts((model_input or reading).na_values):
        data = _table_dataset(cells, reading, like)
    return replace(data, source=source)


def _table_dataset(cells: Cells, reading: Reading, like: Contract | None) -> Dataset:
    model_input = like.input if like and like.input.kind == "table" else None
    name = model_input.target if model_input else find_target(cells, reading.target)
    all_rows, cells, notes = rows_of_data(cells, name)
    kinds = _kinds(cells, name, reading) if model_input is None else {}
    style = FileStyle.of(cells, kinds)
    ordered = None
    if reading.time is not None:
        ordered = in_order(all_rows, cells, reading, style, model_input)
        cells, kinds = ordered.cells, kinds | ordered.kinds
    target = read_target(cells, name, reading, style, like)
    y, labels = target.y, target.labels
    notes += target.notes
    used, lagged = np.arange(len(cells)), tuple[str, ...]()
    if ordered is not None:
        lags = _lags(ordered.order, reading, labels, model_input)
        ordered, used = with_lags(ordered, y, lags, name, model_input)
        cells, lagged = ordered.cells, ordered.order.lag_columns(name)
        notes += ordered.notes
    if model_input is not None:
        contract, profiles = model_input, tuple[Profile, ...]()
        table, remarks = read_rows(cells, contract)
    else:
        kinds |= dict.fromkeys(lagged, "number")
        columns, profiles, remarks = _columns(cells, kinds, style, reading)
        contract = TableInput(
            columns=columns,
            target=name,
            order=None if ordered is None else ordered.order,
            target_decimal=target.decimal,
            encoding=reading.encoding,
            id=reading.id,
            group=reading.group,
            na_values=reading.na_values,
        )
        table = Table({column.name: parse(column, cells[column.name]) for column in columns})
    notes += remarks
    if len(used) < len(cells):
        n_first = len(cells) - len(used)
        notes.append(f"{n_first} first rows only serve as earlier values of the others")
    _check_varies(cells.name, y[used], labels, notes)
    timeline = None if ordered is None else ordered.timeline[used]
    info = TableInfo(
        contract,
        reading,
        profiles,
        # A column of time that is also used for learning would have its notes twice.
        tuple(dict.fromkeys((*cells.notes, *notes))),
        timeline,
        groups=_groups(cells, reading.group, used, like),
        undecided=Undecided(all_rows, cells.row_numbers[used]),
    )
    return Dataset(
        name=cells.name.rpartition(".")[0] or cells.name,
        x=table if len(used) == len(table) else table[used],
        y=y[used],
        labels=labels,
        keys=_keys(cells, contract.id, used),
        info=info,
    )


def _check_varies(
    source: str, y: NDArray[Any], labels: tuple[str, ...], notes: Sequence[str]
) -> None:
    """Refuse a target whose used rows (n,) have a single value."""
    if len(np.unique(y)) > 1:
        return
    raise DataError(
        "E210",
        "The target has a single value",
        where=source,
        expected="at least two different values",
        fix="; ".join(note for note in notes if "--na-values" in note) or None,
        answer=labels[y[0]] if labels and len(y) else y[:1].tolist(),
    )


def _groups(
    cells: Cells, column: str | None, rows: RowNumbers, like: Contract | None
) -> RowNumbers | None:
    """The group of each of these rows, from 0. A row without a group is a group of its own.

    A table to be measured may lack the column.
    """
    if column is None or (like is not None and column not in cells):
        return None
    texts = cells[column].texts.take(rows)
    codes = np.unique(np.asarray(texts.tolist(), dtype=object).astype(str), return_inverse=True)[1]
    alone = np.flatnonzero(texts.is_missing)
    codes[alone] = codes.max() + 1 + np.arange(len(alone))
    groups: RowNumbers = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    if like is None and groups.max() < 3:
        raise DataError(
            "E246",
            "There are too few groups",
            where=cells.name,
            expected="at least four groups, because some are held out",
            column=column,
            groups=int(groups.max()) + 1,
        )
    return groups


def _keys(cells: Cells, column: str | None, rows: RowNumbers) -> Sequence[str]:
    """The key of each of these rows: from the column that names them, or else its position."""
    places = Places(cells.name, cells.row_numbers[rows])
    if column is None or column not in cells:
        return places
    names = cells[column].texts.take(rows).tolist()
    n_rows = Counter(names)
    return [
        name if name and n_rows[name] == 1 else f"{name} ({place})".strip()
        for name, place in zip(names, places, strict=True)
    ]


def decide_by(data: Dataset, rows: RowNumbers) -> Dataset:
    """The dataset of a table with the kinds of columns that only these rows show.

    These rows exclude the test rows. As in future rows, a cell of a test row counts as missing if
    it is not of the column's kind, and categories may be unseen. If all rows show the same kinds,
    the result is the same dataset. Otherwise its reading contains the kind of every column, so that
    it can be read in the same way again.
    """
    info = data.info
    if info is None or info.undecided is None:
        return data
    cells, places = info.undecided
    target, reading, order = info.input.target, info.reading, info.input.order
    others = np.setdiff1d(np.arange(len(data)), rows)
    with missing_texts(reading.na_values):
        seen, _ = with_answers(cells, target)
        seen = seen.take(~np.isin(seen.row_numbers, places[others]))
        kinds = _kinds(seen, target, reading)
        style = FileStyle.of(seen, kinds)
        by_seen = {
            name: "identifier"
            if kind in UNUSED
            else _written(describe(name, kind, seen[name], style)[0])
            for name, kind in kinds.items()
        }
    by_all = dict.fromkeys(kinds, "identifier")
    by_all |= {column.name: _written(column) for column in info.input.columns}
    # The order of the rows must not change, because it determines which of them are test rows.
    if order is not None:
        by_seen |= {name: by_all[name] for name in (order.time, *order.series_columns)}
    changed = [name for name in kinds if by_seen[name] != by_all[name]]
    if not changed:
        return replace(data, info=replace(info, undecided=None))
    if not data.labels:
        by_seen[target] = f"number:{info.input.target_decimal or '.'}"
    elif target in reading.columns:
        by_seen[target] = reading.columns[target]
    asked = reading.model_copy(update={"columns": by_seen})
    again = table_dataset(cells, asked, source=data.source)
    names = shorten([f"{name} is {by_seen[name]}, not {by_all[name]}" for name in changed])
    note = f"by the rows that are not test rows {names}"
    notes = (*info.notes, note)
    return replace(again, info=again.info and replace(again.info, notes=notes, undecided=None))


def _written(column: Column) -> str:
    """The kind of a column and the notation of its cells, in the form of `Reading.columns`."""
    ways = {"number": column.decimal, "date": column.date_format}
    return f"{column.kind}:{ways[column.kind]}" if column.kind in ways else column.kind


def _kinds(cells: Cells, target: str, reading: Reading) -> dict[str, str]:
    """The kind of each column except the target, in the order of the file."""
    for name in reading.columns:
        if name not in cells:
            no_column(name, cells)
    return {
        name: reading.columns.get(name) or infer_kind(name, cells[name])
        for name in cells.names
        if name != target
    }


def _columns(
    cells: Cells, kinds: Mapping[str, str], style: FileStyle, reading: Reading
) -> tuple[tuple[Column, ...], tuple[Profile, ...], list[str]]:
    """The columns to learn from, the profiles of all columns, and notes for the user."""
    profiles = tuple(profile(name, cells[name], kind) for name, kind in kinds.items())
    described = [
        describe(column.name, kinds[column.name], cells[column.name], style)
        for column in profiles
        if column.kind not in UNUSED
    ]
    if not described:
        raise DataError(
            "E209",
            "The table has no column to learn from",
            where=cells.name,
            expected="at least one column that is neither an identifier nor constant",
            columns={column.name: column.kind for column in profiles},
        )
    remarks = [remark for _, remarks in described for remark in remarks]
    for name, kind in kinds.items():
        if kind == "identifier" and name not in reading.columns:
            remarks += unused_remarks(name, cells[name])
    return tuple(column for column, _ in described), profiles, remarks


def _lags(order: Order, reading: Reading, labels: tuple[str, ...], like: TableInput | None) -> int:
    """The number of columns with earlier values. Labels have no earlier numbers."""
    if labels:
        return 0
    if like is not None:
        return order.lags
    return DEFAULT_LAGS if reading.lags is None else reading.lags
