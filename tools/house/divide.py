"""Divide a module: definitions go to new modules, imports follow everywhere.

python divide.py [--ruff PATH] OLD NEW "What NEW is." NAME[,NAME...]

Constants keep the text below them. What the new module needs of the old one, and the old one of the
new, is imported; a cycle that this makes is left to be seen by the test of walls.
"""

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path

import follow


def undefined(ruff: str, path: Path) -> set[str]:
    """Names that a module uses and does not have."""
    command = [ruff, "check", "--select", "F821", "--output-format", "json", str(path)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    return {one["message"].split("`")[1] for one in found}


def header(path: Path) -> str:
    text = path.read_text("utf-8")
    lines = text.split("\n")
    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom | ast.If)]
    return "\n".join("\n".join(lines[n.lineno - 1 : n.end_lineno]) for n in nodes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ruff", default="ruff")
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("doc")
    parser.add_argument("names")
    options = parser.parse_args()
    old, new, names = follow.path_of(options.old), options.new, options.names.split(",")
    head = header(old)
    text = follow.cut(options.old, *names)
    path = follow.SOURCE.joinpath(*new.split(".")).with_suffix(".py")
    path.write_text(f'"""{options.doc}"""\n\n{head}\n\n\n{text}', "utf-8")
    follow.follow(f"{options.old}:{options.names}:{new}")
    for module, other, theirs in ((new, options.old, old), (options.old, new, path)):
        tops = {n for node in ast.parse(theirs.read_text("utf-8")).body for n in follow.names_of(node)}
        missing = undefined(options.ruff, follow.path_of(module))
        if wanted := missing & tops:
            follow.need(module, f"from tenfold.{other} import {', '.join(sorted(wanted))}")
            print(f"{module} imports of {other}: {', '.join(sorted(wanted))}")
        if rest := missing - tops:
            sys.exit(f"error: {module} lacks {', '.join(sorted(rest))}")
    for rule in ("F401", "I"):
        subprocess.run([options.ruff, "check", "--quiet", "--select", rule, "--fix", "."])
    subprocess.run([options.ruff, "format", "--quiet", "."])


if __name__ == "__main__":
    main()
