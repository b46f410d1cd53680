"""The commands a reader can type: to predict, to check, to make the same run again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tenfold.core.contract import Frozen
from tenfold.core.settings import Reading, Settings, flags_of
from tenfold.core.systems import quoted
from tenfold.runs.csv_files import EXAMPLE_INPUTS, EXAMPLE_ROWS
from tenfold.runs.record import Run


def commands(run: Run) -> list[tuple[str, str]]:
    """What to do and how, for the end of a report. Paths are relative to the folder of runs."""
    plain = f"{run.path.resolve().parent.name}/{run.path.resolve().name}"
    folder = quoted([plain])
    if run.model.contract.input.kind == "table":
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
    named = {"learner": record.learner, "recipe": record.recipe}
    if record.asked.keys() - flags_of(Settings):
        asked = ", ".join(f"{name}={value!r}" for name, value in (named | record.asked).items())
        return f"tenfold.train({source!r}, {asked})"
    return f"tenfold {train_words(source, named | record.asked, record.data.reading)}"


def train_words(source: str, settings: Mapping[str, Any], reading: Reading | None) -> str:
    """The command after the program's name that trains with these settings, quoted for a shell."""
    usual = {"learner": "network", "recipe": "default"}
    others = {name: value for name, value in settings.items() if usual.get(name) != value}
    words = [*flag_words(Settings, others)]
    if reading is not None:
        words += flag_words(Reading, reading.model_dump(exclude_defaults=True))
    return quoted(["train", source, *words])


def flag_words(model: type[Frozen], values: Mapping[str, Any]) -> Iterator[str]:
    """The words of a command line that ask for values of fields of `Settings` or `Reading`."""
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
