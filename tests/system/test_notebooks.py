"""The notebooks: kept with what they show, the same as their sources, and running."""

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from notebooks.build import HERE, NAMES, execute, read_source, replaced

LESS: dict[str, dict[str, Any]] = {
    "tutorial": {
        "ROWS": 4200,
        "EPOCHS": 2,
        "SEEDS": 2,
        "COMPARED": 400,
        "FAST_EPOCHS": 2,
        "NEURONS": [8, 16],
        "DEPTHS": [1],
    },
    "problems": {"MESSAGES": 500, "PAYMENTS": 4000, "HOUSES": 500},
    "photos": {"DRAWN": 8},
}
"""Parameters with which a test may run them: the same cells in less time."""

TITLES = (
    "byte by byte", "One-hot", "The split", "The network", "101,770", "One neuron, by hand",
    "The softmax", "Loss and accuracy", "confusion matrix", "The mistakes", "Your own digit",
    "other numbers of neurons", "random forest",
)  # fmt: skip


def kept(name: str) -> Any:
    return nbformat.read(HERE / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_source_and_notebook_have_the_same_cells(name: str) -> None:
    source, notebook = read_source(name), kept(name)
    assert [(cell.cell_type, cell.source) for cell in source.cells] == [
        (cell.cell_type, cell.source) for cell in notebook.cells
    ]
    nbformat.validate(notebook)


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_was_run_from_top_to_end_without_an_error(name: str) -> None:
    code = [cell for cell in kept(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream", "display_data", "execute_result"
    }  # fmt: skip
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_is_small_and_names_no_folder_of_a_machine(name: str) -> None:
    text = (HERE / f"{name}.ipynb").read_text("utf-8")
    assert len(text) < 400_000
    assert not re.search(r"[\"' ]/(home|root|tmp|work|Users)/", text)


def test_the_tutorial_goes_its_way_in_order() -> None:
    prose = "\n".join(c.source for c in read_source("tutorial").cells if c.cell_type == "markdown")
    headings = " ".join(line for line in prose.splitlines() if line.startswith("#"))
    places = [headings.find(title) for title in TITLES]
    assert -1 not in places and places == sorted(places)


def test_parameters_are_set_where_they_stand() -> None:
    assert replaced("A = 1  # one\nB = 2", {"B": 3}) == "A = 1  # one\nB = 3"
    with pytest.raises(KeyError, match="C"):
        replaced("A = 1", {"C": 3})
    assert "ROWS = 7\n" in "".join(c.source for c in read_source("tutorial", ROWS=7).cells)


@pytest.mark.notebook
@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("tutorial", "photos")), "problems"],
)
def test_it_runs(name: str, tmp_path: Path) -> None:
    notebook = read_source(name, **LESS[name])
    execute(notebook, tmp_path)
    again = jupytext.writes(notebook, fmt="py:percent")
    assert again.count("# %%") == len(notebook.cells)
    assert (tmp_path / "runs").is_dir()
