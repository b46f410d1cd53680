"""Move every module, test and page to its place in the twelve wings, and rewrite what names them.

Run in the root of a clean checkout: python move.py [--ruff PATH] [--python PATH]

`--python` is an interpreter that has the dependencies of the package; it writes the JSON Schemas
anew at the end. Nothing is committed: all changes are left in the index. The exit code is 1 if
something could not be done, and each such thing is a line that begins with `error:`.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

HERE = Path(__file__).resolve().parent
SOURCE = "src/tenfold/"

# ---------------------------------------------------------------------------------------------
# Where things go
# ---------------------------------------------------------------------------------------------

MODULES = """
errors            core/errors
files             core/files
contract          core/contract
notebook          core/html_repr

idx               inputs/idx
images            inputs/pictures/decode
seeing            inputs/pictures/preprocess
box               inputs/pictures/mnist_box
pages             inputs/pictures/page_layout
augment           inputs/pictures/augment
tables            inputs/tables/read
columns           inputs/tables/columns
features          inputs/tables/encoder

data              data/dataset
loading           data/load
tabular           data/from_table
folders           data/from_folder
stored            data/disk_images
alike             data/duplicates
audit             data/audit
sources/          data/sources/
catalog/          data/catalog/

learners/         learners/
training/         learners/training/
network           learners/architectures
checkpoints       learners/checkpoints

model             model/model
answers           model/json_form
forecast          model/forecast
transcript        model/transcript

fitting           build/build
calibration       build/calibration
graph/            build/onnx/
estimators        build/sklearn

evaluation/       evaluation/
robustness        evaluation/robustness
suspects          evaluation/label_errors

runs              runs/record
export/           runs/export/

report/           report/
page/             report/network_page/
shown             report/drawings

workflow          experiments/train
evidence          experiments/artifacts
folds             experiments/cross_validation
sweeps/           experiments/sweeps/
cluster           experiments/ray

serve/            serve/

cli               cli/main
options           cli/options
terminal          cli/output
data_commands     cli/data
sweep_commands    cli/sweep
doctor            cli/doctor
"""
"""Today's module or folder of src/tenfold, and its new place."""

NEW_PACKAGES = {
    "core": "What all other parts stand on: errors, durable files, the contract of a model.",
    "inputs": "The bytes of one input to arrays: IDX files, pictures, tables.",
    "inputs/pictures": "Pictures to arrays: decoding, the fit to the MNIST box, digits on a page.",
    "inputs/tables": "Tables to arrays: reading files, kinds of columns, encoding.",
    "data": "A name, a file or a folder to a `Dataset`, split into train, validation and test.",
    "model": "A model file that answers; nothing here loads a training library.",
    "build": "A fitted learner to a calibrated, checked model file.",
    "runs": "The run folder: create, read, write, verify, export.",
    "experiments": "Trainings: one, in folds, or many, on this computer or on a cluster.",
    "cli": "The command line: parse, call one function, print.",
}
"""Packages that are new, with the docstring of their `__init__.py`."""

TESTS = """
test_contract           core
test_errors             core
test_files              core
test_notebook           core/test_html_repr

test_idx                inputs
test_images             inputs/test_decode
test_seeing             inputs/test_preprocess
test_box                inputs/test_mnist_box
test_pages              inputs/test_page_layout
test_augment            inputs
test_tables             inputs/test_read
test_columns            inputs
test_features           inputs/test_encoder

test_alike              data/test_duplicates
test_audit              data
test_catalog            data
test_data               data/test_dataset
test_download           data
test_folders            data/test_from_folder
test_loading            data/test_load
test_sources            data
test_stored             data/test_disk_images
test_tabular            data/test_from_table

test_checkpoints        learners
test_compiler           learners
test_convolution        learners
test_group              learners
test_learners           learners
test_network            learners/test_architectures
test_network_learner    learners/test_network
test_training           learners

test_forecast           model
test_model              model
test_transcript         model

test_calibration        build
test_estimators         build/test_sklearn
test_fitting            build/test_build
test_graph              build/test_onnx
test_novelty            build

test_comparison         evaluation
test_evaluation         evaluation
test_evaluation_answers     evaluation/test_answers
test_evaluation_intervals   evaluation/test_intervals
test_evaluation_ranking     evaluation/test_ranking
test_evaluation_regression  evaluation/test_regression
test_multiple           evaluation
test_robustness         evaluation
test_suspects           evaluation/test_label_errors

test_export             runs
test_runs               runs/test_record

test_page               report/test_network_page
test_report             report
test_shown              report/test_drawings

test_cluster            system/test_ray
test_folds              experiments/test_cross_validation
test_sweep_trials       experiments/test_trials
test_sweeps             experiments
test_workflow           experiments/test_train

test_serve              serve
test_serve_batching     serve/test_batching
test_serve_questions    serve/test_questions
test_serve_server       serve/test_server

test_bench_accuracy     system
test_browser            system
test_cli                system
test_data_commands      system
test_docs               system
test_documentation      system
test_doctor             system
test_earlier_runs       system
test_examples           system
test_notebooks          system
test_rooms              system/test_wings
test_sweep_commands     system
test_table_commands     system
test_table_path         system
test_terminal           system
test_tiny               system
"""
"""A file directly in tests/, and its folder, with the new name if it has one. A file without a
line here is an error, but for helpers: what is not called `test_` goes to tests/support."""

