"""The IDX file format of MNIST: a magic number, big-endian sizes, then the elements.

    0x00 0x00 TYPE N | N sizes of 4 bytes | product(sizes) elements, big-endian, last index fastest

    TYPE  0x08 uint8   0x09 int8   0x0B int16   0x0C int32   0x0D float32   0x0E float64

A file may be plain or gzip, which is recognised by its first bytes and never by its name. It has 0
(a scalar) to 8 dimensions.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File formats".
"""

import contextlib
import gzip
import hashlib
import io
import math
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import DataError, FormatError

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}
MAX_DIMENSIONS = 8
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 18

MAX_DEFLATE_RATIO = 1032
"""The maximum compression ratio of a deflate stream: zlib.net/zlib_tech.html, "Maximum Compression
Factor"."""

PLAUSIBLE_BYTES, PLAUSIBLE_RATIO = 1 << 30, 100
"""A file that is larger than this, and has a higher compression ratio than this (MNIST: 5), is
refused as a decompression bomb."""

Array = NDArray[Any]


def read_idx(path: Path | str, *, out: Array | None = None, sha256: str | None = None) -> Array:
    """Read one IDX file, plain or gzip, and refuse everything that does not match its header.

    Args:
      path: The file.
      out: Array to read into, of the file's dtype and shape, C-contiguous. Allocated by default.
      sha256: Published digest of the decompressed file, which is checked if given.

    Returns:
      The elements in native byte order, in the shape of the header; () for a scalar.

    Raises:
      FormatError: The file is not IDX, has too few or too many bytes, is a damaged gzip file, or
        has another digest.
      DataError: `out` has another shape or dtype, or is not contiguous and writable.
      FileError: The file cannot be opened or read.
    """
    path = Path(path)
    with files.os_errors("read", path), path.open("rb") as file:
        return parse_idx(file, where=path, out=out, sha256=sha256)


def parse_idx(
    file: BinaryIO, *, where: object, out: Array | None = None, sha256: str | None = None
) -> Array:
    """Read an open binary file like `read_idx`. `where` is its name in errors."""
    stream = _Stream(file, where)
    dtype, shape = _read_header(stream)
    n_bytes = math.prod(shape) * dtype.itemsize
    stream.check_promise(n_bytes)
    if out is None:
        try:
            out = np.empty(shape, dtype)
        except (MemoryError, ValueError) as error:  # ValueError: the sizes exceed the address space
            wrong = "The file is too large for the memory of this machine"
            raise FormatError("E312", wrong, where=where, shape=shape, n_bytes=n_bytes) from error
    elif out.shape != shape or out.dtype != dtype or not out.flags.carray:
        raise DataError(
            "E308",
            "The array cannot take the content of the file",
            where=where,
            expected=f"a writable, C-contiguous array, {dtype} {shape}",
            dtype=str(out.dtype),
            shape=out.shape,
        )
    if n_bytes:
        stream.read_exactly(out.reshape(-1).view(np.uint8).data)
    stream.expect_end()
    if sys.byteorder == "little":
        out.byteswap(inplace=True)
    if sha256 is not None and stream.digest.hexdigest() != sha256:
        raise FormatError(
            "E302",
            "The file differs from the published one",
            where=where,
            expected=f"SHA-256 {sha256} once decompressed",
            sha256=stream.digest.hexdigest(),
        )
    return out


