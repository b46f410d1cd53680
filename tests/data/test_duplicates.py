"""Which images show the same picture: encoded again, or nearly."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import tenfold
from tenfold import Dataset
from tenfold.data.audit import audit_data
from tenfold.data.duplicates import nearly_same, same_pictures
from tenfold.evaluation import Score
from tenfold.evaluation.robustness import Robustness, nearly_seen
from tests.data.test_from_folder import photos

MNIST = tenfold.load("mnist")


def encoded(picture: NDArray[np.uint8], kind: str, **options: object) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return np.asarray(Image.open(file).convert("RGB" if picture.ndim == 3 else "L"))


@pytest.mark.parametrize(
    "encode",
    [
        lambda x: x,
        lambda x: encoded(x, "JPEG", quality=90),
        lambda x: encoded(x, "JPEG", quality=40),
        lambda x: encoded(x, "WEBP", quality=60),
    ],
)
def test_a_picture_encoded_again_is_the_same(
    encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    x = photos(12)
    both = np.concatenate([x, [encode(image) for image in x]])
    assert same_pictures(both).tolist() == [*range(12), *range(12)]


def test_different_digits_are_never_the_same() -> None:
    x = MNIST.x[:3000]
    assert same_pictures(x).tolist() == list(range(3000))


def test_a_hundred_encodings_of_one_picture_are_one() -> None:
    x = photos(3)
    again = [encoded(x[i % 3], "JPEG", quality=35 + i // 3) for i in range(180)]
    assert same_pictures(np.concatenate([x, again])).tolist() == [0, 1, 2] * 61


def test_a_film_is_not_one_picture() -> None:
    """Each frame is the same as the next one, but not as the tenth."""
    a, b = photos(2).astype(np.float32)
    film = np.array([a + (b - a) * share for share in np.linspace(0, 1, 40)])
    found = same_pictures(np.rint(film).astype(np.uint8))
    assert 3 <= len(np.unique(found)) <= 20 and (found[found] == found).all()
    assert (np.diff(found) >= 0).all()


def test_pictures_that_are_nearly_one_colour_take_no_longer() -> None:
    """All pairs of them are near by mean colours: 4.5 million, of which 50,000 are looked at."""
    x = np.random.default_rng(0).integers(250, 256, (3000, 16, 16)).astype(np.uint8)
    tracemalloc.start()
    assert len(np.unique(same_pictures(x))) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def twins(n: int = 20) -> NDArray[np.uint8]:
    """Photos, and each of them again: under noise, darker, or another one."""
    x = photos(2 * n)
    rng = np.random.default_rng(0)
    again = x[:n] + rng.normal(0, 10, x[:n].shape)
    again[1::2] = x[1:n:2] * 0.96
    return np.concatenate([x, np.clip(np.rint(again), 0, 255).astype(np.uint8)])


def test_nearly_the_same_pictures_are_found_and_no_others() -> None:
    x = twins()
    pairs = nearly_same(x, np.arange(40), np.arange(40, 60))
    assert sorted(map(tuple, pairs.tolist())) == [(40 + i, i) for i in range(20)]
    assert not len(nearly_same(x, np.arange(20, 40), np.arange(40, 60)))
    grey = x @ np.array([0.299, 0.587, 0.114])
    apart = np.sqrt(((grey[pairs[:, 0]] - grey[pairs[:, 1]]) ** 2).mean(axis=(1, 2)))
    assert (np.diff(apart / grey[pairs[:, 1]].std(axis=(1, 2))) > -0.01).all(), "most alike first"
    for known, asked in ((0, 20), (20, 0)):
        assert nearly_same(x, np.arange(known), 40 + np.arange(asked)).shape == (0, 2)


def test_digits_that_one_hand_could_have_written_are_nearly_the_same() -> None:
    pairs = nearly_same(MNIST.x, np.arange(20_000), np.arange(60_000, 61_000))
    assert 5 < len(pairs) < 100
    a, b = (MNIST.x[pairs[:, side]].reshape(len(pairs), -1).astype(float) for side in (0, 1))
    assert min(np.corrcoef(p, q)[0, 1] for p, q in zip(a, b, strict=True)) > 0.96
    assert (MNIST.y[pairs[:, 0]] == MNIST.y[pairs[:, 1]]).all()


def a_dataset() -> Dataset:
    x, y = twins(), np.r_[np.arange(40) % 2, np.arange(20) % 2]
    x[42], y[45] = x[2], 0  # the copy of a training row; a training row is called otherwise
    keys = [f"photo {i}" for i in range(60)]
    return Dataset("drawn", x, y, ("a", "b"), keys, np.arange(40, 60))


def test_the_audit_names_test_rows_that_training_nearly_has() -> None:
    data = a_dataset()
    assert "nearly in both parts" not in [one.kind for one in audit_data(data).findings]
    found = audit_data(data, near=True).findings
    by = {one.kind: one for one in found}
    assert by["in both parts"].rows == (42,)
    nearly = by["nearly in both parts"]
    assert set(nearly.rows) == {*range(40, 60)} - {42}
    assert nearly.text.startswith(
        "19 of 20 test examples (95.0%) look nearly like a training example, 1 of them with "
        "another answer: photo "
    )
    assert nearly.text.endswith(" and 14 more")


def test_the_accuracy_without_them_is_measured() -> None:
    data = a_dataset()
    test = np.r_[40:45, 20:30]  # ten of them are like no other
    right = (np.arange(15) % 3 > 0).astype(float)
    found = nearly_seen(data, np.arange(20), test, right)
    assert found.n == 5 and ("photo 40", "photo 0") in found.pairs
    assert found.without is not None and found.without.value == right[5:].mean()
    all_of_them = nearly_seen(data, np.arange(20), test[:5], right[:5])
    assert all_of_them.without is None
    said = Robustness(
        part="test",
        n=5,
        score="accuracy",
        base=Score(value=1, low=0, high=1),
        changes=(),
        nearly=all_of_them,
    ).nearly_text
    assert said == "5 test rows look nearly like a training row. Without them: accuracy no rows."


def test_robustness_and_its_report_say_so(tmp_path: Path) -> None:
    data = a_dataset()
    run = tenfold.train(data, learner="baseline", robustness=True, out=tmp_path)
    found = Robustness.model_validate_json((run.path / "robustness.json").read_bytes())
    assert found.nearly is not None and found.nearly.n == 19  # one is the copy of a dropped row
    assert found.nearly.without is not None
    without = found.shown(found.nearly.without)
    said = f"19 test rows look nearly like a training row. Without them: accuracy {without}."
    assert list(found.lines())[-1] == said
    report = (run.path / "report.html").read_text("utf-8")
    assert said in report and "<td>photo 40</td><td>photo 0</td>" in report
