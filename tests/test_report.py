"""Pictures that can be read, and a report that needs nothing else."""

import base64
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tenfold import Evaluation, Run
from tenfold.errors import RunError
from tenfold.report import draw_confusion, draw_history, write_report


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def an_evaluation(n_labels: int, names: list[str] | None = None) -> Evaluation:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(n_labels), 5)
    p = rng.dirichlet(np.ones(n_labels), len(y))
    labels = names or [str(i) for i in range(n_labels)]
    return Evaluation.of(y, p, tuple(labels))


@pytest.mark.parametrize("n_labels", [2, 10, 26, 60])
def test_the_confusion_matrix_grows_with_its_labels(tmp_path: Path, n_labels: int) -> None:
    draw_confusion(an_evaluation(n_labels), tmp_path / "m.png")
    width, height = png_size(tmp_path / "m.png")
    assert width > 1.5 * height
    # 50 points of a cell's width hold a number of five digits at 8 points.
    if n_labels <= 30:
        assert width / 2 / n_labels > 40


def test_equal_evaluations_are_equal_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_confusion(an_evaluation(3), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_history_is_drawn_with_and_without_validation(tmp_path: Path) -> None:
    row: dict[str, float | None] = {
        "epoch": 1.0,
        "loss": 0.5,
        "accuracy": 0.8,
        "val_loss": 0.6,
        "val_accuracy": 0.7,
    }
    draw_history([row, row | {"epoch": 2.0}], tmp_path / "with.png")
    draw_history([row | {"val_loss": None, "val_accuracy": None}], tmp_path / "without.png")
    assert png_size(tmp_path / "with.png") == png_size(tmp_path / "without.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


def test_the_report_holds_the_card_the_pictures_settings_and_versions(small_run: Run) -> None:
    text = (small_run.path / "report.html").read_text("utf-8")
    evaluation, record = small_run.evaluation, small_run.record
    assert isinstance(evaluation, Evaluation)
    assert f"{100 * evaluation.accuracy.value:.2f}%" in text
    assert str(evaluation.macro_f1) in text
    assert record.data.fingerprint in text
    assert "1st model of its folder measured on these data" in text
    for name, version in record.versions.items():
        assert f"<td>{name}</td><td>{version}</td>" in text
    for name in record.config:
        assert f"<td>{name}</td>" in text
    embedded = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert [base64.b64decode(picture) for picture in embedded] == [
        (small_run.path / name).read_bytes() for name in ("confusion_matrix.png", "history.png")
    ]


def test_the_report_asks_for_nothing_outside_itself(small_run: Run) -> None:
    text = (small_run.path / "report.html").read_text("utf-8")
    without_pictures = re.sub(r'src="data:[^"]+"', "", text)
    assert not re.search(r"https?:|src=|href=|@import|url\(", without_pictures)


def test_labels_cannot_write_html(small_run: Run, tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "b"]
    run = Run(tmp_path, small_run.record)
    content = an_evaluation(2, names).model_dump_json()
    (tmp_path / "evaluation.json").write_text(content)
    for name in ("confusion_matrix.png", "history.png"):
        (tmp_path / name).write_bytes((small_run.path / name).read_bytes())
    write_report(run)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_there_is_no_report_without_an_evaluation(small_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no evaluation\.json"):
        write_report(Run(tmp_path, small_run.record))
