"""A table becomes a dataset: which column is the answer, what the others are, which rows count."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.columns import (
    Profile,
    Table,
    infer_kind,
    parse,
    parse_dates,
    parse_numbers,
    profile,
    read_rows,
)  # fmt: skip
from tenfold.contract import Column, Contract, Order, Reading, TableInput
from tenfold.data import Dataset, TableInfo
from tenfold.errors import DataError, did_you_mean, message
from tenfold.tables import Cells, is_missing

if TYPE_CHECKING:
    import pandas as pd

MAX_LABEL_NUMBERS = 20
"""A target of up to this many distinct whole numbers is taken for labels."""

MAX_LABELS = 1_000
DEFAULT_LAGS = 7
UNUSED = ("identifier", "constant")
TARGET_NAMES = ("target", "label", "class", "y")

Answers = tuple[NDArray[np.int64] | NDArray[np.float64], tuple[str, ...]]


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
    target = like.input.target if like and isinstance(like.input, TableInput) else None
    target = target or _find_target(cells, reading.target)
    cells, notes = _with_answers(cells, target)
    order = None
    if reading.time is not None:
        cells, order = _in_order(cells, reading, target)
    labels = like.labels if like else None
    y, labels = _answers(cells, target, reading.task if not like else like.task, labels)
    if order is not None and order.lags and labels:
        order = order.model_copy(update={"lags": 0})  # labels have no earlier numbers
    if like and isinstance(like.input, TableInput):
        contract, profiles = like.input, tuple[Profile, ...]()
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
    return Dataset(
        cells.name.rpartition(".")[0] or cells.name,
        table[rows],
        y[rows],
        labels,
        [f"{cells.name}:{row}" for row in cells.frame.index[rows]],
        info=info,
        source=source,
    )


def _find_target(cells: Cells, asked: str | None) -> str:
    names = [str(name) for name in cells.frame.columns]
    if asked is None:
        likely = [name for name in names if name.lower() in TARGET_NAMES]
        if len(likely) == 1:
            return likely[0]
        raise DataError(
            message(
                "Which column is the answer?",
                where=cells.name,
                expected=f"--target with one of {_listed(names)}",
            )
        )
    if asked in names:
        return asked
    try:
        return names[int(asked)] if not cells.header else _no_column(asked, names, cells.name)
    except (ValueError, IndexError):
        return _no_column(asked, names, cells.name)


def _no_column(asked: str, names: Sequence[str], where: str) -> str:
    raise DataError(
        message(
            "No such column",
            where=where,
            expected=f"one of {_listed(names)}",
            fix=did_you_mean(asked, names),
            column=asked,
        )
    )


def _listed(names: Sequence[str], n: int = 20) -> str:
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def _with_answers(cells: Cells, target: str) -> tuple[Cells, list[str]]:
    """The rows that have an answer."""
    if target not in cells.frame.columns:
        _no_column(target, [str(name) for name in cells.frame.columns], cells.name)
    missing = is_missing(cells.frame[target])
    n_missing = int(missing.sum())
    if n_missing == len(cells):
        raise DataError(message("No row has an answer", where=cells.name, column=target))
    if not n_missing:
        return cells, []
    kept = Cells(cells.name, cells.frame[~missing], cells.header, cells.notes)
    return kept, [f"{n_missing} rows without {target} dropped"]


def _answers(
    cells: Cells,
    target: str,
    task: Literal["classification", "regression"] | None,
    labels: tuple[str, ...] | None,
) -> Answers:
    """The answers: codes with their labels, or numbers without any."""
    column = cells.frame[target]
    numbers = parse_numbers(column)
    if task is None:
        task = "classification" if _are_labels(column, numbers) else "regression"
    if task == "regression":
        wrong = np.flatnonzero(np.isnan(numbers))
        if wrong.size:
            raise DataError(
                message(
                    "The target is not a number",
                    where=f"{cells.name}, row {column.index[wrong[0]]}",
                    expected="numbers for regression",
                    fix="Say --task classification if it is a label",
                    column=target,
                    value=str(column.iloc[wrong[0]]),
                    n_rows=len(wrong),
                )
            )
        return numbers, ()
    names = parse("category", column).astype(str)
    if labels is None:
        labels = _sorted_labels(np.unique(names).tolist())
        if len(labels) > min(MAX_LABELS, len(names) // 2):
            raise DataError(
                message(
                    "Too many labels",
                    where=cells.name,
                    expected=f"at most {MAX_LABELS}, and two rows of each on average",
                    fix="Name another --target, or say --task regression",
                    column=target,
                    n_labels=len(labels),
                )
            )
    codes = {name: code for code, name in enumerate(labels)}
    unknown = sorted(set(names.tolist()) - codes.keys())
    if unknown:
        raise DataError(
            message(
                "Labels the model does not know",
                where=cells.name,
                expected=", ".join(labels),
                labels=unknown[:5],
            )
        )
    return np.array([codes[name] for name in names], np.int64), labels


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
    column = cells.frame[name]
    is_date = bool(np.isnan(parse_numbers(column)).any())
    times = _times(column, is_date=is_date)
    if np.isnan(times).any():
        row = int(np.isnan(times).argmax())
        raise DataError(
            message(
                "Not a time",
                where=f"{cells.name}, row {column.index[row]}",
                expected="a date or a number in each row",
                column=name,
                value=str(column.iloc[row]),
                n_rows=int(np.isnan(times).sum()),
            )
        )
    rows = np.argsort(times, kind="stable")
    lags = DEFAULT_LAGS if reading.lags is None else reading.lags
    if lags >= len(rows) // 2:
        raise DataError(
            message(
                "More lags than rows allow", where=cells.name,
                expected=f"less than half of the {len(rows)} rows", lags=lags,
            )
        )  # fmt: skip
    steps = np.diff(times[rows])
    order = Order(
        time=name, is_date=is_date, step=float(np.median(steps)), last=float(times[rows[-1]]),
        lags=lags,
    )  # fmt: skip
    return Cells(cells.name, cells.frame.iloc[rows], cells.header, cells.notes), order


def _times(column: "pd.Series[str]", *, is_date: bool) -> NDArray[np.float64]:
    """Seconds since 1970, or numbers (n,); NaN where a cell is no time."""
    if not is_date:
        return parse_numbers(column)
    dates = parse_dates(column)
    return np.where(np.isnat(dates), np.nan, dates.astype(np.int64).astype(float))


def _with_lags(cells: Cells, y: NDArray[Any], names: Sequence[str]) -> Cells:
    """The cells with a column for each earlier value of the target; "" where there is none."""
    if not names:
        return cells
    texts = [repr(float(value)) for value in y]
    frame = cells.frame.assign(
        **{name: [""] * lag + texts[: len(texts) - lag] for lag, name in enumerate(names, start=1)}
    )
    return Cells(cells.name, frame, cells.header, cells.notes)


def with_earlier_values(cells: Cells, contract: TableInput) -> tuple[Cells, list[str]]:
    """Rows to be answered, with the columns of earlier values that a model of ordered rows needs.

    They are taken from the target column of the rows themselves, in the order of time; before the
    first row come the model's last known values, where the file goes on one step after them. What
    is still missing is read as missing, and said in the lines returned beside the rows. Rows that
    bring these columns, or a model without them, stay as they are.

    Raises:
      DataError: Neither these columns nor time and target.
    """
    order = contract.order
    names = order.lag_columns(contract.target) if order else ()
    frame = cells.frame
    if order is None or all(name in frame.columns for name in names):
        return cells, []
    if not {order.time, contract.target} <= set(frame.columns):
        raise DataError(
            message(
                "No earlier values",
                where=cells.name,
                expected=f"columns {order.time} and {contract.target}, or {_listed(names)}",
                fix="For the values after the last known one: --steps N",
                columns=[str(name) for name in frame.columns][:20],
            )
        )
    times = _times(frame[order.time], is_date=order.is_date)
    rows = np.argsort(times, kind="stable")
    known = parse_numbers(frame[contract.target])[rows]
    goes_on = abs(times[rows[0]] - order.last - order.step) <= 0.5 * order.step
    before = np.array(order.last_values) if goes_on else np.full(order.lags, np.nan)
    series = np.concatenate([before, known])
    columns = {}
    for lag, name in enumerate(names, start=1):
        values = np.empty(len(rows))
        values[rows] = series[order.lags - lag : len(series) - lag]
        columns[name] = ["" if np.isnan(value) else repr(float(value)) for value in values]
    n_short = 0 if goes_on else min(order.lags, len(rows))
    short = [f"the first {n_short} rows in time have no earlier values in {cells.name}"]
    complete = Cells(cells.name, frame.assign(**columns), cells.header, cells.notes)
    return complete, short if n_short else []


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
    used = [one for one in profiles if one.kind not in UNUSED]
    if not used:
        raise DataError(
            message(
                "No column to learn from",
                where=cells.name,
                expected="at least one that is no identifier and not the same throughout",
                columns={one.name: one.kind for one in profiles},
            )
        )
    if order is not None:
        last = () if not order.lags else tuple(map(float, y[-order.lags :]))
        order = order.model_copy(update={"last_values": last})
    contract = TableInput(
        columns=tuple(Column(name=one.name, kind=one.kind) for one in used),
        target=target,
        order=order,
    )
    table = Table({one.name: parse(one.kind, cells.frame[one.name]) for one in used})
    return contract, table, profiles


def _check_enough(cells: Cells, y: NDArray[Any], labels: tuple[str, ...]) -> None:
    if len(np.unique(y)) < 2:
        raise DataError(
            message(
                "A single answer",
                where=cells.name,
                expected="at least two different ones to tell apart",
                answer=labels[y[0]] if labels and len(y) else y[:1].tolist(),
            )
        )
