"""`predict --show`: each step from a picture file to its answer, as one picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tenfold
from tenfold import Prediction, Run
from tenfold.inputs.idx import write_idx
from tenfold.inputs.pictures.decode import read_picture
from tenfold.report.drawings import GAP_PX, HEAD_PX, PANEL_PX, steps_picture, write_steps
from tests.support import program
from tests.support.errors import refused
from tests.support.paper import Paper, blank, on_paper
from tests.support.program import Done

MNIST = tenfold.load("mnist")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(on_paper(MNIST.x[7], Paper())).save(path)
    return path


def call(*arguments: object, cwd: Path | None = None) -> Done:
    return program.call("predict", *arguments, cwd=cwd)


def answer_to(run: Run, path: Path) -> Prediction:
    answer = run.model.predict_one(path)
    assert isinstance(answer, Prediction)
    return answer


def test_the_picture_shows_every_step(small_run: Run, photo: Path, tmp_path: Path) -> None:
    answer = answer_to(small_run, photo)
    assert answer.image is not None
    (tmp_path / "shown.png").write_bytes(steps_picture(answer))
    shown = read_picture(tmp_path / "shown.png").pixels
    assert shown.shape == (HEAD_PX + PANEL_PX + GAP_PX, GAP_PX + 4 * (PANEL_PX + GAP_PX))
    left = GAP_PX + 2 * (PANEL_PX + GAP_PX)
    seen = shown[HEAD_PX : HEAD_PX + PANEL_PX, left : left + PANEL_PX]
    np.testing.assert_array_equal(seen[5::10, 5::10], answer.image)
    bars = shown[HEAD_PX:, left + PANEL_PX + GAP_PX :]
    assert (bars < 128).any()


def test_a_doubt_is_shown(small_run: Run, tmp_path: Path) -> None:
    Image.fromarray(blank(Paper())).save(tmp_path / "blank.png")
    answer = answer_to(small_run, tmp_path / "blank.png")
    (tmp_path / "shown.png").write_bytes(steps_picture(answer))
    colours = read_picture(tmp_path / "shown.png", channels=3).pixels.reshape(-1, 3)
    assert (colours == (214, 90, 10)).all(axis=1).any()


def test_no_file_is_overwritten(small_run: Run, photo: Path, tmp_path: Path) -> None:
    answer = answer_to(small_run, photo)
    names = [write_steps(answer, photo, tmp_path).name for _ in range(3)]
    assert names == ["photo.steps.png", "photo.steps-2.png", "photo.steps-3.png"]
    with refused("E902", "nowhere"):
        write_steps(answer, photo, tmp_path / "nowhere")


def test_show_writes_for_picture_files_alone(small_run: Run, photo: Path, tmp_path: Path) -> None:
    write_idx(tmp_path / "digit.idx", MNIST.x[3])
    (tmp_path / "out").mkdir()
    done = call(small_run.path, photo, tmp_path / "digit.idx", "--show", "--out", tmp_path / "out")
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.steps.png"]
    assert done.stderr == f"tenfold: picture {tmp_path / 'out' / 'photo.steps.png'}\n"
    assert "photo.png:0" in done.stdout and "digit.idx:0" in done.stdout
    assert call(small_run.path, photo).stderr == ""


def test_show_writes_where_it_is_called_and_never_beside_the_picture(
    small_run: Run, photo: Path, tmp_path: Path
) -> None:
    before, here = sorted(photo.parent.iterdir()), tmp_path / "here"
    here.mkdir()
    done = call(small_run.path, photo, "--show", cwd=here)
    assert done.stderr == "tenfold: picture photo.steps.png\n"
    assert [path.name for path in here.iterdir()] == ["photo.steps.png"]
    assert [path for path in sorted(photo.parent.iterdir()) if path != here] == before


def test_no_turn_leaves_the_picture_as_it_lies(small_run: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = on_paper(MNIST.x[7], Paper())
    Image.fromarray(picture).save(tmp_path / "stale.png", exif=exif)
    Image.fromarray(picture).save(tmp_path / "plain.png")
    as_it_lies = call(small_run.path, tmp_path / "stale.png", "--no-turn", "--csv").stdout
    plain = call(small_run.path, tmp_path / "plain.png", "--csv").stdout
    turned = call(small_run.path, tmp_path / "stale.png", "--csv").stdout
    values = [text.splitlines()[1].partition(",")[2] for text in (as_it_lies, plain, turned)]
    assert values[0] == values[1] != values[2]


def test_the_answer_stands_where_its_picture_cannot_be_written(
    small_run: Run, photo: Path, tmp_path: Path
) -> None:
    done = call(small_run.path, photo, "--show", "--out", tmp_path / "nowhere", "--csv")
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 2
    assert "nowhere" in done.stderr and done.stderr.count("\n") == 1
