"""`tenfold compare` and `tenfold sweep`: their flags, and the tables that they print."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from tenfold.cli import options
from tenfold.cli.card import uses_of_test_rows
from tenfold.cli.progress import TerminalSweepListener
from tenfold.cli.terminal import SafeConsole, program_name
from tenfold.core.settings import Reading, Settings, flags_of
from tenfold.evaluation import MEASURES, Measure
from tenfold.experiments.ray import RayCluster
from tenfold.experiments.sweeps import PointResult, Sweep, compare, sweep
from tenfold.learners import is_used
from tenfold.report.commands import train_words

Seeds = Annotated[
    int, typer.Option(metavar="N", min=1, help="How often to train each, with another seed.")
]
FirstSeed = Annotated[int, typer.Option(help="The seed of the split and of the first training.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="The number of processes [default: one for each core]."),
]
MAX_SHOWN = 20
"""Number of settings listed after a sweep, best first. The CSV file contains all."""

WIDE = 200
"""Width of the text if the width of the terminal is unknown."""

SweepOut = Annotated[
    Path, typer.Option(help="The folder in which its folder is created or continued.")
]


@options.takes_settings("recipe", "epochs", "test_size", recipe="default")
@options.takes_reading
def sweep_command(
    data: options.Data = "mnist",
    *,
    hidden: Annotated[
        str | None, typer.Option(help="Numbers of neurons per layer [default: 32,64,128,256].")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Numbers of hidden layers [default: 1,2].")
    ] = None,
    learning_rate: Annotated[str | None, typer.Option(help="Learning rates to try.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Batch sizes to try.")] = None,
    dropout: Annotated[str | None, typer.Option(help="Dropout rates to try.")] = None,
    settings: dict[str, Any],
    seeds: Seeds = 1,
    seed: FirstSeed = 0,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Train at most N models, drawn from the grid."),
    ] = None,
    search: Annotated[
        bool,
        typer.Option("--search", help="Let Optuna choose between the smallest and the largest."),
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(metavar="N", min=0.0, help="Begin no training after N minutes.")
    ] = None,
    reading: Reading,
    workers: Workers = None,
    cluster: options.Cluster = None,
    out: SweepOut = Path("runs"),
    as_json: options.AsJson = False,
) -> None:
    """Train many networks and find the best settings."""
    rates = options.numbers("--learning-rate", learning_rate, float, "0.001,0.003")
    tried: dict[str, Any] = {
        "hidden": options.numbers("--hidden", hidden, int, "32,64"),
        "layers": options.numbers("--layers", layers, int, "1,2"),
        "learning_rate": _one_or_several(rates),
        "batch_size": _one_or_several(options.numbers("--batch-size", batch_size, int, "64,128")),
        "dropout": _one_or_several(options.numbers("--dropout", dropout, float, "0,0.2")),
    }
    with TerminalSweepListener() as listener:
        done = sweep(
            data,
            seeds=seeds,
            seed=seed,
            trials=trials,
            search=search,
            minutes=minutes,
            reading=reading,
            out=out,
            workers=workers if cluster is None else RayCluster(cluster, workers),
            listener=listener,
            **tried,
            **settings,
        )
    if as_json:
        evaluation = done.best.evaluation.model_dump(mode="json")
        print(json.dumps(_as_plain(done) | {"best": str(done.best.path), "evaluation": evaluation}))
    else:
        _print_sweep(done)


@options.takes_settings("recipe", "epochs", "test_size", recipe="fast")
@options.takes_reading
def compare_command(
    data: options.Data = "mnist",
    *,
    learners: Annotated[
        str | None, typer.Option(help="Learners, as in network,forest [default: all that fit].")
    ] = None,
    settings: dict[str, Any],
    seeds: Seeds = 1,
    seed: FirstSeed = 0,
    reading: Reading,
    workers: Workers = None,
    cluster: options.Cluster = None,
    out: SweepOut = Path("runs"),
    as_json: options.AsJson = False,
) -> None:
    """Train several learners and say which is better."""
    names = None if learners is None else [name.strip() for name in learners.split(",")]
    with TerminalSweepListener() as listener:
        done = compare(
            data,
            learners=names,
            seeds=seeds,
            seed=seed,
            reading=reading,
            out=out,
            workers=workers if cluster is None else RayCluster(cluster, workers),
            listener=listener,
            **settings,
        )
    if as_json:
        places = [entry.model_dump(mode="json") for entry in done.leaderboard]
        print(json.dumps(_as_plain(done) | {"places": places}))
    else:
        _print_comparison(done)


def _one_or_several(values: list[Any] | None) -> Any:
    """A single value is a setting of all trainings; several values are tried."""
    return values[0] if values and len(values) == 1 else values


def _as_plain(done: Sweep) -> dict[str, Any]:
    settings = [
        {
            **result.point,
            "mean": result.mean,
            "deviation": result.deviation,
            "seeds": len(result.trials),
            "seconds": result.training_seconds,
            "parameters": result.parameters,
        }
        for result in done.points
    ]
    return {
        "path": str(done.path),
        "state": done.record.state,
        "findings": done.findings,
        "settings": settings,
    }


def _print_sweep(done: Sweep) -> None:
    evaluation = done.best.evaluation
    settings = [name.replace("_", " ") for name in done.points[0].point]
    validation = f"validation {evaluation.score_name}"
    table = _table([*settings, validation, "sd", "training", "parameters"])
    measure = MEASURES[done.record.data.kind]
    for result in done.points[:MAX_SHOWN]:
        cells = [str(value) for value in result.point.values()]
        cells += [
            *_scores(result, measure),
            _seconds(result.training_seconds),
            f"{result.parameters:,}",
        ]
        table.add_row(*map(Text, cells))
    _print(table)
    if len(done.points) > MAX_SHOWN:
        print(f"and {len(done.points) - MAX_SHOWN} more settings in sweep.csv")
    _print_findings(done)
    print(f"test rows          {evaluation.headline}")
    _print_end(done)
    print(f"best run           {done.best.path}")
    print(f"next               {program_name()} report {done.best.path} --open")


def _print_comparison(done: Sweep) -> None:
    scores = _table(["learner", "validation", "test rows [95%]", "versus the first"])
    costs = _table(
        ["learner", "training", "predict 10,000", "MB", "parameters", "sd of validation"]
    )
    measure = MEASURES[done.record.data.kind]
    for entry, result in zip(done.leaderboard, done.points, strict=True):
        p = "" if entry.p_value is None else f" (p {entry.p_value:.2g})"
        mean, deviation = _scores(result, measure)
        words = (entry.learner, mean, measure.shown(entry.test), entry.verdict + p)
        scores.add_row(*map(Text, words))
        cells = [
            entry.learner,
            _seconds(entry.seconds),
            _seconds(entry.predict_seconds),
            f"{entry.n_bytes / 1e6:.1f}",
            f"{entry.parameters:,}",
            deviation,
        ]
        costs.add_row(*map(Text, cells))
    _print(scores)
    print()
    _print(costs)
    _print_findings(done)
    _print_end(done)
    print(f"next               {program_name()} {_next(done)}")


def _next(done: Sweep) -> str:
    """The command that trains the first learner of a comparison on the same data."""
    data, learner = done.record.data, done.leaderboard[0].learner
    asked = {
        name: value
        for name, value in done.record.asked["fixed"].items()
        if name in flags_of(Settings) and name != "recipe" and is_used(name, learner)
    }
    settings = {"learner": learner, **asked}
    return train_words(data.source or data.name, settings, data.reading, default=None)


def _print_findings(done: Sweep) -> None:
    """Print the findings, one sentence each, between empty lines."""
    print("\n" + "\n".join(done.findings) + "\n")


def _print_end(done: Sweep) -> None:
    record = done.record
    without_model = [trial for trial in done.trials if trial.state != "finished"]
    if without_model:
        names = ", ".join(f"{trial.run.name} ({trial.state})" for trial in without_model)
        print(f"without a model    {names}")
    print(f"test rows          {uses_of_test_rows(record.test_opened, done.path.parent)}")
    print(f"table              {done.path / f'{record.kind}.csv'}")
    print(f"report             {done.path / 'report.html'}")


def _table(names: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        left = name in ("learner", "test rows [95%]", "versus the first")
        # On a narrow terminal, names wrap at spaces, but a number is never cut.
        table.add_column(Text(name), justify="left" if left else "right", vertical="bottom")
    return table


def _print(table: Table) -> None:
    # A file or a pipe has no width, so nothing is cut there.
    width = None if SafeConsole().is_terminal else WIDE
    SafeConsole(highlight=False, width=width).print(table)


def _scores(result: PointResult, measure: Measure) -> tuple[str, str]:
    deviation = "" if result.deviation is None else measure.number(result.deviation)
    return measure.number(result.mean), deviation


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
