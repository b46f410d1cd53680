"""The flags of `tenfold train`, and what their words mean to `tenfold.train`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.core.contract import KINDS
from tenfold.core.settings import RECIPES, Reading, check_reading
from tenfold.learners import LEARNERS

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A name, a folder, or a file such as table.csv.")
]
Learner = Annotated[
    str,
    typer.Option(help=f"One of: {', '.join(LEARNERS)}.", autocompletion=lambda: list(LEARNERS)),
]
Recipe = Annotated[
    str, typer.Option(help=f"One of: {', '.join(RECIPES)}.", autocompletion=lambda: list(RECIPES))
]
Hidden = Annotated[str | None, typer.Option(help="Neurons of each hidden layer, as in 128,64.")]
Epochs = Annotated[int | None, typer.Option(help="Times each row is seen.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows per step.")]
LearningRate = Annotated[float | None, typer.Option(help="Step size at the start.")]
Seed = Annotated[int | None, typer.Option(help="Decides everything random [default: 0].")]
TestSize = Annotated[
    float | None, typer.Option(help="Share of the training part to test on instead.")
]
Folds = Annotated[
    int | None, typer.Option(metavar="K", help="Also cross-validate, for the spread.")
]
Target = Annotated[
    str | None, typer.Option(help="Table: the column to predict, by name or position.")
]
Task = Annotated[str | None, typer.Option(help="Table: classification or regression.")]
ColumnKinds = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=KIND", help=f"Table: a column's kind: {', '.join(KINDS)}."),
]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="Table: whether the first row holds names."),
]
Separator = Annotated[
    str | None, typer.Option(help="Table: the character between cells; 'tab' is one.")
]
Time = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Table: train on the past, test on the future."),
]
LagCount = Annotated[
    int | None, typer.Option(help="Table: earlier values of the target as columns.")
]
ClassWeights = Annotated[
    str | None, typer.Option(help="'balanced', or a number per label as in 1,20.")
]
Cost = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=N", help="What a false_negative or false_positive costs."),
]
Positive = Annotated[str | None, typer.Option(help="Of two labels the one that is looked for.")]
Recall = Annotated[
    float | None, typer.Option(help="Share of it to find, for the precision it leaves.")
]
Robust = Annotated[
    bool | None,
    typer.Option("--robustness", help="Also measure on changed rows: moved, turned, noisy, ..."),
]
Processes = Annotated[
    int | None, typer.Option(metavar="N", help="Processes that train one network together.")
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Work on a Ray cluster: 'local', or its HOST:PORT."),
]
Out = Annotated[Path, typer.Option(help="Where run folders are made.")]
Resume = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Go on with this run, with the settings it has.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

PLAIN = (
    "learner", "recipe", "epochs", "batch_size", "learning_rate", "seed", "test_size", "folds",
    "positive", "recall", "robustness", "processes", "out",
)  # fmt: skip
"""Flags that `tenfold.train` takes as they are."""


def settings_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `tenfold.train`, beside the data, that flags ask for.

    Raises:
      typer.BadParameter: Text that is not written as its flag wants it.
      SettingsError: Values of a table outside their rule.
    """
    hidden, weights = flags["hidden"], flags["class_weights"]
    return {name: flags[name] for name in PLAIN} | {
        "hidden": None if hidden is None else _widths(hidden),
        "class_weights": None if weights is None else _weights(weights),
        "cost": _numbers("--cost", flags["cost"]),
        "reading": reading_of(flags),
    }


def reading_of(flags: Mapping[str, Any]) -> Reading:
    """How a table is to be read, by its flags.

    Raises:
      SettingsError: Values outside their rule.
    """
    separator = flags["separator"]
    names = ("target", "task", "header", "time", "lags")
    return check_reading(
        columns=_pairs("--column", flags["column"]),
        separator="\t" if separator in ("tab", "\\t") else separator,
        **{name: flags[name] for name in names},
    )


def _pairs(flag: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = [text.rpartition("=") for text in given or ()]
    if wrong := [text for text, (name, _, _) in zip(given or (), pairs, strict=True) if not name]:
        raise typer.BadParameter(f"{flag} {wrong[0]!r}: expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _numbers(flag: str, given: Sequence[str] | None) -> dict[str, float] | None:
    try:
        return {name: float(value) for name, value in _pairs(flag, given).items()} or None
    except ValueError as error:
        raise typer.BadParameter(f"{flag}: expected NAME=NUMBER") from error


def _weights(text: str) -> str | tuple[float, ...]:
    try:
        return text if text == "balanced" else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"--class-weights {text!r}: expected 'balanced' or numbers such as 1,20"
        ) from error


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--hidden {text!r}: expected numbers such as 128,64") from error


def numbers(flag: str, text: str | None, kind: type[int] | type[float]) -> list[Any] | None:
    """The numbers of a flag such as `--layers 1,2,3`; None where it was not given."""
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError as error:
        example = "1,2" if kind is int else "0.001,0.003"
        raise typer.BadParameter(f"{flag} {text!r}: expected numbers such as {example}") from error
