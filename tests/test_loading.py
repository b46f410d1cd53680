"""A name, a file or a frame becomes a dataset."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.columns import Table
from tenfold.contract import Reading
from tenfold.errors import DataError
from tenfold.loading import load

ROWS = "a,b,y\n" + "".join(
    f"{i * 7 % 30 + 0.5},{'uv'[i % 2]},{'pq'[i % 3 == 0]}\n" for i in range(30)
)


@pytest.fixture
def table() -> Path:
    Path("t.csv").write_text(ROWS, "utf-8")
    return Path("t.csv")


def test_a_file_and_its_frame_are_the_same_dataset(table: Path) -> None:
    by_file = load(table, target="y")
    by_frame = load(pd.read_csv(table), target="y")
    assert by_file.fingerprint == by_frame.fingerprint
    assert by_file.labels == ("p", "q") and isinstance(by_file.x, Table)
    assert by_file.keys[:2] == ["t.csv:0", "t.csv:1"] and by_frame.keys[0] == "table:0"
    assert by_file.source == "t.csv" and by_frame.source is None


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "data", "TXT"])
def test_every_suffix_of_a_table(table: Path, suffix: str) -> None:
    other = table.rename(f"t2.{suffix}")
    assert len(load(other, target="y")) == 30


def test_parquet(table: Path) -> None:
    pd.read_csv(table).to_parquet("t.parquet")
    assert load("t.parquet", target="y").fingerprint == load(table, target="y").fingerprint


def test_the_target_may_be_a_position_where_there_is_no_header() -> None:
    Path("n.csv").write_text(ROWS.partition("\n")[2], "utf-8")
    last = load("n.csv", target=-1)
    assert last.info and last.info.input.target == "2"
    assert load("n.csv", target=2, reading=Reading(target="0")).fingerprint == last.fingerprint


def test_a_named_target_in_the_first_row_makes_it_a_header() -> None:
    Path("w.csv").write_text("a,y\n" + "a,p\nb,q\n" * 20, "utf-8")
    assert load("w.csv", target="y").labels == ("p", "q")


def test_pixels_are_images_unless_a_target_is_named() -> None:
    names = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = "\n".join(
        ",".join([str(i % 2), *(str((i + j) % 250) for j in range(784))]) for i in range(8)
    )
    Path("p.csv").write_text(f"{names}\n{rows}\n", "utf-8")
    assert load("p.csv").images.shape == (8, 28, 28)
    assert isinstance(load("p.csv", target="label").x, Table)


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(DataError) as raised:
        load("mnits")
    assert "Unknown dataset: name='mnits'. Expected a file, a folder or one of" in str(raised.value)
    assert "Did you mean 'mnist'?" in str(raised.value)


def test_a_model_reads_other_files_by_its_contract(table: Path) -> None:
    run = tenfold.train(str(table), learner="bayes", recipe="fast", reading=Reading(target="y"))
    frame = pd.read_csv(table)[["y", "b", "a"]]
    frame["extra"] = "é"
    frame.iloc[:12].to_csv("other.csv", index=False, sep=";")
    other = load("other.csv", like=run.model.contract)
    assert other.labels == run.model.labels and len(other) == 12
    assert other.info and other.info.input == run.model.contract.input
    assert "columns not used by the model: extra (other.csv)" in other.info.notes
    assert np.isfinite(run.model.probabilities(other.x)).all()
