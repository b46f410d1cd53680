"""Transport the rows of a sweep to other machines, file by file and one part at a time.

No process holds all rows in memory. A folder of pictures that is streamed on this machine is also
streamed on the others.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.experiments.sweeps.shared_rows import MANIFEST

PART_BYTES = 32 << 20
"""Maximum number of bytes that are read, sent and written at once."""

Part = NDArray[np.uint8]
"""Bytes of a file (n,), which Ray sends without copying them."""

Shipped = list[tuple[str, list[Any]]]
"""The name of each file of rows and the references to its parts, in order. The manifest is the last
file."""


def key_of(folder: Path) -> str:
    """A key of rows: the SHA-256 of the names, sizes and bytes of their files."""
    digest = hashlib.sha256()
    for path in _files_of(folder):
        digest.update(f"{path.name}\n{path.stat().st_size}\n".encode())
        for part in _parts_of(path):
            digest.update(part.data)
    return digest.hexdigest()


def ship(folder: Path, put: Callable[[Part], Any]) -> Shipped:
    """Send the files that `shared_rows.share` wrote. `put` stores a part and returns its
    reference."""
    return [(path.name, [put(part) for part in _parts_of(path)]) for path in _files_of(folder)]


def rows_here(shared: Path, key: str, shipped: Shipped, get: Callable[[Any], Part]) -> Path:
    """Return the folder of the rows on this machine.

    This is the driver's own folder, `shared`, if it is visible here and has the same `key`.
    Otherwise it is a folder of this machine, which is written the first time. `get` fetches a part.
    """
    if (shared / MANIFEST).is_file() and _key_once(shared) == key:
        return shared
    above = files.cache_folder() / "rows"
    with files.os_errors("create", above):
        above.mkdir(parents=True, exist_ok=True)
    folder = above / key
    with files.locked(above):  # one process of the machine writes, and the others wait
        if not (folder / MANIFEST).is_file():
            with files.os_errors("write", folder):
                shutil.rmtree(folder, ignore_errors=True)  # incomplete, from a process that died
                folder.mkdir()
            for name, parts in shipped:
                with files.durable(folder / name) as file:
                    for part in parts:
                        file.write(get(part).data)
    return folder


_key_once = cache(key_of)
"""The key of a shared folder, computed once in each process."""


def _files_of(folder: Path) -> list[Path]:
    with files.os_errors("read", folder):
        return sorted(folder.iterdir(), key=lambda path: (path.name == MANIFEST, path.name))


def _parts_of(path: Path) -> Iterator[Part]:
    with files.os_errors("read", path), path.open("rb") as file:
        while (part := np.fromfile(file, np.uint8, PART_BYTES)).size:
            yield part
