"""A Python that is to Tenfold as on another system; it is imported where `PYTHONPATH` has it.

To the files of Tenfold alone: names that the system lacks are not there, modules neither, and
`sys.platform` is its name. Other packages, which have their own ways on each system, see Linux.
Below the working folder files keep the rules of Windows where that is the system. What an encoding
of the system decides is an error. `tests/support/systems.py` says what the system lacks.
"""

import builtins
import errno
import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Mapping
from typing import Any

ABOUT: dict[str, Any] = json.loads(os.environ["TENFOLD_ELSEWHERE"])
FOLDER = ABOUT["folder"] + os.sep
FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$|(?i:^(con|prn|aux|nul|com\d|lpt\d)(\.|$))')
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "sys": {"platform": ABOUT["platform"]},
    "signal": {"SIGBREAK": signal.SIGUSR1} if ABOUT["platform"] == "win32" else {},
    "subprocess": {"CREATE_NEW_PROCESS_GROUP": 512} if ABOUT["platform"] == "win32" else {},
}

frame_at, usual_import = sys._getframe, builtins.__import__
start_process = subprocess.Popen.__init__
inside = threading.local()


def is_ours(frame: types.FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith(ABOUT["source"])


class Module(types.ModuleType):
    """A module as Tenfold's files get it where they import it: some names are not there, others
    are; all else is asked of the module itself. One layer for all who ask would cost a third of
    the time of these tests: every library asks `os` and `sys` all the time."""

    def __init__(self, name: str, absent: frozenset[str]) -> None:
        super().__init__(name)
        vars(self).update(GIVEN.get(name, {}), _usual=importlib.import_module(name), _absent=absent)

    def __getattr__(self, asked: str) -> Any:
        if asked in self._absent:
            name = self.__name__
            raise AttributeError(f"module {name!r} has no attribute {asked!r}", name=asked)
        return getattr(self._usual, asked)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._usual, name, value)


CHANGED = {name: Module(name, frozenset(absent)) for name, absent in ABOUT["names"].items()}


def import_there(name: str, *arguments: Any, **named: Any) -> Any:
    found = usual_import(name, *arguments, **named)
    if not is_ours(frame_at().f_back):
        return found
    if name.partition(".")[0] in ABOUT["modules"]:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return CHANGED.get(name, found)


class Windows:
    """Processes and files as Windows has them."""

    @staticmethod
    def start(self: Any, *arguments: Any, **named: Any) -> None:
        if named.get("pass_fds") or named.get("preexec_fn"):
            raise ValueError("not supported on Windows platforms")
        if named.pop("creationflags", 0):
            named["close_fds"] = False  # listeners are inherited, which `share` stands for
        start_process(self, *arguments, **named)

    @staticmethod
    def listen(self: socket.socket, *backlog: int) -> None:
        self.set_inheritable(True)
        super(socket.socket, self).listen(*backlog)

    @classmethod
    def watch(cls, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook (PEP 578) that refuses what Windows refuses."""
        if getattr(inside, "hook", False):
            return
        inside.hook = True
        try:
            if event == "open" and isinstance(arguments[0], str | os.PathLike):
                cls.opened(os.path.abspath(os.fspath(arguments[0])), arguments[2] or 0)
            elif event in ("os.remove", "os.rename"):
                paths = arguments[:1] if event == "os.remove" else arguments[:2]
                for path in map(os.path.abspath, paths):
                    cls.refuse_used(path)
                cls.refuse_name(os.path.abspath(paths[-1]))
            elif event == "os.mkdir":
                cls.refuse_name(os.path.abspath(arguments[0]))
        finally:
            inside.hook = False

    @classmethod
    def opened(cls, path: str, flags: int) -> None:
        if os.path.isdir(path) and is_ours(frame_at(2)):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        if flags & os.O_CREAT:
            cls.refuse_name(path)

    @staticmethod
    def refuse_name(path: str) -> None:
        folder, name = os.path.split(path)
        if not path.startswith(FOLDER):
            return
        if FORBIDDEN.search(name):
            raise OSError(errno.EINVAL, "The filename syntax is incorrect", path)
        others = os.listdir(folder) if os.path.isdir(folder) else []
        if any(other != name and other.casefold() == name.casefold() for other in others):
            raise FileExistsError(errno.EEXIST, "It differs by the case of letters alone", path)

    @staticmethod
    def refuse_used(path: str) -> None:
        """Refuse to move or remove a file that a process of this session has open or mapped."""
        if not path.startswith(FOLDER):
            return
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if b"TENFOLD_ELSEWHERE" not in file.read():
                        continue
                names = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
                links = {os.readlink(name) for name in names if os.path.lexists(name)}
                with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                    is_mapped = f" {path}\n" in file.read()
            except OSError:
                continue  # it has ended, or is another user's
            if path in links or is_mapped:
                said = "The process cannot access the file because it is being used"
                raise PermissionError(errno.EACCES, said, path)


def install() -> None:
    vars(builtins)["__import__"] = import_there
    warnings.filterwarnings("ignore", category=EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module="tenfold")
    if ABOUT["platform"] == "win32":
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # for all: it is not there
        vars(socket)["fromshare"] = lambda handed: socket.socket(fileno=int(handed))
        setattr(socket.socket, "share", lambda self, pid: str(self.fileno()).encode())  # noqa: B010
        setattr(socket.socket, "listen", Windows.listen)  # noqa: B010
        setattr(subprocess.Popen, "__init__", Windows.start)  # noqa: B010
        sys.addaudithook(Windows.watch)


install()
