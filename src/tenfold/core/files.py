"""Durable files: a file with its final name is complete, and survives a crash.

Each is written to a temporary file beside the target, then flush, fsync, rename and, if the system
supports it, fsync of the folder. A reader sees the old file or the new one, never a part.
"""

import errno
import hashlib
import itertools
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tenfold.core import systems
from tenfold.core.errors import DataError, FileError, TenfoldError
from tenfold.core.installation import missing_packages

if TYPE_CHECKING:
    from pydantic import BaseModel

LOCK, sync_folder = systems.LOCK, systems.sync_folder
is_of_a_file_manager = systems.is_of_a_file_manager


@contextmanager
def durable(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears as `path` only when the block ends without an error.

    Raises:
      FileError: The folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}.{secrets.token_hex(4)}")
    with os_errors("write", path):
        try:
            with temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            systems.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        systems.sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` durably as `path`, replacing what was there."""
    with durable(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, durably. Undecodable file names in it are written as by
    `printable`."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as strict, indented JSON (no NaN, no infinity), durably."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_document(path: Path, document: "BaseModel") -> None:
    """Write a pydantic document as indented JSON, durably."""
    write_text(path, document.model_dump_json(indent=2) + "\n")


def free_name(folder: Path, stem: str, suffix: str) -> Path:
    """The first path among `stem.png`, `stem-2.png`, `stem-3.png`, ... that does not exist yet."""
    with os_errors("look into", folder):
        for number in itertools.chain([""], (f"-{i}" for i in itertools.count(2))):
            path = folder / f"{stem}{number}{suffix}"
            if not path.exists():
                break
    return path


def stem_of(name: str) -> str:
    """The beginning of the names of files and folders about a dataset, valid on every system."""
    return systems.file_name(Path(name).resolve().stem)


def within(path: Path) -> list[Path]:
    """The path itself, or for a folder all files in it, by name. Hidden files are ignored.

    Raises:
      FileError: The folder has no files, or cannot be read.
    """
    with os_errors("look into", path):
        if not path.is_dir():
            return [path]
        found = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(p.startswith(".") for p in file.relative_to(path).parts)
        )
    if not found:
        raise FileError("E901", "The folder is empty", where=path, expected="a folder with files")
    return found


def check_new(path: Path) -> None:
    """Raise a `DataError` if the path exists already."""
    with os_errors("look for", path):
        exists = path.exists()
    if exists:
        raise DataError(
            "E102", "The file exists already", where=path, expected="the name of a new file"
        )


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock `folder` for this process. Other processes wait or give up. The lock ends with the
    process.

    Raises:
      FileError: Another process has the lock and `wait` is false, or locking fails.
    """
    with ExitStack() as stack:
        with os_errors("lock", folder):
            is_ours = stack.enter_context(systems.hold_folder_lock(folder, wait=wait))
        if not is_ours:
            expected = "a folder that no other process works on"
            raise FileError(
                "E903", "Another process is using the folder", where=folder, expected=expected
            )
        yield


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with os_errors("read", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def os_errors(verb: str = "read or write", path: Path | str | None = None) -> Iterator[None]:
    """Convert errors of the operating system in this block to a `FileError`: "Cannot <verb>".

    Without a path, the error names the file of the system's message. It is also a decorator, used
    on public functions for errors that no inner block expects. It also reports packages that this
    installation lacks.
    """
    try:
        with missing_packages():
            yield
    except TenfoldError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "Free some space or choose another folder" if full else None
        reason = error.strerror or str(error)
        where = error.filename if path is None else path
        raise FileError("E902", f"Cannot {verb}", where=where, fix=fix, reason=reason) from error


def cache_folder() -> Path:
    """The folder for files that can be downloaded or made again. It may not exist yet.

    It is `TENFOLD_CACHE`, or else the platform's folder (`~/.cache/tenfold` on Linux).
    """
    import platformdirs

    chosen = os.environ.get("TENFOLD_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("tenfold", False)
