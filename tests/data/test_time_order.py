"""Several series, gaps, rows of one time, and what an earlier value is."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tenfold.core.contract import Order, TableInput
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import table_dataset
from tenfold.data.split import assign_folds, hold_out
from tenfold.data.split import split as split_data
from tenfold.data.time_order import with_earlier_values
from tenfold.data.timeline import series_cells
from tenfold.experiments.cross_validation import _turns
from tenfold.inputs.tables.cells import Cells, from_frame
from tenfold.inputs.tables.numbers import parse_numbers
from tests.support.errors import refused


def cells(**columns: Any) -> Cells:
    return from_frame(pd.DataFrame(columns), "t.csv")


def dataset(reading: Reading, **columns: Any) -> Dataset:
    return table_dataset(cells(**columns), reading)


def shops(n: int = 40, *, leave_out: tuple[int, ...] = (), **columns: Any) -> dict[str, Any]:
    """Two shops, the second ten times as large; some rows are left out."""
    rows = [(day, shop) for day in range(n) for shop in (0, 1)]
    rows = [row for i, row in enumerate(rows) if i not in leave_out]
    start = np.datetime64("2024-01-01")
    return {
        "day": [str(start + np.timedelta64(day, "D")) for day, _ in rows],
        "shop": ["ab"[shop] for _, shop in rows],
        "sold": [(day + 1) * 10.0**shop for day, shop in rows],
        **columns,
    }


SHOPS = Reading(target="sold", time="day", series="shop", lags=2)


def test_several_rows_of_one_time_are_refused_with_the_column_that_tells_them_apart() -> None:
    with refused("E242", "column='day', value='2024-01-01', n_rows=40") as raised:
        dataset(reading=Reading(target="sold", time="day"), **shops())
    assert "--series shop" in str(raised.value)
    by_hour = {{"shop": "hour"}.get(name, name): cells for name, cells in shops().items()}
    with refused("E242") as raised:
        dataset(reading=Reading(target="sold", time="day"), **by_hour)
    assert "Combine day and hour in one column" in str(raised.value)
    asked = Reading(target="sold", time="day", columns={"shop": "identifier"})
    without = {name: cells for name, cells in shops().items() if name != "shop"}
    with refused("E242", "n_rows=40") as raised:
        dataset(reading=Reading(target="sold", time="day"), **without)
    assert "--lags 0" in str(raised.value)
    with refused("E242"):
        dataset(reading=asked, **shops())
    found = dataset(reading=asked.model_copy(update={"lags": 0}), **shops())
    assert found.info and any("40 rows are of a time" in note for note in found.info.notes)


def test_a_repeated_hour_is_said_and_does_not_stop() -> None:
    hours = np.arange("2023-10-29", "2023-11-09", dtype="datetime64[h]").astype(str).tolist()
    hours.insert(3, hours[2])
    y = np.arange(len(hours), dtype=float)
    found = dataset(reading=Reading(target="y", time="t", lags=1), t=hours, y=y.tolist())
    assert found.info and any("1 rows are of a time that another" in n for n in found.info.notes)
    table: Any = found.x
    assert table.columns["y-1"][:4].tolist() == [0, 1, 1, 3]


def test_lags_are_made_within_each_series() -> None:
    found = dataset(reading=SHOPS, **shops())
    table: Any = found.x
    assert found.y.tolist()[:4] == [3, 30, 4, 40]
    assert table.columns["sold-1"].tolist()[:4] == [2, 20, 3, 30]
    assert table.columns["sold-2"].tolist()[:4] == [1, 10, 2, 20]
    assert table.columns["shop"].tolist()[:2] == ["a", "b"]
    assert found.info and found.info.previous is not None
    assert found.info.previous.tolist()[:4] == [2, 20, 3, 30]
    order = found.info.input.order
    assert order is not None and (order.series, order.steps) == ("shop", "even")
    assert [(end.name, end.last_values) for end in order.ends] == [
        ("a", (39, 40)), ("b", (390, 400)),
    ]  # fmt: skip
    assert order == Order.model_validate_json(order.model_dump_json())
    assert "2 series, one of each shop" in found.info.notes


def test_series_need_a_name_in_each_row_and_a_time() -> None:
    with refused("E241", "column='shop', n_rows=1"):
        dataset(reading=SHOPS, **{**shops(), "shop": ["", *shops()["shop"][1:]]})
    with refused("E201", "column='store'"):
        dataset(reading=SHOPS.model_copy(update={"series": "store"}), **shops())
    with refused("E242", "value='2024-01-01'"):
        dataset(reading=SHOPS, **{**shops(), "shop": ["a"] * 80})
    with refused("E240"):
        dataset(reading=SHOPS, **{**shops(), "day": ["2024-01-01"] * 80})


def test_a_lag_is_the_value_so_many_steps_before() -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 31)]
    y: list[float | None] = list(map(float, range(1, 31)))
    y[9] = None  # the tenth day has no target, the twentieth no row
    del days[19], y[19]
    asked = Reading(target="y", time="day", lags=2)
    found = dataset(reading=asked, day=days, y=y)
    table: Any = found.x
    rows = {value: i for i, value in enumerate(found.y.tolist())}
    lags = {value: (table.columns["y-1"][i], table.columns["y-2"][i]) for value, i in rows.items()}
    assert lags[9] == (8, 7) and lags[13] == (12, 11)
    assert np.isnan(lags[11][0]) and lags[11][1] == 9 and lags[12][0] == 11
    assert (
        np.isnan(lags[12][1])
        and np.isnan(lags[21][0])
        and lags[22] == (21, pytest.approx(np.nan, nan_ok=True))
    )
    assert found.info and any("2 days of 30 without a value" in n for n in found.info.notes)
    assert found.info.previous is not None and found.info.previous[rows[11]] == 9


def uneven(n: int) -> list[str]:
    gaps = np.random.default_rng(1).integers(1, 5_000, n)
    return list(
        map(str, np.datetime64("2024-01-01", "s") + np.cumsum(gaps).astype("timedelta64[s]"))
    )


@pytest.mark.parametrize("leave_out", [(), (7, 20, 21, 22, 23, 50)])
@pytest.mark.parametrize("times", ["days", "months", "uneven", "numbers"])
@pytest.mark.parametrize("without_target", [(), (31, 33)])
def test_lags_are_the_same_in_training_and_in_answering(
    times: str, leave_out: tuple[int, ...], without_target: tuple[int, ...]
) -> None:
    columns = shops(leave_out=leave_out)
    day = np.array(columns["day"], "datetime64[D]").astype(int) - 19_723
    months = np.datetime64("2020-01") + (day + 1).astype("timedelta64[M]")
    month_ends = months.astype("datetime64[D]") - np.timedelta64(1, "D")
    columns["day"] = {
        "days": columns["day"],
        "months": month_ends.astype(str).tolist(),
        "uneven": [uneven(40)[i] for i in day],
        "numbers": (day * 0.1).tolist(),
    }[times]  # fmt: skip
    for row in without_target:
        columns["sold"][row] = None
    found = dataset(reading=SHOPS, **columns)
    assert found.info is not None
    contract = found.info.input
    answered, _ = with_earlier_values(cells(**columns), contract)
    table: Any = found.x
    rows = [int(key.split(":")[1]) for key in found.keys]
    for name in ("sold-1", "sold-2"):
        asked = parse_numbers(answered[name])[rows]
        np.testing.assert_array_equal(asked, table.columns[name])
    again, _ = with_earlier_values(
        cells(**columns), TableInput.model_validate_json(contract.model_dump_json())
    )
    assert again.as_text() == answered.as_text()


def test_a_series_goes_on_from_its_own_end() -> None:
    columns = shops(leave_out=(79,))  # shop b ends a day earlier
    contract = dataset(reading=SHOPS, **columns).info.input  # type: ignore[union-attr]
    asked = cells(
        day=["2024-02-10", "2024-02-10", "2024-02-09", "2024-02-10"], shop=["a", "b", "b", "c"]
    )
    found, notes = with_earlier_values(asked, contract)
    lags = found.as_text()
    assert lags["sold-1"] == ["40.0", "", "390.0", ""]
    assert lags["sold-2"] == ["39.0", "390.0", "380.0", ""]
    assert "in 2 rows, first row 1" in notes[0]
    with refused("E208"):
        with_earlier_values(cells(day=["2024-02-10"]), contract)


def test_a_time_that_is_not_learned_from_still_orders_the_rows() -> None:
    columns = shops()
    columns["day"] = [f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in columns["day"]]
    asked = Reading.model_validate({**SHOPS.model_dump(), "drop": ["day"]})
    found = dataset(reading=asked, **columns)
    assert found.info and found.info.input.names == ("shop", "sold-1", "sold-2")
    answered, _ = with_earlier_values(cells(**columns), found.info.input)
    assert answered.as_text()["sold-1"][:6] == ["", "", "1.0", "10.0", "2.0", "20.0"]


def test_all_series_are_cut_at_the_same_time() -> None:
    found = dataset(reading=SHOPS, **shops(60, leave_out=(2, 41, 90, 93, 117)))
    assert found.info and found.info.timeline
    times = found.info.timeline.times
    for size in (0.1, 0.25, 0.33):
        parts = split_data(found, test_size=size, validation_size=0.2)
        assert times[parts.train].max() < times[parts.validation].min()
        assert times[parts.validation].max() < times[parts.test].min()
        assert abs(len(parts.test) - size * len(found)) <= 1
    rows = np.arange(len(found))
    for folds in (2, 5, 9):
        for fitted, held in _turns(found, rows, folds, 0):
            assert times[fitted].max() < times[held].min() and len(held)
    fold_of = assign_folds(found, rows, 5, 0)
    assert all(len(set(fold_of[times == time])) == 1 for time in times)


def test_few_times_are_cut_between_them() -> None:
    columns: dict[str, Any] = {"day": ["2024-01-01"] * 9 + ["2024-01-02"] * 3, "y": ["p", "q"] * 6}
    found = dataset(Reading(target="y", time="day"), x=list(range(12)), **columns)
    kept, held_out = hold_out(found, np.arange(12), 0.5, 0)
    assert (len(kept), len(held_out)) == (9, 3)
    with refused("E443", "folds=2"):
        _turns(found, np.arange(12), 2, 0)


def test_a_series_without_answers_has_no_end() -> None:
    columns = shops()
    columns["sold"] = [
        None if shop == "a" else sold
        for shop, sold in zip(columns["shop"], columns["sold"], strict=True)
    ]
    order = dataset(reading=SHOPS, **columns).input.order
    assert order is not None and [end.name for end in order.ends] == ["b"]


def stores(**columns: Any) -> dict[str, Any]:
    """Two items in each of the two shops, all different."""
    one = shops()
    twice = {name: [cell for cell in cells for _ in "xy"] for name, cells in one.items()}
    item = ["milk, fresh", "tea"] * len(one["day"])
    sold = [value + 5 * (name == "tea") for value, name in zip(twice["sold"], item, strict=True)]
    return {**twice, "item": item, "sold": sold, **columns}


@pytest.mark.parametrize("series", ["shop,item", "shop, item", ("shop", "item")])
def test_several_columns_tell_series_apart(series: str | tuple[str, ...]) -> None:
    found = dataset(SHOPS.model_copy(update={"series": series}), **stores())
    assert found.info and found.info.input.order
    order = found.info.input.order
    assert order.series == ("shop", "item")
    names = ['a,"milk, fresh"', "a,tea", 'b,"milk, fresh"', "b,tea"]
    assert [end.name for end in order.ends] == names
    assert [end.last_values for end in order.ends] == [(39, 40), (44, 45), (390, 400), (395, 405)]
    assert [series_cells(order, name) for name in names][0] == ("a", "milk, fresh")
    assert order == Order.model_validate_json(order.model_dump_json())
    table: Any = found.x
    assert table.columns["sold-1"].tolist()[:5] == [2, 7, 20, 25, 3]
    answered, _ = with_earlier_values(cells(**stores()), found.info.input)
    earlier = answered.as_text()["sold-1"]
    assert earlier[:8] == ["", "", "", "", "1.0", "6.0", "10.0", "15.0"]


def test_several_columns_are_proposed_where_one_alone_does_not_tell_rows_apart() -> None:
    for series, flags in ((None, "--series shop --series item"), ("shop", "--series item")):
        with refused("E242") as raised:
            dataset(Reading(target="sold", time="day", series=series), **stores())
        assert flags in str(raised.value)
    with refused("E201", "column='thing'"):
        dataset(SHOPS.model_copy(update={"series": "shop,thing"}), **stores())
    assert Reading(time="day", series=("shop",)).series == "shop"
