"""Images that would take too much memory. They stay on disk or in their files, and are read in
parts."""

import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.systems import memory_bytes, usable_cores

AT_ONCE = 64 << 20
"""Maximum number of bytes of images that are read at once. This is enough for about 5,000 images of
64x64 in colour."""

MEMORY_SHARE = 4
"""Images may take this part of the computer's memory, one quarter, because training needs memory,
too."""


def in_memory_bytes() -> int:
    """Maximum number of bytes of images that are kept in memory."""
    memory = memory_bytes() or 4 << 30
    return memory // MEMORY_SHARE


class _Storage:
    """A file that is closed with its last reader. If it has no name, it is then deleted."""

    def __init__(self, file: BinaryIO, start: int = 0) -> None:
        self.file, self.start = file, start
        self.lock = threading.Lock()
        # This is not done in __del__, because in a reference cycle the file could be collected
        # first, without being closed.
        weakref.finalize(self, file.close)

    def read(self, into: NDArray[np.uint8], start: int) -> None:
        """Fill an array from a position of the images in the file."""
        with self.lock:
            self.file.seek(self.start + start)
            self.file.readinto(into.data)  # type: ignore[attr-defined]


class StoredImages:
    """Images in a file. If the file has no name, it is deleted when nothing refers to it any more.

    Indexed by number, slice, mask or list of numbers, they return an array, as an array does. If
    the result exceeds `AT_ONCE` bytes, it is again a `StoredImages` of these rows, not yet read.
    Code that processes rows in parts does not depend on where they are.

    Attributes:
      shape: (n, height, width) or (n, height, width, 3).
    """

    dtype = np.dtype(np.uint8)
    itemsize = 1

    def __init__(self, storage: _Storage, image: tuple[int, ...], rows: NDArray[np.int64]) -> None:
        self._storage, self._image, self._rows = storage, image, rows
        self._n_bytes = int(np.prod(image))  # of one image
        self.shape = (len(rows), *image)
        self.ndim = len(self.shape)
        self.size = len(rows) * self._n_bytes

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        rows = self._rows[key]
        if rows.ndim == 0:
            return self._read(rows[None])[0]
        return self._read(rows) if len(rows) * self._n_bytes <= AT_ONCE else self._of(rows)

    def select(self, rows: NDArray[np.int64]) -> "StoredImages":
        """Select rows without reading them, even if they are few."""
        return self._of(self._rows[rows])

    def _of(self, rows: NDArray[np.int64]) -> "StoredImages":
        return StoredImages(self._storage, self._image, rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows in memory, for code that cannot work in parts."""
        return self._read(self._rows).astype(dtype or self.dtype, copy=False)

    def parts(self) -> Iterator[NDArray[np.uint8]]:
        """Yield all rows in parts."""
        step = max(1, AT_ONCE // self._n_bytes)
        return (self[start : start + step] for start in range(0, len(self), step))

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        x = np.empty((len(rows), *self._image), np.uint8)
        for image, row in zip(x, rows.tolist(), strict=True):
            self._storage.read(image, row * self._n_bytes)
        return x


class PictureFiles(StoredImages):
    """Pictures that are decoded from their own files, or from the bytes of files, whenever they are
    requested, on all cores."""

    def __init__(
        self,
        paths: Sequence[Path | bytes],
        read: Callable[[Path | bytes], NDArray[np.uint8]],
        image: tuple[int, ...],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """`read` turns each file into an array of the shape `image`. `rows` are those of
        `paths`."""
        self._paths, self._decode = paths, read
        self._image, self._rows = image, np.arange(len(paths)) if rows is None else rows
        self._n_bytes = int(np.prod(image))
        self.shape = (len(self._rows), *image)
        self.ndim = len(self.shape)
        self.size = len(self._rows) * self._n_bytes

    def _of(self, rows: NDArray[np.int64]) -> "PictureFiles":
        return PictureFiles(self._paths, self._decode, self._image, rows)

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        x = np.empty((len(rows), *self._image), np.uint8)
        with ThreadPoolExecutor(usable_cores()) as threads:
            paths = [self._paths[row] for row in rows.tolist()]
            for image, pixels in zip(x, threads.map(self._decode, paths), strict=True):
                image[...] = pixels
        return x


AnyImages = NDArray[np.uint8] | StoredImages
"""Images uint8 (n, height, width) or (n, height, width, 3), in memory or on disk."""


def few(x: AnyImages, most: int) -> int:
    """The number of images to process together: the requested number, but not more than fit into 32
    MiB, and at least one."""
    return max(1, min(most, (AT_ONCE // 2) // max(1, int(np.prod(x.shape[1:])))))


class Writer:
    """Writes images one after the other into memory or, if they would take too much, to disk."""

    def __init__(self, n: int, image: tuple[int, ...], folder: Path) -> None:
        """Reserve space for at most `n` images of a shape, in memory or in a file in a folder."""
        self._n, self._image, self._folder = 0, image, folder
        self._x: NDArray[np.uint8] | None = None
        if n * int(np.prod(image)) <= in_memory_bytes():
            self._x = np.empty((n, *image), np.uint8)
        else:
            with files.os_errors("write", folder):
                folder.mkdir(parents=True, exist_ok=True)
                file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # see _Storage
                self._storage = _Storage(cast(BinaryIO, file))

    def add(self, image: NDArray[np.uint8]) -> None:
        """Add the next image."""
        if self._x is not None:
            self._x[self._n] = image
        else:
            with files.os_errors("write", self._folder):
                self._storage.file.write(np.ascontiguousarray(image).data)
        self._n += 1

    def images(self) -> AnyImages:
        """The images that were added."""
        if self._x is not None:
            return self._x[: self._n]
        with files.os_errors("write", self._folder):
            self._storage.file.flush()
        return StoredImages(self._storage, self._image, np.arange(self._n))


def save(path: Path, x: NDArray[Any] | StoredImages) -> None:
    """Write an array as an `.npy` file. Stored images are written in parts."""
    with files.durable(path) as file:
        if isinstance(x, StoredImages):
            about = {"descr": x.dtype.str, "fortran_order": False, "shape": x.shape}
            np.lib.format.write_array_header_1_0(file, about)
            for part in x.parts():
                file.write(part.data)
        else:
            np.save(file, np.ascontiguousarray(x), allow_pickle=False)


def open_saved(path: Path) -> NDArray[Any] | StoredImages:
    """Open what `save` wrote: memory-mapped, or as images on disk if they would take too much
    memory."""
    with files.os_errors("read", path):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if mapped.dtype != np.uint8 or mapped.ndim < 3 or mapped.nbytes <= in_memory_bytes():
        return np.asarray(mapped)
    return open_stored(path)


def open_stored(path: Path) -> StoredImages:
    """Open images that `save` wrote, to be read on demand even if they are few."""
    with files.os_errors("read", path):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        storage = _Storage(path.open("rb"), mapped.offset)
    return StoredImages(storage, mapped.shape[1:], np.arange(len(mapped)))
