"""The commits that follow the move, one by one, in the root of a clean checkout of it.

python follow.py [--ruff PATH] [--python PATH] [--from N] [--to N]

Definitions are cut out of one module and put into another, and imports follow everywhere. A step
that cannot find what it is to change stops with an error and leaves what it did in the working
folder: mend it, commit it, and go on with `--from`.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import move_names

HERE = Path(__file__).resolve().parent
SOURCE = Path("src/tenfold")
DESIGN = "docs/design/index.md"
WALLS = "tests/system/test_wings.py"


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return str(done.stdout)


# What a step is made of


def path_of(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def segment(text: str, name: str) -> tuple[int, int]:
    """First and last line (from 0, after the end) of a top-level definition, with its decorators,
    the comment above it and the string below it that says what it is."""
    body = ast.parse(text).body
    for i, node in enumerate(body):
        if name not in names_of(node):
            continue
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        last = node.end_lineno or 0
        following = body[i + 1] if i + 1 < len(body) else None
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and following.lineno == last + 1
        ):
            last = following.end_lineno or 0
        return first, last
    sys.exit(f"error: no definition of {name}")


def names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    flat = [part for t in targets for part in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [target.id for target in flat if isinstance(target, ast.Name)]


def cut(module: str, *names: str) -> str:
    """Take definitions out of a module; returns their text."""
    path, parts = path_of(module), []
    for name in names:
        lines = path.read_text("utf-8").split("\n")
        first, last = segment("\n".join(lines), name)
        parts.append("\n".join(lines[first:last]))
        path.write_text("\n".join(lines[:first] + lines[last:]), "utf-8")
    return "\n\n\n".join(parts) + "\n"


def write(module: str, head: str, definitions: str = "") -> None:
    """A new module."""
    path = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
    if path.exists():
        sys.exit(f"error: {path} is there already")
    path.write_text(head + ("\n\n" + definitions if definitions else ""), "utf-8")


def append(module: str, definitions: str) -> None:
    path = path_of(module)
    path.write_text(path.read_text("utf-8").rstrip("\n") + "\n\n\n" + definitions, "utf-8")


def need(module: str, line: str) -> None:
    """Import something at the top of a module; ruff puts it in its place."""
    path = path_of(module)
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    first = next(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    lines = text.split("\n")
    lines.insert(first.lineno - 1, line)
    path.write_text("\n".join(lines), "utf-8")


def substitute(file: str | Path, *pairs: tuple[str, str]) -> None:
    path = Path(file)
    text = path.read_text("utf-8")
    for old, new in pairs:
        if old not in text:
            sys.exit(f"error: {path}: not found: {old!r}")
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def replace(module: str, name: str, new: str) -> None:
    """Another text for a definition."""
    path = path_of(module)
    lines = path.read_text("utf-8").split("\n")
    first, last = segment("\n".join(lines), name)
    path.write_text("\n".join(lines[:first] + new.rstrip("\n").split("\n") + lines[last:]), "utf-8")


def follow(*moves: str) -> None:
    """Imports of names that moved: OLD:NAMES:NEW[:NEW_NAME], everywhere."""
    table = {}
    for one in moves:
        old, names, new, *renamed = one.split(":")
        for name in names.split(","):
            table[f"tenfold.{old}", name] = (f"tenfold.{new}", renamed[0] if renamed else name)
    for name in run("git", "ls-files", "*.py", "*.md", "*.ipynb").splitlines():
        path = Path(name)
        if name == "CHANGELOG.md" or not path.is_file():
            continue
        text = path.read_text("utf-8")
        if name.endswith(".py"):
            new_text = move_names.rewrite(text, table)
        else:
            new_text = text
            for (module, word), (to, as_word) in table.items():
                new_text = re.sub(rf"\b{re.escape(module)}\.{word}\b", f"{to}.{as_word}", new_text)
        if new_text != text:
            path.write_text(new_text, "utf-8")


# The steps


def graph_check() -> None:
    """What a graph may be is known to the model, not to what builds it

    The inference path imported the whole exporter, and with it every learner, for one set of names.
    """
    operators = cut("build.onnx", "OPERATORS")
    checks = cut(
        "model.model", "_check_graph", "_promised_inputs", "_promised_outputs", "_signature"
    )
    alias = cut("model.model", "Signature").rstrip("\n")
    write(
        "model.onnx_check",
        '"""Whether a graph is one that Tenfold writes: its operators, its weights, its signature."""'
        "\n\nimport onnx\n\n"
        "from tenfold.core.contract import Contract, ImageInput, TableInput\n"
        "from tenfold.core.errors import ModelError, message\n\n"
        f"{operators}\n{alias}\n"
        '"""Name, type of elements and shape of one row, of an input or output."""\n',
        checks,
    )
    head = "(proto: onnx.ModelProto, contract: Contract, where: object) -> None:\n"
    substitute(
        path_of("model.onnx_check"),
        (
            f"def _check_graph{head}",
            f"def check_graph{head}"
            '    """Refuse a graph of other operators, with weights elsewhere, or unlike its contract.'
            '\n\n    Raises:\n      ModelError: It is one of these.\n    """\n',
        ),
    )
    substitute(path_of("model.model"), ("    _check_graph(", "    check_graph("))
    substitute(path_of("build.onnx"), ('__all__ = ["OPERATORS", ', "__all__ = ["))
    substitute(path_of("build.onnx.builder"), ("in `OPERATORS`", "in `onnx_check.OPERATORS`"))
    need("model.model", "from tenfold.model.onnx_check import check_graph")
    follow("build.onnx:OPERATORS:model.onnx_check")
    substitute(WALLS, ('    ("model/model.py", "build"),\n', ""))
    substitute(
        DESIGN, ("the only inference path;", "the only inference path; `onnx_check`, what a graph may be;")
    )


