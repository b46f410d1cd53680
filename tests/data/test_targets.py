"""The target of a table: one label however it is written, and numbers as they were meant."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold.core.contract import TableInput
from tenfold.core.errors import DataError
from tenfold.core.settings import Reading
from tenfold.data.audit import audit_data
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import table_dataset
from tenfold.inputs.tables.cells import Cells
from tenfold.inputs.tables.texts import Texts
from tenfold.model.answer_forms import answer_files, as_json, csv_head, csv_row
from tests.support.errors import refused


def dataset(answers: list[str], **reading: Any) -> Dataset:
    x = [f"{i}.5" for i in range(len(answers))]
    cells = Cells("t.csv", {"x": Texts.of(x), "y": Texts.of(answers)}, True)
    return table_dataset(cells, Reading(target="y", **reading))


def notes_of(data: Dataset) -> tuple[str, ...]:
    assert data.info is not None
    return data.info.notes


def test_one_label_in_several_spellings_is_one_and_said() -> None:
    data = dataset(["Yes", "yes", "Yes", "YES", "No", "no", "No", "ye\u200bs"] * 5)
    assert data.labels == ("No", "Yes")
    assert data.y.tolist() == [1, 1, 1, 1, 0, 0, 0, 1] * 5
    assert notes_of(data) == (
        "y: 'no' read as 'No'; --column 'y=category' keeps them apart",
        "y: 'YES', 'yes', 'ye\\u200bs' read as 'Yes'; --column 'y=category' keeps them apart",
    )
    kept = dataset(["Yes", "yes", "No"] * 10, columns={"y": "category"})
    assert kept.labels == ("No", "Yes", "yes")


def test_short_labels_that_differ_in_case_stay_apart_and_are_named() -> None:
    data = dataset(["m", "M", "CO", "Co"] * 10)
    assert data.labels == ("CO", "Co", "M", "m")
    assert notes_of(data) == ("y: labels that differ in case alone: CO and Co, M and m",)


def test_the_model_s_label_is_found_in_another_spelling() -> None:
    data = dataset(["Spam", "Ham"] * 20)
    run = tenfold.train(data, learner="baseline")
    x = [f"{i}.5" for i in range(40)]
    frame = pd.DataFrame({"x": x, "y": ["SPAM", "ham"] * 20})
    again = tenfold.load(frame, like=run.model.contract)
    assert again.labels == ("Ham", "Spam") and again.y.tolist() == [1, 0] * 20


def test_a_target_with_a_decimal_comma_is_read_so_when_asked_again() -> None:
    cells = ["2.175", "1.218,42", "547", "88"] * 10
    data = dataset(cells)
    np.testing.assert_array_equal(data.y[:4], [2175, 1218.42, 547, 88])
    assert isinstance(data.input, TableInput) and data.input.target_decimal == ","
    point = dataset(["1.562", "2.304"] * 20 + ["3.125"] * 5, columns={"y": "number:."})
    assert point.y[0] == 1.562


def test_a_target_that_is_mostly_numbers_is_no_label() -> None:
    with pytest.raises(
        DataError, match="The target contains values that are not numbers.*value='n.d.'"
    ):
        dataset([f"{i}.5" for i in range(40)] + ["n.d."])


def test_a_target_is_no_date() -> None:
    with pytest.raises(DataError, match="The target cannot be of this kind.*kind='date'"):
        dataset(["1", "2"] * 10, columns={"y": "date"})


def test_a_quantity_is_no_label() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=400), "y": rng.integers(25, 350, 400)})
    asked = Reading(target="y", task="classification")
    with refused("E244", "column='y', n_labels="):
        tenfold.load(frame, reading=asked)
    assert len(tenfold.load(frame, reading=Reading(target="y")).labels) == 0
    categories = asked.model_copy(update={"columns": {"y": "category"}})
    frame["y"] = np.repeat(np.arange(200), 2)
    assert len(tenfold.load(frame, reading=categories).labels) == 200
    # Few numbers, and numbers that repeat, are labels.
    frame["y"] = np.arange(400) % 40
    assert len(tenfold.load(frame, reading=asked).labels) == 40


def test_what_was_asked_for_is_no_finding() -> None:
    frame = pd.DataFrame(
        {
            "alive": ["yes", "no"] * 30,
            "row": range(60),
            "a": np.arange(60) % 7,
            "y": ["p", "q"] * 30,
        }
    )
    asked = Reading(target="y", drop=("alive",))
    findings = audit_data(tenfold.load(frame, reading=asked)).findings
    told = {finding.kind: finding.text for finding in findings}
    assert "alive" not in told["identifier"] and "row" in told["identifier"]
    assert any("as you asked: alive" in finding.text for finding in findings)


def test_a_label_called_none_can_be_kept() -> None:
    answers = ["None", "Apnea", "Insomnia", "None"] * 20
    frame = pd.DataFrame({"x": np.arange(80) % 9, "y": answers})
    dropped = tenfold.load(frame, target="y")
    assert dropped.labels == ("Apnea", "Insomnia")
    assert {"40 rows without y dropped", "None means a missing y; --na-values '' keeps it"} <= {
        *notes_of(dropped)
    }
    for texts in (("",), ("NA", "?")):
        kept = tenfold.load(frame, reading=Reading(target="y", na_values=texts))
        assert kept.labels == ("Apnea", "Insomnia", "None")
        assert len(kept) == 80
    assert tenfold.load(frame, target="y").labels == dropped.labels  # nothing stays behind


def test_other_texts_mean_a_missing_cell_in_training_and_answers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": ["1", "2", "gone", "NA"] * 20, "y": ["p", "q", "p", "q"] * 20})
    asked = Reading(target="y", na_values=("gone",), columns={"x": "category"})
    run = tenfold.train(frame, learner="bayes", reading=asked, out=tmp_path)
    accepted = run.model.contract.input
    assert isinstance(accepted, TableInput) and accepted.na_values == ("gone",)
    assert set(accepted.columns[0].levels) == {"", "1", "2", "NA"}
    known, gone, empty = run.model.predict([{"x": "NA"}, {"x": "gone"}, {"x": ""}])
    assert known != gone and gone.as_json() == empty.as_json()


def test_an_id_stands_beside_the_answers_and_is_not_learned_from(tmp_path: Path) -> None:
    n = 60
    frame = pd.DataFrame(
        {"ticket": [f"T{i}" for i in range(n)], "x": np.arange(n) % 7, "y": np.arange(n) % 2}
    )
    run = tenfold.train(
        frame, learner="bayes", reading=Reading(target="y", id="ticket"), out=tmp_path
    )
    accepted = run.model.contract.input
    assert isinstance(accepted, TableInput)
    assert (accepted.id, accepted.names) == ("ticket", ("x",))
    tested = pd.read_csv(run.path / "predictions.csv")
    assert set(tested.iloc[:, 0]) <= set(frame["ticket"])
    answers = run.model.predict(frame[:3])
    assert answers.ids == ("T0", "T1", "T2") and answers.notes == ()
    assert answers[1:].ids == ("T1", "T2")
    frame[:3].to_csv(tmp_path / "new.csv", index=False)
    answered = list(answer_files(run.model, [tmp_path / "new.csv"]))
    assert csv_head(run.model, answered[0])[-1] == "ticket"
    assert [csv_row(answer, run.model)[-1] for answer in answered] == ["T0", "T1", "T2"]
    assert as_json(answered[0])["id"] == "T0"
    without = run.model.predict(frame[["x"]][:3])
    assert without.ids == ()
    twice = frame.assign(ticket=["A"] * 2 + [f"T{i}" for i in range(n - 2)])
    keys = tenfold.load(twice, reading=Reading(target="y", id="ticket")).keys
    assert keys[:3] == ["A (table:0)", "A (table:1)", "T0"]
