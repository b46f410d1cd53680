"""`predict RUN rows.csv --out answers.csv`, and standard input."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import tenfold
from tenfold import Predictions, Run
from tenfold.cli import main as cli
from tenfold.core.errors import DataError

ROWS = [{"id": f"p{i}", "x": f"{i / 7:.2f}", "c": "ab"[i % 2], "label": "=up"} for i in range(5)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("table")
    x = np.random.default_rng(0).normal(size=300)
    lines = [f"{a:.3f},{'ab'[n % 2]},{'=up' if a > 0 else 'down'}" for n, a in enumerate(x)]
    (folder / "rows.csv").write_text("\n".join(["x,c,y", *lines]))
    return tenfold.train(folder / "rows.csv", target="y", learner="logistic", out=folder / "runs")


@pytest.fixture
def rows(elsewhere: None) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["id", "x", "c", "label"])
    writer.writeheader()
    writer.writerows(ROWS)
    Path("new.csv").write_text(text.getvalue())
    return text.getvalue()


def call(*words: object, given: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, list(map(str, words)), input=given)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_the_rows_stand_in_a_file_with_the_answers_beside_them(run: Run, rows: str) -> None:
    code, said = call("predict", run.path, "new.csv", "--out", "answers.csv")
    assert (code, said) == (0, "answers.csv: 5 rows, 0 of them unsure.\n")
    with open("answers.csv", newline="") as file:
        written = list(csv.DictReader(file))
    own = list(ROWS[0])
    beside = ["label_predicted", "confidence", "unsure", "p_=up", "p_down", "reason"]
    assert list(written[0]) == [*own, *beside]
    for given, row in zip(ROWS, written, strict=True):
        assert {name: row[name] for name in own} == given | {"label": "'=up"}
    answers = run.model.predict("new.csv")
    assert isinstance(answers, Predictions)
    assert [row["label_predicted"].lstrip("'") for row in written] == list(answers.labels)
    with pytest.raises(DataError) as refused:
        call("predict", run.path, "new.csv", "--out", "answers.csv")
    assert refused.value.code == "E102"


def test_pictures_have_no_rows_to_stand_beside(small_run: Run, rows: str) -> None:
    with pytest.raises(DataError) as refused:
        call("predict", small_run.path, "new.csv", "--out", "answers.csv")
    assert refused.value.code == "E517" and not Path("answers.csv").exists()


def test_standard_input_is_a_file(run: Run, rows: str) -> None:
    code, said = call("predict", run.path, "-", "--json", given=rows)
    own = json.loads(call("predict", run.path, "new.csv", "--json")[1])["predictions"]
    found = json.loads(said)["predictions"]
    assert code == 0 and {answer["input"] for answer in found} == {"-"}
    assert [answer["label"] for answer in found] == [answer["label"] for answer in own]


@pytest.mark.parametrize("words", [["--json"], ["--csv"], ["--top", 2], ["more.csv"]])
def test_a_file_of_answers_takes_no_other_output(words: list[object], run: Run, rows: str) -> None:
    assert call("predict", run.path, "new.csv", "--out", "answers.csv", *words)[0] == 2
