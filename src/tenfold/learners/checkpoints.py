"""Checkpoints: everything that a training needs to resume, in files that are complete or absent.

A file contains the SHA-256 of the rest in hexadecimal, a line feed, and a safetensors file of the
arrays with the history in its metadata. Nothing in it can run code.
"""

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tenfold.core import files
from tenfold.core.errors import FormatError
from tenfold.core.records import Epoch

EVERY_SECONDS = 2.0
KEPT = 2
MAX_BYTES = 1 << 33
"""Maximum size of a file that is read. 8 GiB are enough for half a billion weights with Adam's
moments."""


class Checkpoint(NamedTuple):
    """A state from which a training resumes: a `Training.state`, and a record per finished
    epoch."""

    arrays: dict[str, NDArray[Any]]
    history: tuple[Epoch, ...]


_HISTORY = TypeAdapter(tuple[Epoch, ...])


class Checkpoints:
    """The `checkpoints` folder of a run, created on demand. The two newest checkpoints are kept.

    `damaged` says why checkpoints newer than the one that `newest` returned cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[FormatError] = []
        self._saved = time.monotonic()

    @property
    def are_due(self) -> bool:
        """Whether two seconds have passed since the last checkpoint, or since the start of the
        training."""
        return time.monotonic() - self._saved >= EVERY_SECONDS

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint durably, and then delete all but the two newest."""
        with files.os_errors("create", self.folder):
            self.folder.mkdir(exist_ok=True)
        name = f"epoch-{len(checkpoint.history):06}.checkpoint"
        files.write_bytes(self.folder / name, encode(checkpoint))
        for path in self._newest_first()[KEPT:]:
            path.unlink()
        self._saved = time.monotonic()

    def newest(self) -> Checkpoint | None:
        """The newest complete checkpoint, or None. Records the damaged ones."""
        for path in self._newest_first():
            try:
                with files.os_errors("read", path):
                    return read_checkpoint(path)
            except FormatError as error:
                self.damaged.append(error)
        return None

    def keep_result(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        """Store the result of one part of a training durably. `result` reads it."""
        with files.os_errors("create", self.folder):
            self.folder.mkdir(exist_ok=True)
        files.write_bytes(self._result(name), encode(Checkpoint(arrays, ())))

    def result(self, name: str) -> dict[str, NDArray[Any]] | None:
        """The result that an earlier process stored. None if there is none or the file is
        damaged."""
        path = self._result(name)
        try:
            with files.os_errors("read", path):
                return read_checkpoint(path).arrays if path.is_file() else None
        except FormatError:
            return None

    def clear(self) -> None:
        """Remove the folder, because the training is over."""
        with files.os_errors("remove", self.folder):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)

    def _result(self, name: str) -> Path:
        return self.folder / f"result-{name}.checkpoint"

    def _newest_first(self) -> list[Path]:
        paths = self.folder.glob("epoch-*.checkpoint")
        return sorted(paths, key=lambda path: (len(path.name), path.name), reverse=True)


def encode(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint's file."""
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    history = json.dumps(_HISTORY.dump_python(checkpoint.history))
    content = safetensors.numpy.save(arrays, {"history": history})
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's file.

    Raises:
      FormatError: The digest or the form is wrong.
    """
    if path.stat().st_size > MAX_BYTES:
        raise _damaged(path, f"larger than {MAX_BYTES} bytes")
    digest, _, content = path.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise _damaged(path, "its SHA-256 is another one")
    try:
        arrays = safetensors.numpy.load(content)
        head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        history = _HISTORY.validate_json(head["__metadata__"]["history"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(
            "E635", "The checkpoint was written by another version of Tenfold", where=path
        ) from error
    return Checkpoint(arrays, history)


def _damaged(path: Path, problem: str) -> FormatError:
    return FormatError("E631", "The checkpoint is damaged", where=path, problem=problem)
