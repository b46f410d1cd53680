"""The tables that `tenfold sweep` and `tenfold compare` print."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tenfold.cli.card import program_name
from tenfold.core.settings import Settings, flags_of
from tenfold.core.text import in_unit, ordinal
from tenfold.experiments.sweeps import PointResult, Sweep
from tenfold.learners import is_used
from tenfold.report.commands import train_words

MAX_SHOWN = 20
"""Settings that are listed after a sweep, best first; the CSV has all."""

WIDE = 200
"""Columns of text where nobody says how many there are."""


def as_plain(done: Sweep) -> dict[str, Any]:
    """What `--json` prints of a sweep or a comparison."""
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


def print_sweep(done: Sweep) -> None:
    """The settings of a sweep, best first, and what they bought."""
    columns = list(done.points[0].point)
    evaluation = done.best.evaluation
    validation = f"validation {evaluation.score_name}"
    table = _table([*columns, validation, "sd", "training", "parameters"])
    for result in done.points[:MAX_SHOWN]:
        cells = [str(value) for value in result.point.values()]
        cells += [*_scores(result), _seconds(result.training_seconds), f"{result.parameters:,}"]
        table.add_row(*map(Text, cells))
    _print(table)
    if len(done.points) > MAX_SHOWN:
        print(f"and {len(done.points) - MAX_SHOWN} more settings in sweep.csv")
    for line in done.findings:
        print(line)
    print(f"test rows          {evaluation.headline}")
    _print_end(done)
    print(f"best run           {done.best.path}")
    print(f"next               {program_name()} report {done.best.path} --open")


def print_comparison(done: Sweep) -> None:
    """The learners of a comparison, best first."""
    table = _table(
        [
            "learner",
            "validation",
            "sd",
            "test rows [95%]",
            "beside the first",
            "training",
            "10,000 answers",
            "MB",
            "parameters",
        ]
    )
    for entry, result in zip(done.leaderboard, done.points, strict=True):
        test = str(entry.test) if abs(entry.test.high) <= 1 else entry.test.in_unit
        p = "" if entry.p_value is None else f" (p {entry.p_value:.2g})"
        cells = [
            entry.learner,
            *_scores(result),
            test,
            entry.verdict + p,
            _seconds(entry.seconds),
            _seconds(entry.predict_seconds),
            f"{entry.n_bytes / 1e6:.1f}",
            f"{entry.parameters:,}",
        ]
        table.add_row(*map(Text, cells))
    _print(table)
    for line in done.findings:
        print(line)
    _print_end(done)
    print(f"next               {program_name()} {_next(done)}")


def _next(done: Sweep) -> str:
    """The command that trains the first of a comparison on the same data."""
    data, learner = done.record.data, done.leaderboard[0].learner
    asked = {
        name: value
        for name, value in done.record.asked["fixed"].items()
        if name in flags_of(Settings) and name != "recipe" and is_used(name, learner)
    }
    return train_words(data.source or data.name, {"learner": learner, **asked}, data.reading)


def _print_end(done: Sweep) -> None:
    record = done.record
    without_model = [trial for trial in done.trials if trial.state != "finished"]
    if without_model:
        names = ", ".join(f"{trial.run.name} ({trial.state})" for trial in without_model)
        print(f"without a model    {names}")
    count = f"the {ordinal(record.test_opened)} model in {done.path.parent} measured on them"
    print(f"opened             the test rows, for {count}")
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


def _scores(result: PointResult) -> tuple[str, str]:
    mean = f"{result.mean:.4f}" if abs(result.mean) <= 1 else in_unit(result.mean)
    return mean, "" if result.deviation is None else f"{result.deviation:.2g}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
