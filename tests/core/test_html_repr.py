"""Runs, scores and answers as a notebook shows them: whole, escaped, never too long."""

import re

import numpy as np
import pytest

from tenfold import Evaluation, Prediction, Predictions, Run
from tenfold.core import html_repr
from tenfold.model.predictions import Values
from tests.support.answers import evaluate_labels, evaluate_values


def test_a_run_shows_its_state_and_its_scores(small_run: Run) -> None:
    text = small_run._repr_html_()
    assert isinstance(small_run.evaluation, Evaluation)
    assert str(small_run.evaluation.accuracy) in text and "finished" in text
    assert text.count("<table>") == text.count("</table>") == 2


def test_predictions_show_what_was_seen(small_run: Run) -> None:
    images = np.zeros((30, 28, 28), np.uint8)
    images[:, 4:24, 13:15] = 255
    found = small_run.model.predict(images)
    assert isinstance(found, Predictions)
    text = found._repr_html_()
    assert text.count("<img") == html_repr.MAX_SHOWN and "and 10 more" in text
    one = found[0]
    assert isinstance(one, Prediction)
    html = one._repr_html_()
    assert html.count("<img") == 1 and html.count("<tr>") == 10
    assert f"<strong>{one.label}, {one.confidence:.1%}</strong>" in html


def test_values_and_regressions_show_their_intervals() -> None:
    three = np.arange(3, dtype=np.float32)
    text = Values(three, three - 1, three + 1)._repr_html_()
    assert "3 values" in text and "<td>2</td><td>1</td><td>3</td>" in text
    y = np.arange(10.0)
    found = evaluate_values(
        y, y + 0.1, low=y - 1, high=y + 1, baseline_value=4.5, baseline_kind="mean", target="<b>"
    )
    html = found._repr_html_()
    assert "&lt;b&gt;" in html and found.rmse.in_unit in html and "inside their interval" in html


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a & b"])
def test_nothing_in_a_table_is_html(name: str) -> None:
    result = evaluate_labels([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], (name, "b"))
    text = result._repr_html_() + html_repr.card(name, html_repr.table([name], [[name]]))
    assert name not in text
    assert not re.search(r"<(script|b)\b", text)
