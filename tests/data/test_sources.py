"""Folders, npz files and CSVs of pixels as datasets: read exactly, or refused by name and place."""

import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tenfold
from tenfold.core.errors import DataError, FileError, FormatError, TenfoldError
from tenfold.core.settings import Reading
from tenfold.data.sources import pixel_label, read_arrays
from tenfold.data.sources.pixel_csv import read_pixel_csv
from tenfold.inputs.idx import write_idx
from tests.support.errors import refused

Array = NDArray[Any]

X = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
X[:, 0, 0] = X[:, -1, -1] = 0  # corners as MNIST has them
Y = np.array([2, 0, 1, 0, 2], np.uint8)


def refusal(source: Path | str) -> str:
    with pytest.raises((DataError, FormatError, FileError)) as error:
        tenfold.load(source)
    assert "\n" not in str(error.value)
    return str(error.value)


# IDX folders


def idx_folder(folder: Path, **parts: Array) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in parts.items():
        write_idx(folder / name.replace("_", "-"), array)
    return folder


FULL = {
    "train_images_idx3_ubyte": X,
    "train_labels_idx1_ubyte": Y,
    "t10k_images_idx3_ubyte": X[:2],
    "t10k_labels_idx1_ubyte": Y[:2],
}


@pytest.mark.parametrize("form", ["-idx{}-ubyte", ".idx{}-ubyte", ".idx{}", ""])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_a_folder_is_known_by_the_names_in_it(
    tmp_path: Path, form: str, ending: str, test: str
) -> None:
    for part, n in (("train", 5), (test, 2)):
        write_idx(tmp_path / f"{part}-images{form.format(3)}{ending}", X[:n])
        write_idx(tmp_path / f"{part}-labels{form.format(1)}{ending}", Y[:n])
    (tmp_path / "README.md").write_text("digits")
    (tmp_path / "train-images-idx3-ubyte.d").mkdir()
    data = tenfold.load(tmp_path)
    np.testing.assert_array_equal(data.x, np.concatenate([X, X[:2]]))
    assert data.y.tolist() == [2, 0, 1, 0, 2, 2, 0]
    assert data.test_rows.tolist() == [5, 6]
    assert data.labels == ("0", "1", "2")
    assert data.keys[0] == f"train-images{form.format(3)}{ending}:0"
    assert data.keys[6] == f"{test}-images{form.format(3)}{ending}:1"
    assert data.name == str(tmp_path)


def test_one_part_alone_is_enough(tmp_path: Path) -> None:
    train = {name: array for name, array in FULL.items() if name.startswith("train")}
    data = tenfold.load(str(idx_folder(tmp_path / "train", **train)))
    assert (len(data), data.test_rows.size) == (5, 0)
    test = {name: array for name, array in FULL.items() if name.startswith("t10k")}
    data = tenfold.load(idx_folder(tmp_path / "test", **test))
    assert (len(data), data.test_rows.tolist()) == (2, [0, 1])


def test_packed_and_unpacked_side_by_side_are_one_file(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path, **FULL)
    write_idx(folder / "train-images-idx3-ubyte.gz", X)
    assert tenfold.load(folder).keys[0] == "train-images-idx3-ubyte:0"


def test_content_decides_what_is_gzip(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path, **FULL)
    packed = gzip.compress((folder / "train-images-idx3-ubyte").read_bytes())
    (folder / "train-images-idx3-ubyte").write_bytes(packed)
    (folder / "train-labels-idx1-ubyte").rename(folder / "train-labels-idx1-ubyte.gz")
    np.testing.assert_array_equal(tenfold.load(folder).x[:5], X)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"train_labels_idx1_ubyte": Y[:4]},
            "The numbers of images and labels differ: n_images=5, n_labels=4 ",
        ),
        ({"train_labels_idx1_ubyte": X}, "The file of labels contains images: shape=(5, 28, 28)"),
        (
            {"train_labels_idx1_ubyte": Y.reshape(5, 1)},
            "The array does not contain labels: shape=(5, 1)",
        ),
        (
            {"train_images_idx3_ubyte": Y},
            "The file of images contains labels: dtype='uint8', shape=(5,)",
        ),
        (
            {"train_images_idx3_ubyte": X.astype(np.float32)},
            "The array does not contain images: dtype='float32'",
        ),
        (
            {"train_images_idx3_ubyte": X[:0], "train_labels_idx1_ubyte": Y[:0]},
            "The array does not contain images: ",
        ),
        (
            {"t10k_images_idx3_ubyte": X[:2, :27]},
            "The images have two sizes: train=(28, 28), test=(27, ",
        ),
        (
            {"train_labels_idx1_ubyte": np.array([0, 1, 2, 1.5, 0], np.float32)},
            "A label is out of range: row=3, value=1.5 ",
        ),
        (
            {"train_labels_idx1_ubyte": np.array([0, 1, np.nan, 1, 0], np.float64)},
            "A label is out of range: row=2, value=nan ",
        ),
        (
            {"train_labels_idx1_ubyte": np.array([0, -1, 0, 1, 0], np.int8)},
            "A label is out of range: row=1, value=-1 ",
        ),
        (
            {"t10k_labels_idx1_ubyte": np.array([0, 65_536], np.int32)},
            "A label is out of range: row=1, value=65536 ",
        ),
    ],
)
def test_images_and_labels_that_do_not_belong_together_are_refused(
    tmp_path: Path, changed: dict[str, Array], text: str
) -> None:
    found = refusal(idx_folder(tmp_path, **(FULL | changed)))
    assert found.startswith(text)
    assert str(tmp_path) in found


