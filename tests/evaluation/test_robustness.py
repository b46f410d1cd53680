"""Changed rows: what each change does to an image, and what a column is worth."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold
from tenfold import Run
from tenfold.evaluation.robustness import (
    image_changes,
    measure_robustness,
    noisy,
    penned,
    rotated,
    scaled,
    shifted,
)
from tests.conftest import Few


def a_bar() -> NDArray[np.uint8]:
    """Four images of an upright bar, 3 wide and 15 high, in the middle of 29 x 29."""
    x = np.zeros((4, 29, 29), np.uint8)
    x[:, 7:22, 13:16] = 255
    return x


def extent(image: NDArray[np.uint8]) -> tuple[int, int]:
    return int((image > 127).any(1).sum()), int((image > 127).any(0).sum())


def test_images_move_in_each_direction() -> None:
    moved = shifted(a_bar(), 2)
    places = [(np.flatnonzero(x.any(1))[0], np.flatnonzero(x.any(0))[0]) for x in moved]
    assert places == [(9, 13), (5, 13), (7, 15), (7, 11)]
    assert (moved.sum(axis=(1, 2)) == a_bar().sum(axis=(1, 2))).all()


def test_images_turn_both_ways() -> None:
    turned = rotated(a_bar(), 90)
    assert [extent(x) for x in turned] == [(3, 15)] * 4
    one, other = rotated(a_bar(), 30)[:2].astype(int)
    assert np.abs(one - other[:, ::-1]).max() <= 1 and np.abs(one - other).max() > 200


def test_images_grow_and_shrink_about_their_middle() -> None:
    for factor, high in ((2, 29), (0.5, 7)):
        changed = scaled(a_bar(), factor)[0]
        height, width = extent(changed)
        assert abs(height - min(29, high)) <= 1 and abs(width - 3 * factor) <= 1
        assert abs(np.average(np.arange(29), weights=changed.sum(0)) - 14) < 0.2


def test_pens_grow_and_shrink_by_pixels() -> None:
    assert [extent(penned(a_bar(), px)[0])[1] for px in (-1, 1, 2)] == [2, 4, 5]


def test_noise_has_its_deviation_and_stays_in_bytes() -> None:
    grey = np.full((4, 50, 50), 128, np.uint8)
    changed = noisy(grey, 16, np.random.default_rng(0))
    assert changed.dtype == np.uint8 and abs(changed.std() - 16) < 0.5
    assert noisy(a_bar(), 64, np.random.default_rng(0)).max() == 255


def test_pens_are_dark_where_the_paper_is_light() -> None:
    dark = 255 - a_bar()
    pens = {
        one.amount: one.change(dark)
        for one in image_changes(np.random.default_rng(0), dark)
        if one.kind == "pen"
    }
    widths = {amount: extent(255 - x[0])[1] for amount, x in pens.items()}
    assert widths == {"1 px thinner": 2, "1 px thicker": 4, "2 px thicker": 5}


def test_a_photo_in_colour_has_no_pen() -> None:
    x = np.zeros((2, 8, 8, 3), np.uint8)
    kinds = {one.kind for one in image_changes(np.random.default_rng(0), x)}
    assert kinds == {"shift", "rotation", "scale", "noise"}


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_every_change_keeps_shape_and_type(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    for one in image_changes(np.random.default_rng(0), x):
        changed = one.change(x)
        assert (changed.shape, changed.dtype) == (x.shape, x.dtype)
        assert (changed != x).any(), (one.kind, one.amount)


def test_a_model_of_digits_falls_with_the_change(small_run: Run, few: Few) -> None:
    data = few(600, 200)
    x, y = data.images[600:], data.y[600:]
    found = measure_robustness(small_run.model, x, y, "test")
    assert isinstance(small_run.evaluation, tenfold.Evaluation)
    assert found.base == small_run.evaluation.accuracy and found.columns == ()
    by = {(one.kind, one.amount): one.value.value for one in found.changes}
    assert len(by) == 19
    assert by["shift", "4 px"] < by["shift", "1 px"] <= found.base.value + 0.05
    assert by["rotation", "30 degrees"] < by["rotation", "5 degrees"]
    again = measure_robustness(small_run.model, x, y, "test")
    assert again == found, "the same seed, the same changes"
    assert any(line.startswith("shift: 4 px") for line in found.lines())
    assert f"shift 4 px {by['shift', '4 px']:.1%}" in found.worst
    assert found.worst.count(",") == 4


def a_table(path: Path, *, numbers: bool) -> Path:
    """`a` decides nearly everything, `b` a little, `noise` nothing."""
    rng = np.random.default_rng(0)
    a, b, noise = rng.normal(size=(3, 400))
    value = 3 * a + 0.5 * b
    target = value if numbers else np.where(value > 0, "up", "down")
    rows = zip(a, b, noise, target, strict=True)
    lines = ["a,b,noise,y", *(f"{p:.4f},{q:.4f},{r:.4f},{t}" for p, q, r, t in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("numbers", "learner"), [(False, "logistic"), (True, "linear")])
def test_columns_cost_what_they_tell(tmp_path: Path, numbers: bool, learner: str) -> None:
    table = a_table(tmp_path / "rows.csv", numbers=numbers)
    run = tenfold.train(table, target="y", learner=learner, robustness=True, out=tmp_path)
    from tenfold.evaluation.robustness import Robustness

    found = Robustness.model_validate_json((run.path / "robustness.json").read_bytes())
    assert [one.column for one in found.columns][:2] == ["a", "b"]
    assert found.columns[0].mean > 5 * abs(found.columns[1].mean) > 0
    assert abs(found.columns[2].mean) < found.columns[1].mean
    assert found.score == ("RMSE" if numbers else "accuracy")
    missing = {one.amount: one.value.value for one in found.changes}
    assert set(missing) == {"a", "b", "noise"}
    worse = missing["a"] > found.base.value if numbers else missing["a"] < found.base.value
    assert worse
    text = (run.path / "report.html").read_text("utf-8")
    assert 'aria-label="Cost of shuffling each column"' in text and "missing column" in text
    assert 'id="living"' not in text
    assert tenfold.verify(run.path)
