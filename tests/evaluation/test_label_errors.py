"""Suspected wrong labels: found where they were made, and never by a model that saw them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Dataset
from tenfold.build import table_plan
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.progress import Listener
from tenfold.core.settings import resolve
from tenfold.evaluation.label_errors import find_label_errors, out_of_fold
from tests.support.errors import refused

Few = Callable[..., Dataset]


def swapped(data: Dataset, n_swapped: int, seed: int) -> tuple[Dataset, set[int]]:
    """The dataset with that many labels of training rows changed, and which."""
    rng = np.random.default_rng(seed)
    train = np.setdiff1d(np.arange(len(data)), data.test_rows)
    rows = rng.choice(train, n_swapped, replace=False)
    y = data.y.copy()
    y[rows] = (y[rows] + rng.integers(1, 10, n_swapped)) % 10
    return Dataset("swapped", data.x, y, data.labels, data.keys, data.test_rows), set(rows.tolist())


def test_swapped_labels_come_first_and_progress_is_told(few: Few) -> None:
    data, wrong = swapped(few(2400, 100), 10, seed=0)
    done: list[tuple[int, int]] = []

    class Notes(Listener):
        def progress(self, n: int, total: int) -> None:
            done.append((n, total))

    suspects = find_label_errors(data, folds=2, listener=Notes())
    assert done == [(n, 40) for n in range(1, 41)], "the default's 20 epochs in each fold"
    assert len(wrong & {suspect.row for suspect in suspects[:20]}) >= 8
    assert all(suspect.row < 2400 for suspect in suspects), "test rows stay sealed"
    confidences = [suspect.confidence for suspect in suspects]
    assert confidences == sorted(confidences)
    for suspect in suspects:
        assert suspect.label == data.labels[data.y[suspect.row]] != suspect.likely


def test_copies_are_answered_by_models_that_saw_none_of_them(few: Few) -> None:
    # Twice the same rows, with the same wrong labels: a copy in the fit would confirm them.
    once = few(1200, 0)
    data, wrong = swapped(once, 10, seed=1)
    twice = data.take(np.r_[:1200, :1200])
    suspects = {suspect.row % 1200 for suspect in find_label_errors(twice, folds=2)[:60]}
    assert len(wrong & suspects) >= 7


def test_folds_and_seeds_that_cannot_be_are_refused(few: Few) -> None:
    data = few(4, 0)
    for folds in (1, 5):
        with pytest.raises(DataError, match=f"folds={folds} .*Expected 2 to 4, the number of dis"):
            out_of_fold(data, np.arange(4), resolve({"validation_size": 0.0}), folds)
    with pytest.raises(SettingsError, match="seed must be 0 or more, not -1"):
        find_label_errors(few(20, 0), seed=-1)


@pytest.mark.parametrize("learner", ["auto", "boosting"])
def test_another_learner_looks_at_a_table(learner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: table_plan.COSTS[name] for name in ("baseline", "logistic")}
    monkeypatch.setattr(table_plan, "COSTS", few)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    frame["t"] = np.where((frame["a"] > 0) ^ (np.arange(200) < 4), "up", "down")
    done: list[tuple[int, int]] = []

    class Notes(Listener):
        def progress(self, n: int, total: int) -> None:
            done.append((n, total))

    suspects = find_label_errors(
        tenfold.load(frame, target="t"), learner=learner, folds=2, listener=Notes()
    )
    assert len({suspect.row for suspect in suspects[:8]} & set(range(4))) >= 3
    assert done == [(1, 2), (2, 2)]


def test_a_learner_that_cannot_learn_these_labels_is_refused(few: Few) -> None:
    for learner, code in (("linear", "E626"), ("auto", "E636"), ("nothing", "E100")):
        with refused(code):
            find_label_errors(few(20, 0), learner=learner)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_80_of_100_swapped_labels_of_mnist_are_among_the_first_150(
    mnist: Dataset, seed: int
) -> None:
    data, wrong = swapped(mnist, 100, seed)
    suspects = find_label_errors(data, seed=seed)
    assert len(wrong & {suspect.row for suspect in suspects[:150]}) >= 80


def test_numbers_have_no_labels_to_suspect() -> None:
    frame = pd.DataFrame({"x": np.arange(60) / 7, "t": np.arange(60) * 1.5})
    with refused("E621"):
        find_label_errors(tenfold.load(frame, target="t"))