TEST_PACKAGES = {
    "": "The tests, in the folders of the package; `system` tests the whole from outside.",
    "support": "What tests of several folders share.",
    "system": "The whole from outside: command line, browser, Ray, examples, notebooks, pages.",
}
"""Docstrings of packages of tests; the others get `Tests of tenfold.NAME.`"""

GUIDES = (
    "compare", "data", "deploy", "estimators", "evidence", "exporting", "handwriting",
    "how-it-works", "learners", "scale", "serving", "tables", "training",
)  # fmt: skip
PAGES = {f"docs/{name}.md": f"docs/guide/{name}.md" for name in GUIDES} | {
    "docs/design.md": "docs/design/index.md",
    "docs/dependencies.md": "docs/design/dependencies.md",
}
"""Pages that move. Formats, measurements, safety and what is generated stay in docs/."""

BINDINGS = {
    "notebook": "html_repr",
    "box": "mnist_box",
    "pages": "page_layout",
    "stored": "disk_images",
    "fitting": "build",
}
"""`from tenfold import OLD` becomes `from tenfold.wing import NEW`, and uses of the name follow;
where that could be mistaken, and for all other modules with a new name, `NEW as OLD`."""

NOT_REWRITTEN = ("CHANGELOG.md", "tests/formats/", "bench/results/")
"""The past: it keeps its words. Not so tests/runs_of_0_1/make.py: it is imported when tests are
collected, and its types are checked."""

REPLACED = {
    # new path: (file beside this script, path before, blob of the version it was written from)
    "tests/system/test_wings.py": ("test_wings.py", "tests/test_rooms.py"),
}

NEW_FILES = {
    SOURCE + "cli/__main__.py": '''\
"""`python -m tenfold.cli`: the program."""

from tenfold.cli.main import main

main()
''',
}

# ---------------------------------------------------------------------------------------------
# Words in single files, after all rules: path (new), old, new. Each must be found.
# ---------------------------------------------------------------------------------------------

SUBSTITUTIONS: list[tuple[str, str, str]] = []


def _substitute(path: str, old: str, new: str) -> None:
    SUBSTITUTIONS.append((path, old, new))


_substitute(SOURCE + "cli/main.py", '\n\nif __name__ == "__main__":\n    main()\n', "")
_substitute(
    "pyproject.toml",
    'line-length = 100\nsrc = ["src", "tests"]\n',
    'line-length = 100\nsrc = ["src"]\n'
    'exclude = [".bench", ".git", ".venv"] # by default every folder called "build" would be\n',
)
_substitute(
    "pyproject.toml", 'known-first-party = ["tenfold"]', 'known-first-party = ["tenfold", "tests"]'
)
_substitute(
    "pyproject.toml",
    'module = ["notebooks.build", "test_notebooks", "tests.test_notebooks"]',
    'module = ["notebooks.build", "tests.system.test_notebooks"]',
)
_substitute(
    "pyproject.toml",
    'pythonpath = ["."]\n',
    'pythonpath = ["."]\n'
    'norecursedirs = [".*", "*.egg-info", "node_modules"] # by default every folder called "build"\n',
)
_substitute(
    "bench/handwriting.py",
    'sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))\n',
    "",
)
_substitute(
    "bench/handwriting.py",
    "import sys\nimport tempfile\nfrom pathlib import Path\n",
    "import sys\nimport tempfile\n",
)
_substitute(
    "bench/accuracy.py",
    '"augment.py", "network.py", "learners/training/base.py", "learners/training/steps.py",'
    ' "learners/training/dense.py",\n    "learners/training/convolution.py",\n)  # fmt: skip',
    '"inputs/pictures/augment.py",\n"learners/architectures.py",\n"learners/training/base.py",\n'
    '"learners/training/steps.py",\n"learners/training/dense.py",\n'
    '"learners/training/convolution.py",\n)',
)
_substitute(
    "bench/accuracy.py",
    '"""SHA-256 of the code that decides a model, in hexadecimal; comments and docstrings do not."""',
    '"""SHA-256 of the code that decides a model, in hexadecimal; comments, docstrings and the\n'
    '    names of files and of modules of ours do not."""',
)
_substitute(
    "bench/accuracy.py",
    "digest.update(f\"{path.name}\\n{_bare(path.read_text('utf-8'))}\\n\".encode())",
    "digest.update(f\"{_bare(path.read_text('utf-8'))}\\n\".encode())",
)
_substitute(
    "bench/accuracy.py",
    '"""Python without comments, docstrings and layout."""',
    '"""Python without comments, docstrings, layout and imports of our own modules."""',
)
_substitute(
    "bench/accuracy.py",
    "node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]",
    "kept = [line for line in body if not _is_text(line) and not _is_ours(line)]\n"
    "            node.body = kept  # type: ignore[attr-defined]",
)
_substitute(
    "bench/accuracy.py",
    "def _is_text(line: ast.AST) -> bool:",
    "def _is_ours(line: ast.AST) -> bool:\n"
    '    """An import that says where code lies, not what it does."""\n'
    "    return isinstance(line, ast.ImportFrom)"
    ' and (line.module or "").partition(".")[0] == "tenfold"\n\n\n'
    "def _is_text(line: ast.AST) -> bool:",
)
_substitute(
    "tests/system/test_bench_accuracy.py",
    "def test_comments_do_not_count_as_code_and_numbers_do() -> None:",
    "def test_where_a_module_lies_does_not_count_as_code() -> None:\n"
    '    one = "from tenfold.core.errors import message\\n\\ndef f(x):\\n    return message(x)\\n"\n'
    '    moved = one.replace("core.errors", "core.words")\n'
    "    assert accuracy._bare(one) == accuracy._bare(moved)\n"
    '    assert accuracy._bare("import jax") != accuracy._bare("import keras")\n\n\n'
    "def test_comments_do_not_count_as_code_and_numbers_do() -> None:",
)
for _page in ("tests/system/test_docs.py",):
    _substitute(
        _page,
        '    *ROOT.glob("docs/*.md"),\n',
        '    *ROOT.glob("docs/*.md"),\n    *ROOT.glob("docs/guide/*.md"),\n'
        '    *ROOT.glob("docs/design/*.md"),\n',
    )
