from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold.data.audit import audit_data
from tenfold.data.shortcuts import shortcuts
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


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_the_audit_of_a_folder_names_shortcuts(tmp_path: Path, kind: str) -> None:
    for k, label in enumerate(("disc", "stripes")):
        (tmp_path / label).mkdir()
        for i in range(12):
            ending = "png" if k else kind
            photo(label, 100 * k + i, (50, 40)).save(tmp_path / label / f"{i}.{ending}")
    found = [finding.text for finding in audit_data(tenfold.load(tmp_path)).findings]
    assert any("file type alone" in text for text in found) == (kind == "jpg")
