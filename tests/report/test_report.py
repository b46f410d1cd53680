"""Pictures that can be read, and a report that needs nothing else."""

import base64
import re
import shlex
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import tenfold
from tenfold import Dataset, Evaluation, Predictions, Run
from tenfold.core.contract import Decision
from tenfold.core.errors import RunError
from tenfold.core.settings import Reading
from tenfold.core.text import in_unit, percent
from tenfold.evaluation import AnyEvaluation, RegressionEvaluation
from tenfold.report import draw_examples, write_report
from tenfold.report.charts import Chart
from tenfold.report.commands import commands
from tenfold.report.plots import confusion_chart, history_chart, precision_recall_chart
from tenfold.report.png import png_bytes
from tenfold.report.rows import layer_rows, layout, write_sheet
from tenfold.report.svg import chart_html
from tenfold.report.values import forecast_chart, predicted_vs_true_chart, residuals_chart
from tenfold.runs.csv_files import StoredAnswers, StoredLabels, StoredValues, write_answers
from tests.conftest import Few
from tests.support.answers import evaluate_labels, evaluate_values, values_of
from tests.support.errors import refused

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def png_size(chart: Chart) -> tuple[int, int]:
    """The pixels of a chart's PNG file."""
    content = png_bytes(chart)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def an_evaluation(n_labels: int, names: list[str] | None = None) -> Evaluation:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(n_labels), 5)
    p = rng.dirichlet(np.ones(n_labels), len(y))
    labels = names or [str(i) for i in range(n_labels)]
    return evaluate_labels(y, p, tuple(labels))


@pytest.mark.parametrize("n_labels", [2, 10, 26, 60])
def test_the_confusion_matrix_grows_with_its_labels(n_labels: int) -> None:
    width, height = png_size(confusion_chart(an_evaluation(n_labels)))
    assert width > 1.3 * height
    # 50 points of a cell's width hold a number of five digits at 8 points.
    if n_labels <= 30:
        assert width / 2 / n_labels > 40


def test_equal_evaluations_are_equal_pictures() -> None:
    a, b = (png_bytes(confusion_chart(an_evaluation(3))) for _ in range(2))
    assert a == b


def test_the_history_is_drawn_with_and_without_validation() -> None:
    row: dict[str, float | None] = {
        "epoch": 1.0,
        "loss": 0.5,
        "accuracy": 0.8,
        "val_loss": 0.6,
        "val_accuracy": 0.7,
    }
    validated = history_chart([row, row | {"epoch": 2.0, "val_loss": 0.5}, row | {"epoch": 3.0}])
    alone = history_chart([row | {"val_loss": None, "val_accuracy": None}])
    assert png_bytes(validated) != png_bytes(alone)
    assert "lowest validation loss: epoch 2<" in chart_html(validated)
    assert "validation" not in chart_html(alone).partition("<ul")[2]


def test_the_report_holds_the_card_settings_and_versions(small_run: Run) -> None:
    text = (small_run.path / "report.html").read_text("utf-8")
    evaluation, record = small_run.evaluation, small_run.record
    assert isinstance(evaluation, Evaluation)
    assert f'<p class="headline">{percent(evaluation.accuracy.value)}' in text
    assert f'<p class="value">{percent(evaluation.macro_f1.value)}</p>' in text
    assert record.data.fingerprint in text
    assert "the 1st model measured on these test images in this folder" in text
    for name, version in record.versions.items():
        assert f"<td>{name}</td><td>{version}</td>" in text
    for name in ("epochs", "hidden", "optimizer"):
        assert f"<td>{name}</td>" in text
    assert "<td>folds</td>" not in text, "what is off"
    for title in ("Calibration", "Accuracy if the model may say “unsure”", "Training: Loss"):
        assert f'<svg class="panel" role="img" aria-label="{title}"' in text
    sheet = re.findall(r"--sheet: url\(data:image/png;base64,([^)]+)\)", text)
    assert [base64.b64decode(part) for part in sheet] == [
        (small_run.path / "test_images.png").read_bytes()
    ]
    assert len(text) < 3_000_000
    assert "<td>hidden_1</td><td>dense</td><td>784 → 128</td><td>ReLU</td>" in text
    assert "tenfold train mnist --epochs 3</code>" in text


