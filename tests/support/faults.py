"""The program with one operation on files that fails: the N-th below its working folder.

Run as a program of its own (`program.call_python`), with N (0: none of them), the number of the
error, where to write how many operations there were, a scenario, and the words of the command
line. Seen are the calls of Python: `open`, and reading and writing of what it opened, the functions
of `os` on paths and on descriptors, and `flock`.
"""

import builtins
import fcntl
import functools
import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ON_PATHS = (
    "lstat", "listdir", "mkdir", "open", "remove", "rename", "replace", "rmdir", "scandir", "stat",
    "symlink", "truncate", "unlink",
)  # fmt: skip
ON_DESCRIPTORS = ((os, "fsync"), (os, "ftruncate"), (fcntl, "flock"))


class Fault:
    """Counts operations below a folder, and raises at the one that is to fail."""

    def __init__(self, folder: str, number: int, error: int) -> None:
        self.folder, self.number, self.error = folder + os.sep, number, error
        self.count = 0

    def concerns(self, path: Any) -> bool:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        path = os.fsdecode(path) if isinstance(path, bytes | os.PathLike) else path
        return isinstance(path, str) and os.path.abspath(path).startswith(self.folder)

    def happen(self, path: Any) -> None:
        self.count += 1
        if self.count == self.number:
            name = None if isinstance(path, int) else os.fspath(path)
            raise OSError(self.error, os.strerror(self.error), name)

    def failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(path: Any = ".", *arguments: Any, **named: Any) -> Any:
            if named.get("dir_fd") is None and self.concerns(path):
                self.happen(path)
            return function(path, *arguments, **named)

        return call

    def install(self) -> None:
        for name in ON_PATHS:
            setattr(os, name, self.failing(getattr(os, name)))
        for module, name in ON_DESCRIPTORS:
            setattr(module, name, self.failing(getattr(module, name)))
        usual, fault = io.open, self

        class File(io.FileIO):
            def read(self, *arguments: Any) -> Any:
                fault.happen(self.name)
                return super().read(*arguments)

            def readall(self) -> Any:
                fault.happen(self.name)
                return super().readall()

            def readinto(self, buffer: Any) -> Any:
                fault.happen(self.name)
                return super().readinto(buffer)

            def write(self, content: Any) -> Any:
                fault.happen(self.name)
                return super().write(content)

        def opened(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            if isinstance(file, int) or not fault.concerns(file):
                return usual(file, mode, buffering, encoding, errors, newline, closefd, opener)
            fault.happen(file)
            raw = File(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            if buffering == 0:
                return raw
            buffer: Any = (
                io.BufferedRandom(raw)
                if "+" in mode
                else io.BufferedReader(raw)
                if "r" in mode
                else io.BufferedWriter(raw)
            )
            if "b" in mode:
                return buffer
            return io.TextIOWrapper(buffer, encoding, errors, newline)

        io.open = builtins.open = opened


def prepare_fetch() -> None:
    """A dataset `noise` in the catalog, and the server that has its files, in a thread."""
    import gzip
    import hashlib
    import struct

    from tenfold.data import catalog
    from tenfold.data.catalog import File, IdxDataset, Part

    content = {
        "images": struct.pack(">IIII", 0x803, 6, 4, 4) + bytes(range(96)),
        "labels": struct.pack(">II", 0x801, 6) + bytes([0, 1, 2, 0, 1, 2]),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            packed = gzip.compress(content[self.path.split("-")[1].split(".")[0]])
            self.send_response(200)
            self.send_header("Content-Length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files = {
        f"{part}-{kind}": File(f"{part}-{kind}", f"sha256:{hashlib.sha256(bytes_).hexdigest()}")
        for part in ("train", "t10k")
        for kind, bytes_ in content.items()
    }
    train, test = (Part(files[f"{p}-images"], files[f"{p}-labels"], 6) for p in ("train", "t10k"))
    mirrors = (f"http://127.0.0.1:{server.server_port}/",)
    catalog.DATASETS["noise"] = IdxDataset("noise", (4, 4), ("a", "b", "c"), train, test, mirrors)


def prepare_sweep() -> None:
    """Trials are made in this process, each by writing the model that the folder `made` holds."""
    from tenfold.core import files
    from tenfold.experiments.sweeps import commands, trials

    class Here:
        n_workers = 1

        def start(self, *_: Any) -> None:
            pass

        def run(self, jobs: Sequence[Any], *_: Any) -> Any:
            for job in jobs:
                trials.run_trial(job)
                yield job

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    made = {name: Path("made", name).read_bytes() for name in ("history.csv", "model.onnx")}

    def fit_run(run: Any, *_: Any) -> None:
        run.record.parameters, run.record.seconds["train"] = 1, 1.0
        for name, content in made.items():
            files.write_bytes(run.path / name, content)

    vars(commands)["LocalProcesses"] = lambda *_: Here()
    vars(trials)["fit_run"] = fit_run


def run(number: str, error: str, count: str, scenario: str, *words: str) -> None:
    from tenfold.cli import main as cli

    {"fetch": prepare_fetch, "sweep": prepare_sweep}.get(scenario, lambda: None)()
    sys.argv = ["tenfold", *words]
    fault, usual = Fault(os.getcwd(), int(number), int(error)), open
    fault.install()
    try:
        cli.main()
    finally:
        with usual(count, "w") as file:
            file.write(str(fault.count))


if __name__ == "__main__":
    run(*sys.argv[1:])