def interval_width() -> None:
    """The width of an interval stands below model and calibration

    A forecast needs it as calibration does, and imported what builds models for it.
    """
    function = cut("build.calibration", "conformal_half_width").replace(
        "    _check_lengths(true=len(y), predicted=len(answers))\n",
        "    if len(y) != len(answers):\n"
        "        raise DataError(\n            message(\n"
        '                "Lengths differ",\n'
        '                expected="one of each per row",\n'
        "                true=len(y),\n                predicted=len(answers),\n"
        "            )\n        )\n",
    )
    write(
        "core.conformal",
        '"""How wide an interval around an answer must be, from the errors of rows that nobody fitted'
        ' to."""\n\nimport numpy as np\nfrom numpy.typing import ArrayLike\n\n'
        "from tenfold.core.errors import DataError, message\n",
        function,
    )
    follow("build.calibration:conformal_half_width:core.conformal")
    substitute(WALLS, ('    ("model/forecast.py", "build"),\n', ""))
    substitute(DESIGN, ("`html_repr`: values", "`conformal`: widths of intervals; `html_repr`: values"))


def graph_walk() -> None:
    """An export no longer imports the page

    Which nodes lead to an output is asked by both, and now stands with the model.
    """
    write(
        "model.onnx_graph",
        '"""What the nodes of a model\'s graph depend on."""\n\nimport onnx\n',
        cut("report.network_page.network", "leading_to"),
    )
    need("report.network_page.network", "from tenfold.model.onnx_graph import leading_to")
    substitute(
        path_of("report.network_page"), ("Unable, leading_to, ", "Unable, "), ('    "leading_to",\n', "")
    )
    follow(
        "report.network_page:leading_to:model.onnx_graph",
        "report.network_page.network:leading_to:model.onnx_graph",
    )
    substitute(WALLS, ('    ("runs/export/keras.py", "report"),\n', ""))
    substitute(DESIGN, ("what a graph may be;", "what a graph may be; `onnx_graph`;"))