_substitute(
    "tests/system/test_documentation.py",
    'GUIDES = [page for page in ROOT.glob("docs/*.md") if page.name not in'
    ' ("design.md", "changes.md")]',
    'DOCS = ROOT / "docs"\n'
    'PAGES = [*DOCS.glob("*.md"), *DOCS.glob("guide/*.md"), *DOCS.glob("design/*.md")]\n'
    'NO_GUIDES = (DOCS / "design" / "index.md", DOCS / "changes.md")\n'
    "GUIDES = [page for page in PAGES if page not in NO_GUIDES]",
)
_substitute(
    "tests/system/test_documentation.py",
    'listed = re.findall(r"^[a-z/-]+$", start, re.M)\n'
    '    assert {page.stem for page in ROOT.glob("docs/*.md")} - {"index"} <= set(listed)\n',
    'listed = re.findall(r"^[a-z/-]+$", start, re.M)\n'
    '    names = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}\n'
    '    assert names - {"index"} <= set(listed)\n',
)
_substitute(
    "tests/system/test_documentation.py",
    'held = re.findall(r"`(test_\\w+\\.py)::(\\w+)`", text)',
    'held = re.findall(r"`(\\w+/test_\\w+\\.py)::(\\w+)`", text)',
)
_substitute(
    "tests/system/test_documentation.py",
    '@pytest.mark.parametrize("name", ["format.md", "handwriting.md"])',
    '@pytest.mark.parametrize("name", ["format.md", "guide/handwriting.md"])',
)
_substitute(
    "CONTRIBUTING.md",
    "it says which room a line of code belongs to. If a wall stands",
    "it says which wing a line of code belongs to. If a wall stands",
)
_substitute("README.md", "words, rooms, the run folder", "words, wings, the run folder")
_substitute("docs/design/index.md", "the walls, those of rooms not yet built included", "the walls")
_substitute("docs/design/index.md", "Inside a room, build as", "Inside a wing, build as")
_substitute("docs/design/index.md", "Raised as a class of\n`errors.py`", "Raised as a class of\n`core/errors.py`")
_substitute("docs/guide/handwriting.md", "`calibration.py", "`build/calibration.py")
_substitute("docs/design/dependencies.md", "`features.py", "`inputs/tables/encoder.py")
_substitute(SOURCE + "experiments/sweeps/executors.py", "`cluster.py", "`experiments/ray.py")
_substitute(SOURCE + "report/network_page/pad.js", "images.py", "inputs/pictures/decode.py")
_substitute(SOURCE + "inputs/pictures/page_layout.py", "box.NothingDrawn:", "mnist_box.NothingDrawn:")
_substitute(SOURCE + "experiments/cross_validation.py", "`evidence.measure`", "`artifacts.measure`")

NICER = [
    (
        SOURCE + "evaluation/__init__.py",
        "Every interval covers 95%; docs/guide/evidence.md says how.",
        "Every interval covers 95% (docs/guide/evidence.md).",
    ),
    (
        SOURCE + "inputs/pictures/mnist_box.py",
        "in the box are widened to it; docs/guide/handwriting.md has the choice.",
        "in the box are widened to it (docs/guide/handwriting.md).",
    ),
    (
        SOURCE + "model/json_form.py",
        "The form that docs/design/index.md promises; with `top` only so many labels, the best first.",
        "The promised form (docs/design/index.md); with `top` only so many labels, the best first.",
    ),
    (
        SOURCE + "experiments/sweeps/worker.py",
        " Jobs in, a line each; what happens out.\n\n"
        "It ends when its input does: with the process that started it, however that ended.\n",
        "\n\nJobs in, a line each; what happens out. It ends when its input does: with the process\n"
        "that started it, however that ended.\n",
    ),
]
"""Docstrings that would be broken in two lines; without them the text is only less pretty."""

