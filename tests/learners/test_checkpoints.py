"""A training that ends early is not lost: real processes, killed at random, resumed, compared."""

import hashlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tenfold
from tenfold import Dataset, Run
from tenfold.core.errors import FileError, FormatError
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.learners.checkpoints import Checkpoint, Checkpoints, encode, read_checkpoint
from tests.support.errors import refused
from tests.support.program import Program, finish, start_python

EPOCH = Epoch(1, 0.25, 0.5, 0.75, None, None, 0.001)

# A run of its own process: 40 epochs of a few milliseconds, slowed down so that kills hit each
# stage, and a checkpoint at every epoch end instead of every two seconds.
PROGRAM = """
import resource, signal, sys, time
import numpy as np, tenfold
from tenfold.learners import checkpoints
from tenfold.core.progress import Listener
from tenfold.learners.jax_runtime import import_ahead
signal.signal(signal.SIGTERM, signal.default_int_handler)
import_ahead()
checkpoints.EVERY_SECONDS = 0.1

class Slow(Listener):
    def stage(self, name):
        print(name, flush=True)
    def epoch(self, epoch, n_epochs):
        print(epoch.epoch, flush=True)
        time.sleep(0.03)

data = tenfold.load("mnist").take(np.r_[:300, 60_000:60_050])
command, path, n_bytes = sys.argv[1:]
if int(n_bytes):  # a disk on which no larger file fits
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(n_bytes), int(n_bytes)))
try:
    if command == "train":
        tenfold.train(data, epochs=40, hidden=[8], dropout=0.1, out=path, listener=Slow())
    else:
        tenfold.resume(path, data, listener=Slow())
except KeyboardInterrupt:
    sys.exit(130)
except tenfold.TenfoldError as error:
    sys.exit(f"tenfold: {error}")
"""


def start(command: str, path: Path, n_bytes: int = 0) -> Program:
    return start_python(PROGRAM, command, path, n_bytes)


def end(process: Program) -> tuple[int, list[str], str]:
    """Exit status, printed lines and messages of a process that comes to its end."""
    done = finish(process)
    return done.returncode, done.stdout.split(), done.stderr


def wait_for(process: Program, line: str) -> None:
    assert process.stdout is not None
    for printed in process.stdout:
        if printed.strip() == line:
            return
    pytest.fail(f"never printed {line!r}: {process.communicate()}")


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.onnx").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupted."""
    out = tmp_path_factory.mktemp("straight")
    assert end(start("train", out))[0] == 0
    return out / "mnist-network-1"


def check_like(straight: Path, run: Path) -> None:
    """Finished, with the same model, the same history but for seconds, and nothing left over."""
    assert digest(run) == digest(straight)
    histories = [Run.open(path).history for path in (run, straight)]
    assert [row | {"seconds": 0} for row in histories[0]] == [
        row | {"seconds": 0} for row in histories[1]
    ]
    assert not (run / "checkpoints").exists()
    assert tenfold.verify(run)["files"] == tenfold.verify(straight)["files"]


def resume_to_the_end(straight: Path, run: Path) -> str:
    """Let a run end, compare it with the one that nothing interrupted; returns what was said."""
    status, _, said = end(start("resume", run))
    assert status == 0, said
    check_like(straight, run)
    return said


def kill_at_random(process: Program, rng: random.Random) -> None:
    wait_for(process, "load")
    time.sleep(rng.uniform(0.5, 3.5))
    process.kill()
    end(process)


def whole_lines(run: Path) -> None:
    history = run / "history.csv"
    if history.exists():
        text = history.read_text()
        assert text.endswith("\n") and {line.count(",") for line in text.splitlines()} == {6}


def test_killed_again_and_again_at_random_moments_ends_with_the_same_model(
    straight: Path, tmp_path: Path
) -> None:
    rng, run = random.Random(5), tmp_path / "mnist-network-1"
    process = start("train", tmp_path)
    wait_for(process, "1")  # there is a run
    for _ in range(3):
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        end(process)
        whole_lines(run)
        process = start("resume", run)
        wait_for(process, "train")
        time.sleep(rng.uniform(0, 1))
    process.kill()
    end(process)
    if Run.open(run).record.state != "finished":
        resume_to_the_end(straight, run)
    check_like(straight, run)


