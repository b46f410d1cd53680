"""A folder of pictures for each label: read, trained on, measured; what is left out is said."""

import os
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import tenfold
from tenfold import Run
from tenfold.core.contract import ImageInput
from tenfold.core.errors import DataError
from tenfold.core.progress import Listener
from tenfold.data.from_folder import LARGEST_PX, is_picture_folder
from tenfold.data.split import split
from tenfold.experiments import evaluate, run_data
from tests.support.errors import refused
from tests.support.paper import Paper, on_paper
from tests.support.program import call

MNIST = tenfold.load("mnist")
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}


def save(picture: NDArray[np.uint8], path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)  # type: ignore[arg-type]


def coloured(label: str, seed: int, px: tuple[int, int] = (40, 40)) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    picture = np.array(COLOURS[label]) + rng.normal(0, 25, (*px, 3)) + rng.normal(0, 15)
    return np.clip(picture, 0, 255).astype(np.uint8)


def colour_folder(root: Path, n: int = 8) -> Path:
    for k, label in enumerate(COLOURS):
        for i in range(n):
            save(coloured(label, 100 * k + i), root / label / f"{i}.png")
    return root


def digit_folder(root: Path, rows: range, labels: str = "0123456789") -> Path:
    """MNIST digits on paper, a folder for each."""
    for row in rows:
        label = str(MNIST.y[row])
        if label in labels:
            save(on_paper(MNIST.x[row], Paper(px=(90, 110)), row), root / label / f"{row}.png")
    return root


def test_pictures_of_one_small_size_stay_as_they_are(tmp_path: Path) -> None:
    for row in range(30):
        save(MNIST.x[row], tmp_path / str(MNIST.y[row]) / f"{row}.png")
    data = tenfold.load(tmp_path)
    assert data.input == ImageInput(height=28, width=28, crop="centre")
    assert data.labels == tuple(sorted({str(code) for code in MNIST.y[:30]}, key=int))
    for image, code, key in zip(data.x, data.y, data.keys, strict=True):
        found = re.fullmatch(r"(\d)/(\d+)\.png", key)
        assert found and data.labels[code] == found[1]
        np.testing.assert_array_equal(image, MNIST.x[int(found[2])])
    assert data.pictures is not None and data.pictures.remarks == ()
    assert not data.test_rows.size


def test_labels_that_are_numbers_come_in_their_order(tmp_path: Path) -> None:
    for label in ("10", "9", "2"):
        save(MNIST.x[int(label)], tmp_path / label / "a.png")
    assert tenfold.load(tmp_path).labels == ("2", "9", "10")


def test_mixed_sizes_and_modes_become_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = {
        "a/grey.png": rng.integers(0, 256, (100, 200)),
        "a/colour.png": rng.integers(0, 256, (120, 240, 3)),
        "b/alpha.png": rng.integers(0, 256, (90, 180, 4)),
        "b/photo.jpg": rng.integers(0, 256, (400, 300, 3)),
    }
    for name, picture in pictures.items():
        save(picture.astype(np.uint8), tmp_path / name)
    Image.fromarray(rng.integers(0, 256, (50, 50)).astype(np.uint8)).convert("P").save(
        tmp_path / "b" / "palette.gif"
    )
    data = tenfold.load(tmp_path)
    assert isinstance(data.input, ImageInput)
    assert (data.input.channels, data.input.crop) == (3, "centre")
    assert max(data.input.height, data.input.width) == LARGEST_PX
    assert data.input.width > data.input.height
    assert data.x.shape == (5, *data.input.shape)
    assert data.pictures is not None
    ((kind, line),) = data.pictures.remarks
    assert kind == "resized"
    sizes = "32 x 64 pixels (100 x 100 for transfer)"
    assert line.startswith(f"cut in the middle and resized to {sizes}: 5 files, a/colour.png")


