"""`tenfold compare` and `tenfold sweep`: their flags, the view of all trials, the tables."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from tenfold.cli import options
from tenfold.cli.output import program_name
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch, TrialResult
from tenfold.core.settings import Reading, Settings, flags_of
from tenfold.evaluation import in_unit
from tenfold.experiments.ray import RayCluster
from tenfold.experiments.sweeps import (
    Group,
    Sweep,
    SweepInterrupted,
    compare,
    sweep,
)
from tenfold.learners import is_used
from tenfold.report import ordinal
from tenfold.report.commands import train_words

MAX_SHOWN = 20
"""Settings that are listed after a sweep, best first; the CSV has all."""

WIDE = 200
"""Columns of text where nobody says how many there are."""

Seeds = Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each, for the spread.")]
FirstSeed = Annotated[int, typer.Option(help="Of the split and of the first training.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Processes of one thread [default: one for each core]."),
]
SweepOut = Annotated[Path, typer.Option(help="Where its folder is made, or found again.")]


class TerminalSweepListener(Listener, AbstractContextManager["TerminalSweepListener"]):
    """Every trial that runs as a bar, every one that ended as a line; elsewhere failures alone."""

    STAGES = {"test": "Measuring on the test rows", "report": "Drawing the report"}

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._all: TaskID | None = None
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> "TerminalSweepListener":
        self._progress.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._progress.stop()
        if isinstance(error, SweepInterrupted):
            done = f"{error.n_ended} of {error.n_trials} trials have ended in {error.path}"
            self.warn(f"interrupted: {done}; the same command goes on")

    def trials(self, folder: Path, n_trials: int, n_ended: int) -> None:
        if self._all is None:
            self._all = self._progress.add_task(str(folder), total=n_trials, score="")
            if n_ended:
                self._console.print(f"{folder}: {n_ended} of {n_trials} trials are there already")
        self._progress.update(self._all, total=n_trials, completed=n_ended)

    def trial_started(self, name: str) -> None:
        self._forget(name)
        self._running[name] = self._progress.add_task(f"  {name}", total=None, score="")

    def trial_epoch(self, name: str, epoch: Epoch, n_epochs: int) -> None:
        score = epoch.val_loss if epoch.accuracy is None else epoch.val_accuracy
        text = "" if score is None else f"{score:.4f}"
        self._progress.update(
            self._running[name], total=n_epochs, completed=epoch.epoch, score=text
        )

    def trial_ended(self, name: str, result: TrialResult) -> None:
        self._forget(name)
        if self._all is not None:
            self._progress.advance(self._all)
        if self._console.is_terminal:
            score = result.state if result.score is None else f"{result.score:.4f}"
            seconds = "" if result.seconds is None else f"{result.seconds:.1f} s"
            self._console.print(f"{name}  {score}  {seconds}", markup=False)

    def stage(self, name: str) -> None:
        if self._all is not None:
            self._progress.update(self._all, description=self.STAGES[name])

    def warn(self, text: str) -> None:
        self._console.print(f"tenfold: {text}", soft_wrap=True, markup=False)

    def _forget(self, name: str) -> None:
        if name in self._running:
            self._progress.remove_task(self._running.pop(name))


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
    tried: dict[str, Any] = {
        "hidden": options.numbers("--hidden", hidden, int, "32,64"),
        "layers": options.numbers("--layers", layers, int, "1,2"),
        "learning_rate": options.numbers("--learning-rate", learning_rate, float, "0.001,0.003"),
        "batch_size": options.numbers("--batch-size", batch_size, int, "64,128"),
        "dropout": options.numbers("--dropout", dropout, float, "0,0.2"),
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
            workers=workers,
            executor=_executor(cluster, workers),
            listener=listener,
            **tried,
            **settings,
        )
    if as_json:
        evaluation = done.best.evaluation.model_dump(mode="json")
        print(json.dumps(_plain(done) | {"best": str(done.best.path), "evaluation": evaluation}))
    else:
        _print_sweep(done)


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
            workers=workers,
            executor=_executor(cluster, workers),
            listener=listener,
            **settings,
        )
    if as_json:
        places = [place.model_dump(mode="json") for place in done.places]
        print(json.dumps(_plain(done) | {"places": places}))
    else:
        _print_comparison(done)


def _executor(cluster: str | None, workers: int | None) -> RayCluster | None:
    return None if cluster is None else RayCluster(cluster, workers)


def _plain(done: Sweep) -> dict[str, Any]:
    settings = [
        {**group.point, "mean": group.mean, "deviation": group.deviation,
         "seeds": len(group.rows), "seconds": group.training_seconds,
         "parameters": group.parameters}
        for group in done.groups
    ]  # fmt: skip
    return {
        "path": str(done.path), "state": done.record.state, "findings": done.findings,
        "settings": settings,
    }  # fmt: skip


def _print_sweep(done: Sweep) -> None:
    columns = list(done.groups[0].point)
    regression = done.best.evaluation.task == "regression"
    score = "RMSE" if regression else "accuracy"
    table = _table([*columns, f"validation {score}", "sd", "training", "parameters"])
    for group in done.groups[:MAX_SHOWN]:
        cells = [str(value) for value in group.point.values()]
        table.add_row(*map(Text, [*cells, *_scores(group), _seconds(group.training_seconds),
                                  f"{group.parameters:,}"]))  # fmt: skip
    _print(table)
    if len(done.groups) > MAX_SHOWN:
        print(f"and {len(done.groups) - MAX_SHOWN} more settings in sweep.csv")
    for line in done.findings:
        print(line)
    evaluation = done.best.evaluation
    if evaluation.task == "regression":
        print(f"test rows          RMSE {evaluation.rmse.in_unit}")
    else:
        print(f"test rows          accuracy {evaluation.accuracy}")
    _print_end(done)
    print(f"best run           {done.best.path}")
    print(f"next               {program_name()} report {done.best.path} --open")


def _print_comparison(done: Sweep) -> None:
    table = _table(
        ["learner", "validation", "sd", "test rows [95%]", "beside the first", "training",
         "10,000 answers", "MB", "parameters"]
    )  # fmt: skip
    for place, group in zip(done.places, done.groups, strict=True):
        test = str(place.test) if abs(place.test.high) <= 1 else place.test.in_unit
        p = "" if place.p_value is None else f" (p {place.p_value:.2g})"
        cells = [
            place.learner, *_scores(group), test, place.verdict + p, _seconds(place.seconds),
            _seconds(place.predict_seconds), f"{place.n_bytes / 1e6:.1f}", f"{place.parameters:,}",
        ]  # fmt: skip
        table.add_row(*map(Text, cells))
    _print(table)
    for line in done.findings:
        print(line)
    _print_end(done)
    print(f"next               {program_name()} {_next(done)}")


def _next(done: Sweep) -> str:
    """The command that trains the first of a comparison on the same data."""
    data, learner = done.record.data, done.places[0].learner
    asked = {
        name: value
        for name, value in done.record.asked["fixed"].items()
        if name in flags_of(Settings) and name != "recipe" and is_used(name, learner)
    }
    return train_words(data.source or data.name, {"learner": learner, **asked}, data.reading)


def _print_end(done: Sweep) -> None:
    record = done.record
    bad = [row for row in done.rows if row.state != "finished"]
    if bad:
        print(f"without a model    {', '.join(f'{row.run.name} ({row.state})' for row in bad)}")
    place = f"the {ordinal(record.test_opened)} model in {done.path.parent} measured on them"
    print(f"opened             the test rows, for {place}")
    print(f"table              {done.path / f'{record.kind}.csv'}")
    print(f"report             {done.path / 'report.html'}")


def _table(names: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        left = name in ("learner", "test rows [95%]", "beside the first")
        table.add_column(Text(name), justify="left" if left else "right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    # A file or a pipe has no width of its own: nothing is cut there.
    width = None if Console().is_terminal else WIDE
    Console(highlight=False, width=width).print(table)


def _scores(group: Group) -> tuple[str, str]:
    mean = f"{group.mean:.4f}" if abs(group.mean) <= 1 else in_unit(group.mean)
    return mean, "" if group.deviation is None else f"{group.deviation:.2g}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
