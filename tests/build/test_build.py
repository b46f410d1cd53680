"""Every learner on tables that people really have: trained, exported, the same twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold.build.build import fit_model
from tenfold.build.problem import Problem, prepare
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.settings import RECIPES, Reading, Settings, resolve
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import table_dataset
from tenfold.data.split import Split
from tenfold.data.split import split as split_data
from tenfold.evaluation import RegressionEvaluation
from tenfold.inputs.tables.cells import from_frame
from tenfold.learners import LEARNERS
from tenfold.model.model import Model
from tenfold.model.predictions import Predictions, Values

N = 160
WORDS = ["free", "win", "call me", "£5", "now!"]


def hostile(target: str) -> pd.DataFrame:
    """Names that clash, cells that are missing, huge, late, empty or formulas."""
    rng = np.random.default_rng(3)
    size = rng.normal(size=N)
    days = pd.date_range("1965-01-01", periods=N, freq="97D")
    frame = pd.DataFrame(
        {
            "value": size,
            "low": np.where(rng.random(N) < 0.2, "NA", rng.integers(0, 9, N).astype(str)),
            "probabilities": rng.normal(size=N) * 1e300,
            "front/Concat_0": np.where(np.arange(N) == 3, 1e37, size),
            "image": rng.choice(["=A1", "+x", 'say "hi"', "two\nlines", ""], N),
            "with space, and ☃": rng.choice(["yes", "no", "?"], N),
            "date": np.where(rng.random(N) < 0.1, "", days.strftime("%d/%m/%Y")),
            "date.year": rng.integers(0, 3, N),
            "text": [" ".join(rng.choice(WORDS, 5)) for _ in range(N)],
            "gone": [""] * N,
            "many": [f"level {i}" for i in rng.integers(0, 80, N)],
            "Id": np.arange(N),
        }
    )  # fmt: skip
    noise = rng.normal(0, 0.3, N)
    if target == "number":
        frame["y"] = 200_000 + 50_000 * size + 10_000 * noise
    else:
        frame["y"] = np.where(size + noise > 0, "=up", 'do"wn')
    return frame


def table(target: str) -> Dataset:
    return table_dataset(from_frame(hostile(target)), Reading(target="y"))


def config(learner: str, **others: Any) -> Settings:
    recipe = "fast" if learner in RECIPES["fast"] else "default"
    asked = {"learner": learner, "recipe": recipe, **others}
    if learner == "network":
        asked |= {"epochs": 2, "hidden": (16,)}
    return resolve(asked, table=True)


def file_of(data: Dataset, settings: Settings) -> bytes:
    split = split_data(data, validation_size=settings.validation_size)
    return fit_model(Problem(data, split, settings)).content


def numbers_of(answers: Values | Predictions) -> NDArray[np.float32]:
    return answers.value if isinstance(answers, Values) else answers.probabilities


CASES = [
    (name, "label" if task == "classification" else "number")
    for name, learner in LEARNERS.items()
    for task in learner.tasks
    if learner.sides is None  # those take pictures alone
]


QUICK_WAYS = [
    ("baseline", "label"),
    ("bayes", "label"),
    ("forest", "label"),
    ("linear", "number"),
    ("neighbors", "number"),
]
"""Each learner once, but for the logistic one, whose graph is that of the linear one."""


@pytest.mark.parametrize(("learner", "target"), CASES)
def test_the_same_seed_gives_the_same_bytes(learner: str, target: str) -> None:
    data = table(target)
    first, second = (file_of(data, config(learner)) for _ in range(2))
    assert first == second
    answers = Model(first).predict(hostile(target))
    assert isinstance(answers, Values | Predictions) and len(answers) == N
    assert np.isfinite(numbers_of(answers)).all()


WHOLE_WAYS = [
    case if case in QUICK_WAYS else pytest.param(*case, marks=pytest.mark.slow)
    for case in CASES
    if case[0] != "network"
]


@pytest.mark.parametrize(("learner", "target"), WHOLE_WAYS)
def test_every_learner_goes_the_whole_way(learner: str, target: str) -> None:
    frame = hostile(target)
    frame.to_csv("t.csv", index=False)
    run = tenfold.train("t.csv", learner=learner, recipe="fast", reading=Reading(target="y"))
    answers = run.model.predict("t.csv")
    assert isinstance(answers, Values | Predictions) and len(answers) == N
    shuffled = run.model.predict(frame[frame.columns[::-1]].drop(columns="y"))
    assert isinstance(shuffled, Values | Predictions)
    assert np.array_equal(numbers_of(answers), numbers_of(shuffled))
    assert tenfold.evaluate(run.path) == run.evaluation
    assert tenfold.evaluate(run.path, "t.csv").n >= run.evaluation.n
    assert tenfold.verify(run.path)["examples"] > 1
    empty = pd.DataFrame({name: ["", "NA"] for name in frame.columns})
    blank = run.model.predict(empty)
    assert isinstance(blank, Values | Predictions) and len(blank) == 2


def test_the_baseline_is_not_worse_than_itself() -> None:
    steps = np.cumsum(np.random.default_rng(0).normal(size=200)).round(1) + 300
    frame = pd.DataFrame({"t": np.arange(200), "x": steps[::-1], "y": steps})
    for reading in (Reading(target="y", time="t"), Reading(target="y", task="regression")):
        run = tenfold.train(frame, learner="baseline", reading=reading)
        assert isinstance(run.evaluation, RegressionEvaluation)
        assert run.evaluation.better_than_baseline == "not distinguishable"


def test_words_that_never_return_leave_nothing_to_learn_from() -> None:
    texts = [" ".join(letter * (i + 1) for letter in "abc") for i in range(100)]
    frame = pd.DataFrame({"text": texts, "y": ["p", "q"] * 50})
    data = table_dataset(from_frame(frame), Reading(target="y", columns={"text": "text"}))
    split = split_data(data, validation_size=0.1)
    with pytest.raises(DataError) as raised:
        prepare(data, split, scaled=False)
    assert str(raised.value) == (
        "There is nothing to learn from in any column: columns=['text'] (table). Expected "
        "numbers, categories, or words "
        "that occur in more than one row."
    )


def test_regression_needs_rows_to_measure_its_interval_on() -> None:
    data, settings = table("number"), config("linear", validation_size=0.0)
    with pytest.raises(DataError) as raised:
        file_of(data, settings)
    assert str(raised.value) == (
        "Regression needs validation rows: validation_size=0.0 (table). Expected "
        "validation_size above 0, to measure the interval."
    )


def test_costs_need_two_labels_and_validation_rows() -> None:
    data = table("label")
    with pytest.raises(SettingsError) as raised:
        file_of(data, config("bayes", cost={"false_negative": 10}, validation_size=0.0))
    assert str(raised.value) == (
        "Costs cannot be used here: n_labels=2, n_validation=0 (table). Expected two labels and "
        "validation rows."
    )
    thresholds = [
        decision.threshold
        for cost in (0.01, 100)
        if (
            decision := Model(
                file_of(data, config("logistic", cost={"false_negative": cost}))
            ).contract.decision
        )
    ]
    assert thresholds[0] > thresholds[1]  # dear to miss: taken for it sooner


def positive_label(data: Dataset, rows: NDArray[np.int64], settings: Settings) -> str | None:
    none = np.empty(0, np.int64)
    return Problem(data, Split(rows, none, none, none), settings).positive


def test_the_label_that_is_looked_for() -> None:
    data = table("label")
    rows = np.flatnonzero(data.y == 0)[:9]
    assert positive_label(
        data, np.r_[rows, np.flatnonzero(data.y == 1)], config("bayes")
    ) == "=up" or (data.labels[0] == "=up")
    assert positive_label(data, rows, config("bayes", positive=data.labels[1])) == data.labels[1]
    assert positive_label(table("number"), rows, config("linear")) is None
    with pytest.raises(SettingsError) as raised:
        positive_label(data, rows, config("bayes", positive="left"))
    expected = " or ".join(data.labels)
    assert (
        str(raised.value)
        == f"There is no such label: positive='left' (table). Expected {expected}."
    )


def test_class_weights_move_the_answer_and_are_undone() -> None:
    data = table("label")
    plain = Model(file_of(data, config("logistic")))
    weighted = Model(file_of(data, config("logistic", class_weights="balanced")))
    a, b = (model.answer(data.x).outputs[0].mean(axis=0) for model in (plain, weighted))
    assert np.abs(a - b).max() < 0.1


def test_a_baseline_without_lags_answers_the_mean(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": np.arange(60), "y": np.random.default_rng(0).normal(size=60)})
    reading = Reading(target="y", time="t", lags=0)
    run = tenfold.train(frame, learner="baseline", reading=reading, out=tmp_path)
    answers = run.model.predict(frame)
    assert isinstance(answers, Values) and len(set(answers.value.tolist())) == 1


def test_a_forest_on_a_table_is_never_unsure() -> None:
    data = table("label")
    assert Model(file_of(data, config("forest"))).contract.novelty_threshold is None


def test_rows_that_are_for_validation_alone_are_not_fitted_to() -> None:
    data, settings = table("label"), config("boosting")
    parts = split_data(data, validation_size=0.2)

    def may_join(data: Dataset = data, settings: Settings = settings, refit: bool = True) -> bool:
        return Problem(data, parts, settings, refit=refit).may_join

    assert may_join() and not may_join(refit=False)
    assert not may_join(replace(data, validation_rows=parts.validation))
    weighted = settings.model_copy(update={"class_weights": "balanced"})
    assert not may_join(settings=weighted)