# ---------------------------------------------------------------------------------------------
# Names of modules, before and after
# ---------------------------------------------------------------------------------------------

problems: list[str] = []


def problem(text: str) -> None:
    problems.append(text)
    print(f"error: {text}", file=sys.stderr)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


class Names:
    """Paths and dotted names, before and after."""

    def __init__(self) -> None:
        self.files = git("ls-files").splitlines()
        self.paths: dict[str, str] = {}
        self._place_modules()
        self.modules = {
            self._dotted(old): self._dotted(new)
            for old, new in self.paths.items()
            if old.startswith(SOURCE) and old.endswith(".py")
        }
        self._place_tests()
        self.paths |= {old: new for old, new in PAGES.items() if old in self.files}
        for page in sorted(set(PAGES) - set(self.files)):
            problem(f"{page} is not there")

    @staticmethod
    def _dotted(path: str) -> str:
        name = path.removeprefix(SOURCE).removesuffix(".py").removesuffix("__init__").strip("/")
        return name.replace("/", ".")

    def _place_modules(self) -> None:
        table = dict(line.split() for line in MODULES.split("\n") if line.strip())
        unused = set(table)
        for path in self.files:
            if not path.startswith(SOURCE) or path in (SOURCE + "__init__.py", SOURCE + "py.typed"):
                continue
            name = path.removeprefix(SOURCE)
            top, slash, rest = name.partition("/")
            key = top + slash if slash else name.removesuffix(".py")
            if key not in table:
                problem(f"{path}: no place in MODULES")
                continue
            unused.discard(key)
            new = table[key] + (rest if slash else ".py")
            self.paths[path] = SOURCE + new
        for key in sorted(unused):
            problem(f"MODULES: {key} is not in {SOURCE}")

    def _place_tests(self) -> None:
        table = dict(line.split() for line in TESTS.split("\n") if line.strip())
        self.helpers: dict[str, str] = {}
        self.tests: dict[str, str] = {}
        for path in self.files:
            if not re.fullmatch(r"tests/\w+\.py", path):
                continue
            stem = path[6:-3]
            if stem == "__init__":
                continue
            if stem == "conftest":
                self.helpers[stem] = "tests.conftest"
            elif not stem.startswith("test_"):
                self.helpers[stem] = f"tests.support.{stem}"
                self.paths[path] = f"tests/support/{stem}.py"
            elif stem not in table:
                problem(f"{path}: no line in TESTS")
            else:
                place = table[stem]
                new = f"{place}.py" if "/" in place else f"{place}/{stem}.py"
                self.tests[stem] = new
                self.helpers[stem] = "tests." + new.removesuffix(".py").replace("/", ".")
                self.paths[path] = f"tests/{new}"
        for stem in sorted(set(table) - set(self.tests) - {"test_earlier_runs"}):
            print(f"note: tests/{stem}.py is not there", file=sys.stderr)

    def new_path(self, path: str) -> str:
        return self.paths.get(path, path)


# ---------------------------------------------------------------------------------------------
# Imports
# ---------------------------------------------------------------------------------------------


class Imports:
    """New import lines for old ones, of one file."""

    def __init__(self, names: Names, in_tests: bool) -> None:
        self.names = names
        self.in_tests = in_tests

    def whole(self, dotted: str) -> str:
        """`tenfold.box` to `tenfold.inputs.pictures.mnist_box`; what is no module stays."""
        name = dotted.removeprefix("tenfold").removeprefix(".")
        return f"tenfold.{self.names.modules[name]}" if name in self.names.modules else dotted

    def lines_from(
        self, module: str, aliases: Iterable[tuple[str, str | None]], bindings: dict[str, str]
    ) -> list[str]:
        """`from module import aliases`; `bindings` says what a module is called from now on."""
        groups: dict[str, list[str]] = {}
        for name, alias in aliases:
            old = f"{module}.{name}".removeprefix("tenfold").removeprefix(".")
            if module.partition(".")[0] == "tenfold" and old in self.names.modules:
                package, _, base = f"tenfold.{self.names.modules[old]}".rpartition(".")
                wanted = alias or bindings.get(name, name)
                groups.setdefault(package, []).append(
                    base if base == wanted else f"{base} as {wanted}"
                )
            else:
                if module.partition(".")[0] == "tenfold":
                    target = self.whole(module)
                else:
                    target = self.names.helpers[module]
                groups.setdefault(target, []).append(f"{name} as {alias}" if alias else name)
        return [f"from {module} import {', '.join(parts)}" for module, parts in groups.items()]

    def is_ours(self, module: str) -> bool:
        return module.partition(".")[0] == "tenfold" or (
            self.in_tests and module in self.names.helpers
        )


