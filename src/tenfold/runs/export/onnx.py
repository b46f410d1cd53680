"""Copy a model file, with a program beside it that uses it without Tenfold."""

import io
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core import files
from tenfold.core.errors import RunError
from tenfold.model.model import Model
from tenfold.runs.csv_files import example_inputs


def companions(path: Path) -> tuple[Path, Path]:
    """The files of the program and its inputs beside an exported model."""
    return path.with_suffix(".py"), path.with_suffix(".npz")


@files.os_errors()
def write_onnx(run: Path, path: Path) -> None:
    """Copy a run's `model.onnx` to `path`, and write `NAME.py` and `NAME.npz` beside it.

    The program needs only ONNX Runtime and NumPy. The inputs are the run's examples, one for each
    label, in the form that the graph takes: for a table, they are the output of the reader.
    """
    model, inputs = Model.open(run), example_inputs(run)
    if inputs is None:
        raise RunError(
            "E707", "The run has no stored examples", where=run, expected="a finished run"
        )
    rows = model.reader.read(inputs).rows
    (arrays,) = model.reader.feeds(rows, at_once=None)  # a few examples are one part
    program, stored = companions(path)
    packed = io.BytesIO()
    # Strings have NumPy's fixed width, because objects would be pickled.
    plain: dict[str, Any] = {
        name: column if column.dtype in (np.float32, np.uint8) else column.astype(str)
        for name, column in arrays.items()
    }
    np.savez_compressed(packed, **plain)
    files.write_bytes(stored, packed.getvalue())
    text = resources.files("tenfold.runs.export").joinpath("sample.py").read_text("utf-8")
    files.write_text(program, text.replace("NAME", path.stem))
    files.write_bytes(path, (run / "model.onnx").read_bytes())
