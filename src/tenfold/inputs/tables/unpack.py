"""Unpack the one file in a gzip or zip archive, up to a size that depends on the packed size."""

import io
import zipfile
import zlib
from pathlib import Path

from tenfold.core.errors import DataError, FormatError

MAX_RATIO = 50
"""An archive with a higher compression ratio is refused as a decompression bomb. The ratio of
tables of text is about 10."""

LEAST_BYTES = 64 << 20
"""The number of unpacked bytes that any archive may contain, even a very small one."""

LEAST_CELLS, CELLS_A_BYTE = 10_000_000, 8
"""The number of cells that any file may contain, and how many more for each of its bytes on
disk."""

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""First bytes of gzip files (RFC 1952) and zip archives (APPNOTE.TXT, 4.3.7)."""


def _most_bytes(n_packed: int) -> int:
    """Maximum number of unpacked bytes for this many packed ones."""
    return max(LEAST_BYTES, MAX_RATIO * n_packed)


def gunzip(content: bytes, path: Path) -> bytes:
    """Unpack a gzip file, which may have several members."""
    limit, parts, n_bytes = _most_bytes(len(content)), list[bytes](), 0
    while content:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            parts.append(inflater.decompress(content, limit - n_bytes + 1))
        except zlib.error as error:
            raise _damaged(path, "gzip file", str(error)) from error
        n_bytes += len(parts[-1])
        if n_bytes > limit:
            raise _bomb(path, len(content), f"more than {limit}")
        if not inflater.eof:
            raise _damaged(path, "gzip file", "it ends early")
        content = inflater.unused_data.lstrip(b"\0")
    return b"".join(parts)


def unzip_one(content: bytes, path: Path) -> tuple[str, bytes]:
    """The name and the bytes of the only file in a zip archive. Entries for folders and those that
    macOS adds are ignored."""
    with open_zip(content, path) as archive:
        inner = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not _is_hidden(member.filename)
        ]
        if len(inner) != 1:
            raise DataError(
                "E231",
                "The archive does not contain exactly one file",
                where=path,
                expected="one table",
                fix="Unpack it, and name the table that you want to read",
                files=[member.filename for member in inner[:5]],
            )
        try:
            return inner[0].filename, archive.read(inner[0])
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise _damaged(path, "zip archive", str(error)) from error


def check_cells(n_cells: int, n_bytes: int, path: Path) -> None:
    """Raise a FormatError if a file claims more cells than its size allows."""
    most = max(LEAST_CELLS, CELLS_A_BYTE * n_bytes)
    if n_cells > most:
        raise FormatError(
            "E234",
            "The file claims more cells than a file of its size may have",
            where=path,
            expected=f"at most {most:,} cells",
            n_cells=n_cells,
            n_bytes=n_bytes,
        )


def open_zip(content: bytes, path: Path) -> zipfile.ZipFile:
    """Open a zip archive, whose members together must not exceed the allowed size."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(path, "zip archive", str(error)) from error
    n_bytes = sum(member.file_size for member in archive.infolist())
    if n_bytes > _most_bytes(len(content)):
        archive.close()
        raise _bomb(path, len(content), n_bytes)
    return archive


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".") or name.split("/")[0] == "__MACOSX"


def _damaged(path: Path, what: str, reason: str) -> FormatError:
    return FormatError("E232", f"The {what} is damaged", where=path, reason=reason)


def _bomb(path: Path, n_packed: int, n_unpacked: object) -> FormatError:
    return FormatError(
        "E233",
        "The file would decompress to a suspicious size",
        where=path,
        expected=f"at most {MAX_RATIO} times its packed size, or {LEAST_BYTES} bytes",
        n_bytes=n_packed,
        n_inflated=n_unpacked,
    )