def test_the_report_asks_for_nothing_outside_itself(small_run: Run) -> None:
    text = (small_run.path / "report.html").read_text("utf-8")
    names = r"xmlns(:xlink)?=\"[^\"]+\"|\"http://www.w3.org/2000/svg\""
    bare = re.sub(rf'url\(data:[^)]+\)|href="data:,"|(href="|url\()#|{names}', "", text)
    found = re.search(r"https?:|src=|href=|@import|url\(|fetch\(|XMLHttp|import\(", bare)
    assert not found, bare[found.start() - 50 :][:150]


def test_labels_cannot_write_html(small_run: Run, tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "b"]
    p = np.repeat([[0.3, 0.7], [0.8, 0.2]], 5, axis=0).astype(np.float32)
    answers = Predictions(p, tuple(names))
    text = report_of(small_run, tmp_path, an_evaluation(2, names), answers, np.repeat(names, 5))
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_there_is_no_report_without_an_evaluation(small_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no evaluation\.json"):
        write_report(Run(tmp_path, small_run.record))


# Two labels


def two_labels(names: tuple[str, str] = ("ham", "spam")) -> tuple[Evaluation, Codes, Floats]:
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.2).astype(int)
    p = 1 / (1 + np.exp(1 - rng.normal(size=300) - 2 * y))
    both = np.stack([1 - p, p], axis=1)
    result = evaluate_labels(y, both, names, decision=(names[1], 0.4), data="mails")
    return result, y, both


def test_precision_and_recall_are_drawn_for_two_labels() -> None:
    _, height = png_size(precision_recall_chart(*two_labels()))
    _, other = png_size(precision_recall_chart(*two_labels(("a" * 60, "b" * 60))))
    assert height == other


def test_for_more_labels_there_is_no_precision_and_recall_to_draw() -> None:
    with refused("E702", "positive=None"):
        precision_recall_chart(an_evaluation(3), np.zeros(1, int), np.ones((1, 3)))


# Regression


def a_regression(
    n: int, target: str = "price", ratio: float = 0.3
) -> tuple[RegressionEvaluation, Floats, Floats]:
    rng = np.random.default_rng(0)
    y = 1e5 * rng.exponential(size=n)
    value = y + 1e5 * ratio * rng.normal(size=n)
    result = evaluate_values(
        y, value, low=value - 1e5, high=value + 1e5, baseline_value=y.mean(),
        baseline_kind="mean", data="houses", part="test", target=target,
    )  # fmt: skip
    return result, y, value


@pytest.mark.parametrize("n", [2, 60, 1000, 5000])
@pytest.mark.parametrize("target", ["price", "a name of a column that is far too long " * 4])
def test_few_and_many_values_are_drawn_with_any_name(n: int, target: str) -> None:
    result, y, value = a_regression(n, target)
    for chart in (
        predicted_vs_true_chart(result, y, value, value - 1e5, value + 1e5),
        residuals_chart(result, y, value),
    ):
        width, height = png_size(chart)
        assert width < 1600 and height < 900
        page = chart_html(chart)
        assert len(page) < 500_000, "cells where there are many rows"
        assert not re.search(r"e[+-]?\d|nan|inf", "".join(re.findall(r">([\d.e+,-]+)<", page)))


def test_values_that_are_all_equal_are_drawn() -> None:
    same = np.full(10, 5.0)
    result = evaluate_values(same, same, baseline_value=5, baseline_kind="mean")
    for chart in (predicted_vs_true_chart(result, same, same), residuals_chart(result, same, same)):
        assert png_bytes(chart)
        assert "nan" not in chart_html(chart)


@pytest.mark.parametrize("n", [1, 2, 30, 900])
def test_a_forecast_is_drawn_over_time(n: int) -> None:
    y = np.arange(n, dtype=float)
    labels = [f"2024-01-01T00:{i:02d}:00 and more than fits" for i in range(n)]
    band = forecast_chart(y, y + 1, y, y + 2, labels, target="degrees")
    bare = forecast_chart(y, y + 1, None, None, labels, target="degrees")
    assert png_bytes(band) != png_bytes(bare)
    assert ("prediction interval" in chart_html(band)) > ("prediction interval" in chart_html(bare))


def test_the_history_of_a_regression_has_no_accuracy_to_draw() -> None:
    names = ("accuracy", "val_loss", "val_accuracy")
    row: dict[str, float | None] = {"epoch": 1.0, "loss": 0.5} | dict.fromkeys(names)
    assert [panel.title for panel in history_chart([row]).panels] == ["Loss"]


