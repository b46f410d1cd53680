"""The audit: what stands in both parts, what repeats, which labels are few."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tenfold
from tenfold import Dataset, Run
from tenfold.core.progress import Listener
from tenfold.core.records import Audit
from tenfold.core.settings import Reading
from tenfold.data.audit import audit_data
from tenfold.inputs.idx import write_idx
from tenfold.inputs.tables.columns import levels


def dataset(train: list[tuple[int, int]], test: list[tuple[int, int]]) -> Dataset:
    """A dataset of (picture, label): equal numbers are identical pictures."""
    rows = train + test
    x = np.array([divmod(picture, 256) for picture, _ in rows], np.uint8).reshape(-1, 1, 2)
    keys = [f"train:{i}" for i in range(len(train))] + [f"test:{i}" for i in range(len(test))]
    test_rows = np.arange(len(train), len(rows))
    y = np.array([label for _, label in rows])
    return Dataset("drawn", x, y, ("a", "b"), keys, test_rows)


def clean(start: int, n: int) -> list[tuple[int, int]]:
    return [(picture, picture % 2) for picture in range(start, start + n)]


def kinds(audit: Audit) -> list[str]:
    return [finding.kind for finding in audit.findings]


def test_nothing_is_found_in_mnist(mnist: Dataset) -> None:
    audit = audit_data(mnist)
    assert (audit.n_train, audit.n_test, audit.findings) == (60_000, 10_000, ())
    assert [count.train for count in audit.labels][:2] == [5923, 6742]
    assert [count.test for count in audit.labels][:2] == [980, 1135]
    assert sum(count.share for count in audit.labels) == pytest.approx(1)
    assert list(audit.lines()) == [
        "audit: 60,000 training and 10,000 test examples, 10 labels of 9.0% to 11.3%, no findings"
    ]


def test_images_in_both_parts_are_counted_and_named() -> None:
    audit = audit_data(dataset(clean(0, 60), clean(100, 38) + [(6, 0), (9, 1)]))
    (finding,) = audit.findings
    assert finding.kind == "in both parts"
    assert finding.rows == (98, 99)
    assert finding.text == (
        "2 of 40 test examples (5.0%) are in the training set, too: "
        "test:38 is train:6, test:39 is train:9"
    )
    assert "1 finding" in next(audit.lines())


def test_a_test_set_that_comes_from_the_training_set_is_called_so() -> None:
    audit = audit_data(dataset(clean(0, 60), clean(20, 30)))
    (finding,) = audit.findings
    assert finding.kind == "test set inside training set"
    assert finding.rows == tuple(range(60, 90))
    assert finding.text.startswith(
        "the test set is part of the training set: 30 of 30 test examples (100%) are in both: "
        "test:0 is train:20, "
    )
    assert finding.text.endswith(" and 25 more")
    mostly = audit_data(dataset(clean(0, 60), clean(50, 20)))
    assert "the test set is mostly part of the training set: 10 of 20" in mostly.findings[0].text


def test_repeated_images_are_counted_and_named_in_their_part() -> None:
    audit = audit_data(dataset(clean(0, 60) + [(3, 1), (3, 1)], clean(100, 40) + [(104, 0)]))
    assert kinds(audit) == ["repeated", "repeated"]
    assert audit.findings[0].rows == (102,)
    assert audit.findings[1].rows == (60, 61)
    assert audit.findings[1].text == (
        "2 of 62 training examples are duplicates of another one: train:60, train:61"
    )


def test_one_image_with_two_answers_is_named() -> None:
    audit = audit_data(dataset([*clean(0, 60), (4, 1)], []))
    assert kinds(audit) == ["repeated", "different answers"]
    assert audit.findings[1].rows == (4, 60)
    assert audit.findings[1].text == (
        "1 examples occur with different answers: train:4 is 'a', train:60 'b'"
    )


def test_labels_that_are_few_or_missing_are_named() -> None:
    few = dataset([(i, 0) for i in range(30)] + [(50 + i, 1) for i in range(19)], [])
    (finding,) = audit_data(few).findings
    assert finding.kind == "few examples"
    assert finding.text == "labels with fewer than 20 training examples: 'b' (19)"
    (finding,) = audit_data(dataset([(i, 0) for i in range(30)], [(90, 1)])).findings
    assert finding.kind == "missing label"
    assert finding.text == "labels without training examples: 'b' (test 1)"


def test_many_labels_are_not_all_listed() -> None:
    data = Dataset.from_arrays(np.arange(30, dtype=np.uint8).reshape(30, 1, 1), list(range(30)))
    (finding,) = audit_data(data).findings
    assert finding.text.endswith("'19' (1) and 10 more")


def test_official_validation_examples_are_counted_by_themselves() -> None:
    rows = clean(0, 60) + [(900, 0)] + clean(100, 30)
    data = replace(dataset(rows[:-10], rows[-10:]), validation_rows=np.arange(60, 81))
    audit = audit_data(data)
    assert (audit.n_train, audit.n_validation, audit.n_test) == (60, 21, 10)
    assert [(count.train, count.validation, count.test) for count in audit.labels] == [
        (30, 11, 5),
        (30, 10, 5),
    ]
    assert list(audit.lines()) == [
        "audit: 60 training, 21 validation and 10 test examples, 2 labels of 49.5% to 50.5%, "
        "no findings"
    ]


def test_copies_of_validation_examples_are_said_by_the_part_that_has_them() -> None:
    rows = [*clean(0, 60), *clean(100, 5), (1, 1), (100, 0), *clean(200, 40), (101, 1)]
    data = replace(dataset(rows[:67], rows[67:]), validation_rows=np.arange(60, 67))
    said = [(found.kind, found.text) for found in audit_data(data).findings]
    assert said == [
        (
            "in both parts",
            "1 of 41 test examples (2.4%) are in the training or validation set, too: test:40 is "
            "train:61",
        ),
        (
            "in both parts",
            "1 of 7 validation examples are in the training set, too, and are left out there: "
            "train:65 is train:1",
        ),
        ("repeated", "1 of 7 validation examples are duplicates of another one: train:66"),
    ]


def test_a_label_of_the_validation_part_alone_has_no_training_examples() -> None:
    rows = [(i, 0) for i in range(30)] + [(50, 1), (51, 1), (90, 1)]
    data = replace(dataset(rows[:-1], rows[-1:]), validation_rows=np.array([30, 31]))
    (finding,) = audit_data(data).findings
    assert finding.text == "labels without training examples: 'b' (validation 2, test 1)"


def test_a_test_part_by_itself_has_no_missing_labels() -> None:
    assert audit_data(dataset([], clean(0, 30))).findings == ()


@pytest.fixture
def reshuffled(mnist: Dataset, tmp_path: Path) -> Path:
    """MNIST as files, its test part drawn from itself with repeats; labels still right."""
    drawn = np.random.default_rng(0).integers(60_000, 70_000, 10_000)
    return as_files(mnist, drawn, tmp_path)


def as_files(mnist: Dataset, test: "np.ndarray[tuple[int], np.dtype[np.int64]]", to: Path) -> Path:
    for part, rows in (("train", np.arange(60_000)), ("t10k", test)):
        write_idx(to / f"{part}-images-idx3-ubyte", mnist.x[rows])
        write_idx(to / f"{part}-labels-idx1-ubyte", mnist.y[rows].astype(np.uint8))
    return to


def test_mnist_with_a_test_set_out_of_its_training_set_is_reported(
    mnist: Dataset, tmp_path: Path
) -> None:
    audit = audit_data(tenfold.load(as_files(mnist, np.arange(0, 60_000, 6), tmp_path)))
    assert kinds(audit) == ["test set inside training set"]
    assert len(audit.findings[0].rows) == 10_000


def test_mnist_with_a_reshuffled_test_set_is_reported(reshuffled: Path) -> None:
    audit = audit_data(tenfold.load(reshuffled))
    assert kinds(audit) == ["test set repeats itself"]
    assert "the test set repeats itself: only 6,3" in audit.findings[0].text
    assert "of 10,000 are distinct: t10k-images-idx3-ubyte:" in audit.findings[0].text


def test_training_says_it_first_and_keeps_it(mnist: Dataset, tmp_path: Path) -> None:
    told: list[str] = []

    class Listening(Listener):
        def audit(self, audit: Audit) -> None:
            told.extend(audit.lines())

        def stage(self, name: str) -> None:
            told.append(name)

    rows = np.r_[:300, 60_000:60_100]
    data = mnist.take(rows)
    data.x[300:350] = data.x[:50]
    data.y[300:350] = data.y[:50]
    run: Run = tenfold.train(data, epochs=1, out=tmp_path / "runs", listener=Listening())
    assert told[0] == "load"
    assert "the test set is mostly part of the training set: 50 of 100" in told[2]
    assert told.index("train") > 2
    stored = json.loads((run.path / "audit.json").read_text())
    assert Audit.model_validate(stored) == audit_data(data)
    assert run.record.data.n_dropped == 50
    assert "audit.json" in run.record.files


def test_an_order_by_the_alphabet_gives_nothing_away() -> None:
    names = [f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{i}" for i in range(800)]
    answers = ["low" if name < "n" else "high" for name in names]
    frame = pd.DataFrame({"name": names, "y": answers, "x": [i % 7 for i in range(800)]})
    data = tenfold.load(frame, target="y", reading=Reading(columns={"name": "category"}))
    assert not [f for f in audit_data(data).findings if f.kind == "gives the answer away"]
    leak = frame.assign(name=[f"{answer}-{i % 5}" for i, answer in enumerate(answers)])
    data = tenfold.load(leak, target="y")
    (found,) = [f for f in audit_data(data).findings if f.kind == "gives the answer away"]
    assert found.text.startswith("name alone")


@pytest.mark.parametrize("seed", range(3))
def test_what_gives_the_answer_away_does_not_depend_on_how_levels_are_called(seed: int) -> None:
    """A row's place in the alphabet says nothing: levels that stand in order are not related."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefgh"))
    city = np.sort(rng.integers(0, 8, 520))  # the rows stand in the order of the alphabet
    answer = rng.integers(0, 2, 520)
    told = (rng.permutation(8) % 2)[city]  # each city has one answer, in no order
    for names in (letters, rng.permutation(letters)):
        for y, expected in ((answer, False), (told, True)):
            frame = pd.DataFrame({"city": names[city], "x": np.arange(520) % 7, "y": y})
            kinds = [f.kind for f in audit_data(tenfold.load(frame, target="y")).findings]
            assert ("gives the answer away" in kinds) is expected


