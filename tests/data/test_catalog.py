"""The embedded MNIST: complete, in order, and refused when a single byte is another."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.core.errors import DataError, FormatError
from tenfold.data import catalog
from tenfold.inputs.idx import read_idx, write_idx
from tests.support.errors import refused

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]

# SHA-256 of the decompressed files, as downloaders of the CVDF and PyTorch mirrors
# (storage.googleapis.com/cvdf-datasets/mnist, ossci-datasets.s3.amazonaws.com/mnist) pin them.
PUBLISHED = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return catalog.read("mnist")


def test_mnist_is_read_whole(arrays: Arrays) -> None:
    x, y = arrays
    assert x.shape == (70_000, 28, 28)
    assert y.shape == (70_000,)
    assert x.dtype == y.dtype == np.uint8


def test_the_training_rows_come_first(arrays: Arrays) -> None:
    _, y = arrays
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    assert y[999] == 6
    assert y[60_000:60_005].tolist() == [7, 2, 1, 0, 4]


def test_each_digit_occurs_as_often_as_published(arrays: Arrays) -> None:
    _, y = arrays
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(y[:60_000]).tolist() == train
    assert np.bincount(y[60_000:]).tolist() == test


def test_the_pixels_are_light_on_dark_with_the_well_known_mean(arrays: Arrays) -> None:
    x, _ = arrays
    assert x[:60_000].mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert x.max() == 255
    assert (x[:, 0, 0] == 0).all()


def test_each_reading_is_a_copy_of_its_own(arrays: Arrays) -> None:
    again, _ = catalog.read("mnist")
    assert not np.shares_memory(again, arrays[0])
    assert again.flags.writeable


def test_the_digests_are_those_published() -> None:
    assert {file.name: file.digest for file in catalog.MNIST} == {
        name: f"sha256:{digest}" for name, digest in PUBLISHED.items()
    }


def test_the_entry_describes_mnist() -> None:
    entry = catalog.find("mnist")
    assert entry is catalog.MNIST
    assert entry.image_size == (28, 28)
    assert entry.labels == tuple("0123456789")
    assert (entry.train.n, entry.test.n) == (60_000, 10_000)


@pytest.mark.parametrize("part", [catalog.MNIST.train, catalog.MNIST.test], ids=["train", "test"])
def test_a_changed_byte_is_refused(tmp_path: Path, part: catalog.Part) -> None:
    labels = read_idx(catalog.FOLDER / "mnist" / f"{part.labels.name}.gz")
    path = tmp_path / f"{part.labels.name}.gz"
    write_idx(path, labels)
    part.labels.read(path)

    labels[len(labels) // 2] ^= 1
    write_idx(path, labels)
    with pytest.raises(FormatError) as error:
        part.labels.read(path)
    assert str(error.value).startswith("The file differs from the published one: sha256='")
    published = PUBLISHED[part.labels.name]
    assert f"({path}). Expected SHA-256 {published}" in str(error.value)


def test_a_changed_pixel_is_refused(tmp_path: Path) -> None:
    images = catalog.MNIST.test.images
    embedded = (catalog.FOLDER / "mnist" / f"{images.name}.gz").read_bytes()
    content = bytearray(gzip.decompress(embedded))
    content[-400] ^= 1
    path = tmp_path / images.name
    path.write_bytes(content)
    with pytest.raises(FormatError) as error:
        images.read(path)
    assert f"({path}). Expected SHA-256 {PUBLISHED[images.name]}" in str(error.value)


def test_an_unknown_name_is_answered_with_the_known_ones_and_a_suggestion() -> None:
    with pytest.raises(DataError) as error:
        catalog.find("minst")
    assert str(error.value) == (
        "There is no such dataset: name='minst'. Expected one of mnist, fashion-mnist, kmnist. "
        "Did you mean 'mnist'?"
    )


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(DataError) as error:
        catalog.read("zebra")
    assert str(error.value) == (
        "There is no such dataset: name='zebra'. Expected one of mnist, fashion-mnist, kmnist."
    )


def test_the_packed_file_is_read_where_both_are_there(tmp_path: Path) -> None:
    file = catalog.MNIST.train.labels
    packed = tmp_path / f"{file.name}.gz"
    packed.write_bytes((catalog.FOLDER / "mnist" / packed.name).read_bytes())
    (tmp_path / file.name).write_bytes(b"\0\0\10\1\0\0\0\1\7")
    assert file.find(tmp_path) == packed
    packed.unlink()
    packed.mkdir()  # a folder of that name is no file
    assert file.find(tmp_path) == tmp_path / file.name


def test_a_file_of_another_size_is_not_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path))
    folder = catalog.folder_of("fashion-mnist")
    folder.mkdir(parents=True)
    for file in catalog.find("fashion-mnist"):
        write_idx(folder / f"{file.name}.gz", np.zeros((6, 28, 28), np.uint8))
    with refused("E403", r"shape=\(6, 28, 28\)"):
        catalog.read("fashion-mnist")
