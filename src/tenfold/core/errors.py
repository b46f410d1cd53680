"""The exceptions of Tenfold, and the form of their messages.

TenfoldError
├── DataError       (ValueError)    examples, answers or files that cannot be used
│   └── TargetError                 no column of a table was chosen as the target
├── FormatError     (ValueError)    a file that is not in the expected format
├── SettingsError   (ValueError)    settings that are not valid
├── ModelError      (ValueError)    a model file that cannot be trusted or used
├── ExportError     (RuntimeError)  a graph that differs from the fitted learner
├── RunError        (ValueError)    a run folder that is missing, unfinished or changed
├── BackendError    (RuntimeError)  a wrong backend or compiler, or processes that keep dying
├── FetchError      (OSError)       a file that no mirror provided
└── FileError       (OSError)       an operation that the file system refused
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class TenfoldError(Exception):
    """The base class of all errors of Tenfold. The message is one line.

    Args:
      code: The code of the error, which stays when the wording changes. docs/errors.md lists all.
      wrong: What is wrong, in words and without a full stop.
      where: The file, row or column in which it was found.
      expected: The rule, as the words after "Expected".
      fix: What to do, as one imperative sentence without a full stop.
      **facts: The values in question, shown as `name=value`.

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
    """Restore an error of another process from the name of its class, its code and its message."""
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
    """Examples, answers or inputs cannot be used, or do not match the data or the model."""


class TargetError(DataError):
    """No column of a table was chosen as the target.

    `likely` is the column whose name suggests that it is the target. None: there is none.
    """

    columns: tuple[str, ...] = ()
    likely: str | None = None


class FormatError(TenfoldError, ValueError):
    """A file is not in the expected format."""


class SettingsError(TenfoldError, ValueError):
    """One or more settings are not valid."""


class ModelError(TenfoldError, ValueError):
    """A model file is damaged, foreign or not to be trusted."""


class ExportError(TenfoldError, RuntimeError):
    """A graph does not predict the same as the learner from which it was made."""


class RunError(TenfoldError, ValueError):
    """A run folder is missing, unfinished or changed."""


class BackendError(TenfoldError, RuntimeError):
    """The backend cannot compute: Keras already uses another one, the compiler computes wrong
    results, or processes keep dying."""


class FetchError(TenfoldError, OSError):
    """No mirror of a dataset provided the published file."""


class FileError(TenfoldError, OSError):
    """The file system refused an operation: the file is missing, not writable, or the disk is
    full."""


def message(
    wrong: str,
    *,
    where: object = None,
    expected: str | None = None,
    fix: str | None = None,
    **facts: object,
) -> str:
    """Format an error message. The parts are those of `TenfoldError`.

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
    """A name as text that UTF-8 can encode. Bytes of a file name that are not valid text are shown
    as `\\udcff`."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The closest known name as a question. None if no name is close.

    Example:
      >>> did_you_mean("tutorail", ["default", "tutorial"])
      "Did you mean 'tutorial'?"
    """
    known = list(known)
    begun = [other for other in known if name and other.lower().startswith(name.lower())]
    close = begun[:1] or difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else None