def test_what_is_skipped_or_refused_is_listed(tmp_path: Path) -> None:
    colour_folder(tmp_path, 3)
    (tmp_path / "red" / "notes.txt").write_text("red things")
    (tmp_path / "red" / "older").mkdir()
    (tmp_path / "readme.md").write_text("pictures")
    (tmp_path / "blue" / "page.png").write_text("<html>")
    content = (tmp_path / "blue" / "0.png").read_bytes()
    for own in ("0.steps.png", "0.read-2.png"):  # what predict --show and read write
        (tmp_path / "blue" / own).write_bytes(content)
    (tmp_path / "blue" / "torn.png").write_bytes(content[: len(content) // 2])
    data = tenfold.load(tmp_path)
    assert len(data) == 9
    assert data.pictures is not None
    skipped, refused = data.pictures.remarks
    assert skipped == (
        "skipped",
        "no pictures: 5 files, blue/0.read-2.png, blue/0.steps.png, readme.md, red/notes.txt, "
        "red/older",
    )
    assert refused[0] == "refused"
    assert refused[1].startswith("2 pictures cannot be read: The file is not a picture")
    assert "page.png" in refused[1] and "The picture is damaged" in refused[1]
    shown = call("data", "check", tmp_path).stdout
    assert all(f"audit: {line}" in shown for _, line in data.pictures.remarks)


def test_train_and_test_are_the_parts(tmp_path: Path) -> None:
    colour_folder(tmp_path / "train", 4)
    for i in range(2):
        save(coloured("red", 50 + i), tmp_path / "Test" / "red" / f"{i}.png")
    data = tenfold.load(tmp_path)
    assert len(data) == 14 and data.labels == ("blue", "green", "red")
    assert data.test_rows.tolist() == [12, 13]
    assert [data.keys[row] for row in data.test_rows] == ["Test/red/0.png", "Test/red/1.png"]


def test_a_stray_picture_beside_the_labels_leaves_the_parts_as_they_are(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "test")):
        for i, label in enumerate(("red", "blue")):
            save(coloured(label, 10 * seed + i), tmp_path / part / label / "0.png")
        save(coloured("green", 99 + seed), tmp_path / part / "montage.png")
    data = tenfold.load(tmp_path)
    assert data.labels == ("blue", "red") and len(data) == 4 and len(data.test_rows) == 2
    assert data.pictures is not None
    assert "test/montage.png, train/montage.png" in data.pictures.remarks[0][1]


@pytest.mark.parametrize("name", ["valid", "val", "Validation", "dev"])
def test_a_validation_folder_is_the_validation_part(tmp_path: Path, name: str) -> None:
    colour_folder(tmp_path / "training", 8)
    for i, label in enumerate(COLOURS):
        save(coloured(label, 900 + i), tmp_path / name / label / "0.png")
    copied = tmp_path / "training" / "red" / "copy.png"
    copied.write_bytes((tmp_path / name / "red" / "0.png").read_bytes())
    data = tenfold.load(tmp_path)
    assert data.pictures is not None and data.pictures.remarks == ()
    official = [data.keys[row] for row in data.validation_rows]
    assert official == [f"{name}/{label}/0.png" for label in sorted(COLOURS)]
    parts = split(data, validation_size=0.15)
    assert parts.validation.tolist() == data.validation_rows.tolist()
    assert not set(parts.validation) & {*parts.train, *parts.test} and len(parts.test)
    assert [data.keys[row] for row in parts.dropped] == ["training/red/copy.png"]
    none = split(data)
    assert not len(none.validation) and not set(data.validation_rows) & {*none.train, *none.test}
    taken = data.take(np.flatnonzero(data.y == 0))
    assert [taken.keys[row] for row in taken.validation_rows] == [f"{name}/blue/0.png"]
    checked = call("data", "check", tmp_path).stdout
    n, n_labels = len(data) - len(COLOURS), len(COLOURS)
    assert checked.startswith(f"audit: {n} training and {n_labels} validation examples, ")
    heading, first, *_ = call(
        "data", "show", tmp_path, "--out", tmp_path / "examples.png"
    ).stdout.splitlines()
    assert heading.split() == ["label", "train", "validation", "test", "share"]
    assert first.split()[:4] == ["blue", "8", "1", "0"]


def test_train_valid_and_test_are_three_parts(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "valid", "test")):
        for label in COLOURS:
            for i in range(3 if part == "train" else 1):
                path = tmp_path / "dataset" / part / label / f"{i}.png"
                save(coloured(label, 1000 * seed + i), path)
    data = tenfold.load(tmp_path)
    parts = split(data, validation_size=0.15)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (9, 3, 3)
    assert data.keys[parts.test[0]] == "dataset/test/blue/0.png"


