"""What is measured of prediction sets, and what is said where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from tenfold.core.contract import PredictionSets
from tenfold.evaluation.prediction_sets import SetScores
from tenfold.model.predictions import Predictions
from tests.support.answers import labels_of
from tests.support.errors import refused

IN_SET = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 1]], bool)
TRUE = np.array([0, 1, 2, 2, 1])


def scores(rows: tuple[int, ...], in_set: np.ndarray | None = IN_SET) -> SetScores:
    return SetScores.of(TRUE, in_set, PredictionSets(calibration_rows=rows), ("a", "b", "c"))


def test_coverage_and_sizes_are_counted() -> None:
    found = scores((40, 19, 700))
    assert found.coverage and found.single and found.empty
    assert (found.coverage.value, found.mean_size) == (0.6, 1.4)
    assert (found.single.value, found.empty.value) == (0.2, 0.2)
    assert [one.coverage and one.coverage.value for one in found.per_class] == [1, 0.5, 0.5]
    assert [(one.label, one.n) for one in found.per_class] == [("a", 1), ("b", 2), ("c", 2)]
    assert found.limit is None
    text = "\n".join(found.lines())
    assert "60.0% [23.1%, 88.2%] hold the label, made for 95% of each label" in text
    assert "least covered      'b': 50.0%" in text
    assert "1.40 labels on average, one in 20.0% of the rows, none in 20.0%" in text


def test_a_label_with_18_rows_has_no_set_of_its_own_and_that_is_said() -> None:
    found = scores((40, 18, 700))
    assert found.limit == (
        "Every set contains 'b' (18), because 95% coverage needs 19 calibration rows of a label."
    )
    assert "least covered      'c'" in "\n".join(found.lines())


def test_no_sets_are_no_scores() -> None:
    found = scores((5, 18, 0), None)
    assert (found.coverage, found.mean_size, found.single, found.empty) == (None,) * 4
    assert [one.coverage for one in found.per_class] == [None] * 3
    assert list(found.lines()) == []
    assert found.limit and found.limit.startswith("There are no prediction sets, because 95%")


def test_rows_of_groups_are_fewer() -> None:
    y, in_set = np.zeros(40, np.int64), np.ones((40, 2), bool)
    in_set[:10, 0] = False
    promise, groups = PredictionSets(calibration_rows=(40, 40)), np.arange(40) // 10
    alone, together = (
        SetScores.of(y, in_set, promise, ("a", "b"), some).coverage for some in (None, groups)
    )
    assert alone and together and together.high - together.low > alone.high - alone.low


def test_answers_have_their_sets_most_probable_first() -> None:
    given = labels_of([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]], ("a", "b", "c"))
    in_set = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    answers = Predictions(given.probabilities, given.classes, in_set=in_set)
    assert [one.prediction_set for one in answers] == [("b", "c"), ("c",), ()]
    assert [one.as_text() for one in answers] == [
        "b  50.0%  could also be c",
        "c  80.0%",
        "a  40.0%  less sure than usual",
    ]
    other = replace(answers[1], in_set=np.array([True, True, False]))
    assert other.as_text() == "c  80.0%  could be a or b instead"
    assert answers[0].as_json()["prediction_set"] == ["b", "c"]
    assert [one.as_cells()[-1] for one in answers] == ["b,c", "c", ""]
    assert answers[1:][0].prediction_set == ("c",)
    assert given[0].prediction_set is None and "prediction_set" not in given[0].as_json()
    assert len(given[0].as_cells()) == len(answers[0].as_cells()) - 1


def test_long_sets_are_cut_in_a_line_and_whole_elsewhere() -> None:
    names = tuple(f"label {i}" for i in range(9))
    p, every = np.full((1, 9), 1 / 9, np.float32), np.ones((1, 9), bool)
    answer = Predictions(p, names, in_set=every)[0]
    assert answer.as_text().endswith(
        "could also be label 1 or label 2 or label 3 or label 4 or label 5 and 3 more"
    )
    assert answer.prediction_set == names


def test_a_contract_has_rows_of_each_label() -> None:
    assert PredictionSets(calibration_rows=(19, 0)).are_given
    assert not PredictionSets(calibration_rows=(18, 18)).are_given
    with pytest.raises(ValueError, match="coverage"):
        PredictionSets(coverage=1.0, calibration_rows=(1,))
    with refused("E104", "coverage=0.0"):
        from tenfold.core.conformal import set_thresholds

        set_thresholds([[1.0, 0.0]], [0], coverage=0.0)
