"""Runs that version 0.1.0 wrote at commit 1ad35e6: the program of today reads and uses them.

The folder `runs_of_0_1` holds an archive for each run, the data they were trained on, and in
`expected.json` what the program of that commit printed. `make.py` there shows how they were made.
"""

import csv
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from typer.testing import CliRunner

import tenfold
from tenfold import Run
from tenfold.cli.main import app
from tenfold.inputs.idx import read_idx
from tenfold.learners import LEARNERS
from tests.support import service

ARCHIVES = Path(__file__).parents[1] / "runs_of_0_1"
EXPECTED = json.loads((ARCHIVES / "expected.json").read_text())
FEATURES = "features.onnx"
INTERRUPTED = "digits-network-2"
SWEEP, COMPARISON = "iris-sweep-1", "iris-comparison-1"
OTHERS = (FEATURES, INTERRUPTED, SWEEP, COMPARISON)
FINISHED = [name for name in EXPECTED if name not in OTHERS]

REPORTED = ("mnist-part-network-1", "orders-network-1", "days-linear-1")
"""Runs whose report is written anew in every test run: it takes longer than all else about them.

The reports of the other runs are written anew by `make test-slow`."""

TOLERANCE = 1e-6
"""Largest difference of a number from the stored one, relative for numbers above 1."""


@pytest.fixture(autouse=True)
def data(elsewhere: None) -> None:
    """Unpack the data of the runs into the working folder of the test."""
    unpack("data")


def unpack(name: str) -> Path:
    """Unpack an archive into the working folder; returns where the run is if it is one."""
    with ZipFile(ARCHIVES / f"{name}.zip") as archive:
        archive.extractall()
    return Path("runs", name)


def differences(found: Any, wanted: Any, place: str = "") -> Iterator[str]:
    """The places where an answer differs from the stored one; new keys are no difference."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from differences(found.get(key, "missing"), value, f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(found) == len(wanted):
        for i, value in enumerate(wanted):
            yield from differences(found[i], value, f"{place}[{i}]")
    elif isinstance(wanted, float) and isinstance(found, float | int):
        if not abs(found - wanted) <= TOLERANCE * max(1.0, abs(wanted)):
            yield f"{place}: {found} instead of {wanted}"
    elif found != wanted:
        yield f"{place}: {found!r} instead of {wanted!r}"


def check_alike(found: Any, wanted: Any) -> None:
    assert list(differences(found, wanted)) == []


def check_commands(name: str) -> None:
    """Every stored command about the run prints what it printed then."""
    for command, wanted in EXPECTED[name].items():
        result = CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        # The sentences of a sweep are written anew, in today's words.
        check_alike(json.loads(result.stdout), {k: v for k, v in wanted.items() if k != "findings"})


def check_service(run: Run, name: str) -> None:
    """The service gives the answers of `tenfold predict` to the same inputs."""
    guard = service.guard_of(run)
    for command, wanted in EXPECTED[name].items():
        words = command.split()
        if words[0] != "predict" or "--steps" in words:
            continue
        for path in map(Path, words[2:-1]):
            told = service.predict(guard, *question(path))
            assert told.status == 200, told.body
            answers = [one for one in wanted["predictions"] if one["input"] == str(path)]
            known = [{k: v for k, v in one.items() if k != "input"} for one in answers]
            check_alike(told.json, {"model": wanted["model"], "predictions": known})


def question(path: Path) -> tuple[bytes, str]:
    """The body of a request with the content of a file, and its media type."""
    if path.suffix == ".png":
        return path.read_bytes(), "image/png"
    if path.suffix == ".idx":
        return service.images(read_idx(path)), service.JSON
    text = path.read_text()
    rows = list(csv.DictReader(text.splitlines(), delimiter=";" if ";" in text else ","))
    return service.as_json(rows=rows), service.JSON


def check_evaluation(run: Run) -> None:
    """The run's own test rows give the figures that stand in the run."""
    wanted = json.loads((run.path / "evaluation.json").read_bytes())
    check_alike(tenfold.evaluate(run).model_dump(mode="json"), wanted)
    check_alike(run.evaluation.model_dump(mode="json"), wanted)


def check_finished_run(path: Path, name: str) -> None:
    """A finished run is complete, and the program predicts with it, evaluates and serves it."""
    run = tenfold.open(path)
    assert run.record.state == "finished" and "</html>" in (path / "report.html").read_text()
    checked = tenfold.verify(path)
    assert checked["files"] == len(run.record.files) and checked["examples"] > 0
    check_commands(name)
    check_evaluation(run)
    check_service(run, name)


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run_is_used_like_a_new_one(name: str) -> None:
    check_finished_run(unpack(name), name)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in REPORTED else pytest.mark.slow) for n in FINISHED]
)
def test_the_report_is_written_anew(name: str) -> None:
    path = unpack(name)
    (path / "report.html").unlink()
    result = CliRunner().invoke(app, ["report", str(path)], catch_exceptions=False)
    assert result.exit_code == 0 and name in (path / "report.html").read_text()
    tenfold.verify(path)


NEWER = {"boosting", "transfer"}
"""Learners that came after these runs were written."""


def test_every_learner_is_among_the_runs() -> None:
    assert {name.split("-")[-2] for name in FINISHED} | NEWER == set(LEARNERS)


def test_an_interrupted_run_answers_and_begins_anew_with_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tenfold.open(unpack(INTERRUPTED))
    assert run.record.state == "interrupted" and any((run.path / "checkpoints").iterdir())
    tenfold.verify(run.path)
    check_commands(INTERRUPTED)
    check_service(run, INTERRUPTED)
    assert tenfold.evaluate(run).n == run.record.data.n_test
    assert len(run.history) == 3
    resumed = tenfold.resume(run.path)
    assert resumed.record.state == "finished" and len(resumed.history) == 6
    # Checkpoints had another form then.
    said = capsys.readouterr().err
    assert "The checkpoint was written by another version of Tenfold" in said
    assert "Going on from the beginning." in said
    assert not (run.path / "checkpoints").exists() and (run.path / "report.html").is_file()
    assert tenfold.verify(run.path)["examples"] == 10


@pytest.mark.parametrize("name", [SWEEP, pytest.param(COMPARISON, marks=pytest.mark.slow)])
def test_the_same_command_finds_every_trial_and_trains_none_again(name: str) -> None:
    folder = unpack(name)
    trials = sorted((folder / "trials").iterdir())
    assert len(trials) == 2
    for trial in trials:
        assert tenfold.open(trial).evaluation.part == "validation"
        tenfold.verify(trial)
    table = next(folder.glob("*.csv"))
    before = contents(folder / "trials"), table.read_bytes()
    (folder / "report.html").unlink()
    if name == SWEEP:
        check_finished_run(folder / "best", name)
    else:
        check_commands(name)
    assert (contents(folder / "trials"), table.read_bytes()) == before
    assert (folder / "report.html").is_file()
    assert [path.name for path in Path("runs").iterdir()] == [name]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """When each file in a folder was written, and what is in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_model_of_an_estimator_answers_as_it_did() -> None:
    asked = EXPECTED[FEATURES]
    model = tenfold.Model.open(ARCHIVES / FEATURES)
    found = model.answer(np.array(asked["features"])).outputs[0]
    check_alike(found.tolist(), asked["probabilities"])