@pytest.mark.slow
def test_killed_at_fifty_random_moments_ends_with_the_same_model(
    straight: Path, tmp_path: Path
) -> None:
    rng, resumed = random.Random(50), 0
    for attempt in range(200):
        run = tmp_path / str(attempt) / "mnist-network-1"
        kill_at_random(start("train", run.parent), rng)
        # Killed before there was a run, or after it was finished: another attempt.
        if (run / "run.json").exists() and Run.open(run).record.state != "finished":
            whole_lines(run)
            resume_to_the_end(straight, run)
            resumed += 1
        if resumed == 50:
            return
    pytest.fail(f"only {resumed} of 200 were killed in time")


def test_sigterm_lets_the_epoch_end_and_a_moved_run_goes_on(straight: Path, tmp_path: Path) -> None:
    process = start("train", tmp_path)
    wait_for(process, "3")
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 130
    run = tmp_path / "mnist-network-1"
    record = Run.open(run).record
    assert record.state == "interrupted"
    assert "model.onnx" in record.files
    n_done = len(Run.open(run).history)
    assert 3 <= n_done < 40
    assert not any(name.startswith("checkpoints") for name in record.files)
    assert tenfold.verify(run)["files"] == 3
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    run.rename(moved)
    status, printed, said = end(start("resume", moved))
    assert status == 0, said
    assert next(line for line in printed if line.isdigit()) == str(n_done + 1)  # nothing twice
    check_like(straight, moved)


def test_one_process_at_a_time_and_a_second_signal_ends_it_at_once(
    tmp_path: Path, mnist: Dataset
) -> None:
    process = start("train", tmp_path)
    wait_for(process, "1")
    run = tmp_path / "mnist-network-1"
    with pytest.raises(
        FileError,
        match=r"Another process is using the folder \(.*mnist-network-1\)\. Expected a folder",
    ):
        tenfold.resume(run, mnist)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)  # less than the 30 ms that an epoch takes at least
    assert end(process)[0] == -signal.SIGINT
    whole_lines(run)
    assert tenfold.open(run).record.state == "running"


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(
    straight: Path, tmp_path: Path
) -> None:
    status, _, said = end(start("train", tmp_path, 20_000))  # a checkpoint takes 100 kB
    assert status == 1
    assert "Cannot write: reason='File too large'" in said and "Traceback" not in said
    run = tmp_path / "mnist-network-1"
    assert Run.open(run).record.state == "failed"
    assert not list((run / "checkpoints").glob("*"))
    resume_to_the_end(straight, run)


def test_a_damaged_checkpoint_is_passed_over_aloud(straight: Path, tmp_path: Path) -> None:
    process = start("train", tmp_path)
    wait_for(process, "20")
    process.kill()
    end(process)
    run = tmp_path / "mnist-network-1"
    older, newest = sorted((run / "checkpoints").glob("*.checkpoint"))
    content = bytearray(newest.read_bytes())
    content[-7] ^= 1
    newest.write_bytes(content)
    said = resume_to_the_end(straight, run)
    n = int(older.stem.removeprefix("epoch-"))
    assert str(newest) in said and said.rstrip().endswith(f"Going on from epoch {n}.")


