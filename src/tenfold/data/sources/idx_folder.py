"""Folders of IDX files with MNIST's file names."""

import re
from pathlib import Path

import numpy as np

from tenfold.core import files
from tenfold.core.errors import DataError
from tenfold.data.sources.labelled import (
    Images,
    check_counts,
    check_sizes,
    code_labels,
    whole_codes,
)
from tenfold.inputs.idx import read_header, read_idx

_NAME = re.compile(
    r"(?:.*[-_.])?(?P<part>train|t10k|test)[-_.](?P<kind>images|labels)"
    r"(?:[-_.]idx\d?(?:-[a-z]+)?)?(?:\.gz)?",
    re.IGNORECASE,
)


def read_idx_folder(folder: Path) -> Images:
    """Read a folder with IDX files with MNIST's names, with or without `.gz`.

    It accepts `train-images-idx3-ubyte`, `.idx3-ubyte` and `.idx3`, the same for labels, and `t10k`
    or `test`. If a file exists packed and unpacked, the unpacked one is read.
    """
    with files.os_errors("read", folder):
        idx_files = _idx_files(folder)
    parts = [part for part in ("train", "test") if any(key[0] == part for key in idx_files)]
    if not parts:
        raise _no_idx_files(folder)
    for part in parts:
        for kind in ("images", "labels"):
            if (part, kind) not in idx_files:
                raise DataError(
                    "E425",
                    f"The folder has no {kind} of the {part} part",
                    where=folder,
                    expected=f"{'t10k' if part == 'test' else part}-{kind}-idx"
                    f"{3 if kind == 'images' else 1}-ubyte, with or without .gz",
                    found=sorted(path.name for path in idx_files.values()),
                )
    pairs = [(idx_files[part, "images"], idx_files[part, "labels"]) for part in parts]
    shapes = [_check_pair(images, labels) for images, labels in pairs]
    check_sizes(shapes, folder)
    counts = [shape[0] for shape in shapes]
    x = np.empty((sum(counts), *shapes[0][1:]), np.uint8)
    y = np.empty(len(x), np.int64)
    keys: list[str] = []
    for (images, labels), n in zip(pairs, counts, strict=True):
        rows = slice(len(keys), len(keys) + n)
        read_idx(images, out=x[rows])
        y[rows] = whole_codes(read_idx(labels), labels)
        keys += [f"{images.name}:{row}" for row in range(n)]
    return Images(x, y, code_labels(y), keys, counts[0] if parts[0] == "train" else 0)


def _idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    """The file of each part (train or test) and kind (images or labels)."""
    idx_files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):  # the unpacked one comes before its `.gz`
        match = _NAME.fullmatch(path.name)
        if not match or path.is_dir() or path.name.startswith("."):
            continue
        part = "train" if match["part"].lower() == "train" else "test"
        first = idx_files.setdefault((part, match["kind"].lower()), path)
        if path.name not in (first.name, f"{first.name}.gz"):
            raise DataError(
                "E424",
                "Two files contain the same part",
                where=folder,
                expected="one file for each part",
                fix="Move one of them to another folder",
                found=[first.name, path.name],
            )
    return idx_files


def _no_idx_files(folder: Path) -> DataError:
    with files.os_errors("read", folder):
        names = sorted(path.name for path in folder.iterdir())
        inner = (path for pattern in ("*/", "*/*/") for path in sorted(folder.glob(pattern)))
        nested = next((path for path in inner if path.is_dir() and _idx_files(path)), None)
    return DataError(
        "E421",
        "The folder contains neither IDX files nor folders of pictures",
        where=folder,
        expected="train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz, "
        "or a folder of pictures for each label",
        fix=f"Did you mean '{nested}'?" if nested else None,
        n_files=len(names),
        first=names[:3],
    )


def _check_pair(images: Path, labels: Path) -> tuple[int, ...]:
    """Return the shape of the images, after checking everything that headers show."""
    dtype, shape = read_header(images)
    label_dtype, label_shape = read_header(labels)
    if len(shape) != 3 or dtype != np.uint8 or 0 in shape:
        wrong = (
            "The file of images contains labels"
            if len(shape) == 1
            else "The array does not contain images"
        )
        expected = "uint8 (n, height, width), no dimension of 0"
        raise DataError(
            "E423", wrong, where=images, expected=expected, dtype=str(dtype), shape=shape
        )
    if len(label_shape) != 1:
        wrong = (
            "The file of labels contains images"
            if len(label_shape) > 2
            else "The array does not contain labels"
        )
        raise DataError(
            "E423",
            wrong,
            where=labels,
            expected="one label for each image, (n,)",
            shape=label_shape,
        )
    check_counts(shape[0], label_shape[0], f"{images}, {labels.name}")
    return shape
