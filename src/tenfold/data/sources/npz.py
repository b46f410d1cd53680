"""Images and labels in one `.npz` file of NumPy arrays. No object in it is ever unpickled."""

import zipfile
from pathlib import Path
from typing import Any

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
    whole_codes,
)
from tenfold.inputs.idx import not_a

MAX_ZIP_RATIO = 100
"""An npz member that shrank further is taken for a bomb. Keras' mnist.npz shrinks to a fifth."""

NPZ_NAMES = (("x_train", "y_train", "x_test", "y_test"), ("x", "y"), ("images", "labels"))
"""As in Keras' mnist.npz; then two short forms without a test part."""

Array = NDArray[Any]


def read_npz(path: Path) -> Images:
    """Read images and labels from an npz file; nothing in it is run, sizes are checked first."""
    with files.os_errors("read", path), path.open("rb") as file:
        start = file.read(512)
        if not start.startswith(b"PK"):
            raise not_a("an npz file", path, start, expected="a zip archive of arrays")
        try:
            with zipfile.ZipFile(file) as archive:
                arrays = _npz_arrays(archive, path)
        except (OSError, TenfoldError):
            raise
        except Exception as error:  # zipfile, zlib and NumPy fail in a dozen ways on foreign bytes
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FormatError("E435", "Damaged npz", where=path, reason=reason) from error
    pairs = [arrays[:2], arrays[2:]] if len(arrays) == 4 else [arrays]
    images, codes = [], []
    for (x_name, x), (y_name, y) in pairs:
        images.append(_npz_images(x, f"{path}, {x_name}"))
        if y.ndim != 1:
            where = f"{path}, {y_name}"
            raise DataError("E433", "Not labels", where=where, expected="(n,)", shape=y.shape)
        check_counts(len(x), len(y), f"{path}, {x_name} and {y_name}")
        codes.append(whole_codes(y, f"{path}, {y_name}"))
    check_sizes([part.shape for part in images], path)
    y = np.concatenate(codes)
    names = [pair[0][0] for pair in pairs]
    keys = [
        f"{name}:{row}"
        for name, part in zip(names, images, strict=True)
        for row in range(len(part))
    ]
    return Images(np.concatenate(images), y, code_labels(y), keys, len(images[0]))


def _npz_arrays(archive: zipfile.ZipFile, path: Path) -> list[tuple[str, Array]]:
    """The arrays of the first set of names that is there, each with its name."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    names = next((names for names in NPZ_NAMES if names[0] in members), None)
    if names is None or not members.keys() >= set(names):
        raise DataError(
            "E430",
            "No images and labels in the npz file",
            where=path,
            expected=" or ".join(", ".join(names) for names in NPZ_NAMES),
            found=sorted(members)[:10],
        )
    return [(name, _npz_array(archive, members[name], f"{path}, {name}")) for name in names]


def _npz_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    if info.file_size > MAX_ZIP_RATIO * info.compress_size + (1 << 20):
        raise FormatError(
            "E431",
            "The npz member would inflate like a bomb",
            where=where,
            expected=f"at most {MAX_ZIP_RATIO} times its stored size",
            n_bytes=info.compress_size,
            n_inflated=info.file_size,
        )
    with archive.open(info) as member:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member)
        n_needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.hasobject or dtype.names or n_needed != info.file_size - member.tell():
            raise FormatError(
                "E434",
                "Not an array of numbers",
                where=where,
                expected=f"{n_needed} bytes after the header, no Python objects",
                dtype=str(dtype),
                shape=shape,
                n_bytes=info.file_size - member.tell(),
            )
    with archive.open(info) as member:
        array: Array = npy.read_array(member, allow_pickle=False)
        member.read(1)  # the end: only there the checksum is compared
        return array


def _npz_images(x: Array, where: str) -> NDArray[np.uint8]:
    if x.ndim == 2 and x.shape[1] == N_PIXELS:
        x = x.reshape(-1, SIDE_PX, SIDE_PX)
    if x.ndim != 3 or not x.size or x.dtype.kind not in "iuf":
        expected = f"numbers (n, height, width) or (n, {N_PIXELS}), none of them 0"
        raise DataError(
            "E405", "Not images", where=where, expected=expected, dtype=str(x.dtype), shape=x.shape
        )
    if x.dtype == np.uint8:
        return x
    # Not a number to uint8: NumPy warns of what is beyond it.
    pixels = np.where((x >= 0) & (x <= 255), x, 0).astype(np.uint8)
    wrong = pixels != x
    if wrong.any():
        index = tuple(int(i) for i in np.unravel_index(wrong.argmax(), x.shape))
        scaled = x.dtype.kind == "f" and x.min() >= 0 and x.max() <= 1
        raise DataError(
            "E432",
            "Not a pixel",
            where=where,
            expected="whole numbers from 0 to 255",
            fix="Multiply by 255 and round what was scaled to 0..1" if scaled else None,
            place=index,
            value=x[index].item(),
        )
    return pixels
