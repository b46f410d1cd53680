"""ES modules in one script: a file opened from disk cannot import others."""

import re
from collections.abc import Sequence
from importlib.resources.abc import Traversable

IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";\n', re.M)
EXPORT = re.compile(r"^export ((?:class|const|function) (\w+))", re.M)


def inlined(modules: Sequence[Traversable]) -> str:
    """One script of several modules, each in a scope of its own, in an order that imports need.

    Args:
      modules: Files of which each imports by name from earlier ones only:
        `import { a, b } from "./other.js";`, and exports declarations: `export function a() {`.

    Raises:
      ValueError: A module that imports or exports in another way.
    """
    parts = []
    for module in modules:
        text = module.read_text("utf-8")
        name = module.name.removesuffix(".js")
        exported = ", ".join(match[2] for match in EXPORT.finditer(text))
        body = EXPORT.sub(r"\1", IMPORT.sub(r"const \1 = \2_js;\n", text))
        if wrong := re.search(r"^(import|export)\b.*", body, re.M):
            raise ValueError(f"{module.name}: {wrong[0]!r} cannot be inlined")
        parts.append(f"const {name}_js = (() => {{\n{body}return {{ {exported} }};\n}})();\n")
    return "".join(parts)