@pytest.mark.parametrize("name", ["test", "testing", "Unlabelled"])
def test_a_folder_of_pictures_without_labels_is_no_label(tmp_path: Path, name: str) -> None:
    colour_folder(tmp_path, 3)
    save(coloured("red", 50), tmp_path / name / "0.png")
    data = tenfold.load(tmp_path)
    assert data.labels == ("blue", "green", "red") and len(data) == 9
    assert data.pictures is not None
    assert data.pictures.remarks == (("skipped", f"pictures without a label, not used: {name}"),)
    inside = tmp_path / "parts"
    colour_folder(inside / "train", 3)
    save(coloured("red", 50), inside / name / "0.png")
    again = tenfold.load(inside)
    assert again.pictures is not None and again.pictures.remarks == data.pictures.remarks


def test_pictures_may_lie_deeper_and_folders_may_be_wrapped(tmp_path: Path) -> None:
    for label in COLOURS:
        for i, author in enumerate(("anna", "bert")):
            save(coloured(label, i), tmp_path / "a" / "b" / label / author / f"{i}.png")
    data = tenfold.load(tmp_path)
    assert data.labels == ("blue", "green", "red") and len(data) == 6
    assert data.keys[:2] == ["a/b/blue/anna/0.png", "a/b/blue/bert/1.png"]


def test_names_of_labels_are_equal_in_every_form_of_unicode(tmp_path: Path) -> None:
    for label in ("Käfer", "Ameise"):
        decomposed = unicodedata.normalize("NFD", label)
        for folder in (tmp_path / "train" / label, tmp_path / "test" / decomposed):
            save(coloured("red", len(label)), folder / "0.png")
    data = tenfold.load(tmp_path)
    assert data.labels == ("Ameise", "Käfer") and data.y.tolist() == [0, 1, 0, 1]


def test_train_may_be_a_label(tmp_path: Path) -> None:
    for label in ("train", "bus"):
        for i in range(2):
            save(coloured("red", i), tmp_path / label / f"{i}.png")
    data = tenfold.load(tmp_path)
    assert data.labels == ("bus", "train") and not data.test_rows.size


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        (
            {"a/1.png": 1, "a/2.png": 2},
            ["All pictures have the same label: labels=['a']", "at least two"],
        ),
        (
            {"a/1.png": None, "b/2.png": None},
            [
                "The folder contains no picture that can be read: n_refused=2",
                "The file is not a picture",
                "a/1.png",
                "b/2.png",
            ],
        ),
        ({"a/1.png": 1, "b/2.png": None}, ["All pictures have the same label: labels=['a']"]),
    ],
)
def test_one_class_or_none_is_refused(
    files: dict[str, int | None], facts: list[str], tmp_path: Path
) -> None:
    for name, seed in files.items():
        save(coloured("red", seed or 0), tmp_path / name)
        if seed is None:
            (tmp_path / name).write_bytes(b"torn")
    with pytest.raises(DataError) as error:
        tenfold.load(tmp_path)
    for fact in facts:
        assert fact in str(error.value)


def test_pictures_without_folders_are_no_dataset(tmp_path: Path) -> None:
    save(MNIST.x[0], tmp_path / "0.png")
    assert not is_picture_folder(tmp_path)
    with refused("E421"):
        tenfold.load(tmp_path)


# The same picture in two files.


def photos(n: int, px: int = 64) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    large = rng.integers(0, 256, (n, 9, 9, 3)).astype(np.uint8)
    size = (px, px)
    return np.array([Image.fromarray(x).resize(size, Image.Resampling.BICUBIC) for x in large])


