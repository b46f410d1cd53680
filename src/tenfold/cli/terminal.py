"""The terminal: streams that data cannot control, and the name of the program."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tenfold.core.files import os_errors
from tenfold.core.systems import is_program
from tenfold.core.text import escape_controls

WARNING = "yellow"
"""The style of warnings. Terminals with a light background show it darker."""


class SafeStream:
    """A text stream that writes control characters as escapes, and otherwise is the given stream.

    If the stream cannot be written, except for a closed pipe, a `FileError` is raised, and nothing
    more is written to it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.plain = stream

    @property
    def rich_proxied_file(self) -> TextIO:
        """The file to which Rich writes, because its colours are not part of the data."""
        return self.plain

    def write(self, text: str) -> int:
        with self._errors():
            self.plain.write(escape_controls(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._errors():
            self.plain.flush()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader has closed the pipe
            raise
        except OSError:
            with suppress(OSError):  # otherwise the interpreter would flush it again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.plain.fileno())
            with os_errors("write", str(self.plain.name)):
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class SafeConsole(Console):
    """Rich's console, with control characters shown as escapes."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else escape_controls(segment.text)
            yield segment._replace(text=text)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Use safe streams in this block."""
    with ExitStack() as stack:
        if sys.stdout is not None:
            stack.enter_context(redirect_stdout(cast(TextIO, SafeStream(sys.stdout))))
        if sys.stderr is not None:
            stack.enter_context(redirect_stderr(cast(TextIO, SafeStream(sys.stderr))))
        yield


def output_for_programs() -> TextIO:
    """Standard output. If it is not a terminal, it keeps every character of the data."""
    plain: TextIO = getattr(sys.stdout, "plain", sys.stdout)
    return sys.stdout if plain.isatty() else plain


def program_name() -> str:
    """The program as the user can type it: its name if that is on the path, or else the way it was
    called."""
    called, installed = Path(sys.argv[0]), shutil.which("tenfold")
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m tenfold"
    return "tenfold" if installed and is_program(called, Path(installed)) else str(called)