def test_labels_as_whole_floats_are_read(tmp_path: Path) -> None:
    changed = {"train_labels_idx1_ubyte": Y.astype(np.float32)}
    assert tenfold.load(idx_folder(tmp_path, **(FULL | changed))).y[:5].tolist() == Y.tolist()


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path, **FULL)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    text = refusal(folder)
    assert text.startswith("The folder has no labels of the test part: ")
    assert "found=['t10k-images-idx3-ubyte'" in text
    assert "Expected t10k-labels-idx1-ubyte, with or without .gz" in text
    (folder / "train-images-idx3-ubyte").unlink()
    assert "Expected train-images-idx3-ubyte" in refusal(folder)


def test_competing_files_are_refused(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path, **FULL, emnist_train_images_idx3_ubyte=X)
    assert refusal(folder).startswith(
        "Two files contain the same part: found=['emnist-train-images-idx3-ubyte', "
    )


def test_a_folder_without_idx_says_what_is_there_and_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    assert refusal(tmp_path).startswith(
        "The folder contains neither IDX files nor folders of pictures: n_files=1, first=['cat'] ("
    )
    (tmp_path / "MNIST").mkdir()
    idx_folder(tmp_path / "MNIST" / "raw", **FULL)
    assert refusal(tmp_path).endswith(f"Did you mean '{tmp_path / 'MNIST' / 'raw'}'?")


def test_a_broken_file_in_a_folder_is_named(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path, **FULL)
    for content, found in (
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"/annex/objects/MD5E-s9--f6.gz\n", "a git-annex pointer"),
        (b"", "an empty file"),
        (b"\x89PNG", "a PNG picture"),
    ):
        (folder / "train-images-idx3-ubyte").write_bytes(content)
        assert f"found='{found}' ({folder / 'train-images-idx3-ubyte'})" in refusal(folder)


