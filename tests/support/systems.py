"""What other systems lack of Python's own library, and an environment in which Tenfold lacks it.

Which names each system has, typeshed says, which comes with mypy.
"""

import ast
import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import mypy

import tenfold

STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"
SOURCE = Path(tenfold.__file__).parent
ELSEWHERE = Path(__file__).parent / "elsewhere"
MODULES = ("os", "select", "signal", "socket", "subprocess", "sys", "time")
"""Modules of which some names differ."""


@cache
def names(path: Path, platform: str) -> frozenset[str]:
    """The names that a module has on a system; none where the system has no such module."""
    found = _names(ast.parse(path.read_text("utf-8")).body, platform)
    return frozenset(name for name in found if not name.startswith("_"))


def _names(lines: Iterable[ast.stmt], platform: str) -> Iterator[str]:
    there = SimpleNamespace(platform=platform, version_info=sys.version_info)
    for line in lines:
        if isinstance(line, ast.If):
            test = compile(ast.Expression(line.test), "stub", "eval")
            chosen = line.body if eval(test, {"sys": there}) else line.orelse
            yield from _names(chosen, platform)
        elif isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield line.name
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            yield line.target.id
        elif isinstance(line, ast.Assign):
            yield from (target.id for target in line.targets if isinstance(target, ast.Name))
        elif isinstance(line, ast.ImportFrom):
            yield from (alias.asname for alias in line.names if alias.asname)


def stub(module: str) -> Path:
    path = STUBS / f"{module}.pyi"
    return path if path.exists() else STUBS / module / "__init__.pyi"


def lacking(platform: str) -> tuple[list[str], dict[str, list[str]]]:
    """The modules that a system lacks beside Linux, and the names that others lack there."""
    absent = [
        path.stem
        for path in sorted(STUBS.glob("*.pyi"))
        if names(path, "linux") and not names(path, platform) and not path.stem.startswith("_")
    ]
    return absent, {
        module: sorted(names(stub(module), "linux") - names(stub(module), platform))
        for module in MODULES
    }


def environment(platform: str, folder: Path) -> dict[str, str]:
    """An environment whose Pythons are to Tenfold as on another system, and work in a folder."""
    modules, absent = lacking(platform)
    about = {
        "platform": platform,
        "source": f"{SOURCE}{os.sep}",
        "folder": str(folder.resolve()),
        "modules": modules,
        "names": absent,
    }
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ELSEWHERE), str(SOURCE.parent)]),
        "PYTHONWARNDEFAULTENCODING": "1",  # PEP 597
        "TENFOLD_CACHE": str(folder / "cache"),
        "TENFOLD_ELSEWHERE": json.dumps(about),
    }
