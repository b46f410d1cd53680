"""What differs between operating systems: all of it stands here, and the rest asks this module.

`docs/design/systems.md` lists each difference, what is done in each case, and the test of it.
`sys.platform` is asked in the functions, never at import, in the words that mypy understands: so
`mypy --platform win32` holds that nothing is called that Windows lacks.
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
"""The file that is locked in place of its folder, on Windows."""

PATIENCE_SECONDS = 2.0
"""How long Windows may refuse a new file its name, because others still read the old one."""

SO_ATTACH_FILTER = 26
"""asm-generic/socket.h; the socket module has no name for it."""

OF_FILE_MANAGERS = re.compile(r"(\.DS_Store|\._.*|Thumbs\.db|desktop\.ini)\Z", re.IGNORECASE)
"""Names of files that Finder and Explorer write into folders that were looked at."""

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""Characters that no name of a file has on Windows (learn.microsoft.com, Naming Files)."""


# Files


def replace(source: Path, target: Path) -> None:
    """Give a file its final name, over what is there.

    Windows refuses while another process reads the old one, which is asked for again.
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
    """Make the names in `folder` durable: a rename is lost with the power until this is done.

    Windows opens no folder and has no such call; NTFS keeps a journal of names.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_of_a_file_manager(name: str) -> bool:
    """Whether a file is one that looking at its folder leaves behind, as `.DS_Store`."""
    return OF_FILE_MANAGERS.match(name.rpartition("/")[2]) is not None


@contextmanager
def hold_folder_lock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock `folder` for this process, and say whether it is: not where another one has it.

    The lock is on the folder itself, so there is no file that a crash could leave behind; on
    Windows, which locks no folder, on a hidden file in it, which stays.
    """
    if sys.platform == "win32":
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
    else:
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        from filelock import lock_descriptor

        yield lock_descriptor(descriptor, blocking=wait)
    finally:
        os.close(descriptor)  # which ends the lock


def file_name(text: str) -> str:
    """A text as a part of a file's name that every system takes."""
    return FORBIDDEN.sub("_", text)


# Cores and memory


def usable_cores() -> int:
    """How many cores this process may use: fewer than the computer has where it is confined."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(mine(0)) if mine else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """The memory of this computer; None where the system does not say it to Python."""
    if sys.platform == "win32":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def resident_bytes() -> int | None:
    """The memory that this process holds now, on Linux alone."""
    if sys.platform != "linux":
        return None
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int | None:
    """The most memory that this process has held; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept * (1 if sys.platform == "darwin" else 1024)  # getrusage(2): KiB on Linux


# Processes and their signals


def leaving_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a program to leave; Ctrl-Break is all that Windows can send to one."""
    if sys.platform == "win32":
        return signal.SIGTERM, signal.SIGINT, signal.SIGBREAK
    return signal.SIGTERM, signal.SIGINT


def apart() -> dict[str, Any]:
    """Options of `subprocess.Popen` for a process that hears no Ctrl-C of this one's terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def how_ended(status: int) -> str:
    """A process's end in words, `SIGKILL` or `exit 1`; Windows knows exit statuses alone."""
    return signal.Signals(-status).name if status < 0 else f"exit {status}"


def files_to_inherit(listener: socket.socket) -> tuple[int, ...]:
    """Descriptors that a process must be started with to take over a socket."""
    return () if sys.platform == "win32" else (listener.fileno(),)


def hand_over(listener: socket.socket, pid: int) -> str:
    """What `take_over` in another process of this program needs to have the same socket."""
    if sys.platform == "win32":
        return base64.b64encode(listener.share(pid)).decode()
    return str(listener.fileno())


def take_over(handed: str) -> socket.socket:
    """The socket that another process listens at, too."""
    if sys.platform == "win32":
        return socket.fromshare(base64.b64decode(handed))
    return socket.socket(fileno=int(handed))


# The service


def event_loop(*, shares_port: bool) -> Callable[[], Any] | None:
    """What makes the event loop of a service: uvloop, which Windows has not, or asyncio's (None).

    On Windows the usual one cannot listen at a socket that another process listens at: a socket has
    one completion port (uvicorn 0.54, loops/asyncio.py).
    """
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        return uvloop.new_event_loop
    import asyncio

    return asyncio.SelectorEventLoop if shares_port else None


def most_connections(*, shares_port: bool) -> int | None:
    """How many connections that loop can watch; None: as many as there are.

    On Windows 512 sockets (FD_SETSIZE in Python's selectmodule.c), of which some are its own.
    """
    return 480 if sys.platform == "win32" and shares_port else None


def takes_more(stream: TextIO) -> bool:
    """Whether a stream can be written to without waiting for its reader.

    Windows tells it of sockets alone: there the answer is yes, and the writer may wait.
    """
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):  # no file of the system
        return True


def ignore_connections(listener: socket.socket) -> None:
    """Let a socket ignore who comes; who is in its queue can still be accepted.

    Closing it resets those in its queue, who think that they are connected and have asked: with
    eight clients, 1 to 6 requests at each of 20 ends (88 of 9,260), and none of 8,656 with this.
    On Linux alone: a filter that passes no packet (socket(7), Documentation/networking/filter.rst:
    one instruction, BPF_RET | BPF_K with 0) makes others try again, and be refused at the end.
    """
    if sys.platform == "linux":
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HL", 1, ctypes.addressof(nothing))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


# What people type and see


def quoted(words: Sequence[str]) -> str:
    """Words as a line that can be typed: into a shell, or into one of Windows."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def is_program(called: Path, installed: Path) -> bool:
    """Whether `called`, the name that a program was started by, is this file.

    On Windows the name comes without `.exe`.
    """
    files = [called, called.with_name(f"{called.name}.exe")]
    return any(file.exists() and file.samefile(installed) for file in files)