def test_one_idx_file_is_not_a_dataset_and_a_broken_one_says_so(tmp_path: Path) -> None:
    path = idx_folder(tmp_path, **FULL) / "train-images-idx3-ubyte"
    assert refusal(path).startswith("A single IDX file is not a dataset")
    path.write_bytes(b"<html>")
    assert "found='a web page'" in refusal(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").touch()
    text = refusal(tmp_path / "housses.csv")
    assert text.startswith("There is no such file or folder: name=")
    assert text.endswith(" Did you mean 'houses.csv'?")
    (tmp_path / "annexed").symlink_to(".git/annex/objects/zz/MD5E")
    assert "annexed" in refusal(tmp_path / "annexed")


def test_a_name_of_the_catalog_goes_before_a_folder_called_the_same(tmp_path: Path) -> None:
    idx_folder(tmp_path / "mnist", **FULL)
    assert len(tenfold.load("mnist")) == 70_000
    assert len(tenfold.load("./mnist")) == 7


# npz files


def npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_the_npz_of_keras_is_read(tmp_path: Path) -> None:
    path = npz(tmp_path / "mnist.npz", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    data = tenfold.load(path)
    np.testing.assert_array_equal(data.x, np.concatenate([X, X[:2]]))
    assert data.y.tolist() == [2, 0, 1, 0, 2, 2, 0]
    assert data.test_rows.tolist() == [5, 6]
    assert (data.keys[4], data.keys[5]) == ("x_train:4", "x_test:0")


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, ">i2"])
@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 784)])
def test_short_names_flat_pixels_and_other_numbers_are_read(
    tmp_path: Path, names: tuple[str, str], dtype: Any, shape: tuple[int, ...]
) -> None:
    arrays = {names[0]: np.asfortranarray(X.reshape(shape).astype(dtype)), names[1]: Y}
    data = tenfold.load(npz(tmp_path / "a.npz", **arrays))
    np.testing.assert_array_equal(data.x, X)
    assert data.x.dtype == np.uint8
    assert data.test_rows.size == 0


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"a": X}, "The npz file does not contain images with labels: found=['a']"),
        ({"x": X}, "The npz file does not contain images with labels: found=['x']"),
        ({"x": X, "y": Y[:3]}, "The numbers of images and labels differ: n_images=5, n_labels=3"),
        ({"x": X, "y": X}, "The array does not contain labels: shape=(5, 28, 28)"),
        ({"x": X, "y": Y / 2}, "A label is out of range: row=2, value=0.5"),
        ({"x": X, "y": Y > 1}, "The labels are not whole numbers: dtype='bool'"),
        ({"x": Y, "y": Y}, "The array does not contain images: dtype='uint8', shape=(5,)"),
        (
            {"x": X[:0], "y": Y[:0]},
            ("The array does not contain images: dtype='uint8', shape=(0, 28, 28)"),
        ),
        (
            {"x": X[..., None, None], "y": Y},
            ("The array does not contain images: dtype='uint8', shape=(5, 28, 28, 1, 1)"),
        ),
        ({"x": X.astype(int) + 1, "y": Y}, "A value is not a pixel: dtype='int64', place=("),
        (
            {"x": X.astype(int) - 1, "y": Y},
            ("A value is not a pixel: dtype='int64', place=(0, 0, 0), value=-1"),
        ),
        (
            {"x": np.where(X > 9, np.nan, X), "y": Y},
            ("A value is not a pixel: dtype='float64', place="),
        ),
        (
            {"x": np.array([None] * 5), "y": Y},
            ("A member of the npz file is not an array of numbers: dtype='object'"),
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :5], "y_test": Y},
            "The images have two sizes: train=(28, 28), test=(5, 28)",
        ),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, Array], text: str
) -> None:
    assert refusal(npz(tmp_path / "a.npz", **arrays)).startswith(text)


def test_npz_files_of_others_are_read(tmp_path: Path) -> None:
    medmnist = {
        f"{part}_{kind}": array
        for part, rows in (("train", slice(None)), ("val", slice(2)), ("test", slice(1, 4)))
        for kind, array in (("images", X[rows]), ("labels", Y[rows, None]))
    }
    data = tenfold.load(npz(tmp_path / "medmnist.npz", **medmnist))
    np.testing.assert_array_equal(data.x, np.concatenate([X, X[:2], X[1:4]]))
    assert data.y.tolist() == [*Y, *Y[:2], *Y[1:4]]
    assert (data.validation_rows.tolist(), data.test_rows.tolist()) == ([5, 6], [7, 8, 9])
    assert data.keys[5] == "val_images:0"

    keras = tenfold.load(npz(tmp_path / "keras.npz", x_train=X[..., None], y_train=Y[:, None]))
    np.testing.assert_array_equal(keras.x, X)
    assert keras.y.tolist() == Y.tolist()

    named = np.array(["cow", "ant", "bee", "ant", "cow"])
    data = tenfold.load(npz(tmp_path / "names.npz", images=X, labels=named))
    assert data.labels == ("ant", "bee", "cow")
    assert [data.labels[code] for code in data.y] == named.tolist()

    colour = np.stack([X, X, X], axis=-1)
    assert tenfold.load(npz(tmp_path / "colour.npz", x=colour, y=Y)).x.shape == (5, 28, 28, 3)


