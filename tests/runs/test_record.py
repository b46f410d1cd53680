"""The run folder: numbered, complete, counted, verified."""

import csv
import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tenfold
from tenfold import Dataset, Evaluation, Run
from tenfold.build.onnx import to_graph
from tenfold.core.csv_cells import escape_formula, unescape_formula
from tenfold.core.errors import RunError
from tenfold.core.files import sha256
from tenfold.core.settings import Settings
from tenfold.inputs.tables.columns import Table
from tenfold.learners.architectures import dense_network
from tenfold.model.predictions import Predictions
from tenfold.runs.csv_files import (
    StoredLabels,
    StoredValues,
    read_folds,
    read_predictions,
    read_test_rows,
    write_answers,
    write_test_rows,
)
from tenfold.runs.record import DataRecord, Record, count_opening
from tenfold.runs.verify import verify
from tests.support.answers import evaluate_values, labels_of, values_of
from tests.support.errors import refused
from tests.support.networks import fitted, untrained


def a_record(fingerprint: str = "f") -> Record:
    data = DataRecord(name="d", fingerprint=fingerprint, n_train=1, n_validation=0, n_test=1)
    return Record(
        learner="network", recipe="default", asked={}, config=Settings(), data=data, versions={}
    )


@pytest.fixture
def copy(small_run: Run, tmp_path: Path) -> Path:
    """A run folder that a test may damage."""
    return Path(shutil.copytree(small_run.path, tmp_path / "copy"))


def reseal(run: Path) -> None:
    """Make run.json agree with changed files, as somebody who wants to deceive would."""
    opened = Run.open(run)
    opened.finish("finished")


def test_folders_take_the_next_free_number(tmp_path: Path) -> None:
    (tmp_path / "mnist-network-2").mkdir()
    names = [Run.create(tmp_path, "mnist-network", a_record()).path.name for _ in range(3)]
    assert names == ["mnist-network-1", "mnist-network-3", "mnist-network-4"]


def test_runs_created_at_once_never_share_a_folder(tmp_path: Path) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(Run.create(tmp_path, "r", a_record()).path))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 16


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("E902", "file/runs"):
        Run.create(tmp_path / "file" / "runs", "r", a_record())


def test_run_json_is_the_contract(small_run: Run) -> None:
    record = json.loads((small_run.path / "run.json").read_text())
    assert {
        "format", "state", "learner", "recipe", "config", "data", "parameters", "seconds",
        "test_opened", "versions", "files",
    } <= set(record)  # fmt: skip
    assert record["data"] == {
        "name": "mnist",
        "fingerprint": small_run.record.data.fingerprint,
        "n_train": 540,
        "n_validation": 60,
        "n_test": 200,
        "n_dropped": 0,
        "n_twins": None,
        "series_ends": [],
        "source": None,
        "reading": None,
        "target_mean": None,
        "positive": None,
    }
    assert list(record["seconds"]) == ["load", "train", "export", "evaluate", "report", "total"]
    assert record["seconds"]["total"] >= sum(record["seconds"].values()) / 2.1
    assert (record["asked"], record["config"]["epochs"]) == ({"epochs": 3}, 3)
    assert set(record["versions"]) >= {"python", "tenfold", "keras", "jax", "onnxruntime"}
    assert record["parameters"] == 101_770
    for name, digest in record["files"].items():
        assert sha256(small_run.path / name) == digest
    assert set(record["files"]) == {
        "MODEL_CARD.md", "audit.json", "checks.json", "confusion_matrix.png", "evaluation.json",
        "examples/answers.csv",
        "examples/inputs.idx", "history.csv", "history.png", "model.onnx", "predictions.csv",
        "report.html", "test_images.png",
    }  # fmt: skip


