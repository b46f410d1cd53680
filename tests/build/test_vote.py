"""A vote of the candidates of `auto`: its weights, when it is taken, and what it answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

import tenfold
from tenfold import Predictions
from tenfold.build import choose, chosen, table_plan
from tenfold.build.build import BuiltModel, fit_problem
from tenfold.build.calibration import at_temperature
from tenfold.build.candidates import Judges, Tried
from tenfold.build.choose import fit_chosen
from tenfold.build.chosen import Chosen, better_vote
from tenfold.build.problem import Problem
from tenfold.build.table_plan import plan_of, problems_of_table
from tenfold.build.vote import find_vote, mean_of, standard_error
from tenfold.cli import main as cli
from tenfold.core.errors import ExportError
from tenfold.core.progress import Listener
from tenfold.core.settings import RECIPES, Reading, resolve
from tenfold.data.from_table import table_dataset
from tenfold.data.split import split
from tenfold.inputs.tables.cells import from_frame
from tenfold.learners import Checkpoints, boosting
from tenfold.learners.choice import row_losses
from tenfold.learners.vote import STEPS, vote_weights
from tenfold.model.model import Model
from tenfold.runs.export import write_keras

LEARNERS = ("baseline", "logistic", "linear", "forest", "boosting")


def frame(n: int) -> pd.DataFrame:
    """A line with waves, which a line and trees see better together."""
    rng = np.random.default_rng(0)
    a, b, noise = rng.uniform(-3, 3, n), rng.choice(["x", "y", "z"], n), rng.normal(0, 0.5, n)
    y = a + np.sin(3 * a) + (b == "x") + noise
    a[::9] = np.nan
    return pd.DataFrame({"a": a, "b": b, "number": y, "label": np.where(y > 0, "up", "down")})


@pytest.fixture
def any_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vote is taken, however much better the best candidate is, of a few learners that are
    made quick."""
    monkeypatch.setattr(chosen, "STANDARD_ERRORS", -np.inf)
    costs = {name: table_plan.COSTS[name] for name in LEARNERS}
    monkeypatch.setattr(table_plan, "COSTS", costs)
    monkeypatch.setattr(table_plan, "FOLDS", 2)
    monkeypatch.setattr(boosting, "BY_FOLDS", 9)
    monkeypatch.setattr(boosting, "WATCHED", 20)
    monkeypatch.setitem(RECIPES["default"]["forest"], "n_trees", 10)


def voted(target: str, n: int = 240) -> tuple[Problem, BuiltModel]:
    rows = frame(n)[["a", "b", target]]
    data = table_dataset(from_frame(rows), Reading(target=target))
    asked = resolve({"learner": "auto"}, table=True)
    problem = Problem(data, split(data, validation_size=asked.validation_size), asked, refit=True)
    return problem, fit_chosen(problem)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([1, 3]))
def test_a_vote_loses_no_more_than_its_best_member(seed: int, n: int, n_labels: int) -> None:
    rng = np.random.default_rng(seed)
    y: NDArray[Any] = rng.normal(size=40)
    answers = list(rng.normal(size=(n, 40)))
    if n_labels > 1:
        y, answers = rng.integers(3, size=40), list(rng.dirichlet(np.ones(3), (n, 40)))
    weights = vote_weights(answers, y, np.ones(40))
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert (weights == 0).sum() >= n - STEPS
    together = row_losses(mean_of(answers, weights), y).mean()
    assert together <= min(row_losses(one, y).mean() for one in answers) + 1e-6


def test_of_two_that_err_to_opposite_sides_each_counts_half() -> None:
    y = np.arange(10.0)
    assert vote_weights([y + 1, y - 1, y + 5], y, np.ones(10)).tolist() == [0.5, 0.5, 0]
    found = find_vote([y + 1, y - 1], y, np.arange(10) % 5)
    assert found is not None and found.weights == {0: 0.5, 1: 0.5}
    assert found.answers == pytest.approx(y)
    assert find_vote([y, y + 1], y, np.arange(10) % 5) is None


def test_the_rows_of_a_part_have_no_say_in_what_they_are_answered() -> None:
    rng = np.random.default_rng(0)
    y, answers, part_of = rng.normal(size=50), rng.normal(size=(4, 50)), np.arange(50) % 5
    own = part_of == 2
    found, other = (find_vote(list(answers), true, part_of) for true in (y, np.where(own, 9, y)))
    assert found is not None and other is not None
    assert (found.answers[own] == other.answers[own]).all()
    assert (found.answers[~own] != other.answers[~own]).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_nor_in_which_candidate_calibrates_by_them(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y, part_of = rng.normal(size=50), np.arange(50) % 5
    answers = rng.normal(size=(n, 50)).astype(np.float32)
    own = part_of == 2

    def crossed(true: NDArray[np.float64]) -> NDArray[np.float32]:
        judges = Judges("rows", true, part_of, True, None)
        tried = [Tried("linear", one, judges.losses(one), 1.0) for one in answers]
        blind = Tried("forest", answers[0], np.where(own, np.inf, 0.0), 1.0)  # a fold had one label
        return Chosen([*tried, blind], judges, None).answers

    found = crossed(y)
    squares = ((answers[:, ~own].astype(np.float64) - y[~own]) ** 2).sum(axis=1)
    np.testing.assert_array_equal(found[own], answers[squares.argmin(), own])
    np.testing.assert_array_equal(crossed(np.where(own, 9, y))[own], found[own])


def test_rows_of_a_group_count_as_one_in_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=100)
    single = standard_error(values)
    assert single == pytest.approx(values.std(ddof=1) / 10)
    repeated = np.repeat(values, 4)
    assert standard_error(repeated, np.repeat(np.arange(100), 4)) == pytest.approx(single)
    assert standard_error(repeated) == pytest.approx(single / 2, rel=0.01)
    assert standard_error(values, np.zeros(100, np.int64)) == np.inf


