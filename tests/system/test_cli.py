"""The program as people and programs use it: real processes, their output and their exit codes."""

import csv
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tenfold import Dataset, Run
from tenfold.cli.terminal import program_name
from tenfold.inputs.idx import write_idx
from tests.support.program import Done, call, call_python, start

PROGRAM = [sys.executable, "-m", "tenfold"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """`tenfold train` on all of MNIST, shortened to two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    return call("train", "mnist", "--epochs", 2, "--out", folder / "runs")


@pytest.fixture(scope="module")
def digits(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 1,200 digits without a test part."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    folder.mkdir()
    write_idx(folder / "train-images-idx3-ubyte", mnist.x[:1200])
    write_idx(folder / "train-labels-idx1-ubyte", mnist.y[:1200].astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def one_idx(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "one.idx"
    write_idx(path, mnist.x[1010])
    return path


@pytest.fixture(scope="module")
def many_idx(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "many.idx.gz"
    write_idx(path, mnist.x[:25])
    return path


def test_train_prints_the_layer_table_and_the_card(
    trained: Done,
) -> None:
    assert trained.returncode == 0
    assert "parameters: 100,480 + 1,290 = 101,770" in trained.stderr
    assert "epoch" not in trained.stderr  # quiet when it is no terminal
    card = trained.stdout
    assert re.match(r"accuracy           9\d\.\d% \[9\d\.\d%, 9\d\.\d%\]\n", card)
    assert "\nmeasured on        10,000 test rows of mnist, 95% intervals\n" in card
    assert re.search(r"^baseline           11\.3% .* \(always '1'\)$", card, re.M)
    assert "\n\n\n" not in card and "\x1b" not in card
    confused = re.search(r"^most confused      (.*)$", card, re.M)
    assert confused and len(re.findall(r"\d predicted as \d: \d+", confused[1])) == 3
    assert re.search(r"^seconds            load \d.*train \d.*total \d", card, re.M)
    assert re.search(r"^true .*0 .*9  predicted$", card, re.M)
    run = re.search(r"^run                (\S+mnist-network-1)$", card, re.M)
    assert run and (Path(run[1]) / "report.html").is_file()


def test_the_next_command_on_the_card_works(
    trained: Done,
) -> None:
    following = re.search(
        r"^next +\S.*? report \S+ --open\n +\S.*? (predict .*)$", trained.stdout, re.M
    )
    assert following
    answered = call(*following[1].split())
    assert answered.returncode == 0
    assert answered.stdout.count("inputs.idx:") == 10
    assert "▓" in answered.stdout  # the pictures


def test_evaluate_finds_the_same_numbers_by_the_name_of_the_data(
    trained: Done,
) -> None:
    run = re.search(r"^run +(\S+)$", trained.stdout, re.M)
    assert run
    again = call("evaluate", run[1])
    assert again.returncode == 0
    assert trained.stdout.startswith(again.stdout)
    assert call("evaluate", run[1], "mnist").stdout == again.stdout


def test_evaluate_is_for_ci_too(trained: Done) -> None:
    run = re.search(r"^run +(\S+)$", trained.stdout, re.M)
    assert run
    done = call("evaluate", run[1], "--json", "--min-accuracy", 0.1)
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert printed == {
        "run": run[1],
        "evaluation": json.loads(Path(run[1], "evaluation.json").read_text("utf-8")),
    }
    accuracy = printed["evaluation"]["accuracy"]
    least = (1 + accuracy["value"]) / 2
    below = call("evaluate", run[1], "--json", "--min-accuracy", least)
    assert (below.returncode, json.loads(below.stdout)) == (1, printed)
    assert below.stderr.startswith(f"tenfold: the accuracy {accuracy['value']:.4f} ")
    assert below.stderr.endswith(f"is below {least:g}\n")
    exactly = call("evaluate", run[1], "--min-accuracy", accuracy["value"])
    assert exactly.returncode == 0


def test_train_json_is_for_programs(digits: Path, tmp_path: Path) -> None:
    asked = ["--recipe", "tutorial", "--epochs", 1, "--hidden", "16,8", "--json"]
    done = call("train", digits, *asked)
    assert done.returncode == 0
    printed = json.loads(done.stdout)
    assert list(printed) == ["run", "state", "evaluation"]
    assert (printed["run"], printed["state"]) == ("runs/digits-network-1", "finished")
    assert set(printed["evaluation"]["accuracy"]) == {"value", "low", "high"}
    assert printed["evaluation"] == json.loads(
        (tmp_path / "runs/digits-network-1/evaluation.json").read_text()
    )
    assert printed["evaluation"]["n"] == 300
    record = Run.open(printed["run"]).record
    assert (record.data.n_train, record.data.n_validation) == (900, 0)
    assert (record.config.hidden, record.asked["epochs"]) == ((16, 8), 1)


def test_predict_shows_label_confidence_and_ten_bars(small_run: Run, one_idx: Path) -> None:
    shown = call("predict", small_run.path, one_idx)
    lines = shown.stdout.splitlines()
    label, confidence = re.fullmatch(r".*one\.idx:0  (\d)  ([\d.]+%)", lines[0]).groups()  # type: ignore[union-attr]
    bars = [re.fullmatch(r" +(\d)  ([█▏▎▍▌▋▊▉ ]{30})  ([\d.]+%)", line) for line in lines[1:]]
    assert [bar[1] for bar in bars if bar] == list("0123456789")
    assert {bar[1]: bar[3] for bar in bars if bar}[label] == confidence
    lengths = {bar[3]: bar[2].count("█") for bar in bars if bar}
    assert max(lengths, key=lambda p: lengths[p]) == confidence


def test_predict_top_and_show(small_run: Run, one_idx: Path) -> None:
    plain = call("predict", small_run.path, one_idx, "--top", 3).stdout.splitlines()
    probabilities = [float(line.split()[-1].rstrip("%")) for line in plain[1:]]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    shown = call("predict", small_run.path, one_idx, "--top", 3, "--show").stdout.splitlines()
    assert len(shown) == 1 + 14  # two rows of pixels in each line
    assert any("█" in line[:28] or "▓" in line[:28] for line in shown[1:])


def test_many_inputs_are_listed_after_the_first_ten(small_run: Run, many_idx: Path) -> None:
    lines = call("predict", small_run.path, many_idx).stdout.splitlines()
    assert len(lines) == 10 * 11 + 15
    assert re.fullmatch(r".*many\.idx\.gz:24  \d  [\d.]+%", lines[-1])


def test_predict_json_has_its_documented_form(
    small_run: Run, one_idx: Path, many_idx: Path
) -> None:
    printed = json.loads(call("predict", small_run.path, many_idx, one_idx, "--json").stdout)
    assert printed["model"] == small_run.record.files["model.onnx"]
    assert len(printed["predictions"]) == 26
    assert [one["row"] for one in printed["predictions"]] == [*range(25), 0]
    last = printed["predictions"][-1]
    assert list(last) == [
        "input", "row", "label", "confidence", "unsure", "reason", "probabilities"
    ]  # fmt: skip
    assert last["input"] == str(one_idx)
    assert last["confidence"] == last["probabilities"][last["label"]]
    assert (last["unsure"], last["reason"]) == (False, None)


def test_predict_csv_has_a_named_column_per_label(small_run: Run, many_idx: Path) -> None:
    printed = call("predict", small_run.path, many_idx, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert len(rows) == 25
    assert list(rows[0])[:5] == ["input", "row", "label", "confidence", "unsure"]
    assert list(rows[0])[-10:] == [f"p_{label}" for label in "0123456789"]
    assert rows[7]["confidence"] == rows[7][f"p_{rows[7]['label']}"]


def test_an_unreadable_input_stands_in_its_place_and_the_others_are_answered(
    small_run: Run, one_idx: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.idx").write_text("<html>")
    inputs = [
        one_idx,
        tmp_path / "page.idx",
        tmp_path / "photo.png",
        tmp_path / "none.idx",
        one_idx,
    ]
    answered = call("predict", small_run.path, *inputs, "--json")
    assert answered.returncode == 1
    found = json.loads(answered.stdout)["predictions"]
    assert [one["input"] for one in found] == [str(path) for path in inputs]
    assert [set(one) == {"input", "error"} for one in found] == [False, True, True, True, False]
    assert "The file is not an IDX file" in found[1]["error"]
    assert "photo.png" in found[2]["error"]
    assert "No such file" in found[3]["error"]

    in_csv = call("predict", small_run.path, *inputs, "--csv")
    rows = list(csv.DictReader(io.StringIO(in_csv.stdout)))
    assert (in_csv.returncode, len(rows)) == (1, 5)
    assert "The file is not an IDX file" in rows[1]["error"]

    drawn = call("predict", small_run.path, *inputs)
    assert drawn.returncode == 1
    assert len(drawn.stderr.splitlines()) == 3
    assert drawn.stdout.count("one.idx:0") == 2


def test_verify_says_what_it_checked_or_what_is_wrong(small_run: Run, tmp_path: Path) -> None:
    done = call("verify", small_run.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{small_run.path}: 13 files unchanged, 10 stored predictions repeated.\n"
    printed = json.loads(call("verify", small_run.path, "--json").stdout)
    assert printed == {"run": str(small_run.path), "files": 13, "examples": 10}
    refused = call("verify", tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("tenfold: There is no run here")


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["train", "mnits"], ["There is no such dataset: name='mnits'", "Did you mean 'mnist'?"]),
        (["train", "--recipe", "tutorail"], ["Did you mean 'tutorial'?"]),
        (
            ["train", "--learner", "forrest"],
            ["not 'forrest'", "'network'", "Did you mean 'forest'?"],
        ),
        (
            ["train", "--epochs", "0", "--batch-size", "0"],
            ["epochs must be 1 or more, not 0", "batch_size must be 1"],
        ),
        (["evaluate", "nowhere"], ["There is no run here (nowhere)"]),
        (["predict", "nowhere", "x.idx"], ["Cannot open", "nowhere"]),
    ],
)
def test_errors_are_one_line_and_exit_1(arguments: list[str], facts: list[str]) -> None:
    refused = call(*arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("tenfold: ")
    assert refused.stderr.count("\n") == 1
    for fact in facts:
        assert fact in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--hidden", "many"],
        ["train", "--epochs", "two"],
        ["train", "--nonsense"],
        ["predict", "run"],
        ["predict", "run", "x.idx", "--json", "--csv"],
        ["predict", "run", "x.idx", "--top", "0"],
        ["predict", "run", "x.idx", "--top", "3", "--csv"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    refused = call(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr


def test_help_and_version() -> None:
    helped = call("--help")
    assert helped.returncode == 0
    for command in ("train", "evaluate", "predict", "verify"):
        assert command in helped.stdout
    assert re.fullmatch(r"tenfold \d+\.\d+\.\d+\n", call("--version").stdout)


def test_help_fits_a_screen_and_begins_with_a_newcomers_path() -> None:
    lines = call("--help", env={**os.environ, "COLUMNS": "80"}).stdout.splitlines()
    assert len(lines) <= 23 and max(map(len, lines)) <= 80
    way, commands = (next(i for i, line in enumerate(lines) if word in line)
                     for word in ("tenfold train", "Commands:"))  # fmt: skip
    assert way < commands
    assert [line.split()[1] for line in lines[way : way + 3]] == ["train", "report", "predict"]
    assert [line.split()[0] for line in lines[commands + 1 :][:3]] == ["train", "report", "predict"]
    for option in ("--version", "--install-completion", "--help"):
        assert option in lines[-1]


def test_usage_is_refused_in_one_line_with_a_code() -> None:
    for words in (["trian"], ["predict"], ["train", "--hidden", "a"], ["train", "--epoch", "1"]):
        refused = call(*words)
        assert refused.returncode == 2 and refused.stdout == ""
        assert re.fullmatch(r"tenfold: .+[.?] \[E107\]\n", refused.stderr), refused.stderr
    for value, rule in (("x", "a whole number"), ("0", "1 or more")):
        said = call("predict", "run", "a.png", "--top", value).stderr
        assert said.startswith(f"tenfold: --top must be {rule}. ")


def test_a_missing_run_names_the_newest_one(small_run: Run) -> None:
    refused = call("report", small_run.path.parent / "none")
    assert refused.returncode == 1
    assert f"The newest run beside it is {small_run.path}. [E708]" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "train"),
        (["data", "shw"], "show"),
        (["train", "mnits"], "mnist"),
        (["train", "--learner", "forst"], "forest"),
        (["train", "--recipe", "fst"], "fast"),
        (["train", "--task", "regresion"], "regression"),
    ],
)
def test_unknown_names_are_asked_about(arguments: list[str], meant: str) -> None:
    refused = call(*arguments)
    assert refused.returncode in (1, 2)
    assert f"Did you mean '{meant}'?" in refused.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [("tenfold pre", "predict"), ("tenfold train --learner fo", "forest"),
     ("tenfold train --recipe ac", "accurate")],
)  # fmt: skip
def test_the_shell_completes(words: str, offered: str) -> None:
    program = "import sys; sys.argv[0] = 'tenfold'; from tenfold.cli.main import main; main()"
    asked = {"_TENFOLD_COMPLETE": "complete_bash", "COMP_WORDS": words,
             "COMP_CWORD": str(len(words.split()) - 1)}  # fmt: skip
    done = call_python(program, env={**os.environ, **asked})
    assert (done.returncode, done.stdout.split()) == (0, [offered]), done.stderr


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = call("train", "--out", tmp_path / "file" / "runs")
    assert refused.returncode == 1
    audit, error = refused.stderr.splitlines()
    assert audit.startswith("audit: 60,000 training")
    assert error.startswith("tenfold: Cannot create: reason='Not a directory'")


def test_a_full_disk_is_one_line_and_keeps_what_was_finished(digits: Path, tmp_path: Path) -> None:
    # No file may pass 100 kB: history and run.json fit, the model of 408 kB does not.
    limited = (
        "import resource\n"
        "from tenfold.cli import main as cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "cli.main()\n"
    )
    refused = call_python(limited, "train", digits, "--recipe", "tutorial", "--epochs", 1)
    assert refused.returncode == 1
    line = refused.stderr.splitlines()[-1]
    assert line.startswith("tenfold: Cannot write: reason='File too large'")
    assert "Free some space or choose another folder." in line
    assert "Traceback" not in refused.stderr
    run = Run.open(tmp_path / "runs" / "digits-network-1")
    assert run.record.state == "failed"
    assert "File too large" in (run.record.error or "")
    assert sorted(path.name for path in run.path.iterdir()) == [
        "audit.json", "history.csv", "run.json",
    ]  # fmt: skip


def test_ctrl_c_keeps_the_finished_epochs_and_exits_130(digits: Path) -> None:
    screen, terminal = pty.openpty()  # a terminal, so that the epochs are seen as they end
    process = start("train", digits, "--epochs", 20_000, "--hidden", "16", stderr=terminal)
    os.close(terminal)
    seen = ""
    while not re.search(r"\b[2-9]\d*/20000", seen):
        seen += os.read(screen, 4096).decode()
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    while True:
        try:
            seen += os.read(screen, 4096).decode()
        except OSError:  # the other end is closed: the process is gone
            break
    printed, _ = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert (process.returncode, printed) == (130, "")
    assert (
        "tenfold: interrupted. runs/digits-network-1 keeps: audit.json, history.csv, model.onnx."
        in seen
    )
    run = Run.open("runs/digits-network-1")
    assert run.record.state == "interrupted"
    assert len(run.history) >= 2
    assert "validation accuracy" in seen and not re.search(r"\b0/20000", seen)
    assert "\\x1b" not in seen  # colours are for the terminal, not for the reader
    assert "continue with:" in seen and "train --resume runs/digits-network-1" in seen


def test_a_closed_pipe_is_no_traceback(small_run: Run, many_idx: Path) -> None:
    program = " ".join(PROGRAM)
    piped = subprocess.run(
        f"{program} predict {small_run.path} {many_idx} --json | head -1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert piped.stderr == ""


def test_resume_takes_no_other_settings_and_no_finished_run(small_run: Run) -> None:
    refused = call("train", "--resume", small_run.path, "--epochs", "3", "--seed", "1")
    assert (refused.returncode, refused.stdout) == (2, "")
    flat = " ".join(refused.stderr.replace("│", " ").split())
    assert "takes the settings of the run: leave out --epochs, --seed" in flat
    for _ in range(3):  # it ends while JAX is still being loaded
        finished = call("train", "--resume", small_run.path)
        assert (finished.returncode, finished.stdout) == (1, "")
        assert finished.stderr.startswith("tenfold: The run has already finished")
        assert finished.stderr.count("\n") == 1


# Reports and pages


@pytest.fixture
def copied(small_run: Run, tmp_path: Path) -> Path:
    """A run that may be written into."""
    path = tmp_path / "runs" / "mnist-network-1"
    shutil.copytree(small_run.path, path)
    return path


def test_report_is_made_anew_and_the_run_still_verifies(copied: Path) -> None:
    (copied / "report.html").write_text("damaged")
    done = call("report", copied)
    assert (done.returncode, done.stdout) == (0, f"report             {copied}/report.html\n")
    first = (copied / "report.html").read_bytes()
    call("report", copied)
    assert (copied / "report.html").read_bytes() == first
    assert call("verify", copied).returncode == 0


def test_report_of_two_runs_compares_them(copied: Path) -> None:
    shutil.copytree(copied, copied.parent / "mnist-network-2")
    done = call("report", copied, copied.parent / "mnist-network-2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("200 rows answered by both")
    assert "only the first right 0, only the second 0 (exact McNemar test, p = 1)" in lines[1]
    assert lines[-2].startswith("Not distinguishable: on these 200 rows")
    path = copied.parent / "mnist-network-1-and-mnist-network-2.html"
    assert lines[-1] == f"report             {path}"
    assert "Not distinguishable" in path.read_text("utf-8")


@pytest.mark.parametrize("place", [".", "examples/..", "../mnist-network-1"])
def test_a_comparison_stands_beside_the_run_however_it_is_called(copied: Path, place: str) -> None:
    shutil.copytree(copied, copied.parent / "mnist-network-2")
    done = call("report", place, "../mnist-network-2", cwd=copied)
    assert done.returncode == 0, done.stderr
    assert (copied.parent / "mnist-network-1-and-mnist-network-2.html").is_file()
    assert call("verify", copied).returncode == 0


def test_a_run_of_an_older_version_is_compared(copied: Path) -> None:
    older = copied.parent / "mnist-network-2"
    shutil.copytree(copied, older)
    record = json.loads((older / "run.json").read_text("utf-8"))
    del record["config"]["rotate_degrees"]
    (older / "run.json").write_text(json.dumps(record), "utf-8")
    assert call("report", copied, older).returncode == 0
    text = (copied.parent / "mnist-network-1-and-mnist-network-2.html").read_text("utf-8")
    assert "<td>rotate_degrees</td><td>0.0</td><td>not known then</td>" in text


def test_a_run_that_was_not_measured_has_no_report(copied: Path) -> None:
    (copied / "predictions.csv").unlink()
    done = call("report", copied)
    assert done.returncode == 1
    wrong = "The run has no predictions.csv: state='finished'"
    assert done.stderr == f"tenfold: {wrong} ({copied}). [E709]\n"


def test_the_page_is_exported_and_never_overwrites(copied: Path, tmp_path: Path) -> None:
    done = call("export", copied, "--to", "page")
    assert (done.returncode, done.stdout) == (0, "page  mnist-network-1.html\n")
    assert "Try it: the trained network" in (tmp_path / "mnist-network-1.html").read_text("utf-8")
    again = call("export", copied)
    assert again.returncode == 1
    assert again.stderr == (
        "tenfold: The file exists already (mnist-network-1.html). Expected the name "
        "of a new file. [E102]\n"
    )
    assert call("export", copied, "--out", "other.html").returncode == 0
    assert call("export", copied, "--to", "pickle").returncode == 2


def test_keras_and_onnx_are_exported_and_never_overwrite(copied: Path, tmp_path: Path) -> None:
    done = call("export", copied, "--to", "keras")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "keras mnist-network-1.keras\n"
        "from  (n, 28, 28), values 0 to 255, to calibrated probabilities (n, 10)\n"
    )
    done = call("export", copied, "--to", "onnx", "--out", "digits.onnx")
    assert done.stdout == "onnx  digits.onnx digits.py digits.npz\nask   python digits.py\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "runs", "mnist-network-1.keras", "digits.onnx", "digits.py", "digits.npz"
    }  # fmt: skip
    (tmp_path / "digits.onnx").unlink()
    again = call("export", copied, "--to", "onnx", "--out", "digits.onnx")
    assert again.returncode == 1
    wrong = "The file exists already (digits.py). Expected the name of a new file."
    assert again.stderr == f"tenfold: {wrong} [E102]\n"
    typo = call("export", copied, "--to", "kreas")
    assert typo.returncode == 2 and "Did you mean 'keras'?" in typo.stderr
    named = call("export", copied, "--to", "keras", "--out", "digits.h5")
    assert named.returncode == 2 and "expected a name that ends in .keras" in named.stderr


def test_robustness_is_asked_for_by_a_flag(small_run: Run) -> None:
    done = call("evaluate", small_run.path, "mnist", "--robustness")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^2,000 test rows were changed and asked again\.", done.stdout, re.M)
    assert re.search(r"^rotation: 30 degrees +accuracy [\d.]+% \[", done.stdout, re.M)


def test_the_program_is_named_as_the_user_can_type_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Path(program_name.__code__.co_filename).parents[1] / "__main__.py"
    monkeypatch.setattr(sys, "argv", [str(module)])
    assert program_name() == f"{Path(sys.executable).name} -m tenfold"
    monkeypatch.setattr(sys, "argv", ["bin/another"])
    assert program_name() == "bin/another"