def test_predictions_csv_has_a_line_per_test_row_in_data_order(
    small_run: Run, few: "tenfold.Dataset"
) -> None:
    with (small_run.path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [f"p_{label}" for label in "0123456789"]
    assert list(rows[0]) == ["key", "true", "predicted", "confidence", "unsure", *names]
    assert [row["key"] for row in rows] == [f"t10k-images-idx3-ubyte:{i}" for i in range(200)]
    right = sum(row["true"] == row["predicted"] for row in rows)
    assert isinstance(small_run.evaluation, Evaluation)
    assert right / 200 == small_run.evaluation.accuracy.value
    for row in rows:
        values = np.array([float(row[name]) for name in names])
        assert abs(values.sum() - 1) < 1e-5
        assert row["predicted"] == str(values.argmax())
        assert float(row["confidence"]) == values.max()
        assert row["unsure"] in ("true", "false")
    unsure = sum(row["unsure"] == "true" for row in rows)
    assert unsure == 200 - round(200 * small_run.evaluation.answered.share.value)


def test_history_csv_has_a_line_per_epoch(small_run: Run) -> None:
    lines = (small_run.path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,seconds,loss,accuracy,val_loss,val_accuracy,learning_rate"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert small_run.history[2]["epoch"] == 3
    assert (small_run.history[2]["loss"] or 9) < (small_run.history[0]["loss"] or 0)


def test_without_validation_rows_their_columns_are_empty(mnist: Dataset, tmp_path: Path) -> None:
    run = tenfold.train(
        mnist.take(np.arange(200)), recipe="tutorial", epochs=1, hidden=[4], out=tmp_path
    )
    assert run.record.data.n_validation == 0
    assert (run.record.data.n_train, run.record.data.n_test) == (150, 50)
    row = (run.path / "history.csv").read_text().splitlines()[1].split(",")
    assert row[4:6] == ["", ""]
    assert run.history[0]["val_accuracy"] is None


def test_openings_count_per_data(tmp_path: Path) -> None:
    runs = [Run.create(tmp_path, "r", a_record(data)) for data in ("a", "a", "b", "a")]
    (tmp_path / "r-9").mkdir()
    (tmp_path / "r-9" / "run.json").write_text("{}")  # not readable: cannot be counted
    for run in (runs[0], runs[1], runs[2], runs[3]):
        count_opening(run)
    assert [run.record.test_opened for run in runs] == [1, 2, 1, 3]
    assert [Run.open(run.path).record.test_opened for run in runs] == [1, 2, 1, 3]


def test_cells_of_test_rows_come_back_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path, "r", a_record())
    assert read_test_rows(run) == ([], {})
    texts = ["=1+1", "a,b", "", "two\nlines", "'quoted'"]
    columns: dict[str, Any] = {
        "=text": np.array(texts, object), "key": np.array([0.1, np.nan, -2, 1e30, 5])
    }  # fmt: skip
    keys = [f"@rows.csv:{row}" for row in range(5)]
    write_test_rows(run, keys, Table(columns))
    names, cells = read_test_rows(run)
    assert names == ["=text", "key"]
    numbers = ["0.1", "", "-2.0", "1e+30", "5.0"]
    assert cells == {k: [a, b] for k, a, b in zip(keys, texts, numbers, strict=True)}
    first = (run.path / "test_rows.csv").read_text("utf-8").splitlines()[:2]
    assert first == ["key,'=text,key", "'@rows.csv:0,'=1+1,0.1"]
    monkeypatch.setattr("tenfold.runs.csv_files.MAX_CELL_BYTES", 40)
    write_test_rows(run, keys, Table(columns))
    assert list(read_test_rows(run)[1]) == keys[:2], "as many as there is room for"


@pytest.mark.parametrize("content", [b"", b"key,a\nx\n", b"key,a\n\xff,1\n", b'key,a\n"x,1\n'])
def test_damaged_cells_are_named(tmp_path: Path, content: bytes) -> None:
    run = Run.create(tmp_path, "r", a_record())
    (run.path / "test_rows.csv").write_bytes(content)
    with refused("E704", r"problem=.*test_rows\.csv"):
        read_test_rows(run)


def test_what_is_not_a_run_is_said(tmp_path: Path) -> None:
    with refused("E708"):
        Run.open(tmp_path)


def test_a_damaged_run_json_is_said(copy: Path) -> None:
    (copy / "run.json").write_text('{"format": 1, "state": "fin')
    with refused("E710", r"problem=.*run\.json"):
        Run.open(copy)


def test_a_damaged_evaluation_is_said(copy: Path) -> None:
    (copy / "evaluation.json").write_text("{}")
    with refused("E711", "problem=.*'task'"):
        _ = Run.open(copy).evaluation


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("model.onnx", "model"), ("evaluation.json", "evaluation"), ("history.csv", "history")],
)
def test_what_a_run_does_not_have_is_said(copy: Path, name: str, attribute: str) -> None:
    (copy / name).unlink()
    with pytest.raises(RunError, match=f"The run has no {name}: state='finished'"):
        getattr(Run.open(copy), attribute)


def test_verify_counts_what_it_checked(small_run: Run) -> None:
    assert verify(small_run.path) == {"files": 13, "examples": 10}


