"""Datasets, their fingerprints and the split that keeps the test rows apart."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold import Dataset, Split, load, split
from tenfold.core.errors import DataError, TenfoldError
from tenfold.data.duplicates import first_of_each
from tests.support.errors import refused


def distinct(n: int) -> NDArray[np.uint8]:
    """`n` images of 1x2 pixels, no two alike, though many share one of the pixels."""
    return np.array([divmod(i, 8) for i in range(n)], np.uint8).reshape(n, 1, 2)


def dataset(codes: Sequence[int], labels: Sequence[str] | None = None) -> Dataset:
    return Dataset.from_arrays(distinct(len(codes)), list(codes), labels=labels)


def with_official_part(n: int, n_test: int) -> Dataset:
    """`n` distinct images of three labels, the last `n_test` of them the official test part."""
    y = np.arange(n) % 3
    keys = [f"row:{row}" for row in range(n)]
    return Dataset("official", distinct(n), y, ("a", "b", "c"), keys, np.arange(n - n_test, n))


def parts(cut: Split) -> list[list[int]]:
    return [cut.train.tolist(), cut.validation.tolist(), cut.test.tolist()]


@st.composite
def datasets_with_copies(draw: st.DrawFn) -> Dataset:
    """Few different images, so most of them occur several times, with whatever answers."""
    n = draw(st.integers(12, 60))
    n_images = draw(st.integers(4, n))
    images = draw(st.lists(st.integers(0, n_images - 1), min_size=n, max_size=n))
    codes = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return Dataset.from_arrays(distinct(n_images)[images], codes, labels=["a", "b", "c"])


@st.composite
def datasets_without_copies(draw: st.DrawFn) -> Dataset:
    codes = draw(st.lists(st.integers(0, 3), min_size=20, max_size=80))
    return dataset(codes, ["a", "b", "c", "d"])


seeds = st.integers(0, 2**32 - 1)
sizes = st.floats(0.1, 0.6)


# The split of any dataset


def check_parts(data: Dataset, seed: int, test_size: float, validation_size: float) -> None:
    try:
        cut = split(data, seed=seed, test_size=test_size, validation_size=validation_size)
    except DataError as error:
        assert "There are too few examples" in str(error)
        assume(False)
    train, validation, test = parts(cut)
    assert sorted(train + validation + test) == list(range(len(data)))
    assert [train, validation, test] == [sorted(part) for part in (train, validation, test)]
    images = [{data.x[row].tobytes() for row in part} for part in (train, validation, test)]
    assert not images[0] & images[1]
    assert not images[0] & images[2]
    assert not images[1] & images[2]


@settings(deadline=None, max_examples=50)
@given(data=datasets_with_copies(), seed=seeds, test_size=sizes, validation_size=sizes)
def test_every_row_is_in_exactly_one_part_and_no_image_in_two(
    data: Dataset, seed: int, test_size: float, validation_size: float
) -> None:
    check_parts(data, seed, test_size, validation_size)


@pytest.mark.slow
@settings(deadline=None, max_examples=1000)
@given(data=datasets_with_copies(), seed=seeds, test_size=sizes, validation_size=sizes)
def test_1000_times_every_row_is_in_exactly_one_part_and_no_image_in_two(
    data: Dataset, seed: int, test_size: float, validation_size: float
) -> None:
    check_parts(data, seed, test_size, validation_size)


@settings(deadline=None)
@given(data=datasets_without_copies(), seed=seeds, test_size=sizes, validation_size=sizes)
def test_each_label_has_its_share_within_one_row(
    data: Dataset, seed: int, test_size: float, validation_size: float
) -> None:
    cut = split(data, seed=seed, test_size=test_size, validation_size=validation_size)
    left = np.concatenate([cut.train, cut.validation])
    everything = np.arange(len(data))
    for rows, held, size in (
        (everything, cut.test, test_size),
        (left, cut.validation, validation_size),
    ):
        assert len(held) == round(len(rows) * size)
        share = np.bincount(data.y[rows], minlength=4) * size
        assert (np.abs(np.bincount(data.y[held], minlength=4) - share) < 1 + 1e-9).all()


@settings(deadline=None)
@given(data=datasets_without_copies(), seed=seeds)
def test_the_same_seed_gives_the_same_rows(data: Dataset, seed: int) -> None:
    one, two = (split(data, seed=seed, validation_size=0.2) for _ in range(2))
    assert parts(one) == parts(two)


def test_another_seed_gives_other_rows() -> None:
    data = dataset([0, 1] * 50)
    tests = {tuple(split(data, seed=seed).test.tolist()) for seed in range(10)}
    assert len(tests) == 10
    cuts = (split(data, seed=seed, test_size=0.2, validation_size=0.2) for seed in range(10))
    assert len({tuple(cut.validation.tolist()) for cut in cuts}) == 10


def test_every_row_has_its_turn_in_the_test_part() -> None:
    data = dataset([0, 1, 1] * 10)
    n_held = np.zeros(len(data), int)
    for seed in range(400):
        n_held[split(data, seed=seed, test_size=0.2).test] += 1
    # Each row is held out with probability 0.2: 80 of 400 times, standard deviation 8.
    assert (np.abs(n_held - 80) < 40).all()


def test_copies_share_a_side_whatever_their_answers_say() -> None:
    x = np.repeat(distinct(20), 2, axis=0)
    data = Dataset.from_arrays(x, [0, 1] * 20)
    for seed in range(20):
        cut = split(data, seed=seed, test_size=0.3)
        assert set(cut.test // 2).isdisjoint(cut.train // 2)


@pytest.mark.parametrize("seed", range(5))
def test_copies_too_many_for_the_test_part_do_not_keep_the_others_out(seed: int) -> None:
    # 30 of the 100 are one image: it cannot be among the 25, but the 70 others can.
    images = distinct(71)[[0] * 30 + list(range(1, 71))]
    data = Dataset.from_arrays(images, [0] * 100, labels=["a", "b"])
    cut = split(data, seed=seed, test_size=0.25)
    assert len(cut.test) == 25


def test_validation_rows_are_a_share_of_what_the_test_left() -> None:
    cut = split(dataset([0, 1] * 100), test_size=0.5, validation_size=0.1)
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (90, 10, 100)


def test_without_an_official_part_a_quarter_is_held_out() -> None:
    cut = split(dataset([0, 1] * 100))
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (150, 0, 50)


# The official test part


def test_the_official_part_is_the_test_part_by_default() -> None:
    cut = split(with_official_part(40, 10), seed=3)
    assert parts(cut) == [list(range(30)), [], list(range(30, 40))]


def test_validation_is_cut_from_training_and_not_from_the_official_part() -> None:
    cut = split(with_official_part(40, 10), validation_size=0.2)
    assert cut.test.tolist() == list(range(30, 40))
    assert len(cut.validation) == 6
    assert sorted([*cut.train, *cut.validation]) == list(range(30))


def test_a_test_size_leaves_the_official_part_unused() -> None:
    cut = split(with_official_part(40, 10), test_size=0.2, validation_size=0.25)
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (18, 6, 6)
    assert sorted([*cut.train, *cut.validation, *cut.test]) == list(range(30))


def test_a_training_image_that_is_also_an_official_test_image_is_not_fitted_to() -> None:
    data = with_official_part(40, 10)
    data.x[0] = data.x[35]
    cut = split(data)
    assert cut.test.tolist() == list(range(30, 40))
    assert 0 not in cut.train


def test_the_tutorials_split_of_mnist_is_45000_and_15000_training_rows(mnist: Dataset) -> None:
    cut = split(mnist, test_size=0.25)
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (45_000, 0, 15_000)
    assert max(cut.train.max(), cut.test.max()) < 60_000
    assert np.intersect1d(cut.train, cut.test).size == 0
    shares = np.bincount(mnist.y[:60_000]) / 4
    assert (np.abs(np.bincount(mnist.y[cut.test]) - shares) < 1).all()


def test_mnist_is_tested_on_its_official_rows_by_default(mnist: Dataset) -> None:
    cut = split(mnist, validation_size=0.1)
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (54_000, 6_000, 10_000)
    assert cut.test.tolist() == list(range(60_000, 70_000))
    assert max(cut.train.max(), cut.validation.max()) < 60_000


# Splits that cannot be


@pytest.mark.parametrize(
    ("test_size", "validation_size", "part"),
    [(0.01, 0.0, "test"), (0.99, 0.0, "train"), (0.5, 0.01, "validation"), (0.5, 0.99, "train")],
)
def test_a_part_that_would_be_empty_is_named(
    test_size: float, validation_size: float, part: str
) -> None:
    with pytest.raises(DataError) as error:
        split(dataset([0, 1] * 5), test_size=test_size, validation_size=validation_size)
    advice = f"Add examples that differ from each other, or take a larger --{part}-size."
    if part == "train":
        advice = "Add examples, or take a smaller --test-size or --validation-size."
    said = f"There are too few examples: n=10 (arrays). Expected rows left for {part}. {advice}"
    assert str(error.value) == said


@pytest.mark.parametrize("test_size", [0.0, -0.5, 1.0, 1.5, math.nan, math.inf])
def test_a_test_size_that_is_no_share_is_refused(test_size: float) -> None:
    with pytest.raises(TenfoldError):
        split(dataset([0, 1] * 50), test_size=test_size)


@pytest.mark.parametrize("validation_size", [-0.5, 1.0, 1.5, math.nan, math.inf])
def test_a_validation_size_that_is_no_share_is_refused(validation_size: float) -> None:
    with pytest.raises(TenfoldError):
        split(dataset([0, 1] * 50), validation_size=validation_size)


def test_official_rows_alone_leave_nothing_to_train_on() -> None:
    for test_size in (None, 0.5):
        with refused("E445", r"n=6 \(official\)") as error:
            split(with_official_part(6, 6), test_size=test_size)
        assert "Add training examples: all that there are belong to the" in str(error.value)


def test_an_official_part_that_equals_another_is_refused_with_what_to_do() -> None:
    data = Dataset.from_arrays(np.arange(8, dtype=np.uint8).reshape(8, 1, 1) % 6, [0, 1] * 4)
    data = replace(data, test_rows=np.array([0, 1]), validation_rows=np.array([6, 7]))
    with refused("E445", "n=8") as error:
        split(data, validation_size=0.1)
    assert "Add validation examples that are not in the other sets" in str(error.value)


# Datasets


def test_mnist_is_loaded_with_labels_keys_and_its_official_part(mnist: Dataset) -> None:
    assert (mnist.name, len(mnist), mnist.x.shape) == ("mnist", 70_000, (70_000, 28, 28))
    assert mnist.labels == tuple("0123456789")
    assert mnist.y.dtype == np.int64
    assert mnist.y[[0, 1, 2, 3, 4, 999]].tolist() == [5, 0, 4, 1, 9, 6]
    assert mnist.test_rows.tolist() == list(range(60_000, 70_000))
    assert len(mnist.keys) == len(set(mnist.keys)) == 70_000
    assert mnist.keys[0] == "train-images-idx3-ubyte:0"
    assert mnist.keys[59_999] == "train-images-idx3-ubyte:59999"
    assert mnist.keys[60_000] == "t10k-images-idx3-ubyte:0"
    assert mnist.keys[-1] == "t10k-images-idx3-ubyte:9999"


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(DataError) as error:
        load("minst")
    assert "name='minst'" in str(error.value)
    assert "Did you mean 'mnist'?" in str(error.value)


def test_arrays_become_a_dataset() -> None:
    x = distinct(4) + np.uint8(20)
    data = Dataset.from_arrays(x, np.array([2, 0, 0, 2], np.uint8), name="mine")
    assert data.name == "mine"
    assert len(data) == 4
    np.testing.assert_array_equal(data.x, x)
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [2, 0, 0, 2]
    assert data.labels == ("0", "1", "2")
    assert list(data.keys) == ["mine:0", "mine:1", "mine:2", "mine:3"]
    assert data.test_rows.size == 0


def test_labels_may_be_named_and_need_not_all_occur() -> None:
    assert dataset([0, 1, 1], ["cat", "dog", "cow"]).labels == ("cat", "dog", "cow")


@pytest.mark.parametrize(
    ("x", "dtype", "shape"),
    [
        (np.zeros((2, 16), np.uint8), "uint8", (2, 16)),
        (np.zeros((2, 4, 4, 4), np.uint8), "uint8", (2, 4, 4, 4)),
        (np.zeros((0, 4, 4), np.uint8), "uint8", (0, 4, 4)),
        (np.zeros((2, 0, 4), np.uint8), "uint8", (2, 0, 4)),
    ],
    ids=["flat", "four channels", "none", "no pixels"],
)
def test_what_is_not_images_is_refused(x: Any, dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as error:
        Dataset.from_arrays(x, [0, 1])
    assert str(error.value) == (
        f"The array does not contain images: dtype='{dtype}', shape={shape} (arrays). "
        "Expected uint8 (n, height, width) or (n, height, width, 3), no dimension of 0."
    )


@pytest.mark.parametrize(
    ("n_answers", "n_keys"), [(2, 3), (3, 2), (4, 4)], ids=["answers", "keys", "images"]
)
def test_counts_that_differ_are_refused(n_answers: int, n_keys: int) -> None:
    with pytest.raises(DataError) as error:
        Dataset("mine", distinct(3), np.zeros(n_answers, np.int64), ("a",), ["k"] * n_keys)
    assert str(error.value) == (
        "The numbers of examples, answers and keys differ: "
        f"n_examples=3, n_answers={n_answers}, n_keys={n_keys} (mine). "
        "Expected one answer and one key for each example."
    )


@pytest.mark.parametrize(("codes", "low", "high"), [([0, 2], 0, 2), ([-1, 1], -1, 1)])
def test_an_answer_without_a_label_is_refused(codes: list[int], low: int, high: int) -> None:
    with pytest.raises(DataError) as error:
        dataset(codes, ["a", "b"])
    assert str(error.value) == (
        f"A code has no label: lowest={low}, highest={high} (arrays). Expected codes from 0 to 1."
    )


@pytest.mark.parametrize(
    ("y", "dtype", "shape"),
    [
        ([0.0, 1.0], "float64", (2,)),
        ([True, False], "bool", (2,)),
        (["a", "b"], "<U1", (2,)),
        ([[0, 1], [1, 0]], "int64", (2, 2)),
        (np.array([], np.int64), "int64", (0,)),
        (1, "int64", ()),
    ],
    ids=["floats", "yes and no", "text", "column", "none", "one number"],
)
def test_answers_that_are_not_codes_are_refused(y: Any, dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as error:
        Dataset.from_arrays(distinct(2), y)
    assert str(error.value) == (
        f"The labels are not whole numbers: dtype='{dtype}', shape={shape} (arrays). "
        f"Expected whole numbers (n,)."
    )


# Taking rows


def test_rows_are_taken_in_the_order_asked_for() -> None:
    data = with_official_part(10, 3)
    taken = data.take([9, 2, 7, 2])
    np.testing.assert_array_equal(taken.x, data.x[[9, 2, 7, 2]])
    assert taken.y.tolist() == [0, 2, 1, 2]
    assert taken.keys == ["row:9", "row:2", "row:7", "row:2"]
    assert (taken.name, taken.labels) == ("official", ("a", "b", "c"))
    assert taken.test_rows.tolist() == [0, 2], "rows 9 and 7 are official test rows"


def test_taken_rows_are_a_copy() -> None:
    data = dataset([0, 1])
    data.take([0, 1]).x[0] = 255
    assert data.x[0].tolist() == [[0, 0]]


def test_a_row_counted_from_the_end_does_not_lose_its_test_mark() -> None:
    with pytest.raises(
        DataError, match="These are not valid row numbers.*Expected whole numbers .* 0 to 9"
    ):
        with_official_part(10, 3).take([-1])


def test_a_mask_is_not_read_as_row_numbers() -> None:
    data = with_official_part(10, 3)
    with refused("E410", "dtype='bool'"):
        data.take(data.y == 2)


def test_a_row_that_does_not_exist_is_refused_as_data() -> None:
    with refused("E410", "highest=10"):
        with_official_part(10, 3).take([10])


# One-hot rows


@given(codes=st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_decoding_undoes_encoding(codes: list[int]) -> None:
    data = dataset(codes, list("abcde"))
    encoded = data.one_hot()
    assert encoded.shape == (len(codes), 5)
    assert encoded.dtype == np.float32
    for row, code in zip(encoded.tolist(), codes, strict=True):
        assert row == [float(column == code) for column in range(5)]
    assert data.decode(encoded).tolist() == codes


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3,), (1, 2, 3)])
def test_one_hot_rows_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as error:
        dataset([0, 1, 2]).decode(np.zeros(shape))
    assert str(error.value) == f"The array is not one-hot encoded: shape={shape}. Expected (n, 3)."


@pytest.mark.parametrize(
    "row",
    [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [1, 0.1, 0], [0, 2, 0], [-1, 1, 1], [1, math.nan, 0]],
    ids=str,
)
def test_a_row_that_is_not_a_single_1_among_zeros_is_shown(row: list[float]) -> None:
    encoded = np.array([[0, 1, 0], row, [9, 9, 9]], np.float64)
    with pytest.raises(DataError) as error:
        dataset([0, 1, 2]).decode(encoded)
    assert str(error.value) == (
        f"A row is not one-hot encoded: row=1, values={encoded[1].tolist()}. Expected a "
        f"single 1 among zeros."
    )


# Fingerprints


def test_equal_content_has_an_equal_fingerprint() -> None:
    one, two = dataset([0, 1, 1]), dataset([0, 1, 1])
    assert one.fingerprint == two.fingerprint
    assert len(one.fingerprint) == 64
    assert int(one.fingerprint, 16) > 0


def test_names_do_not_change_the_fingerprint() -> None:
    one = Dataset.from_arrays(distinct(3), [0, 1, 1], name="one")
    two = Dataset.from_arrays(distinct(3), [0, 1, 1], name="two")
    assert one.keys != two.keys
    assert one.fingerprint == two.fingerprint


def test_the_layout_in_memory_does_not_change_the_fingerprint() -> None:
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    plain = Dataset.from_arrays(x, [0, 1])
    fortran = Dataset.from_arrays(np.asfortranarray(x), np.array([0, 1], np.uint8))
    assert plain.fingerprint == fortran.fingerprint


@given(pixel=st.integers(0, 23), change=st.integers(1, 255))
def test_any_changed_pixel_changes_the_fingerprint(pixel: int, change: int) -> None:
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    before = Dataset.from_arrays(x.copy(), [0, 1]).fingerprint
    x.reshape(-1)[pixel] ^= change
    assert Dataset.from_arrays(x, [0, 1]).fingerprint != before


@given(row=st.integers(0, 4), code=st.integers(1, 2))
def test_any_changed_answer_changes_the_fingerprint(row: int, code: int) -> None:
    codes = [0] * 5
    before = dataset(codes, ["a", "b", "c"]).fingerprint
    codes[row] = code
    assert dataset(codes, ["a", "b", "c"]).fingerprint != before


def test_all_else_that_matters_changes_the_fingerprint() -> None:
    x, y = np.zeros((4, 2, 8), np.uint8), np.array([0, 1, 0, 1])
    keys = list("wxyz")
    different = [
        Dataset("d", x, y, ("a", "b"), keys),
        Dataset("d", x, y, ("a", "c"), keys),
        Dataset("d", x, y, ("b", "a"), keys),
        Dataset("d", x, y, ("a", "b", "c"), keys),
        Dataset("d", x, y, ("a", "b', 'c"), keys),
        Dataset("d", x.reshape(4, 4, 4), y, ("a", "b"), keys),
        Dataset("d", x, y, ("a", "b"), keys, np.array([3])),
        Dataset("d", x, y, ("a", "b"), keys, np.array([2])),
        Dataset("d", x[:2], y[:2], ("a", "b"), keys[:2]),
    ]
    assert len({data.fingerprint for data in different}) == len(different)


def test_the_order_of_rows_is_part_of_the_fingerprint() -> None:
    data = dataset([0, 1, 1])
    assert data.take([0, 1, 2]).fingerprint == data.fingerprint
    assert data.take([1, 0, 2]).fingerprint != data.fingerprint


def test_codes_too_large_to_be_labels_are_refused() -> None:
    with refused("E407", ".*highest=1000000000"):
        Dataset.from_arrays(distinct(2), [0, 10**9])


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_labels_that_do_not_tell_answers_apart_are_refused(labels: list[str]) -> None:
    with refused("E406") as error:
        Dataset.from_arrays(distinct(2), [0, 0], labels=labels)
    assert f"labels={tuple(labels)}" in str(error.value)


def test_training_rows_that_are_test_rows_too_are_counted() -> None:
    data = with_official_part(10, 3)
    data.x[2] = data.x[data.test_rows[0]]
    cut = split(data)
    assert cut.dropped.tolist() == [2]
    assert 2 not in cut.train


def test_a_target_that_is_no_number_is_refused() -> None:
    with refused("E413", r"labels=\(\) \(mine\)"):
        Dataset("mine", distinct(2), np.array([1.0, np.nan]), (), ["a", "b"])
    with refused("E413", r"labels=\('a', 'b'\)"):
        Dataset("mine", distinct(2), np.array([1.0, 2.0]), ("a", "b"), ["a", "b"])


def test_copies_are_told_from_images_of_the_same_sum() -> None:
    factors = np.random.default_rng(0).integers(2**64, size=2, dtype=np.uint64) | 1
    words = np.array([[factors[1], 0], [0, factors[0]], [factors[1], 0], [7, 7]], np.uint64)
    images = words.view(np.uint8).reshape(4, 4, 4)
    assert first_of_each(images).tolist() == [0, 1, 0, 3]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_copies_are_found(height: int, width: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 2, (40, height, width), np.uint8)
    rows = [image.tobytes() for image in images]
    assert first_of_each(images).tolist() == [rows.index(row) for row in rows]


def test_a_dataset_prints_one_line_and_a_small_card(mnist: Dataset) -> None:
    assert repr(mnist) == (
        "Dataset('mnist', rows 70,000, inputs images of 28 x 28, "
        "answers 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, test rows 10,000)"
    )
    card = mnist._repr_html_()
    assert "70,000" in card and card.count("<img") == 10 and len(card) < 20_000
    table = load(pd.DataFrame({"x": [1.5, 2, 3, 4], "y": [0.5, 1, 2, 3]}), target="y")
    assert (
        repr(table) == "Dataset('table', rows 4, inputs 1 columns, answers numbers from 0.5 to 3)"
    )
    labels = [f"<{i}>" for i in range(100)] * 2
    many = load(pd.DataFrame({"x": np.arange(200) / 3, "y": labels}), target="y")
    assert "and 90 more" in repr(many) and "&lt;0&gt;" in many._repr_html_()
