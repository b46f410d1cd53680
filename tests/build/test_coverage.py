"""Prediction sets hold the labels as often as they promise: by theory, and through the graph."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench.coverage import LABELS, LEARNERS, draw_sets
from hypothesis import given
from hypothesis import strategies as st

import tenfold
from tenfold.core.conformal import set_thresholds
from tenfold.model.answer_forms import answer_files, csv_head, csv_row
from tenfold.model.predictions import Predictions


def simulated(n: int, draws: int, rng: np.random.Generator, *, by_label: bool = True) -> float:
    """The mean coverage of label 0, given p**2 by its rows, beside one that is given p.

    Of label 0 a share of t**0.5 is given less than t, so that the coverage of a threshold is known.
    """
    covered = 0.0
    for _ in range(draws):
        own = rng.random(n) ** 2
        p = np.stack([np.r_[own, 1 - rng.random(n)], np.r_[1 - own, rng.random(n)]], axis=1)
        codes = np.repeat([0, 1], n)
        if not by_label:  # one threshold for all labels
            given_p = np.c_[p[np.arange(2 * n), codes], np.zeros(2 * n)]
            p, codes = given_p, np.zeros(2 * n, np.int64)
        covered += 1 - np.sqrt(set_thresholds(p, codes)[0])
    return covered / draws


@pytest.mark.parametrize(("n", "draws"), [(19, 3_000), (40, 2_000), (1_000, 200)])
def test_each_label_is_held_as_often_as_promised(n: int, draws: int) -> None:
    # By theory 1 - floor(0.05 (n + 1)) / (n + 1). The standard error is 0.001 or less.
    expected = 1 - np.floor(0.05 * (n + 1) + 1e-9) / (n + 1)
    found = simulated(n, draws, np.random.default_rng(n))
    assert found == pytest.approx(expected, abs=0.006)


def test_one_threshold_for_all_labels_would_not_hold_each() -> None:
    found = simulated(1_000, 50, np.random.default_rng(0), by_label=False)
    assert found < 0.93


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 2)), max_size=120),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
def test_thresholds_leave_out_no_more_of_the_rows_than_they_may(
    rows: list[tuple[float, int]], coverage: float
) -> None:
    given_p = np.array([p for p, _ in rows], np.float64)
    codes = np.array([y for _, y in rows], np.int64)
    p = np.zeros((len(rows), 3))
    p[np.arange(len(rows)), codes] = given_p
    for code, threshold in enumerate(set_thresholds(p, codes, coverage)):
        own = given_p[codes == code]
        allowed = np.floor(np.round((len(own) + 1) * (1 - coverage), 9))
        assert (own < threshold).sum() <= max(allowed - 1, 0)
        if not allowed:
            assert threshold == 0


def test_equal_probabilities_are_all_in_the_set_whatever_the_graph_rounds() -> None:
    p = np.tile(np.array([0.3, 0.7], np.float32), (100, 1))
    thresholds = set_thresholds(p, np.ones(100, np.int64)).astype(np.float32)
    assert np.nextafter(np.float32(0.7), np.float32(0)) > thresholds[1] > 0.69999
    assert thresholds[0] == 0


def test_a_run_gives_sets_in_every_form(tmp_path: Path) -> None:
    """Also beside a column that has the name of the graph's output, and a label of few rows."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [900, 900, 60])
    size = y + rng.normal(0, 0.6, len(y))
    frame = pd.DataFrame({"in_set": size, "in_set_": rng.normal(size=len(y))})
    frame["answer"] = np.array(["a", "b", "rare"])[y]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    run = tenfold.train(tmp_path / "rows.csv", target="answer", learner="logistic", out=tmp_path)
    contract, sets = run.model.contract, run.evaluation.prediction_sets
    assert contract.gives_sets and contract.set_output == "in_set__"
    assert sets is not None and sets.coverage is not None
    rare = sets.per_class[2]
    assert rare.calibration_rows < 19 and [one.label for one in sets.lacking] == ["rare"]
    assert rare.coverage is None or rare.coverage.value == 1
    # 450 rows: the coverage differs by 0.02 from draw to draw.
    assert all(one.coverage and one.coverage.value > 0.85 for one in sets.per_class[:2])
    card, report = (run.path / name for name in ("MODEL_CARD.md", "report.html"))
    assert "because 95% coverage needs" in card.read_text("utf-8")
    assert "in the set" in report.read_text("utf-8")
    answers = run.model.predict(frame[:50])
    assert isinstance(answers, Predictions) and answers.in_set is not None
    assert answers.in_set[:, 2].all() and not answers.in_set[:, :2].all()
    (tmp_path / "few.csv").write_text(frame[:3].to_csv(index=False))
    answered = list(answer_files(run.model, [tmp_path / "few.csv", tmp_path / "none.csv"]))
    head = csv_head(run.model, answered[0])
    assert head[-1] == "prediction_set"
    assert all(len(csv_row(one, run.model)) == len(head) for one in answered)


@pytest.mark.parametrize("learner", ["logistic", "bayes"])
def test_learners_hold_each_label(learner: str) -> None:
    mean = np.mean([draw_sets(learner, seed)["coverage"] for seed in range(4)], axis=0)
    # With 1,000 calibration rows the standard error of a mean of four is at most 0.004.
    assert mean == pytest.approx([0.95] * len(LABELS), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
def test_learners_hold_each_label_in_200_draws(learner: str) -> None:
    mean = np.mean([draw_sets(learner, seed)["coverage"] for seed in range(200)], axis=0)
    assert (mean > 0.94).all() and (mean < 0.96).all()
