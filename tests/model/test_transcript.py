"""`tenfold read`: what stands on a page, for people, for programs, in Python and as a picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import tenfold
from tenfold import Run, Transcript
from tenfold.inputs.pictures.decode import ORIENTATION, PictureOptions, read_picture
from tenfold.model.transcript import DOUBTFUL, SHOWN_PX, SURE, annotated, write_annotated
from tests.inputs.test_page_layout import PAGE, WHOLE, written
from tests.support import program
from tests.support.errors import refused
from tests.support.paper import Paper, blank
from tests.support.program import Done

LINES = ["314", "65"]
MNIST = tenfold.load("mnist")


def call(*arguments: object, cwd: Path | None = None) -> Done:
    return program.call("read", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def page() -> NDArray[np.uint8]:
    return written(LINES, PAGE)


@pytest.fixture(scope="module")
def knows_by_heart(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model that knows the ten digits the pages are written with, and little else."""
    rows = np.repeat(list(WHOLE.values()), 40)
    shifted = [
        np.roll(MNIST.x[row], (i % 3 - 1, i // 3 % 3 - 1), (0, 1)) for i, row in enumerate(rows)
    ]
    # An own noise for each, so that no two are copies.
    noise = np.random.default_rng(0).integers(0, 30, (len(rows), 28, 28))
    x = np.minimum(np.array(shifted) + noise, 255).astype(np.uint8)
    data = tenfold.Dataset.from_arrays(x, MNIST.y[rows])
    return tenfold.train(data, epochs=20, out=tmp_path_factory.mktemp("runs"))


def test_lines_are_read_in_order(page: NDArray[np.uint8], knows_by_heart: Run) -> None:
    read = tenfold.read(knows_by_heart, page)
    assert isinstance(read, Transcript)
    assert (read.texts, read.text) == (LINES, "314\n65")
    assert repr(read) == "Transcript(['314', '65'])"
    for line in read.lines:
        for digit in line:
            assert digit.answer.image is not None
            again = knows_by_heart.model.predict_one(digit.answer.image)
            assert isinstance(again, tenfold.Prediction)
            assert (digit.label, digit.answer.confidence) == (again.label, again.confidence)
    tops = [[digit.box[1] for digit in line] for line in read.lines]
    assert max(tops[0]) < min(tops[1])
    assert read.page is not None and read.page.ink.shape == page.shape


def test_the_same_from_a_path_a_model_and_its_file(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    Image.fromarray(page).save(tmp_path / "page.png")
    for model in (knows_by_heart, knows_by_heart.path, knows_by_heart.model,
                  knows_by_heart.path / "model.onnx"):  # fmt: skip
        assert tenfold.read(model, tmp_path / "page.png").texts == LINES


def test_boxes_are_in_pixels_of_the_file_however_it_was_shrunk(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    large = Image.fromarray(page).resize((page.shape[1] * 5, page.shape[0] * 5))
    large.save(tmp_path / "large.jpg", quality=90)
    assert read_picture(tmp_path / "large.jpg", at_least_px=1280).step > 1
    small = tenfold.read(knows_by_heart, page)
    found = tenfold.read(knows_by_heart, tmp_path / "large.jpg")
    assert found.texts == LINES
    for one, five in zip(sum(small.lines, ()), sum(found.lines, ()), strict=True):
        assert np.allclose(np.array(five.box) / 5, one.box, atol=3)


def test_the_turn_is_honoured_or_not(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    path = tmp_path / "page.png"
    Image.fromarray(page[::-1, ::-1]).save(path, exif=exif)
    assert tenfold.read(knows_by_heart, path).texts == LINES
    assert tenfold.read(knows_by_heart, path, PictureOptions(apply_exif=False)).texts != LINES
    Image.fromarray(page).save(path, exif=exif)
    done = call(knows_by_heart.path, path, "--no-turn", "--no-picture")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == LINES


def test_a_blank_page_has_no_lines(knows_by_heart: Run, tmp_path: Path) -> None:
    empty = blank(Paper(noise=3))
    read = tenfold.read(knows_by_heart, empty)
    assert (read.lines, read.text, read.page) == ((), "", None)
    Image.fromarray(empty).save(tmp_path / "empty.png")
    (tmp_path / "here").mkdir()
    done = call(knows_by_heart.path, tmp_path / "empty.png", cwd=tmp_path / "here")
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'empty.png'}: no digits",
        "picture  empty.read.png",
    ]
    assert (tmp_path / "here" / "empty.read.png").is_file()  # and not beside the page


def test_a_model_of_something_else_is_refused(tmp_path: Path, page: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    data = tenfold.Dataset.from_arrays(
        rng.integers(0, 256, (60, 8, 8)).astype(np.uint8), np.arange(60) % 2
    )
    run = tenfold.train(data, learner="baseline", out=tmp_path / "runs")
    with refused("E515", r"accepts='image', size=\(8, 8\)"):
        tenfold.read(run, page)


def test_the_annotated_picture_has_boxes_and_labels(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    path = tmp_path / "page.png"
    Image.fromarray(page).save(path)
    read = tenfold.read(knows_by_heart, path)
    first = write_annotated(read, path, tmp_path)
    second = write_annotated(read, path, tmp_path)
    assert (first, second) == (tmp_path / "page.read.png", tmp_path / "page.read-2.png")
    drawn = read_picture(first, channels=3).pixels
    assert drawn.shape == (*page.shape, 3)
    digits = sum(read.lines, ())
    for digit in digits:
        x, y, width, height = digit.box
        colour = DOUBTFUL if digit.answer.unsure else SURE
        for row, column in ((y - 1, x + width // 2), (y + height // 2, x - 1)):
            assert (drawn[row, column] == colour).all()
        inside = drawn[y + 2 : y + height - 2, x + 2 : x + width - 2]
        assert (inside == page[y + 2 : y + height - 2, x + 2 : x + width - 2, None]).all()
    with refused("E902", "nowhere"):
        write_annotated(read, path, folder=tmp_path / "nowhere")


def test_a_large_page_is_drawn_smaller(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    path = tmp_path / "page.png"
    Image.fromarray(page).resize((page.shape[1] * 4, page.shape[0] * 4)).save(path)
    read = tenfold.read(knows_by_heart, path)
    (tmp_path / "drawn.png").write_bytes(annotated(read, path))
    assert max(read_picture(tmp_path / "drawn.png").pixels.shape) == SHOWN_PX


def test_json_has_its_documented_form(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    path, broken = tmp_path / "page.png", tmp_path / "broken.png"
    Image.fromarray(page).save(path)
    broken.write_bytes(path.read_bytes()[:300])
    (tmp_path / "out").mkdir()
    done = call(knows_by_heart.path, path, broken, "--json", "--out", tmp_path / "out")
    assert done.returncode == 1
    printed = json.loads(done.stdout)
    assert list(printed) == ["model", "pages"]
    assert printed["model"] == knows_by_heart.model.sha256
    good, bad = printed["pages"]
    assert (list(good), list(bad)) == (["input", "lines"], ["input", "error"])
    assert good["input"] == str(path) and "The picture is damaged" in bad["error"]
    assert [line["text"] for line in good["lines"]] == LINES
    assert all(list(line) == ["text", "digits"] for line in good["lines"])
    digit = good["lines"][0]["digits"][0]
    assert list(digit) == ["label", "confidence", "unsure", "box"]
    first = tenfold.read(knows_by_heart, path).lines[0][0]
    assert digit["label"] == first.label == "3"
    assert digit["confidence"] == first.answer.confidence
    assert digit["box"] == list(first.box) and all(isinstance(n, int) for n in digit["box"])
    assert done.stderr == f"tenfold: picture {tmp_path / 'out' / 'page.read.png'}\n"
    assert (tmp_path / "out" / "page.read.png").is_file()


def test_people_see_numbers_and_confidence(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path
) -> None:
    path, broken = tmp_path / "page.png", tmp_path / "broken.png"
    Image.fromarray(page).save(path)
    broken.write_bytes(b"nothing")
    done = call(knows_by_heart.path, broken, path, cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr.startswith("tenfold: The file is not a picture")
        and done.stderr.count("\n") == 1
    )
    head, first, second, picture = done.stdout.splitlines()
    assert head == f"{path}: 5 digits in 2 lines"
    assert (first.split()[0], len(first.split()[1:])) == ("314", 3)
    assert (second.split()[0], len(second.split()[1:])) == ("65", 2)
    assert all(0 < float(value.rstrip("?")) <= 1 for value in first.split()[1:])
    assert picture == "picture  page.read.png"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_page_whose_picture_cannot_be_written_is_read_and_said(
    page: NDArray[np.uint8], knows_by_heart: Run, tmp_path: Path, as_json: list[str]
) -> None:
    path = tmp_path / "page.png"
    Image.fromarray(page).save(path)
    done = call(knows_by_heart.path, path, "--out", tmp_path / "nowhere", *as_json)
    assert done.returncode == 1 and LINES[0] in done.stdout
    assert "nowhere" in done.stderr and done.stderr.count("\n") == 1
    assert call(knows_by_heart.path, path, "--no-picture", *as_json).returncode == 0