def test_without_a_whole_checkpoint_training_begins_again(
    small_run: Run, few: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = interrupted_copy(small_run, tmp_path)
    (run / "checkpoints").mkdir()
    for n in (1, 2):
        (run / "checkpoints" / f"epoch-00000{n}.checkpoint").write_bytes(b"")
    tenfold.resume(run, few(600, 200))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("The checkpoint is damaged" in line for line in said)
    assert all(line.endswith("Going on from the beginning.") for line in said)
    assert digest(run) == digest(small_run.path)
    assert not (run / "checkpoints").exists()


def interrupted_copy(run: Run, folder: Path, **changes: Any) -> Path:
    copy = folder / "copy"
    shutil.copytree(run.path, copy)
    record = json.loads((copy / "run.json").read_text()) | {"state": "interrupted"} | changes
    (copy / "run.json").write_text(json.dumps(record))
    return copy


def test_a_finished_run_and_other_data_are_refused(
    small_run: Run, mnist: Dataset, tmp_path: Path
) -> None:
    with refused("E816"):
        tenfold.resume(small_run, mnist)
    with refused("E815", "fingerprint="):
        tenfold.resume(interrupted_copy(small_run, tmp_path))


def test_other_versions_are_said(small_run: Run, few: Any, tmp_path: Path) -> None:
    warned: list[str] = []

    class Notes(Listener):
        def warn(self, text: str) -> None:
            warned.append(text)

    versions = small_run.record.versions
    copy = interrupted_copy(small_run, tmp_path, versions=versions | {"jax": "0.0.1"})
    run = tenfold.resume(copy, few(600, 200), listener=Notes())
    assert "'jax': ('0.0.1'" in warned[0] and "not bit-exact" in warned[0]
    assert run.record.versions == versions
    assert digest(run.path) == digest(small_run.path)


# The format.

arrays = st.dictionaries(
    st.text(min_size=1, max_size=9),
    st.tuples(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint32]),
        st.lists(st.integers(0, 3), max_size=3),
    ).map(lambda part: np.arange(np.prod(part[1], dtype=int)).reshape(part[1]).astype(part[0])),
    max_size=4,
)


@given(arrays)
def test_a_file_gives_back_what_was_written(found: dict[str, np.ndarray]) -> None:
    path = Path("one.checkpoint")
    path.write_bytes(encode(Checkpoint(found, (EPOCH,))))
    again = read_checkpoint(path)
    assert again.history == (EPOCH,)
    assert again.arrays.keys() == found.keys()
    for name, array in found.items():
        assert again.arrays[name].dtype == array.dtype
        assert again.arrays[name].shape == array.shape
        assert (again.arrays[name] == array).all()


@given(st.data())
def test_any_changed_byte_and_any_cut_is_noticed(data: st.DataObject) -> None:
    content = bytearray(encode(Checkpoint({"w": np.arange(6, dtype=np.float32)}, (EPOCH,))))
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    path = Path("one.checkpoint")
    path.write_bytes(content)
    with refused("E631", "problem='its SHA-256"):
        read_checkpoint(path)


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def safetensors_of(head: str, payload: bytes) -> bytes:
    return len(head).to_bytes(8, "little") + head.encode() + payload


def with_floats(n: int, n_bytes: int) -> str:
    """A head of `n` float32 that says they take so many bytes."""
    w = {"dtype": "F32", "shape": [n], "data_offsets": [0, n_bytes]}
    return json.dumps({"__metadata__": {"history": "[]"}, "w": w})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"format": 1, "arrays": [], "history": []}\n',  # of Tenfold before safetensors
        safetensors_of("[]", b""),
        safetensors_of("{}", b""),
        safetensors_of('{"__metadata__": {"history": "[1]"}}', b""),
        safetensors_of(with_floats(2, 4), b"1234"),
        safetensors_of(with_floats(2, 8), b"1234"),
        safetensors_of(with_floats(1, 4), b"12345"),
    ],
)
def test_a_file_of_another_form_is_refused(content: bytes) -> None:
    path = Path("one.checkpoint")
    path.write_bytes(signed(content))
    with pytest.raises(
        FormatError, match="The checkpoint was written by another version of Tenfold"
    ):
        read_checkpoint(path)
    path.write_bytes(signed(safetensors_of(with_floats(1, 4), b"1234")))
    assert read_checkpoint(path).arrays["w"].shape == (1,) and read_checkpoint(path).history == ()


def test_a_file_that_is_too_large_is_not_read() -> None:
    path = Path("one.checkpoint")
    with path.open("wb") as file:
        file.truncate((1 << 33) + 1)  # no byte of it takes room
    with refused("E631", "larger than 8589934592 bytes"):
        read_checkpoint(path)


def test_the_two_newest_are_kept_and_nothing_when_it_is_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest() is None
    checkpoints.clear()  # nothing there yet
    for n in (1, 2, 10):
        checkpoints.save(Checkpoint({"n": np.asarray(n)}, (EPOCH,) * n))
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "epoch-000002.checkpoint",
        "epoch-000010.checkpoint",
    ]
    newest = checkpoints.newest()
    assert newest is not None and len(newest.history) == 10
    assert not checkpoints.are_due
    checkpoints.clear()
    assert not checkpoints.folder.exists()
    assert os.listdir(tmp_path) == []
