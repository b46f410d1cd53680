"""Trials and batch predictions on Ray. The only file that imports it, and only when asked to.

What runs elsewhere are tasks of plain values: jobs and rows go out, the files of a trial come back
as bytes and are written here, `run.json` last. So a trial that was begun twice is counted once, and
a driver that begins again finds what is whole. Ray sends Python objects as pickles: whoever holds
the token of a cluster can run code on it (docs/guide/scale.md).
"""

import csv
import hashlib
import importlib
import importlib.metadata
import io
import json
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import BackendError, FileError, SettingsError, TenfoldError
from tenfold.core.processes import usable_cores
from tenfold.core.progress import Listener
from tenfold.experiments.sweeps.executors import ATTEMPTS
from tenfold.experiments.sweeps.shared import MANIFEST
from tenfold.experiments.sweeps.trials import ENVIRONMENT, Job, give_up, has_ended, run_trial
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.learners import LEARNERS
from tenfold.learners.jax_runtime import prepare
from tenfold.model.answer_files import answer_files
from tenfold.model.csv_form import csv_head, csv_row
from tenfold.model.model import Model

LOCAL = "local"

LOOK_SECONDS = 1.0
"""How often the driver looks which machines there are."""

STORE_BYTES = 150 << 20
"""Shared memory of a cluster that is started here: it holds results on their way, no rows."""

SHARD_FILES = 256
"""Files that are answered and written together: a second or two of work, little to do again."""

Files = dict[str, bytes]

Rows = dict[str, NDArray[np.uint8]]
"""The files of a folder of rows, as bytes that Ray does not copy."""


class RayCluster:
    """Trials as tasks of one core each, on every machine of a Ray cluster. See `Executor`.

    A task whose worker or machine is lost is given out again by Ray, `ATTEMPTS` times in all; it
    begins anew, for its checkpoints were there. Machines may come and go while a sweep is made.
    Epochs are not reported.

    Attributes:
      n_workers: Trials made at once, at most: the cores of the cluster when it was joined.
    """

    def __init__(self, address: str, n_workers: int | None = None) -> None:
        """Say where; the cluster is started or joined by `with`.

        Args:
          address: `local` starts Ray on this computer; else the HOST:PORT of a cluster that this
            computer belongs to, or `auto`.
          n_workers: Cores to use, at most; None: all there are.

        Raises:
          SettingsError: Fewer than one.
        """
        if n_workers is not None and n_workers < 1:
            raise SettingsError("E803", "Too few", expected="1 or more", workers=n_workers)
        self._address, self._limit = address, n_workers
        self.n_workers = n_workers or 1
        self._sent: dict[str, tuple[str, list[Any]]] = {}
        self._alive = 0

    def __enter__(self) -> Self:
        self._ray = join(self._address, self._limit)
        self._sent.clear()  # rows in the store of a cluster that was left
        self._alive = 0
        self._make = self._ray.remote(
            num_cpus=1, max_retries=ATTEMPTS - 1, retry_exceptions=[FileError]
        )(_make_there)
        self.n_workers = self._slots()
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()  # tasks of this driver end with it

    def run(
        self, jobs: Sequence[Job], listener: Listener, go_on: Callable[[], bool] = lambda: True
    ) -> Iterator[Job]:
        pending, running = deque(jobs), dict[Any, Job]()
        looked, slots = 0.0, 1
        while True:
            if time.monotonic() - looked > LOOK_SECONDS:
                looked, slots = time.monotonic(), self._slots()
                self._count_machines(listener)
            while pending and len(running) < slots and go_on():
                job = pending.popleft()
                listener.trial_started(job.name)
                running[self._make.remote(job.as_plain(), *self._rows_of(job.data))] = job
            if not running:
                return
            refs = list(running)
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)
            if ready:
                ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
            for ref in ready:
                job = running.pop(ref)
                self._end(job, ref)
                yield job

    def _slots(self) -> int:
        n_cores = int(self._ray.cluster_resources().get("CPU", 0))
        return max(1, min(n_cores, self._limit or n_cores))

    def _count_machines(self, listener: Listener) -> None:
        """Say that some are lost: what they were at begins anew elsewhere."""
        n_alive = sum(node["Alive"] for node in self._ray.nodes())
        if n_alive < self._alive:
            lost = self._alive - n_alive
            listener.warn(f"{lost} of {self._alive} machines lost: their trials are made again")
        self._alive = n_alive

    def _rows_of(self, folder: str) -> tuple[str, list[Any]]:
        """What names the rows, and the rows in Ray's store, put there once.

        They stand in a list: Ray would fetch them for each task, wanted or not.
        """
        if folder not in self._sent:
            rows = read_rows(Path(folder))
            held = [] if self._address == LOCAL else [self._ray.put(rows)]
            self._sent[folder] = key_of(rows), held
        return self._sent[folder]

    def _end(self, job: Job, ref: Any) -> None:
        """Write what a task made, or why there is nothing."""
        try:
            keep(job, self._ray.get(ref))
        except self._ray.exceptions.RayTaskError as error:
            raise _translated(error) from error
        except self._ray.exceptions.RayError as error:
            give_up(job, f"its worker died, {ATTEMPTS} times: {_first_line(error)}")


