"""Tables from file to answer: what the command line says, and decisions that the answers follow."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.cli.card import print_card
from tenfold.core.contract import TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.evaluation import Evaluation, RegressionEvaluation
from tenfold.experiments.run_data import split_of
from tenfold.model.forecast import forecast
from tenfold.model.predictions import Prediction, Predictions
from tests.support.errors import refused
from tests.support.program import call

N = 300


def mixed() -> pd.DataFrame:
    """Numbers with gaps, categories, dates, text; columns named like a graph's outputs."""
    rng = np.random.default_rng(0)
    x, low = rng.normal(size=N), rng.lognormal(size=N)
    kind = rng.choice(["a", "b", "c"], N)
    y = 3 * x + (kind == "a") * 2 + 0.3 * rng.normal(size=N)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(N) < 0.1, np.nan, x),
            "low": low,
            "value": rng.normal(size=N),
            "kind": kind,
            "day": pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d"),
            "note": [" ".join(rng.choice(["red", "green", "=blue"], 4)) for _ in range(N)],
            "price": y * 1000,
            "good": np.where(y > 1, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "mixed.csv"
    mixed().to_csv(path, index=False)
    return path


def test_the_command_line_says_all_of_it(file: Path) -> None:
    trained = call(
        "train", file, "--target", "good", "--column", "price=identifier", "--learner", "logistic",
        "--folds", 3, "--cost", "false_negative=5", "--class-weights", "balanced",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "columns used: number: x, low, value" in trained.stderr
    assert "missing cells, filled in: x (" in trained.stderr
    for words in ("threshold ", "folds ", "positive label", "average precision", "next "):
        assert words in trained.stdout
    run = Path("runs/mixed-logistic-1")
    assert (run / "precision_recall.png").is_file()
    answered = call("predict", run, file, "--json")
    found = json.loads(answered.stdout)["predictions"]
    assert (len(found), found[3]["row"]) == (N, 3)
    assert set(found[0]["probabilities"]) == {"no", "yes"}
    in_csv = list(csv.DictReader(io.StringIO(call("predict", run, file, "--csv").stdout)))
    assert list(in_csv[0]) == ["input", "row", "label", "confidence", "unsure", "error", "p_no",
                               "p_yes", "prediction_set"]  # fmt: skip
    assert "accuracy" in call("evaluate", run, file).stdout
    assert call("verify", run).returncode == 0


def test_a_regression_is_answered_with_its_interval(file: Path) -> None:
    trained = call(
        "train", file, "--target", "price", "--column", "good=identifier", "--learner", "linear",
        "--json",
    )  # fmt: skip
    printed = json.loads(trained.stdout)
    evaluation = printed["evaluation"]
    assert {"mae", "rmse", "r2", "coverage", "baseline"} <= set(evaluation)
    run = Path(printed["run"])
    for name in ("predicted_vs_true.png", "residuals.png", "predictions.csv", "report.html"):
        assert (run / name).is_file()
    one = json.loads(call("predict", run, file, "--json").stdout)["predictions"][0]
    assert one["low"] < one["value"] < one["high"]
    assert set(one) == {"input", "row", "value", "low", "high"}
    header = (run / "predictions.csv").read_text().splitlines()[0]
    assert header == "key,true,predicted,low,high"
    assert f"{one['value']:.6g}" in call("predict", run, file).stdout
    without = call("evaluate", run, "--min-accuracy", 0.9)
    assert (without.returncode, without.stdout) == (1, "") and "[E106]" in without.stderr


def test_formulas_are_written_harmlessly(tmp_path: Path) -> None:
    labels = ["=1+1", "@x"] * 30
    frame = pd.DataFrame({"x": [0.0, 1.0] * 30, "n": np.arange(60) / 7, "t": labels})
    frame.to_csv(tmp_path / "=cmd.csv", index=False)
    run = tenfold.train(tmp_path / "=cmd.csv", target="t", learner="logistic")
    for line in (run.path / "predictions.csv").read_text().splitlines()[1:]:
        assert line.startswith("'=cmd.csv:") and (",'=1+1," in line or ",'@x," in line)


def test_each_series_of_a_file_is_forecast(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=120).strftime("%Y-%m-%d")
    wave = np.sin(np.arange(120) * 2 * np.pi / 30)
    sizes = {"=1": 1, "north": 10}
    shops = [pd.DataFrame({"d": days, "shop": name, "t": wave * n}) for name, n in sizes.items()]
    table = tmp_path / "shops.csv"
    pd.concat(shops).to_csv(table, index=False)
    words = ("train", table, "--target", "t", "--time", "d", "--learner", "linear")
    failed = call(*words)
    assert failed.returncode == 1
    assert "[E242]" in failed.stderr and "--series shop" in failed.stderr
    call(*words, "--series", "shop")
    path = Path("runs/shops-linear-1")
    assert not (path / "forecast.png").exists()
    printed = call("predict", path, "--steps", 2, "--json")
    steps = json.loads(printed.stdout)["predictions"]
    expected = [(name, day) for name in sizes for day in ("2020-04-30", "2020-05-01")]
    assert [(step["series"], step["input"]) for step in steps] == expected
    lines = call("predict", path, "--steps", 2, "--csv").stdout.splitlines()
    assert lines[0] == "input,row,value,low,high,error,series"
    assert [line.split(",")[1] for line in lines[1:]] == ["0", "1"] * 2
    assert lines[1].endswith(",,'=1")


def test_a_forecast_goes_on_where_the_data_end(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=400)
    wave = 10 * np.sin(np.arange(400) * 2 * np.pi / 30) + rng.normal(0, 0.3, 400)
    pd.DataFrame({"d": days.strftime("%Y-%m-%d"), "t": wave}).to_csv(
        tmp_path / "wave.csv", index=False
    )
    trained = call(
        "train", tmp_path / "wave.csv", "--target", "t", "--time", "d", "--lags", 5,
        "--learner", "linear",
    )  # fmt: skip
    assert "Better than repeating the last value" in trained.stdout
    run = tenfold.open("runs/wave-linear-1")
    assert isinstance(run.evaluation, RegressionEvaluation)
    assert run.evaluation.baseline.kind == "last value"
    assert (run.path / "forecast.png").is_file()
    found = forecast(run.model, 40)
    assert found.times[:2] == ("2021-02-04", "2021-02-05")
    truth = 10 * np.sin(np.arange(400, 440) * 2 * np.pi / 30)
    assert ((found.low <= truth) & (truth <= found.high)).mean() > 0.7
    widths = found.high - found.low
    assert (np.diff(widths) >= -1e-5).all() and widths[10] > widths[0]
    printed = call("predict", run.path, "--steps", 3, "--json")
    steps = json.loads(printed.stdout)["predictions"]
    assert [step["input"] for step in steps] == list(found.times[:3])
    for wrong in ((), (tmp_path / "wave.csv", "--steps", 3)):
        assert call("predict", run.path, *wrong).returncode == 2
    baseline = tenfold.train(
        tmp_path / "wave.csv", target="t", learner="baseline", reading=Reading(time="d")
    )
    assert baseline.evaluation.better_than_baseline == "not distinguishable"
    assert baseline.record.note == "The last value is the answer"


def test_costs_move_the_threshold_and_the_answers_follow_it(file: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    answers_by_chance = np.where(rng.random(2000) < 1 / (1 + np.exp(1 - x)), "yes", "no")
    frame = pd.DataFrame({"x": x, "good": answers_by_chance})
    dear, cheap = (
        tenfold.train(frame, target="good", learner="logistic", cost={"false_negative": cost})
        for cost in (5.0, 0.2)
    )
    thresholds = []
    for run in (dear, cheap):
        decision = run.model.contract.decision
        assert decision is not None and decision.positive == "yes"
        answers = run.model.predict(frame)
        assert isinstance(answers, Predictions) and isinstance(run.evaluation, Evaluation)
        positive = answers.probabilities[:, 1] >= np.float32(decision.threshold)
        assert answers.labels == ["yes" if one else "no" for one in positive]
        assert run.evaluation.threshold == decision.threshold
        thresholds.append(decision.threshold)
    assert thresholds[0] < thresholds[1]
    with refused("E604", "n_labels=0"):
        tenfold.train(file, target="price", learner="linear", cost={"false_negative": 2.0})
    with refused("E605", "positive='maybe'"):
        tenfold.train(file, target="good", learner="logistic", positive="maybe")


def test_class_weights_are_undone_in_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    frame = pd.DataFrame({"x": x, "t": rng.random(4000) < 1 / (1 + np.exp(3 - 2 * x))})
    plain, weighted = (
        tenfold.train(frame, target="t", learner="logistic", penalty=1e-3, class_weights=weights)
        for weights in (None, "balanced")
    )
    assert isinstance(plain.evaluation, Evaluation) and isinstance(weighted.evaluation, Evaluation)
    assert weighted.evaluation.log_loss.value < 1.05 * plain.evaluation.log_loss.value
    assert weighted.evaluation.calibration_error.value < 0.03


def test_a_column_that_gives_the_answer_away_is_named_before_training(tmp_path: Path) -> None:
    frame = mixed().assign(copy=lambda one: one["price"] * 2)
    frame.to_csv(tmp_path / "leak.csv", index=False)
    checked = call("data", "check", tmp_path / "leak.csv", "--target", "price").stdout
    assert "copy alone gives the answer away" in checked
    assert "leave it out with --drop copy" in checked
    assert "value alone" not in checked
    shown = call("data", "show", tmp_path / "leak.csv", "--target", "good").stdout
    assert "yes" in shown and "day" in shown and "date" in shown


def test_rows_may_be_dicts_and_frames(file: Path) -> None:
    run = tenfold.train(file, target="good", learner="logistic")
    row = mixed().iloc[0].to_dict()
    many = run.model.predict([row, row])
    one = run.model.predict_one(row)
    frame = run.model.predict(mixed())
    assert isinstance(many, Predictions) and isinstance(frame, Predictions)
    assert isinstance(one, Prediction) and len(run.model.predict(row)) == 1
    assert many[0].label == one.label == frame[0].label
    with pytest.raises(DataError, match="predict_one takes a single input: n=2"):
        run.model.predict_one([row, row])
    with refused("E504", "kind='int'"):
        run.model.predict(7)
    with pytest.raises(DataError, match="The input does not fit the model.*rows of a table"):
        run.model.answer(np.zeros((1, 28, 28), np.uint8))


def test_predicting_a_table_loads_no_training_library(file: Path) -> None:
    run = tenfold.train(file, target="good", learner="logistic")
    program = (
        "import sys, tenfold\n"
        f"tenfold.open({str(run.path)!r}).model.predict({str(file)!r})\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pandas" in printed and not {"sklearn", "keras", "jax", "scipy"} & set(printed)


@pytest.mark.parametrize("target", ["sold", "price"])
def test_a_column_that_gives_the_answer_away_is_the_first_and_the_last_thing_said(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    price = rng.normal(100, 20, 400).round(2)
    sold = np.where(rng.random(400) < 0.5, "0", "1")
    frame = pd.DataFrame({"price": price, "sold": sold, "rooms": rng.integers(1, 6, 400)})
    frame["leak"] = 2 * price if target == "price" else np.where(sold == "1", 7.5, 3.25)
    run = tenfold.train(frame, target=target, learner="forest", recipe="fast", out=tmp_path)
    (doubt,) = run.evaluation.doubts
    assert doubt.startswith("leak alone gives the answer away")
    assert run.evaluation.beats_baseline
    assert run.evaluation.verdict.startswith(f"Do not trust this score: {doubt}. Better than")
    assert tenfold.evaluate(run, tenfold.load(frame, target=target)).doubts == (doubt,)
    page = (run.path / "report.html").read_text("utf-8")
    assert page.index("Do not trust this score") < page.index('class="headline"')
    assert 'class="verdict good"' not in page
    question = "sold: 0 or 1" if target == "sold" else "price: a number"
    asked = "“sold”: 0 or 1?" if target == "sold" else "What is “price”?"
    assert page.index(asked, page.index("<h1>")) < page.index('class="headline"')
    print_card(run)
    lines = capsys.readouterr().out.splitlines()
    assert f"question           {question}" in lines
    assert [line for line in lines if doubt in line][-1].startswith("warning")
    assert lines[-2].startswith("next") and lines[-4].startswith("warning")


def test_without_doubts_nothing_is_said_of_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(200) % 7, "y": ["ab"[i % 7 > 2] for i in range(200)]})
    frame["y"] = np.where(np.arange(200) % 10 == 0, "a", frame["y"])
    run = tenfold.train(frame, target="y", learner="bayes", out=tmp_path)
    assert run.evaluation.doubts == ()
    assert "doubts" not in json.loads((run.path / "evaluation.json").read_bytes())
    assert 'class="verdict good"' in (run.path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("usual", "odd", "kind"),
    [
        (lambda i: f"{i * 37 % 101}.5", lambda i: f"w{i % 60}", "number"),
        (lambda i: f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}", lambda i: f"day {i % 60}", "date"),
        (lambda i: "no" if i % 3 else "yes", lambda i: "maybe", "yes/no"),
    ],
)  # fmt: skip
def test_test_rows_do_not_decide_what_a_column_is(
    usual: Any, odd: Any, kind: str, tmp_path: Path
) -> None:
    """Cells that stand in test rows alone are missing, or were never seen."""
    answers = ["ab"[i % 2] for i in range(120)]
    plain = pd.DataFrame(
        {"x": [usual(i) for i in range(120)], "z": np.arange(120) % 5, "y": answers}
    )
    asked: dict[str, Any] = {"target": "y", "learner": "bayes", "out": tmp_path}
    known = tenfold.train(plain, **asked)
    test = split_of(tenfold.load(plain, target="y"), known.record.config).test
    strange = plain.assign(x=[odd(i) if i in test else usual(i) for i in range(120)])
    file = tmp_path / "strange.csv"
    strange.to_csv(file, index=False)
    run = tenfold.train(file, **asked)
    first, other = (one.model.contract.input for one in (known, run))
    assert isinstance(first, TableInput) and isinstance(other, TableInput)
    assert other.columns == first.columns and other.columns[0].kind == kind
    # No test row made any difference to the model, and it is measured again alike.
    ours, theirs = (one.model.predict(plain.drop(columns="y")) for one in (run, known))
    assert isinstance(ours, Predictions) and isinstance(theirs, Predictions)
    assert np.array_equal(ours.probabilities, theirs.probabilities)
    assert tenfold.evaluate(run) == run.evaluation
    assert run.record.data.reading and run.record.data.reading.columns["x"].startswith(kind)


def test_where_all_rows_agree_the_reading_stays_as_it_was_asked(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(90) % 7, "y": ["ab"[i % 2] for i in range(90)]})
    run = tenfold.train(frame, target="y", learner="bayes", out=tmp_path)
    assert run.record.data.reading and run.record.data.reading.columns == {}
