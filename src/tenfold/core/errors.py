"""One tree of errors, and how their messages are written.

TenfoldError
├── DataError       (ValueError)    examples, answers or files that do not fit
│   └── TargetError                 a table of which no column was chosen as the target
├── FormatError     (ValueError)    bytes that are not the file they claim to be
├── SettingsError   (ValueError)    settings outside their rule
├── ModelError      (ValueError)    a model file that cannot be trusted or used
├── ExportError     (RuntimeError)  a fitted learner that its graph does not repeat
├── RunError        (ValueError)    a run folder that is missing, unfinished or changed
├── BackendError    (RuntimeError)  Keras not on JAX, a wrong compiler, processes that do not live
├── FetchError      (OSError)       no mirror gave the file
└── FileError       (OSError)       the file system said no
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class TenfoldError(Exception):
    """Anything Tenfold refuses; its message is one line for a reader.

    Args:
      code: What is wrong, as a name that stays when the words change. docs/errors.md lists them.
      wrong: What is wrong in words, without a full stop.
      where: File, row or column it was found in.
      expected: The rule, as the words after "Expected".
      fix: What to do, one imperative sentence without its full stop.
      **facts: The values concerned, shown as `name=value`.

    Example:
      >>> print(FormatError("E301", "Too few bytes", where="a.idx", expected="784", n_bytes=12))
      Too few bytes: n_bytes=12 (a.idx). Expected 784.
    """

    code: str
    where: object
    facts: Mapping[str, object]

    def __init__(
        self,
        code: str,
        wrong: str,
        /,
        *,
        where: object = None,
        expected: str | None = None,
        fix: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message(wrong, where=where, expected=expected, fix=fix, **facts))
        self.code, self.where, self.facts = code, where, facts

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (type(self).__name__, self.code, str(self))


def restored(kind: str, code: str, text: str) -> TenfoldError:
    """An error that another process raised: its class by name, its code and its words."""
    classes = {known.__name__: known for known in _all_kinds(TenfoldError)}
    error = classes.get(kind, FileError).__new__(classes.get(kind, FileError))
    error.args = (text,)
    error.code, error.where, error.facts = code, None, {}
    return error


def _all_kinds(kind: type[TenfoldError]) -> Iterator[type[TenfoldError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_kinds(below)


class DataError(TenfoldError, ValueError):
    """Examples, answers or inputs that do not fit what is expected of them."""


class TargetError(DataError):
    """A table of which no column was chosen as the target.

    `likely` is the one of its columns whose name says that it is the target; None: no name does.
    """

    columns: tuple[str, ...] = ()
    likely: str | None = None


class FormatError(TenfoldError, ValueError):
    """A file whose bytes are not the format they should be."""


class SettingsError(TenfoldError, ValueError):
    """One or more settings outside their rule."""


class ModelError(TenfoldError, ValueError):
    """A model file that is damaged, foreign or not to be trusted."""


class ExportError(TenfoldError, RuntimeError):
    """A graph that does not answer like the learner it was made from."""


class RunError(TenfoldError, ValueError):
    """A run folder that is missing, unfinished or changed."""


class BackendError(TenfoldError, RuntimeError):
    """What computes cannot: Keras has another backend already, the compiler computes wrongly, or
    processes die again and again."""


class FetchError(TenfoldError, OSError):
    """No mirror of a dataset gave a file that is the published one."""


class FileError(TenfoldError, OSError):
    """The file system refused: missing, unwritable, full."""


def message(
    wrong: str,
    *,
    where: object = None,
    expected: str | None = None,
    fix: str | None = None,
    **facts: object,
) -> str:
    """Write an error in the one form all of them have; the parts are those of `TenfoldError`.

    Example:
      >>> message("Too few bytes", where="a.idx", expected="784", n_bytes=12)
      'Too few bytes: n_bytes=12 (a.idx). Expected 784.'
    """
    text = wrong
    if facts:
        text += ": " + ", ".join(f"{name}={value!r}" for name, value in facts.items())
    if where is not None:
        text += f" ({printable(where)})"
    text += "."
    if expected:
        text += f" Expected {expected}."
    if fix:
        text += f" {fix}" if fix.endswith("?") else f" {fix}."
    return text


def printable(name: object) -> str:
    """A name as text that UTF-8 can hold: bytes of a file name that are none stand as `\\udcff`."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The closest known name as a question, or None when nothing is close.

    Example:
      >>> did_you_mean("tutorail", ["default", "tutorial"])
      "Did you mean 'tutorial'?"
    """
    known = list(known)
    begun = [other for other in known if name and other.lower().startswith(name.lower())]
    close = begun[:1] or difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else None
