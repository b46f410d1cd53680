"""Training rows with which predictions are compared, stored in a file of the run folder."""

import csv
import io
from pathlib import Path

from tenfold.core import files
from tenfold.core.csv_cells import unescape_formula
from tenfold.core.errors import FormatError


def read_background(path: Path) -> list[dict[str, str]] | None:
    """Read the rows of such a file in the form that a model takes. None if there is no file.

    Raises:
      FormatError: The file is damaged.
    """
    with files.os_errors("read", path):
        if not path.is_file():
            return None
        content = path.read_bytes()
    try:
        text = io.StringIO(content.decode("utf-8"), newline="")
        names, *lines = (
            [unescape_formula(cell) for cell in line] for line in csv.reader(text, strict=True)
        )
        return [dict(zip(names, line, strict=True)) for line in lines]
    except (ValueError, csv.Error) as error:
        raise FormatError(
            "E525", "The file of background rows is damaged", where=path, problem=str(error)
        ) from error
