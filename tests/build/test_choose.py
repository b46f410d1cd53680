"""`auto`: what is tried follows from the rows alone, the best is kept, and says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.build import choose as choosing
from tenfold.build.choose import CANDIDATES, OF_TEXTS, fit_chosen, planned
from tenfold.build.problem import Problem
from tenfold.core.errors import SettingsError
from tenfold.core.settings import Reading, resolve
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split
from tenfold.experiments.run_data import record_of
from tenfold.inputs.tables.cells import from_frame
from tenfold.learners import LEARNERS
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


@pytest.mark.parametrize("target", ["label", "number"])
def test_the_plan_follows_from_rows_columns_and_labels(target: str) -> None:
    whole = planned(problem(target, minutes=100))
    task = "regression" if target == "number" else "classification"
    assert whole == [name for name in CANDIDATES if task in LEARNERS[name].tasks]
    small = planned(problem(target))
    assert 2 <= len(small) < len(whole) and set(small) < set(whole) and small[0] == "baseline"
    assert planned(problem(target, minutes=1e-9)) == whole[:2]
    assert set(planned(problem(target, minutes=100, text=True))) <= set(OF_TEXTS)


@pytest.mark.parametrize("target", ["label", "number"])
@pytest.mark.parametrize("few", [1_000, 10])
def test_the_best_is_kept_and_the_same_again(
    target: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "FEW", few)
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


def test_one_label_in_a_fold_ends_nothing() -> None:
    asked = problem("label", n=60)
    data = replace(asked.data, y=np.where(np.arange(60) < 3, 1, 0))
    asked = replace(asked, data=data, split=split(data, validation_size=0.1))
    assert fit_chosen(asked).contract.learner in planned(asked)


def test_a_run_says_what_was_asked_tried_and_chosen(tmp_path: Path) -> None:
    asked = problem("label")
    run = tenfold.train(asked.data, learner="auto", minutes=SMALL, folds=2, out=tmp_path)
    record, lines = run.record, (run.path / "candidates.csv").read_text().splitlines()
    assert lines[0] == "learner,loss,behind,low,high,seconds"
    assert record.learner == lines[1].split(",")[0] == run.model.contract.learner
    assert record.asked["learner"] == "auto" == record.config.learner
    assert record.note is not None and "auto chose" in record.note
    assert {"candidates.csv", "folds.csv"} <= set(record.files)
    assert "--learner auto" in (run.path / "report.html").read_text("utf-8")
    with pytest.raises(SettingsError) as error:
        tenfold.sweep(asked.data, learner="auto", penalty=[1.0, 2.0], out=tmp_path)
    assert error.value.code == "E818"


def test_pictures_have_no_choice(few: Any) -> None:
    with pytest.raises(SettingsError) as error:
        tenfold.train(few(20, 5), learner="auto")
    assert error.value.code == "E636"
    assert record_of(problem("label"), {"learner": "auto"}).asked == {"learner": "auto"}