def csv_rows() -> None:
    """Answers as rows of CSV stand with the model

    A cluster caught what the command line prints; now both write the same rows.
    """
    constants = cut("runs.record", "FORMULA_STARTS", "PLAIN_NUMBER").replace("\n\n\n", "\n")
    functions = cut("runs.record", "harmless", "as_written", "_is_formula", "number_text", "write_csv")
    write(
        "core.csv_cells",
        '"""Cells of the CSV files that Tenfold writes: harmless in a spreadsheet, exact as numbers."""'
        "\n\nimport csv\nimport io\nimport re\nfrom collections.abc import Iterable, Sequence\n"
        "from pathlib import Path\n\nfrom tenfold.core import files\n\n" + constants,
        functions,
    )
    need(
        "runs.record",
        "from tenfold.core.csv_cells import as_written, harmless, number_text, write_csv",
    )
    follow("runs.record:harmless,as_written,number_text,write_csv:core.csv_cells")
    for name in ("answer_files", "csv_form"):
        write(f"model.{name}", (HERE / "files" / f"{name}.py").read_text("utf-8"))
    for name in ("answers", "print_csv"):
        replace("cli.output", name, (HERE / "files" / f"output_{name}.py").read_text("utf-8"))
    need("cli.output", "from tenfold.model.answer_files import Found, answer_files")
    need("cli.output", "from tenfold.model.csv_form import csv_head, csv_row")
    replace("experiments.ray", "_printed", (HERE / "files" / "ray_table.py").read_text("utf-8"))
    substitute(path_of("experiments.ray"), ("_printed(", "_table("))
    need("experiments.ray", "from tenfold.model.answer_files import answer_files")
    need("experiments.ray", "from tenfold.model.csv_form import csv_head, csv_row")
    substitute(
        WALLS,
        (
            'BACKWARD = {\n    ("experiments/ray.py", "cli"),\n}\n',
            "BACKWARD: set[tuple[str, str]] = set()\n",
        ),
    )
    substitute(
        DESIGN,
        ("widths of intervals;", "widths of intervals; `csv_cells`: cells as we write them;"),
        ("`json_form`,", "`answer_files`, `json_form`, `csv_form`,"),
    )


def training_records() -> None:
    """Rows and records of a training stand below it

    The steps of a training and what is made of them imported each other. What the run folder and
    the terminal read of a training moves to core/records.py, what is handed to it to types.py.
    Results of bench-accuracy get the hash of the same code in its new place.
    """
    examples = cut("learners.training.base", "Examples")
    epoch = cut("learners.training.base", "Epoch")
    layer = cut("learners.architectures", "Layer").replace("class Layer:", "class LayerRow:")
    write(
        "learners.training.types",
        '"""What is handed to a training."""\n\nfrom typing import NamedTuple\n\n'
        "import numpy as np\nfrom numpy.typing import NDArray\n",
        examples,
    )
    write(
        "core.records",
        '"""What is told of a training while it runs, and stored of it."""\n\n'
        "from dataclasses import dataclass\n",
        f"{layer}\n\n{epoch}",
    )
    need("learners.training.base", "from tenfold.core.records import Epoch")
    need("learners.training.base", "from tenfold.learners.training.types import Examples")
    need("learners.architectures", "from tenfold.core.records import LayerRow")
    steps = path_of("learners.training.steps")
    substitute(
        steps,
        ("\nif TYPE_CHECKING:\n    from tenfold.learners.training.base import Examples\n", ""),
        ('examples: "Examples"', "examples: Examples"),
    )
    need("learners.training.steps", "from tenfold.learners.training.types import Examples")
    follow(
        "learners.training.base:Epoch:core.records",
        "learners.training:Epoch:core.records",
        "learners.training.base:Examples:learners.training.types",
        "learners.architectures:Layer:core.records:LayerRow",
    )
    substitute(
        path_of("learners.training"),
        ("from tenfold.core.records import Epoch\n", ""),
        ('"Epoch", ', ""),
    )
    for path in [*SOURCE.rglob("*.py"), *Path("tests").rglob("*.py")]:
        text = path.read_text("utf-8")
        if "LayerRow" in text:
            new = re.sub(r"(?<=[\[ ])Layer(?=[\](])", "LayerRow", text)
            path.write_text(re.sub(r"isinstance\((\w+), Layer\)", r"isinstance(\1, LayerRow)", new))
    here = '    "learners/training/convolution.py",\n'
    substitute("bench/accuracy.py", (here, f'{here}    "learners/training/types.py",\n'))
    substitute(
        WALLS,
        (
            'CYCLES = {("learners/training/base.py", "learners/training/steps.py")}\n',
            "CYCLES: set[tuple[str, ...]] = set()\n",
        ),
    )
    old = "`html_repr`: values in Jupyter"
    substitute(DESIGN, (old, f"{old}; `records`: what a training leaves in numbers"))


