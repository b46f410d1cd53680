"""Which columns matter, how the answers follow the strongest, and what it costs to find out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Run
from tenfold.data.load import load
from tenfold.evaluation.column_effects import (
    MAX_ANSWERS,
    N_SHOWN_ROWS,
    N_STRONGEST,
    N_VALUES,
    ColumnEffects,
    column_effects,
)
from tenfold.experiments.batch import scores_by
from tenfold.inputs.tables.columns import Table
from tenfold.model.model import Model
from tenfold.report import rewrite_report
from tenfold.report.column_charts import column_effects_of


def a_frame(n: int = 600) -> pd.DataFrame:
    """`a` decides, a kind adds something, a date and noise nothing; a comment is left out."""
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, n))
    kind = rng.choice(["plain", "special", ""], n)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    value = 3 * a + 2 * (kind == "special") + rng.normal(0, 0.5, n)
    return pd.DataFrame(
        {
            "a": a.round(3),
            "noise": noise.round(3),
            "kind": kind,
            "day": days.strftime("%Y-%m-%d"),
            "comment": [" ".join(rng.choice(["one", "two", "three", "four"], 5)) for _ in range(n)],
            "y": value.round(3),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("effects")
    a_frame().to_csv(folder / "rows.csv", index=False)
    return tenfold.train(folder / "rows.csv", target="y", learner="linear", out=folder)


def stored(run: Run) -> ColumnEffects:
    found = column_effects_of(run)
    assert found is not None
    return found


def test_columns_cost_what_they_tell_and_intervals_hold_it(run: Run) -> None:
    found = stored(run)
    assert [one.column for one in found.columns[:2]] == ["a", "kind"]
    assert found.n == found.of == run.record.data.n_test
    for one in found.columns[:2]:
        assert 0 < one.cost.low < one.cost.value < one.cost.high
    noise = next(one.cost for one in found.columns if one.column == "noise")
    assert noise.low <= 0 <= noise.high


def test_the_mean_answer_follows_a_column_as_a_linear_model_does(run: Run) -> None:
    a, kind, *others = stored(run).strongest
    assert {one.column for one in others} == {"noise", "day"}, "texts are left out"
    slope = np.diff(a.answers[0].mean) / np.diff(np.array(a.values, float))
    assert slope == pytest.approx(3, abs=0.1)
    mean = dict(zip(kind.values, kind.answers[0].mean, strict=True))
    assert mean["special"] - mean["plain"] == pytest.approx(2, abs=0.2)
    assert "(missing)" in mean and kind.kind == "category"
    assert next(one.kind for one in others if one.column == "day") == "date"


@pytest.mark.parametrize("n_labels", [2, 6])
def test_of_labels_the_positive_one_all_or_the_most_frequent_are_followed(
    tmp_path: Path, n_labels: int
) -> None:
    frame = a_frame(300)
    edges = np.quantile(frame["y"], np.linspace(0, 1, n_labels + 1)[1:-1])
    frame["y"] = [f"part {place}" for place in np.searchsorted(edges, frame["y"])]
    model = tenfold.train(frame, target="y", learner="logistic", out=tmp_path).model
    data = load(frame, target="y")
    found = column_effects(model, data.x, data.y, positive="part 0" if n_labels == 2 else None)
    assert found is not None
    followed = [one.label for one in found.strongest[0].answers]
    assert len(followed) == {2: 1, 6: 3}[n_labels] and followed[0] == "part 0"


class Counting:
    """A model that counts how many rows it is asked."""

    def __init__(self, model: Model) -> None:
        self.model, self.n = model, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def answer(self, x: Table) -> object:
        self.n += len(x)
        return self.model.answer(x)


@pytest.mark.parametrize("n_columns", [80, 201])
def test_few_rows_are_asked_whatever_the_size(tmp_path: Path, n_columns: int) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(1_000, n_columns)).round(3))
    frame.columns = pd.Index([f"c{place}" for place in range(n_columns)])
    frame = frame.assign(y=frame["c0"] + frame["c1"])
    model = tenfold.train(frame[:60], target="y", learner="linear", out=tmp_path).model
    counting, data = Counting(model), load(frame, target="y")
    found = column_effects(counting, data.x, data.y)  # type: ignore[arg-type]
    most = MAX_ANSWERS + N_STRONGEST * N_VALUES * N_SHOWN_ROWS
    if n_columns > 200:
        assert found is None and counting.n == 0
    else:
        assert found is not None and found.n < found.of == 1_000
        assert f"Measured on {found.n:,} all rows, drawn from 1,000," in found.about
        assert counting.n <= most + found.n


@pytest.mark.parametrize("is_value", [True, False])
def test_where_no_column_matters_the_report_says_so(tmp_path: Path, is_value: bool) -> None:
    frame = a_frame(60)
    if not is_value:
        frame["y"] = np.where(frame["y"] > 0, "up", "down")
    run = tenfold.train(frame, target="y", learner="baseline", out=tmp_path)
    assert not stored(run).matter
    assert "No column changes how good" in (run.path / "report.html").read_text()


def test_the_report_shows_them_and_the_scores_by_a_column(run: Run) -> None:
    page = (run.path / "report.html").read_text()
    assert "Which columns matter" in page and page.count('class="chart') >= 4
    assert "does it err more" not in page
    page = rewrite_report(run, by=scores_by(run, "kind")).read_text()
    assert "does it err more" in page and '<th scope="row">special</th>' in page
