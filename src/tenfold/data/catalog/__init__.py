"""Datasets by name. MNIST is embedded, and others are downloaded once into a cache folder.

The content is checked each time it is read. A SHA-256 is that of the decompressed file, so that it
does not depend on the compression. An MD5 is that of the `.gz` file, used if the authors or
torchvision publish no other digest.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.errors import DataError, FormatError, did_you_mean
from tenfold.inputs.idx import parse_idx, read_header

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class File:
    """One IDX file: its name without `.gz`, and its digest as `sha256:...` or `md5:...`."""

    name: str
    digest: str

    def find(self, folder: Path) -> Path | None:
        """The path of the file in `folder`, packed or else unpacked. None if it is not there.

        The packed file comes first, because mirrors have it and an MD5 is its digest.
        """
        paths = (folder / f"{self.name}.gz", folder / self.name)
        with files.os_errors("look into", folder):
            return next((path for path in paths if path.is_file()), None)

    def read(self, path: Path, *, out: NDArray[np.uint8] | None = None) -> NDArray[Any]:
        """Read and check the file at `path`.

        Raises:
          FormatError: It is not the published file.
        """
        with files.os_errors("read", path), path.open("rb") as file:
            return self.parse(file, where=path, out=out)

    def parse(
        self, file: BinaryIO, *, where: object, out: NDArray[np.uint8] | None = None
    ) -> NDArray[Any]:
        """Read and check a file that is already open, like `read`. Its position must be at the
        start."""
        kind, _, published = self.digest.partition(":")
        if kind == "sha256":
            return parse_idx(file, where=where, out=out, sha256=published)
        # This comes first, because it recognises other files.
        array = parse_idx(file, where=where, out=out)
        file.seek(0)
        md5 = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
        if md5 != published:
            raise FormatError(
                "E404",
                "The file was changed",
                where=where,
                expected=f"the published {self.name}.gz, whose MD5 is {published}",
                md5=md5,
            )
        return array


@dataclass(frozen=True)
class Part:
    """One part (train or test) of a dataset: its two files and how many rows they have."""

    images: File
    labels: File
    n: int


@dataclass(frozen=True)
class IdxDataset:
    """The entry of a dataset in IDX files in the catalog.

    Attributes:
      about: The content, authors and licence, in one line.
      image_size: Height and width, in pixels.
      labels: The name of each code.
      train: The training set.
      test: The official test set.
      mirrors: Addresses of folders with the `.gz` files, which are tried in order. If there are
        none, the dataset is embedded.
    """

    about: str
    image_size: tuple[int, int]
    labels: tuple[str, ...]
    train: Part
    test: Part
    mirrors: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[File]:
        for part in (self.train, self.test):
            yield from (part.images, part.labels)


def _mnist_like(
    about: str,
    labels: tuple[str, ...],
    digests: tuple[str, str, str, str],
    mirrors: tuple[str, ...] = (),
) -> IdxDataset:
    """A dataset with MNIST's sizes and file names. The digests are in the order of `IdxDataset`."""

    def part(name: str, n: int, images: str, answers: str) -> Part:
        image_file = File(f"{name}-images-idx3-ubyte", images)
        return Part(image_file, File(f"{name}-labels-idx1-ubyte", answers), n)

    train, test = part("train", 60_000, *digests[:2]), part("t10k", 10_000, *digests[2:])
    return IdxDataset(about, (28, 28), labels, train, test, mirrors)


# SHA-256 of the decompressed files, as downloaders of the CVDF and PyTorch mirrors pin them
# (storage.googleapis.com/cvdf-datasets/mnist, ossci-datasets.s3.amazonaws.com/mnist).
MNIST = _mnist_like(
    "handwritten digits, Y. LeCun and C. Cortes, CC BY-SA 3.0",
    tuple("0123456789"),
    (
        "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

# The authors publish the MD5 of the .gz files (github.com/zalandoresearch/fashion-mnist, README).
# These are the SHA-256 of the decompressed files of Debian's dataset-fashion-mnist
# 0.0~git20200523.55506a9-1. Its files have the published MD5 once the gzip header has its file name
# and time again (tests/data/test_download.py).
FASHION_MNIST = _mnist_like(
    "clothes, H. Xiao, K. Rasul and R. Vollgraf (Zalando SE), MIT",
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    (
        "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    (
        # The authors' README, and torchvision/datasets/mnist.py.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        # keras/src/datasets/fashion_mnist.py.
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        # "The dataset appears under data/fashion" in the authors' repository (README).
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
)

# Address: the authors' README (github.com/rois-codh/kmnist) and torchvision. MD5 of the .gz files
# and names of the labels: torchvision/datasets/mnist.py.
KMNIST = _mnist_like(
    "cursive Japanese characters (Kuzushiji), CODH, CC BY-SA 4.0",
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    (
        "md5:bdb82020997e1d708af4cf47b453dcf7",
        "md5:e144d726b3acfaa3e44228e80efcd344",
        "md5:5c965bf0a639b31b8f53240b1b52f4d7",
        "md5:7320c461ea6c1c855c0b718fb2a4b134",
    ),
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
)

DATASETS = {"mnist": MNIST, "fashion-mnist": FASHION_MNIST, "kmnist": KMNIST}


def find(name: str) -> IdxDataset:
    """The catalog's entry for `name`."""
    if name not in DATASETS:
        raise DataError(
            "E401",
            "There is no such dataset",
            expected=f"one of {', '.join(DATASETS)}",
            fix=did_you_mean(name, DATASETS),
            name=name,
        )
    return DATASETS[name]


def folder_of(name: str) -> Path:
    """The folder of a dataset's files, whether it exists or not: in the package or in the cache."""
    return (files.cache_folder() if find(name).mirrors else FOLDER) / name


def is_here(name: str) -> bool:
    """Whether all files of a dataset exist. `read` checks their content."""
    folder = folder_of(name)
    return all(file.find(folder) for file in find(name))


def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read and check the files of a dataset: training rows first, then the official test rows.

    Returns:
      Images (n, height, width) uint8 and label codes (n,) uint8, each in one allocation.

    Raises:
      DataError: No dataset has this name, or it has not been downloaded.
      FormatError: A file is not the published one.
    """
    dataset, folder = find(name), folder_of(name)
    missing = [f"{file.name}.gz" for file in dataset if not file.find(folder)]
    if missing:
        raise DataError(
            "E402",
            "The dataset has not been downloaded",
            where=folder,
            expected=", ".join(missing),
            fix=f"Run `tenfold data fetch {name}`, or put the files there by hand",
            name=name,
        )
    n = dataset.train.n + dataset.test.n
    x, y = np.empty((n, *dataset.image_size), np.uint8), np.empty(n, np.uint8)
    start = 0
    for part in (dataset.train, dataset.test):
        rows = slice(start, start + part.n)
        for file, out in ((part.images, x[rows]), (part.labels, y[rows])):
            path = file.find(folder)
            assert path is not None  # no file is missing
            _, shape = read_header(path)
            if shape != out.shape:
                raise FormatError(
                    "E403",
                    "The file is not the published one",
                    where=path,
                    expected=str(out.shape),
                    fix=f"Remove it and run `tenfold data fetch {name}`",
                    shape=shape,
                )
            file.read(path, out=out)
        start += part.n
    return x, y
