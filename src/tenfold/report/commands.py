"""The commands a reader can type: to predict, to check, to make the same run again."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenfold.core.contract import TableInput
from tenfold.core.settings import Reading
from tenfold.runs.csv_files import EXAMPLE_INPUTS, EXAMPLE_ROWS
from tenfold.runs.record import Run

FLAGS = (
    "hidden", "epochs", "batch_size", "learning_rate", "seed", "test_size", "folds",
    "class_weights", "cost", "positive", "recall", "robustness",
)  # fmt: skip
"""Settings that `tenfold train` has a flag for; the others are asked for in Python."""


def commands(run: Run) -> list[tuple[str, str]]:
    """What to do and how, for the end of a report. Paths are relative to the folder of runs."""
    plain = f"{run.path.resolve().parent.name}/{run.path.resolve().name}"
    folder = shlex.quote(plain)
    if isinstance(run.model.contract.input, TableInput):
        predict = f"tenfold predict {folder} {folder}/{EXAMPLE_ROWS}"
    else:
        predict = f"tenfold predict {folder} {folder}/{EXAMPLE_INPUTS} --show"
    return [
        ("Predict", predict),
        ("In Python", f"tenfold.open({plain!r}).model.predict(...)"),
        ("Check that nothing was changed", f"tenfold verify {folder}"),
        ("The network alone, as a page", f"tenfold export {folder} --to page"),
        ("Train the same again", _again(run)),
    ]


def _again(run: Run) -> str:
    record = run.record
    source = Path(record.data.source or record.data.name).name  # a report is mailed: no folders
    if record.asked.keys() - set(FLAGS):
        asked = {"learner": record.learner, "recipe": record.recipe} | record.asked
        words = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        return f"tenfold.train({source!r}, {words})"
    return " ".join(["tenfold train", *map(shlex.quote, [source, *_asked(run)])])


def _asked(run: Run) -> Iterator[str]:
    record = run.record
    if record.learner != "network":
        yield from ("--learner", record.learner)
    if record.recipe != "default":
        yield from ("--recipe", record.recipe)
    for name, value in record.asked.items():
        yield from _flag(name, value)
    if record.data.reading is not None:
        yield from _reading(record.data.reading)


def _flag(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        yield flag
    elif value is False:
        return
    elif isinstance(value, dict):
        for key, number in value.items():
            yield from (flag, f"{key}={number:g}")
    elif isinstance(value, list | tuple):
        yield from (flag, ",".join(f"{one:g}" for one in value))
    else:
        yield from (flag, f"{value:g}" if isinstance(value, float) else str(value))


def _reading(reading: Reading) -> Iterator[str]:
    for name in ("target", "task", "separator", "time", "lags"):
        if (value := getattr(reading, name)) is not None:
            yield from (f"--{name}", str(value))
    if reading.header is not None:
        yield "--header" if reading.header else "--no-header"
    for column, kind in reading.columns.items():
        yield from ("--column", f"{column}={kind}")
