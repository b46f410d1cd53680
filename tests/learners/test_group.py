"""One network trained by two real processes: the losses of one, and of a group that was killed."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold.core.errors import BackendError, FormatError, SettingsError
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings, resolve
from tenfold.learners import LEARNERS, Examples, Fitted, TrainingJob, group, rank
from tenfold.learners.group import ATTEMPTS

N = 333
"""Rows: the last batch is not full, and shares differ between the processes."""


def some(n: int, seed: int) -> Examples:
    """Pictures whose labels are where they are bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.integers(0, 100, (n, 8, 8), np.uint8)
    for i, label in enumerate(y):
        x[i, label * 2 : label * 2 + 3] += 120
    return Examples(x, y)


TRAIN, VALIDATION = some(N, 0), some(60, 1)


def asked(learner: str, processes: int) -> Settings:
    return resolve(
        {
            "learner": learner,
            "epochs": 3,
            "batch_size": 96,
            "hidden": (16,),
            "width": 4,
            "dropout": 0.1,
            "rotate_degrees": 5.0,
            "patience": 3,
            "processes": processes,
        }
    )


def ranks() -> dict[int, int]:
    """The processes of this process' groups: rank to process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode().split("\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
        if rank.__name__ in words and parent == os.getpid():
            found[int(words[words.index(rank.__name__) + 2])] = int(path.name)
    return found


class Hears(Listener):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings = list[str]()

    def warn(self, text: str) -> None:
        self.warnings.append(text)


KILLER = """
import os, signal, sys, time
from pathlib import Path

mark = Path({mark!r})

def hook(event, arguments):
    if event == "open" and "epoch-2.checkpoint" in str(arguments[0]) and not mark.exists():
        mark.touch()
        if {victim}:  # rank 0 tells the test, and waits for the end of the group
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGKILL)

if {module!r} in sys.orig_argv:
    sys.addaudithook(hook)
"""
"""What Python runs at the start of each process of a group: the process of rank 0 stops when it is
about to write its state after epoch 2, once. So none of them can be further when one is killed."""


class Killer(Hears):
    """Has a process of the group killed between the first epoch and the second."""

    def __init__(self, victim: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.victim, self._mark = victim, folder / "killed"
        hook = KILLER.format(mark=str(self._mark), victim=victim, module=rank.__name__)
        (folder / "sitecustomize.py").write_text(hook)
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        if epoch.epoch == 1 and self.victim:
            deadline = time.monotonic() + 60
            while not self._mark.exists():
                assert time.monotonic() < deadline, "rank 0 never came to its second epoch"
                time.sleep(0.01)
            os.kill(ranks()[self.victim], signal.SIGKILL)


def fitted(learner: str, processes: int, listener: Listener | None = None) -> Fitted:
    return LEARNERS[learner].fit(
        TrainingJob(
            TRAIN,
            VALIDATION,
            n_labels=3,
            settings=asked(learner, processes),
            listener=listener or Listener(),
        )
    )


def losses(fit: Fitted) -> list[tuple[float, float | None, float | None]]:
    return [(epoch.loss, epoch.val_loss, epoch.accuracy) for epoch in fit.history]


@pytest.mark.parametrize("learner", ["network", pytest.param("cnn", marks=pytest.mark.slow)])
def test_two_processes_one_killed_have_the_losses_of_one(
    learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, killer = fitted(learner, 1), Killer(1, tmp_path, monkeypatch)
    together = fitted(learner, 2, killer)
    assert [epoch.epoch for epoch in together.history] == [1, 2, 3]
    np.testing.assert_allclose(losses(together), losses(alone), rtol=1e-4)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        together.answers(VALIDATION.x), alone.answers(VALIDATION.x), atol=1e-4
    )
    assert len(killer.warnings) == 1
    assert "of 2 died (" in killer.warnings[0] and "again after epoch" in killer.warnings[0]
    assert not ranks()


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["network", "cnn"])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_group_that_began_again_ends_at_the_very_same_loss(
    learner: str, victim: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(learner, 2)
    killed = fitted(learner, 2, killer := Killer(victim, tmp_path, monkeypatch))
    assert len(killer.warnings) == 1 and losses(whole) == losses(killed)
    assert (whole.answers(VALIDATION.x) == killed.answers(VALIDATION.x)).all()


def test_groups_that_die_before_their_first_epoch_end_the_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts with it
    listener = Hears()
    with pytest.raises(BackendError, match=rf"of 2 died \(exit 1: .* {ATTEMPTS - 1} groups") as it:
        fitted("network", 2, listener)
    assert "epoch=0" in str(it.value) and "--processes" in str(it.value)
    assert len(listener.warnings) == ATTEMPTS - 1 and not ranks()


@pytest.mark.slow
def test_what_a_process_finds_wrong_is_said_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "encode", lambda checkpoint: b"nothing")
    with pytest.raises(FormatError, match="The checkpoint is damaged"):
        fitted("network", 2)
    assert not ranks()


def test_who_cannot_be_shared_out_says_so() -> None:
    with pytest.raises(SettingsError, match="setting='processes', learner='forest'"):
        tenfold.train("mnist", learner="forest", processes=2)
    with pytest.raises(SettingsError, match="processes=3.*a divisor of the batch size, 128"):
        tenfold.train("mnist", processes=3)
