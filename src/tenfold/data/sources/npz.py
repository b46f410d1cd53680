"""Images and labels in one `.npz` file of NumPy arrays. No object in it is ever unpickled."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import DataError, FormatError, TenfoldError
from tenfold.data.sources.labelled import (
    N_PIXELS,
    SIDE_PX,
    Images,
    check_counts,
    check_sizes,
    code_labels,
    named_codes,
    whole_codes,
)
from tenfold.inputs.idx import not_a

MAX_ZIP_RATIO = 100
"""An npz member with a higher compression ratio is refused as a decompression bomb. The ratio of
Keras' mnist.npz is 5."""

KINDS = (("x", "y"), ("images", "labels"), ("data", "target"))


def _names(*parts: str) -> tuple[tuple[str, str], ...]:
    """The possible names of images and labels: x_train, y_train; train_images, train_labels.

    Keras writes the first form, MedMNIST the second.
    """
    return tuple(
        (form.format(part=part, kind=x), form.format(part=part, kind=y))
        for part in parts
        for form in ("{kind}_{part}", "{part}_{kind}")
        for x, y in KINDS
    )


PARTS = {
    "train": (*_names("train", "training"), *KINDS),
    "validation": _names("val", "valid", "validation"),
    "test": _names("test", "testing"),
}
"""The parts in their order, with the names of their arrays in lower case."""

T = TypeVar("T")
Array = NDArray[Any]
Named = tuple[str, Array]


def read_npz(path: Path) -> Images:
    """Read images and labels from an npz file. Nothing in it is run, and sizes are checked
    first."""
    parts = _read(path, _labelled)
    images, answers, keys = [], [], list[str]()
    n_rows = dict.fromkeys(PARTS, 0)
    for part, (x_name, x), (y_name, y) in parts:
        images.append(_npz_images(x, f"{path}, {x_name}"))
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1:
            where = f"{path}, {y_name}"
            raise DataError(
                "E433",
                "The array does not contain labels",
                where=where,
                expected="one label for each image, (n,)",
                shape=y.shape,
            )
        check_counts(len(x), len(y), f"{path}, {x_name} and {y_name}")
        answers.append(y)
        keys += [f"{x_name}:{row}" for row in range(len(x))]
        n_rows[part] = len(x)
    check_sizes([part.shape for part in images], path)
    codes, labels = _coded(np.concatenate(answers), path)
    n_train, n_validation = n_rows["train"], n_rows["validation"]
    return Images(np.concatenate(images), codes, labels, keys, n_train, n_validation)


def read_unlabelled_npz(path: Path) -> Array:
    """The images of an npz file: of the test set, or all, or the only array."""
    return _read(path, _unlabelled)


def _read(path: Path, read: Callable[[zipfile.ZipFile, Path], T]) -> T:
    """The result of `read` for the archive."""
    with files.os_errors("read", path), path.open("rb") as file:
        start = file.read(512)
        if not start.startswith(b"PK"):
            raise not_a("an npz file", path, start, expected="a zip archive of arrays")
        try:
            with zipfile.ZipFile(file) as archive:
                return read(archive, path)
        except (OSError, TenfoldError):
            raise
        # Zipfile, zlib and NumPy raise a dozen kinds of exceptions for damaged files.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FormatError(
                "E435", "The npz file is damaged", where=path, reason=reason
            ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The arrays of an archive by name, in lower case."""
    return {info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()}


def _labelled(archive: zipfile.ZipFile, path: Path) -> list[tuple[str, Named, Named]]:
    """The parts in their order, each with its images and its labels, by name."""
    members = _members(archive)
    found = [
        (part, *names)
        for part, part_names in PARTS.items()
        if (names := next((n for n in part_names if members.keys() >= set(n)), None))
    ]
    if not any(part == "train" for part, *_ in found):
        raise DataError(
            "E430",
            "The npz file does not contain images with labels",
            where=path,
            expected="x_train, y_train, x_test, y_test or train_images, train_labels or x, y or "
            "images, labels",
            found=sorted(members)[:10],
        )

    def named(name: str) -> Named:
        return name, _npz_array(archive, members[name], f"{path}, {name}")

    return [(part, named(x_name), named(y_name)) for part, x_name, y_name in found]


def _unlabelled(archive: zipfile.ZipFile, path: Path) -> Array:
    members = _members(archive)
    names = [names[0] for part in ("test", "train") for names in PARTS[part]]
    name = next((name for name in names if name in members), None)
    if name is None and len(members) == 1:
        name = next(iter(members))
    if name is None:
        raise DataError(
            "E446",
            "The npz file contains no images",
            where=path,
            expected="x_test, test_images, x or images, or a single array",
            found=sorted(members)[:10],
        )
    return _npz_array(archive, members[name], f"{path}, {name}")


def _coded(answers: Array, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes and labels of answers, which are numbers or names."""
    if answers.dtype.kind == "U":
        return named_codes(answers.tolist(), path)
    codes = whole_codes(answers, path)
    return codes, code_labels(codes)


def _npz_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    if info.file_size > MAX_ZIP_RATIO * info.compress_size + (1 << 20):
        raise FormatError(
            "E431",
            "A member of the npz file would decompress to a suspicious size",
            where=where,
            expected=f"at most {MAX_ZIP_RATIO} times its stored size",
            n_bytes=info.compress_size,
            n_inflated=info.file_size,
        )
    with archive.open(info) as member:
        _check_header(member, info.file_size, where)
    with archive.open(info) as member:
        array: Array = npy.read_array(member, allow_pickle=False)
        member.read(1)  # the checksum is only compared at the end
        return array


def read_npy(path: Path) -> Array:
    """The array of an `.npy` file. Nothing in it is run, and its size is checked first."""
    with files.os_errors("read", path), path.open("rb") as file:
        try:
            _check_header(file, path.stat().st_size, str(path))
            file.seek(0)
            array: Array = npy.read_array(file, allow_pickle=False)
        except (OSError, TenfoldError):
            raise
        except Exception as error:  # NumPy raises a dozen kinds of exceptions for damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FormatError(
                "E447", "The npy file is damaged", where=path, reason=reason
            ) from error
    return array


def _check_header(file: IO[bytes], n_bytes: int, where: str) -> None:
    """Refuse an array whose header does not match its bytes, or that contains objects."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    n_needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or dtype.names or n_needed != n_bytes - file.tell():
        raise FormatError(
            "E434",
            "A member of the npz file is not an array of numbers",
            where=where,
            expected=f"{n_needed} bytes after the header, no Python objects",
            dtype=str(dtype),
            shape=shape,
            n_bytes=n_bytes - file.tell(),
        )


def _npz_images(x: Array, where: str) -> Array:
    if x.ndim == 2 and x.shape[1] == N_PIXELS:
        x = x.reshape(-1, SIDE_PX, SIDE_PX)
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    is_picture = x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)
    if not is_picture or not x.size or x.dtype.kind not in "biuf":
        expected = (
            f"numbers (n, height, width), also with channels, or (n, {N_PIXELS}), no dimension of 0"
        )
        raise DataError(
            "E405",
            "The array does not contain images",
            where=where,
            expected=expected,
            dtype=str(x.dtype),
            shape=x.shape,
        )
    return x
