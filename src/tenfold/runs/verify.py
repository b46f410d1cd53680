"""Whether a run folder is as it was left: every file, and the stored examples asked again."""

import csv
import io
from pathlib import Path

import numpy as np

from tenfold.core import files
from tenfold.core.errors import RunError
from tenfold.model.predictions import Predictions, Values
from tenfold.runs.csv_files import EXAMPLE_ANSWERS, example_inputs
from tenfold.runs.record import Run


def verify(path: Path | str) -> dict[str, int]:
    """Check a run folder: every file's digest against `run.json`, and the stored examples again.

    Returns:
      How much was checked: `files` and `examples`.

    Raises:
      RunError: Unfinished, or files are changed, missing or new, or an answer is another one.
    """
    run = Run.open(path)
    if run.record.state == "running":
        raise RunError("E712", "The run is not finished", where=run.path, state="running")
    found = {name: files.sha256(run.path / name) for name in run._names()}
    stored = run.record.files
    wrong = [f"{name} missing" for name in stored.keys() - found.keys()]
    wrong += [f"{name} added" for name in found.keys() - stored.keys()]
    wrong += [
        f"{name} changed" for name in stored.keys() & found.keys() if stored[name] != found[name]
    ]
    if wrong:
        raise RunError(
            "E713",
            "The run was changed",
            where=run.path,
            expected="the files as run.json has them",
            files=", ".join(sorted(wrong)),
        )
    n_examples = _answer_again(run) if EXAMPLE_ANSWERS in stored else 0
    return {"files": len(found), "examples": n_examples}


def _answer_again(run: Run) -> int:
    """Ask the model the stored examples; returns how many there are."""
    answers = run.model.predict(example_inputs(run.path))
    rows = list(csv.reader(io.StringIO((run.path / EXAMPLE_ANSWERS).read_text("utf-8"))))[1:]
    if isinstance(answers, Values):
        answered = answers.value[:, None].astype(float)
        stored = np.array([[float(row[2])] for row in rows])
        tolerance = ANSWER_TOLERANCE * max(float(np.abs(stored).max(initial=0)), 1e-30)
    elif isinstance(answers, Predictions):
        answered = answers.probabilities.astype(float)
        stored = np.array([[float(value) for value in row[5:]] for row in rows])
        tolerance = ANSWER_TOLERANCE
    if stored.shape != answered.shape or np.abs(stored - answered).max() > tolerance:
        raise RunError(
            "E714",
            "The model answers differently from when it was made",
            where=run.path,
            expected=f"the answers of {EXAMPLE_ANSWERS} within {ANSWER_TOLERANCE:g}",
        )
    return len(rows)


ANSWER_TOLERANCE = 1e-4
"""How far a stored answer may move on another machine, whose products round differently."""