def test_the_same_picture_stays_on_one_side(tmp_path: Path) -> None:
    for i, photo in enumerate(photos(40)):
        save(photo, tmp_path / "ab"[i % 2] / f"{i}.png")
        save(photo, tmp_path / "ab"[i % 2] / f"{i} again.jpg", quality=70)
    data = tenfold.load(tmp_path)
    assert len(np.unique(data.group_of)) == 40
    parts = split(data, validation_size=0.2)
    owners = [set(data.group_of[rows]) for rows in (parts.train, parts.validation, parts.test)]
    assert all(owners) and not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]
    some = data.take(np.arange(20, 60))
    assert len(np.unique(some.group_of)) == len(np.unique(data.group_of[20:60]))
    assert (some.group_of <= np.arange(40)).all()


def test_a_test_picture_that_was_trained_on_is_dropped_and_said(tmp_path: Path) -> None:
    colour_folder(tmp_path / "train", 4)
    for i, photo in enumerate(photos(6)):
        save(photo, tmp_path / "train" / "red" / f"photo {i}.png")
        save(photo, tmp_path / "test" / ("red" if i else "blue") / f"again {i}.jpg", quality=75)
    data = tenfold.load(tmp_path)
    assert len(split(data).dropped) == 6
    said = call("data", "check", tmp_path).stdout
    assert "are in both" in said and "different answers" in said


# Trained on and measured.


def test_colours_are_learned_and_the_contract_goes_with_the_model(tmp_path: Path) -> None:
    data = colour_folder(tmp_path / "colours", 24)
    done = call("train", data, "--out", tmp_path / "runs", "--epochs", 8)
    assert done.returncode == 0, done.stderr
    run = Run.open(tmp_path / "runs" / "colours-network-1")
    accepted = run.model.contract.input
    assert accepted == ImageInput(height=40, width=40, channels=3, crop="centre")
    assert run.model.labels == ("blue", "green", "red")
    wide = tmp_path / "wide.jpg"
    save(coloured("green", 999, (100, 300)), wide)
    answer = run.model.predict_one(wide)
    assert isinstance(answer, tenfold.Prediction) and answer.steps is not None
    assert answer.label == "green" and answer.steps.image.shape == (40, 40, 3)
    with pytest.raises(DataError, match="This model cannot read pages"):
        tenfold.read(run, wide)
    assert tenfold.verify(run.path)["examples"] == 3


def test_your_own_pictures_are_measured_beside_mnist(small_run: Run, tmp_path: Path) -> None:
    folder = digit_folder(tmp_path / "mine", range(60_000, 60_060), "01479")
    (folder / "0" / "torn.png").write_bytes(b"torn")
    done = call("evaluate", small_run.path, folder)
    assert done.returncode == 0, done.stderr
    n = sum(str(MNIST.y[row]) in "01479" for row in range(60_000, 60_060))
    assert re.search(rf"^measured on        {n} rows of .*mine, 95% intervals$", done.stdout, re.M)
    accuracy = re.match(r"accuracy           ([\d.]+)% \[", done.stdout)
    own = small_run.evaluation
    assert isinstance(own, tenfold.Evaluation)
    assert done.stdout.endswith(
        f"the run's own      mnist, 200 test rows: accuracy {own.accuracy.in_percent}\n"
    )
    assert "1 pictures cannot be read" in done.stderr
    images = sorted(path for path in folder.glob("*/*.png") if path.name != "torn.png")
    right = 0
    for path in images:
        answer = small_run.model.predict_one(path)
        assert isinstance(answer, tenfold.Prediction)
        right += answer.label == path.parent.name
    assert accuracy and float(accuracy[1]) == round(100 * right / n, 1)


def test_one_label_alone_can_be_measured(small_run: Run, tmp_path: Path) -> None:
    folder = digit_folder(tmp_path / "sevens", range(60_000, 60_060), "7")
    warned: list[str] = []

    class Listening(Listener):
        def warn(self, text: str) -> None:
            warned.append(text)

    evaluation = tenfold.evaluate(small_run, folder, listener=Listening())
    assert evaluation.n == sum(str(MNIST.y[row]) == "7" for row in range(60_000, 60_060))
    assert warned == []


def test_labels_the_model_does_not_know_are_refused(small_run: Run, tmp_path: Path) -> None:
    save(MNIST.x[0], tmp_path / "mine" / "seven" / "a.png")
    with pytest.raises(
        DataError, match=r"The data have labels.*folders=\['seven'\].*folders called 0, 1"
    ):
        tenfold.evaluate(small_run, tmp_path / "mine")


