"""`evaluate` of a table: by the values of any column, and what is unlike the training."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import tenfold
from tenfold import Run
from tenfold.cli import main as cli
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.experiments.batch import scores_by


def rows(n: int, seed: int) -> pd.DataFrame:
    """Answers of the site `south` follow nothing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": rng.normal(size=n), "colour": rng.choice(["red", "blue"], n)})
    frame["site"] = rng.choice(["north", "south"], n)
    known = np.where(frame["site"] == "north", frame["size"], rng.normal(size=n))
    return frame.assign(answer=np.where(known > 0, "yes", "no"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    rows(800, 0).to_csv(folder / "rows.csv", index=False)
    reading = Reading(target="answer", drop=("site",))
    return tenfold.train(folder / "rows.csv", learner="bayes", reading=reading, out=folder)


def said(*words: object) -> str:
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_scores_by_a_column_that_is_not_learned_from(run: Run) -> None:
    found = scores_by(run, "site")
    north, south = found.values
    assert (north.value, south.value) == ("north", "south") and north.n + south.n == 200
    assert north.verdict == "better" and south.verdict == "worse"
    assert north.score.value > 0.9 > 0.7 > south.score.value
    text = said("evaluate", run.path, "--by", "size")
    assert "accuracy by size" in text and text.count(" to ") == 4
    assert (
        json.loads(said("evaluate", run.path, "--by", "site", "--json"))["by"]["column"] == "site"
    )
    with pytest.raises(DataError) as error:
        scores_by(run, "sight")
    assert error.value.code == "E453"


def test_other_rows_say_what_is_unlike_the_training(run: Run, tmp_path: Path) -> None:
    assert "unlike_training" not in json.loads(said("evaluate", run.path, "--json"))
    alike, other = tmp_path / "alike.csv", tmp_path / "other.csv"
    rows(300, 1).to_csv(alike, index=False)
    rows(300, 2).assign(size=lambda frame: frame["size"] + 2).to_csv(other, index=False)
    text = said("evaluate", run.path, alike)
    assert "rows (" in text and "shifted columns" not in text
    lines = json.loads(said("evaluate", run.path, other, "--json"))["unlike_training"]
    begin = "shifted columns    columns with another distribution than in training: size (p "
    assert lines[1].startswith(begin) and "colour" not in lines[1]


def test_predictions_of_a_file_say_what_is_unlike_the_training(run: Run, tmp_path: Path) -> None:
    other, few, alike = (tmp_path / f"{name}.csv" for name in ("other", "few", "alike"))
    rows(300, 2).assign(size=lambda frame: frame["size"] + 2).to_csv(other, index=False)
    rows(29, 2).assign(size=9.0).to_csv(few, index=False)
    rows(300, 1).to_csv(alike, index=False)

    def heard(model: Path, *words: object) -> str:
        done = CliRunner().invoke(cli.app, ["predict", str(model), *map(str, words)])
        assert done.exit_code == 0, done.output
        assert "training" not in done.stdout
        return done.stderr

    text = heard(run.path, other, "--csv")
    assert " of 300 rows (" in text and ") are unlike the training rows" in text
    assert "tenfold: columns with another distribution than in training: size (p " in text
    assert heard(run.path, other, "--json") == text
    assert heard(run.path, other, "--out", tmp_path / "answers.csv") == text
    assert heard(run.path / "model.onnx", other) == text, "the rows that are kept beside it"
    assert "training" not in heard(run.path, few, "--csv")
    assert "another distribution" not in heard(run.path, alike, "--csv")
    alone = tmp_path / "alone.onnx"
    alone.write_bytes((run.path / "model.onnx").read_bytes())
    text = heard(alone, other)
    assert "unlike the training" in text and "another distribution" not in text, "no rows beside it"


def patients(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Rows of n patients, eight of each, which are nearly alike."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), 8)
    level = rng.normal(shift, 1, n)[who] + rng.normal(0, 0.01, 8 * n)
    ill = np.where(rng.normal(level - shift, 0.5) > 0, "yes", "no")
    return pd.DataFrame({"patient": [f"p{seed}-{i}" for i in who], "level": level, "ill": ill})


def test_rows_of_a_group_are_not_compared_as_if_they_were_independent(tmp_path: Path) -> None:
    data = tenfold.load(patients(120, 0), reading=Reading(target="ill", group="patient"))
    run = tenfold.train(data, learner="logistic", out=tmp_path / "run")
    accepted = run.model.contract.input
    assert accepted.kind == "table" and accepted.group == "patient"
    kept = pd.read_csv(run.path / "background.csv")
    assert 30 <= len(kept) < 100 and (np.diff(np.sort(kept["level"])) > 1e-4).mean() > 0.9
    for seed in range(1, 6):
        patients(60, seed).to_csv(tmp_path / "alike.csv", index=False)
        assert "shifted columns" not in said("evaluate", run.path, tmp_path / "alike.csv")
    other, nameless = tmp_path / "other.csv", tmp_path / "nameless.csv"
    patients(60, 6, shift=2).to_csv(other, index=False)
    text = said("evaluate", run.path, other)
    assert "columns with another distribution than in training: level (p " in text
    patients(60, 6, shift=2).drop(columns="patient").to_csv(nameless, index=False)
    done = CliRunner().invoke(cli.app, ["predict", str(run.path), str(nameless)])
    assert done.exit_code == 0 and "another distribution" not in done.stderr