def features() -> None:
    """Features are made where inputs are read

    Calibration asked the learners for them.
    """
    write(
        "inputs.features",
        '"""Pictures and encoded tables as the columns of features that classical learners see."""\n\n'
        "from typing import Any\n\nimport numpy as np\nfrom numpy.typing import NDArray\n\n"
        + cut("learners.fitted", "PIXEL"),
        cut("learners.fitted", "features"),
    )
    follow("learners.fitted:features,PIXEL:inputs.features")
    substitute(DESIGN, ("`columns`, `encoder` |", "`columns`, `encoder`; `features` |"))


def watcher() -> None:
    """Who watches a run stands below learners and data

    A learner knew the audit of a dataset, for the type of one argument.
    """
    text = cut("data.audit", "LabelCount", "Finding", "Audit", "_percent")
    text = text.replace("_percent(", "percent(").replace(
        "def percent(share: float) -> str:\n",
        'def percent(share: float) -> str:\n    """A share from 0 to 1 for people."""\n',
    )
    append("core.records", text)
    substitute(
        path_of("core.records"),
        (
            "What is told of a training while it runs, and stored of it.",
            "What is told of data and of a training while it runs, and stored of both.",
        ),
    )
    for line in (
        "from collections.abc import Iterator", "from typing import Literal",
        "from tenfold.core.contract import Frozen",
    ):  # fmt: skip
        need("core.records", line)
    audit = path_of("data.audit")
    audit.write_text(audit.read_text("utf-8").replace("_percent(", "percent("), "utf-8")
    need("data.audit", "from tenfold.core.records import Audit, Finding, LabelCount, percent")
    write(
        "core.progress",
        '"""`Watcher`: who wants to see a run being made."""\n\nimport sys\n'
        "from collections.abc import Sequence\n\n"
        "from tenfold.core.records import Audit, Epoch, LayerRow\n",
        cut("learners.fitted", "Watcher"),
    )
    fitted = path_of("learners.fitted")
    text = fitted.read_text("utf-8")
    fitted.write_text('"""`Fitted`: what a learner leaves."""' + text[text.index("\n") :], "utf-8")
    substitute(path_of("learners"), ('"Watcher", ', ""))
    follow(
        "learners:Watcher:core.progress",
        "learners.fitted:Watcher:core.progress",
        "data.audit:Audit,Finding,LabelCount:core.records",
    )
    substitute(
        DESIGN,
        (
            "what a training leaves in numbers",
            "what is told and stored of data and trainings; `progress`: who is told",
        ),
    )


def dataset_without_sources() -> None:
    """A dataset does not know the files it may come from"""
    functions = cut("data.sources.labelled", "first_of_each", "_parts", "_words")
    most = cut("data.sources.labelled", "MAX_LABELS")
    cut("data.sources.labelled", "AT_ONCE")
    need("data.sources.labelled", "from tenfold.data.dataset import MAX_LABELS")
    follow("data.sources.labelled:first_of_each:data.duplicates")
    duplicates = path_of("data.duplicates")
    text = re.sub(r"from tenfold.data.duplicates import .*\n", "", duplicates.read_text("utf-8"))
    functions = functions.replace("few(x, AT_ONCE)", "few(x, READ_AT_ONCE)").rstrip("\n")
    text = text.replace("def same_pictures(", f"{functions}\n\n\ndef same_pictures(")
    duplicates.write_text(text, "utf-8")
    need("data.duplicates", "from collections.abc import Iterator")
    substitute(
        duplicates,
        (
            'AT_ONCE = 1024\n"""Images looked at together: bounds memory."""\n',
            "AT_ONCE, READ_AT_ONCE = 1024, 4096\n"
            '"""Images looked at together, and only read together: bounds memory."""\n',
        ),
    )
    substitute(
        path_of("data.dataset"),
        ("from tenfold.data.sources import MAX_LABELS\n", ""),
        ("Rows = NDArray[np.int64]\n", f"Rows = NDArray[np.int64]\n\n{most}"),
    )
    substitute(
        path_of("data.sources"), ("import MAX_LABELS, Images", "import Images"), ('"MAX_LABELS", ', "")
    )


