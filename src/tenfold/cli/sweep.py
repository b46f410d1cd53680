"""`tenfold compare` and `tenfold sweep`: their flags."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.cli import options
from tenfold.cli.leaderboard import as_plain, print_comparison, print_sweep
from tenfold.cli.progress import TerminalSweepListener
from tenfold.core.settings import Reading
from tenfold.experiments.ray import RayCluster
from tenfold.experiments.sweeps import compare, sweep

Seeds = Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each, for the spread.")]
FirstSeed = Annotated[int, typer.Option(help="Of the split and of the first training.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Processes of one thread [default: one for each core]."),
]
SweepOut = Annotated[Path, typer.Option(help="Where its folder is made, or found again.")]


@options.takes_settings("recipe", "epochs", "test_size", recipe="default")
@options.takes_reading
def sweep_command(
    data: options.Data = "mnist",
    *,
    hidden: Annotated[
        str | None, typer.Option(help="Neurons in a layer to try [default: 32,64,128,256].")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Numbers of hidden layers to try [default: 1,2].")
    ] = None,
    learning_rate: Annotated[str | None, typer.Option(help="Rates to try.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Rows per step to try.")] = None,
    dropout: Annotated[str | None, typer.Option(help="Shares of dropout to try.")] = None,
    settings: dict[str, Any],
    seeds: Seeds = 1,
    seed: FirstSeed = 0,
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Trainings at most, drawn from the grid."),
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Let Optuna choose, between smallest and largest.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(metavar="N", min=0.0, help="Begin no training after this time.")
    ] = None,
    reading: Reading,
    workers: Workers = None,
    cluster: options.Cluster = None,
    out: SweepOut = Path("runs"),
    as_json: options.AsJson = False,
) -> None:
    """Try neurons, layers and rates: what each bought, and what it cost."""
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
        print(json.dumps(as_plain(done) | {"best": str(done.best.path), "evaluation": evaluation}))
    else:
        print_sweep(done)


@options.takes_settings("recipe", "epochs", "test_size", recipe="fast")
@options.takes_reading
def compare_command(
    data: options.Data = "mnist",
    *,
    learners: Annotated[
        str | None, typer.Option(help="Which, as in network,forest [default: all that can].")
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
    """Train several learners on the same rows: which is better, by how much, at what cost."""
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
        print(json.dumps(as_plain(done) | {"places": places}))
    else:
        print_comparison(done)


def _one_or_several(values: list[Any] | None) -> Any:
    """One value is a setting of all trainings; several are tried."""
    return values[0] if values and len(values) == 1 else values
