"""`auto`: what is tried follows from the rows alone, the best is kept, and says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Run
from tenfold.build import candidates, table_plan
from tenfold.build import choose as choosing
from tenfold.build.choose import fit_chosen
from tenfold.build.problem import Problem
from tenfold.build.table_plan import COSTS, Shape, plan_of
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.settings import Reading, resolve
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split
from tenfold.experiments.run_data import record_of
from tenfold.inputs.tables.cells import from_frame
from tenfold.inputs.tables.encoder import MAX_SPLIT_WORDS
from tenfold.learners import LEARNERS, Checkpoints, default_learner
from tenfold.learners.boosting import most_trees
from tenfold.model.model import Model

SMALL = 0.02
"""Minutes for a plan of two or three learners."""


def problem(target: str, *, n: int = 120, minutes: float = SMALL, text: bool = False) -> Problem:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(["x", "y", "z"], n)})
    if text:
        frame["words"] = [" ".join(rng.choice(["one", "two", "three"], 6)) for _ in range(n)]
    value = 3 * frame["a"] + (frame["b"] == "x") + rng.normal(0, 0.3, n)
    frame["y"] = value if target == "number" else np.where(value > 0, "up", "down")
    kinds: Any = {"words": "text"} if text else {}
    data = table_dataset(from_frame(frame), Reading(target="y", columns=kinds))
    settings = resolve({"learner": "auto", "minutes": minutes}, table=True)
    return Problem(data, split(data, validation_size=settings.validation_size), settings)


def planned(asked: Problem) -> list[str]:
    return list(plan_of(asked).seconds)


@pytest.mark.parametrize("target", ["label", "number"])
def test_the_plan_follows_from_rows_columns_and_labels(target: str) -> None:
    whole = planned(problem(target, minutes=100))
    task = "regression" if target == "number" else "classification"
    assert whole == [name for name in COSTS if task in LEARNERS[name].tasks]
    small = planned(problem(target))
    assert 2 <= len(small) < len(whole) and set(small) < set(whole) and small[0] == "baseline"
    assert planned(problem(target, minutes=1e-9)) == whole[:2]
    with_text = planned(problem(target, minutes=100, text=True))
    assert with_text == [name for name in whole if name not in ("network", "neighbors")]
    assert "boosting" in with_text and "forest" in with_text


@pytest.mark.parametrize("target", ["label", "number"])
@pytest.mark.parametrize("few", [1_000, 10])
def test_the_best_is_kept_and_the_same_again(
    target: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_plan, "FEW", few)
    asked = problem(target)
    built, again = (fit_chosen(asked) for _ in range(2))
    assert built.content == again.content
    names = [one.learner for one in built.candidates]
    assert sorted(names) == sorted(planned(asked)) and names[-1] == "baseline"
    losses = [one.loss for one in built.candidates]
    assert losses == sorted(losses) and built.candidates[0].behind == 0
    assert all(one.low <= one.behind <= one.high for one in built.candidates)
    assert built.contract.learner == names[0] == Model(built.content).contract.learner
    rows = "the validation rows" if few == 10 else "5 folds of the training rows"
    assert built.note is not None and built.note.startswith(f"auto chose {names[0]} by {rows}: ")
    assert f"baseline {losses[-1]:.4g}" in built.note
    assert "The choice was made on these rows, so the lowest loss is" in built.note
    crossed = float(built.note.partition("choice of the others, it is ")[2].split(". ")[0])
    assert crossed >= float(f"{losses[0]:.4g}")


def test_boosting_of_a_text_fits_into_the_minute() -> None:
    shape = Shape(1_900, 340, 4 + MAX_SPLIT_WORDS, 7 + MAX_SPLIT_WORDS, 2, 0.15, True)
    assert "boosting" in table_plan.planned("classification", shape, 5, 1.0).seconds


def test_what_a_text_column_leaves_out_is_said() -> None:
    note = fit_chosen(problem("label", text=True)).note
    assert note is not None and "network and neighbors were not tried, because a column" in note
    assert "were not tried" not in (fit_chosen(problem("label")).note or "")


@pytest.mark.parametrize("few", [1_000, 10])
def test_an_interrupted_choice_goes_on_where_it_stopped(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_plan, "FEW", few)
    asked = problem("number")
    whole = fit_chosen(asked)
    where, name = (candidates, "fit_learner") if few > 10 else (choosing, "fit_problem")
    fit, n_fits = getattr(where, name), [0]

    def interrupted(*given: Any, **named: Any) -> Any:
        n_fits[0] += 1
        if n_fits[0] == 2 * (5 if few > 10 else 1):  # in the second candidate
            raise KeyboardInterrupt
        return fit(*given, **named)

    monkeypatch.setattr(where, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_chosen(asked, None, Checkpoints(tmp_path / "checkpoints"))
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert names == ["result-baseline.checkpoint"]
    n_fits[0] = 100
    again = fit_chosen(asked, None, Checkpoints(tmp_path / "checkpoints"))
    assert again.content == whole.content
    assert [one.loss for one in again.candidates] == [one.loss for one in whole.candidates]
    done = n_fits[0]
    assert fit_chosen(asked, None, Checkpoints(tmp_path / "checkpoints")).content == whole.content
    assert n_fits[0] - done == (0 if few > 10 else 1)  # of all candidates the winner alone
    path = tmp_path / "checkpoints" / "result-linear.checkpoint"
    path.write_bytes(path.read_bytes()[:-1])
    assert fit_chosen(asked, None, Checkpoints(tmp_path / "checkpoints")).content == whole.content


def test_what_boosting_costs_grows_with_the_labels_and_the_fits() -> None:
    assert most_trees(100, 20, 1, refit=True) == 6 * 300
    assert most_trees(100, 20, 3, refit=True) == 6 * 300 * 3
    assert most_trees(100, 20, 2, refit=False) == 200
    assert most_trees(1_300, 200, 10, refit=True) == 2 * 500 * 10
    assert most_trees(15_000, 2_000, 1, refit=True) == 2 * 1_000
    assert most_trees(100_000, 2_000, 2, refit=True) == 1_000


def test_one_label_in_a_fold_ends_nothing() -> None:
    asked = problem("label", n=60)
    data = replace(asked.data, y=np.where(np.arange(60) < 3, 1, 0))
    asked = replace(asked, data=data, split=split(data, validation_size=0.1))
    assert fit_chosen(asked).contract.learner in planned(asked)


def test_a_run_says_what_was_asked_tried_and_chosen(tmp_path: Path) -> None:
    asked = problem("label")
    run = tenfold.train(asked.data, minutes=SMALL, folds=2, out=tmp_path)
    record, lines = run.record, (run.path / "candidates.csv").read_text().splitlines()
    assert lines[0] == "learner,loss,behind,low,high,seconds,weight"
    assert record.learner == lines[1].split(",")[0] == run.model.contract.learner
    assert record.asked["learner"] == "auto" == record.config.learner
    assert record.note is not None and "auto chose" in record.note
    plan = Run.open(run.path).record.plan
    assert plan is not None and plan.folds == 5
    assert sorted(plan.seconds) == sorted(line.split(",")[0] for line in lines[1:])
    assert {"candidates.csv", "folds.csv"} <= set(record.files)
    assert "--learner auto" in (run.path / "report.html").read_text("utf-8")
    with pytest.raises(SettingsError) as error:
        tenfold.sweep(asked.data, learner="auto", penalty=[1.0, 2.0], out=tmp_path)
    assert error.value.code == "E818"


def test_tables_have_a_choice_where_no_setting_of_networks_is_asked_for() -> None:
    accepted = problem("label").data.input
    for asked, name in (
        ({}, "auto"),
        ({"hidden": (8,)}, "network"),
        ({"recipe": "fast"}, "network"),
    ):
        assert default_learner(accepted, {"recipe": "default", **asked}, in_files=False) == name


def test_pictures_have_no_choice(few: Any) -> None:
    with pytest.raises(SettingsError) as error:
        tenfold.train(few(20, 5), learner="auto")
    assert error.value.code == "E636"
    assert record_of(problem("label"), {"learner": "auto"}).asked == {"learner": "auto"}


@pytest.mark.parametrize("target", ["label", "number"])
@pytest.mark.parametrize("validation_size", [0.15, 0.0])
def test_with_few_rows_all_rows_but_the_test_rows_calibrate(
    target: str, validation_size: float
) -> None:
    asked = problem(target)
    rows = split(asked.data, validation_size=validation_size)
    asked = replace(asked, split=rows, encoded=None)
    if target == "number" and not validation_size:
        with pytest.raises(DataError, match="Regression needs validation rows"):
            fit_chosen(asked)
        return
    contract = fit_chosen(asked).contract
    n_rows = len(rows.train) + len(rows.validation)
    if target == "number":
        assert contract.prediction_intervals is not None
        assert contract.prediction_intervals.calibration_rows == n_rows
    else:
        assert contract.prediction_sets is not None and contract.gives_sets
        assert sum(contract.prediction_sets.calibration_rows) == n_rows
        assert contract.novelty_threshold == 1


def test_without_validation_rows_nothing_is_calibrated_by_folds_that_know_the_future() -> None:
    rng, n = np.random.default_rng(0), 120
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n), "a": rng.normal(size=n)})
    frame["y"] = np.where(frame["a"] + rng.normal(0, 0.3, n) > 0, "up", "down")
    data = table_dataset(from_frame(frame), Reading(target="y", time="day"))
    settings = resolve({"learner": "auto", "minutes": SMALL}, table=True)
    contract = fit_chosen(Problem(data, split(data), settings)).contract
    assert contract.prediction_sets is None and contract.temperature == 1
