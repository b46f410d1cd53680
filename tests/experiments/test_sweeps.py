"""Sweeps and comparisons: one table however they are made, and nothing that stops them."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import tenfold
from tenfold import Dataset, Predictions, Run, Sweep, report
from tenfold.core.errors import FileError, RunError, SettingsError
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch, TrialResult
from tenfold.core.settings import Reading, Settings, resolve
from tenfold.data.from_table import table_dataset
from tenfold.evaluation import MEASURES, Evaluation
from tenfold.experiments.run_data import split_of
from tenfold.experiments.sweeps import SweepInterrupted
from tenfold.experiments.sweeps.executors import LocalProcesses
from tenfold.experiments.sweeps.plan import Plan, check_plan
from tenfold.experiments.sweeps.results import rank_points
from tenfold.experiments.sweeps.search import _open_study
from tenfold.inputs.tables.cells import from_frame
from tenfold.learners import multiplications
from tenfold.runs.record import Record
from tests.conftest import Few
from tests.support.errors import refused
from tests.support.sweeps import read_table

FORESTS: dict[str, Any] = {"learner": "forest", "n_trees": [2, 4, 6]}


class Notes(Listener):
    """Writes down what it sees, and may act on it."""

    def __init__(self, act: Any = None, when: str = "") -> None:
        self.act, self.when = act, when
        self.begun: list[str] = []
        self.ends: list[str] = []
        self.warnings: list[str] = []
        self.stages: list[str] = []
        self.epochs: list[int] = []

    def trial_started(self, name: str) -> None:
        self.begun.append(name)
        if self.when == "started":
            self.act(name)

    def trial_epoch(self, name: str, epoch: Epoch, n_epochs: int) -> None:
        assert epoch.val_accuracy is not None and 0 <= epoch.val_accuracy <= 1 and n_epochs == 4
        self.epochs.append(epoch.epoch)

    def trial_ended(self, name: str, result: TrialResult) -> None:
        self.ends.append(result.state)
        if self.when == "ended":
            self.act(result)

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def table(done: Sweep) -> list[dict[str, str]]:
    return read_table(done.path / f"{done.record.kind}.csv")


@pytest.fixture(scope="module")
def data(few: Few) -> Dataset:
    return few(600, 200)


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalProcesses]:
    """Two workers for all the sweeps of this file that do not ask for workers of their own."""
    with LocalProcesses(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def single() -> Iterator[LocalProcesses]:
    """One worker."""
    with LocalProcesses(1) as executor:
        yield executor


@pytest.fixture(scope="module")
def swept(
    data: Dataset, pool: LocalProcesses, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sweep, Notes]:
    """Four networks, two seeds each, in two processes. Tests must leave it as it is."""
    notes, out = Notes(), tmp_path_factory.mktemp("swept")
    done = tenfold.sweep(
        data, hidden=[16, 8], layers=[1, 2], seeds=2, epochs=4, workers=pool, out=out,
        listener=notes,
    )  # fmt: skip
    return done, notes


@pytest.fixture(scope="module")
def grown(data: Dataset, pool: LocalProcesses, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Three forests of two seeds each, made by two processes. Tests must leave it as it is."""
    out = tmp_path_factory.mktemp("grown")
    return tenfold.sweep(data, **FORESTS, seeds=2, workers=pool, out=out)


@pytest.fixture
def copied(grown: Sweep, elsewhere: None) -> Path:
    """The folder of a copy of that sweep, in the folder of runs that a test works in."""
    shutil.copytree(grown.path, copy := Path("runs") / grown.path.name)
    return copy


def test_the_table_has_every_trial_sorted_by_settings_and_seed(
    swept: tuple[Sweep, Notes],
) -> None:
    done, notes = swept
    text = (done.path / "sweep.csv").read_text().splitlines()
    assert text[0] == "hidden,layers,seed,val_accuracy,parameters,state,seconds,run"
    lines = table(done)
    assert [(line["hidden"], line["layers"], line["seed"]) for line in lines] == [
        (h, n, s) for h in ("8", "16") for n in "12" for s in "01"
    ]
    assert [line["parameters"] for line in lines[::2]] == ["6370", "6442", "12730", "13002"]
    assert notes.ends == ["finished"] * 8 and sorted(notes.epochs) == sorted([1, 2, 3, 4] * 8)
    assert notes.stages == ["test", "report"] and notes.warnings == []