def test_arrays_are_read_without_labels(tmp_path: Path, store: Callable[[str], Path]) -> None:
    np.save(tmp_path / "a.npy", X / 255)
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npy"), X / 255)
    np.testing.assert_array_equal(read_arrays(npz(tmp_path / "one.npz", arr_0=X)), X)
    both = npz(tmp_path / "b.npz", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    np.testing.assert_array_equal(read_arrays(both), X[:2])
    with refused("E446", "found="):
        read_arrays(npz(tmp_path / "c.npz", a=X, b=X))
    np.save(tmp_path / "o.npy", np.array([None, 1]), allow_pickle=True)
    with refused("E434", "dtype='object'"):
        read_arrays(tmp_path / "o.npy")
    (tmp_path / "torn.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:500])
    with refused("E434"):
        read_arrays(tmp_path / "torn.npy")
    (tmp_path / "head.npy").write_bytes(b"\x93NUMPY\1\0\xff\xff{")
    with refused("E447"):
        read_arrays(tmp_path / "head.npy")

    plain = "\n".join([pixel_names(), *(",".join(map(str, x.ravel())) for x in X)])
    np.testing.assert_array_equal(read_arrays(store(plain)), X)
    np.testing.assert_array_equal(read_arrays(store(plain.partition("\n")[2])), X)
    labelled = csv_text(X, Y, header=f"label,{pixel_names()}")
    for text in (csv_text(X, Y), labelled, with_index(plain), with_index(labelled)):
        np.testing.assert_array_equal(read_arrays(store(text)), X)
    with refused("E439", "n_columns=30"):
        read_arrays(store(",".join(["1"] * 30)))


def with_index(text: str) -> str:
    """A CSV with the index that pandas writes."""
    head, *rows = text.strip().split("\n")
    return "\n".join([f",{head}", *(f"{1000 + i},{row}" for i, row in enumerate(rows))])


def test_an_index_is_no_pixel_and_no_label(store: Callable[[str], Path]) -> None:
    labelled = csv_text(X, Y, header=f"label,{pixel_names()}")
    data = tenfold.load(store(with_index(labelled)))
    np.testing.assert_array_equal(data.x, X)
    assert data.y.tolist() == Y.tolist()


def test_a_header_of_equal_numbers_is_no_row(store: Callable[[str], Path]) -> None:
    names = ",".join(["0", *(f"0.{i}" for i in range(1, 785))])
    rows = [",".join(map(str, [y, *x.ravel()])) for x, y in zip(X, Y, strict=True)]
    data = tenfold.load(store("\n".join([names, *rows])))
    np.testing.assert_array_equal(data.x, X)
    assert data.y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("scale", "dtype", "white"),
    [
        (1 / 255, "f8", 1),
        (1 / 255, "f4", 1),
        (16 / 255, "f8", 16),
        (1, "f4", 255),
        (257.0, "u2", 0),
    ],
)
def test_pixels_of_any_scale_are_learned_from_and_said(
    scale: float, dtype: str, white: int, tmp_path: Path, store: Callable[[str], Path]
) -> None:
    x = X.copy()
    x[0, 0, 0] = 255
    scaled = (x * scale).astype(dtype)
    arrays = npz(tmp_path / "a.npz", x_train=scaled, y_train=Y)
    rows = csv_text(scaled, Y, header=f"label,{pixel_names()}")
    for path in (arrays, *([store(rows)] if white else [])):
        data = tenfold.load(path)
        np.testing.assert_array_equal(data.x, x)
        told = f"0..{white or 65535} to 0..255"
        assert [told in note for note in data.notes] == [True] * (white != 255)
    own = tenfold.Dataset.from_arrays(scaled[..., None], Y[:, None])
    np.testing.assert_array_equal(own.x, x)


def test_what_is_white_can_be_said(tmp_path: Path) -> None:
    path = npz(tmp_path / "dark.npz", x=X // 20, y=Y)  # up to 12 of 255
    assert "--white 255 keeps them dark" in tenfold.load(path).notes[0]
    data = tenfold.load(path, reading=Reading(white=255))
    np.testing.assert_array_equal(data.x, X // 20)
    assert data.notes == () and data.reading == Reading(white=255)
    half = npz(tmp_path / "half.npz", x=X / 510, y=Y)
    np.testing.assert_array_equal(tenfold.load(half, reading=Reading(white=0.5)).x, X)
    with refused("E448", "largest="):
        tenfold.load(half, reading=Reading(white=0.01))
    with refused("E432", "value=-1.0"):
        tenfold.load(npz(tmp_path / "normalised.npz", x=X / 127.5 - 1, y=Y))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    with refused("E449"):
        tenfold.load(tmp_path / "t.csv", reading=Reading(white=1, target="b"))
    with refused("E419", "white=1.0"):
        tenfold.load("mnist", reading=Reading(white=1))


def test_no_npz_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"<html>")
    assert "The file is not an npz file: found='a web page'" in refusal(tmp_path / "a.npz")


def npy_header(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    target = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        target, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return target.getvalue() + content


def test_an_npz_that_lies_about_its_size_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_header((2**39,)))
        archive.writestr("y.npy", npy_header((2**39,)))
    assert refusal(path).startswith(
        "A member of the npz file is not an array of numbers: dtype='uint8', shape=(549755813888,)"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_header((1 << 24,), bytes(1 << 24)))
        archive.writestr("y.npy", b"")
    assert refusal(path).startswith(
        "A member of the npz file would decompress to a suspicious size: "
    )


def test_damaged_npz_files_give_our_own_errors(tmp_path: Path) -> None:
    whole = npz(tmp_path / "a.npz", x=X, y=Y).read_bytes()
    rng, n_read = random.Random(0), 0
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.1:
                del content[rng.randrange(len(content)) :]
            elif content:
                near = rng.choice([len(content), 200])  # headers more often than pixels
                at = rng.randrange(min(near, len(content)))
                at = at if rng.random() < 0.5 else len(content) - 1 - at
                content[at] = rng.randrange(256)
        (tmp_path / "a.npz").write_bytes(content)
        try:
            data = tenfold.load(tmp_path / "a.npz")
        except TenfoldError as error:
            assert "\n" not in str(error)
        else:
            n_read += 1
            np.testing.assert_array_equal(data.x, X)
    assert n_read < 750


# CSV files


def csv_text(
    x: Array, y: Any, *, header: str = "", last: bool = False, separator: str = ",", end: str = "\n"
) -> str:
    lines = [header] if header else []
    for image, label in zip(x.reshape(len(x), -1).tolist(), y, strict=True):
        cells = [*map(str, image)]
        cells.insert(len(cells) if last else 0, str(label))
        lines.append(separator.join(cells))
    return end.join(lines) + end


def pixel_names(separator: str = ",") -> str:
    return separator.join(f"pixel{i}" for i in range(784))


@pytest.fixture
def store(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "digits.csv"
        path.write_bytes(text.encode())
        return path

    return write


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [False, True], ids=["label first", "label last"])
@pytest.mark.parametrize("named", ["label", "CLASS", "what", ""])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
def test_a_label_and_784_pixels_are_images(
    store: Callable[[str], Path], separator: str, end: str, last: bool, named: str, mark: str
) -> None:
    names = [pixel_names(separator), named] if last else [named, pixel_names(separator)]
    header = separator.join(names) if named else ""
    path = store(mark + csv_text(X, Y, header=header, last=last, separator=separator, end=end))
    data = tenfold.load(path)
    np.testing.assert_array_equal(data.x, X)
    assert data.y.tolist() == Y.tolist()
    assert data.labels == ("0", "1", "2")
    assert (data.keys[0], data.name) == ("digits.csv:0", str(path))
    assert pixel_label(path) == named


FORMS = st.sampled_from(["{}", "{}.0", " {}", '"{}"', "{}.", "0{}", "{:.1e}", "+{}"])


def check_pixels(folder: Path, pixels: list[int], form: str) -> None:
    path = folder / "some.csv"
    x = np.array(pixels, np.uint8).reshape(2, 28, 28)
    exact = "{}" if "e" in form and any(int(float(form.format(p))) != p for p in pixels) else form
    lines = [",".join(["7", *(exact.format(p) for p in image.ravel().tolist())]) for image in x]
    header = f"label,{pixel_names()}"
    path.write_text("\n".join([header, *lines]))  # no end of the last line
    np.testing.assert_array_equal(tenfold.load(path).x, x)


@settings(deadline=None, max_examples=12)
@given(pixels=st.lists(st.integers(0, 255), min_size=2 * 784, max_size=2 * 784), form=FORMS)
def test_pixels_are_read_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, pixels: list[int], form: str
) -> None:
    check_pixels(tmp_path_factory.getbasetemp(), pixels, form)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(pixels=st.lists(st.integers(0, 255), min_size=2 * 784, max_size=2 * 784), form=FORMS)
def test_200_times_pixels_are_read_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, pixels: list[int], form: str
) -> None:
    check_pixels(tmp_path_factory.getbasetemp(), pixels, form)


