"""The column to predict: asked for on a terminal where none is named."""

import sys
from collections.abc import Callable
from typing import TypeVar

import typer
from rich.columns import Columns
from rich.console import Console

from tenfold.core.errors import TargetError, did_you_mean
from tenfold.core.settings import Reading

T = TypeVar("T")


def with_target(command: Callable[[Reading], T], reading: Reading) -> T:
    """Run a command that reads a table; ask for its target where none was named.

    Args:
      command: Reads the table first; it is run again once the target is known.
      reading: How the table is read.

    Raises:
      TargetError: No target was named, and there is no terminal to ask on.
    """
    try:
        return command(reading)
    except TargetError as error:
        if not has_terminal():
            raise
        target = _ask(error)
    return command(reading.model_copy(update={"target": target}))


def has_terminal() -> bool:
    """Whether somebody can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(error: TargetError) -> str:
    """The column that the reader names; Enter takes the likely one."""
    console = Console(stderr=True, highlight=False)
    console.print(f"Columns of {error.where}:", markup=False)
    console.print(Columns([_printed(name) for name in error.columns], padding=(0, 3)), markup=False)
    while True:
        answer = typer.prompt("Which one is to be predicted?", default=error.likely, err=True)
        if answer in error.columns:
            return str(answer)
        hint = did_you_mean(answer, error.columns)
        console.print(f"No such column. {hint or ''}".rstrip(), markup=False)


def _printed(name: str) -> str:
    """A name without characters that a terminal obeys."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