def test_a_trial_is_a_run_measured_on_validation_rows_alone(
    swept: tuple[Sweep, Notes], data: Dataset
) -> None:
    row = swept[0].trials[3]
    run = tenfold.open(row.run)
    assert sorted(path.name for path in row.run.iterdir()) == [
        "evaluation.json", "history.csv", "model.onnx", "run.json"
    ]  # fmt: skip
    assert run.record.test_opened == 0 and run.record.threads == 1
    assert run.record.config.seed == 1 and run.record.config.split_seed == 0
    split = split_of(data, run.record.config)
    answers = run.model.answer(data.x[split.validation])
    assert isinstance(answers, Predictions)
    right = np.mean(answers.codes == data.y[split.validation])
    evaluation = run.evaluation
    assert isinstance(evaluation, Evaluation) and evaluation.part == "validation"
    assert row.score == evaluation.accuracy.value == pytest.approx(right)
    assert len(run.history) == 4
    tenfold.verify(row.run)
    # A sealed run is opened on the rows that its sweep kept back, whatever its own seed.
    assert tenfold.evaluate(run, data).n == 200


def test_the_best_is_chosen_by_validation_rows_and_measured_once(
    swept: tuple[Sweep, Notes], data: Dataset
) -> None:
    done = swept[0]
    means = [result.mean for result in done.points]
    assert means == sorted(means, reverse=True) and len(means) == 4
    scores = [row.score or 0 for row in done.points[0].trials]
    assert means[0] == pytest.approx(np.mean(scores))
    assert done.points[0].deviation == pytest.approx(np.std(scores, ddof=1))
    chosen = max(done.points[0].trials, key=lambda row: row.score or 0)
    assert done.record.chosen == chosen.run.name
    assert (done.best.path / "model.onnx").read_bytes() == (chosen.run / "model.onnx").read_bytes()
    assert done.best.evaluation.part == "test" and done.best.evaluation.n == 200
    assert done.best.record.test_opened == done.record.test_opened == 1
    tenfold.verify(done.best.path)
    assert (done.best.path / "report.html").is_file()


def test_the_findings_count_and_compare(swept: tuple[Sweep, Notes]) -> None:
    first, *lines = swept[0].findings
    assert first.startswith("Best of 4 on the validation set: hidden 16, layers ")
    neurons = next(line for line in lines if line.startswith("Neurons, with 1 hidden layer:"))
    assert ": 16 neurons instead of 8 raise validation accuracy from " in neurons
    assert "2.0 times the multiplications (6,352 to 12,704 for each row)" in neurons
    assert "s) and " in neurons and "times the training time" in neurons
    layers = next(
        line for line in lines if line.startswith("Layers of 16 neurons: 2 instead of 1 ")
    )
    assert "(12,704 to 12,960 for each row)" in layers
    why = next(line for line in lines if line.startswith("Why"))
    assert "784 inputs for each of 16 neurons, 12,544 times" in why
    assert "Each further layer needs only 16 x 16 = 256 multiplications" in why
    assert multiplications(784, (16, 16), 10) == 12_960


def test_one_seed_never_says_better_alone(
    data: Dataset, pool: LocalProcesses, tmp_path: Path
) -> None:
    """8 of 6,000 rows were once called better."""
    done = tenfold.sweep(data, hidden=[2, 16, 24], layers=[1], epochs=4, workers=pool, out=tmp_path)
    runs = {result.point["hidden"]: tenfold.open(result.trials[0].run) for result in done.points}
    rows = split_of(data, runs[16].record.config).validation
    right = {
        size: run.model.answer(data.x[rows]).row_scores(data.y[rows]) == 1
        for size, run in runs.items()
    }
    line = next(line for line in done.findings if line.startswith("Neurons"))
    for few, text in ((2, line.split(", for ")[0]), (16, line.split("The last step")[1])):
        won, lost = (right[24] & ~right[few]).sum(), (~right[24] & right[few]).sum()
        changed = bool(won != lost)
        p = float(binomtest(int(won), int(won + lost)).pvalue) if changed else 1.0
        assert ("within chance on these" in text) is (changed and p > 0.05), (won, lost, text)
        assert ("one seed does not say" in text) is (p <= 0.05), (won, lost, text)


def test_the_report_draws_scores_and_times(swept: tuple[Sweep, Notes]) -> None:
    page = (swept[0].path / "report.html").read_text()
    assert (
        page.count('<figure class="chart') == 3
        and "hidden layers" in page
        and "neurons in a layer" in page
    )
    for line in swept[0].findings:
        assert line in page
    assert 'href="best/report.html"' in page and "://" not in page.replace("http://www.w3.org", "")