def test_labels_may_be_names(store: Callable[[str], Path]) -> None:
    for last in (False, True):
        data = tenfold.load(store(csv_text(X, ["cow", "ant", "bee", "ant", "cow"], last=last)))
        assert data.labels == ("ant", "bee", "cow")
        assert data.y.tolist() == Y.tolist()


def test_the_label_may_stand_anywhere_if_it_is_named(store: Callable[[str], Path]) -> None:
    names = pixel_names().split(",")
    header = ",".join([*names[:300], "Label", *names[300:]])
    flat = X.reshape(5, 784).tolist()
    rows = [
        ",".join(map(str, [*image[:300], y, *image[300:]]))
        for image, y in zip(flat, Y.tolist(), strict=True)
    ]
    data = tenfold.load(store("\n".join([header, *rows])))
    np.testing.assert_array_equal(data.x, X)
    assert data.y.tolist() == Y.tolist()


def test_a_large_csv_is_read_in_parts(store: Callable[[str], Path], mnist: tenfold.Dataset) -> None:
    x, y = mnist.x[:2500], mnist.y[:2500]
    data = tenfold.load(store(csv_text(x, y)))
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)


def row(cell: str = "0", n: int = 784, label: str = "1") -> str:
    return ",".join([label, *["0"] * (n - 1), cell])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            row("256"),
            (
                "A value is not a pixel: value='256' (P, line 3, column 785 "
                "'pixel783'). Expected a nu"
            ),
        ),
        (row("-1"), "A value is not a pixel: value='-1' (P, line 3, column 785 'pixel783')"),
        (row("nan"), "A value is not a pixel: value='nan' (P, line 3, column 785 'pixel783')"),
        (row("inf"), "A value is not a pixel: value='inf' (P, line 3, column 785 'pixel783')"),
        (row(""), "A value is not a pixel: value='' (P, line 3, column 785 'pixel783')"),
        (row("x"), "A value is not a pixel: value='x' (P, line 3, column 785 'pixel783')"),
        (row(n=783), "A row has another number of columns: n=784 (P, line 3). Expected 785."),
        (row(n=785), "A row has another number of columns: n=786 (P, line 3). Expected 785."),
        (
            row(label="a"),
            ("A label cannot be read: row=1, value='a' (P). Expected all of them numbers or al"),
        ),
        (row(label=""), "A label cannot be read: row=1, value='' (P)"),
        (row(label="1.5"), "A label is out of range: row=1, value=1.5 (P)"),
        (row(label="-1"), "A label is out of range: row=1, value=-1.0 (P)"),
        (row(label="65536"), "A label is out of range: row=1, value=65536.0 (P)"),
    ],
)
def test_a_bad_cell_is_named_with_its_place(
    store: Callable[[str], Path], line: str, text: str
) -> None:
    path = store("\n".join([f"label,{pixel_names()}", row(), line]) + "\n")
    assert refusal(path).startswith(text.replace("P", str(path), 1))