def rewrite_python(path: str, text: str, names: Names, prose: Callable[[str], str]) -> str:
    """A Python file with new imports; `prose` rewrites what lies between them."""
    tree = ast.parse(text)
    imports = Imports(names, path.startswith(("tests/", "bench/")))
    lines = text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    edits: list[tuple[int, int, str]] = []

    def place(row: int, column: int) -> int:
        return starts[row - 1] + column

    bindings = _bindings(tree, path)
    for node in ast.walk(tree):
        new: list[str] | None = None
        if isinstance(node, ast.ImportFrom) and node.module and imports.is_ours(node.module):
            if node.level:
                problem(f"{path}:{node.lineno}: a relative import")
            aliases = [(alias.name, alias.asname) for alias in node.names]
            new = imports.lines_from(node.module, aliases, bindings)
            if new == [ast.unparse(node)]:
                continue
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if imports.is_ours(alias.name) and alias.name != "tenfold":
                    if alias.name in names.helpers and len(node.names) == 1 and not alias.asname:
                        package, _, base = names.helpers[alias.name].rpartition(".")
                        tail = "" if base == alias.name else f" as {alias.name}"
                        new = [f"from {package} import {base}{tail}"]
                    elif alias.name.startswith("tenfold.") and len(node.names) == 1:
                        tail = f" as {alias.asname}" if alias.asname else ""
                        new = [f"import {imports.whole(alias.name)}{tail}"]
                    else:
                        problem(f"{path}:{node.lineno}: an import of a kind without a rule")
        elif isinstance(node, ast.Name) and bindings.get(node.id, node.id) != node.id:
            new = [bindings[node.id]]
        if new is None:
            continue
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = place(node.lineno, node.col_offset)
        end = place(node.end_lineno, node.end_col_offset)
        old = text.encode()[start:end].decode()
        if "#" in old:
            problem(f"{path}:{node.lineno}: a comment inside an import is lost")
        before = lines[node.lineno - 1][: node.col_offset].decode()
        if len(new) > 1 and before.strip():
            problem(f"{path}:{node.lineno}: an import that is not alone on its line")
        edits.append((start, end, f"\n{before}".join(new)))
    content = text.encode()
    parts: list[str] = []
    at = 0
    for start, end, new_text in sorted(edits):
        parts.append(prose(content[at:start].decode()))
        parts.append(new_text)
        at = end
    parts.append(prose(content[at:].decode()))
    return "".join(parts)


def _bindings(tree: ast.Module, path: str) -> dict[str, str]:
    """What imported modules with a new name are called in a file, and where the old name must
    stay."""
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "tenfold"
        for alias in node.names
        if alias.asname is None and alias.name in BINDINGS
    }
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name for alias in node.names} - imported
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found = {}
    for old in imported:
        new = BINDINGS[old]
        is_safe = old not in bound and new not in bound | loaded
        found[old] = new if is_safe else old
        if not is_safe:
            print(f"note: {path}: {old} keeps its name, {new} is taken", file=sys.stderr)
    return found


# ---------------------------------------------------------------------------------------------
# Names in texts: strings, docstrings, comments, pages
# ---------------------------------------------------------------------------------------------