def test_verify_works_on_a_moved_run(copy: Path) -> None:
    assert verify(copy.rename(copy.with_name("elsewhere")))["files"] == 13


@pytest.mark.parametrize("name", [".DS_Store", "._run.json", "Thumbs.db", "Desktop.ini"])
def test_what_file_managers_leave_is_no_part_of_a_run(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"\0")
    assert verify(copy)["files"] == 13


def test_verify_names_every_changed_missing_and_new_file(copy: Path) -> None:
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff")
    (copy / "history.png").unlink()
    (copy / "extra.txt").write_text("")
    with refused("E713") as error:
        verify(copy)
    expected = "files='extra.txt added, history.png missing, model.onnx changed'"
    assert expected in str(error.value)


def test_verify_refuses_a_run_that_is_not_finished(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "r", a_record())
    with refused("E712", "state='running'"):
        verify(run.path)


def test_verify_asks_the_stored_examples_again(copy: Path) -> None:
    # Another model under the same name, with digests that agree: only its answers betray it.
    promise = Run.open(copy).model.contract.model_copy(update={"novelty_threshold": None})
    other = fitted(untrained(dense_network((28, 28), [128], 10), seed=99))
    (copy / "model.onnx").write_bytes(to_graph(other, promise))
    reseal(copy)
    with refused("E714"):
        verify(copy)


def test_verify_refuses_answers_that_are_no_numbers(copy: Path) -> None:
    path = copy / "examples" / "answers.csv"
    path.write_text(re.sub(r"\b[01](\.\d+)?(e-\d+)?(?=,|$)", "nan", path.read_text(), flags=re.M))
    assert "nan" in path.read_text()
    reseal(copy)
    with pytest.raises(RunError):
        verify(copy)


def change(name: str, **entries: Any) -> Callable[[Path], None]:
    """A damage: entries of a JSON file, written by hand."""

    def damage(folder: Path) -> None:
        stored = json.loads((folder / name).read_bytes())
        (folder / name).write_text(json.dumps(stored | entries))

    return damage


def write(name: str, content: str) -> Callable[[Path], None]:
    """A damage: a file of other content, with the digest of that."""

    def damage(folder: Path) -> None:
        (folder / name).write_text(content)
        reseal(folder)

    return damage


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (change("run.json", config={"seed": "x"}), "E710"),
        (write("run.json", "[" * 200_000), "E710"),
        (change("evaluation.json", n=0), "E711"),
        (change("evaluation.json", confusion=[[1], [2, 3, 4]]), "E711"),
        (change("evaluation.json", labels=["1"]), "E711"),
        (write("audit.json", "null"), "E701"),
        (write("history.csv", ""), "E715"),
        (write("history.csv", "a,b\n1,2\n"), "E715"),
        (write("history.csv", "epoch,val_accuracy\nx,y\n"), "E715"),
        (write("folds.csv", "fold,n_train\nx,1\n"), "E716"),
        (write("predictions.csv", ""), "E703"),
        (write("predictions.csv", "key\n" + "x" * 200_000 + ",1,1,nan,true\n"), "E703"),
        (write("examples/inputs.csv", ""), "E717"),
        (write("examples/inputs.csv", "a,b\n1\n"), "E717"),
        (write("examples/answers.csv", ""), "E703"),
    ],
)
def test_what_was_damaged_by_hand_is_one_error(
    copy: Path, damage: Callable[[Path], None], code: str
) -> None:
    with refused(code):
        damage(copy)
        run = Run.open(copy)
        _ = run.evaluation, run.history, run.audit, read_predictions(run)
        read_folds(copy / "folds.csv")
        verify(copy)


def test_examples_are_one_of_each_label_and_never_test_rows(small_run: Run) -> None:
    with (small_run.path / "examples" / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["true"] for row in rows] == list("0123456789")
    assert all(row["key"].startswith("train-images") for row in rows)


