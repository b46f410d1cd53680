"""What may be mailed: the report without rows, the summary, and the card of the model."""

import json
import re
import shutil
from pathlib import Path

import tenfold
from tenfold import Run
from tenfold.report import write_brief, write_report
from tenfold.report.brief import model_card


def test_a_report_without_rows_holds_none(small_run: Run, tmp_path: Path) -> None:
    shutil.copytree(small_run.path, tmp_path / "run")
    run = tenfold.open(tmp_path / "run")
    assert isinstance(run, Run)
    with_rows = (run.path / "report.html").read_text("utf-8")
    n = run.record.data.n_test + len(run.model.labels)
    assert f"This file contains {n:,} images of your data" in with_rows
    write_report(run, with_rows=False)
    text = (run.path / "report.html").read_text("utf-8")
    assert "This file contains no images of your data." in text
    assert "data:image/png" not in text and "idx3-ubyte:" not in text
    rows = re.findall(r'id="rows-data">(.*?)</script>', text)
    assert all(json.loads(row)["keys"] == [] for row in rows)
    living = re.findall(r'id="living-data">(.*?)</script>', text)
    assert [json.loads(one)["examples"] for one in living] == [[]]


def test_a_summary_and_a_card_hold_the_scores_and_no_row(small_run: Run, tmp_path: Path) -> None:
    shutil.copytree(small_run.path, tmp_path / "run")
    run = tenfold.open(tmp_path / "run")
    assert isinstance(run, Run)
    page, words = write_brief(run)
    assert {page.name, words.name} == {"run-summary.html", "run-summary.md"}
    card = (small_run.path / "MODEL_CARD.md").read_text("utf-8")
    accuracy = run.evaluation.score
    for text in (page.read_text("utf-8"), words.read_text("utf-8"), card):
        assert "Which digit is this?" in text and f"{100 * accuracy.value:.1f}%" in text
        assert "idx3-ubyte" not in text and "<script" not in text and "data:image" not in text
    front = card.split("---")[1]
    assert "pipeline_tag: image-classification" in front
    assert f"value: {accuracy.value:.6g}" in front


def test_names_cannot_write_markdown(small_run: Run) -> None:
    card = model_card(small_run)
    assert card.count("\n# ") == 1 and card.startswith("---\nlibrary_name: onnx\n")
