"""Results of `make bench-accuracy` count for the code and the settings that made them."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench import accuracy

from tenfold.core.settings import resolve

CASE = accuracy.CASES[0]


def result(**others: Any) -> dict[str, Any]:
    return {
        "accuracy": 0.988, "validation": 0.987, "calibration_error": 0.003,
        "calibration_error_before": 0.06, "parameters": 101_770, "seconds": {"train": 4.0},
        "cores": 2, "peak_mb": 800.0, "sources": accuracy.sources(CASE.learner),
        "config": resolve({"learner": CASE.learner, "recipe": CASE.recipe, "seed": 0}).model_dump(
            mode="json"
        ),
    } | others  # fmt: skip


def test_where_a_module_lies_does_not_count_as_code() -> None:
    one = "from tenfold.core.errors import message\n\ndef f(x):\n    return message(x)\n"
    moved = one.replace("core.errors", "core.words")
    assert accuracy._bare(one) == accuracy._bare(moved)
    assert accuracy._bare("import jax") != accuracy._bare("import keras")


def test_comments_do_not_count_as_code_and_numbers_do() -> None:
    one = '"""Says."""\n\ndef f(x):\n    """Doubles."""\n    # why\n    return 2 * x\n'
    assert accuracy._bare(one) == accuracy._bare("def f( x ):\n  return 2*x  # twice\n")
    assert accuracy._bare(one) != accuracy._bare("def f(x):\n    return 3 * x\n")


def test_a_result_of_other_settings_does_not_count_and_one_of_other_code_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    assert accuracy._result(CASE, 0) is None
    path = tmp_path / "mnist-network-default-0.json"
    path.write_text(json.dumps(result()), "utf-8")
    assert accuracy._result(CASE, 0) == result() and accuracy._is_current(result())
    assert "| mnist | `network` default | 1 |" in "\n".join(accuracy._page())
    path.write_text(json.dumps(result(sources="other")), "utf-8")
    assert not accuracy._is_current(result(sources="other"))
    assert "| mnist | `network` default † | 1 |" in "\n".join(accuracy._page())
    path.write_text(json.dumps(result(config="other")), "utf-8")
    assert accuracy._result(CASE, 0) is None


@pytest.mark.parametrize(
    ("others", "n", "said"),
    [
        ({}, 3, ["met", "met", "met"]),
        ({}, 2, ["fewer than 3 seeds"] * 3),
        ({"accuracy": 0.9869}, 3, ["missed", "met", "met"]),
        ({"seconds": {"train": 6.1}}, 3, ["met", "missed", "met"]),
        ({"calibration_error": 0.005}, 3, ["met", "met", "missed"]),
        ({"cores": 8}, 3, ["met", "not measured on two cores", "met"]),
        ({"others": 0.05}, 3, ["met", "met", "met"]),
        ({"others": 0.5}, 3, ["met", "measured on a busy machine", "met"]),
    ],
)
def test_a_bar_is_met_or_missed_by_the_mean_of_three_seeds(
    others: dict[str, Any], n: int, said: list[str]
) -> None:
    assert accuracy._bars(CASE, [result(**others)] * n).split(" | ")[1::2] == said


def test_seconds_on_a_busy_machine_do_not_count() -> None:
    idle, busy = result(others=0.02), result(others=0.4, seconds={"train": 90.0})
    assert accuracy._seconds([idle, busy]) == 4.0
    assert accuracy._seconds([busy]) is None and "| busy |" in accuracy._row([busy])
