"""`tenfold data`, as a user calls it."""

import os
from pathlib import Path

import numpy as np
import pytest

from tenfold import Dataset
from tenfold.inputs.idx import write_idx
from tests.support import program
from tests.support.program import Done


def call(*arguments: object, **environment: str) -> Done:
    return program.call("data", *arguments, env=os.environ | environment)


@pytest.fixture
def folder(mnist: Dataset, tmp_path: Path) -> Path:
    """400 training digits; 100 test digits, half of them training digits."""
    parts = {"train": np.arange(400), "t10k": np.r_[:50, 60_000:60_050]}
    for part, rows in parts.items():
        write_idx(tmp_path / f"{part}-images.idx3-ubyte.gz", mnist.x[rows])
        write_idx(tmp_path / f"{part}-labels.idx1-ubyte.gz", mnist.y[rows].astype(np.uint8))
    return tmp_path


def test_list_says_what_is_known_and_where(tmp_path: Path) -> None:
    done = call("list", TENFOLD_CACHE=str(tmp_path))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["mnist", "60,000", "+", "10,000", "embedded"]
    assert "CC BY-SA 3.0" in lines[1]
    assert lines[2].endswith("tenfold data fetch fashion-mnist")
    assert "Zalando" in lines[3]


def test_show_counts_and_draws(folder: Path, tmp_path: Path) -> None:
    done = call("show", folder, "--out", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    header, first, *_, last = done.stdout.splitlines()
    assert header.split() == ["label", "train", "test", "share"]
    assert first.split()[0] == "0"
    assert "%" in first and "▓" in first
    assert last == f"picture  {tmp_path / 'sheet.png'}"
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_show_names_the_picture_after_the_data() -> None:
    assert call("show", "mnist").stdout.endswith("picture  mnist-examples.png\n")
    assert Path("mnist-examples.png").is_file()


def test_a_table_is_read_as_train_reads_it(tmp_path: Path) -> None:
    rows = "".join(f"{n}|{n % 7}|{'ab'[n % 2]}\n" for n in range(60))
    (tmp_path / "rows.csv").write_text(rows)
    reading = ("--no-header", "--separator", "|", "--target", 2, "--column", "1=category")
    shown = call("show", tmp_path / "rows.csv", *reading)
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["1", "category", "7", "0", "0"] in lines
    checked = call("check", tmp_path / "rows.csv", *reading)
    assert checked.returncode == 0, checked.stderr
    assert "60" in checked.stdout.splitlines()[0]


def test_check_prints_the_audit(folder: Path) -> None:
    done = call("check", folder)
    assert done.returncode == 0, done.stderr
    assert "400 training and 100 test examples" in done.stdout
    assert "the test set is mostly part of the training set: 50 of 100" in done.stdout


def test_check_labels_lists_suspects(folder: Path) -> None:
    done = call("check", folder, "--labels", "--top", "2")
    assert done.returncode == 0, done.stderr
    suspects = [line for line in done.stdout.splitlines() if " labelled " in line]
    assert len(suspects) == 2
    assert suspects[0].startswith("train-images.idx3-ubyte.gz:")
    assert "answered '" in suspects[0]
    assert "more: --top " in done.stdout


def test_fetch_without_a_network_says_what_to_put_where_in_one_line(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"  # a proxy that is not there
    proxies = {name: nowhere for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    done = call("fetch", "fashion-mnist", TENFOLD_CACHE=str(tmp_path), **proxies)
    assert (done.returncode, done.stdout) == (1, "")
    line = done.stderr.strip().splitlines()
    assert len(line) == 1
    assert line[0].startswith("tenfold: The dataset cannot be downloaded: name='fashion-mnist'. ")
    assert line[0].count("No connection") == 3
    assert line[0].endswith(
        f"t10k-labels-idx1-ubyte.gz by hand into {tmp_path / 'fashion-mnist'}. [E904]"
    )


def test_fetch_of_what_is_embedded_says_where_it_is() -> None:
    done = call("fetch", "mnist")
    assert done.returncode == 0
    assert done.stdout.startswith("mnist: ")


def test_training_on_a_folder_prints_its_audit_first_and_can_be_measured_again(
    folder: Path, tmp_path: Path
) -> None:
    done = program.call("train", folder, "--epochs", "1")
    assert done.returncode == 0, done.stderr
    printed = done.stderr.splitlines()
    audited = next(i for i, line in enumerate(printed) if "part of the training set" in line)
    assert audited < next(i for i, line in enumerate(printed) if line.startswith("parameters"))
    run = Path("runs") / f"{tmp_path.name}-network-1"
    assert (run / "audit.json").is_file()
    measured = program.call("evaluate", run)
    assert measured.returncode == 0, measured.stderr
    assert done.stdout.startswith(measured.stdout)
