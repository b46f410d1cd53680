"""Report usage errors like all other errors: in one line, with a code."""

import re
import sys
from typing import Any, cast

import typer

from tenfold.core.errors import SettingsError
from tenfold.core.settings import plain_rule

UsageError = cast(type[Any], typer.BadParameter.__base__)
"""Typer's exception for usage errors, which has no public name."""


def run(app: typer.Typer) -> int:
    """Run the requested command. Returns the exit code."""
    try:
        status = typer.main.get_command(app)(standalone_mode=False)
    except typer.Abort:
        print("tenfold: there was no answer, so nothing was done", file=sys.stderr)
        return 1
    except UsageError as error:
        text = error.format_message()
        if "\n" in text.strip() and text == error.ctx.get_help():  # only the name was typed
            print(text, file=sys.stderr)
        else:
            refused = _refused(text, error.ctx)
            print(f"tenfold: {refused} [{refused.code}]", file=sys.stderr)
        return 2
    return status if isinstance(status, int) else 0


def _refused(text: str, context: Any) -> SettingsError:
    text = " ".join(text.removeprefix("Invalid value: ").split())
    text = re.sub(
        r"^Invalid value for '(\S+)': (Input should be .*?)\.?$",
        lambda found: f"{found[1]} must be {plain_rule(found[2])}",
        text,
    )
    wrong, _, question = text.partition(" Did you mean ")
    path = context.command_path if context else "tenfold"
    fix = f"Did you mean {question}" if question else f"Run '{path} --help' to see what it takes"
    return SettingsError("E107", wrong.removesuffix("."), fix=fix)
