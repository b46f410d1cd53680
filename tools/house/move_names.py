"""Rewrite imports of names that moved from one module to another; definitions move by hand.

python move_names.py [--ruff PATH] OLD_MODULE:NAME[,NAME...]:NEW_MODULE[:NEW_NAME]...
"""

import argparse
import ast
import re
import subprocess
from pathlib import Path


def rewrite(text: str, moves: dict[tuple[str, str], tuple[str, str]]) -> str:
    tree = ast.parse(text)
    data = text.encode()
    lines = data.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    edits = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if not any((node.module, alias.name) in moves for alias in node.names):
            continue
        groups: dict[str, list[str]] = {}
        for alias in node.names:
            module, name = moves.get((node.module, alias.name), (node.module, alias.name))
            kept = f"{name} as {alias.asname}" if alias.asname else name
            groups.setdefault(module, []).append(kept)
        new = [f"from {module} import {', '.join(names)}" for module, names in groups.items()]
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        before = lines[node.lineno - 1][: node.col_offset].decode()
        edits.append((start, end, f"\n{before}".join(new)))
    parts, at = [], 0
    for start, end, new_text in sorted(edits):
        parts += [data[at:start].decode(), new_text]
        at = end
    text = "".join([*parts, data[at:].decode()])
    for (module, name), (to, as_name) in moves.items():
        text = re.sub(rf"\b{re.escape(module)}\.{name}\b", f"{to}.{as_name}", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ruff", default="ruff")
    parser.add_argument("moves", nargs="+")
    options = parser.parse_args()
    moves = {}
    for one in options.moves:
        old, names, new, *renamed = one.split(":")
        for name in names.split(","):
            moves[f"tenfold.{old}", name] = (f"tenfold.{new}", renamed[0] if renamed else name)
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.ipynb"], check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        path = Path(name)
        if name == "CHANGELOG.md" or not path.is_file():
            continue
        text = path.read_text("utf-8")
        new_text = text
        if name.endswith(".py"):
            new_text = rewrite(text, moves)
        else:
            for (module, word), (to, as_word) in moves.items():
                new_text = re.sub(rf"\b{re.escape(module)}\.{word}\b", f"{to}.{as_word}", new_text)
        if new_text != text:
            path.write_text(new_text, "utf-8")
            print(name)
    for command in (["check", "--quiet", "--select", "I", "--fix", "."], ["format", "--quiet", "."]):
        subprocess.run([options.ruff, *command], check=True)


if __name__ == "__main__":
    main()