def test_class_weights_are_undone_before_answers_are_judged() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.1).astype(np.int64)
    weighted = np.full((400, 2), 0.5, np.float32)  # fitted as if labels were as frequent
    given_weights = Judges("rows", y, np.arange(400) % 5, False, None, factors=(0.9, 0.1))
    as_they_are = Judges("rows", y, np.arange(400) % 5, False, None)
    assert given_weights.losses(weighted).mean() < 0.4 < as_they_are.losses(weighted).mean()


def test_a_vote_is_taken_where_it_leads_by_more_than_a_standard_error() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    judges = Judges("rows", y, np.arange(200) % 5, False, None)

    def tried(name: str, error: NDArray[np.float64]) -> Tried:
        answers = (y + error).astype(np.float32)
        return Tried(name, answers, judges.losses(answers), 1.0)

    one, other = (rng.normal(size=200) for _ in range(2))
    vote = better_vote([tried("linear", one), tried("forest", other)], judges)
    assert vote is not None and list(vote.weights) == [0, 1]
    worse = tried("forest", one + 0.02 * other)
    assert better_vote([tried("linear", one), worse], judges) is None
    assert better_vote([tried("linear", one), tried("baseline", other)], judges) is None


@pytest.mark.usefixtures("any_vote")
@pytest.mark.parametrize("target", ["label", "number"])
@pytest.mark.parametrize("few", [1_000, 10])
def test_one_graph_answers_the_weighted_mean_of_its_members(
    target: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_plan, "FEW", few)
    asked, built = voted(target, 240 if few == 1_000 else 900)
    model = Model(built.content)
    weights = model.contract.vote
    assert model.contract.learner == "vote" and sum(weights.values()) == pytest.approx(1)
    assert {"linear", "logistic"} & set(weights) and {"forest", "boosting"} & set(weights)
    first, *others = built.candidates
    assert first.learner == "vote" and first.weight is None
    assert {one.learner: one.weight for one in others if one.weight} == weights
    assert built.note is not None and built.note.startswith("auto chose a vote of ")
    assert "The loss of the vote uses weights that were chosen on the other" in built.note
    rows, answers = asked.data.x[asked.split.test], []
    for one in problems_of_table(asked, plan_of(asked)):
        if one.settings.learner in weights:
            fitted = fit_problem(one, Listener())
            answers.append(fitted.answers(one.prepared.encoding.encode(rows)))
    expected, found = mean_of(answers, weights.values()), model.answer(rows).outputs[0]
    if target == "label":
        expected = at_temperature(expected, model.contract.temperature).astype(np.float32)
    else:
        y = asked.data.y[asked.split.train]
        expected = expected * y.std() + y.mean()
    assert np.abs(expected - found).max() <= 1e-5
    assert fit_chosen(asked).content == built.content


@pytest.mark.usefixtures("any_vote")
@pytest.mark.parametrize("target", ["label", "number"])
def test_contributions_to_a_vote_add_up(target: str) -> None:
    asked, built = voted(target)
    model, rows = Model(built.content), frame(240)[["a", "b"]]
    explained = model.explain(rows[:4], rows[100:])
    together = explained.base + explained.contributions.sum(axis=1)
    answered = model.predict(rows[:4]).outputs[0].reshape(4, -1)
    if target == "label":  # contributions are to probabilities before calibration
        together = at_temperature(together, model.contract.temperature)
    assert np.abs(together - answered).max() <= 1e-6 * max(1, np.abs(answered).max())
    # A line and trees are exact in numbers; probabilities of others than forests are sampled.
    assert (explained.errors is None) == (target == "number")
    assert not explained.is_log_odds
    if target == "label":
        assert isinstance(explained.answers, Predictions)
        assert explained[0].of == f"probability of {explained.answers[0].label}"


@pytest.mark.usefixtures("any_vote")
def test_a_run_of_a_vote_does_all_that_others_do(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    frame(240).drop(columns="number").to_csv(path, index=False)
    run = tenfold.train(path, target="label", folds=2, robustness=True, out=tmp_path)
    record = run.record
    assert record.learner == "vote" and record.asked["learner"] == "auto" == record.config.learner
    page = (run.path / "report.html").read_text("utf-8")
    assert "a vote of" in page and "--learner auto" in page
    ask = CliRunner().invoke
    for words in (
        ["predict", str(run.path), str(run.path / "examples" / "inputs.csv"), "--explain"],
        ["evaluate", str(run.path)],
        ["verify", str(run.path)],
        ["export", str(run.path), "--to", "onnx", "--out", str(tmp_path / "new.onnx")],
    ):
        done = ask(cli.app, words)
        assert done.exit_code == 0, (words, done.output)
    with pytest.raises(ExportError) as error:
        write_keras(run.path, tmp_path / "new.keras")
    assert error.value.code == "E705"


@pytest.mark.usefixtures("any_vote")
def test_a_vote_that_was_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, whole = voted("number")
    fit, n_fits = fit_problem, [0]

    def interrupted(*given: Any) -> Any:
        n_fits[0] += 1
        if n_fits[0] == 2:  # the second member
            raise KeyboardInterrupt
        return fit(*given)

    monkeypatch.setattr(choose, "fit_problem", interrupted)
    kept = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(KeyboardInterrupt):
        fit_chosen(asked, None, kept)
    assert fit_chosen(asked, None, kept).content == whole.content
