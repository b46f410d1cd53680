"""The flags of the command line are the fields of `Settings` and `Reading`, both ways."""

from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cli import main as cli
from tenfold.cli import options
from tenfold.core.settings import Reading, Settings, flags_of
from tenfold.report.commands import flag_words

WORDS = st.text("abc =,-.é", min_size=1).filter(lambda text: not text.startswith("-"))
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "learner": st.sampled_from(["cnn", "forest"]),
        "recipe": st.sampled_from(["fast", "long"]),
        "hidden": st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple),
        "epochs": st.integers(1, 500),
        "learning_rate": st.floats(1e-6, 100),
        "class_weights": st.just("balanced")
        | st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=4).map(tuple),
        "cost": st.dictionaries(
            st.sampled_from(["false_negative", "false_positive"]), st.floats(0.1, 9), min_size=1
        ),
        "positive": WORDS,
        "recall": st.floats(0.01, 1),
        "test_size": st.floats(0.01, 0.9),
        "folds": st.integers(2, 9),
        "robustness": st.just(True),
        "processes": st.integers(1, 3),
    },
)
READINGS = st.fixed_dictionaries(
    {},
    optional={
        "target": WORDS,
        "task": st.sampled_from(["classification", "regression"]),
        "columns": st.dictionaries(WORDS, st.sampled_from(["text", "number"]), min_size=1),
        "drop": st.lists(WORDS, min_size=1, max_size=3).map(tuple),
        "header": st.booleans(),
        "separator": st.sampled_from([";", "\t", "|"]),
        "time": WORDS,
    },
)


def heard(words: list[str]) -> dict[str, Any]:
    """What a command with all the flags is called with."""
    found: dict[str, Any] = {}

    @options.takes_settings()
    @options.takes_reading
    def command(data: options.Data, *, settings: dict[str, Any], reading: Reading) -> None:
        found.update(data=data, settings=settings, reading=reading)

    app = typer.Typer()
    app.command()(command)
    typer.main.get_command(app).main(["rows.csv", *words], standalone_mode=False)
    return found


@given(settings=SETTINGS, reading=READINGS)
def test_the_flags_that_a_report_writes_are_read_back(
    settings: dict[str, Any], reading: dict[str, Any]
) -> None:
    found = heard([*flag_words(Settings, settings), *flag_words(Reading, reading)])
    assert found == {"data": "rows.csv", "settings": settings, "reading": Reading(**reading)}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--hidden", "many"], "--hidden 'many': expected numbers such as 128,64"),
        (["--class-weights", "high"], "--class-weights 'high': expected numbers such as 1,20"),
        (["--cost", "false_negative"], "--cost 'false_negative': expected NAME=VALUE"),
        (["--cost", "false_negative=much"], "--cost: expected NAME=NUMBER"),
        (["--column", "text"], "--column 'text': expected NAME=VALUE"),
    ],
)
def test_words_that_are_no_value_are_usage(words: list[str], text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        heard(words)


def test_every_table_flag_is_one_of_each_command_that_reads_data() -> None:
    program = typer.main.get_command(cli.app)
    reading = {flag.parameter for flag in flags_of(Reading).values()}
    for words in (["train"], ["compare"], ["sweep"], ["data", "show"], ["data", "check"]):
        command = program
        for word in words:
            command = command.commands[word]  # type: ignore[attr-defined]
        assert reading <= {parameter.name for parameter in command.params}
