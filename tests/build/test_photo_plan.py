"""`auto` on pictures: what is tried follows from their number, and the best is kept."""

from pathlib import Path
from typing import Any

import pytest

import tenfold
from tenfold.build import photo_plan
from tenfold.build.photo_plan import problems_of_pictures
from tenfold.build.problem import Problem
from tenfold.core.errors import TenfoldError
from tenfold.core.settings import resolve
from tenfold.data.split import split
from tests.support.photos import SHAPES, photo_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("data") / "small", 16, SHAPES[:2], px=(40, 36))


def tried(folder: Path, **asked: Any) -> list[Problem]:
    data = tenfold.load(folder)
    settings = resolve({"learner": "auto", **asked})
    parts = split(data, validation_size=settings.validation_size)
    return problems_of_pictures(Problem(data, parts, settings))


def test_the_plan_follows_from_the_number_of_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [problem.settings.learner for problem in tried(folder)] == ["transfer"]
    monkeypatch.setattr(photo_plan, "MANY", 10)
    transfer, cnn, network = tried(folder)
    assert transfer.data.images.shape[1:] == (36, 36, 3)
    assert cnn.data.images.shape[1:] == (36, 40, 3)
    assert (cnn.settings.epochs, cnn.settings.width) == (30, 16)
    assert network.settings.learner == "network" and network.settings.epochs == 20
    monkeypatch.setattr(photo_plan, "MOST_STEPS", 250)
    assert tried(folder)[1].settings.epochs == 11
    assert len(tried(folder, validation_size=0.0)) == 1


def test_the_best_of_those_tried_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_plan, "MANY", 10)
    monkeypatch.setattr(photo_plan, "EPOCHS", (1, 1))
    run = tenfold.train(folder, out=tmp_path)
    first, *others = (run.path / "candidates.csv").read_text().splitlines()[1:]
    assert {line.partition(",")[0] for line in (first, *others)} == {"transfer", "cnn", "network"}
    assert run.record.learner == first.partition(",")[0] == run.model.contract.learner
    assert run.record.note is not None
    assert run.record.note.startswith(f"auto chose {run.record.learner} by the validation rows: ")
    assert "--learner auto" in (run.path / "report.html").read_text("utf-8")


def test_a_folder_of_colour_pictures_is_left_to_auto(folder: Path, tmp_path: Path) -> None:
    run = tenfold.train(folder, out=tmp_path)
    assert run.record.asked["learner"] == "auto" == run.record.config.learner
    assert run.record.learner == "transfer" == run.model.contract.learner
    assert run.record.note is not None and run.record.note.startswith("auto took transfer ")
    assert run.audit is not None and max(count.train for count in run.audit.labels) < 20
    assert "C03" not in {check.code for check in run.checks}  # a dozen photos are enough


@pytest.mark.parametrize(
    ("asked", "learner"),
    [
        ({"epochs": 1}, "network"),
        ({"recipe": "fast"}, "transfer"),
        ({"recipe": "accurate"}, "transfer"),
        ({"learner": "logistic"}, "logistic"),
    ],
)
def test_what_is_asked_for_decides_first(
    folder: Path, tmp_path: Path, asked: Any, learner: str
) -> None:
    run = tenfold.train(folder, out=tmp_path, **asked)
    assert run.record.config.learner == learner
    assert "candidates.csv" not in run.record.files


def test_grey_pictures_and_arrays_keep_the_network(tmp_path: Path, few: Any) -> None:
    grey = few(20, 5)
    assert tenfold.train(grey, epochs=1, out=tmp_path).record.learner == "network"
    with pytest.raises(TenfoldError) as error:
        tenfold.train(grey, learner="auto", out=tmp_path)
    assert error.value.code == "E636"
