"""Each check finds what it is about, and nothing where there is nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from docs.reference import check_page, checks_page

import tenfold
from tenfold import Run
from tenfold.cli.card import print_card
from tenfold.core.progress import Listener
from tenfold.core.settings import Reading, resolve
from tenfold.evaluation.checks import CHECKS, difference_p
from tenfold.learners import LEARNERS, Examples, TrainingJob
from tests.conftest import Once
from tests.support.errors import refused


def frame(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, n)).round(3)
    y = np.where(a + b + rng.normal(size=n) > 0, "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "y": y})


def trained(out: Path, table: pd.DataFrame, learner: str = "logistic", **settings: Any) -> Run:
    return tenfold.train(table, target="y", learner=learner, out=out, **settings)


def codes(run: Run) -> list[str]:
    return [check.code for check in run.checks]


def test_a_sound_training_has_nothing_to_report(once: Once) -> None:
    run = once("checked", lambda out: trained(out, frame()))
    assert run.checks == ()
    assert json.loads((run.path / "checks.json").read_text()) == {"format": 1, "checks": []}


def test_leak_identifier_useless_and_few(tmp_path: Path, capsys: Any) -> None:
    table = frame()
    table["answer"] = np.where(table.y == "yes", "1x", "0x")
    table["number"] = 100.0 + np.random.default_rng(0).permutation(len(table))
    table["same"] = np.where(np.arange(len(table)) % 2, "u", "v")
    table.loc[:9, ["y", "answer"]] = "maybe", "2x"
    reading = Reading(columns={"number": "number"})
    run = trained(tmp_path, table, "boosting", rounds=5, reading=reading)
    found = {check.code: check.text for check in run.checks}
    assert {"C01", "C02", "C03", "C04"} <= set(found)
    assert "answer" in found["C01"] and "same" in found["C02"]
    assert "'maybe'" in found["C03"] and "number" in found["C04"]
    print_card(run)
    said = capsys.readouterr().out
    assert "check              C" in said and " C04 identifier used for learning: " in said
    assert f"warning            C01 leak: do not trust the scores: {found['C01']}" in said
    page = (run.path / "report.html").read_text()
    assert "<strong>C04</strong>" in page and "<small>C01</small>" in page


def test_test_rows_that_differ_and_overfitting(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = frame(500), frame(200)
    train["y"] = rng.choice(["yes", "no"], len(train))  # nothing to learn
    test["b"] += 1
    data = tenfold.load(pd.concat([train, test], ignore_index=True), target="y")
    data = replace(data, test_rows=np.arange(500, 700))
    run = tenfold.train(data, learner="boosting", rounds=200, patience=None, out=tmp_path)
    found = {check.code: check.text for check in run.checks}
    assert "b (p " in found["C05"] and "a (p " not in found["C05"]
    assert "on training rows" in found["C06"]


def test_a_simpler_learner_that_is_better(tmp_path: Path) -> None:
    run = trained(tmp_path, frame(900), "forest", n_trees=1, min_leaf=1)
    found = {check.code: check.text for check in run.checks}
    assert found["C07"].startswith("logistic is better on the ")
    assert "which took no part in either fit" in found["C07"]


def test_rows_that_a_model_was_fitted_to_do_not_hide_a_simpler_learner(tmp_path: Path) -> None:
    """Boosting knows the validation rows of its run nearly by heart, and new rows badly."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.normal(size=700) for name in "abcdef"})
    rows["y"] = rows.sum(axis=1) + rng.normal(0, 0.5, 700)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    run = tenfold.train(
        tmp_path / "rows.csv", target="y", learner="boosting", rounds=60, out=tmp_path
    )
    found = {check.code: check.text for check in run.checks}
    assert found["C07"].startswith("linear is better on the ") and "RMSE" in found["C07"]
    assert "rounds 60, the most that were tried" in found["C08"]


def test_candidates_that_are_as_good_and_quicker(tmp_path: Path, monkeypatch: Any) -> None:
    from tenfold.experiments.simpler import simpler

    run = trained(tmp_path, frame(300))
    (run.path / "candidates.csv").write_text(
        "learner,loss,behind,low,high,seconds\n"
        "network,0.3,0,0,0,9\nlogistic,0.31,0.01,-0.01,0.02,1\nbayes,0.5,0.2,0.1,0.3,1\n"
    )
    found = list(simpler(run, None))  # type: ignore[arg-type]
    assert [check.text for check in found] == [
        "not shown to be worse, in a third of the time: logistic"
    ]


def test_the_last_epoch_was_the_best(tmp_path: Path) -> None:
    run = trained(tmp_path, frame(), "network", epochs=3, learning_rate=1e-4, patience=None)
    assert "C08" in codes(run)


def test_settings_at_the_edge_of_what_was_tried() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    noise = rng.normal(size=300).astype(np.float32)

    def edge(learner: str, y: Any, x: Any = x, **asked: Any) -> tuple[str, ...]:
        settings = resolve({"learner": learner, **asked}, table=True)
        n_labels = 2 if y.dtype.kind == "i" else None
        parts = Examples(x[:200], y[:200]), Examples(x[200:], y[200:])
        return LEARNERS[learner].fit(TrainingJob(*parts, n_labels, settings, Listener())).at_edge

    wide = rng.normal(size=(300, 150)).astype(np.float32)
    assert edge("linear", noise, wide) == ("penalty 1000, the largest that was tried",)
    assert edge("linear", x[:, 0] + noise) == edge("linear", noise, wide, penalty=1000.0) == ()
    above = (x[:, 0] + noise / 100 > 0).astype(np.int64)
    assert edge("logistic", above) == ("penalty 0.001, the smallest that was tried",)
    assert edge("neighbors", noise)[0].endswith("the most that were tried")
    assert edge("neighbors", x[:, 0]) == ()
    assert edge("boosting", x[:, 0], rounds=30) == ("rounds 30, the most that were tried",)
    assert edge("boosting", noise, rounds=300, patience=5) == ()


@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_two_samples(shift: float) -> None:
    """The p value of equal samples is anything, of others it is small."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=300), rng.normal(size=200) + shift
    days = [np.datetime64("2020-01-01", "s") + (one * 86400).astype(int) for one in (first, second)]
    texts = [np.where(one > 0.5, "high", "low").astype(object) for one in (first, second)]
    for a, b in ((first, second), days, texts):
        assert (difference_p(a, b) < 0.01) == bool(shift)
    same = np.zeros(50)
    assert difference_p(same, same) == 1.0
    assert difference_p(same.astype(str).astype(object), same.astype(str).astype(object)) == 1.0


@pytest.mark.slow
def test_p_values_are_evenly_distributed() -> None:
    """Of equal samples 5% have a p value under 5%."""
    rng = np.random.default_rng(0)
    p = [difference_p(rng.normal(size=150), rng.normal(size=100)) for _ in range(2_000)]
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.065


def test_a_damaged_file_of_checks_is_said(tmp_path: Path) -> None:
    run = trained(tmp_path, frame(100))
    (run.path / "checks.json").write_text("{}")
    with refused("E701"):
        _ = run.checks
    (run.path / "checks.json").unlink()
    assert run.checks == ()


def test_each_check_has_a_page() -> None:
    for code, kind in CHECKS.items():
        page = check_page(code)
        assert page.startswith(f"# {code}: {kind.title}") and "## What to do" in page
        assert f"check-{code}" in checks_page()
