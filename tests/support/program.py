"""Programs in processes of their own, without the start of an interpreter for each.

A new interpreter needs up to three seconds to import Keras and JAX, and the tests start several
hundred programs. So a test session has one launcher: an interpreter that has imported the
libraries and started none of them. Each program is forked from it and has a working folder, an
environment, streams, signals and an exit status of its own, as a process started from a shell has.

What depends on the start and the end of an interpreter (which modules are loaded, in which order,
`python -W`, the encoding of the streams, threads still running) is tested with `subprocess`.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from typing import IO, Any

LIBRARIES = (
    "jax", "keras", "onnx", "onnxruntime", "pandas", "scipy.stats",
    "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "tenfold.cli.main",
)  # fmt: skip

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

QUICKLY_COMPILED = "--xla_backend_optimization_level=0"
"""A flag for XLA, set for the processes of the tests: those that train take two thirds of the time
with it (measured: 60 s of 88 for test_convolution.py). Programs are compiled as for users."""

N_FILES = 4
"""Files handed over with a request: the three streams, and where the exit status goes."""


# In the test process


class Program:
    """A running program: what tests use of `subprocess.Popen`, with text streams."""

    def __init__(
        self,
        command: Mapping[str, Any],
        *,
        stdin: Any = DEVNULL,
        stdout: Any = PIPE,
        stderr: Any = PIPE,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        request = dict(command) | {
            "cwd": os.path.abspath(cwd or os.getcwd()),
            "env": as_of_users(os.environ if env is None else env),
        }
        self.returncode: int | None = None
        self._status, status = os.pipe()
        self.stdin, stdin = _stream(stdin, "w")
        self.stdout, stdout = _stream(stdout, "r")
        self.stderr, stderr = _stream(stderr, "r")
        files = [stdin, stdout, stderr, status]
        self.pid = launcher().fork(request, files)
        for file in files:
            os.close(file)

    def poll(self, seconds: float | None = 0) -> int | None:
        """The exit status; None if the program still runs after so many seconds."""
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            self.returncode = int(os.read(self._status, 20))
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that is still printed, on both streams, until the program ends."""
        read: dict[str, str] = {"stdout": "", "stderr": ""}

        def drain(name: str, stream: IO[str]) -> None:
            with stream:
                read[name] = stream.read()

        if self.stdin:
            self.stdin.close()
        streams = {"stdout": self.stdout, "stderr": self.stderr}
        threads = [
            threading.Thread(target=drain, args=(name, stream), daemon=True)
            for name, stream in streams.items()
            if stream and not stream.closed
        ]
        for thread in threads:
            thread.start()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        for thread in threads:
            thread.join()
        return read["stdout"], read["stderr"]


