"""Train one network with several processes of this computer, and restart them if one dies.

The processes are separate programs (`rank.py`). They read rows and state from a folder that this
process writes. Only rank 0 writes the state after each epoch. If one process dies, the whole group
is ended, because the others would wait for ever, and a new group resumes from the last complete
state.
"""

import queue
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from tenfold.core import files
from tenfold.core.errors import BackendError
from tenfold.core.processes import Child, Inbox, raise_error
from tenfold.core.records import Epoch
from tenfold.core.systems import usable_cores
from tenfold.data import disk_images
from tenfold.learners.checkpoints import Checkpoint, encode, read_checkpoint
from tenfold.learners.job import Examples, TrainingJob

if TYPE_CHECKING:
    from tenfold.learners.training import Training

ATTEMPTS = 3
"""Number of consecutive groups that die without a finished epoch before the fit gives up."""

START = "start.checkpoint"
SETTINGS = "settings.json"

_EPOCH = TypeAdapter(Epoch)


def group_epochs(training: "Training", job: TrainingJob) -> Iterator[Epoch]:
    """Train in other processes. Yields the epochs of rank 0. `training` takes over its state after
    each.

    Raises:
      TenfoldError: An error that a process raised.
    """
    n_deaths, is_done = 0, training.is_done
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        folder = Path(name)
        write_examples(folder, {"train": job.train, "validation": job.validation})
        plain = {"n_labels": job.n_labels, "settings": job.settings.model_dump(mode="json")}
        files.write_json(folder / SETTINGS, plain)
        while not is_done:
            files.write_bytes(folder / START, encode(Checkpoint(training.state(), ())))
            with closing(_Processes(folder, job.settings.processes)) as processes:
                for epoch in processes.epochs():
                    path = state_path(folder, epoch.epoch)
                    training.restore(read_checkpoint(path).arrays)
                    path.unlink()
                    n_deaths, is_done = 0, training.is_done
                    yield epoch
                    if is_done:
                        return
            n_deaths += 1
            if n_deaths == ATTEMPTS:
                raise BackendError(
                    "E912",
                    f"{processes.how}, and so did {ATTEMPTS - 1} groups before it",
                    expected="a finished epoch between two crashes",
                    fix="Train without --processes",
                    epoch=training.epoch,
                )
            begin = f"all begin again after epoch {training.epoch}."
            job.listener.warn(f"{processes.how}: {begin}")


class _Processes:
    """The processes of one group, until the first one dies. `how` describes its death."""

    def __init__(self, folder: Path, n: int) -> None:
        self.how = ""
        self._inbox: Inbox = queue.SimpleQueue()
        port = _free_port()
        environment = {  # the cores are divided among them
            "JAX_NUM_CPU_DEVICES": str(max(1, usable_cores() // n)),
            "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        }
        self._ranks = [
            Child("tenfold.learners.rank", (folder, rank, n, port), environment, self._inbox)
            for rank in range(n)
        ]

    def epochs(self) -> Iterator[Epoch]:
        """The epochs that rank 0 reports, until one of the processes dies."""
        while True:
            child, message = self._inbox.get()
            if message is None:
                rank = self._ranks.index(child)
                self.how = f"Process {rank + 1} of {len(self._ranks)} died ({child.end()})"
                return
            raise_error(message)
            yield _EPOCH.validate_python(message)

    def close(self) -> None:
        """End all processes, because each would wait for the others."""
        for child in self._ranks:
            child.process.kill()
        for child in self._ranks:
            child.end()


def _free_port() -> int:
    """A port that is free now. If another program takes it before the group does, the group starts
    again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def state_path(folder: Path, epoch: int) -> Path:
    """The file in which rank 0 stores the state after an epoch."""
    return folder / f"epoch-{epoch}.checkpoint"


def write_examples(folder: Path, parts: dict[str, Examples | None]) -> None:
    """Write the arrays of rows, to be memory-mapped."""
    for name, examples in parts.items():
        for field, array in (examples._asdict() if examples else {}).items():
            if array is not None:
                disk_images.save(folder / f"{name}-{field}.npy", array)


def read_examples(folder: Path, name: str) -> Examples | None:
    """Read rows that `write_examples` wrote. None if there are none."""
    arrays: dict[str, Any] = {}
    for field in Examples._fields:
        path = folder / f"{name}-{field}.npy"
        if path.exists():
            arrays[field] = disk_images.open_saved(path)
    return Examples(**arrays) if arrays else None
