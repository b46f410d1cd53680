"""One call trains, measures and keeps; whatever happens, the folder says what is in it."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenfold
from tenfold import Dataset, Prediction, Predictions, Run
from tenfold.build.build import export
from tenfold.build.problem import prepare
from tenfold.core.errors import DataError, ExportError, FileError, SettingsError
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch, LayerRow
from tenfold.core.settings import resolve
from tenfold.experiments.make_run import Interrupted
from tenfold.learners import Fitted
from tenfold.learners.architectures import dense_network
from tests.support.errors import refused
from tests.support.networks import untrained


class Notes(Listener):
    """Writes down what it sees, and may act on it."""

    def __init__(self, at_epoch: int = 0, act: Any = None, at_stage: str = "") -> None:
        self.seen: list[str] = []
        self.at_epoch, self.act, self.at_stage = at_epoch, act, at_stage

    def stage(self, name: str) -> None:
        self.seen.append(name)
        if name == self.at_stage:
            self.act()

    def layers(self, layers: Any) -> None:
        self.seen.append(f"{len(layers)} layers")
        assert all(isinstance(layer, LayerRow) for layer in layers)

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self.seen.append(f"epoch {epoch.epoch}/{n_epochs}")
        if epoch.epoch == self.at_epoch:
            self.act()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def data(mnist: Dataset) -> Dataset:
    return mnist.take(np.r_[:300, 60_000:60_100])


def test_a_listener_sees_every_stage_and_epoch(data: Dataset) -> None:
    notes = Notes()
    tenfold.train(data, epochs=2, hidden=[8], listener=notes)
    assert notes.seen == [
        "load", "train", "5 layers", "epoch 1/2", "epoch 2/2", "export", "evaluate", "report"
    ]  # fmt: skip


@pytest.mark.slow
def test_same_seed_same_model_file(data: Dataset) -> None:
    def digest(**settings: Any) -> str:
        return tenfold.train(data, epochs=1, hidden=[8], **settings).model.sha256

    first = digest(seed=3)
    assert digest(seed=3) == first
    assert digest(seed=4) != first


def test_the_test_rows_change_nothing_but_the_evaluation(data: Dataset) -> None:
    # Same training rows, other test rows: a model that had seen any of them would differ.
    blank = Dataset(
        data.name,
        np.where(np.isin(np.arange(len(data)), data.test_rows)[:, None, None], 0, data.x),
        data.y,
        data.labels,
        data.keys,
        data.test_rows,
    )
    one, other = (tenfold.train(d, epochs=2, hidden=[8]) for d in (data, blank))
    assert one.model.sha256 == other.model.sha256
    assert one.evaluation != other.evaluation


def test_models_measured_on_the_same_data_are_counted(data: Dataset) -> None:
    runs = [tenfold.train(data, learner="bayes", seed=seed) for seed in (0, 1)]
    assert [run.record.test_opened for run in runs] == [1, 2]
    assert "2nd model" in (runs[1].path / "report.html").read_text()


def test_ctrl_c_in_training_keeps_the_finished_epochs(data: Dataset) -> None:
    with pytest.raises(Interrupted) as stopped:
        tenfold.train(data, epochs=50, hidden=[8], listener=Notes(3, press_ctrl_c))
    run = stopped.value.run
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert Run.open(run.path).record.state == "interrupted"
    assert len(run.history) == 3
    assert run.record.test_opened == 0
    assert isinstance(run.model.predict_one(data.x[0]), Prediction)
    assert tenfold.verify(run.path) == {"files": 3, "examples": 0}
    assert tenfold.evaluate(run, data).n == 100
    with refused("E709", "state='interrupted'"):
        _ = run.evaluation


@pytest.mark.parametrize("stage", ["train", "evaluate", "report"])
def test_ctrl_c_elsewhere_leaves_a_run_that_says_so(data: Dataset, stage: str) -> None:
    with pytest.raises(Interrupted) as stopped:
        tenfold.train(data, epochs=1, hidden=[8], listener=Notes(0, press_ctrl_c, stage))
    run = Run.open(stopped.value.run.path)
    assert run.record.state == "interrupted"
    assert ("model.onnx" in run.record.files) == (stage != "train")
    assert ("evaluation.json" in run.record.files) == (stage == "report")


def test_a_failure_is_written_down(data: Dataset) -> None:
    def fail() -> None:
        raise RuntimeError("the reason")

    with pytest.raises(RuntimeError, match="the reason"):
        tenfold.train(data, epochs=1, hidden=[8], listener=Notes(0, fail, "evaluate"))
    record = Run.open("runs/mnist-network-1").record
    assert (record.state, record.error) == ("failed", "the reason")
    assert "model.onnx" in record.files


def test_bad_settings_make_no_folder(data: Dataset) -> None:
    with pytest.raises(SettingsError, match="epochs must be 1 or more, not 0"):
        tenfold.train(data, epochs=0)
    assert not Path("runs").exists()


def test_an_unusable_folder_is_said_before_training(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes = Notes()
    with pytest.raises(FileError, match="Cannot create"):
        tenfold.train(data, out=tmp_path / "file" / "runs", listener=notes)
    assert notes.seen == ["load"]


def test_a_graph_that_does_not_agree_is_not_exported(data: Dataset) -> None:
    class Wrong(Fitted):
        def answers(self, x: Any) -> Any:
            return super().answers(x)[:, ::-1]

    network = untrained(dense_network((28, 28), [8], 10))
    with pytest.raises(ExportError, match="does not predict the same as the learner"):
        split, settings = tenfold.split(data, validation_size=0.1), resolve({})
        prepared = prepare(data, split, scaled=True)
        export(Wrong("network", network, 0), prepared, settings)


def test_evaluating_again_gives_the_same_numbers_and_changes_nothing(
    small_run: Run, few: Any
) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_run.path.rglob("*")}
    assert tenfold.evaluate(small_run.path, few(600, 200)) == small_run.evaluation
    assert {path: path.stat().st_mtime_ns for path in small_run.path.rglob("*")} == before


def test_other_data_are_measured_on_their_test_part_or_on_all_rows(
    small_run: Run, mnist: Dataset
) -> None:
    official = tenfold.evaluate(small_run, mnist)
    assert (official.part, official.n) == ("test", 10_000)
    own = Dataset.from_arrays(mnist.x[:70], mnist.y[:70], labels=mnist.labels, name="mine")
    measured = tenfold.evaluate(small_run, own)
    assert (measured.data, measured.part, measured.n) == ("mine", "all", 70)


def test_data_with_other_labels_are_refused(small_run: Run, mnist: Dataset) -> None:
    letters = Dataset.from_arrays(mnist.x[:70], mnist.y[:70], labels=list("abcdefghij"))
    with pytest.raises(
        DataError, match="The data have labels that the model does not know.*Expected 0, 1"
    ):
        tenfold.evaluate(small_run, letters)


def test_data_that_changed_since_the_run_are_refused(small_run: Run) -> None:
    # The run was made on a part of MNIST; by its name the whole is found.
    with refused("E815", "fingerprint="):
        tenfold.evaluate(small_run)


def test_predict_takes_a_run_its_folder_or_its_model(small_run: Run, data: Dataset) -> None:
    answers = [
        tenfold.predict(source, data.x[0])
        for source in (small_run, small_run.path, small_run.path / "model.onnx")
    ]
    assert len({answer[0].label for answer in answers if isinstance(answer, Predictions)}) == 1
