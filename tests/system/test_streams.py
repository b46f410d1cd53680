"""What reaches the terminal, and how the program ends when its streams or the start fail."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold.core.errors import FileError
from tests.support.errors import refused
from tests.support.program import call, call_python, finish, start

HOSTILE = "\x1b]0;mine\x07\u202eno\u2028\x9b2J"
"""Sets the title of the window, turns a line around, begins another and clears the screen."""

STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A table whose file name, columns, categories and labels hold such characters."""
    rows = [
        f"{i},{'a' if i % 3 else HOSTILE},{HOSTILE if i % 2 else 'yes'},{i % 2}" for i in range(90)
    ]
    path = tmp_path / f"rows{HOSTILE}.csv"
    path.write_text(f"n,c{HOSTILE},label,copy{HOSTILE}\n" + "\n".join(rows), "utf-8")
    return path


def test_data_cannot_steer_a_terminal(hostile: Path) -> None:
    done = [
        call("train", hostile, "--target", "label", "--learner", "baseline", "--out", "runs"),
        call("data", "show", hostile, "--target", "label"),
        call("train", hostile, "--target", HOSTILE),
        call("predict", next(Path("runs").glob("*")), f"none{HOSTILE}"),
    ]
    printed = [text for one in done for text in (one.stdout, one.stderr)]
    assert not [found for text in printed for found in STEERING.findall(text)]
    escaped = "\\x1b]0;mine\\x07\\u202eno\\u2028\\x9b2J"
    assert all(escaped in text for text in (done[0].stdout, done[1].stdout, done[3].stderr))
    assert "Warning" not in done[0].stderr


def test_programs_get_every_character_and_terminals_none(hostile: Path) -> None:
    run = tenfold.train(hostile, target="label", learner="baseline", out="runs")
    words = ("predict", run.path, run.path / "examples" / "inputs.csv", "--csv")
    assert f"p_{HOSTILE}" in call(*words).stdout
    screen, terminal = pty.openpty()
    program = start(*words, stdout=terminal)
    os.close(terminal)
    shown = os.read(screen, 1 << 16).decode()
    finish(program)
    assert "\\x1b]0;mine" in shown and not STEERING.search(shown.replace("\r\n", "\n"))


def test_a_full_standard_output_is_one_line(small_run: tenfold.Run) -> None:
    words = ("predict", small_run.path, small_run.path / "examples" / "inputs.idx", "--json")
    with open("/dev/full", "w") as full:
        done = finish(start(*words, stdout=full))
        assert done.returncode == 1
        assert re.fullmatch(r"tenfold: Cannot write: reason='No space.*\[E902\]\n", done.stderr)
        assert finish(start(*words, stdout=full, stderr=full)).returncode == 1
        assert finish(start("predict", "nothing", "x", stderr=full)).returncode == 1


def test_an_interpreter_ends_well_with_a_full_standard_output(small_run: tenfold.Run) -> None:
    command = [sys.executable, "-m", "tenfold", "verify", str(small_run.path)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("error", "code"), [("MemoryError()", "E978"), ("OSError(5, 'Input/output error')", "E902")]
)
def test_what_nothing_expected_is_one_line(error: str, code: str) -> None:
    program = (
        "from tenfold.cli import main as cli\n"
        "def fail(*_):\n"
        f"    raise {error}\n"
        "cli.verify = fail\n"
        "cli.main()\n"
    )
    done = call_python(program, "verify", "run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("tenfold: ") and done.stderr.endswith(f"[{code}]\n")


def test_ctrl_c_while_the_program_is_imported_is_no_traceback() -> None:
    program = (
        "import os, signal, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from tenfold.cli.entry import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_from_python_every_refusal_of_the_system_is_a_file_error(
    small_run: tenfold.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path.suffix in (".json", ".csv"):
            raise OSError(5, "Input/output error", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fails)
    run = tenfold.Run(small_run.path, small_run.record)
    for call_it in (
        lambda: tenfold.open(small_run.path),
        lambda: run.evaluation,
        lambda: run.history,
        lambda: run.audit,
        lambda: tenfold.verify(small_run.path),
        lambda: tenfold.resume(small_run.path),
    ):
        with refused("E902", "Input/output error"):
            call_it()
    assert issubclass(FileError, OSError)


@pytest.mark.parametrize("stage", ["audit.json", "history.csv", "report.html"])
def test_a_run_that_cannot_be_written_is_failed_and_can_go_on(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(0).normal(size=(90, 2))
    np.savetxt("rows.csv", np.c_[rows, rows[:, 0] > 0], "%.4f", ",", header="a,b,y", comments="")
    replace = os.replace

    def full(source: str | Path, target: str | Path) -> None:
        if Path(target).name == stage:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch, refused("E902", "No space left"):
        patch.setattr(os, "replace", full)
        tenfold.train("rows.csv", target="y", learner="baseline")
    (folder,) = Path("runs").iterdir()
    record = json.loads((folder / "run.json").read_bytes())
    assert record["state"] == "failed" and "No space left" in record["error"]
    assert not list(folder.rglob("*.tmp.*"))
    assert tenfold.resume(folder).audit is not None
    assert tenfold.verify(folder)["examples"]
