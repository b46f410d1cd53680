"""The pages of errors, read from the places in the source that raise them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tenfold

SOURCE = Path(tenfold.__file__).parent

ABOUT = {
    1: "Settings and the command line",
    2: "Tables",
    3: "Pictures and other files of numbers",
    4: "Datasets",
    5: "Models and their inputs",
    6: "Learning, calibration and evaluation",
    7: "Runs, exports and reports",
    8: "Trainings: one, folds and sweeps",
    9: "The machine, the network and the service",
}
"""First digit of a code to what its errors are about."""


@dataclass(frozen=True)
class RaisedError:
    """One place of the source that raises an error.

    Attributes:
      code: Such as "E203".
      kind: Name of the class.
      wrong: What its message says; what differs from time to time is an ellipsis.
      expected: The rule that it names, or nothing.
      fix: What it says to do, or nothing.
      module: Dotted name of the module.
    """

    code: str
    kind: str
    wrong: str
    expected: str
    fix: str
    module: str


def raised_errors() -> Iterator[RaisedError]:
    """Every error that the source raises, in the order of files and lines."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        module = path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".")
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and is_code(call.args):
                code, wrong = call.args[0], call.args[1]
                assert isinstance(code, ast.Constant)
                said = {word.arg: _text(word.value, tree) for word in call.keywords}
                yield RaisedError(
                    str(code.value),
                    ast.unparse(call.func),
                    _text(wrong, tree),
                    said.get("expected", ""),
                    said.get("fix", ""),
                    module.removesuffix(".__init__"),
                )


@cache
def by_code() -> dict[str, list[RaisedError]]:
    """The places that raise each code."""
    errors: dict[str, list[RaisedError]] = {}
    for error in sorted(raised_errors(), key=lambda error: error.code):
        errors.setdefault(error.code, []).append(error)
    return errors


def page() -> str:
    """Every code with its class, what it says, and the rule it names."""
    errors = [places[0] for places in by_code().values()]
    lines = [
        "# Errors\n",
        "A code says what is wrong and stays when the words change. The command line prints it at "
        "the end of the line; in Python it is `error.code`, beside `error.facts` and "
        "`error.where`. An ellipsis stands for what differs. Each code has a page of its own.",
    ]
    for digit, about in ABOUT.items():
        lines.append(
            f"\n## {about}\n\n| code | class | what is wrong | expected |\n|---|---|---|---|"
        )
        for error in errors:
            if error.code[1] == str(digit):
                code = f"[`{error.code}`](errors/{error.code}.md)"
                cells = code, f"`{error.kind}`", error.wrong, error.expected
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def page_of(places: list[RaisedError]) -> str:
    """What one code means, what to do, and which modules raise it."""
    first = places[0]
    about = ABOUT[int(first.code[1])]
    lines = [
        # In no table of contents: Furo prints the whole of it on each page of the site, and 275
        # more entries made `make docs` take 104 s of processor instead of 43 s.
        "---\norphan: true\n---\n",
        f"# {first.code}\n",
        f"**{first.wrong}.**\n",
        f"`{first.kind}`, one of the errors about: {about[0].lower()}{about[1:]}.",
    ]
    rules = {error.expected: None for error in places if error.expected.strip("…")}
    fixes = {error.fix: None for error in places if error.fix.strip("…")}
    for title, texts in (("What is expected", rules), ("What to do", fixes)):
        if texts:
            lines += [f"\n## {title}\n", *(f"- {text[0].upper()}{text[1:]}." for text in texts)]
    modules = sorted({error.module for error in places})
    lines += [
        "\n## In Python\n",
        f"```python\ntry:\n    ...\nexcept tenfold.TenfoldError as error:\n"
        f'    if error.code == "{first.code}":  # the words may change, the code does not\n'
        "        print(error.where, dict(error.facts))\n```\n",
        f"Raised in {', '.join(f'`tenfold.{module}`' for module in modules)}. "
        "[All errors](../errors.md)",
    ]
    return "\n".join(lines) + "\n"


def write_pages(folder: Path) -> None:
    """Write the page of each code into `folder`."""
    folder.mkdir(exist_ok=True)
    for code, places in by_code().items():
        (folder / f"{code}.md").write_text(page_of(places), "utf-8")


def is_code(arguments: list[ast.expr]) -> bool:
    """Whether the first argument of a call is the code of an error."""
    return (
        len(arguments) > 1
        and isinstance(arguments[0], ast.Constant)
        and re.fullmatch(r"E\d{3}", str(arguments[0].value)) is not None
    )


def _text(words: ast.expr, tree: ast.Module) -> str:
    """The words of an argument; those of a variable are looked up where it is assigned."""
    if isinstance(words, ast.Constant):
        return str(words.value)
    if isinstance(words, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in words.values
        )
    if isinstance(words, ast.Name):
        said = {
            _text(node.value, tree)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and any(isinstance(name, ast.Name) and name.id == words.id for name in node.targets)
            and isinstance(node.value, (ast.Constant, ast.JoinedStr))
        }
        return " / ".join(sorted(said)) or "…"
    return "…"
