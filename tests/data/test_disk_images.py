"""Images on disk: the same rows and the same models as in memory, and never all of them at once."""

import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tenfold
from tenfold import Dataset, Run
from tenfold.build import problem
from tenfold.core.errors import FileError
from tenfold.data import disk_images
from tenfold.data.disk_images import StoredImages, Writer, few
from tenfold.experiments.sweeps.shared_rows import open_shared, share
from tenfold.learners.group import read_examples, write_examples
from tenfold.learners.job import Examples
from tenfold.learners.training import convolution
from tests.support.errors import refused

X = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3), np.uint8)


def written(folder: Path) -> StoredImages:
    """X, on disk; 200 bytes are read at once, three images."""
    writer = Writer(len(X) + 1, X.shape[1:], folder)
    for image in X:
        writer.add(image)
    images = writer.images()
    assert isinstance(images, StoredImages)
    return images


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that has no room for images, and reads three of X at once."""
    monkeypatch.setattr(disk_images, "in_memory_bytes", lambda: 0)
    monkeypatch.setattr(disk_images, "AT_ONCE", 200)


def test_rows_are_those_of_an_array(tight: None, tmp_path: Path) -> None:
    images = written(tmp_path)
    assert (images.shape, images.ndim, images.size) == (X.shape, X.ndim, X.size)
    assert (images[7] == X[7]).all() and (images[-1] == X[-1]).all()
    assert (images[3:6] == X[3:6]).all() and (images[[9, 2, 2]] == X[[9, 2, 2]]).all()
    assert few(images, 1000) == 1 and few(X[:, :1, :1, :1], 1000) == 100
    assert list(tmp_path.iterdir()) == [], "the file has no name, and goes away with the process"

    @given(st.lists(st.integers(-40, 39), min_size=4), st.slices(40))
    def check(rows: list[int], part: slice) -> None:
        view = images[rows]
        assert isinstance(view, StoredImages) and (np.asarray(view) == X[rows]).all()
        assert (np.concatenate(list(view.parts())) == X[rows]).all()
        assert (np.asarray(images[part]) == X[part]).all()
        assert (np.asarray(images[part]) == X[part]).all()

    check()
    with pytest.raises(IndexError):
        images[40]


def test_the_file_is_closed_with_the_last_who_reads_it(tight: None, tmp_path: Path) -> None:
    images = written(tmp_path)
    file = images._storage.file
    ring: list[Any] = [images[[3, 4, 5, 6]]]
    ring.append(ring)  # in a cycle too
    del images
    gc.collect()
    assert not file.closed
    del ring
    gc.collect()
    assert file.closed


def colours(folder: Path, n: int) -> Path:
    """Three labels of pictures that differ in colour."""
    rng = np.random.default_rng(0)
    for i in range(n):
        x = rng.integers(0, 120, (12, 12, 3))
        x[..., i % 3] += 100
        path = folder / "rgb"[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x.astype(np.uint8)).save(path)
    return folder


def trained(data: Dataset) -> Run:
    return tenfold.train(
        data, learner="cnn", recipe="fast", epochs=2, width=4, batch_size=32, robustness=True
    )


def test_the_same_model_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = colours(tmp_path / "pictures", 240)
    known = tenfold.load(folder)
    monkeypatch.setattr(convolution, "STATISTICS_ROWS", 64)
    monkeypatch.setattr(problem, "MAX_NOVELTY", 64)
    whole = trained(known)
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(disk_images, "in_memory_bytes", lambda: 50_000)
    monkeypatch.setattr(disk_images, "AT_ONCE", 30_000)  # 69 pictures, of some 160 to train on
    data = tenfold.load(folder)
    assert isinstance(data.x, StoredImages) and isinstance(known.x, np.ndarray)
    assert data.fingerprint == known.fingerprint
    monkeypatch.delattr(StoredImages, "__array__")  # nobody takes them all
    run = trained(data)
    for name in ("model.onnx", "predictions.csv", "evaluation.json", "robustness.json"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    remark = "0 MB of pixels stay on disk, read a few at a time"
    assert data.pictures is not None and ("streamed", remark) in data.pictures.remarks
    assert remark in (run.path / "audit.json").read_text() + (run.path / "report.html").read_text()
    assert list((tmp_path / "cache").iterdir()) == []
    with refused("E602", "n_bytes=.*learner='forest'"):
        tenfold.train(data, learner="forest")


def test_workers_read_them_from_disk_too(
    tight: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(StoredImages, "__array__")  # nobody takes them all
    data = Dataset.from_arrays(X, np.arange(40) % 2)
    on_disk = replace(data, x=written(tmp_path / "cache"))
    split = tenfold.split(data, validation_size=0.2)
    used = np.concatenate([split.train, split.validation])
    share(on_disk, split, tmp_path / "shared")
    shared, parts = open_shared(tmp_path / "shared")
    assert isinstance(shared.x, StoredImages) and shared.fingerprint == data.take(used).fingerprint
    assert [tuple(x) for x in shared.x[:2].reshape(2, -1)] == [
        tuple(x) for x in X[used[:2]].reshape(2, -1)
    ]
    assert len(parts.train) == len(split.train)

    (tmp_path / "group").mkdir()
    rows = Examples(on_disk.x[split.train], data.y[split.train])
    write_examples(tmp_path / "group", {"train": rows, "validation": None})
    again = read_examples(tmp_path / "group", "train")
    assert again is not None and (again.y == rows.y).all()
    x: Any = again.x
    assert isinstance(x, StoredImages)
    assert (np.concatenate(list(x.parts())) == X[split.train]).all()
    monkeypatch.setattr(disk_images, "in_memory_bytes", lambda: 1 << 20)
    again = read_examples(tmp_path / "group", "train")
    assert again is not None and (again.x == X[split.train]).all()


def test_copies_are_found_on_disk(tight: None, tmp_path: Path) -> None:
    from tenfold.data.duplicates import first_of_each

    images = written(tmp_path)[[*range(40), 3, 9]]
    assert first_of_each(images).tolist() == [*range(40), 3, 9]


def test_a_full_disk_is_one_line(tight: None, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Cannot write"):
        Writer(1, (2, 2), Path("/dev/null/cache"))
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    writer = Writer(1, (2000, 2000), tmp_path)
    full: Any = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    writer._storage.file.close()
    writer._storage.file = full
    with refused("E902", "No space left on device"):
        writer.add(np.zeros((2000, 2000), np.uint8))
    full.close()


def test_the_memory_of_this_computer_is_known() -> None:
    assert 64 << 20 < disk_images.in_memory_bytes() < 1 << 50
