"""All differences between operating systems. The rest of the code asks this module.

`docs/design/systems.md` lists each difference, what is done in each case, and its test.
`sys.platform` is checked in the functions, never at import, in the form that mypy understands, so
that `mypy --platform win32` finds every call that Windows lacks.
"""

import base64
import ctypes
import importlib.util
import os
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

LOCK = ".lock"
"""The file that is locked instead of its folder on Windows."""

PATIENCE_SECONDS = 2.0
"""How many seconds Windows may refuse to rename a new file because other processes still read the
old one."""

SO_ATTACH_FILTER = 26
"""The option's number from asm-generic/socket.h, because the socket module has no name for it."""

OF_FILE_MANAGERS = re.compile(r"(\.DS_Store|\._.*|Thumbs\.db|desktop\.ini)\Z", re.IGNORECASE)
"""Names of files that Finder and Explorer write into folders that are viewed."""

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""Characters that are forbidden in file names on Windows (learn.microsoft.com, Naming Files)."""


# Files


def replace(source: Path, target: Path) -> None:
    """Give a file its final name, replacing what is there.

    Windows refuses while another process reads the old file, so the call is retried.
    """
    patience = PATIENCE_SECONDS if sys.platform == "win32" else 0
    deadline = time.monotonic() + patience
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. A power failure before this may undo a rename.

    Windows cannot open a folder and has no such call, but NTFS keeps a journal of names.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_of_a_file_manager(name: str) -> bool:
    """Whether a file was left by a file manager that viewed its folder, such as `.DS_Store`."""
    return OF_FILE_MANAGERS.match(name.rpartition("/")[2]) is not None


@contextmanager
def hold_folder_lock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock `folder` for this process. Returns false if another process has the lock.

    The lock is on the folder itself, so that a crash leaves no file behind. Windows cannot lock a
    folder; there a hidden file in it is locked, which stays.
    """
    if sys.platform == "win32":
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
    else:
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        from filelock import lock_descriptor

        yield lock_descriptor(descriptor, blocking=wait)
    finally:
        os.close(descriptor)  # this ends the lock


def file_name(text: str) -> str:
    """A text as a part of a file name that is valid on every system."""
    return FORBIDDEN.sub("_", text)


# Cores and memory


def usable_cores() -> int:
    """The number of cores that this process may use, which may be fewer than the computer has."""
    mine = getattr(os, "sched_getaffinity", None)  # exists only on Linux
    return len(mine(0)) if mine else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """The memory of this computer. None if Python cannot find it out on this system."""
    if sys.platform == "win32":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def resident_bytes() -> int | None:
    """The current memory of this process, only on Linux."""
    if sys.platform != "linux":
        return None
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int | None:
    """The largest memory of this process so far. None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept * (1 if sys.platform == "darwin" else 1024)  # getrusage(2): KiB on Linux


# Processes and their signals


def leaving_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a program to exit. On Windows there is only Ctrl-Break."""
    if sys.platform == "win32":
        return signal.SIGTERM, signal.SIGINT, signal.SIGBREAK
    return signal.SIGTERM, signal.SIGINT


def apart() -> dict[str, Any]:
    """Options of `subprocess.Popen` for a process that does not receive Ctrl-C of the terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def how_ended(status: int) -> str:
    """How a process ended, `SIGKILL` or `exit 1`. Windows only has exit codes."""
    return signal.Signals(-status).name if status < 0 else f"exit {status}"


def files_to_inherit(listener: socket.socket) -> tuple[int, ...]:
    """Descriptors that a process must inherit to take over a socket."""
    return () if sys.platform == "win32" else (listener.fileno(),)


def hand_over(listener: socket.socket, pid: int) -> str:
    """The data that `take_over` in another process of this program needs to use the same socket."""
    if sys.platform == "win32":
        return base64.b64encode(listener.share(pid)).decode()
    return str(listener.fileno())


def take_over(handed: str) -> socket.socket:
    """A socket at which another process is listening, too."""
    if sys.platform == "win32":
        return socket.fromshare(base64.b64decode(handed))
    return socket.socket(fileno=int(handed))


# The service


def event_loop(*, shares_port: bool) -> Callable[[], Any] | None:
    """The factory of the service's event loop: uvloop, or asyncio's (None) on Windows.

    On Windows, asyncio's usual loop cannot listen at a socket that another process uses, because a
    socket has one completion port (uvicorn 0.54, loops/asyncio.py).
    """
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        return uvloop.new_event_loop
    import asyncio

    return asyncio.SelectorEventLoop if shares_port else None


def most_connections(*, shares_port: bool) -> int | None:
    """Maximum number of connections of that loop. None: there is no limit.

    On Windows there are 512 sockets (FD_SETSIZE in Python's selectmodule.c), some for other uses.
    """
    return 480 if sys.platform == "win32" and shares_port else None


def takes_more(stream: TextIO) -> bool:
    """Whether a stream can be written to without waiting for its reader.

    Windows can only tell for sockets. For others the result is true, and the writer may wait.
    """
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):  # it is no file of the operating system
        return True


def ignore_connections(listener: socket.socket) -> None:
    """Make a socket ignore new connections. Those in its queue can still be accepted.

    Closing a socket resets the connections in its queue, whose clients have already sent requests.
    With eight clients, 1 to 6 requests were lost at each of 20 restarts (88 of 9,260), and with
    this none of 8,656. It works on Linux only: a filter that passes no packet (socket(7),
    Documentation/networking/filter.rst: one instruction, BPF_RET | BPF_K with 0) makes new clients
    try again, until the closed socket refuses them.
    """
    if sys.platform == "linux":
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HL", 1, ctypes.addressof(nothing))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


# Words that people type and see


def quoted(words: Sequence[str]) -> str:
    """Words as a line that can be typed into the shell of this system."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def is_program(called: Path, installed: Path) -> bool:
    """Whether `called`, the name with which a program was started, is this file.

    On Windows the name comes without `.exe`.
    """
    files = [called, called.with_name(f"{called.name}.exe")]
    return any(file.exists() and file.samefile(installed) for file in files)
