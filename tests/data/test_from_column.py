"""Tables with a column of pictures: those of Hugging Face, bytes, and lists of pixels."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tenfold
from tenfold.core.contract import Contract, ImageInput
from tenfold.core.settings import Reading
from tenfold.model.readers import PictureReader
from tests.support.errors import refused

X = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
Y = [3, 0, 3, 0, 3, 0]


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def hugging_face(**columns: Any) -> pd.DataFrame:
    """A frame of the form that Hugging Face's datasets have in Parquet."""
    pictures = [{"bytes": png(x), "path": f"/etc/{i}.png"} for i, x in enumerate(X)]
    return pd.DataFrame({"image": pictures, "label": Y, **columns})


def test_a_column_of_picture_files_is_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "digits.parquet"
    hugging_face().to_parquet(path)
    data = tenfold.load(path)
    np.testing.assert_array_equal(data.x, X)
    assert data.labels == ("0", "3") and data.y.tolist() == [1, 0] * 3
    assert data.keys[1] == "digits.parquet:1" and data.source == str(path)
    assert data.notes == ("pictures of the column image, labels of label",)
    plain = hugging_face().assign(image=[png(x) for x in X], split="train")
    named = tenfold.load(plain, target="label")
    np.testing.assert_array_equal(named.x, X)
    assert named.notes[-1] == "columns beside pictures, not used: split"
    batch = PictureReader(ImageInput(height=28, width=28, crop="centre")).read(path)
    np.testing.assert_array_equal(batch.rows, X)


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_lists_of_pixels_in_json_are_pictures(scale: float, tmp_path: Path) -> None:
    scaled = X * scale
    rows = [{"pixels": x.tolist(), "y": y} for x, y in zip(scaled, Y, strict=True)]
    flat = {"images": scaled.reshape(6, 784).tolist(), "labels": ["abc"[y % 2] for y in Y]}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    for name in ("rows.json", "lines.jsonl", "flat.json"):
        data = tenfold.load(tmp_path / name)
        np.testing.assert_array_equal(data.x, X)
        assert ["0..1 to 0..255" in note for note in data.notes[1:]] == [True] * (scale < 1)


def test_a_picture_that_cannot_be_read_is_said_and_the_others_stay(tmp_path: Path) -> None:
    broken = hugging_face()
    pictures: list[Any] = broken["image"].tolist()
    pictures[2] = {"bytes": None, "path": str(tmp_path / "a.png")}
    broken["image"] = pictures
    (tmp_path / "a.png").write_bytes(png(X[2]))  # a path is never followed
    data = tenfold.load(broken)
    assert len(data) == 5 and data.pictures
    assert "table:2: The file is empty" in data.pictures.remarks[-1][1]


def test_what_is_no_dataset_of_pictures_is_refused() -> None:
    two = hugging_face(kind=["a", "b"] * 3).rename(columns={"label": "size"})
    with refused("E450") as raised:
        tenfold.load(two)
    assert "one of size, kind" in str(raised.value) and "--target" in str(raised.value)
    assert tenfold.load(two, target="kind").labels == ("a", "b")
    with refused("E450", "column='colour'"):
        tenfold.load(two, target="colour")
    with refused("E419", "time='day'"):
        tenfold.load(hugging_face(), reading=Reading(time="day"))
    with refused("E223", "column='image'"):
        tenfold.load(pd.DataFrame({"image": [[1, 2]] * 6, "label": Y}))
    sizes = [np.zeros((4 + i % 2, 4)).tolist() for i in range(6)]
    with refused("E451", "column='image'"):
        tenfold.load(pd.DataFrame({"image": sizes, "label": Y}))
    of_table = Contract.model_validate(
        {
            "input": {"kind": "features", "n_features": 2},
            "labels": ["a", "b"],
            "learner": "x",
            "tenfold": "",
        }
    )
    with refused("E223"):
        tenfold.load(hugging_face(), like=of_table)