def test_what_follows_the_answer_closely_does_not_give_it_away() -> None:
    """Prices of flats are nearly their area; only another form of the price itself is a leak."""
    rng = np.random.default_rng(0)
    area = rng.uniform(20, 300, 300).round()
    price = (7 * area + rng.normal(0, 12, 300)).round(2)
    town = rng.choice(["Köln", "Bonn"], 300)
    frame = pd.DataFrame({"area": area, "town": town, "price": price})
    assert "gives the answer away" not in kinds(audit_data(tenfold.load(frame, target="price")))
    frame["dollars"] = (1.17 * price).round(1)
    audit = audit_data(tenfold.load(frame, target="price"))
    assert [f.text.split()[0] for f in audit.findings if f.kind.startswith("gives")] == ["dollars"]


def test_the_only_column_gives_nothing_away() -> None:
    height = np.arange(120) * 7 % 120 / 60
    frame = pd.DataFrame({"height": height, "tall": np.where(height > 1, "yes", "no")})
    assert "gives the answer away" not in kinds(audit_data(tenfold.load(frame, target="tall")))


def test_a_long_cell_takes_no_memory() -> None:
    words = [f"w{i % 40}" for i in range(8000)]
    words[17] = "a" * 130_000
    frame = pd.DataFrame({"x": words, "y": [i % 2 for i in range(8000)]})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = tenfold.load(frame, target="y")
    audit_data(data)
    assert data.info is not None
    assert len(levels(data.x.columns["x"])) == 41
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 200
