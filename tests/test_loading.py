"""A name, a file or a folder becomes a dataset, or one line says why not."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Dataset, Run
from tenfold.contract import Reading
from tenfold.data_commands import show_command
from tenfold.errors import DataError, FileError, FormatError
from tenfold.idx import write_idx
from tenfold.report import draw_examples


def pixel_file(path: Path, header: list[str], labels: list[object], *, last: int = 0) -> Path:
    pixels = np.zeros((len(labels), 784), int)
    pixels[0, -1] = last
    rows = [",".join([str(y), *map(str, row)]) for y, row in zip(labels, pixels, strict=True)]
    path.write_text("\n".join([*([",".join(header)] if header else []), *rows]))
    return path


def test_pixels_in_another_order_are_refused(tmp_path: Path) -> None:
    names = [f"pixel{i}" for i in range(784)]
    ordered = pixel_file(tmp_path / "a.csv", ["label", *names], [0, 1, 2])
    assert tenfold.load(ordered).images.shape == (3, 28, 28)
    names[3], names[400] = names[400], names[3]
    mixed = pixel_file(tmp_path / "b.csv", ["label", *names], [0, 1, 2])
    with pytest.raises(DataError, match=r"Pixel columns out of order: first='pixel400'"):
        tenfold.load(mixed)


def test_a_pixel_that_could_be_the_label_is_never_taken_for_it(tmp_path: Path) -> None:
    path = pixel_file(tmp_path / "t.csv", [], [*range(1, 11)], last=1)
    with pytest.raises(DataError, match="The label column cannot be told"):
        tenfold.load(path)
    plain = pixel_file(tmp_path / "u.csv", [], [*range(1, 11)])
    assert tenfold.load(plain).y.tolist() == [*range(1, 11)]


def test_companion_files_of_other_systems_are_passed_over(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((4, 5, 5), np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 0, 1], np.uint8))
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"\0\5\26\7")
    assert len(tenfold.load(tmp_path)) == 4


@pytest.mark.parametrize("source", [np.zeros((3, 28, 28), np.uint8), None, [1, 2], b"mnist"])
def test_what_is_no_source_is_refused_with_what_to_do(source: object) -> None:
    with pytest.raises(DataError, match="Nothing to load: kind='.*Dataset.from_arrays"):
        tenfold.load(source)  # type: ignore[arg-type]


def test_what_is_said_of_a_table_is_refused_for_images() -> None:
    with pytest.raises(DataError, match=r"Images are not read like a table: target='x' \(mnist\)"):
        tenfold.load("mnist", target="x")
    with pytest.raises(DataError, match="Images are not read like a table: time='day', lags=3"):
        tenfold.load("mnist", reading=Reading(time="day", lags=3))


def test_a_name_no_file_can_have_is_one_error() -> None:
    with pytest.raises(FileError, match="Cannot read: reason='File name too long'"):
        tenfold.load("a" * 5000)


def test_a_frame_is_a_table() -> None:
    frame = pd.DataFrame({"x": np.arange(20) / 3, "t": ["a", "b"] * 10})
    assert tenfold.load(frame, target="t").labels == ("a", "b")


def test_data_without_some_of_the_labels_are_measured(small_run: Run, mnist: Dataset) -> None:
    few = np.flatnonzero(np.isin(mnist.y[:500], [3, 5]))
    other = Dataset.from_arrays(mnist.x[few], (mnist.y[few] == 5) * 1, labels=["3", "5"])
    found = tenfold.evaluate(small_run, other)
    assert (found.n, found.labels) == (len(few), small_run.model.labels)  # type: ignore[union-attr]
    assert found.accuracy.value > 0.5  # type: ignore[union-attr]


def test_labels_with_dollars_are_drawn_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), np.uint8)
    data = Dataset.from_arrays(images, [0, 1] * 20, labels=["$a_{$", r"$\frac$"], name="$x$")
    draw_examples(data, tmp_path / "sheet.png")
    run = tenfold.train(data, epochs=1, hidden=[4], shift_px=0)
    assert (run.path / "confusion_matrix.png").is_file()


def test_a_sheet_replaces_no_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((4, 5, 5), np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 0, 1], np.uint8))
    for name in ("train-labels-idx1-ubyte", "x.txt"):
        with pytest.raises(DataError, match=f"Not a new picture .*{name}"):
            show_command(str(tmp_path), out=tmp_path / name)
    show_command(str(tmp_path))
    show_command(str(tmp_path))
    assert Path(f"{tmp_path.name}-examples-2.png").is_file()


def test_codes_that_hardly_occur_make_no_giant_model(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((300, 5, 5), np.uint8))
    codes = np.r_[np.zeros(299), 65_535].astype(np.int32)
    write_idx(tmp_path / "train-labels-idx1-ubyte", codes)
    with pytest.raises(DataError, match="Label codes with gaps: n_codes=65536, n_used=2"):
        tenfold.load(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(300).astype(np.int32))
    assert len(tenfold.load(tmp_path).labels) == 300
    write_idx(tmp_path / "train-labels-idx1-ubyte", (codes > 0).astype(np.uint8) * 255)
    assert len(tenfold.load(tmp_path).labels) == 256  # a byte of codes may have any gaps


def test_packed_tables_of_pixels_are_called_gzip(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(gzip.compress(b"label,p\n1,2\n"))
    with pytest.raises(FormatError, match="Not a CSV file: found='gzip'.*Unpack it"):
        tenfold.load(path)
