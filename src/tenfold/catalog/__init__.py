"""Datasets by name. MNIST is embedded: no network is needed, and its content is checked each time.

MNIST: Y. LeCun and C. Cortes, CC BY-SA 3.0 (see NOTICE). The digests are those published for the
decompressed files, so they hold for every way of compressing them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import DataError, did_you_mean, message
from tenfold.idx import read_idx

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One part (train or test) of an IDX dataset: its two files and their digests."""

    images: str
    images_sha256: str
    labels: str
    labels_sha256: str
    n: int


@dataclass(frozen=True)
class IdxDataset:
    """What the catalog knows of a dataset in IDX files."""

    image_size: tuple[int, int]
    labels: tuple[str, ...]
    train: Part
    test: Part


MNIST = IdxDataset(
    image_size=(28, 28),
    labels=tuple("0123456789"),
    train=Part(
        images="train-images-idx3-ubyte",
        images_sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        labels="train-labels-idx1-ubyte",
        labels_sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        n=60_000,
    ),
    test=Part(
        images="t10k-images-idx3-ubyte",
        images_sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        labels="t10k-labels-idx1-ubyte",
        labels_sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        n=10_000,
    ),
)

DATASETS = {"mnist": MNIST}


def find(name: str) -> IdxDataset:
    """The catalog's entry for `name`.

    Raises:
      DataError: No dataset has that name.
    """
    if name not in DATASETS:
        raise DataError(
            message(
                "Unknown dataset",
                expected=f"one of {', '.join(DATASETS)}",
                fix=did_you_mean(name, DATASETS),
                name=name,
            )
        )
    return DATASETS[name]


def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read and check a dataset's files: training rows first, then the official test rows.

    Returns:
      Images (n, height, width) uint8 and label codes (n,) uint8, each in one allocation.

    Raises:
      DataError: No dataset has that name.
      FormatError: A file is not the published one.
    """
    dataset, folder = find(name), FOLDER / name
    n = dataset.train.n + dataset.test.n
    x, y = np.empty((n, *dataset.image_size), np.uint8), np.empty(n, np.uint8)
    start = 0
    for part in (dataset.train, dataset.test):
        rows = slice(start, start + part.n)
        read_idx(folder / f"{part.images}.gz", out=x[rows], sha256=part.images_sha256)
        read_idx(folder / f"{part.labels}.gz", out=y[rows], sha256=part.labels_sha256)
        start += part.n
    return x, y