class Prose:
    """Rewrites names of modules and paths of files in any text."""

    def __init__(self, names: Names) -> None:
        self.names = names
        dotted = "|".join(
            re.escape(name) for name in sorted(names.modules, key=len, reverse=True) if name
        )
        self._module = re.compile(
            rf"(?P<before>-m[\s\"',]+)?(?<![\w.])tenfold\.(?P<name>{dotted})\b(?!\()"
        )
        self._import = re.compile(r"\bfrom (tenfold(?:\.\w+)*) import (\w+(?:, \w+)*)")
        folders = {path.split("/")[2] for path in names.paths if path.count("/") > 2}
        moved = sorted(
            name for name in folders if names.modules.get(name) not in (None, name)
        )
        self._folder = re.compile(rf"(?<![\w/.])((?:{'|'.join(moved)})/[\w.]+)")
        self._parts = re.compile(r"(tenfold\.__file__\)\.parent) / \"(\w+)\"")

    def __call__(self, text: str, old_path: str) -> str:
        imports = Imports(self.names, in_tests=False)

        def in_import(match: re.Match[str]) -> str:
            aliases = [(name, None) for name in match[2].split(", ")]
            return "; ".join(imports.lines_from(match[1], aliases, {}))

        def module(match: re.Match[str]) -> str:
            old, before = match["name"], match["before"] or ""
            new = "cli" if old == "cli" and before else self.names.modules[old]
            return f"{before}tenfold.{new}"

        pieces = []
        at = 0
        for match in self._import.finditer(text):
            pieces += [self._module.sub(module, text[at : match.start()]), in_import(match)]
            at = match.end()
        text = "".join([*pieces, self._module.sub(module, text[at:])])
        text = self._parts.sub(self._in_parts, text)
        text = re.sub(r"src/tenfold/[\w/.]*\w", self._in_source, text)
        text = self._folder.sub(self._in_folder, text)
        if old_path.startswith("tests/") and old_path.count("/") == 1:
            text = self._one_deeper(text, old_path)
        text = re.sub(r"(?<![\w/])(tests/)?(test_\w+)\.py\b", self._in_tests, text)
        text = re.sub(r"(?<![\w/])tests/(\w+)\.py\b", self._helper, text)
        if old_path == "tests/conftest.py":
            text = re.sub(r"(?<=\")test_\w+(?=\")", self._stem, text)
        text = re.sub(r"(?<![\w/])docs/[\w-]+\.md\b", lambda m: self.names.new_path(m[0]), text)
        return re.sub(r"\"docs\" / \"([\w-]+\.md)\"", self._page_in_parts, text)

    def _in_parts(self, match: re.Match[str]) -> str:
        new = self.names.modules.get(match[2], match[2])
        return f"{match[1]} / " + " / ".join(f'"{part}"' for part in new.split("."))

    def _in_source(self, match: re.Match[str]) -> str:
        path = match[0]
        if path in self.names.paths:
            return self.names.paths[path]
        if self.names.modules.get(path.removeprefix(SOURCE)) is not None:
            return SOURCE + self.names.modules[path.removeprefix(SOURCE)].replace(".", "/")
        return path

    def _in_folder(self, match: re.Match[str]) -> str:
        path = SOURCE + match[1]
        return self.names.new_path(path).removeprefix(SOURCE)

    def _in_tests(self, match: re.Match[str]) -> str:
        new = self.names.tests.get(match[2])
        return match[0] if new is None else f"{match[1] or ''}{new}"

    def _stem(self, match: re.Match[str]) -> str:
        return self.names.tests.get(match[0], match[0]).rpartition("/")[2].removesuffix(".py")

    def _helper(self, match: re.Match[str]) -> str:
        return self.names.new_path(match[0])

    @staticmethod
    def _one_deeper(text: str, path: str) -> str:
        def deeper(match: re.Match[str]) -> str:
            n = match[0].count(".parent") if match[1] is None else int(match[1]) + 1
            return f"Path(__file__).parents[{n}]"

        text = re.sub(r"Path\(__file__\)(?:\.parents\[(\d)\]|(?:\.parent\b)+)", deeper, text)
        if re.search(r"__file__\)\.with_name|dirname\(", text):
            problem(f"{path}: a file beside it is found by its own place; write a rule")
        return text

    def _page_in_parts(self, match: re.Match[str]) -> str:
        new = self.names.new_path(f"docs/{match[1]}")
        return " / ".join(f'"{part}"' for part in new.split("/"))


def rewrite_page(old_path: str, text: str, names: Names) -> str:
    """The relative links of a page."""
    new_path = names.new_path(old_path)

    def link(match: re.Match[str]) -> str:
        target, _, part = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        old_target = os.path.normpath(os.path.join(os.path.dirname(old_path), target))
        new_target = names.new_path(old_target)
        if not (Path(new_target).exists() or Path(old_target).exists()):
            problem(f"{old_path}: {target} leads nowhere")
        relative = os.path.relpath(new_target, os.path.dirname(new_path) or ".")
        return f"{match[1]}({PurePosixPath(relative)}{'#' + part if part else ''})"

    text = re.sub(r"(\])\(([^)\s]+)\)", link, text)
    if old_path == "docs/index.md":

        def entry(match: re.Match[str]) -> str:
            new = names.new_path(f"docs/{match[0]}.md")
            return new.removeprefix("docs/").removesuffix(".md")

        parts = re.split(r"(^```\{toctree\}.*?^```)", text, flags=re.S | re.M)
        parts[1::2] = [re.sub(r"^[\w-]+$", entry, part, flags=re.M) for part in parts[1::2]]
        text = "".join(parts)
    return text


# ---------------------------------------------------------------------------------------------
# Lines that became too long
# ---------------------------------------------------------------------------------------------


