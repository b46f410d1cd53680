"""The IDX file format of MNIST: a magic number, big-endian sizes, then the elements.

    0x00 0x00 TYPE N | N sizes of 4 bytes | product(sizes) elements, last index fastest

Plain or gzip, recognised by the first bytes and never by the name. Unsigned bytes (TYPE 0x08) in
1 to 8 dimensions are read and written.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File formats".
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tenfold import files
from tenfold.errors import DataError, FormatError, message

GZIP_MAGIC = b"\x1f\x8b"
UINT8 = 0x08
MAX_DIMENSIONS = 8
CHUNK_BYTES = 1 << 18


def read_idx(
    path: Path | str, *, out: NDArray[np.uint8] | None = None, sha256: str | None = None
) -> NDArray[np.uint8]:
    """Read one IDX file, plain or gzip, refusing whatever does not fit its header.

    Args:
      path: The file.
      out: Array to read into, of the file's shape and C-contiguous; allocated when absent.
      sha256: Published digest of the decompressed file, checked when given.

    Returns:
      The elements, uint8, shaped as the header says.

    Raises:
      FormatError: Not IDX, not uint8, too few or too many bytes, damaged gzip, another digest.
      DataError: `out` has another shape or dtype, or is not contiguous and writable.
      FileError: The file cannot be opened or read.
    """
    path = Path(path)
    with files.os_errors("read", path), path.open("rb") as file:
        stream = _Stream(file, path)
        shape = _read_header(stream)
        if out is None:
            out = _allocate(shape, path)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.carray:
            raise DataError(
                message(
                    "The file does not fit the array",
                    where=path,
                    expected=f"writable, C-contiguous uint8 {shape}",
                    dtype=str(out.dtype),
                    shape=out.shape,
                )
            )
        stream.read_into(out.reshape(-1).data if out.size else memoryview(b""))
        stream.expect_end()
    if sha256 is not None and stream.digest.hexdigest() != sha256:
        raise FormatError(
            message(
                "Changed content",
                where=path,
                expected=f"SHA-256 {sha256} once decompressed",
                sha256=stream.digest.hexdigest(),
            )
        )
    return out


def write_idx(path: Path | str, array: NDArray[np.uint8]) -> None:
    """Write uint8 elements as IDX, through gzip when the name ends in `.gz`; the file is durable.

    Raises:
      DataError: Not uint8, no or more than 8 dimensions, or one of 2**32 or more.
      FileError: The file cannot be written.
    """
    path, array = Path(path), np.asarray(array)
    if array.dtype != np.uint8 or not 1 <= array.ndim <= MAX_DIMENSIONS:
        raise DataError(
            message(
                "Not an array for IDX",
                where=path,
                expected=f"uint8 in 1 to {MAX_DIMENSIONS} dimensions",
                dtype=str(array.dtype),
                shape=array.shape,
            )
        )
    if max(array.shape) >= 2**32:
        raise DataError(message("Too large for IDX", where=path, shape=array.shape))
    header = bytes([0, 0, UINT8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.tobytes()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    files.write_bytes(path, content)


class _Stream:
    """The decompressed bytes of a file, never inflated further than they are asked for."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self.digest = hashlib.sha256()
        self._file = file
        start = file.read(len(GZIP_MAGIC))
        self._inflater = zlib.decompressobj(wbits=31) if start == GZIP_MAGIC else None
        self._pending = start  # read from the file, not yet handed on

    def read_into(self, target: memoryview) -> None:
        filled = 0
        while filled < len(target):
            part = self._next(min(CHUNK_BYTES, len(target) - filled))
            if not part:
                raise FormatError(
                    message(
                        "Too few bytes",
                        where=self.path,
                        expected=f"{len(target)} more as the header says",
                        n_bytes=filled,
                    )
                )
            target[filled : filled + len(part)] = part
            filled += len(part)
        self.digest.update(target)

    def expect_end(self) -> None:
        """Refuse what follows the last element, a second gzip member included."""
        rest = self._next(1)
        if self._inflater is not None:
            rest = rest or self._inflater.unused_data or self._file.read(1)
        if rest:
            raise FormatError(
                message(
                    "Too many bytes",
                    where=self.path,
                    expected="the end of the file after the last element",
                )
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
                        message(
                            "Truncated gzip",
                            where=self.path,
                            expected="a complete file",
                            fix="Download it again",
                        )
                    )
        except zlib.error as error:
            raise FormatError(
                message("Damaged gzip", where=self.path, fix="Download it again", reason=str(error))
            ) from error
        return b""


def _read_header(stream: _Stream) -> tuple[int, ...]:
    magic = bytearray(4)
    stream.read_into(memoryview(magic))
    zeros, kind, n_dimensions = bytes(magic[:2]), magic[2], magic[3]
    if zeros != b"\0\0" or kind != UINT8 or not 1 <= n_dimensions <= MAX_DIMENSIONS:
        raise FormatError(
            message(
                "Not an IDX file of unsigned bytes",
                where=stream.path,
                expected=f"00 00 08 and 01 to 0{MAX_DIMENSIONS}",
                magic=magic.hex(" "),
            )
        )
    sizes = bytearray(4 * n_dimensions)
    stream.read_into(memoryview(sizes))
    return tuple(int(size) for size in np.frombuffer(sizes, ">u4"))


def _allocate(shape: tuple[int, ...], path: Path) -> NDArray[np.uint8]:
    n_bytes = math.prod(shape)
    try:
        return np.empty(shape, np.uint8)
    except (MemoryError, ValueError) as error:  # ValueError: sizes beyond any address
        raise FormatError(
            message("Too large for this machine's memory", where=path, shape=shape, n_bytes=n_bytes)
        ) from error
