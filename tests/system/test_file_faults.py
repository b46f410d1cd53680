"""Each operation on files fails once: one line, exit 1, and no half file under a final name."""

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold import Run
from tenfold.runs.csv_files import write_history
from tests.support import faults
from tests.support.program import Done, call, call_python

SOURCE = Path(faults.__file__).read_text("utf-8")

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "rows.csv", "--target", "y", "--learner", "baseline"),
    "predict": ("predict", "run", "digit.png", "--show"),
    "report": ("report", "run"),
    "sweep": ("sweep", "rows.csv", "--target", "y", "--hidden", "2", "--layers", "1,2"),
    "fetch": ("data", "fetch", "noise"),
}
SAMPLE = {
    "train": (2, 30, 61, 90, 150),
    "predict": (3, 7, 13),
    "report": (5, 20, 40),
    "fetch": (4, 9),
}
"""Some of the operations of each, for every `make test`; the others take 5 to 20 minutes."""


@pytest.fixture(scope="module")
def prepared(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands work on, in folders by their names."""
    base = tmp_path_factory.mktemp("prepared")
    rows = np.random.default_rng(0).normal(size=(90, 2))
    for name in COMMANDS:
        (base / name).mkdir()
    for name in ("train", "sweep"):
        table = np.c_[rows, rows[:, 0] > 0]
        np.savetxt(base / name / "rows.csv", table, "%.4f", ",", header="a,b,y", comments="")
    for name in ("predict", "report"):
        shutil.copytree(small_run.path, base / name / "run")
    from PIL import Image

    drawn = np.full((60, 60), 255, np.uint8)
    drawn[10:50, 27:33] = 0
    Image.fromarray(drawn).save(base / "predict" / "digit.png")
    return base


def fail(prepared: Path, command: str, number: int, error: int = errno.EIO) -> tuple[Done, int]:
    """Call a command in a new working folder with one operation that fails; also how many it had
    until it ended."""
    shutil.rmtree("work", ignore_errors=True)
    shutil.copytree(prepared / command, "work")
    words = (number, error, Path("count").resolve(), command, *COMMANDS[command])
    environment = {**os.environ, "TENFOLD_CACHE": str(Path("work/cache").resolve())}
    done = call_python(SOURCE, *words, cwd="work", env=environment)
    return done, int(Path("count").read_text())


def check(done: Done, command: str, number: int) -> None:
    """One line and exit 1, or all is well in spite of it; whole files and the state of runs."""
    where = f"{command}, operation {number}: {done.stderr}"
    assert "Traceback" not in done.stderr, where
    assert done.returncode in (0, 1), where
    said = [line for line in done.stderr.splitlines() if line.startswith("tenfold: ")]
    if done.returncode:
        assert len(said) == 1 and re.search(r"(\[E\d{3}\]|\.)$", said[0]), where
    for path in Path("work").rglob("*"):
        if path.is_file() and ".tmp." not in path.name:
            assert is_whole(path), f"{path}, {where}"
    for folder in [*Path("work").glob("runs/*"), *Path("work").glob("runs/*/best")]:
        names = [name for name in ("run", "sweep") if (folder / f"{name}.json").exists()]
        for name in names:
            state = json.loads((folder / f"{name}.json").read_bytes())["state"]
            # What fails when all is made, while the card is printed, leaves a finished run.
            assert state in ("failed", "finished"), where
            if state == "finished" and name == "run":
                assert tenfold.verify(folder)["examples"], where
            assert state == "finished" or done.returncode, where


def is_whole(path: Path) -> bool:
    content = path.read_bytes()
    if path.suffix == ".json":
        return bool(json.loads(content))
    if path.suffix == ".gz":
        return content[-4:] in ((112).to_bytes(4, "little"), (14).to_bytes(4, "little"))
    ends = {".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".csv": b"\n"}
    if path.suffix == ".onnx":
        return tenfold.Model.open(path).n_bytes > 0
    return content.endswith(ends.get(path.suffix, b""))


@pytest.mark.parametrize(
    ("command", "number"), [(name, n) for name, numbers in SAMPLE.items() for n in numbers]
)
def test_an_operation_that_fails_is_one_line(prepared: Path, command: str, number: int) -> None:
    done, count = fail(prepared, command, number)
    assert count >= number
    check(done, command, number)


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_operation_that_fails_is_one_line(
    prepared: Path, command: str, error: int, tmp_path: Path
) -> None:
    if command == "sweep":
        words = (*COMMANDS["train"][:4], "--learner", "logistic", "--out", "../made-runs")
        assert call(*words, cwd=prepared / "sweep").returncode == 0
        made = prepared / "sweep" / "made"
        made.mkdir(exist_ok=True)
        shutil.copy(prepared / "made-runs" / "rows-logistic-1" / "model.onnx", made)
        write_history(made / "history.csv", [])
    done, total = fail(prepared, command, 0, error)
    assert done.returncode == 0, done.stderr
    n_refused = 0
    wrong = []
    for number in range(1, total + 1):
        done, _ = fail(prepared, command, number, error)
        n_refused += done.returncode
        try:
            check(done, command, number)
        except AssertionError as found:
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)
    assert n_refused > total / 2
