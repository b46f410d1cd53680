"""One trial, and the rows that workers share: what is written, what is skipped, what stops it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Dataset
from tenfold.build.problem import Problem
from tenfold.core.errors import BackendError, DataError, FileError, SettingsError
from tenfold.core.progress import Listener, OnEpochs
from tenfold.core.records import Epoch
from tenfold.core.settings import Reading, resolve
from tenfold.data.dataset import PictureInfo
from tenfold.data.from_table import table_dataset
from tenfold.experiments.run_data import record_of, split_of
from tenfold.experiments.sweeps import Executor, LocalProcesses
from tenfold.experiments.sweeps.environment import ENVIRONMENT, check_process
from tenfold.experiments.sweeps.executors import next_job
from tenfold.experiments.sweeps.job import Job, Stopped, stop_rule
from tenfold.experiments.sweeps.shared_rows import open_shared, share
from tenfold.experiments.sweeps.trials import run_trial
from tenfold.inputs.tables.cells import from_frame
from tenfold.runs.record import Record, Run
from tests.conftest import Few
from tests.support.errors import refused


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a worker: a trial can then be made in this process."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def data(few: Few) -> Dataset:
    return few(300, 100)


def job_of(data: Dataset, name: str = "trial", **settings: Any) -> Job:
    """A job with its rows shared in a folder of its own."""
    config = resolve({"learner": "bayes", **settings})
    split = split_of(data, config)
    folder = Path(f"{name}-data").resolve()
    if not folder.exists():
        share(data, split, folder)
    record = record_of(Problem(data, split, config), {}).model_dump(mode="json")
    return Job(str(Path(name).resolve()), str(folder), record)


def test_a_job_is_plain_values(data: Dataset) -> None:
    job = job_of(data)
    job = Job.from_plain({**job.as_plain(), "stop_below": [[3, 0.5]], "kind": "a"})
    assert Job.from_plain(json.loads(json.dumps(job.as_plain()))) == job
    assert job.stop_below == ((3, 0.5),) and job.name == "trial"


@pytest.mark.usefixtures("one_thread")
def test_other_threads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_process("bayes")
    check_process.cache_clear()
    monkeypatch.setenv("NPROC", "2")
    with pytest.raises(SettingsError) as raised:
        check_process("bayes")
    assert raised.value.code == "E813" and raised.value.facts == {"missing": ["NPROC"]}


@pytest.mark.usefixtures("one_thread")
def test_a_trial_that_has_ended_is_left_as_it_is(data: Dataset) -> None:
    job = job_of(data)
    assert not job.has_ended()
    run_trial(job)
    assert job.has_ended()
    before = {path: path.stat().st_mtime_ns for path in Path("trial").iterdir()}
    run_trial(job)
    assert {path: path.stat().st_mtime_ns for path in Path("trial").iterdir()} == before
    other = job_of(data, seed=5, split_seed=0)
    assert not other.has_ended()  # the same folder, other settings
    tenfold.verify("trial")


@pytest.mark.usefixtures("one_thread")
def test_a_trial_whose_process_died_is_made_whole(data: Dataset) -> None:
    job = job_of(data)
    folder = Path(job.folder)
    folder.mkdir()
    (folder / "model.onnx.tmp.1.ab").write_bytes(b"half")
    Run(folder, Record.model_validate(job.record)).save()
    run_trial(job)
    run = tenfold.open(folder)
    assert run.record.state == "finished" and not list(folder.glob("*.tmp.*"))
    assert set(run.record.seconds) == {"train", "export", "evaluate", "total"}


@pytest.mark.usefixtures("one_thread")
def test_a_hopeless_network_is_stopped_by_its_limit(data: Dataset) -> None:
    job = job_of(data, learner="network", hidden=(4,), epochs=4)
    seen: list[int] = []
    job = Job.from_plain({**job.as_plain(), "stop_below": [[1, 0.0], [2, 0.99]]})
    run_trial(job, OnEpochs(lambda epoch: seen.append(epoch.epoch)))
    record = tenfold.open(job.folder).record
    assert record.state == "stopped" and seen == [1, 2] and job.has_ended()
    assert record.note and record.note.startswith("stopped after epoch 2: validation score 0.")
    assert record.note.endswith("not above 0.99")
    assert sorted(record.files) == ["history.csv"]


def test_a_loss_that_is_no_number_stops_a_network(data: Dataset) -> None:
    job = job_of(data, learner="network")
    check = stop_rule(job.stop_below)
    check(Epoch(1, 0.1, 2.3, 0.1, 2.3, 0.1, 0.01))
    with pytest.raises(Stopped, match="stopped after epoch 2: its loss is nan"):
        check(Epoch(2, 0.1, float("nan"), 0.1, None, None, 0.01))


@pytest.mark.usefixtures("one_thread")
def test_what_goes_wrong_with_a_trial_is_written_down(data: Dataset) -> None:
    job = job_of(data, learner="forest")
    record = {**job.record, "config": {**job.record["config"], "class_weights": [1.0, 2.0]}}
    run_trial(Job(job.folder, job.data, record))
    found = tenfold.open(job.folder).record
    assert found.state == "failed"
    assert (
        found.error == "The class weights do not match the labels: class_weights=(1.0, 2.0). "
        "Expected 10 numbers, one for each label."
    )


@pytest.mark.usefixtures("one_thread")
def test_a_folder_that_cannot_be_made_is_no_matter_of_the_trial(data: Dataset) -> None:
    job = job_of(data)
    Path("trial").write_text("a file")
    with pytest.raises(FileError, match="Cannot create"):
        run_trial(job)
    with pytest.raises(FileError, match="Cannot create"):
        job.give_up("no reason")


@pytest.mark.usefixtures("one_thread")
def test_a_wrong_compiler_is_no_matter_of_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        raise BackendError("E301", "JAX's compiler computes wrong sums on this machine")

    monkeypatch.setattr("tenfold.learners.learner.check_compiler", wrong)
    check_process.cache_clear()
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(BackendError, match="wrong sums"):
            check_process("network")
    check_process("bayes")


def test_giving_up_says_why(data: Dataset) -> None:
    job = job_of(data)
    job.give_up("the worker process died (SIGKILL), 3 times")
    record = tenfold.open(job.folder).record
    assert (record.state, record.error) == ("failed", "the worker process died (SIGKILL), 3 times")
    assert not job.has_ended()


def assert_same(one: Dataset, rows: Any, other: Dataset) -> None:
    expected = one.take(rows)
    assert other.fingerprint == expected.fingerprint
    assert list(other.keys) == list(expected.keys)
    assert (other.name, other.source, other.labels) == (one.name, one.source, one.labels)
    assert other.task == one.task and other.input == one.input


def test_shared_pictures_are_mapped_and_hold_no_test_row(data: Dataset) -> None:
    split = split_of(data, resolve({}))
    share(data, split, Path("shared"))
    found, parts = open_shared(Path("shared"))
    assert_same(data, np.r_[split.train, split.validation], found)
    assert isinstance(found.x.base, np.memmap) and not found.x.flags.writeable
    assert len(parts.train) == len(split.train) and not parts.test.size
    assert parts.validation.tolist() == list(range(len(split.train), len(found)))


def test_shared_tables_keep_text_dates_and_gaps() -> None:
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=60, freq="D").astype(str),
            "place": ["Köln", "", "=1+1", 'a "b"\n'] * 15,
            "size": [1.5, np.nan, -2.0] * 20,
            "price": np.arange(60) * 1.5,
        }
    )
    plain = table_dataset(from_frame(frame), Reading(target="price", columns={"place": "category"}))
    ordered = table_dataset(from_frame(frame), Reading(target="price", time="when"))
    for name, data in (("plain", plain), ("ordered", ordered)):
        split = split_of(data, resolve({"learner": "forest"}, table=True))
        share(data, split, Path(name))
        found, _ = open_shared(Path(name))
        rows = np.r_[split.train, split.validation]
        assert_same(data, rows, found)
        assert found.info is not None and data.info is not None
        assert found.info.profiles == data.info.profiles and found.info.notes == data.info.notes
        assert found.info.reading == data.info.reading
        if data.info.previous is not None:
            np.testing.assert_array_equal(found.info.previous, data.info.previous[rows])
        if data.info.timeline is not None:
            expected = data.info.timeline[rows].as_array()
            assert found.info.timeline is not None
            np.testing.assert_array_equal(found.info.timeline.as_array(), expected)


def test_shared_picture_folders_keep_what_they_know(few: Few) -> None:
    base = few(60, 20)
    info = PictureInfo(base.input, np.arange(80), (("resized", "2 pictures"),))  # type: ignore[arg-type]
    data = Dataset(
        "folder", base.x, base.y, base.labels, base.keys, base.test_rows, None, "f", info
    )
    split = split_of(data, resolve({}))
    share(data, split, Path("shared"))
    found, _ = open_shared(Path("shared"))
    assert_same(data, np.r_[split.train, split.validation], found)
    assert found.pictures is not None and found.pictures.remarks == info.remarks


def test_damaged_shared_rows_are_refused(data: Dataset) -> None:
    split = split_of(data, resolve({}))
    share(data, split, Path("shared"))
    np.save("shared/y.npy", np.load("shared/y.npy")[::-1])
    with pytest.raises(DataError) as raised:
        open_shared(Path("shared"))
    assert str(raised.value).startswith("The rows are not those of the sweep: fingerprint='")
    Path("shared/x.npy").write_bytes(b"no array")
    with refused("E812"):
        open_shared(Path("shared"))
    Path("shared/data.json").write_text("{}")
    with refused("E812"):
        open_shared(Path("shared"))
    with pytest.raises(FileError, match="Cannot read"):
        open_shared(Path("nowhere"))


def test_a_free_worker_takes_what_it_is_quick_at() -> None:
    jobs = [Job(str(i), "", {}, kind=kind) for i, kind in enumerate("aabbc")]
    assert next_job(jobs, None, set()) == 0
    assert next_job(jobs, "b", set()) == 2
    assert next_job(jobs, None, {"a"}) == 2  # another one compiles a
    assert next_job(jobs, "x", {"a", "b", "c"}) == 0


def test_local_processes_are_an_executor() -> None:
    executor: Executor = LocalProcesses()
    assert executor.n_workers == len(os.sched_getaffinity(0))
    with executor as same:
        assert same is executor


def test_a_worker_ends_with_its_input() -> None:
    worker = [sys.executable, "-m", "tenfold.experiments.sweeps.worker"]
    done = subprocess.run(worker, input=b"", capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout == b""


def test_a_worker_says_what_is_no_matter_of_a_trial(data: Dataset) -> None:
    job = job_of(data)
    Path("trial").write_text("a file")

    with pytest.raises(FileError, match="Cannot create"), LocalProcesses(1) as executor:
        list(executor.run([job], Listener()))
