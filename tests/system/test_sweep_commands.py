"""`tenfold compare` and `tenfold sweep` as people use them: output, exit codes, interruptions."""

import json
import os
import pty
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tests.support.program import DEVNULL, Done, call, start
from tests.support.sweeps import read_table

ROWS = ["rows.csv", "--target", "label"]
COMPARE = ["compare", *ROWS, "--learners", "forest,bayes,logistic", "--workers", "1"]


def write_rows(folder: Path) -> None:
    """A table of two labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 2))
    answers = np.where(x[:, 0] + rng.normal(0, 0.4, 240) > 0, "up", "down")
    lines = [f"{a:.4f},{b:.4f},{y}" for (a, b), y in zip(x, answers, strict=True)]
    (folder / "rows.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")


@pytest.fixture(autouse=True)
def rows(elsewhere: None) -> None:
    """The table in the folder that a test works in."""
    write_rows(Path())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The runs of a comparison that nothing interrupted, and what it printed. Tests must leave the
    folder as it is."""
    folder = tmp_path_factory.mktemp("whole")
    write_rows(folder)
    return folder / "runs", call(*COMPARE, "--seeds", 2, cwd=folder)


def test_compare_prints_the_leaderboard_and_where_it_is(
    whole: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, done = whole
    monkeypatch.chdir(runs.parent)
    assert done.returncode == 0 and done.stderr == ""
    head, *lines = done.stdout.splitlines()
    assert re.match(r"learner +validation +test rows \[95%\] +versus the first", head)
    assert sorted(line.split()[0] for line in lines[:3]) == ["bayes", "forest", "logistic"]
    assert re.search(r"\bbest\b", lines[0]) and re.search(r"\(p [\d.e-]+\)", lines[1])
    assert re.search(r"[\d.]+% \[[\d.]+%, [\d.]+%\]", lines[0])
    assert re.match(r"learner +training +predict 10,000 +MB +parameters +sd", lines[4])
    assert max(map(len, [head, *lines[:8]])) <= 80
    text = done.stdout
    following = re.search(r"^next +\S.*? train (.*)$", text, re.M)
    assert following and following[1] == f"rows.csv --learner {lines[0].split()[0]} --target label"
    assert "Best on the validation set: " in text
    assert "test rows          used by 6 models in runs so far" in text
    for file in re.findall(r"runs/rows-comparison-1/\S+", text):
        assert Path(file).is_file()


def test_compare_as_json(whole: tuple[Path, Done]) -> None:
    shutil.copytree(whole[0], "runs")
    done = call(*COMPARE, "--seeds", 2, "--json")
    found = json.loads(done.stdout)
    assert found["path"] == "runs/rows-comparison-1" and found["state"] == "finished"
    assert {place["learner"] for place in found["places"]} == {"bayes", "forest", "logistic"}
    assert found["places"][0]["verdict"] == "best" and len(found["settings"]) == 3


def test_sweep_prints_what_it_found() -> None:
    asked = ["sweep", *ROWS, "--hidden", "4,8", "--layers", "1", "--epochs", "3"]
    asked += ["--batch-size", "32"]  # one value is a setting of all: it is no column
    done = call(*asked)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert re.match(r"hidden +layers +validation accuracy +sd +training +parameters$", head)
    assert [line.split()[:2] for line in sorted(lines[:2])] == [["4", "1"], ["8", "1"]]
    assert "Best of 2 on the validation set: hidden " in done.stdout
    assert "times the multiplications (16 to 32 for each row)" in done.stdout
    assert re.search(r"^test rows          accuracy [\d.]+% \[", done.stdout, re.M)
    assert "best run           runs/rows-sweep-1/best" in done.stdout
    again = tenfold.sweep(
        "rows.csv", target="label", hidden=[4, 8], layers=[1], epochs=3, batch_size=32
    )
    assert again.path == Path("runs/rows-sweep-1")
    found = json.loads(call(*asked, "--json").stdout)
    assert found["best"] == "runs/rows-sweep-1/best" and found["evaluation"]["part"] == "test"
    assert [line["hidden"] for line in read_table(Path("runs/rows-sweep-1/sweep.csv"))] == [
        "4",
        "8",
    ]


@pytest.mark.parametrize(
    ("flags", "status", "says"),
    [
        (["--hidden", "many"], 2, "--hidden 'many': expected numbers such as 32,64"),
        (["--dropout", "a"], 2, "--dropout 'a': expected numbers such as 0,0.2"),
        (["--hidden", "0"], 1, "hidden must be 1 or more, not 0"),
        (["--recipe", "tutorial"], 1, "The trials cannot be ranked"),
        (["--trials", "2", "--seeds", "3"], 1, "There are too few trials for the seeds: seeds=3."),
    ],
)
def test_flags_that_are_wrong_are_said_at_once(flags: list[str], status: int, says: str) -> None:
    done = call("sweep", *ROWS, *flags)
    assert done.returncode == status and says in done.stderr.replace("\n", " ")
    assert not Path("runs").exists()


def wait_for(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 240
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def n_finished() -> int:
    files = Path("runs").glob("*/trials/*/run.json")
    return sum(json.loads(file.read_text())["state"] == "finished" for file in files)


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_comparison_ends_with_the_same_table(
    number: signal.Signals, whole: tuple[Path, Done]
) -> None:
    asked = [*COMPARE, "--seeds", "2"]
    process = start(*asked, stdout=DEVNULL)
    wait_for(lambda: n_finished() >= 2)
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    _, said = process.communicate(timeout=240)
    if number == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 130
        assert re.search(r"interrupted: \d of 6 trials have ended in runs/rows-comparison-1", said)
        assert "the same command continues" in said
    wait_for(lambda: not any(is_there(int(worker)) for worker in found))  # by themselves
    assert len(found) == 1
    assert call(*asked).returncode == 0
    tables = [
        read_table(out / "rows-comparison-1" / "comparison.csv") for out in (whole[0], Path("runs"))
    ]
    assert tables[0] == tables[1] and len(tables[0]) == 6


def test_a_terminal_shows_every_trial() -> None:
    primary, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    process = start(*COMPARE, stdout=DEVNULL, stderr=secondary, env=environment)
    os.close(secondary)
    shown = b""
    while True:
        try:
            part = os.read(primary, 65_536)
        except OSError:  # the other end is closed
            break
        shown += part
    os.close(primary)
    assert process.wait(timeout=240) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    for name in ("forest", "bayes", "logistic"):
        assert re.search(rf"{name}-seed-0  0\.\d{{4}}  \d+\.\d s", text)
    assert "runs/rows-comparison-1" in text and "3/3" in text
