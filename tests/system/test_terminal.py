"""The scores as they are printed."""

import numpy as np
import pytest

from tenfold.cli.card import print_scores
from tests.support.answers import evaluate_labels, evaluate_values


def test_scores_of_a_regression(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    y = 1e5 * rng.exponential(size=200)
    value = y + 2e4 * rng.normal(size=200)
    result = evaluate_values(
        y, value, low=value - 4e4, high=value + 4e4, baseline_value=y.mean(),
        baseline_kind="mean", data="houses", part="test", target="price",
    )  # fmt: skip
    print_scores(result)
    assert capsys.readouterr().out.splitlines() == [
        f"RMSE               {result.rmse.in_unit}",
        "measured on        200 test rows of houses, 95% intervals",
        f"baseline           RMSE {result.baseline.rmse.in_unit} (mean)",
        f"verdict            {result.verdict}",
        "",
        "target             price",
        f"MAE                {result.mae.in_unit}",
        f"R2                 {result.r2}",
        f"inside interval    {result.coverage and result.coverage.in_percent}, mean width 80,000",
    ]


def test_what_a_regression_does_not_have_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores(evaluate_values([1, 1], [1, 2], baseline_value=1, baseline_kind="last value"))
    printed = capsys.readouterr().out
    assert "R2                 none: all true values are equal" in printed
    assert "inside interval" not in printed
    assert "Not shown to beat repeating the last value" in printed  # two rows show nothing


def test_scores_of_two_labels(capsys: pytest.CaptureFixture[str]) -> None:
    y = np.array([0] * 8 + [1] * 2)
    p = np.array([0.1] * 6 + [0.6, 0.3, 0.4, 0.9])
    result = evaluate_labels(
        y, np.stack([1 - p, p], axis=1), ("ham", "spam"), decision=("spam", 0.35),
        data="mails", part="test",
    )  # fmt: skip
    print_scores(result)
    one, at = result.of_positive, result.precision_at_recall
    assert one and at
    lines = capsys.readouterr().out.splitlines()
    assert one.f1 and one.precision and one.recall and result.average_precision
    assert lines[:5] == [
        f"accuracy           {result.accuracy.in_percent}",
        "measured on        10 test rows of mails, 95% intervals",
        "baseline           80.0% [49.0%, 94.3%] (always 'ham')",
        f"verdict            {result.verdict}",
        "",
    ]
    assert lines[8:16] == [
        "positive label     'spam', 2 of 10 rows",
        f"F1 of it           {one.f1.in_percent}",
        f"precision          {one.precision.in_percent}",
        f"recall             {one.recall.in_percent}",
        f"average precision  {result.average_precision.in_percent} (chance 20.0%)",
        f"precision          {at.precision.in_percent} at recall 80%, at the threshold 0.4",
        "threshold          'spam' if its probability is at least 0.35",
        "",
    ]
    assert lines[16:] == [
        "most confused      ham predicted as spam: 1", "true   ham spam  predicted",
        " ham     7    1", "spam     ·    2",
    ]  # fmt: skip


def test_a_verdict_is_printed_only_when_the_baseline_is_not_beaten(
    capsys: pytest.CaptureFixture[str],
) -> None:
    y = np.arange(60) % 3
    print_scores(evaluate_labels(y, np.eye(3)[y], ("a", "b", "c")))
    assert "verdict" not in capsys.readouterr().out
    print_scores(evaluate_labels(y, np.eye(3)[0 * y], ("a", "b", "c")))
    printed = capsys.readouterr().out
    assert (
        "verdict            Not shown to be right more often than always answering 'a'" in printed
    )
    assert "positive label" not in printed


def test_of_a_positive_label_that_never_occurs_no_number_is_made_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_scores(evaluate_labels([0, 0], [[0.9, 0.1], [0.8, 0.2]], ("ham", "spam")))
    printed = capsys.readouterr().out
    assert "positive label     'spam', 0 of 2 rows" in printed
    assert "F1 of it           none: no rows" in printed
    assert "precision          none: never predicted" in printed
    assert "recall             none: no rows" in printed
    assert "average precision" not in printed
