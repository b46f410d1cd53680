from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tenfold
from tenfold.data.audit import audit_data
from tenfold.data.shortcuts import shortcuts, tenths
from tests.support.photos import photo


def test_a_fact_that_tells_the_label_is_said() -> None:
    y = np.arange(40) % 2
    facts: dict[str, Sequence[Hashable]] = {
        "file type": [".png" if code else ".jpg" for code in y],
        "size": [(10, 10 + row % 5) for row in range(40)],
        "number": list(range(40)),
    }
    (line,) = shortcuts(facts, y, ["cat", "dog"])
    assert line.startswith("the file type alone tells the label of 100% of the pictures")
    assert not list(shortcuts(facts, y[:10], ["cat", "dog"]))


def test_numbers_are_cut_into_parts_of_equal_counts() -> None:
    rng = np.random.default_rng(0)
    assert np.bincount(tenths(rng.normal(size=300))).tolist() == [30] * 10
    assert set(tenths(np.arange(29))) == {0}
    y = np.arange(100) % 2
    (line,) = shortcuts({"brightness": tenths(rng.normal(size=100) + 6 * y)}, y, ["cat", "dog"])
    assert line.startswith("the brightness alone tells the label of ")
    assert not list(shortcuts({"brightness": tenths(rng.normal(size=100))}, y, ["cat", "dog"]))


@pytest.mark.parametrize("told", ["brightness", "camera", "size"])
def test_the_audit_names_light_camera_and_size(tmp_path: Path, told: str) -> None:
    rng = np.random.default_rng(0)
    for k, label in enumerate(("disc", "stripes")):
        (tmp_path / label).mkdir()
        for i in range(20):
            side = int(rng.integers(50, 90)) + (200 * k if told == "size" else 0)
            image = photo(label, i, (side, side))
            if told == "brightness":
                image = image.point([int((level + 2 * 255 * k) / 3) for level in range(256)] * 3)
            tags = Image.Exif()
            tags[0x010F] = "Maker"
            tags[0x0110] = f"Model {k if told == 'camera' else i % 3}"
            image.save(tmp_path / label / f"{i}.jpg", exif=tags)
    found = [finding.text for finding in audit_data(tenfold.load(tmp_path)).findings]
    lines = [text for text in found if "alone tells the label" in text]
    assert [line.partition(" alone")[0] for line in lines] == [f"the {told}"]


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_the_audit_of_a_folder_names_shortcuts(tmp_path: Path, kind: str) -> None:
    for k, label in enumerate(("disc", "stripes")):
        (tmp_path / label).mkdir()
        for i in range(12):
            ending = "png" if k else kind
            photo(label, 100 * k + i, (50, 40)).save(tmp_path / label / f"{i}.{ending}")
    found = [finding.text for finding in audit_data(tenfold.load(tmp_path)).findings]
    assert any("file type alone" in text for text in found) == (kind == "jpg")


@pytest.mark.parametrize("told", ["name", "content"])
def test_the_file_type_is_that_of_the_bytes_and_not_of_the_name(tmp_path: Path, told: str) -> None:
    for k, label in enumerate(("disc", "stripes")):
        (tmp_path / label).mkdir()
        for i in range(12):
            ending = ("jpg", "png")[k] if told == "name" else "jpg"
            written = "JPEG" if told == "name" else ("JPEG", "PNG")[k]
            path = tmp_path / label / f"{i}.{ending}"
            photo(label, 100 * k + i, (50, 40)).save(path, format=written)
    found = [finding.text for finding in audit_data(tenfold.load(tmp_path)).findings]
    assert any("file type alone" in text for text in found) == (told == "content")
