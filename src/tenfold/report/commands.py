"""The commands for a reader: how to predict, to verify, and to train the same model again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tenfold.core.contract import Frozen
from tenfold.core.settings import Reading, Settings, flags_of
from tenfold.core.systems import quoted
from tenfold.runs.csv_files import EXAMPLE_INPUTS, EXAMPLE_ROWS
from tenfold.runs.record import Run


def commands(run: Run) -> list[tuple[str, str]]:
    """What can be done with a run, and the command for it, for the end of a report. Paths are
    relative to the folder of runs."""
    plain = f"{run.path.resolve().parent.name}/{run.path.resolve().name}"
    folder = quoted([plain])
    page = "The network alone, as a page"
    if run.model.contract.input.kind == "table":
        page = "The form alone, as a page"
        predict = f"tenfold predict {folder} {folder}/{EXAMPLE_ROWS}"
    else:
        predict = f"tenfold predict {folder} {folder}/{EXAMPLE_INPUTS} --show"
    return [
        ("Predict", predict),
        ("In Python", f"tenfold.open({plain!r}).model.predict(...)"),
        ("Check that nothing was changed", f"tenfold verify {folder}"),
        (page, f"tenfold export {folder} --to page"),
        ("Train the same again", _again(run)),
    ]


MANY_ROWS = 2_000
"""With fewer training rows, another learner is often better than a network."""


def next_steps(run: Run) -> list[tuple[str, str]]:
    """What to do after reading a report, most useful first: a sentence and a command."""
    folder = quoted([f"{run.path.resolve().parent.name}/{run.path.resolve().name}"])
    record, evaluation = run.record, run.evaluation
    predict = dict(commands(run))["Predict"]
    compare = ("See which learner is best for these data.", f"tenfold {_compare_words(run)}")
    use = [
        ("Predict inputs of your own.", predict),
        ("Answer over HTTP, with a page to try it.", f"tenfold serve {folder}"),
    ]
    if evaluation.doubts:
        return [
            ("Fix what the warning describes, then train again.", _again(run)),
            *use[:1],
            compare,
        ]
    if not evaluation.beats_baseline or record.data.n_train < MANY_ROWS:
        return [compare, *use]
    return [*use, compare]


def _compare_words(run: Run) -> str:
    data = run.record.data
    words = ["compare", Path(data.source or data.name).name]
    return quoted([*words, *_reading_words(data.reading)])


def _again(run: Run) -> str:
    record = run.record
    # Without folders, because a report may be e-mailed.
    source = Path(record.data.source or record.data.name).name
    accepted = run.model.contract.input
    default = None if accepted.kind == "image" and accepted.channels == 3 else "network"
    named = {"learner": record.learner, "recipe": record.recipe}
    if record.asked.keys() - flags_of(Settings):
        asked = ", ".join(f"{name}={value!r}" for name, value in (named | record.asked).items())
        return f"tenfold.train({source!r}, {asked})"
    return f"tenfold {train_words(source, named | record.asked, record.data.reading, default)}"


def train_words(
    source: str,
    settings: Mapping[str, Any],
    reading: Reading | None,
    default: str | None = "network",
) -> str:
    """The command after the program's name that trains with these settings, quoted for a shell. The
    learner is left out if it is the default for these data."""
    usual = {"learner": default, "recipe": "default"}
    others = {name: value for name, value in settings.items() if usual.get(name) != value}
    words = [*flag_words(Settings, others), *_reading_words(reading)]
    return quoted(["train", source, *words])


def _reading_words(reading: Reading | None) -> list[str]:
    asked = reading.model_dump(exclude_defaults=True, exclude_none=True) if reading else {}
    return [*flag_words(Reading, asked)]


def flag_words(model: type[Frozen], values: Mapping[str, Any]) -> Iterator[str]:
    """The words of a command line that give values of fields of `Settings` or `Reading`."""
    flags = flags_of(model)
    for name, value in values.items():
        word = flags[name].word
        if isinstance(value, bool):
            if value is not model.model_fields[name].default:
                yield word if value else f"--no-{word.removeprefix('--')}"
        elif isinstance(value, Mapping):
            for key, number in value.items():
                yield from (word, f"{key}={_text(number)}")
        elif isinstance(value, list | tuple) and any(isinstance(item, str) for item in value):
            for item in value:
                yield from (word, item)
        elif isinstance(value, list | tuple):
            yield from (word, ",".join(map(_text, value)))
        else:
            yield from (word, _text(value))


def _text(value: Any) -> str:
    if value == "\t":
        return "tab"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