class Answered(NamedTuple):
    """What a batch prediction came to.

    Attributes:
      path: The table, as `predict --csv` prints it.
      n_answers: Lines in it.
      n_errors: Inputs that cannot be read; they have lines, too.
      n_found: Shards that were there already.
    """

    path: Path
    n_answers: int
    n_errors: int
    n_found: int


def predict_many(
    address: str,
    run: Path,
    inputs: Sequence[Path],
    out: Path,
    options: PictureOptions = DEFAULT_OPTIONS,
    *,
    listener: Listener | None = None,
) -> Answered:
    """Answer many files on a cluster, through Ray Data: a model in each process, shards to each.

    Every machine must see the files under the names they have here. Each shard's answers are
    written into `out` here when they are whole; those of the same files and the same model that
    are there already are not asked for again.

    Args:
      address: As in `RayCluster`.
      run: A run folder or a `model.onnx`: who answers.
      inputs: Files, as `Model.predict` takes them.
      out: A folder for the shards and, at the end, `predictions.csv`.
      options: How picture files are read.
      listener: Is told how many shards are done.

    Raises:
      BackendError: No such cluster, or a machine that does not see the files.
      ModelError: No model there that can be used.
      FileError: `out` cannot be written, or an input is not there.
    """
    listener = listener or Listener()
    path = run / "model.onnx" if run.is_dir() else run
    with files.os_errors("open", path):
        content = path.read_bytes()
    model = Model(content, where=path)
    shards = {
        _shard_name(i, model, part, options): [str(path) for path in part]
        for i, part in enumerate(_parts(inputs, SHARD_FILES))
    }
    folder = out / "shards"
    with files.os_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    missing = {name: part for name, part in shards.items() if not (folder / name).is_file()}
    n_found = len(shards) - len(missing)
    listener.progress(n_found, len(shards))
    with files.locked(out, wait=False):
        if missing:
            answered = _answered(address, content, missing, options)
            for n_done, (name, text) in enumerate(answered, n_found + 1):
                files.write_text(folder / name, text)
                listener.progress(n_done, len(shards))
        head = _table(model, [], options)
        n_answers = n_errors = 0
        with files.durable(out / "predictions.csv") as file:
            file.write(head.encode())
            for name in shards:
                text = (folder / name).read_bytes().decode()
                file.write(text.removeprefix(head).encode())
                lines = csv.DictReader(io.StringIO(text, newline=""))
                errors = [line["error"] for line in lines]
                n_answers, n_errors = n_answers + len(errors), n_errors + sum(map(bool, errors))
    return Answered(out / "predictions.csv", n_answers, n_errors, n_found)


