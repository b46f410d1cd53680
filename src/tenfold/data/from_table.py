"""A table becomes a dataset: which column is the answer, what the others are, which rows count."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Contract, DateFormat, Order, TableInput
from tenfold.core.errors import DataError, TargetError, did_you_mean
from tenfold.core.settings import Reading
from tenfold.core.text import shorten
from tenfold.data.dataset import Dataset, TableInfo
from tenfold.inputs.tables.columns import (
    LARGEST,
    Profile,
    Table,
    describe,
    infer_kind,
    parse,
    parse_dates,
    parse_names,
    parse_numbers,
    profile,
    read_rows,
)
from tenfold.inputs.tables.read import Cells, is_missing

if TYPE_CHECKING:
    import pandas as pd

MAX_LABEL_NUMBERS = 20
"""A target of up to this many distinct whole numbers is taken for labels."""

MAX_LABELS = 1_000
DEFAULT_LAGS = 7
UNUSED = ("identifier", "constant")
TARGET_NAMES = ("target", "label", "class", "y")


def table_dataset(
    cells: Cells,
    reading: Reading | None = None,
    *,
    like: Contract | None = None,
    source: str | None = None,
) -> Dataset:
    """The dataset of a table.

    Args:
      cells: The table as it was read.
      reading: Target, task, kinds, order of time: what is not said is found out.
      like: The contract of a model to measure: its columns, kinds, target and labels hold.
      source: The file the cells come from.

    Raises:
      DataError: No such target or column, a single label, nothing left to learn from, or rows
        without their time.
    """
    reading = reading or Reading()
    contract = like.input if like and like.input.kind == "table" else None
    target = contract.target if contract else None
    target = target or _find_target(cells, reading.target)
    cells, notes = _with_answers(cells, target)
    order = None
    if reading.time is not None:
        cells, order = _in_order(cells, reading, target)
    labels = like.labels if like else None
    y, labels = _read_target(cells, target, reading.task if not like else like.task, labels)
    if order is not None and order.lags and labels:
        order = order.model_copy(update={"lags": 0})  # labels have no earlier numbers
    if contract is not None:
        profiles = tuple[Profile, ...]()
        lagged = order.lag_columns(target) if order else ()
        table, remarks = read_rows(_with_lags(cells, y, lagged), contract)
        notes += remarks
    else:
        contract, table, profiles = _columns(cells, target, y, order, reading)
    first = order.lags if order else 0  # these rows have no earlier values
    if first:
        notes.append(f"{first} first rows only serve as earlier values of the others")
    _check_enough(cells, y[first:], labels)
    info = TableInfo(contract, reading, profiles, (*cells.notes, *notes), _previous(y, order))
    rows = slice(first, None)
    data = Dataset(
        name=cells.name.rpartition(".")[0] or cells.name,
        x=table[rows],
        y=y[rows],
        labels=labels,
        keys=[f"{cells.name}:{row}" for row in cells.frame.index[rows]],
        info=info,
        source=source,
    )
    if not order and data.group_of is not data.duplicate_of:
        n_distinct = len(np.unique(data.duplicate_of))
        repeats = f"only {n_distinct} different rows: equal ones may be fitted to and tested on"
        data = replace(data, info=replace(info, notes=(*info.notes, repeats)))
    return data


def _find_target(cells: Cells, target: str | None) -> str:
    names = [str(name) for name in cells.frame.columns]
    if target is None:
        raise _no_target(names, cells.name)
    if target in names:
        return target
    try:
        return names[int(target)] if not cells.header else _no_column(target, names, cells.name)
    except (ValueError, IndexError):
        return _no_column(target, names, cells.name)


def _no_target(names: Sequence[str], where: str) -> TargetError:
    """A column is proposed by its name, and never taken: it may be the wrong one."""
    likely = [name for known in TARGET_NAMES for name in names if name.lower() == known]
    example = likely[0] if likely else "NAME"
    error = TargetError(
        "E203",
        "No column is chosen as the target",
        where=where,
        expected=f"the column to predict, one of {shorten(names)}",
        fix=f"Say --target {shlex.quote(example)}, in Python target={example!r}",
    )
    error.columns, error.likely = tuple(names), likely[0] if likely else None
    return error


def _no_column(column: str, names: Sequence[str], where: str) -> str:
    by_position = names == [str(i) for i in range(len(names))]
    raise DataError(
        "E201",
        "No such column",
        where=where,
        expected=f"one of {shorten(names)}",
        fix="Say --header if the first row holds names"
        if by_position
        else did_you_mean(column, names),
        column=column,
    )


def _with_answers(cells: Cells, target: str) -> tuple[Cells, list[str]]:
    """The rows that have an answer."""
    if target not in cells.frame.columns:
        _no_column(target, [str(name) for name in cells.frame.columns], cells.name)
    missing = is_missing(cells.frame[target])
    n_missing = int(missing.sum())
    if n_missing == len(cells):
        raise DataError("E204", "No row has an answer", where=cells.name, column=target)
    if not n_missing:
        return cells, []
    kept = Cells(cells.name, cells.frame[~missing], cells.header, cells.notes)
    return kept, [f"{n_missing} rows without {target} dropped"]


def _read_target(
    cells: Cells,
    target: str,
    task: Literal["classification", "regression"] | None,
    labels: tuple[str, ...] | None,
) -> tuple[NDArray[np.int64] | NDArray[np.float64], tuple[str, ...]]:
    """The target of each row: codes with their labels, or numbers without any."""
    column = cells.frame[target]
    numbers = parse_numbers(column)
    if task is None:
        task = "classification" if _are_labels(column, numbers) else "regression"
    if task == "regression":
        wrong = np.flatnonzero(np.isnan(numbers))
        if wrong.size:
            raise DataError(
                "E211",
                "The target is not a number",
                where=f"{cells.name}, row {column.index[wrong[0]]}",
                expected="numbers for regression",
                fix="Say --task classification if it is a label",
                column=target,
                value=str(column.iloc[wrong[0]]),
                n_rows=len(wrong),
            )
        _check_size(numbers, target, cells.name)
        return numbers, ()
    names = parse_names(column).to_numpy(str)
    if labels is None:
        labels = _sorted_labels(np.unique(names).tolist())
        if len(labels) > min(MAX_LABELS, len(names) // 2):
            raise DataError(
                "E212",
                "Too many labels",
                where=cells.name,
                expected=f"at most {MAX_LABELS}, and two rows of each on average",
                fix="Name another --target, or say --task regression",
                column=target,
                n_labels=len(labels),
            )
    codes = {name: code for code, name in enumerate(labels)}
    unknown = sorted(set(names.tolist()) - codes.keys())
    if unknown:
        raise DataError(
            "E205",
            "Labels the model does not know",
            where=cells.name,
            expected=", ".join(labels),
            labels=unknown[:5],
        )
    return np.array([codes[name] for name in names], np.int64), labels


def _check_size(numbers: NDArray[np.float64], target: str, where: str) -> None:
    """Refuse a target that answers in float32 cannot hold."""
    largest = float(np.abs(numbers).max())
    spread = float((numbers / (largest or 1)).std())
    if largest == 0 or (1e-30 < largest < LARGEST and not 0 < spread < 1e-6):
        return
    raise DataError(
        "E202",
        "A target beyond the digits of float32",
        where=where,
        expected=f"sizes from 1e-30 to {LARGEST:g}, and a spread above 1e-6 of them",
        fix="Change its unit, or subtract what all rows have",
        column=target,
        largest=largest,
        relative_deviation=spread,
    )


def _are_labels(column: "pd.Series[str]", numbers: NDArray[np.float64]) -> bool:
    if np.isnan(numbers).any() or infer_kind("", column) == "yes/no":
        return True
    return bool((numbers % 1 == 0).all()) and len(np.unique(numbers)) <= MAX_LABEL_NUMBERS


def _sorted_labels(names: list[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(sorted(names))


def _in_order(cells: Cells, reading: Reading, target: str) -> tuple[Cells, Order]:
    """The rows sorted by their time."""
    name = reading.time or ""
    if name not in cells.frame.columns:
        _no_column(name, [str(column) for column in cells.frame.columns], cells.name)
    is_date = bool(np.isnan(parse_numbers(cells.frame[name])).any())
    times = _times(cells, name, is_date)
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
        is_date=is_date,
        step=float(np.median(steps)),
        last=float(times[rows[-1]]),
        lags=lags,
    )
    return Cells(cells.name, cells.frame.iloc[rows], cells.header, cells.notes), order


def _times(
    cells: Cells, name: str, is_date: bool, form: DateFormat | None = None
) -> NDArray[np.float64]:
    """The time of each row: seconds since 1970, or a number."""
    column = cells.frame[name]
    times = parse_numbers(column)
    if is_date:
        dates = parse_dates(column, form)
        times = np.where(np.isnat(dates), np.nan, dates.astype(np.int64).astype(float))
    if np.isnan(times).any():
        row = int(np.isnan(times).argmax())
        raise DataError(
            "E207",
            "Not a time",
            where=f"{cells.name}, row {column.index[row]}",
            expected=f"a {'date' if is_date else 'number'} in each row",
            column=name,
            value=str(column.iloc[row]),
            n_rows=int(np.isnan(times).sum()),
        )
    return times


def with_earlier_values(cells: Cells, contract: TableInput) -> tuple[Cells, list[str]]:
    """The rows of a model's input with their earlier values, and what a reader should know.

    Earlier values that are no columns follow from the target of the rows before; before the first
    row from the last values of the training data, where the rows go on right after them.

    Raises:
      DataError: Neither is there.
    """
    order, frame = contract.order, cells.frame
    lagged = () if order is None else order.lag_columns(contract.target)
    missing = [name for name in lagged if name not in frame.columns]
    if order is None or not missing:
        return cells, []
    goes_on = False
    if order.time in frame.columns:
        forms = {column.name: column.date_format for column in contract.columns}
        times = _times(cells, order.time, order.is_date, forms.get(order.time))
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
        target = parse_numbers(frame[contract.target])
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
        name: ["" if np.isnan(value) else repr(float(value)) for value in values]
        for name, values in columns.items()
        if name in missing
    }
    return Cells(cells.name, frame.assign(**texts), cells.header, cells.notes), notes


def _with_lags(cells: Cells, y: NDArray[Any], names: Sequence[str]) -> Cells:
    """The cells with a column for each earlier value of the target; "" where there is none."""
    if not names:
        return cells
    texts = [repr(float(value)) for value in y]
    frame = cells.frame.assign(
        **{name: [""] * lag + texts[: len(texts) - lag] for lag, name in enumerate(names, start=1)}
    )
    return Cells(cells.name, frame, cells.header, cells.notes)


def _previous(y: NDArray[Any], order: Order | None) -> NDArray[np.float64] | None:
    if order is None:
        return None
    return np.concatenate([[np.nan], y[:-1]])[order.lags :]


def _columns(
    cells: Cells, target: str, y: NDArray[Any], order: Order | None, reading: Reading
) -> tuple[TableInput, Table, tuple[Profile, ...]]:
    """The columns to learn from, read, and what every column was taken for."""
    names = [str(name) for name in cells.frame.columns if name != target]
    for name in reading.columns:
        if name not in names:
            _no_column(name, names, cells.name)
    lagged = order.lag_columns(target) if order else ()
    cells = _with_lags(cells, y, lagged)
    kinds = dict(reading.columns) | {name: "number" for name in lagged}
    if order is not None:
        kinds.setdefault(order.time, "date" if order.is_date else "number")
    names += lagged
    profiles = tuple(profile(name, cells.frame[name], kinds.get(name)) for name in names)
    used = [column for column in profiles if column.kind not in UNUSED]
    if not used:
        raise DataError(
            "E209",
            "No column to learn from",
            where=cells.name,
            expected="at least one that is no identifier and not the same throughout",
            columns={column.name: column.kind for column in profiles},
        )
    if order is not None:
        last = () if not order.lags else tuple(map(float, y[-order.lags :]))
        order = order.model_copy(update={"last_values": last})
    contract = TableInput(
        columns=tuple(
            describe(column.name, column.kind, cells.frame[column.name]) for column in used
        ),
        target=target,
        order=order,
    )
    table = Table(
        {column.name: parse(column, cells.frame[column.name]) for column in contract.columns}
    )
    return contract, table, profiles


def _check_enough(cells: Cells, y: NDArray[Any], labels: tuple[str, ...]) -> None:
    if len(np.unique(y)) < 2:
        raise DataError(
            "E210",
            "A single answer",
            where=cells.name,
            expected="at least two different ones to tell apart",
            answer=labels[y[0]] if labels and len(y) else y[:1].tolist(),
        )