def report_of(
    run: Run,
    folder: Path,
    evaluation: AnyEvaluation,
    answers: Predictions | Floats,
    true: Sequence[Any] | Floats,
    note: str | None = None,
) -> str:
    """The report of these answers, made in a folder with the run's model."""
    (folder / "evaluation.json").write_text(evaluation.model_dump_json())
    keys = [f"rows.csv:{i}" for i in range(len(true))]
    if isinstance(answers, Predictions):
        codes = np.array([answers.classes.index(label) for label in true])
        stored: StoredAnswers = StoredLabels.of(keys, codes, answers)
    else:
        stored = StoredValues.of(keys, np.asarray(true), values_of(answers))
    write_answers(folder / "predictions.csv", stored)
    for name in ("model.onnx", "history.csv"):
        (folder / name).write_bytes((run.path / name).read_bytes())
    write_report(Run(folder, run.record.model_copy(update={"note": note})))
    return (folder / "report.html").read_text("utf-8")


def test_the_report_of_a_regression(small_run: Run, tmp_path: Path) -> None:
    result, y, value = a_regression(200, "<b>price</b>")
    text = report_of(small_run, tmp_path, result, value, y, "3 rows <i>dropped</i>")
    assert "<strong>Better than always answering the mean" in text
    for score in (result.mae, result.rmse, result.r2):
        assert score and f'<p class="value">{in_unit(score.value, score.high)}</p>' in text
    assert result.coverage and f'<p class="value">{percent(result.coverage.value)}</p>' in text
    assert "they are 200,000 wide on average" in text
    assert "&lt;b&gt;price&lt;/b&gt;" in text
    assert "3 rows &lt;i&gt;dropped&lt;/i&gt;</p>" in text
    drawn = re.findall('<figure class="chart[^>]*><figcaption><h3>([^<]+)', text)
    assert drawn == ["Predicted against true", "Residuals", "Training"]
    worst = int(np.abs(y - value).argmax())
    rows = re.findall(r"<tr><td>(rows.csv:\d+)</td>", text)
    assert len(rows) == 20 and rows[0] == f"rows.csv:{worst}"
    assert "Each label" not in text


def test_the_report_says_when_nothing_beats_the_last_value(small_run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=200))
    result = evaluate_values(
        y[1:], y[:-1] + 0.01 * rng.normal(size=199), baseline_value=y[:-1],
        baseline_kind="last value",
    )  # fmt: skip
    text = report_of(small_run, tmp_path, result, y[:-1], y[1:])
    assert "<strong>Not shown to beat repeating the last value" in text
    assert "Answering the last value scores" in text
    assert "Inside the interval" not in text


def test_the_report_of_two_labels(small_run: Run, tmp_path: Path) -> None:
    result, y, both = two_labels(("<ham>", "<spam>"))
    answers = Predictions(
        both.astype(np.float32), result.labels, Decision(positive="<spam>", threshold=0.4)
    )
    text = report_of(small_run, tmp_path, result, answers, [result.labels[code] for code in y])
    assert result.of_positive and result.precision_at_recall
    for score in (result.average_precision, result.precision_at_recall.precision):
        assert score and f'<p class="value">{percent(score.value)}</p>' in text
    assert "“&lt;spam&gt;” is predicted where its probability is 40.0% or more." in text
    assert "<spam>" not in text
    assert '<svg class="panel" role="img" aria-label="Precision and recall"' in text
    sure = [[0.9, 0.1], [0.8, 0.2]]
    nobody = evaluate_labels([0, 0], sure, ("ham", "spam"))
    answers = Predictions(np.array(sure, np.float32), nobody.labels)
    assert "Average precision" not in report_of(
        small_run, tmp_path, nobody, answers, ["ham", "ham"]
    )


