"""`load`: a name, a file, a folder or a frame, or one line that says why not."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

import tenfold
from tenfold import Dataset, Run
from tenfold.cli.main import app
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.data.load import load
from tenfold.inputs.idx import write_idx
from tenfold.inputs.tables.columns import Table
from tenfold.report import draw_examples
from tests.support.errors import refused

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


def test_pixels_are_images_unless_more_is_said_than_their_label() -> None:
    names = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = "\n".join(
        ",".join([str(i % 2), *(str((i + j) % 250) for j in range(784))]) for i in range(8)
    )
    Path("p.csv").write_text(f"{names}\n{rows}\n", "utf-8")
    assert load("p.csv").images.shape == (8, 28, 28)
    assert load("p.csv", target="label").images.shape == (8, 28, 28)
    assert isinstance(load("p.csv", reading=Reading(target="pixel0", task="regression")).x, Table)
    reading = Reading(target="label", task="classification")
    assert isinstance(load("p.csv", reading=reading).x, Table)


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(DataError) as raised:
        load("mnits")
    assert "There is no such dataset: name='mnits'. Expected a file, a folder or one of" in str(
        raised.value
    )
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
    assert np.isfinite(run.model.answer(other.x).outputs[0]).all()


def pixel_file(path: Path, header: list[str], labels: list[object], *, last: int = 0) -> Path:
    pixels = np.zeros((len(labels), 784), int)
    pixels[0, -1] = last
    rows = [",".join([str(y), *map(str, row)]) for y, row in zip(labels, pixels, strict=True)]
    path.write_text("\n".join([*([",".join(header)] if header else []), *rows]))
    return path


def test_pixels_in_another_order_are_refused(tmp_path: Path) -> None:
    names = [f"pixel{i}" for i in range(784)]
    ordered = pixel_file(tmp_path / "a.csv", ["label", *names], [0, 1, 2])
    assert tenfold.load(ordered).images.shape == (3, 28, 28)
    names[3], names[400] = names[400], names[3]
    mixed = pixel_file(tmp_path / "b.csv", ["label", *names], [0, 1, 2])
    with refused("E437", "first='pixel400'"):
        tenfold.load(mixed)


def test_a_pixel_that_could_be_the_label_is_never_taken_for_it(tmp_path: Path) -> None:
    path = pixel_file(tmp_path / "t.csv", [], [*range(1, 11)], last=1)
    with refused("E438"):
        tenfold.load(path)
    plain = pixel_file(tmp_path / "u.csv", [], [*range(1, 11)])
    assert tenfold.load(plain).y.tolist() == [*range(1, 11)]


def test_companion_files_of_other_systems_are_passed_over(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((4, 5, 5), np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 0, 1], np.uint8))
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"\0\5\26\7")
    assert len(tenfold.load(tmp_path)) == 4


@pytest.mark.parametrize("source", [np.zeros((3, 28, 28), np.uint8), None, [1, 2], b"mnist"])
def test_what_is_no_source_is_refused_with_what_to_do(source: object) -> None:
    with refused("E418", "kind='"):
        tenfold.load(source)


def test_what_is_said_of_a_table_is_refused_for_images() -> None:
    with refused("E419", r"target='x' \(mnist\)"):
        tenfold.load("mnist", target="x")
    with refused("E419", "time='day', lags=3"):
        tenfold.load("mnist", reading=Reading(time="day", lags=3))


def test_a_name_no_file_can_have_is_one_error() -> None:
    with refused("E902", "reason='File name too long'"):
        tenfold.load("a" * 5000)


def test_a_frame_is_a_table() -> None:
    frame = pd.DataFrame({"x": np.arange(20) / 3, "t": ["a", "b"] * 10})
    assert tenfold.load(frame, target="t").labels == ("a", "b")


def test_data_without_some_of_the_labels_are_measured(small_run: Run, mnist: Dataset) -> None:
    few = np.flatnonzero(np.isin(mnist.y[:500], [3, 5]))
    other = Dataset.from_arrays(mnist.x[few], (mnist.y[few] == 5) * 1, labels=["3", "5"])
    found = tenfold.evaluate(small_run, other)
    assert (found.n, found.labels) == (len(few), small_run.model.labels)
    assert found.accuracy.value > 0.5  # type: ignore[union-attr]


def test_labels_with_dollars_are_drawn_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), np.uint8)
    data = Dataset.from_arrays(images, [0, 1] * 20, labels=["$a_{$", r"$\frac$"], name="$x$")
    draw_examples(data, tmp_path / "sheet.png")
    run = tenfold.train(data, epochs=1, hidden=[4], shift_px=0)
    assert (run.path / "confusion_matrix.png").is_file()


def show(*arguments: object) -> None:
    command = ["data", "show", *map(str, arguments)]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0


def test_a_sheet_replaces_no_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((4, 5, 5), np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 0, 1], np.uint8))
    (tmp_path / "x.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="The file exists already .*x.png"):
        show(tmp_path, "--out", tmp_path / "x.png")
    labels = tmp_path / "train-labels-idx1-ubyte"
    command = ["data", "show", str(tmp_path), "--out", str(labels)]
    assert CliRunner().invoke(app, command).exit_code == 2
    (tmp_path / "x.png").unlink()
    show(tmp_path)
    show(tmp_path)
    assert Path(f"{tmp_path.name}-examples-2.png").is_file()


def test_codes_that_hardly_occur_make_no_giant_model(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((300, 5, 5), np.uint8))
    codes = np.r_[np.zeros(299), 65_535].astype(np.int32)
    write_idx(tmp_path / "train-labels-idx1-ubyte", codes)
    with refused("E428", "n_codes=65536, n_used=2"):
        tenfold.load(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(300).astype(np.int32))
    assert len(tenfold.load(tmp_path).labels) == 300
    write_idx(tmp_path / "train-labels-idx1-ubyte", (codes > 0).astype(np.uint8) * 255)
    assert len(tenfold.load(tmp_path).labels) == 256  # a byte of codes may have any gaps


def test_packed_tables_of_pixels_are_called_gzip(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(gzip.compress(b"label,p\n1,2\n"))
    with refused("E301", "found='gzip'"):
        tenfold.load(path)


def test_a_column_that_is_left_out_may_hold_what_is_no_cell(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(60) % 7, "tags": [["p", "q"]] * 60, "y": ["u", "v"] * 30})
    frame.to_parquet(tmp_path / "nested.parquet")
    for source in (frame, tmp_path / "nested.parquet"):
        with refused("E223", "column='tags'"):
            load(source, target="y")
        for reading in (
            Reading(target="y", drop=("tags",)),
            Reading(target="y", columns={"tags": "identifier"}),
        ):
            assert load(source, reading=reading).input.names == ("a",)  # type: ignore[union-attr]
    run = tenfold.train(frame, learner="bayes", reading=reading, out=tmp_path / "runs")
    for source in (frame, tmp_path / "nested.parquet"):
        assert len(run.model.predict(source)) == 60


def test_examples_of_columns_called_like_formulas_are_answered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"-b": rng.normal(size=80), "=x": rng.choice(["=p", "q"], 80), "y": ["u", "v"] * 40}
    )
    run = tenfold.train(frame, learner="bayes", reading=Reading(target="y"), out=tmp_path)
    answers = run.model.predict(run.path / "examples" / "inputs.csv")
    assert len(answers) and not any("never seen" in note for note in answers.notes)


def test_a_folder_of_part_files_is_called_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(9), "y": [0, 1, 1] * 3})
    (tmp_path / "_SUCCESS").touch()
    for number in range(2):
        frame.to_parquet(tmp_path / f"part-0000{number}.parquet")
    for target in ("y", None):
        with refused("E247", "n_files=2, first='part-00000.parquet'"):
            load(tmp_path, target=target)


def test_the_folder_of_a_dataset_of_hugging_face_is_called_parts(tmp_path: Path) -> None:
    (tmp_path / "data-00000-of-00001.arrow").touch()
    with refused("E247", "n_files=1, first='data-00000-of-00001.arrow'"):
        load(tmp_path, target="y")


def test_labels_have_the_names_that_hugging_face_stores(tmp_path: Path) -> None:
    kinds = {"y": {"names": ["owl", "cat"], "_type": "ClassLabel"}, "a": {"dtype": "int64"}}
    about = json.dumps({"info": {"features": kinds}})
    table = pa.table({"a": list(range(10)), "y": [0, 1, 1, 0, 1] * 2})
    table = table.replace_schema_metadata({"huggingface": about})
    parquet.write_table(table, tmp_path / "t.parquet")
    for source in (table, tmp_path / "t.parquet"):
        data = load(source, target="y")
        assert [data.labels[code] for code in data.y[:3]] == ["owl", "cat", "cat"]


def test_of_several_tables_one_is_to_be_chosen() -> None:
    with refused("E418", "kind='dict'") as raised:
        tenfold.load({"train": None, "test": None})
    assert "Choose one of its parts: train, test" in str(raised.value)
