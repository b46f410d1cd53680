"""Widths that follow the row: narrower where the noise is uneven, the same in the graph, and not
claimed where the rows cannot tell."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench.coverage import NOISE, draw_intervals, mean_of
from numpy.typing import NDArray

import tenfold
from tenfold import Run
from tenfold.build import held_out
from tenfold.build.build import export, fit_problem
from tenfold.build.problem import Problem
from tenfold.build.widths import MAX_COLUMNS, fit_widths
from tenfold.core.conformal import conformal_half_width
from tenfold.core.progress import Listener
from tenfold.core.settings import Reading, resolve
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split
from tenfold.inputs.tables.cells import from_frame
from tenfold.model.model import Model
from tenfold.model.predictions import Values

Floats = NDArray[np.float32]


def rows_of(n: int, seed: int, noise: str) -> tuple[Floats, Floats, Floats]:
    """Features (n, 3), answers without fault (n,), and the truth with noise (n,)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    answers = np.sin(x[:, 0])
    y = answers + NOISE[noise](x) * rng.normal(size=n)
    return x.astype(np.float32), answers.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("noise", NOISE)
def test_widths_hold_nine_tenths_and_are_narrower_where_noise_is_uneven(noise: str) -> None:
    held, ratios = [], []
    for seed in range(4):
        x, answers, y = rows_of(1_000, seed, noise)
        constant = conformal_half_width(y, answers)
        widths = fit_widths(x, y, answers, seed)
        x, answers, y = rows_of(4_000, seed + 100, noise)
        half = np.full(len(y), constant) if widths is None else widths.half_widths(x, answers)
        held.append(np.mean(np.abs(y - answers) <= half))
        ratios.append(half.mean() / constant)
    # The standard error of this mean is 0.005, that of a ratio less than 0.01.
    assert 0.875 < np.mean(held) < 0.925
    low, high = (0.99, 1.01) if noise == "even" else (0.7, 0.92)
    assert low < np.mean(ratios) < high


def test_few_rows_wide_rows_and_rows_without_error_have_one_width() -> None:
    x, answers, y = rows_of(400, 0, "of two kinds")
    assert fit_widths(x, y, answers, 0) is not None
    assert fit_widths(x[:199], y[:199], answers[:199], 0) is None
    assert fit_widths(x, answers, answers, 0) is None
    wide = np.zeros((400, MAX_COLUMNS + 1), np.float32)
    assert fit_widths(wide, y, answers, 0) is None


def uneven(n: int, seed: int = 0) -> pd.DataFrame:
    """A table with missing cells and a category, whose noise depends on both."""
    rng = np.random.default_rng(seed)
    size, kind = rng.normal(size=n), rng.choice(["calm", "wild"], n)
    noise = np.where(kind == "wild", 3.0, 0.3) * rng.normal(size=n)
    frame = pd.DataFrame({"size": size, "kind": kind, "price": 1_000 + 10 * size + noise})
    frame.loc[rng.random(n) < 0.2, "size"] = np.nan
    return frame


@pytest.mark.parametrize("learner", ["linear", "boosting", "forest"])
def test_the_graph_gives_the_widths_of_the_forest(learner: str) -> None:
    data = table_dataset(from_frame(uneven(900)), Reading(target="price"))
    settings = resolve({"learner": learner, "validation_size": 0.4}, table=True, n_rows=900)
    problem = Problem(data, split(data, validation_size=0.4), settings)
    fitted, prepared = fit_problem(problem, Listener()), problem.prepared
    seen = held_out.OwnAnswers.by(fitted, prepared)
    judging = held_out.OwnAnswers.that_judge(fitted, seen)
    constants = held_out.calibrate(prepared, judging, settings)
    content, contract = export(fitted, prepared, settings)
    assert contract.prediction_intervals is not None and contract.prediction_intervals.adaptive
    assert constants.widths is not None
    found = Model(content).answer(prepared.compared)
    assert isinstance(found, Values)
    n = len(found)
    half = constants.target_scale * constants.widths.half_widths(seen.rows.x[:n], seen.answers[:n])
    # An answer that float32 rounds across a threshold has another width: no more than a few have.
    close = np.isclose(found.high - found.value, half, rtol=1e-3, atol=1e-3)
    assert close.mean() > 0.99
    np.testing.assert_allclose(found.high - found.value, found.value - found.low, atol=1e-3)
    assert half.min() > 0


def test_a_run_says_how_wide_its_intervals_are_and_why(tmp_path: Path) -> None:
    frame = uneven(1_500)
    frame["patient"] = np.arange(1_500) // 5
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame[:400].to_csv(tmp_path / "few.csv", index=False)

    def trained(name: str, group: str | None = None) -> tuple[Run, str]:
        data = tenfold.load(tmp_path / name, reading=Reading(target="price", group=group))
        run = tenfold.train(data, learner="linear", validation_size=0.3, out=tmp_path)
        return run, (run.path / "MODEL_CARD.md").read_text("utf-8")

    run, said = trained("rows.csv")
    assert run.evaluation.task == "regression" and run.evaluation.interval_widths is not None
    narrow, wide = run.evaluation.interval_widths
    assert wide > 2 * narrow
    assert "widths             follow the row" in "\n".join(run.evaluation.lines())
    assert "All intervals have the same width" not in said
    few, said = trained("few.csv")
    assert few.evaluation.task == "regression" and few.evaluation.interval_widths is None
    assert "needs 200 calibration rows, and there are" in said
    _, said = trained("rows.csv", group="patient")
    assert "errors of the rows of a group are similar" in said and "few groups" in said


def test_in_the_order_of_time_the_future_may_differ_and_that_is_said(tmp_path: Path) -> None:
    days, rng = pd.date_range("2020-01-01", periods=1_200), np.random.default_rng(0)
    noise = np.where(np.arange(1_200) % 2, 3.0, 0.3) * rng.normal(size=1_200)
    frame = pd.DataFrame({"day": days.astype(str), "parity": np.arange(1_200) % 2, "y": noise})
    data = tenfold.load(frame, reading=Reading(target="y", time="day"))
    run = tenfold.train(data, learner="linear", validation_size=0.3, out=tmp_path)
    intervals = run.model.contract.prediction_intervals
    assert intervals is not None and intervals.calibration_rows > 200 and not intervals.adaptive
    said = (run.path / "MODEL_CARD.md").read_text("utf-8")
    assert (
        "errors of neighbouring times are similar" in said
        and "as long as future rows are like" in said
    )


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("learner", ["linear", "forest", "boosting"])
def test_learners_hold_nine_tenths_in_200_draws(learner: str, noise: str) -> None:
    mean = mean_of([draw_intervals(learner, noise, seed) for seed in range(200)])
    assert 0.89 < mean["coverage"] < 0.92
    assert mean["width"] < (1.02 if noise == "even" else 0.95)
