"""What the program knows of itself, as pages: commands, settings, the API, and JSON Schemas.

Pages are written while the documentation is built and are never stored, so none can go stale. The
schemas are a promise: they are stored under docs/schema, and a test compares them.
`python -m docs.reference` writes them anew.
"""

import json
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter
from typer.testing import CliRunner

import tenfold
from docs import error_codes
from tenfold.cli import main as cli
from tenfold.core.contract import Contract, Frozen
from tenfold.core.records import Audit, Checks
from tenfold.core.settings import RECIPES, Settings
from tenfold.evaluation import AnyEvaluation
from tenfold.evaluation.checks import CHECKS
from tenfold.evaluation.column_effects import ColumnEffects
from tenfold.evaluation.learning_curve import LearningCurve
from tenfold.evaluation.robustness import Robustness
from tenfold.experiments.sweeps.plan import SweepSettings
from tenfold.runs.record import Record

SCHEMAS: dict[str, Any] = {
    "run": Record,
    "contract": Contract,
    "evaluation": AnyEvaluation,
    "audit": Audit,
    "robustness": Robustness,
    "learning_curve": LearningCurve,
    "checks": Checks,
    "columns": ColumnEffects,
}
"""Name of a file under docs/schema to what it describes."""

WIDTH = "96"


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, groups before their own."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, (*words, name))

    return below(typer.main.get_command(cli.app), ("tenfold",))


def help_of(words: tuple[str, ...]) -> str:
    """What `--help` prints for a command."""
    os.environ["TERMINAL_WIDTH"] = WIDTH
    done = CliRunner(env={"COLUMNS": WIDTH}).invoke(
        cli.app, [*words[1:], "--help"], prog_name=words[0]
    )
    if done.exit_code:
        raise RuntimeError(f"{' '.join(words)} --help: exit {done.exit_code}: {done.output}")
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


def commands_page() -> str:
    """Every command with its help."""
    parts = ["# Commands\n\nAs each of them says it itself, with `--help`.\n"]
    for words in commands():
        parts.append(f"## `{' '.join(words)}`\n\n```text\n{help_of(words)}\n```\n")
    return "\n".join(parts)


def settings_page() -> str:
    """Every setting: its type and limits, default and meaning; and what each recipe changes."""
    lines = [
        "# Settings\n",
        "Everything that decides a fit: fields of `tenfold.core.settings.Settings`, arguments of "
        "`tenfold.train`, and `config` in `run.json`. A recipe, and a table instead of pictures, "
        "change some of the defaults: see below, and `config` of a run has them all.\n",
        *_fields_of(Settings),
        "\n## Sweeps\n",
        "`tenfold.sweep` takes these beside the settings of its trainings, `tenfold.compare` "
        "`seeds` and `seed`.\n",
        *_fields_of(SweepSettings),
    ]
    lines += ["\n## Recipes\n", "| recipe | learner | what it changes |\n|---|---|---|"]
    for recipe, learners in RECIPES.items():
        for learner, changed in learners.items():
            given = ", ".join(f"`{name}` {value}" for name, value in changed.items())
            lines.append(f"| `{recipe}` | `{learner}` | {given or 'nothing'} |")
    return "\n".join(lines) + "\n"


def _fields_of(model: type[Frozen]) -> Iterator[str]:
    """A table of the fields of a model."""
    yield "| setting | values | default | what it does |\n|---|---|---|---|"
    for name, schema in model.model_json_schema()["properties"].items():
        default = json.dumps(schema.get("default"))
        cells = f"`{name}`", _rule(schema), f"`{default}`", schema["description"]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rule(schema: dict[str, Any]) -> str:
    """Values that a JSON Schema allows, in a few words."""
    if "anyOf" in schema:
        return " or ".join(_rule(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    kind = {"null": "none", "integer": "whole number", "array": "numbers", "object": "names"}
    name = str(schema.get("type", "any"))
    text = kind.get(name, name)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None:
        above = "above " if "exclusiveMinimum" in schema else ""
        below = "below " if "exclusiveMaximum" in schema else ""
        text += f", {above}{low:,}" + (f" to {below}{high:,}" if high is not None else " or more")
    return text


def api_page() -> str:
    """Every public name with its docstring."""
    lines = [
        "# Python\n",
        "```{eval-rst}\n.. currentmodule:: tenfold\n```\n",
        "Everything below is `tenfold.NAME`. A test holds that this is all that is public.\n",
    ]
    for name in sorted(tenfold.__all__, key=lambda name: (name[0].isupper(), name)):
        value = getattr(tenfold, name)
        lines.append(f"## {name}\n")
        if not isinstance(value, type):
            lines.append(f"```{{eval-rst}}\n.. autofunction:: tenfold.{name}\n```\n")
        else:
            members = ", ".join(_own_members(value))
            option = f"\n   :members: {members}" if members else ""
            lines.append(f"```{{eval-rst}}\n.. autoclass:: tenfold.{name}{option}\n```\n")
    return "\n".join(lines)


def _own_members(value: type) -> list[str]:
    """Public methods and properties that Tenfold wrote, not those of scikit-learn or pydantic."""
    found: dict[str, Any] = {}
    for parent in reversed(value.__mro__):
        if parent.__module__.startswith("tenfold."):
            found |= vars(parent)
    return sorted(
        name
        for name, member in found.items()
        if not name.startswith("_")
        and getattr(member, "__doc__", None)
        and (
            isinstance(member, (property, classmethod, cached_property))
            or getattr(member, "__module__", "").startswith("tenfold.")
        )
    )


def checks_page() -> str:
    """Every check with its title, and the pages of each."""
    lines = ["# Checks\n", "Every training is checked. What is found stands below its scores, in "]
    lines[-1] += "the report and in `checks.json`, with a code that keeps its meaning.\n"
    lines.append("```{toctree}\n" + "\n".join(f"check-{code}" for code in CHECKS) + "\n```\n")
    return "\n".join(lines)


def check_page(code: str) -> str:
    """What a check is about, when it is found, and what to do then."""
    kind = CHECKS[code]
    return f"# {code}: {kind.title}\n\n{kind.when}\n\n## What to do\n\n{kind.advice}\n"


def write_pages(folder: Path) -> None:
    """Write the five pages into `folder`, and one for each error and each check."""
    folder.mkdir(exist_ok=True)
    for name, page in (
        ("commands", commands_page()),
        ("settings", settings_page()),
        ("python", api_page()),
        ("errors", error_codes.page()),
        ("checks", checks_page()),
        *((f"check-{code}", check_page(code)) for code in CHECKS),
    ):
        (folder / f"{name}.md").write_text(page, "utf-8")
    error_codes.write_pages(folder / "errors")


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one of `SCHEMAS`."""
    schema = TypeAdapter(SCHEMAS[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def main() -> None:
    """Write the schemas."""
    for name in SCHEMAS:
        path = Path(__file__).parent / "schema" / f"{name}.schema.json"
        path.write_text(json.dumps(schema_of(name), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