def test_the_same_call_finds_everything_made(swept: tuple[Sweep, Notes], data: Dataset) -> None:
    done, notes = swept[0], Notes()
    before = (done.path / "sweep.csv").read_bytes()
    again = tenfold.sweep(
        data, hidden=[8, 16], layers=[1, 2], seeds=2, epochs=4, out=done.path.parent, listener=notes
    )
    assert again.path == done.path and notes.begun == []
    assert (done.path / "sweep.csv").read_bytes() == before
    assert again.record.test_opened == 1 and again.findings == done.findings
    assert repr(again) == f"Sweep({str(done.path)!r}, 8 trials)"
    assert "hidden 16" in again._repr_html_()


def test_the_same_work_in_other_words_goes_on_in_its_folder(
    data: Dataset, single: LocalProcesses, copied: Path
) -> None:
    before = read_table(copied / "sweep.csv")
    words: dict[str, Any] = {"recipe": "default", "epochs": None, "test_size": None, "trials": 9}
    for more in ({}, words):
        again = tenfold.sweep(data, **FORESTS, **more, seeds=2, workers=single)
        assert again.path == copied and table(again) == before
    listed = tenfold.sweep(data, learner="forest", n_trees=[3], min_leaf=[2], workers=single)
    plain = tenfold.sweep(data, learner="forest", n_trees=3, min_leaf=2, workers=single)
    assert plain.path == listed.path and plain.trials[0].run == listed.trials[0].run
    assert (plain.path / "sweep.csv").read_text().startswith("n_trees,min_leaf,seed,")
    alone = tenfold.sweep(data, learner="forest", n_trees=1, workers=single)
    assert alone.trials[0].run.name == "seed-0" and alone.trials[0].state == "finished"
    assert alone.findings[0].startswith("Best of 1 on the validation set: validation accuracy ")


def test_another_sweep_takes_the_next_number_and_counts_on(
    data: Dataset, single: LocalProcesses, copied: Path
) -> None:
    first = tenfold.sweep(data, **FORESTS, seeds=2, workers=single)
    other = tenfold.sweep(data, learner="forest", n_trees=[3], workers=single)
    assert first.path == copied == Path("runs/mnist-sweep-1") and other.path == Path(
        "runs/mnist-sweep-2"
    )
    assert (first.record.test_opened, other.record.test_opened) == (1, 2)
    run = tenfold.train(data, learner="bayes")
    assert run.record.test_opened == 3


def test_one_process_or_two_or_an_interruption_the_table_is_the_same(
    data: Dataset, pool: LocalProcesses, single: LocalProcesses, grown: Sweep
) -> None:
    assert grown.record.n_workers == 2 and grown.record.threads == 1
    one = tenfold.sweep(data, **FORESTS, seeds=2, workers=single, out="one")

    def press_ctrl_c(row: TrialResult) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    notes = Notes(press_ctrl_c, "ended")
    with pytest.raises(SweepInterrupted) as raised:
        tenfold.sweep(data, **FORESTS, seeds=2, workers=pool, out="three", listener=notes)
    assert 1 <= raised.value.n_ended < raised.value.n_trials == 6
    path = raised.value.path
    assert json.loads((path / "sweep.json").read_text())["state"] == "interrupted"
    notes = Notes()
    done = tenfold.sweep(data, **FORESTS, seeds=2, workers=single, out="three", listener=notes)
    # One more may have ended while the interruption was on its way.
    assert done.path == path and 3 <= len(notes.begun) <= 6 - raised.value.n_ended
    assert table(one) == table(grown) == table(done)


@pytest.mark.slow
def test_networks_too_are_the_same_in_one_process(
    swept: tuple[Sweep, Notes], data: Dataset
) -> None:
    alone = tenfold.sweep(data, hidden=[16, 8], layers=[1, 2], seeds=2, epochs=4, workers=1)
    assert table(alone) == table(swept[0])
    for one, other in zip(alone.trials, swept[0].trials, strict=True):
        assert (one.run / "model.onnx").read_bytes() == (other.run / "model.onnx").read_bytes()


