"""`--group`: the rows of a group stay together, and intervals are about further groups."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Dataset, Evaluation
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.settings import Reading, Settings, checked
from tenfold.data.audit import audit_data
from tenfold.data.split import assign_folds, hold_out, split
from tenfold.learners.choice import parts_by_answer, validation_parts
from tenfold.learners.job import Examples


def patients(n: int = 40, each: int = 6, seed: int = 0) -> pd.DataFrame:
    """Each patient has a label and a level of their own, and rows near to it."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), each)
    level = rng.normal(size=n)
    frame = pd.DataFrame({"patient": [f"p{i}" for i in who]})
    frame["a"], frame["b"] = level[who] + rng.normal(0, 0.05, len(who)), rng.normal(size=len(who))
    frame["ill"] = np.where((level + rng.normal(0, 0.7, n))[who] > 0, "yes", "no")
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def loaded(frame: pd.DataFrame) -> Dataset:
    return tenfold.load(frame, reading=Reading(target="ill", group="patient"))


def test_the_rows_of_a_group_stay_on_one_side() -> None:
    frame = patients()
    data = loaded(frame)
    assert data.info is not None
    assert data.groups is not None and len(np.unique(data.groups)) == 40
    assert [column.name for column in data.info.input.columns] == ["a", "b"]
    who = frame["patient"].to_numpy()
    for seed in range(5):
        parts = split(data, seed=seed, validation_size=0.15)
        names = [set(who[rows]) for rows in (parts.train, parts.validation, parts.test)]
        assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]
        assert sum(map(len, names)) == 40
        assert len(parts.test) == 60 and len(parts.validation) in (24, 30)
        share = (data.y[parts.test] == 1).mean() - (data.y == 1).mean()
        assert abs(share) < 0.06
    fold_of = assign_folds(data, np.arange(len(data)), 5, 0)
    assert all(len(set(fold_of[who == one])) == 1 for one in set(who))


def test_few_large_groups_leave_no_part_empty() -> None:
    data = loaded(patients(5, 50))
    assert data.groups is not None
    parts = split(data, validation_size=0.15)
    assert [len(rows) for rows in (parts.train, parts.validation, parts.test)] == [150, 50, 50]
    kept, held = hold_out(data, np.flatnonzero(data.groups == 0), 0.5, 0)
    assert len(kept) == 50 and not len(held)


def test_a_row_without_a_group_is_one_by_itself() -> None:
    frame = patients(8, 5)
    frame.loc[[3, 7, 11], "patient"] = None
    data = loaded(frame)
    assert data.groups is not None
    assert sorted(np.bincount(data.groups).tolist())[:3] == [1, 1, 1]
    assert data.fingerprint != loaded(patients(8, 5)).fingerprint
    taken = data.take([3, 7, 0]).groups
    assert taken is not None and taken.tolist() == data.groups[[3, 7, 0]].tolist()


def test_parts_that_validation_rows_are_cut_into_keep_groups() -> None:
    group = np.repeat(np.arange(20), 3)
    y = np.tile([0, 1], 30)
    for part_of in (validation_parts(60, group), parts_by_answer(Settings(), y, 5, group)):
        assert all(len(set(part_of[group == one])) == 1 for one in range(20))
        assert np.bincount(part_of).tolist() == [12] * 5
    rows = Examples(np.zeros((60, 1), np.float32), y, group=group)
    assert rows.joined(rows.take(slice(3))).group is not None
    assert rows.take([0, 5]).group.tolist() == [0, 1]  # type: ignore[union-attr]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError) as error:
        loaded(patients(3, 20))
    assert error.value.code == "E246" and error.value.facts["groups"] == 3
    for other in ({"time": "a"}, {"equal_rows": "together"}):
        with pytest.raises(SettingsError) as refusal:
            checked(Reading, {"target": "ill", "group": "patient", **other})
        assert "--group" in str(refusal.value)
    with pytest.raises(DataError):
        tenfold.load(patients(), reading=Reading(target="ill", group="nobody"))


def test_a_column_that_looks_like_a_group_is_named() -> None:
    frame = patients(40, 6)

    def found(**reading: Any) -> list[str]:
        data = tenfold.load(frame, reading=Reading(target="ill", **reading))
        return [one.text for one in audit_data(data).findings if one.kind == "looks like a group"]

    named = found(columns={"patient": "category"})
    assert len(named) == 1 and named[0].startswith("patient looks like a group: 40 values")
    assert named[0].endswith("--group patient")
    assert not found(group="patient") and not found(drop=("patient",))
    frame["patient"] = frame["patient"].str[1:].astype(int)
    assert found()[0].startswith("patient looks like a group")
    frame["patient"] = np.arange(240) % 40
    assert not found()


def test_a_run_is_about_further_groups(tmp_path: Path) -> None:
    frame = patients(60, 8)
    asked: Any = {"learner": "logistic", "out": tmp_path}
    reading = Reading(target="ill", group="patient")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    run = tenfold.train(tmp_path / "rows.csv", reading=reading, folds=3, **asked)
    alone = tenfold.train(frame.drop(columns="patient"), target="ill", **asked)
    assert run.record.data.n_test == 120
    assert isinstance(run.evaluation, Evaluation) and isinstance(alone.evaluation, Evaluation)
    ends = [run.evaluation.accuracy, alone.evaluation.accuracy]
    widths = [one.high - one.low for one in ends]
    assert widths[0] > 1.5 * widths[1]
    frame.drop(columns="patient").to_csv(tmp_path / "alone.csv", index=False)
    assert tenfold.evaluate(run) == run.evaluation
    assert tenfold.evaluate(run, tmp_path / "alone.csv").n == 480