def read_header(path: Path | str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape by the header of an IDX file and, unless it is gzip, by its size."""
    path = Path(path)
    with files.os_errors("read", path), path.open("rb") as file:
        stream = _Stream(file, path)
        dtype, shape = _read_header(stream)
        stream.check_promise(math.prod(shape) * dtype.itemsize)
        return dtype, shape


def write_idx(path: Path | str, array: Array) -> None:
    """Write an array as IDX, compressed by gzip if the name ends in `.gz`. The write is durable.

    This is the exact inverse of `read_idx`: dtype, shape and bits are preserved.
    """
    path, array = Path(path), np.asarray(array)
    native = array.dtype.newbyteorder("=")
    kinds = [kind for kind, dtype in TYPES.items() if dtype == native]
    if not kinds or array.ndim > MAX_DIMENSIONS:
        names = ", ".join(map(str, TYPES.values()))
        raise DataError(
            "E303",
            "This array cannot be written as IDX",
            where=path,
            expected=f"{names} in 0 to {MAX_DIMENSIONS} dimensions",
            dtype=str(array.dtype),
            shape=array.shape,
        )
    if max(array.shape, default=0) >= 2**32:
        raise DataError(
            "E304", "The array is too large for an IDX file", where=path, shape=array.shape
        )
    header = bytes([0, 0, kinds[0], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    elements = np.ascontiguousarray(array, native.newbyteorder(">"))
    with files.durable(path) as file, contextlib.ExitStack() as stack:
        target: BinaryIO | gzip.GzipFile = file
        # Name and time are left out, so that equal arrays give equal files.
        if path.suffix == ".gz":
            target = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        target.write(header)
        if elements.size:
            target.write(elements.reshape(-1).view(np.uint8).data)


def describe_array(start: bytes) -> str | None:
    """Describe what a file with these first bytes is, for files that are often mistaken for the
    right one."""
    if not start:
        return "an empty file"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")):
        return "a web page"
    if text.startswith(b"version https://") and b"/spec/v1" in text:  # git-lfs or hawser
        return "a Git LFS pointer"
    if b"annex/objects/" in text:
        return "a git-annex pointer"
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return name
    if start[:2] == GZIP_MAGIC:
        return "gzip"
    if len(start) >= 4 and start[2:4] == b"\0\0" and start[1] in TYPES and start[0] <= 8:
        return "an IDX header in the wrong byte order"
    return None


_MAGIC = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"PK": "a zip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"\x80": "a pickle",
    b"%PDF": "a PDF",
}

_FIXES = {
    "a web page": "Download the file itself",
    "a Git LFS pointer": "Fetch the content with `git lfs pull`",
    "a git-annex pointer": "Fetch the content with `git annex get`",
    "an empty file": "Download it again",
    "gzip": "Unpack it",
}


def not_a(
    format: str, where: object, start: bytes, *, expected: str, unpacked: bool = False
) -> FormatError:
    """Make the error of a file that is not a `format`, and name what it is if that is known.

    `unpacked` says that gzip was already removed, so that what is still gzip was packed twice.
    """
    what = describe_array(start)
    if what == "gzip" and unpacked:
        what = "gzip inside gzip"
    return FormatError(
        "E301",
        f"The file is not {format}",
        where=where,
        expected=expected,
        fix=_FIXES.get(what or ""),
        **({"found": what} if what else {"begins_with": start[:8].hex(" ")}),
    )


class _Stream:
    """The decompressed bytes of a file. It never decompresses more than is requested."""

    def __init__(self, file: BinaryIO, where: object) -> None:
        self.where = where
        self.digest = hashlib.sha256()
        self.n_read = 0
        self._n_stored = None  # bytes of the file; unknown for a pipe
        if file.seekable():
            self._n_stored = file.seek(0, io.SEEK_END)
            file.seek(0)
        self._file = file
        self._pending = file.read(len(GZIP_MAGIC))  # read from the file, but not yet returned
        zipped = self._pending == GZIP_MAGIC
        self._inflater = zlib.decompressobj(wbits=31) if zipped else None

    def check_promise(self, n_bytes: int) -> None:
        """Refuse a file that is too small for its header, before memory is allocated."""
        if self._n_stored is None:
            return
        n_needed, n_at_most = self.n_read + n_bytes, MAX_DEFLATE_RATIO * self._n_stored
        if self._inflater is None:
            if n_needed > self._n_stored:
                raise self.too_few(self._n_stored, n_needed)
        elif n_needed > n_at_most:
            raise self.too_few(f"at most {n_at_most}", n_needed)
        elif n_bytes > max(PLAUSIBLE_BYTES, PLAUSIBLE_RATIO * self._n_stored):
            raise FormatError(
                "E314",
                "The file would decompress to a suspicious size",
                where=self.where,
                expected=f"at most {PLAUSIBLE_RATIO} times its own size",
                n_bytes=self._n_stored,
                n_inflated=n_bytes,
            )

    def read_exactly(self, target: memoryview) -> None:
        n_needed = self.n_read + len(target)
        if self.read_into(target) < len(target):
            self._refuse_second_member()
            raise self.too_few(self.n_read, n_needed)

    def read_into(self, target: memoryview) -> int:
        """Fill as much of `target` as there are bytes. Returns how many."""
        filled = 0
        while filled < len(target):
            part = self._next(min(CHUNK_BYTES, len(target) - filled))
            if not part:
                break
            self.digest.update(part)
            target[filled : filled + len(part)] = part
            filled += len(part)
        self.n_read += filled
        return filled

    def read(self, n_bytes: int) -> bytes:
        """Return up to `n_bytes` bytes, fewer only at the end of the content."""
        target = bytearray(n_bytes)
        return bytes(target[: self.read_into(memoryview(target))])

    def expect_end(self) -> None:
        """Refuse anything after the last element, including a second gzip member."""
        rest = self._next(1)
        self._refuse_second_member()
        if rest:
            n_bytes = self._n_stored if self._inflater is None else None
            raise FormatError(
                "E309",
                "The file is too long",
                where=self.where,
                expected=f"{self.n_read} bytes according to its header",
                n_bytes=n_bytes or f"more than {self.n_read}",
            )

    def _refuse_second_member(self) -> None:
        if self._inflater is None or not self._inflater.eof:
            return
        rest = self._inflater.unused_data
        rest += self._file.read(max(0, len(GZIP_MAGIC) - len(rest)))
        if rest[:2] == GZIP_MAGIC:
            raise FormatError(
                "E310",
                "The gzip file has several members",
                where=self.where,
                expected="a single member, as programs write it",
                fix="Unpack the file and compress it again",
            )
        if rest:
            raise FormatError(
                "E311",
                "The file continues after the end of the gzip data",
                where=self.where,
                expected="the end of the file",
                begins_with=rest[:8].hex(" "),
            )

    def too_few(self, n_bytes: int | str, n_needed: int) -> FormatError:
        return FormatError(
            "E305",
            "The file is too short",
            where=self.where,
            expected=f"{n_needed} bytes according to its header",
            fix="Download it again",
            n_bytes=n_bytes,
        )

    def _next(self, limit: int) -> bytes:
        if self._inflater is None:
            part, self._pending = self._pending[:limit], self._pending[limit:]
            return part or self._file.read(limit)
        try:
            while not self._inflater.eof:
                self._pending = self._pending or self._file.read(CHUNK_BYTES)
                part = self._inflater.decompress(self._pending, limit)
                exhausted = not self._pending
                self._pending = self._inflater.unconsumed_tail
                if part:
                    return part
                if exhausted:
                    raise FormatError(
                        "E315",
                        "The gzip file is incomplete",
                        where=self.where,
                        expected="a complete file",
                        fix="Download it again",
                    )
        except zlib.error as error:
            fix, reason = "Download it again", str(error)
            raise FormatError(
                "E313", "The gzip file is damaged", where=self.where, fix=fix, reason=reason
            ) from error
        return b""


def _read_header(stream: _Stream) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if magic[:2] != b"\0\0"[: len(magic)] or not magic:
        # The file is damaged further on, but the bytes so far are enough.
        with contextlib.suppress(FormatError):
            magic += stream.read(508)
        raise not_a(
            "an IDX file", stream.where, magic, expected="00 00 as its first bytes", unpacked=True
        )
    if len(magic) < 4:
        raise stream.too_few(len(magic), 4)
    kind, n_dimensions = magic[2:]
    if kind not in TYPES:
        types = ", ".join(f"{type_:02x}" for type_ in TYPES)
        raise FormatError(
            "E306",
            "The IDX file has an unknown type of elements",
            where=stream.where,
            expected=f"one of {types} as the third byte",
            magic=magic.hex(" "),
        )
    if n_dimensions > MAX_DIMENSIONS:
        raise FormatError(
            "E307",
            "The IDX file has too many dimensions",
            where=stream.where,
            expected=f"0 to {MAX_DIMENSIONS}",
            n_dimensions=n_dimensions,
        )
    sizes = bytearray(4 * n_dimensions)
    stream.read_exactly(memoryview(sizes))
    return TYPES[kind], tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