def test_a_place_without_a_header_is_a_number(store: Callable[[str], Path]) -> None:
    text = "\n".join([row(label="0"), row(), row("256", label="0")])
    assert "line 3, column 785)" in refusal(store(text))


def test_text_that_is_no_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"label,{pixel_names()}\n{row()}\n".encode() + row(label="é").encode("latin1"))
    assert refusal(path).startswith("The file is not UTF-8: reason='invalid continuation byte' (")


def test_a_label_column_that_cannot_be_told_is_refused(store: Callable[[str], Path]) -> None:
    x = X.copy()
    x[:, -1, -1] = Y
    for y in (Y, np.full(5, 3)):
        text = refusal(store(csv_text(x if y is Y else X, y)))
        assert text.startswith("It is unclear which column is the label")
        assert text.endswith("Name the column 'label' in a header line.")


def test_a_header_alone_and_an_endless_line_are_refused(store: Callable[[str], Path]) -> None:
    assert refusal(store(f"label,{pixel_names()}\n")).startswith("The table has no rows")
    text = f"label,{pixel_names()}\n{row()}\n" + "1" * 70_000
    assert re.match(r"A line is too long \(.*, line 3\)", refusal(store(text)))


def test_another_table_is_not_offered_as_images(store: Callable[[str], Path]) -> None:
    path = store("length,width,kind\n1,2,a\n")
    assert pixel_label(path) is None
    assert refusal(path).startswith("No target column was chosen")  # it is read as a table
    with refused("E439", "n_columns=3"):
        read_pixel_csv(path)


def test_what_is_plainly_no_csv_is_named(store: Callable[[str], Path]) -> None:
    assert "The file is not a CSV file: found='an empty file'" in refusal(store(""))
    path = store("<!DOCTYPE html>")
    assert "found='a web page'" in refusal(path)
    with pytest.raises(FormatError):
        pixel_label(path)
