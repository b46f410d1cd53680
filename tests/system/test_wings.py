"""The rules of docs/design/tree.md: who imports whom, what is public, what is never loaded."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import tenfold

SOURCE = Path(tenfold.__file__).parent
ROOT = SOURCE.parent.parent
TREE = ROOT / "docs" / "design" / "tree.md"


def named_modules() -> dict[str, set[str]]:
    """The wings in the order of the table on the page of the tree, each with what it names."""
    table = TREE.read_text("utf-8").partition("## Wings")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {
        wing.strip(" `/"): set(re.findall(r"`([a-z_]+)/?`", modules))
        for _, wing, _, modules, _ in rows
    }


NAMED = named_modules()
WINGS = list(NAMED)
MAY_TRAIN = {"learners", "build"}

FACE = ["__init__.py", "__main__.py"]
"""What stands beside the wings: the public names, and `python -m tenfold`."""

MODULES = sorted(set(SOURCE.rglob("*.py")) - {SOURCE / name for name in FACE})


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def wing_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


@cache
def imported(path: Path) -> set[str]:
    """Dotted names of everything a module imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the wing"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_named(name: str) -> Path | None:
    """The file of `tenfold.wing.module`, or of the module that has it as a name."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        path = SOURCE.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
    return None


def test_every_module_is_in_a_wing_of_the_design() -> None:
    folders = {path.parent for path in SOURCE.glob("*/__init__.py")}
    assert len(WINGS) == 12 and WINGS[0] == "core" and WINGS[-1] == "cli"
    assert {folder.name for folder in folders} == set(WINGS)
    assert sorted(path.name for path in SOURCE.glob("*.py")) == FACE


@pytest.mark.parametrize("wing", WINGS)
def test_the_page_of_the_tree_names_the_modules_of_a_wing(wing: str) -> None:
    parts = [path.relative_to(SOURCE / wing) for path in (SOURCE / wing).rglob("*.py")]
    names = {name for path in parts for name in path.with_suffix("").parts}
    directly = {path.with_suffix("").parts[0] for path in parts}
    assert not {name for name in directly if not name.startswith("__")} - NAMED[wing], TREE
    assert not NAMED[wing] - names, TREE


def test_wings_import_only_wings_above_them() -> None:
    found = set()
    for path in MODULES:
        for name in imported(path):
            if name.startswith("tenfold.") and name.split(".")[1] in WINGS:
                other = name.split(".")[1]
                if WINGS.index(other) > WINGS.index(wing_of(path)):
                    found.add((name_of(path), other))
    assert not found


def test_no_module_imports_the_whole_package() -> None:
    found = set()
    for path in MODULES:
        for name in imported(path):
            is_ours = name.split(".")[0] == "tenfold"
            if is_ours and (name == "tenfold" or name.split(".")[1] not in WINGS):
                found.add(name_of(path))
    assert not found


def test_modules_form_no_cycle() -> None:
    edges: dict[Path, set[Path]] = {}
    for path in MODULES:
        others = {module_named(name) for name in imported(path) if name.startswith("tenfold.")}
        edges[path] = {other for other in others if other and other != path}
    reached = {path: reach(path, edges) for path in MODULES}
    found = {
        tuple(sorted({name_of(other) for other in reached[path] if path in reached[other]}))
        for path in MODULES
        if path in reached[path]
    }
    assert not found


def test_commands_import_at_most_ten_modules() -> None:
    for path in MODULES:
        if wing_of(path) == "cli" and name_of(path) != "cli/main.py":
            others = {module_named(name) for name in imported(path) if name.startswith("tenfold.")}
            assert len(others - {None}) <= 10, name_of(path)


def reach(start: Path, edges: dict[Path, set[Path]]) -> set[Path]:
    """All modules that importing one of them imports, by one way or another."""
    found: set[Path] = set()
    left = [start]
    while left:
        for other in edges[left.pop()] - found:
            found.add(other)
            left.append(other)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_keras_and_jax_stay_in_their_wings(path: Path) -> None:
    heavy = {name for name in imported(path) if name.split(".")[0] in ("keras", "jax")}
    assert not heavy or wing_of(path) in MAY_TRAIN


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_that_runs_code_is_loaded(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {
        "pickle",
        "joblib",
        "yaml",
        "dill",
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_ray_stays_in_its_package(path: Path) -> None:
    heavy = "ray" in {name.split(".")[0] for name in imported(path)}
    assert not heavy or name_of(path).startswith("experiments/ray/")


def loaded_by(program: str) -> set[str]:
    program += "\nimport sys; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in printed.split()}


def test_importing_tenfold_loads_no_training_library() -> None:
    assert loaded_by("import tenfold") & {"numpy", "onnx", "pydantic", "pandas"} == set()
    lazy = "NetworkClassifier", "NetworkRegressor"  # they are scikit-learn's
    names = [name for name in tenfold.__all__ if name not in lazy]
    loaded = loaded_by(f"from tenfold import {', '.join(names)}")
    assert "onnxruntime" in loaded  # the check sees what is there
    assert not loaded & {"keras", "jax", "sklearn", "matplotlib", "pandas", "scipy", "ray"}


def test_predicting_and_evaluating_load_no_training_library(small_run: tenfold.Run) -> None:
    program = (
        "import tenfold, numpy as np\n"
        f"run = tenfold.open({str(small_run.path)!r})\n"
        "run.model.predict(np.zeros((28, 28), np.uint8))\n"
        "tenfold.evaluate(run, 'mnist')\n"
        "tenfold.verify(run.path)\n"
    )
    assert not loaded_by(program) & {"keras", "jax", "sklearn", "matplotlib", "onnx"}


@pytest.mark.parametrize("learner", ["network", "cnn"])
def test_training_loads_no_keras(learner: str) -> None:
    program = (
        "import numpy as np\n"
        "from tenfold.core.progress import Listener\n"
        "from tenfold.core.settings import resolve\n"
        "from tenfold.learners import LEARNERS\n"
        "from tenfold.learners.job import Examples, TrainingJob\n"
        "x, y = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2\n"
        f"settings = resolve(dict(learner={learner!r}, epochs=1, width=2, hidden=[2]))\n"
        f"fit = LEARNERS[{learner!r}].fit\n"
        "fit(TrainingJob(Examples(x, y), None, 2, settings, Listener())).answers(x)\n"
    )
    assert {"keras", "jax"} & loaded_by(program) == {"jax"}


def test_serving_loads_no_training_library(small_run: tenfold.Run) -> None:
    program = (
        "import tenfold.cli.main, tenfold.serve.server, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import numpy as np\nfrom tests.support import service\n"
        f"guard = service.guard_of(tenfold.open({str(small_run.path)!r}))\n"
        "x = np.zeros((40, 40), np.uint8); x[8:32, 18:22] = 255\n"
        "assert service.predict(guard, service.png(x), 'image/png').status == 200\n"
        "assert service.predict(guard, service.images(x[None, :28, :28])).status == 200\n"
        "for page in ('/', '/docs', '/metrics'):\n"
        "    assert service.ask(guard, 'GET', page).status == 200\n"
    )
    loaded = loaded_by(program)
    assert {"httptools", "onnxruntime"} <= loaded
    assert not loaded & {"fastapi", "starlette", "uvicorn"}
    assert not loaded & {"keras", "jax", "sklearn", "matplotlib", "onnx"}


def test_reporting_loads_neither_a_training_library_nor_matplotlib(
    small_run: tenfold.Run, tmp_path: Path
) -> None:
    program = (
        "import tenfold\nfrom pathlib import Path\nfrom tenfold import report\n"
        f"run = tenfold.open({str(small_run.path)!r})\n"
        "from tenfold.report.plots import confusion_chart\n"
        f"report.write_png(confusion_chart(run.evaluation), Path({str(tmp_path / 'm.png')!r}))\n"
        "from tenfold.report import rewrite_report\n"
        f"import shutil; shutil.copytree(run.path, {str(tmp_path / 'run')!r})\n"
        f"rewrite_report(tenfold.open({str(tmp_path / 'run')!r}))\n"
    )
    assert not loaded_by(program) & {"keras", "jax", "sklearn", "matplotlib", "onnx"}


def test_no_module_imports_matplotlib() -> None:
    assert not [path for path in MODULES if any(n.startswith("matplotlib") for n in imported(path))]


def test_the_public_names() -> None:
    assert tenfold.__all__ == [
        "Client",
        "Dataset",
        "Evaluation",
        "Form",
        "Model",
        "NetworkClassifier",
        "NetworkRegressor",
        "PictureOptions",
        "Prediction",
        "Predictions",
        "Run",
        "Score",
        "Split",
        "Sweep",
        "TenfoldError",
        "Transcript",
        "Watching",
        "compare",
        "evaluate",
        "load",
        "open",
        "predict",
        "read",
        "resume",
        "split",
        "sweep",
        "train",
        "verify",
    ]
    for name in tenfold.__all__:
        documented = getattr(tenfold, name).__doc__
        assert documented, name


KINDS_OF_INPUT = {"Table", "TableInput", "ImageInput", "FeaturesInput"}
KINDS_OF_ANSWER = {
    "Prediction", "Predictions", "Value", "Values", "Evaluation", "RegressionEvaluation",
    "StoredLabels", "StoredValues",
}  # fmt: skip


def checks_of(kinds: set[str]) -> list[str]:
    """Where the source asks with `isinstance` for one of these classes."""
    return [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "isinstance"
        and kinds & set(re.findall(r"\w+", ast.unparse(node.args[1])))
    ]


def test_kinds_of_inputs_and_answers_are_told_apart_where_they_come_in() -> None:
    assert len(checks_of(KINDS_OF_INPUT)) <= 5, checks_of(KINDS_OF_INPUT)
    assert len(checks_of(KINDS_OF_ANSWER)) <= 5, checks_of(KINDS_OF_ANSWER)


PUBLIC_SIGNATURES = {
    "sweep": "settings of a sweep are arguments, as those of `train`",
    "compare": "settings of a comparison are arguments, as those of `train`",
    "train": "its settings are arguments",
    "__init__": "scikit-learn wants each parameter of an estimator in the signature",
}
"""Functions outside the command line that take more than seven parameters, and why."""


def test_functions_take_at_most_seven_parameters() -> None:
    wide = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                taken = node.args
                named = (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)
                n = sum(one.arg not in ("self", "cls") for one in named)
                if n + bool(taken.vararg) + bool(taken.kwarg) > 7 and wing_of(path) != "cli":
                    wide.add(node.name)
    assert wide <= set(PUBLIC_SIGNATURES)


NAMES_IN_TWO_MODULES = {
    "main": "each program of its own has one: the command line, the worker, the rank, the example",
    "export": "the command and the function that it stands for",
    "train": "the command and the function that it stands for",
    "evaluate": "the command and the function that it stands for",
    "read": "a dataset of the catalogue, and a page of digits: both are called by their module",
    "number_text": "a cell of ours with the digits of float32, and one that is read as it was",
}
"""Public names that two modules define, and why; at most ten."""


def test_public_names_are_defined_once() -> None:
    places: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                places.setdefault(node.name, set()).add(name_of(path))
    twice = {name for name, where in places.items() if len(where) > 1 and name[0] != "_"}
    assert twice <= set(NAMES_IN_TWO_MODULES) and len(NAMES_IN_TWO_MODULES) <= 10


def test_a_module_imports_at_most_ten_others() -> None:
    for path in MODULES:
        others = {module_named(name) for name in imported(path) if name.startswith("tenfold.")}
        n = len(others - {None, path})
        assert name_of(path) == "cli/main.py" or n <= 10, (name_of(path), n)


def test_the_formatter_lays_out_the_code() -> None:
    skips = [name_of(path) for path in MODULES if "# fmt: skip" in path.read_text("utf-8")]
    assert len(skips) <= 10
