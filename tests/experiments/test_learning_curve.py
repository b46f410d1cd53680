"""`--learning-curve`: parts of the rows are fitted, test rows take no part, and the run says it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.build.build import fit_model
from tenfold.build.choose import problem_of_best
from tenfold.build.problem import Problem
from tenfold.core.progress import Listener
from tenfold.core.records import Candidate
from tenfold.core.settings import Reading, resolve
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split as split_data
from tenfold.experiments import learning_curve as module
from tenfold.experiments.learning_curve import check_curve, measure_learning_curve
from tenfold.experiments.train import train
from tenfold.inputs.tables.cells import from_frame
from tests.support.errors import refused


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen models: from 150 rows on the validation rows score them."""
    monkeypatch.setattr(module, "FEW", 150)


def frame(n: int = 300, *, numbers: bool = False, n_columns: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, n_columns))
    value = x.sum(axis=1) + rng.normal(size=n)
    columns: dict[str, Any] = {f"c{i}": x[:, i].round(3) for i in range(n_columns)}
    return pd.DataFrame(columns | {"y": value if numbers else np.where(value > 0, "up", "down")})


def problem_of(table: pd.DataFrame, learner: str, **reading: Any) -> Problem:
    data = table_dataset(from_frame(table), Reading(target="y", **reading))
    config = resolve({"learner": learner, "recipe": "fast"}, table=True)
    return Problem(data, split_data(data, validation_size=config.validation_size), config)


def test_a_run_says_it_and_its_report_draws_it(tmp_path: Path, capsys: Any) -> None:
    from tenfold.cli.card import print_card

    run = train(frame(), target="y", learner="logistic", learning_curve=True, out=tmp_path)
    curve = run.learning_curve
    assert curve is not None and curve.part == "validation" and curve.score == "accuracy"
    counts = run.record.data
    assert curve.n_scored == counts.n_validation
    assert curve.n_rows == counts.n_train + counts.n_validation
    sizes = [point.n for point in curve.points]
    assert sizes == sorted(sizes) and sizes[0] == 20 and sizes[-1] == counts.n_train
    assert curve.points[0].score.value < curve.points[-1].score.value
    assert "curve" in run.record.seconds and run.record.config.learning_curve
    page = (run.path / "report.html").read_text("utf-8")
    assert 'aria-label="Would more data help?"' in page and "more rows: " in page
    print_card(run)
    assert f"more data          {curve.headline}" in capsys.readouterr().out
    assert tenfold.verify(run.path)


def test_few_rows_are_scored_by_folds_and_test_rows_take_no_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FEW", 2_000)
    monkeypatch.setattr(module, "FOLDS", 2)
    problem, touched = problem_of(frame(), "bayes"), list[np.ndarray]()

    def watched(part: Problem) -> Any:
        touched.append(np.concatenate([part.split.train, part.split.validation]))
        assert not part.split.test.size
        return fit_model(part)

    monkeypatch.setattr(module, "fit_model", watched)
    told: list[tuple[int, int]] = []

    class Notes(Listener):
        def progress(self, done: int, total: int) -> None:
            told.append((done, total))

    curve = measure_learning_curve(problem, Notes())
    assert curve.part == "folds" and curve.n_scored == curve.n_rows == 225
    assert len(touched) == 30 and told == [(i, 30) for i in range(31)]
    assert not np.isin(np.concatenate(touched), problem.split.test).any()


def test_numbers_are_measured_too() -> None:
    problem = problem_of(frame(numbers=True), "linear")
    curve = measure_learning_curve(problem)
    assert curve.part == "validation" and curve.n_scored == len(problem.split.validation)
    assert curve.points[-1].n == len(problem.split.train) and curve.score == "RMSE"


def test_without_validation_rows_a_tenth_is_held_out() -> None:
    data = table_dataset(from_frame(frame()), Reading(target="y"))
    config = resolve({"learner": "bayes", "validation_size": 0.0}, table=True)
    problem = Problem(data, split_data(data), config)
    curve = measure_learning_curve(problem)
    assert curve.n_scored == round(0.1 * len(problem.split.train))


def test_groups_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    table = frame()
    table["who"] = np.arange(len(table)) // 3
    problem, parts = problem_of(table, "bayes", group="who"), list[Problem]()

    def watched(part: Problem) -> Any:
        parts.append(part)
        return fit_model(part)

    monkeypatch.setattr(module, "fit_model", watched)
    assert measure_learning_curve(problem) == measure_learning_curve(problem), "the same curve"
    groups = problem.data.groups
    assert groups is not None
    for part in parts:
        fitted = np.concatenate([part.split.train, part.split.validation])
        assert np.bincount(groups[fitted])[np.unique(groups[fitted])].min() == 3, "whole groups"


def test_a_part_with_one_label_answers_it() -> None:
    """Of 300 rows 6 are rare: most small parts have none of them."""
    table = frame()
    table["y"] = np.where(np.arange(len(table)) % 50, "often", "rare")
    curve = measure_learning_curve(problem_of(table, "logistic"))
    assert curve.points[0].score.value == pytest.approx(0.98, abs=0.02)


def test_pictures_are_measured_too() -> None:
    """Pictures of 6 x 6, with more light on the left or on the right."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    light = np.where((np.arange(6) < 3)[None, :] == (y == 0)[:, None], 25, 0)
    x = (rng.integers(0, 200, (300, 6, 6)) + light[:, None, :]).astype(np.uint8)
    data = Dataset("light", x, y, ("left", "right"), [str(row) for row in range(300)])
    config = resolve({"learner": "bayes", "shift_px": 0})
    split = split_data(data, validation_size=config.validation_size)
    curve = measure_learning_curve(Problem(data, split, config))
    assert curve.points[0].score.value < curve.points[-1].score.value


def test_what_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    table = frame(60)
    with refused("E820", "n_rows=45"):
        train(table, target="y", learner="bayes", learning_curve=True, out=tmp_path)
    table["t"] = np.arange(len(table))
    with refused("E819"):
        train(
            table, target="y", learner="bayes", learning_curve=True, out=tmp_path,
            reading=Reading(target="y", time="t"),
        )  # fmt: skip
    assert not [*tmp_path.iterdir()]
    table = frame()
    table["who"] = np.arange(len(table)) // 30
    with refused("E821", "n_groups="):
        check_curve(problem_of(table, "bayes", group="who"))


def test_the_curve_of_auto_is_that_of_its_winner() -> None:
    problem = problem_of(frame(), "bayes")
    problem = Problem(problem.data, problem.split, resolve({"learner": "auto"}, table=True))
    tried = [Candidate(name, 0.1, 0, 0, 0, 1) for name in ("vote", "forest", "bayes")]
    best = problem_of_best(problem, tried)
    assert best.settings.learner == "forest" and best.settings.n_trees == 100
    assert problem_of_best(best, ()) is best