# Cells that spreadsheets run


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\0=1", "'\0=1"),
        ("'=1", "''=1"),
        ("-inf", "'-inf"),
        ("-1_0", "'-1_0"),
        ("-1.5e-3", "-1.5e-3"),
        ("+7", "+7"),
        ("-.5", "-.5"),
        ("spam", "spam"),
        ("'tis", "'tis"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_a_cell_that_would_run_gets_a_quote(text: str, cell: str) -> None:
    assert (escape_formula(text), unescape_formula(cell)) == (cell, text)


texts = st.text(st.sampled_from("=+-@'\t\r\n\0 a1.,\"") | st.characters(codec="utf-8"))


@given(keys=st.lists(texts, max_size=5))
def test_every_text_comes_back_from_the_file(
    keys: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{threading.get_ident()}.csv"
    numbers = np.ones(len(keys))
    write_answers(path, StoredValues.of(keys, numbers, values_of(2 * numbers)))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [unescape_formula(row["key"]) for row in rows] == keys
    for row in rows:
        bare = row["key"].strip("'")[:1]
        assert bare not in tuple("=@\t\r\n\0") or row["key"].startswith("'")


def test_predictions_of_a_regression(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    answers = values_of([1, 1 / 3], [0, 0], [2, 1e9])
    write_answers(path, StoredValues.of(["a.csv:1", "=a"], np.array([1.5, -2]), answers))
    assert path.read_text() == (
        "key,true,predicted,low,high\n"
        "a.csv:1,1.5,1,0,2\n"
        "'=a,-2,0.333333333,0,1e+09\n"
    )  # fmt: skip
    write_answers(path, StoredValues.of(["k"], np.array([1.0]), values_of([2.0])))
    assert path.read_text() == "key,true,predicted,low,high\nk,1,2,,\n"


def test_predictions_say_which_rows_are_unsure_and_run_nothing(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    answers = Predictions(
        np.array([[0.75, 0.25], [0.5, 0.5]], np.float32),
        ("@ham", "spam"),
        novelty=np.array([0.5, 2], np.float32),
        novelty_threshold=1.0,
    )
    write_answers(path, StoredLabels.of(["k", "+k"], np.array([1, 0]), answers))
    assert path.read_text() == (
        "key,true,predicted,confidence,unsure,p_@ham,p_spam\n"
        "k,spam,'@ham,0.75,false,0.75,0.25\n"
        "'+k,'@ham,'@ham,0.5,true,0.5,0.5\n"
    )


def test_the_evaluation_of_a_run_is_that_of_its_task(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "r", a_record())
    result = evaluate_values([1, 2], [1, 3], baseline_value=1.5, baseline_kind="last value")
    (run.path / "evaluation.json").write_text(result.model_dump_json())
    assert Run.open(run.path).evaluation == result


def test_predictions_are_read_as_they_were_written(small_run: Run) -> None:
    stored = read_predictions(small_run)
    assert isinstance(stored, StoredLabels) and isinstance(small_run.evaluation, Evaluation)
    assert (stored.predicted == stored.true).mean() == small_run.evaluation.accuracy.value
    assert (stored.probabilities.argmax(axis=1) == stored.predicted).all()
    assert (stored.probabilities.max(axis=1) == stored.confidence).all()
    answered = small_run.evaluation.answered.share.value
    assert stored.unsure.mean() == pytest.approx(1 - answered)
    assert stored.keys[3] == "t10k-images-idx3-ubyte:3"


@pytest.mark.parametrize(
    ("old", "new"), [(",7,", ",seven,"), ("false", "false,1,2,3"), (",0.", ",x.")]
)
def test_damaged_predictions_are_named(small_run: Run, tmp_path: Path, old: str, new: str) -> None:
    for name in ("evaluation.json", "predictions.csv"):
        text = (small_run.path / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace(old, new) if name.endswith("csv") else text)
    with refused("E703", r"problem=.*predictions\.csv"):
        read_predictions(Run(tmp_path, small_run.record))


def test_wrong_and_confident_rows_come_first_or_those_furthest_off() -> None:
    p = [[0.9, 0.1], [0.5, 0.5], [0.95, 0.05], [0.8, 0.2]]
    labels = StoredLabels.of(list("abcd"), np.array([0, 1, 0, 1]), labels_of(p, ("no", "yes")))
    assert labels.worst_first.tolist() == [3, 1, 2, 0]
    values = StoredValues.of(list("abc"), np.array([1.0, 2.0, 3.0]), values_of([1.0, 5.0, 2.0]))
    assert values.worst_first.tolist() == [1, 2, 0]


def test_a_run_that_may_not_be_read_is_not_counted(tmp_path: Path) -> None:
    first, second = (Run.create(tmp_path, "a", a_record()) for _ in range(2))
    count_opening(first)
    (first.path / "run.json").unlink()
    (first.path / "run.json").mkdir()  # root may read everything but this
    count_opening(second)
    assert second.record.test_opened == 1