def as_of_users(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the flag that the tests add."""
    flags = environment.get("XLA_FLAGS", "").replace(QUICKLY_COMPILED, "").strip()
    others = {name: value for name, value in environment.items() if name != "XLA_FLAGS"}
    return others | ({"XLA_FLAGS": flags} if flags else {})


def _stream(wanted: Any, mode: str) -> tuple[IO[str] | None, int]:
    """Our end of a stream of the program, if it is a pipe, and the descriptor of the other end."""
    if wanted == DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    if wanted != PIPE:
        return None, os.dup(wanted if isinstance(wanted, int) else wanted.fileno())
    reading, writing = os.pipe()
    ours, theirs = (reading, writing) if mode == "r" else (writing, reading)
    return open(ours, mode, encoding="utf-8"), theirs


def start(*arguments: object, **options: Any) -> Program:
    """Start `tenfold` with these arguments."""
    return Program({"arguments": [str(argument) for argument in arguments]}, **options)


def start_python(source: str, *arguments: object, **options: Any) -> Program:
    """Start a Python program, as `python -c` does."""
    command = {"source": source, "arguments": [str(argument) for argument in arguments]}
    return Program(command, **options)


Done = subprocess.CompletedProcess[str]


def finish(program: Program, timeout: float = 120) -> Done:
    printed, messages = program.communicate(timeout)
    assert program.returncode is not None
    return Done([], program.returncode, printed, messages)


def call(*arguments: object, timeout: float = 120, **options: Any) -> Done:
    """Run `tenfold` with these arguments to its end."""
    return finish(start(*arguments, **options), timeout)


def call_python(source: str, *arguments: object, timeout: float = 120, **options: Any) -> Done:
    """Run a Python program to its end."""
    return finish(start_python(source, *arguments, **options), timeout)


SESSION = "TENFOLD_TEST_SESSION"
"""The variable that names the folder of a test session."""


class Launcher:
    """The interpreter from which programs are forked. It ends with the last who is connected."""

    def __init__(self) -> None:
        path = os.path.join(os.environ[SESSION], "launcher")
        with open(f"{path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(path)
            except OSError:  # nobody has started it yet
                self._process = start_launcher(path)
                self._socket.connect(path)

    def fork(self, request: Mapping[str, Any], files: Sequence[int]) -> int:
        """Start a program with these files; returns its process number."""
        content = json.dumps(request).encode()
        socket.send_fds(self._socket, [len(content).to_bytes(4, "big")], list(files))
        self._socket.sendall(content)
        return int.from_bytes(_receive(self._socket, 4), "big")


def start_launcher(path: str) -> subprocess.Popen[bytes]:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        return subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdin=DEVNULL,
            stdout=DEVNULL,
            env={**os.environ, "KERAS_BACKEND": "jax", "ORT_DISABLE_TELEMETRY": "1"},
        )


@functools.cache
def launcher() -> Launcher:
    return Launcher()


def _receive(connection: socket.socket, n_bytes: int) -> bytes:
    content = b""
    while len(content) < n_bytes:
        part = connection.recv(n_bytes - len(content))
        if not part:
            raise EOFError
        content += part
    return content


# In the launcher


def serve(listener: socket.socket) -> dict[str, Any]:
    """Fork a program for each request, and say how it ended. Returns in the programs alone."""
    ended, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    connections = [listener.accept()[0]]
    while connections:
        files_to_watch: list[Any] = [listener, ended, *connections]
        ready = select.select(files_to_watch, [], [])[0]
        if ended in ready:
            os.read(ended, 1024)
            report_ends(running)
        if listener in ready:
            connections.append(listener.accept()[0])
        connection = next((one for one in connections if one in ready), None)
        if connection is None:
            continue
        request, files = receive_request(connection)
        if not request:
            connections.remove(connection)
            connection.close()
            continue
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for file in (ended, waking, *running.values(), files.pop()):
                os.close(file)
            for one in (listener, *connections):
                one.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            return request
        running[pid] = files.pop()
        for file in files:
            os.close(file)
        connection.sendall(pid.to_bytes(4, "big"))
    os._exit(0)  # the tests are over


def receive_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What to run and its files; nothing from a test process that ended."""
    header, files, _, _ = socket.recv_fds(connection, 4, N_FILES)
    if not header:
        return {}, []
    size = int.from_bytes(header + _receive(connection, 4 - len(header)), "big")
    return json.loads(_receive(connection, size)), files


def report_ends(running: dict[int, int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            file = running.pop(pid)
            with open(file, "w") as pipe:
                try:
                    pipe.write(str(os.waitstatus_to_exitcode(status)))
                    pipe.flush()
                except BrokenPipeError:
                    pass  # nobody asks any more


# In the program


def become(request: Mapping[str, Any]) -> None:
    """Go on as the program that a request describes."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for name, number, errors in (
        ("stdin", 0, "strict"), ("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")
    ):  # fmt: skip
        is_line_buffered = number == 2 or os.isatty(number)
        stream = open(  # noqa: SIM115  # as long as the program
            number, "r" if number == 0 else "w", encoding="utf-8", errors=errors, closefd=False,
            buffering=-1,
        )  # fmt: skip
        stream.reconfigure(line_buffering=is_line_buffered)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(request: Mapping[str, Any]) -> int:
    """Run a program to its end; returns its exit status."""
    try:
        execute(request)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def execute(request: Mapping[str, Any]) -> None:
    become(request)
    if "source" in request:
        sys.argv = ["-c", *request["arguments"]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(request["source"], "<string>", "exec"), main.__dict__)
    else:
        from tenfold.cli import main as cli

        sys.argv = [str(cli.__file__), *request["arguments"]]
        cli.main()


if __name__ == "__main__":
    import importlib

    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as tests:
        asked = serve(tests)
    exit_status = run(asked)
    atexit._run_exitfuncs()
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            output.flush()
    # Not sys.exit: the library of ONNX Runtime waits at the end of a process for a thread that it
    # started when it was imported, and a forked process does not have that thread.
    os._exit(exit_status)