def test_names_that_are_no_text_are_written_down_as_such(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, in the names of a picture and of its folder."""
    data = colour_folder(tmp_path / "data", 24)
    odd = b"\xffred"
    (data / "red").rename(data / os.fsdecode(odd))
    inner = data / os.fsdecode(odd)
    (inner / "0.png").rename(inner / os.fsdecode(b"\xe9.png"))
    (inner / os.fsdecode(b"torn\xe9.png")).write_bytes(b"torn")
    done = call("train", data, "--out", tmp_path / "runs", "--learner", "baseline", "--json")
    assert done.returncode == 0, done.stderr
    run = Run.open(tmp_path / "runs" / "data-baseline-1")
    assert run.model.labels == ("\\udcffred", "blue", "green")
    assert "torn\\udce9.png" in done.stderr and tenfold.verify(run.path)
    picture = inner / os.fsdecode(b"\xe9.png")
    for form in ([], ["--json"], ["--csv"]):
        done = call("predict", run.path, picture, *form)
        assert done.returncode == 0 and "udce9.png" in done.stdout, done.stderr


def test_a_folder_whose_name_is_no_text_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    data = colour_folder(tmp_path / os.fsdecode(b"data\xff"), 2)
    done = call("train", data, "--out", tmp_path / "runs", "--learner", "baseline")
    assert done.returncode == 1 and not (tmp_path / "runs").exists()
    assert done.stderr.count("\n") == 1
    assert "A file name is not UTF-8" in done.stderr and "data\\udcff" in done.stderr


def test_a_run_stands_in_a_folder_of_any_name(tmp_path: Path) -> None:
    data, out = colour_folder(tmp_path / "data", 24), tmp_path / os.fsdecode(b"runs\xff")
    done = call("train", data, "--out", out, "--learner", "baseline")
    assert done.returncode == 0 and "runs\\udcff" in done.stdout, done.stderr
    assert (out / "data-baseline-1" / "report.html").is_file()


def test_pictures_are_told_by_their_content(tmp_path: Path) -> None:
    """Without a suffix they are read; of a kind that is not read they are refused by its name."""
    colour_folder(tmp_path, 3)
    (tmp_path / "red" / "0.png").rename(tmp_path / "red" / "zero")
    (tmp_path / "blue" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    data = tenfold.load(tmp_path)
    assert len(data) == 9 and "red/zero" in data.keys
    assert data.pictures is not None
    ((kind, line),) = data.pictures.remarks
    assert kind == "refused" and "It is a HEIC picture" in line and "phone.heic" in line


def test_evaluate_reads_a_folder_once(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = digit_folder(tmp_path / "mine", range(60_000, 60_020))
    (folder / "0" / "torn.png").write_bytes(b"torn")
    done = call("evaluate", small_run.path, folder, "--robustness")
    assert done.returncode == 0 and "rotation: 30 degrees" in done.stdout
    assert done.stderr.count("1 pictures cannot be read") == 1
    read: list[object] = []

    def load(*data: Any, **options: Any) -> tenfold.Dataset:
        read.append(data)
        return tenfold.load(*data, **options)

    monkeypatch.setattr(run_data, "load", load)
    loaded = evaluate.load_for(small_run, folder)
    tenfold.evaluate(small_run, loaded)
    evaluate.robustness(small_run, loaded)
    assert len(read) == 1


def test_runs_and_sweeps_beside_the_labels_are_no_label(small_run: Run, tmp_path: Path) -> None:
    colour_folder(tmp_path, 3)
    before = tenfold.load(tmp_path)
    shutil.copytree(small_run.path, tmp_path / "runs" / "colours-cnn-1")
    sweep = tmp_path / "runs" / "colours-sweep-1"
    shutil.copytree(small_run.path, sweep / "trials" / "1")
    (sweep / "sweep.json").write_text("{}")
    after = tenfold.load(tmp_path)
    assert after.labels == before.labels and after.fingerprint == before.fingerprint
    assert after.pictures and before.pictures
    assert after.pictures.remarks == before.pictures.remarks
