"""Predict many files on a Ray cluster, and write the predictions into one table."""

import csv
import hashlib
import importlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tenfold.core import files
from tenfold.core.errors import BackendError
from tenfold.core.progress import Listener
from tenfold.experiments.ray.connection import cluster_errors, connect
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.answer_forms import answer_files, csv_head, csv_row
from tenfold.model.model import Model

SHARD_FILES = 256
"""Number of files that are predicted and written together. This is a second or two of work, so that
little is repeated after an interruption."""


class BatchResult(NamedTuple):
    """The result of a batch prediction: the table, as `predict --csv` prints it, and its counts.

    The table also has lines for inputs that cannot be read. Shards are counted as found if they
    existed before.
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
) -> BatchResult:
    """Predict many files on a cluster with Ray Data. Each process opens the model once and predicts
    shards of the files.

    Every machine must see the files under the same names. The predictions of each shard are written
    into `out` on this machine when the shard is complete. If `out` already contains them, for the
    same files and the same model, they are not computed again. At the end `out` contains
    `predictions.csv`.
    """
    listener = listener or Listener()
    path = run / "model.onnx" if run.is_dir() else run
    with files.os_errors("open", path):
        content = path.read_bytes()
    model = Model(content, where=path)
    starts = range(0, len(inputs), SHARD_FILES)
    parts = [inputs[start : start + SHARD_FILES] for start in starts]
    shards = {
        _shard_name(i, model, part, options): [str(path) for path in part]
        for i, part in enumerate(parts)
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
    return BatchResult(out / "predictions.csv", n_answers, n_errors, n_found)


def _answered(
    address: str, content: bytes, shards: Mapping[str, list[str]], options: PictureOptions
) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each shard as it arrives."""
    ray = connect(address)
    data = importlib.import_module("ray.data")
    try:
        with cluster_errors():
            context = data.DataContext.get_current()
            context.enable_progress_bars = context.print_on_execution_start = False
            # Ray Data retries the shards of a lost process; an exception ends
            # everything.
            rows = [{"name": name, "inputs": part} for name, part in shards.items()]
            n_actors = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
            answered = data.from_items(rows, override_num_blocks=len(rows)).map(
                _AnsweringProcess,
                fn_constructor_args=(ray.put(content), os.getcwd(), options),
                compute=data.ActorPoolStrategy(size=n_actors),
                num_cpus=1,
            )
            for row in answered.iter_rows():
                if row["unseen"]:
                    raise BackendError(
                        "E910",
                        "A machine of the cluster cannot see the file",
                        where=row["unseen"],
                        fix="Put the files on storage that all machines share",
                    )
                yield row["name"], row["text"]
    finally:
        ray.shutdown()


class _AnsweringProcess:
    """A model in a process of the cluster."""

    def __init__(self, content: Any, folder: str, options: PictureOptions) -> None:
        import ray

        self._model = Model(ray.get(content))
        self._options = options
        with suppress(OSError):  # so that relative names mean the same as for the driver
            os.chdir(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        paths = [Path(name) for name in row["inputs"]]
        for path in paths:
            if not path.exists():  # not raised: Ray Data would lose the cause
                return {"name": row["name"], "text": "", "unseen": str(path)}
        text = _table(self._model, paths, self._options)
        return {"name": row["name"], "text": text, "unseen": ""}


def _table(model: Model, paths: Sequence[Path], options: PictureOptions) -> str:
    """The text that `tenfold predict --csv` prints for these files."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    answers = answer_files(model, paths, options)
    first = next(answers, None)
    writer.writerow(csv_head(model, first))
    for answer in chain([] if first is None else [first], answers):
        writer.writerow(csv_row(answer, model))
    return text.getvalue()


def _shard_name(i: int, model: Model, paths: Sequence[Path], options: PictureOptions) -> str:
    """A unique name for these predictions, made from the model, the options, and the names, sizes
    and modification times of the files."""
    digest = hashlib.sha256(f"{model.sha256} {options}\n".encode())
    for path in paths:
        with files.os_errors("read", path):
            status = path.stat()
        digest.update(json.dumps([str(path), status.st_size, status.st_mtime_ns]).encode())
    return f"shard-{i:06}-{digest.hexdigest()[:16]}.csv"