def wrap_long_lines(ruff: str) -> None:
    """Words beyond the limit go to the next line of their docstring or comment."""
    for _ in range(40):
        done = subprocess.run(
            [ruff, "check", "--select", "E501", "--output-format", "json", "."],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = json.loads(done.stdout)
        places: dict[Path, int] = {}
        for one in found:
            path, row = Path(one["filename"]), one["location"]["row"]
            places[path] = min(row, places.get(path, row))
        places = {path: row for path, row in places.items() if path.suffix == ".py"}
        if not places:
            return
        for path, row in places.items():
            lines = path.read_text("utf-8").split("\n")
            if not _spill(lines, row - 1):
                problem(f"{path}:{row}: too long, and no rule to wrap it")
                return
            path.write_text("\n".join(lines), "utf-8")


def _spill(lines: list[str], at: int) -> bool:
    line = lines[at]
    lead = re.match(r"\s*(?:# )?", line)
    assert lead
    prefix = lead[0]
    if '"""' in line[1:].removesuffix('"""') and not line.strip().startswith('"""'):
        return False
    closing = '"""' if line.endswith('"""') and line.count('"""') in (1, 2) else ""
    body = line.removesuffix(closing)
    cut = body.rfind(" ", 0, 100)
    if cut <= len(prefix):
        return False
    kept, rest = body[:cut].rstrip(), body[cut + 1 :] + closing
    following = lines[at + 1] if at + 1 < len(lines) else ""
    indent = len(prefix) - len(prefix.lstrip())
    next_lead = re.match(r"\s*(?:# )?", following)
    assert next_lead
    is_item = bool(re.match(r"\s+(?:\w+(?:, \w+)*|\*+\w+): ", line)) and "#" not in prefix
    continues = (
        not closing
        and bool(following.strip())
        and following.strip() not in ('"""', "#")
        and ("#" in prefix) == ("#" in next_lead[0])
        and (
            len(next_lead[0]) > len(prefix)
            if is_item
            else len(next_lead[0]) == len(prefix) and not re.match(r"\s+\w+: ", following)
        )
    )
    lines[at] = kept
    if continues:
        lines[at + 1] = next_lead[0] + rest + " " + following[len(next_lead[0]) :]
    else:
        more = "  " if is_item else ""
        lines.insert(at + 1, (prefix if "#" in prefix else " " * indent + more) + rest)
    return True


# ---------------------------------------------------------------------------------------------
# All of it
# ---------------------------------------------------------------------------------------------

TEXTS = (".py", ".md", ".ipynb", ".toml", ".js", ".css", ".j2", ".sh")


def is_text(path: str) -> bool:
    if path.startswith(NOT_REWRITTEN):
        return False
    return path.endswith((*TEXTS, "schema.json")) or path in ("Makefile", ".ci/run")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ruff", default="ruff")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    if git("status", "--porcelain", "--untracked-files=no").strip() or not Path(SOURCE).is_dir():
        print("error: run this in the root of a clean checkout", file=sys.stderr)
        return 1
    names = Names()
    if problems:
        return 1
    before = deciding_code([SOURCE + path for path in DECIDING_BEFORE])
    had = stored_hashes()
    texts = {path: Path(path).read_text("utf-8") for path in names.files if is_text(path)}
    new_texts = {}
    prose = Prose(names)
    for path, text in texts.items():
        if path.endswith(".md"):
            text = rewrite_page(path, text, names)
        if path.endswith(".py"):
            new = rewrite_python(path, text, names, lambda part: prose(part, path))  # noqa: B023
        else:
            new = prose(text, path)
        new_texts[names.new_path(path)] = new
    move(names)
    for path, text in new_texts.items():
        Path(path).write_text(text, "utf-8")
    create(names)
    replace_whole_files(names)
    replace_wings()
    substitute()
    tidy(options.ruff)
    environment = os.environ | {"PYTHONPATH": os.path.abspath("src")}
    done = subprocess.run([options.python, "-m", "docs.reference"], check=False, env=environment)
    if done.returncode:
        problem(f"{options.python} -m docs.reference: exit {done.returncode}")
    stamp(options.python, environment, before, had)
    git("add", "--all", "src", "tests", "docs", "bench")
    git("add", "--update")
    leftovers(names)
    print("done" if not problems else f"{len(problems)} problems, see above", file=sys.stderr)
    return 1 if problems else 0


def move(names: Names) -> None:
    """`git mv`, one folder below another included."""
    for new in {os.path.dirname(new) for new in names.paths.values()}:
        Path(new).mkdir(parents=True, exist_ok=True)
    pairs = [(old, new) for old, new in names.paths.items() if old != new]
    taken = {old for old, _ in pairs}
    if clash := [new for _, new in pairs if new in names.files and new not in taken]:
        problem(f"already there: {clash}")
    aside = {}
    for old, new in pairs:  # a new place may be another's old one
        if new in taken:
            aside[old] = f"{new}.moving"
    for old, new in pairs:
        git("mv", old, aside.get(old, new))
    for old, temporary in aside.items():
        git("mv", temporary, names.paths[old])
    for folder in sorted(Path("src/tenfold").rglob("*"), reverse=True):
        if folder.is_dir() and all(part.name == "__pycache__" for part in folder.iterdir()):
            subprocess.run(["rm", "-r", str(folder)], check=True)


def create(names: Names) -> None:
    for package, text in NEW_PACKAGES.items():
        path = Path(SOURCE) / package / "__init__.py"
        if path.exists():
            problem(f"{path} is there already")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""{text}"""\n', "utf-8")
    folders = {""} | {
        os.path.dirname(new).removeprefix("tests/")
        for new in names.paths.values()
        if new.startswith("tests/") and new.endswith(".py")
    }
    for folder in folders:
        path = Path("tests") / folder / "__init__.py"
        if not path.exists():
            text = TEST_PACKAGES.get(folder, f"Tests of `tenfold.{folder}`.")
            path.write_text(f'"""{text}"""\n', "utf-8")
    for name, text in NEW_FILES.items():
        Path(name).write_text(text, "utf-8")


def replace_whole_files(names: Names) -> None:
    for new, (file, old) in REPLACED.items():
        now = git("rev-parse", f"HEAD:{old}").strip()
        known = (HERE / "files" / f"{file}.blob").read_text().split()
        if now not in known:
            problem(
                f"{old} is not the version that files/{file} replaces: take over what changed "
                f"(git diff {known[0]} {now}), then add {now} to files/{file}.blob"
            )
        Path(new).write_text((HERE / "files" / file).read_text("utf-8"), "utf-8")


def replace_wings() -> None:
    """The table of wings in the page of the design, in place of that of rooms."""
    path = Path("docs/design/index.md")
    text = path.read_text("utf-8")
    start, heading, rest = text.partition("\n## Rooms")
    if not heading:
        problem(f"{path}: no heading `## Rooms`")
        return
    _, _, after = rest.partition("\n## ")
    wings = (HERE / "files" / "wings.md").read_text("utf-8").rstrip()
    path.write_text(f"{start}\n{wings}\n\n## {after}", "utf-8")


def substitute() -> None:
    for name, old, new in NICER:
        path = Path(name)
        if path.exists():
            path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    for name, old, new in SUBSTITUTIONS:
        path = Path(name)
        text = path.read_text("utf-8") if path.exists() else ""
        if text.count(old) != 1:
            problem(f"{name}: found {text.count(old)} times: {old!r}")
            continue
        path.write_text(text.replace(old, new), "utf-8")


def tidy(ruff: str) -> None:
    for command in (["check", "--quiet", "--select", "I", "--fix", "."], ["format", "--quiet", "."]):
        subprocess.run([ruff, *command], check=True)
    wrap_long_lines(ruff)
    subprocess.run([ruff, "format", "--quiet", "."], check=True)


# Results of `make bench-accuracy` carry a hash of the code that decides them. The code is the same
# afterwards, only its place is another: results that counted before count afterwards.

DECIDING_BEFORE = (
    "augment.py", "network.py", "training/base.py", "training/steps.py", "training/dense.py",
    "training/convolution.py",
)  # fmt: skip


def deciding_code(paths: list[str]) -> list[str]:
    """Code without what the new hash leaves out."""
    found = []
    for path in paths:
        tree = ast.parse(Path(path).read_text("utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [  # type: ignore[attr-defined]
                    line
                    for line in body
                    if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
                    and not (
                        isinstance(line, ast.ImportFrom)
                        and (line.module or "").startswith("tenfold")
                    )
                ]
        found.append(ast.unparse(tree))
    return found


def stored_hashes() -> dict[str, str]:
    return {
        str(path): json.loads(path.read_text("utf-8")).get("sources", "")
        for path in Path("bench/results/accuracy").glob("*.json")
    }


def stamp(python: str, environment: dict[str, str], before: list[str], had: dict[str, str]) -> None:
    program = "from bench import accuracy; print(accuracy.sources())"
    new = subprocess.run(
        [python, "-c", program], capture_output=True, text=True, check=True, env=environment
    ).stdout.strip()
    old = hash_before()
    after = deciding_code(
        [SOURCE + name for name in (
            "inputs/pictures/augment.py", "learners/architectures.py", "learners/training/base.py",
            "learners/training/steps.py", "learners/training/dense.py",
            "learners/training/convolution.py",
        )]
    )  # fmt: skip
    if before != after:
        problem("bench/accuracy.py: the code that decides results is not the same as before")
        return
    n = 0
    for name, value in had.items():
        if value == old:
            path = Path(name)
            path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
            n += 1
    print(f"note: {n} of {len(had)} results of bench-accuracy count as before", file=sys.stderr)


def hash_before() -> str:
    """The hash as bench/accuracy.py of HEAD makes it."""
    import hashlib

    digest = hashlib.sha256()
    for name in DECIDING_BEFORE:
        tree = ast.parse(git("show", f"HEAD:{SOURCE}{name}"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [  # type: ignore[attr-defined]
                    line
                    for line in body
                    if not (
                        isinstance(line, ast.Expr)
                        and isinstance(line.value, ast.Constant)
                        and isinstance(line.value.value, str)
                    )
                ]
        digest.update(f"{name.rpartition('/')[2]}\n{ast.unparse(tree)}\n".encode())
    return digest.hexdigest()


def leftovers(names: Names) -> None:
    """Words that look like names of before, for a look by eye."""
    moved = [name for name, new in names.modules.items() if name != new and "." not in name]
    old = re.compile(
        rf"\btenfold[./](?:{'|'.join(moved)})\b(?!\()|(?<![\w/])(?:{'|'.join(moved)})\.py\b"
    )
    wings = {new.split(".")[0] for new in names.modules.values()}
    for path in git("ls-files").splitlines():
        if not is_text(path) or not Path(path).is_file():
            continue
        for number, line in enumerate(Path(path).read_text("utf-8").split("\n"), 1):
            for match in old.finditer(line):
                word = match[0].removeprefix("tenfold").strip("./")
                if match[0].startswith("tenfold") and word in wings:
                    continue
                print(f"look: {path}:{number}: {textwrap.shorten(line, 120)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