def _answered(
    address: str, content: bytes, shards: Mapping[str, list[str]], options: PictureOptions
) -> Iterator[tuple[str, str]]:
    """Name and text of each shard, as they come."""
    ray = join(address)
    data = importlib.import_module("ray.data")
    try:
        context = data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        # Ray Data gives the shards of a lost process out again; what a process raises ends all.
        rows = [{"name": name, "inputs": part} for name, part in shards.items()]
        n_actors = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
        answered = data.from_items(rows, override_num_blocks=len(rows)).map(
            _Answerer,
            fn_constructor_args=(ray.put(content), os.getcwd(), options),
            compute=data.ActorPoolStrategy(size=n_actors),
            num_cpus=1,
        )
        for row in answered.iter_rows():
            if row["unseen"]:
                fix = "Put the files on storage that all machines share"
                wrong = "A machine of the cluster does not see the file"
                raise BackendError("E910", wrong, where=row["unseen"], fix=fix)
            yield row["name"], row["text"]
    except ray.exceptions.RayTaskError as error:
        raise _translated(error) from error
    except ray.exceptions.RayError as error:
        raise BackendError("E907", "The cluster failed", reason=_first_line(error)) from error
    finally:
        ray.shutdown()


class _Answerer:
    """A model in a process of the cluster."""

    def __init__(self, content: Any, folder: str, options: PictureOptions) -> None:
        import ray

        self._model = Model(ray.get(content))
        self._options = options
        with suppress(OSError):  # relative names then mean what they mean to the driver
            os.chdir(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        paths = [Path(name) for name in row["inputs"]]
        for path in paths:
            if not path.exists():  # as a value: of what is raised Ray Data keeps no cause
                return {"name": row["name"], "text": "", "unseen": str(path)}
        text = _table(self._model, paths, self._options)
        return {"name": row["name"], "text": text, "unseen": ""}


def _table(model: Model, paths: Sequence[Path], options: PictureOptions) -> str:
    """What `tenfold predict --csv` prints of these files."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_head(model.labels))
    for answer in answer_files(model, paths, options):
        writer.writerow(csv_row(answer, model.labels))
    return text.getvalue()


def _parts(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


def _shard_name(i: int, model: Model, paths: Sequence[Path], options: PictureOptions) -> str:
    """A name that no other answers have: by model, options, names, sizes and times of the files."""
    digest = hashlib.sha256(f"{model.sha256} {options}\n".encode())
    for path in paths:
        with files.os_errors("read", path):
            known = path.stat()
        digest.update(json.dumps([str(path), known.st_size, known.st_mtime_ns]).encode())
    return f"shard-{i:06}-{digest.hexdigest()[:16]}.csv"


def join(address: str, n_cores: int | None = None) -> ModuleType:
    """Ray, connected. Usage statistics and dashboard are off, the token is on.

    Args:
      address: As in `RayCluster`.
      n_cores: Of a cluster that is started here; None: all that this process may use.

    Raises:
      BackendError: Ray is not installed, or there is no such cluster, or its token is another one.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        raise BackendError(
            "E908", "A cluster needs Ray", fix="pip install 'tenfold[cluster]'", cluster=address
        ) from error
    started: dict[str, Any] = {
        "num_cpus": n_cores or usable_cores(),
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
    }
    heard = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            # Ray's processes are other programs at once: JAX has nothing to fear in them.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\)")
            ray.init(
                address=address,
                runtime_env={"env_vars": dict(ENVIRONMENT)},
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(started if address == LOCAL else {}),
            )
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise BackendError(
            "E909",
            "No cluster to work on",
            expected="local, or the HOST:PORT of a cluster this computer belongs to",
            fix="Start one with: ray start --head (docs/guide/scale.md)",
            cluster=address,
            reason=_first_line(error),
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, heard)  # Ray would end this process its own way
    return ray


def _make_there(plain: dict[str, Any], key: str, held: list[Any]) -> Files:
    """A trial in a folder of the machine this runs on: its files."""
    job = Job.from_plain(plain)
    check_versions(job.record["versions"])
    if LEARNERS[job.record["learner"]].epochs:
        _prepare_once()
    data = rows_here(Path(job.data), key, lambda: _fetched(held))
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        folder = Path(name) / job.name
        run_trial(replace(job, folder=str(folder), data=str(data)))
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


_is_prepared = False


def _prepare_once() -> None:
    global _is_prepared
    if not _is_prepared:
        prepare()
    _is_prepared = True


def _fetched(held: list[Any]) -> Rows:
    import ray

    rows: Rows = ray.get(held[0])
    return rows


def check_versions(versions: Mapping[str, str]) -> None:
    """Refuse to compute with other libraries than the driver has: bits would differ.

    Raises:
      BackendError: One is another version here.
    """
    here = {name: importlib.metadata.version(name) for name in versions if name != "python"}
    if other := [f"{name} {found}" for name, found in here.items() if found != versions[name]]:
        wanted = ", ".join(f"{name} {versions[name]}" for name in here)
        raise BackendError(
            "E906",
            "A worker with other versions",
            expected=wanted,
            fix="Install the same everywhere",
            found=", ".join(other),
        )


def read_rows(folder: Path) -> Rows:
    """The files of shared rows.

    Raises:
      FileError: One cannot be read.
    """
    with files.os_errors("read", folder):
        return {path.name: np.fromfile(path, np.uint8) for path in sorted(folder.iterdir())}


def key_of(rows: Rows) -> str:
    """What names rows: SHA-256 of their files."""
    digest = hashlib.sha256()
    for name, content in sorted(rows.items()):
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content.data)
    return digest.hexdigest()