# The sheet of test images, and what the end of a report says


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_sheet_holds_the_images_in_its_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 2, (130, *shape[:2])).astype(np.uint8) * 255
    images = levels if len(shape) == 2 else np.repeat(levels[..., None], 3, axis=3)
    order = rng.permutation(130)
    write_sheet(tmp_path / "sheet.png", images, order)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape == (10, 700)
    for place in (0, 1, 99, 100, 129):
        top, left = 5 * (place // 100), 7 * (place % 100)
        assert (sheet[top : top + 5, left : left + 7] == levels[order[place]]).all()
    assert not sheet[5:, 7 * 30 :].any(), "nothing after the last"


def test_a_sheet_has_bounds() -> None:
    assert layout(10_000, (28, 28)) == (28, 28, 10_000, 100)
    assert layout(1_000_000, (28, 28)).n == 15_306
    assert layout(1_000, (400, 300, 3)) == (112, 84, 425, 100)
    assert layout(5, (16_384, 16_384)) == (112, 112, 5, 5), "no empty sheet, no empty columns"
    assert layout(5, (1, 9_000)) == (1, 112, 5, 5)


@pytest.mark.parametrize("shape", [(400, 300), (400, 300, 3)])
def test_large_images_are_shrunk_on_a_sheet(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.zeros((3, *shape), np.uint8)
    images[1, :200] = 255
    write_sheet(tmp_path / "sheet.png", images, np.array([1, 0, 2]))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape == (112, 3 * 84)
    assert (sheet[:56, :84] > 250).all() and not sheet[56:].any() and not sheet[:, 84:].any()


def test_a_report_says_how_to_make_the_run_again(small_run: Run, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "hidden": [64, 32], "learning_rate": 0.01, "robustness": True,
        "cost": {"false_negative": 10.0}, "class_weights": "balanced",
    }  # fmt: skip
    reading = Reading(
        target="my price", columns={"a": "text"}, separator="\t", header=False, time="day", lags=3
    )
    data = small_run.record.data.model_copy(update={"source": "/home/me/rows 1.csv"})
    record = small_run.record.model_copy(update={"asked": asked, "data": data, "learner": "cnn"})
    run = Run(small_run.path, record)
    again = commands(run)[-1][1]
    assert again == (
        "tenfold train 'rows 1.csv' --learner cnn --hidden 64,32 --learning-rate 0.01 --robustness"
        " --cost false_negative=10 --class-weights balanced"
    )
    data.reading = reading
    assert commands(run)[-1][1].endswith(
        "--target 'my price' --column a=text --no-header --separator tab --time day --lags 3"
    )
    record.asked = {"shift_px": 0}
    assert commands(run)[-1][1] == (
        "tenfold.train('rows 1.csv', learner='cnn', recipe='default', shift_px=0)"
    )


def test_what_the_audit_found_stands_on_the_first_screen(few: Few, tmp_path: Path) -> None:
    data = few(300, 0)
    doubled = Dataset(
        data.name, np.concatenate([data.images, data.images[:30]]), np.r_[data.y, data.y[:30]],
        data.labels, [f"rows:{i}" for i in range(330)], np.arange(300, 330),
    )  # fmt: skip
    run = tenfold.train(doubled, learner="bayes", out=tmp_path)
    text = (run.path / "report.html").read_text("utf-8")
    assert 'class="card notice grave"' in text
    finding = text.index("30 of 30 test examples (100%) are in both")
    assert finding < text.index('<section id="mistakes"')


def test_the_layers_are_those_of_the_network_alone(small_run: Run) -> None:
    rows = layer_rows((small_run.path / "model.onnx").read_bytes())
    assert [(row.name, row.activation) for row in rows] == [
        ("hidden_1", "ReLU"), ("output", "softmax"),
    ]  # fmt: skip
    assert sum(row.parameters for row in rows) == small_run.record.parameters


def test_commands_of_a_folder_with_a_blank_in_its_name(small_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "my run's"
    shutil.copytree(small_run.path, path)
    words, plain = dict(commands(Run.open(path))), f"{tmp_path.name}/my run's"
    assert words["In Python"] == f"tenfold.open({plain!r}).model.predict(...)"
    assert shlex.split(words["Check that nothing was changed"]) == ["tenfold", "verify", plain]


def test_examples_in_colour_are_drawn(tmp_path: Path) -> None:
    x = np.zeros((6, 20, 20, 3), np.uint8)
    x[..., 0] = 255
    data = Dataset("reds", x, np.arange(6) % 2, ("a", "b"), [str(i) for i in range(6)])
    draw_examples(data, tmp_path / "x.png")
    pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).reshape(-1, 3)
    assert (pixels == (255, 0, 0)).all(axis=1).mean() > 0.05


@pytest.mark.parametrize("name", ["audit.json", "robustness.json", "columns.json"])
def test_a_damaged_part_of_a_run_is_named(small_run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / "run"
    shutil.copytree(small_run.path, path)
    (path / name).write_text('{"format": 2}')
    with pytest.raises(RunError, match=rf"^{name} is damaged: problem=.*{name}"):
        write_report(Run.open(path))
