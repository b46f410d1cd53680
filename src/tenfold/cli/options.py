"""The flags of commands, which are made from the fields of `Settings` and `Reading`, and the
question for a missing target."""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.columns import Columns

from tenfold.cli.terminal import SafeConsole
from tenfold.core.errors import TargetError, did_you_mean
from tenfold.core.settings import RECIPES, TABLE, Flag, Reading, Settings, checked, flags_of

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A name, a folder, or a file such as table.csv.")
]
ModelPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder or a model.onnx.", show_default=False)
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Use the Ray cluster at HOST:PORT, or 'local'."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Command = Callable[..., None]

VARYING = {
    "learner",
    *TABLE,
    *(name for learners in RECIPES.values() for changed in learners.values() for name in changed),
}
"""Settings whose default depends on the recipe or the data, so that the help does not name it."""


def takes_settings(*names: str, **defaults: Any) -> Callable[[Command], Command]:
    """Replace a command's parameter `settings`, a dictionary of the given settings, by flags.

    The settings are those named, or all that have a flag. `defaults` replaces some default values.
    """

    def decorate(command: Command) -> Command:
        def run(values: dict[str, Any], given: dict[str, Any]) -> None:
            command(settings=defaults | values, **given)

        options = [
            _Option(name, flag, Settings.model_fields[name], defaults.get(name))
            for name, flag in flags_of(Settings).items()
            if name in names or not names
        ]
        return _with_options(command, "settings", options, run)

    return decorate


def takes_reading(command: Command) -> Command:
    """Replace the parameter `reading` by the flags for reading a table.

    A command that finds no target asks the user for it and reads the table again.
    """
    options = [
        _Option(name, flag, Reading.model_fields[name], prefix="Table: ")
        for name, flag in flags_of(Reading).items()
    ]

    def run(values: dict[str, Any], given: dict[str, Any]) -> None:
        reading = checked(Reading, values)
        try:
            command(reading=reading, **given)
            return
        except TargetError as error:
            if not has_terminal():
                raise
            target = _ask(error)
        command(reading=reading.model_copy(update={"target": target}), **given)

    return _with_options(command, "reading", options, run)


def _with_options(
    command: Command,
    replaced: str,
    options: Sequence["_Option"],
    run: Callable[[dict[str, Any], dict[str, Any]], None],
) -> Command:
    """A command with options instead of one of its parameters.

    `run` is called with the values of the options and the other arguments.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        parameter
        for own in signature.parameters.values()
        for parameter in (
            [option.parameter() for option in options] if own.name == replaced else [own]
        )
    ]

    @wraps(command)
    def parsed(**given: Any) -> None:
        values = {option.name: option.parse(given.pop(option.flag.parameter)) for option in options}
        run({name: value for name, value in values.items() if value is not None}, given)

    vars(parsed)["__signature__"] = signature.replace(parameters=parameters)
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return parsed


@dataclass(frozen=True)
class _Option:
    """The flag of a field on the command line.

    The help begins with `prefix`, and names `default`, if given, instead of the field's own.
    """

    name: str
    flag: Flag
    field: FieldInfo
    default: Any = None
    prefix: str = ""

    @property
    def kinds(self) -> tuple[Any, ...]:
        return _kinds(self.field.annotation)

    def choices(self) -> list[str]:
        is_choice = len(self.kinds) == 1 and get_origin(self.kinds[0]) is Literal
        return list(get_args(self.kinds[0])) if is_choice else []

    def parameter(self) -> inspect.Parameter:
        """The keyword argument from which Typer makes the flag."""
        option = typer.Option(
            self._written(),
            metavar=self.flag.metavar,
            help=self._help(),
            autocompletion=self.choices if self.choices() else None,
        )
        return inspect.Parameter(
            self.flag.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_typed(self.kinds) | None, option],
        )

    def parse(self, given: Any) -> Any:
        """The value of the field from the text of the flag. None if the flag was not given."""
        if given is None or given == []:
            return None
        for kind in self.kinds:
            if get_origin(kind) is Literal and given in get_args(kind):
                return given
            if get_origin(kind) is dict:
                return _pairs(self.flag.word, given, _typed(_kinds(get_args(kind)[1])))
            if get_origin(kind) is tuple and isinstance(given, list):
                return tuple(given)
            if get_origin(kind) is tuple:
                number = _kinds(get_args(kind)[0])[0]
                return tuple(numbers(self.flag.word, given, number, self._example()) or ())
        return given

    def _written(self) -> str:
        word = self.flag.word
        if bool in self.kinds and self.field.default is None:
            return f"{word}/--no-{self.flag.name}"
        return word

    def _example(self) -> str:
        return str((self.field.examples or [""])[0])

    def _help(self) -> str:
        text = (self.field.description or "").replace("`", "'").removesuffix(".")
        if choices := self.choices():
            text += f". One of: {', '.join(choices)}"
        if example := self._example():
            text += f", as in {example}"
        default = self.field.default if self.default is None else self.default
        is_plain = isinstance(default, int | float | str) and not isinstance(default, bool)
        if is_plain and self.name not in VARYING:
            text += f" [default: {default}]"
        if not self.prefix:
            return f"{text}."
        return f"{self.prefix}{text[0].lower()}{text[1:]}."


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The types of a field other than None, without their bounds."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        members = [_kinds(member) for member in get_args(annotation)]
        return tuple(kind for kinds in members for kind in kinds if kind is not NoneType)
    return (annotation,)


def _typed(kinds: tuple[Any, ...]) -> Any:
    """The type as which the command line reads a value. Lists and choices are text, checked
    later."""
    if get_origin(kinds[0]) is dict or tuple[str, ...] in kinds:
        return list[str]
    return kinds[0] if kinds[0] in (bool, int, float) else str


def _pairs(word: str, given: Sequence[str], kind: Callable[[str], Any]) -> dict[str, Any]:
    pairs = [text.rpartition("=") for text in given]
    for text, (name, _, _) in zip(given, pairs, strict=True):
        if not name:
            raise typer.BadParameter(f"{word} {text!r}: expected NAME=VALUE")
    try:
        return {name: kind(value) for name, _, value in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"{word}: expected NAME=NUMBER") from error


def numbers(
    word: str, text: str | None, kind: Callable[[str], Any], example: str
) -> list[Any] | None:
    """The numbers of a flag such as `--layers 1,2,3`. None if it was not given."""
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{word} {text!r}: expected numbers such as {example}") from error


def has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(error: TargetError) -> str:
    """Ask the user for the column. Pressing Enter accepts the suggested one."""
    console = SafeConsole(stderr=True, highlight=False)
    console.print(f"Columns of {error.where}:", markup=False)
    console.print(Columns(error.columns, padding=(0, 3)), markup=False)
    while True:
        answer = typer.prompt("Which one is to be predicted?", default=error.likely, err=True)
        if answer in error.columns:
            return str(answer)
        hint = did_you_mean(answer, error.columns)
        console.print(f"No such column. {hint or ''}".rstrip(), markup=False)