def rows_here(shared: Path, key: str, fetch: Callable[[], Rows]) -> Path:
    """The folder of the rows on this machine: the driver's own where it is seen from here, else the
    machine's, where they are written the first time.

    Args:
      shared: Where the driver has them.
      key: What `key_of` says of them.
      fetch: Brings them over.

    Raises:
      FileError: They cannot be written.
    """
    if (shared / MANIFEST).is_file() and _key_at(shared) == key:
        return shared
    above = files.cache_folder() / "rows"
    with files.os_errors("create", above):
        above.mkdir(parents=True, exist_ok=True)
    folder = above / key
    with files.locked(above):  # one process of the machine writes, the others wait for it
        if not (folder / MANIFEST).is_file():
            with files.os_errors("write", folder):
                shutil.rmtree(folder, ignore_errors=True)  # half of it, from a process that died
                folder.mkdir()
            rows = fetch()
            for name in sorted(rows, key=lambda name: name == MANIFEST):  # the manifest last
                files.write_bytes(folder / name, rows[name].tobytes())
    return folder


_keys: dict[Path, str] = {}


def _key_at(folder: Path) -> str:
    """The key of a folder that is seen, read once in each process."""
    if folder not in _keys:
        _keys[folder] = key_of(read_rows(folder))
    return _keys[folder]


def keep(job: Job, made: Files) -> None:
    """Write the files of a trial into its folder, unless it has ended there already.

    `run.json` is written last: a trial whose driver ends in between is no trial yet.

    Raises:
      FileError: The folder cannot be written.
    """
    folder = Path(job.folder)
    with files.os_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        if not has_ended(job):
            for name in sorted(made, key=lambda name: name == "run.json"):
                files.write_bytes(folder / name, made[name])


def _translated(error: Any) -> Exception:
    """What a task raised, as it was; what is not ours, as one line."""
    cause = error.cause
    if isinstance(cause, TenfoldError):
        return cause
    fix = "Is the same Tenfold installed on every machine?"
    return BackendError("E905", "A worker cannot work", fix=fix, reason=_first_line(cause))


def _first_line(error: object) -> str:
    with suppress(IndexError):
        return str(error).strip().splitlines()[0]
    return type(error).__name__