def children() -> list[int]:
    """Processes that this one started and that live, but for loky's own that cleans up."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(text) for text in (task / "children").read_text().split()]
    return [
        number
        for number in found
        if b"resource_tracker" not in Path(f"/proc/{number}/cmdline").read_bytes()
    ]


@pytest.mark.slow
def test_killed_workers_cost_their_trial_attempts_and_nothing_else(data: Dataset) -> None:
    """A trial whose worker was killed once is made again; one that kills every worker is given
    up, and tried again when asked."""
    killed: list[str] = []
    others = children()  # of tests before: a browser, say

    def kill(name: str) -> None:
        if name == "n_trees-4-seed-0" or (name == "n_trees-2-seed-0" and not killed):
            found = set(children()) - set(others)
            assert len(found) == 1
            killed.append(name)
            os.kill(found.pop(), signal.SIGKILL)

    notes = Notes(kill, "started")
    done = tenfold.sweep(data, **FORESTS, workers=1, listener=notes)
    assert set(children()) <= set(others)
    assert [row.state for row in done.trials] == ["finished", "failed", "finished"]
    assert done.trials[1].why == "the worker process died (SIGKILL), 3 times"
    assert killed == ["n_trees-2-seed-0", *["n_trees-4-seed-0"] * 3]
    assert notes.begun.count("n_trees-2-seed-0") == 2
    died = "the worker process died (SIGKILL); the trial starts again"
    assert notes.warnings == [
        f"n_trees-2-seed-0: {died}", *[f"n_trees-4-seed-0: {died}"] * 2,
        "n_trees-4-seed-0 failed: " + done.trials[1].why,
    ]  # fmt: skip
    again = tenfold.sweep(data, **FORESTS, workers=1)
    assert [row.state for row in again.trials] == ["finished"] * 3
    assert set(children()) <= set(others)


def test_a_best_run_that_cannot_be_written_is_failed_and_made_again(
    data: Dataset, pool: LocalProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: Run) -> None:
        raise FileError("E902", "Cannot write", where=run.path)

    tried: dict[str, Any] = {"learner": "forest", "n_trees": [1, 2], "workers": pool}
    monkeypatch.setattr(report, "write_report", full)
    with refused("E902"):
        tenfold.sweep(data, **tried, out=tmp_path)
    (folder,) = tmp_path.glob("*-sweep-1")
    for name in ("sweep.json", "best/run.json"):
        assert json.loads((folder / name).read_text())["state"] == "failed"
    monkeypatch.undo()
    again = tenfold.sweep(data, **tried, out=tmp_path)
    assert (again.path, again.best.record.state) == (folder, "finished")


def test_a_failing_trial_is_reported_and_stops_nothing(pool: LocalProcesses) -> None:
    rng = np.random.default_rng(0)
    tiny = Dataset.from_arrays(rng.integers(0, 256, (80, 6, 6), np.uint8), np.arange(80) % 2)
    notes = Notes()
    done = tenfold.compare(tiny, learners=["cnn", "bayes", "forest"], listener=notes, workers=pool)
    assert [entry.learner for entry in done.leaderboard] != [] and len(done.leaderboard) == 2
    failed = next(row for row in done.trials if row.state == "failed")
    assert failed.why and failed.why.startswith("The learner cannot use pictures of this size")
    assert notes.warnings == [f"cnn-seed-0 failed: {failed.why}"]
    line = next(line for line in table(done) if line["learner"] == "cnn")
    assert line == {
        "learner": "cnn", "seed": "0", "val_accuracy": "", "parameters": "", "state": "failed"
    }  # fmt: skip
    assert failed.why in (done.path / "report.html").read_text().replace("&#39;", "'")


def test_nothing_finished_is_an_error(data: Dataset, pool: LocalProcesses) -> None:
    with pytest.raises(RunError) as raised:
        tenfold.sweep(data, learner="forest", n_trees=[2], minutes=0, workers=pool)
    assert str(raised.value) == (
        "No setting has finished all of its trials: n_ended=0, why='the time limit was reached' "
        "(runs/mnist-sweep-1)."
    )
    done = tenfold.sweep(
        data, learner="forest", n_trees=[2], minutes=5, workers=pool
    )  # more time: the same folder goes on
    assert done.path == Path("runs/mnist-sweep-1") and len(done.trials) == 1


def test_a_comparison_ranks_on_validation_rows_and_judges_on_test_rows(
    data: Dataset, pool: LocalProcesses
) -> None:
    done = tenfold.compare(data, learners=["bayes", "forest", "logistic"], seeds=2, workers=pool)
    assert done.path == Path("runs/mnist-comparison-1")
    means = [entry.val_mean for entry in done.leaderboard]
    assert means == sorted(means, reverse=True)
    assert done.record.test_opened == 6  # three learners of two seeds
    split = split_of(data, Settings())
    truth = np.array(data.labels)[data.y[split.test]]
    right = {}
    for entry in done.leaderboard:
        found = [
            np.array(tenfold.open(run).model.predict(data.x[split.test]).labels) == truth  # type: ignore[union-attr]
            for run in entry.runs
        ]
        right[entry.learner] = found
        assert entry.test.value == pytest.approx(np.mean(found))
        assert entry.predict_seconds > 0 and entry.seconds > 0
        assert entry.n_bytes == pytest.approx(
            np.mean([(Path(run) / "model.onnx").stat().st_size for run in entry.runs]), abs=1
        )
    best, *others = done.leaderboard
    assert best.verdict == "best" and best.change is None and best.p_value is None
    # bayes and logistic do not depend on the seed: McNemar's test by scipy says the same
    a, b = right["logistic"][0], right["bayes"][0]
    p = binomtest(int((a & ~b).sum()), int((a ^ b).sum())).pvalue
    known = {entry.learner: entry for entry in others}
    if best.learner == "logistic":
        assert known["bayes"].verdict == ("worse" if p < 0.02 else known["bayes"].verdict)
    assert done.findings[0].startswith(f"Best on the validation set: {best.learner}, with ")
    text = (done.path / "comparison.csv").read_text()
    assert text.startswith("learner,seed,val_accuracy,parameters,state,seconds,run\nbayes,0,")
    again = tenfold.compare(data, learners=["bayes", "forest", "logistic"], seeds=2, workers=pool)
    assert again.leaderboard == done.leaderboard and again.record.test_opened == 6
    file = done.path / "comparison.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"places": record["places"][:2]}))  # one had failed
    more = tenfold.compare(data, learners=["bayes", "forest", "logistic"], seeds=2, workers=pool)
    assert [one.learner for one in more.leaderboard] == [one.learner for one in done.leaderboard]
    assert more.record.test_opened == 6 + 6


def houses(n: int = 240) -> Dataset:
    rng = np.random.default_rng(1)
    size, town = rng.normal(100, 30, n), rng.choice(["Ulm", "Bonn", "Köln"], n)
    built = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, n), "D")
    price = 3 * size + np.where(town == "Köln", 80, 0) + rng.normal(0, 10, n)
    size[::17] = np.nan
    frame = pd.DataFrame({"size": size, "town": town, "built": built, "price": price})
    return table_dataset(from_frame(frame), Reading(target="price"))


def test_a_table_with_numbers_to_predict_is_ranked_by_its_errors(pool: LocalProcesses) -> None:
    done = tenfold.compare(houses(), learners=["linear", "forest", "baseline"], workers=pool)
    assert [entry.learner for entry in done.leaderboard][-1] == "baseline"
    assert done.leaderboard[0].val_mean < done.leaderboard[-1].val_mean
    assert done.leaderboard[-1].verdict == "worse" and (done.leaderboard[-1].p_value or 1) < 0.01
    head = (done.path / "comparison.csv").read_text().splitlines()[0]
    assert head == "learner,seed,val_rmse,parameters,state,seconds,run"
    assert done.best.record.config.learner == done.leaderboard[0].learner


def test_rows_in_groups_are_judged_by_groups(pool: LocalProcesses) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=60), "who": np.arange(60).astype(str)})
    frame["price"] = 3 * frame["size"] + rng.normal(size=60)
    frame = frame.loc[np.repeat(np.arange(60), 5)].reset_index(drop=True)
    data = table_dataset(from_frame(frame), Reading(target="price", group="who"))
    best, _ = tenfold.compare(data, learners=["linear", "baseline"], workers=pool).leaderboard
    assert data.groups is not None
    settings = resolve({"learner": "linear"}, table=True)
    test = split_of(data, settings).test
    model = Run.open(best.runs[0]).model
    scores, true = model.answer(data.x[test]).row_scores(data.y[test]), data.y[test]
    of_rows = MEASURES["regression"].of_rows
    assert best.test == of_rows(scores, true, data.groups[test])
    assert best.test.high > of_rows(scores, true).high


@pytest.mark.parametrize("finds", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_search_goes_on_to_the_same_points(
    data: Dataset, finds: int, pool: LocalProcesses, single: LocalProcesses
) -> None:
    pytest.importorskip("optuna")
    asked: dict[str, Any] = {
        "learner": "forest", "n_trees": [1, 9], "min_leaf": [1, 9], "search": True, "trials": 10,
    }  # fmt: skip
    whole = tenfold.sweep(data, **asked, workers=pool, out="whole")
    assert len(whole.trials) == 10 and whole.record.asked["search"]
    assert len({tuple(row.point.values()) for row in whole.trials}) > 4
    assert all(1 <= value <= 9 for row in whole.trials for value in row.point.values())

    def stop(row: TrialResult) -> None:
        if len(list(Path("parts/mnist-sweep-1/trials").glob("*/model.onnx"))) >= 3 * finds:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SweepInterrupted):
        tenfold.sweep(data, **asked, workers=single, out="parts", listener=Notes(stop, "ended"))
    parts = tenfold.sweep(data, **asked, workers=single, out="parts")
    assert table(parts) == table(whole)


def test_a_point_that_a_search_asks_for_twice_is_ranked_like_the_others() -> None:
    def result(n_trees: int, score: float | None, name: str) -> TrialResult:
        state = "failed" if score is None else "finished"
        return TrialResult({"n_trees": n_trees}, 0, score, 5, state, 1.0, None, 9, Path(name))

    results = [
        result(9, None, "a"),
        result(9, 0.99, "b"),
        result(9, 0.99, "c"),
        result(2, 0.5, "d"),
    ]
    best, other = rank_points(results, 1, least_is_best=False, where=Path())
    assert best.point == {"n_trees": 9} and len(best.trials) == 1 and best.mean == 0.99
    assert other.point == {"n_trees": 2}


def test_a_worker_that_dies_while_it_waits_is_replaced(data: Dataset, pool: LocalProcesses) -> None:
    killed: list[int] = []

    def kill_the_first_that_is_done(row: TrialResult) -> None:
        idle = [worker for worker in pool._workers if worker.job is None]
        if idle and not killed:
            killed.append(idle[0].child.process.pid)
            os.kill(killed[0], signal.SIGKILL)

    notes = Notes(kill_the_first_that_is_done, "ended")
    done = tenfold.sweep(data, learner="forest", n_trees=[1, 60], workers=pool, listener=notes)
    assert len(killed) == 1
    again = tenfold.sweep(data, learner="forest", n_trees=[2, 3], workers=pool, listener=Notes())
    assert [row.state for row in (*done.trials, *again.trials)] == ["finished"] * 4


def test_a_worker_that_died_between_two_sweeps_is_replaced(
    data: Dataset, pool: LocalProcesses
) -> None:
    """Its end is heard while the workers are looked at, before any has a trial."""
    asked: dict[str, Any] = {"learner": "forest", "workers": pool}
    tenfold.sweep(data, n_trees=[1, 2], **asked)
    dead = pool._workers[0].child
    dead.process.kill()
    dead.process.wait()
    done = tenfold.sweep(data, n_trees=[3, 4], listener=Notes(), **asked)
    assert [row.state for row in done.trials] == ["finished"] * 2
    assert dead not in [worker.child for worker in pool._workers]


def test_a_folder_with_brackets_in_its_name_is_found_again(
    data: Dataset, single: LocalProcesses
) -> None:
    named = Dataset("rows[1]", data.x, data.y, data.labels, data.keys, data.test_rows)
    asked: dict[str, Any] = {"learner": "forest", "n_trees": [2], "workers": single}
    first = tenfold.sweep(named, **asked)
    assert tenfold.sweep(named, **asked).path == first.path


def test_points_are_drawn_once_and_the_whole_grid_is_sorted() -> None:
    axes = {"hidden": [64, 32, 32], "layers": [1, 2, 3]}
    whole = Plan("sweep", {}, axes)
    assert [tuple(point.values()) for point in whole.points()] == [
        (h, n) for h in (32, 64) for n in (1, 2, 3)
    ]
    some = Plan("sweep", {}, axes, n_points=4)
    drawn = [tuple(point.values()) for point in some.points()]
    assert len(set(drawn)) == 4 and drawn == [tuple(p.values()) for p in some.points()]
    others = [Plan("sweep", {}, axes, n_points=4, seed=seed).points() for seed in range(5)]
    assert any(other != some.points() for other in others)
    assert Plan("sweep", {}, axes, n_points=99).points() == whole.points()
    config = whole.settings({"hidden": 32, "layers": 3}, 1)
    assert config.hidden == (32, 32, 32) and (config.seed, config.split_seed) == (1, 0)


def test_the_key_of_a_plan_is_what_its_trials_are() -> None:
    axes: dict[str, list[int]] = {"hidden": [8], "layers": [1]}
    plan = Plan("sweep", {"epochs": 3}, axes)
    others = [
        replace(plan, fixed={"epochs": 4}),
        replace(plan, axes={"hidden": [9], "layers": [1]}),
        replace(plan, seeds=2),
        replace(plan, seed=1),
        replace(plan, kind="comparison"),
        replace(plan, is_search=True, n_points=1),
    ]
    keys = {plan.key("rows"), plan.key("others"), *(other.key("rows") for other in others)}
    assert len(keys) == 2 + len(others)
    same = [
        replace(plan, axes={"layers": (1,), "hidden": range(8, 9)}),
        replace(
            plan, fixed={"recipe": "default", "learner": "network"}, axes={**axes, "epochs": [3]}
        ),
        replace(plan, n_points=5, minutes=3.0),
    ]
    assert {other.key("rows") for other in same} == {plan.key("rows")}


def test_a_plan_is_found_again_from_its_record() -> None:
    plan = Plan("sweep", {"epochs": 3}, {"hidden": (8, 16), "layers": [1, 2]}, seeds=2, n_points=3)
    record = json.loads(json.dumps(plan.as_plain()))
    again = Plan("sweep", {}, {}).from_plain(record, plan.n_trials)
    assert again.trials() == plan.trials() and again.key("rows") == plan.key("rows")
    assert [trial.name for trial in again.trials()][0].endswith("-seed-0")


def test_a_quick_comparison_of_few_pictures_tries_a_small_cnn() -> None:
    axes = {"learner": ["cnn", "forest"]}

    def width(recipe: str, n_rows: int, **fixed: Any) -> int:
        plan = Plan("comparison", {"recipe": recipe, **fixed}, axes, n_rows=n_rows)
        return plan.settings({"learner": "cnn"}, 0).width

    assert (width("fast", 300), width("fast", 60_000), width("default", 300)) == (16, 32, 32)
    assert width("fast", 300, width=8) == 8


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (
            Plan("sweep", {}, {"hidden": [8]}, seeds=3, n_points=0),
            ("There are too few trials for the seeds: seeds=3. Expected at least one for "
            "each of the seeds."),
        ),
        (Plan("sweep", {}, {"hidden": []}), ("A setting has no values to try: "
        "setting='hidden'. Expected at least one value.")),
        (
            Plan("sweep", {}, {"min_leaf": [None, 1]}),
            "A setting has values of several kinds: setting='min_leaf', values=[None, "
            "1]. Expected numbers or "
            "names, to sort them by.",
        ),
        (
            Plan("sweep", {}, {"learner": ["forest", "bayes"]}),
            "A sweep takes a single learner: learner=['forest', 'bayes']. Expected one learner. "
            "To compare learners, use tenfold compare.",
        ),
        (
            Plan("comparison", {"recipe": "tutorial"}, {"learner": ["network"]}),
            "The trials cannot be ranked: validation_size=[0.0]. Expected the same "
            "validation_size above 0 for all trials.",
        ),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_ranked_are_refused(plan: Plan, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_plan(plan)
    assert str(raised.value) == says


def test_bad_settings_are_said_before_anything_is_trained(data: Dataset) -> None:
    with pytest.raises(SettingsError, match="hidden must be 1 or more, not 0"):
        tenfold.sweep(data, hidden=[0, 8])
    with pytest.raises(SettingsError, match="seeds must be 1 or more, not 0"):
        tenfold.sweep(data, seeds=0)
    with pytest.raises(SettingsError, match="trials must be a whole number, not 'many'"):
        tenfold.sweep(data, trials="many")
    with pytest.raises(SettingsError, match="there is no setting 'search'"):
        tenfold.compare(data, search=True)
    with pytest.raises(SettingsError) as raised:
        tenfold.sweep(data, learner="forest", hidden=[8])
    assert str(raised.value) == (
        "This learner is not a network: learner='forest'. Expected the learner 'network', to "
        "vary hidden and layers."
    )
    with pytest.raises(SettingsError) as raised:
        LocalProcesses(0)
    assert str(raised.value) == "There are too few workers: workers=0. Expected 1 or more."
    with pytest.raises(SettingsError, match="This learner is not for classification"):
        tenfold.compare(data, learners=["linear"])
    assert not Path("runs").exists()


def test_a_search_without_optuna_says_how_to_get_it(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError) as raised:
        tenfold.sweep(data, **FORESTS, search=True)
    assert str(raised.value) == (
        "Optuna is not installed: search=True. Expected the package optuna for a search. "
        "pip install 'tenfold[search]'."
    )


def test_every_learner_that_can_is_compared(data: Dataset) -> None:
    from tenfold.experiments.sweeps.plan import learners_for

    assert learners_for(data) == [
        "network", "cnn", "forest", "bayes", "logistic", "neighbors"
    ]  # fmt: skip
    assert learners_for(houses()) == ["network", "boosting", "forest", "linear", "neighbors"]
    small = Dataset.from_arrays(np.ones((8, 6, 6), np.uint8), np.arange(8) % 2)
    assert "cnn" not in learners_for(small)


def test_two_processes_cannot_make_the_same_sweep_at_once(
    data: Dataset, single: LocalProcesses
) -> None:
    asked: dict[str, Any] = {"learner": "forest", "n_trees": [2, 3]}
    seen: list[str] = []

    def try_again(row: TrialResult) -> None:
        with pytest.raises(tenfold.TenfoldError, match="Another process is using the folder"):
            tenfold.sweep(data, **asked, workers=1)
        seen.append(row.state)

    tenfold.sweep(data, **asked, workers=single, listener=Notes(try_again, "ended"))
    assert len(seen) == 2


def test_a_damaged_record_is_nobodys_to_go_on_with(data: Dataset, single: LocalProcesses) -> None:
    asked: dict[str, Any] = {"learner": "forest", "n_trees": [2]}
    first = tenfold.sweep(data, **asked, workers=single)
    (first.path / "sweep.json").write_text("{")
    other = tenfold.sweep(data, **asked, workers=single)
    assert other.path.name == "mnist-sweep-2" and table(other) == table(first)


def test_other_versions_than_a_sweep_began_with_are_said(
    data: Dataset, single: LocalProcesses, copied: Path
) -> None:
    file = copied / "sweep.json"
    record = json.loads(file.read_text())
    record["versions"]["numpy"] = "0.1"
    file.write_text(json.dumps(record))
    notes = Notes()
    tenfold.sweep(data, **FORESTS, seeds=2, workers=single, listener=notes)
    assert notes.warnings == ["runs/mnist-sweep-1 began with other versions of numpy"]


def test_the_best_of_a_sweep_with_more_time_takes_the_place_of_the_one_before(
    data: Dataset, single: LocalProcesses, copied: Path
) -> None:
    file = copied / "sweep.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"chosen": "n_trees-2-seed-0"}))
    again = tenfold.sweep(data, **FORESTS, seeds=2, workers=single)
    assert again.record.chosen == record["chosen"] != "n_trees-2-seed-0"
    assert again.record.test_opened == 2  # another model was measured


def test_a_sweep_killed_while_the_test_rows_are_open_counts_once(
    data: Dataset, single: LocalProcesses, copied: Path
) -> None:
    file = copied / "best" / "run.json"
    record = Record.model_validate_json(file.read_bytes())
    file.write_text(record.model_copy(update={"state": "running"}).model_dump_json())
    again = tenfold.sweep(data, **FORESTS, seeds=2, workers=single)
    assert again.best.record.state == "finished" and again.best.record.test_opened == 1


def test_a_comparison_and_a_sweep_of_a_leak_say_so_first(
    single: LocalProcesses, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    sold = rng.integers(0, 2, 300)
    frame = pd.DataFrame({"sold": sold, "leak": 5.5 * sold, "rooms": rng.integers(1, 6, 300)})
    asked: dict[str, Any] = {"target": "sold", "workers": single, "out": tmp_path}
    compared = tenfold.compare(frame, learners=["bayes", "logistic"], **asked)
    swept = tenfold.sweep(frame, learner="forest", n_trees=[2, 4], **asked)
    for done in (compared, swept):
        assert done.findings[0].startswith("Do not trust these scores: leak alone gives the answer")
    assert swept.best.evaluation.doubts


@pytest.mark.parametrize(
    "content",
    [b"not json\n", b"\xff\x00\n", b'{"op_code": 99, "worker_id": "x"}\n', b"[]\n", b"3\n"],
    ids=["garbage", "binary", "other operation", "list", "number"],
)
def test_a_damaged_journal_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "search.journal").write_bytes(content)
    with refused("E817", "search.journal"):
        _open_study(SimpleNamespace(path=tmp_path, least_is_best=False))  # type: ignore[arg-type]