def no_bare_imports() -> None:
    """Nothing inside the package imports the package

    Where Tenfold lies and which version it is are known to core; the list of exceptions of the test
    of walls is empty.
    """
    write("core.processes", (HERE / "files" / "processes.py").read_text("utf-8"))
    face = path_of("__init__").read_text("utf-8")
    version = re.search(r'^__version__ = .*\n', face, re.M)
    if version is None:
        sys.exit("error: no version")
    write("core.version", f'"""The version of Tenfold."""\n\n{version[0]}')
    substitute(SOURCE / "__init__.py", (version[0], ""))
    need("__init__", "from tenfold.core.version import __version__ as __version__")
    substitute("pyproject.toml", ('path = "src/tenfold/__init__.py"', 'path = "src/tenfold/core/version.py"'))
    lines = (
        "    source = str(Path(tenfold.__file__).parent.parent)\n"
        '    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])\n'
    )
    for module in ("learners.group", "experiments.sweeps.executors"):
        substitute(path_of(module), (lines, ""), ('"PYTHONPATH": path', '"PYTHONPATH": python_path()'))
        need(module, "from tenfold.core.processes import python_path")
    for module in ("serve.application", "cli.doctor", "cli.main"):
        substitute(path_of(module), ("tenfold.__version__", "__version__"))
        need(module, "from tenfold.core.version import __version__")
    main = path_of("cli.main")
    text = main.read_text("utf-8")
    text = re.sub(r"\btenfold\.open\(", "Run.open(", text)
    text = re.sub(r"\btenfold\.(resume|train|evaluate)\(", r"workflow.\1(", text)
    main.write_text(re.sub(r"\btenfold\.Run\b", "Run", text), "utf-8")
    need("cli.main", "from tenfold.runs.record import Run")
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        if re.search(r"^import tenfold\n", text, re.M):
            path.write_text(re.sub(r"^import tenfold\n", "", text, flags=re.M), "utf-8")
    walls = Path(WALLS)
    text = walls.read_text("utf-8")
    for name in ("OF_THE_WHOLE", "BACKWARD", "CYCLES"):
        text = re.sub(rf'^{name}\b.*?\n"""[^"]*"""\n\n', "", text, flags=re.S | re.M)
        text = text.replace(f"    assert found == {name}\n", "    assert not found\n")
    text = re.sub(
        r"edges\[path\] = \{\n.*?\n        \}\n",
        "edges[path] = {other for other in others if other and other != path}\n",
        text,
        flags=re.S,
    )
    walls.write_text(text, "utf-8")
    substitute(
        DESIGN,
        (
            "in this table only; a test holds it and has the list of what does not yet. Inside a wing"
            " modules form no cycle.",
            "in this table only, and no module imports `tenfold` itself. Modules form no cycle. A test"
            " holds it.",
        ),
        ("`progress`: who is told", "`progress`: who is told; `processes`, `version`"),
    )


STEPS: Sequence[Callable[[], None]] = (
    graph_check, interval_width, graph_walk, csv_rows, training_records, features, watcher,
    dataset_without_sources, no_bare_imports,
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ruff", default="ruff")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--to", dest="last", type=int, default=len(STEPS))
    options = parser.parse_args()
    environment = os.environ | {"PYTHONPATH": f"{Path('src').resolve()}:{Path.cwd()}"}

    def python(*arguments: str) -> str:
        return run(options.python, *arguments, env=environment).strip()

    for number, step in enumerate(STEPS, 1):
        if not options.first <= number <= options.last:
            continue
        if run("git", "status", "--porcelain", "--untracked-files=no").strip():
            sys.exit("error: the working folder has changes")
        print(f"{number}: {step.__name__}", flush=True)
        hash_before = ""
        if step is training_records:
            hash_before = python("-c", "from bench import accuracy; print(accuracy.sources())")
        step()
        for rule in ("F401", "I"):
            run(options.ruff, "check", "--quiet", "--select", rule, "--fix", ".")
        run(options.ruff, "format", "--quiet", ".")
        if hash_before:
            print(python(str(HERE / "restamp.py"), hash_before))
        python("-m", "docs.reference")
        run("git", "add", "--all", "src", "tests", "docs", "bench")
        run("git", "add", "--update")
        run(options.ruff, "check", ".")
        text = "\n".join(line.strip() for line in (step.__doc__ or "").strip().split("\n"))
        run("git", "commit", "-m", text)


if __name__ == "__main__":
    main()
