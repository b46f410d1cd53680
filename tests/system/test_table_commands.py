"""Tables from the command line, from end to end, on the data that scikit-learn brings along."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets as bundled

from tenfold.cli import main as cli
from tenfold.runs.csv_files import read_folds

EXAMPLES = ("iris", "wine", "breast_cancer", "diabetes")


class Said(NamedTuple):
    code: int
    out: str
    err: str


Program = Callable[..., Said]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """`tenfold ...` in this process: warnings are errors here."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["tenfold", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "Warning" not in err
        return Said(code, out, err)

    return run


def write(name: str, path: Path) -> pd.DataFrame:
    data = getattr(bundled, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = data.frame
    if name != "diabetes":
        frame["target"] = [str(data.target_names[code]) for code in frame["target"]]
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture
def iris() -> Iterator[pd.DataFrame]:
    yield write("iris", Path("iris.csv"))


def last_run() -> Path:
    return max(Path("runs").iterdir(), key=lambda path: path.stat().st_mtime)


@pytest.mark.parametrize(
    ("name", "learner", "bar"),
    [
        ("iris", "forest", 0.85), ("iris", "bayes", 0.85), ("wine", "logistic", 0.9),
        ("wine", "neighbors", 0.9), ("breast_cancer", "forest", 0.9),
        ("breast_cancer", "logistic", 0.93),
        ("diabetes", "linear", 0.3), ("diabetes", "forest", 0.25), ("diabetes", "neighbors", 0.2),
    ],
)  # fmt: skip
def test_from_file_to_answers(program: Program, name: str, learner: str, bar: float) -> None:
    frame = write(name, Path("x.csv"))
    said = program("train", "x.csv", "--target", "target", "--learner", learner, "--json")
    assert said.code == 0, said.err
    trained = json.loads(said.out)
    evaluation, run = trained["evaluation"], trained["run"]
    score = evaluation["r2"] if name == "diabetes" else evaluation["accuracy"]
    assert trained["state"] == "finished" and score["value"] >= bar
    frame.drop(columns="target").iloc[::-1].to_csv("rows.csv", index=False)
    answered = json.loads(program("predict", run, "rows.csv", "--json").out)["predictions"]
    assert [answer["row"] for answer in answered] == list(range(len(frame)))
    if name == "diabetes":
        values = np.array(
            [[answer[key] for key in ("low", "value", "high")] for answer in answered]
        )
        assert (np.diff(values, axis=1) > 0).all()
        inside = (values[:, 0] <= frame["target"][::-1]) & (frame["target"][::-1] <= values[:, 2])
        assert inside.mean() > 0.8
    else:
        right = [
            a["label"] == true for a, true in zip(answered, frame["target"][::-1], strict=True)
        ]
        assert np.mean(right) >= bar
    assert program("evaluate", run).code == 0
    verified = program("verify", run)
    assert verified.code == 0 and "stored predictions repeated" in verified.out


def test_answers_as_csv_and_for_people(program: Program, iris: pd.DataFrame) -> None:
    program("train", "iris.csv", "--target", "target", "--learner", "bayes")
    said = program("predict", last_run(), "iris.csv", "--csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == 150 and rows[0]["label"] == "setosa" and rows[0]["error"] == ""
    assert float(rows[0]["p_setosa"]) == pytest.approx(float(rows[0]["confidence"]))
    assert "iris.csv:0  setosa" in program("predict", last_run(), "iris.csv").out


def test_folds_are_shown_and_kept(program: Program, iris: pd.DataFrame) -> None:
    said = program("train", "iris.csv", "--target", "target", "--learner", "logistic", "--folds", 3)
    assert said.code == 0, said.err
    folds = read_folds(last_run() / "folds.csv")
    assert [fold.n_held_out for fold in folds] and len(folds) == 3


def test_costs_and_class_weights(program: Program) -> None:
    write("breast_cancer", Path("x.csv"))
    plain = ("train", "x.csv", "--target", "target", "--learner", "logistic", "--json")
    before = json.loads(program(*plain, "--positive", "malignant").out)["evaluation"]
    costly = program(
        *plain, "--positive", "malignant", "--cost", "false_negative=50",
        "--class-weights", "balanced", "--recall", "0.95",
    )  # fmt: skip
    after = json.loads(costly.out)["evaluation"]
    assert (
        after["threshold"] is not None and after["threshold"] < 0.5 and before["threshold"] is None
    )
    assert after["precision_at_recall"]["recall"] >= 0.95 and after["positive"] == "malignant"


def test_without_header_with_a_separator_and_kinds(program: Program, iris: pd.DataFrame) -> None:
    iris.to_csv("n.csv", index=False, header=False, sep=":")
    said = program(
        "train", "n.csv", "--target", -1, "--no-header", "--separator", ":", "--learner", "forest",
        "--recipe", "fast", "--column", "0=category", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    run = Path(json.loads(said.out)["run"])
    assert program("evaluate", run).code == 0
    iris.iloc[:3, :4].to_csv("rows.csv", index=False, header=False)
    rows = json.loads(program("predict", run, "rows.csv", "--json").out)["predictions"]
    assert [row["label"] for row in rows] == ["setosa"] * 3


def test_a_task_can_be_said(program: Program, iris: pd.DataFrame) -> None:
    iris["petal width (cm)"] = iris["petal width (cm)"].round().astype(int)
    iris.to_csv("t.csv", index=False)
    asked = ("train", "t.csv", "--target", "petal width (cm)", "--recipe", "fast", "--json")
    as_number = program(*asked, "--task", "regression", "--learner", "linear")
    as_label = program(*asked, "--learner", "bayes")
    assert json.loads(as_number.out)["evaluation"]["task"] == "regression"
    assert json.loads(as_label.out)["evaluation"]["labels"] == ["0", "1", "2"]


def test_ordered_data_and_a_forecast(program: Program) -> None:
    n = np.arange(200)
    values = 10 + 5 * np.sin(n / 5) + np.random.default_rng(0).normal(0, 0.3, 200)
    days = pd.date_range("2020-01-01", periods=200).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"Date": days, "Temp": values.round(2)})
    frame.to_csv("t.csv", index=False)
    said = program(
        "train", "t.csv", "--target", "Temp", "--time", "Date", "--lags", 10, "--learner", "linear",
        "--json",
    )  # fmt: skip
    evaluation = json.loads(said.out)["evaluation"]
    assert evaluation["baseline"]["kind"] == "last value" and evaluation["beats_baseline"]
    run = json.loads(said.out)["run"]
    steps = json.loads(program("predict", run, "--steps", 3, "--json").out)["predictions"]
    assert [step["input"] for step in steps] == ["2020-07-19", "2020-07-20", "2020-07-21"]
    own = program("predict", run, "t.csv", "--json")
    assert len(json.loads(own.out)["predictions"]) == 200
    assert "earlier values not known, read as missing: Temp in 10 rows" in own.err
    assert program("evaluate", run, "t.csv").code == program("verify", run).code == 0
    frame[["Date"]].head(3).to_csv("rows.csv", index=False)
    refused = program("predict", run, "rows.csv")
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert (
        "The earlier values of the target are missing" in refused.err and "--steps N" in refused.err
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--target", "sort"], "There is no such column: column='sort' (iris.csv)."),
        ([], "There is no such column"),
        (["--target", "target", "--learner", "linear"], "Did you mean 'logistic'?"),
        (["--target", "target", "--column", "petal=number"], "There is no such column"),
        (["--target", "target", "--column", "x=colour"], "columns.x='colour', expected one of"),
        (["--target", "target", "--time", "target"], "A row has no valid time"),
        (["--target", "target", "--class-weights", "1,2"], "The class weights do not match"),
        (["--target", "target", "--cost", "false_negative=5"], "Costs cannot be used here"),
        (["--target", "target", "--folds", "900"], "This number of folds is not possible"),
        (["--target", "target", "--separator", "tab"], "There is no such column: column='target'"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(
    program: Program, iris: pd.DataFrame, arguments: list[str], text: str
) -> None:
    if not arguments:
        iris.rename(columns={"target": "sort"}).to_csv("iris.csv", index=False)
        arguments, text = [], "No target column was chosen"
    said = program("train", "iris.csv", "--learner", "bayes", *arguments)
    last = said.err.strip().splitlines()[-1]
    assert said.code == 1 and last.startswith("tenfold: ") and text in last
    assert said.out == ""


def test_missing_extra_and_unknown_are_said_when_asked(
    program: Program, iris: pd.DataFrame
) -> None:
    iris["colour"] = ["red", "blue"] * 75
    iris.to_csv("x.csv", index=False)
    program("train", "x.csv", "--target", "target", "--learner", "forest", "--recipe", "fast")
    run = last_run()
    rows: dict[str, Any] = {name: list(iris[name][:2]) for name in iris.columns}
    pd.DataFrame(rows | {"colour": ["green", "red"], "note": ["=1+1", ""]}).to_csv(
        "a.csv", index=False
    )
    said = program("predict", run, "a.csv", "--csv")
    assert said.code == 0 and said.err.splitlines() == [
        "tenfold: columns not used by the model: note (a.csv)",
        "tenfold: never seen in training: colour=green in 1 rows, first row 0 (a.csv)",
    ]
    iris.drop(columns=["colour", "target"]).to_csv("b.csv", index=False)
    said = program("predict", run, "b.csv", "a.csv", "--json")
    answered = json.loads(said.out)["predictions"]
    assert said.code == 1 and len(answered) == 3
    assert answered[0]["error"].startswith(
        "The table lacks columns that the model needs: columns=['colour'] (b.csv)."
    )


def test_labels_that_look_like_formulas_leave_harmless(program: Program) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=90)
    labels = np.where(x > 0, "=cmd()", "@plain")
    pd.DataFrame({"x": x, "c": rng.choice(["=A1", "b"], 90), "y": labels}).to_csv(
        "f.csv", index=False
    )
    program("train", "f.csv", "--target", "y", "--learner", "bayes")
    run = last_run()
    assert program("verify", run).code == 0
    rows = list(csv.reader(io.StringIO(program("predict", run, "f.csv", "--csv").out)))[1:]
    assert {row[2] for row in rows} == {"'=cmd()", "'@plain"}
    for file in run.rglob("*.csv"):
        for row in csv.reader(io.StringIO(file.read_text("utf-8"))):
            assert not any(cell.startswith(("=", "@", "+")) for cell in row), file


def test_the_program_itself_under_a_plain_locale(iris: pd.DataFrame) -> None:
    iris["größe ☃"] = ["ä", "ö", "中"] * 50
    iris.to_csv("iris.csv", index=False)
    command = [sys.executable, "-W", "error", "-m", "tenfold"]
    environment = {"LANG": "C", "LC_ALL": "C", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [*command, "train", "iris.csv", "--target", "target", "--learner", "bayes"],
        capture_output=True, text=True, check=False, env=environment, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
