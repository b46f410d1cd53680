"""The notebooks as pages of the site, with the outputs that are stored in them."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from notebooks.build import NAMES

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TEXT = re.compile(r"\x1b\[[0-9;]*m")


def write_pages(folder: Path) -> None:
    """Write a page, and the pictures that it shows, for each notebook."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
        parts = [part for cell in notebook.cells for part in _parts(cell, name, folder)]
        (folder / f"{name}.md").write_text("\n".join(parts), "utf-8")


def _parts(cell: Any, name: str, folder: Path) -> Iterator[str]:
    """A cell as Markdown; pictures are written into `folder`."""
    if cell.cell_type == "markdown":
        yield cell.source.replace(".ipynb)", ".md)") + "\n"
        return
    yield _fenced("python", cell.source)
    for number, output in enumerate(cell.get("outputs", ())):
        data = output.get("data", {})
        if "image/png" in data:
            picture = folder / f"{name}-{cell.id}-{number}.png"
            picture.write_bytes(base64.b64decode(data["image/png"]))
            yield f"![What the cell above draws]({picture.name})\n"
        elif "text/html" in data:
            yield _fenced("{raw} html", "".join(data["text/html"]))
        else:
            yield _fenced("text", output.get("text") or data.get("text/plain", ""))


def _fenced(language: str, text: str) -> str:
    """A block of code or output; four marks, so that three inside of it end nothing."""
    return f"````{language}\n{TEXT.sub('', text).rstrip()}\n````\n"
