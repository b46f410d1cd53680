"""The command line: parse, call one function, print. Results on stdout, the rest on stderr."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

import tenfold
from tenfold import workflow
from tenfold.contract import KINDS, RECIPES, check_reading
from tenfold.data_commands import data_app
from tenfold.errors import TenfoldError
from tenfold.learners import LEARNERS
from tenfold.model import Model
from tenfold.network import prepare
from tenfold.runs import verify
from tenfold.terminal import (
    TerminalWatcher,
    answers,
    forecast_answers,
    print_answers,
    print_card,
    print_csv,
    print_json,
    print_scores,
    program_name,
)

app = typer.Typer(
    help="Turn labelled examples into a model you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(data_app)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def main() -> None:
    """Run the command line: 0 done, 1 a clear error, 2 usage, 130 Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except TenfoldError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    if version:
        print(f"tenfold {tenfold.__version__}")
        raise typer.Exit


@app.command()
def train(
    context: typer.Context,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A name, a folder, or a file such as table.csv.")
    ] = "mnist",
    learner: Annotated[str, typer.Option(help=f"One of: {', '.join(LEARNERS)}.")] = "network",
    recipe: Annotated[str, typer.Option(help=f"One of: {', '.join(RECIPES)}.")] = "default",
    hidden: Annotated[
        str | None, typer.Option(help="Neurons of each hidden layer, as in 128,64.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Times each row is seen.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size at the start.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides everything random [default: 0].")
    ] = None,
    test_size: Annotated[
        float | None, typer.Option(help="Share of the training part to test on instead.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(metavar="K", help="Also cross-validate, for the spread.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Table: the column to predict, by name or position.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Table: classification or regression.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND", help=f"Table: a column's kind: {', '.join(KINDS)}."),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Table: whether the first row holds names."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Table: the character between cells; 'tab' is one.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Table: train on the past, test on the future."),
    ] = None,
    lags: Annotated[
        int | None, typer.Option(help="Table: earlier values of the target as columns.")
    ] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="'balanced', or a number per label as in 1,20.")
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=N", help="What a false_negative or false_positive costs."),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="Of two labels the one that is looked for.")
    ] = None,
    recall: Annotated[
        float | None, typer.Option(help="Share of it to find, for the precision it leaves.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with this run, with the settings it has."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train, measure and keep a model: one new run folder."""
    given = _given(context)
    if resume is not None:
        _check_alone(given)
    if resume is not None or learner == "network":
        prepare()
    try:
        with TerminalWatcher() as watcher:
            if resume is not None:
                own = data if "data" in given else None
                run = tenfold.resume(resume, own, watcher=watcher)
            else:
                run = tenfold.train(
                    data,
                    learner=learner,
                    recipe=recipe,
                    hidden=None if hidden is None else _widths(hidden),
                    epochs=epochs,
                    batch_size=batch_size,
                    learning_rate=learning_rate,
                    seed=seed,
                    test_size=test_size,
                    folds=folds,
                    class_weights=None if class_weights is None else _weights(class_weights),
                    cost=_numbers("--cost", cost),
                    positive=positive,
                    recall=recall,
                    reading=check_reading(
                        target=target,
                        task=task,
                        columns=_pairs("--column", column),
                        header=header,
                        separator="\t" if separator in ("tab", "\\t") else separator,
                        time=time,
                        lags=lags,
                    ),
                    out=out,
                    watcher=watcher,
                )
    except workflow.Interrupted as interrupted:
        _say_interrupted(interrupted.run)
        raise
    if as_json:
        evaluation = run.evaluation.model_dump(mode="json")
        print(
            json.dumps({"run": str(run.path), "state": run.record.state, "evaluation": evaluation})
        )
    else:
        print_card(run)


@app.command()
def evaluate(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Other data than the run's own.", show_default=False),
    ] = None,
) -> None:
    """Measure a run's model again, or on other data."""
    print_scores(tenfold.evaluate(run, data))


@app.command()
def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder or a model.onnx.", show_default=False),
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT...", help="Pictures, IDX files, or CSV of rows.", show_default=False
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only the K best labels.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Draw what the model saw.")] = False,
    no_fit: Annotated[
        bool, typer.Option("--no-fit", help="Take pictures as they are, not fitted to the box.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100_000, help="Forecast the next N rows instead."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Say what inputs are, and how surely."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    if bool(inputs) == bool(steps):
        raise typer.BadParameter("expected either inputs or --steps")
    model = Model.open(run)
    answered = (
        forecast_answers(model, steps) if steps else answers(model, inputs or [], fitted=not no_fit)
    )
    printer = print_json if as_json else print_csv if as_csv else print_answers
    if not printer(model, answered, top, show):
        raise typer.Exit(1)


@app.command("verify")
def verify_command(run: RunFolder) -> None:
    """Check that a run folder is as it was made and answers as it did."""
    checked = verify(run)
    print(
        f"{run}: {checked['files']} files unchanged, {checked['examples']} examples answered alike."
    )


def _given(context: typer.Context) -> set[str]:
    """The parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _check_alone(given: set[str]) -> None:
    if others := given - {"resume", "data", "as_json"}:
        flags = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in others))
        raise typer.BadParameter(f"--resume takes the settings of the run: leave out {flags}")


def _say_interrupted(run: tenfold.Run) -> None:
    kept = ", ".join(run.record.files) or "nothing but run.json"
    print(f"tenfold: interrupted. {run.path} keeps: {kept}.", file=sys.stderr)
    print(f"tenfold: go on with: {program_name()} train --resume {run.path}", file=sys.stderr)


def _pairs(flag: str, given: list[str] | None) -> dict[str, str]:
    pairs = [text.rpartition("=") for text in given or ()]
    if wrong := [text for text, (name, _, _) in zip(given or (), pairs, strict=True) if not name]:
        raise typer.BadParameter(f"{flag} {wrong[0]!r}: expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _numbers(flag: str, given: list[str] | None) -> dict[str, float] | None:
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


if __name__ == "__main__":
    main()
