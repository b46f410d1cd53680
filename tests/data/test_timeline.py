"""Steps of the calendar: found, counted and gone on with."""

import numpy as np
import pandas as pd
import pytest

from tenfold.core.contract import Order
from tenfold.data.timeline import find_steps, step_name, steps_between, time_texts, times_after


def seconds(dates: list[str]) -> np.ndarray:
    return np.array(dates, "datetime64[s]").astype(np.int64).astype(float)


def order_of(dates: list[str]) -> Order:
    times = seconds(dates)
    steps = find_steps(times, np.zeros(len(times), np.int64), is_date=True)
    return Order(time="t", is_date=True, last=float(times.max()), **steps)


def goes_on(dates: list[str], n: int) -> list[str]:
    order = order_of(dates)
    return time_texts(order, times_after(order, np.array([order.last]), np.arange(1, n + 1))[0])


def dates(start: str, n: int, freq: str) -> list[str]:
    return pd.date_range(start, periods=n, freq=freq).strftime("%Y-%m-%dT%H:%M:%S").tolist()


@pytest.mark.parametrize(
    ("given", "steps", "following"),
    [
        (dates("2023-05-31", 9, "ME"), "months", ["2024-02-29", "2024-03-31", "2024-04-30"]),
        (dates("2022-12-01", 12, "MS"), "months", ["2023-12-01", "2024-01-01", "2024-02-01"]),
        (["2023-11-30", "2023-12-30", "2024-01-30", "2024-02-29"], "months",
         ["2024-03-30", "2024-04-30"]),
        (dates("2023-01-01", 12, "BME"), "months", ["2024-01-31", "2024-02-29", "2024-03-29"]),
        (dates("2022-03-31", 6, "QE"), "months", ["2023-09-30", "2023-12-31"]),
        (dates("2016-01-01", 8, "YS"), "months", ["2024-01-01", "2025-01-01"]),
        (dates("2024-02-29", 3, "YE-FEB"), "months", ["2027-02-28", "2028-02-29"]),
        (dates("2024-02-05", 15, "B"), "business days", ["2024-02-26", "2024-02-27"]),
        (dates("2024-02-01", 5, "7D"), "even", ["2024-03-07", "2024-03-14"]),
        (dates("2024-02-26", 3, "D"), "even", ["2024-02-29", "2024-03-01"]),
        (dates("2024-02-29T21:00", 3, "h"), "even", ["2024-03-01T00:00:00", "2024-03-01T01:00:00"]),
        (dates("2024-01-01", 40, "28D"), "even", ["2027-01-25"]),
        (dates("2024-01-01", 40, "31D"), "even", ["2027-05-25"]),
    ],
)  # fmt: skip
def test_steps_go_on_by_the_calendar(given: list[str], steps: str, following: list[str]) -> None:
    assert order_of(given).steps == steps
    assert goes_on(given, len(following)) == following


@pytest.mark.parametrize("freq", ["MS", "ME", "BME", "B", "D", "h", "7D", "QE", "YS"])
def test_gaps_do_not_change_the_step(freq: str) -> None:
    whole = dates("2020-01-01", 60, freq)
    kept = [date for i, date in enumerate(whole) if i % 7 != 2 and not 20 <= i < 25]
    order, other = order_of(kept), order_of(whole)
    assert order == other
    times = seconds(kept)
    found = steps_between(order, np.full(len(kept), times[0]), times)
    assert found.tolist() == [whole.index(date) for date in kept]


def test_uneven_times_are_rows() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.exponential(3600, 50)).astype(np.float64)
    assert find_steps(times, np.zeros(50, np.int64), is_date=True)["steps"] == "rows"
    tuesdays_and_thursdays = sorted(dates("2024-01-02", 10, "7D") + dates("2024-01-04", 10, "7D"))
    assert order_of(tuesdays_and_thursdays).steps == "rows"


def test_days_of_a_zone_are_days_across_summer_time() -> None:
    local = pd.date_range("2024-03-20", periods=20, freq="D", tz="Europe/Berlin")
    utc = local.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S").tolist()
    order = order_of(utc)
    assert (order.steps, order.step) == ("even", 86_400)
    times = seconds(utc)
    found = steps_between(order, np.full(20, times[-1]), times)
    assert found.tolist() == list(range(-19, 1))


def test_numbers_are_even_where_they_are() -> None:
    numbers = (np.arange(30) * 0.1).astype(np.float64)
    assert find_steps(numbers, np.zeros(30, np.int64), is_date=False)["steps"] == "even"
    years = np.array([2001, 2002, 2003, 2005, 2006], np.float64)
    steps = find_steps(years, np.zeros(5, np.int64), is_date=False)
    order = Order(time="t", is_date=False, last=2006, **steps)
    assert steps_between(order, np.full(5, 2006.0), years).tolist() == [-5, -4, -3, -1, 0]
    after = times_after(order, np.array([2006.0]), np.array([1, 2]))[0]
    assert time_texts(order, after) == ["2007", "2008"]
    assert time_texts(order, [1700000000.5]) == ["1700000000.5"]


def test_steps_are_counted_within_each_series() -> None:
    times = np.concatenate([np.arange(5) * 60.0, 17 + np.arange(5) * 60.0])
    series = np.repeat([0, 1], 5)
    assert find_steps(times, series, is_date=True) == {"steps": "even", "step": 60}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (dates("2023-01-31", 9, "ME"), "2 months"),
        (dates("2022-03-31", 6, "QE"), "2 quarters"),
        (dates("2016-01-01", 8, "YS"), "2 years"),
        (dates("2024-02-05", 15, "B"), "2 business days"),
        (dates("2024-02-01", 5, "7D"), "2 weeks"),
        (dates("2024-02-01", 5, "10min"), "2 steps of 600.00 s"),
    ],
)
def test_a_step_has_a_name(given: list[str], text: str) -> None:
    assert step_name(order_of(given), 2) == text
