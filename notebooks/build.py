"""Notebooks from their sources: `python -m notebooks.build` runs them and writes the `.ipynb`.

`tutorial.py`, `problems.py` and `photos.py` are what is edited, in Jupytext's percent format. The
notebooks are made of them and kept with their outputs, because that is how they are read on the
web.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NAMES = ("tutorial", "problems", "photos")
SECONDS_PER_CELL = 600


def read_source(name: str, **parameters: Any) -> Any:
    """The notebook of a source, not run; `parameters` are set after the cell tagged so.

    Raises:
      KeyError: No such parameter in that cell.
    """
    notebook = jupytext.read(HERE / f"{name}.py", fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the same each time, so that a change shows alone
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = replaced(cell.source, parameters)
    return notebook


def replaced(source: str, parameters: Mapping[str, Any]) -> str:
    """A cell of assignments with other values."""
    lines = source.splitlines()
    for name, value in parameters.items():
        places = [at for at, line in enumerate(lines) if line.startswith(f"{name} = ")]
        if not places:
            raise KeyError(name)
        lines[places[0]] = f"{name} = {value!r}"
    return "\n".join(lines)


def execute(notebook: Any, folder: Path | str) -> None:
    """Run all cells in a kernel of their own that works in `folder`; outputs are put in.

    Raises:
      nbclient.exceptions.CellExecutionError: A cell raised.
    """
    NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


def main(names: list[str]) -> None:
    for name in names or NAMES:
        notebook = read_source(name)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, folder)
        target = HERE / f"{name}.ipynb"
        target.write_text(nbformat.writes(notebook), "utf-8")
        print(f"{target.name}: {target.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
