"""Several steps ahead, each from the answers before it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Run
from tenfold.core.contract import TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.model.forecast import forecast
from tenfold.model.predictions import Values
from tenfold.runs import ask

N = 240
DAYS = pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d")
RNG = np.random.default_rng(0)
WALK = 10 + 5 * np.sin(np.arange(N) / 4) + RNG.normal(0, 0.2, N)


def trained(frame: pd.DataFrame, folder: Path, **reading: object) -> Run:
    asked = Reading.model_validate({"target": "temp", **reading})
    return tenfold.train(frame, learner="linear", recipe="fast", reading=asked, out=folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    frame = pd.DataFrame({"day": DAYS, "temp": WALK})
    return trained(frame, tmp_path_factory.mktemp("forecast"), time="day", lags=12)


def test_a_forecast_goes_on_after_the_last_row(run: Run) -> None:
    found = forecast(run.model, 10)
    assert found.times[0] == "2020-08-28" and found.times[-1] == "2020-09-06"
    truth = 10 + 5 * np.sin(np.arange(N, N + 10) / 4)
    assert np.abs(found.value - truth).max() < 1.5
    width = found.high - found.low
    assert (width > 0).all() and (np.diff(width) >= -1e-5).all()  # never surer further ahead


def test_the_first_step_is_the_answer_to_the_next_row(run: Run) -> None:
    found = forecast(run.model, 3)
    row = run.model.predict(pd.DataFrame({"day": ["2020-08-28"]}))
    assert isinstance(row, Values) and row.notes == ()
    assert row.value[0] == pytest.approx(found.value[0], rel=1e-6)
    after = pd.DataFrame({"day": ["2020-08-28", "2020-08-29"], "temp": [found.value[0], None]})
    second = run.model.predict(after)
    assert isinstance(second, Values)
    assert second.value[1] == pytest.approx(found.value[1], rel=1e-5)


def test_a_model_holds_no_answer_of_a_test_row(run: Run) -> None:
    model = tenfold.Model.open(run.path / "model.onnx")
    orders = [one.contract.input.order for one in (run.model, model)]
    (at_end,), (before,) = (order.series_ends for order in orders if order)
    n_test = run.record.data.n_test
    assert at_end.last_values == pytest.approx(tuple(WALK[-12:]))
    assert before.last_values == pytest.approx(tuple(WALK[-n_test - 12 : -n_test]))
    assert at_end.half_widths == before.half_widths != ()
    assert forecast(model, 1).times == (DAYS[-n_test],)
    assert ask.model_of(run.path).contract == run.model.contract  # the run forecasts from its end
    assert ask.model_of(run.path / "model.onnx").contract == model.contract


def test_test_rows_decide_no_kind_of_a_column_in_the_order_of_time(tmp_path: Path) -> None:
    level = [str(i % 30) for i in range(N)]
    frame = pd.DataFrame({"day": DAYS, "temp": WALK, "level": level})
    frame.loc[N - 40 :, "level"] = "calibrating"
    contract = trained(frame, tmp_path, time="day", lags=2).model.contract.input
    assert isinstance(contract, TableInput)
    kinds = {column.name: column.kind for column in contract.columns}
    assert kinds == {"day": "date", "level": "number", "temp-1": "number", "temp-2": "number"}


def test_far_steps_keep_the_last_measured_width(run: Run) -> None:
    found = forecast(run.model, 40)
    width = (found.high - found.low).astype(float)
    assert np.allclose(width[28:], width[28], rtol=1e-4) and np.isfinite(width).all()


def test_a_number_can_be_time(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": np.arange(N) * 0.5, "temp": WALK})
    found = forecast(trained(frame, tmp_path, time="t", lags=0).model, 2)
    assert found.times == ("120", "120.5")


def test_other_columns_have_no_known_future(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": DAYS, "rain": RNG.normal(size=N), "temp": WALK})
    run = trained(frame, tmp_path, time="day", lags=2)
    with pytest.raises(DataError) as raised:
        forecast(run.model, 1)
    assert str(raised.value) == (
        "The model needs columns whose future values are unknown: columns=['rain']. "
        "Expected only time and earlier values of "
        "the target. Predict rows with these columns instead: tenfold predict RUN rows.csv."
    )
    answers = run.model.predict(pd.DataFrame({"day": ["2020-08-28"], "rain": [0.1]}))
    assert isinstance(answers, Values) and len(answers) == 1


def test_rows_without_order_have_nothing_to_forecast(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": WALK, "temp": WALK * 2})
    with pytest.raises(DataError) as raised:
        forecast(trained(frame, tmp_path).model, 1)
    assert str(raised.value) == (
        "This model cannot forecast: learner='linear'. Expected a model of numbers "
        "trained with --time."
    )


def test_each_series_has_its_own_forecast(tmp_path: Path) -> None:
    shops = pd.DataFrame({"day": DAYS, "shop": "small", "temp": WALK})
    large = pd.DataFrame({"day": DAYS[:-2], "shop": "large", "temp": WALK[:-2] * 10})
    frame = pd.concat([shops, large])
    run = trained(frame, tmp_path, time="day", series="shop", lags=12)
    found = forecast(run.model, 3)
    assert found.series == ("large",) * 3 + ("small",) * 3
    assert found.times == (
        "2020-08-26", "2020-08-27", "2020-08-28", "2020-08-28", "2020-08-29", "2020-08-30",
    )  # fmt: skip
    truth = 10 + 5 * np.sin(np.arange(N, N + 3) / 4)
    assert np.abs(found.value[3:] - truth).max() < 3
    assert np.abs(found.value[:3] / 10 - 10 - 5 * np.sin(np.arange(N - 2, N + 1) / 4)).max() < 3
    width = (found.high - found.low)[[0, 3]]
    assert width[0] > 3 * width[1]  # of each series by itself
    row = run.model.predict(pd.DataFrame({"day": ["2020-08-28"], "shop": ["small"]}))
    assert isinstance(row, Values) and row.value[0] == pytest.approx(found.value[3], rel=1e-5)


def test_two_columns_name_each_series(tmp_path: Path) -> None:
    small = pd.DataFrame({"day": DAYS, "shop": "s, old", "item": "tea", "temp": WALK})
    frame = pd.concat([small, small.assign(item="milk", temp=WALK * 10)])
    found = forecast(trained(frame, tmp_path, time="day", series="shop,item", lags=12).model, 2)
    assert found.series == ('"s, old",milk',) * 2 + ('"s, old",tea',) * 2
    assert found.value[:2].mean() > 4 * found.value[2:].mean()


def test_month_ends_stay_month_ends(tmp_path: Path) -> None:
    ends = pd.date_range("2010-01-31", periods=120, freq="ME").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"month": ends, "temp": WALK[:120]})
    found = forecast(trained(frame, tmp_path, time="month", lags=3).model, 3)
    assert found.times == ("2020-01-31", "2020-02-29", "2020-03-31")
