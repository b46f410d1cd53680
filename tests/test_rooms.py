"""The walls of docs/design.md: who imports whom, what is public, what is never loaded."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import tenfold

SOURCE = Path(tenfold.__file__).parent
DESIGN = SOURCE.parent.parent / "docs" / "design.md"


def rooms() -> list[str]:
    """The rooms in the order of the design's table."""
    table = DESIGN.read_text("utf-8").partition("## Rooms")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [name.strip(" `/").removesuffix(".py") for cell in cells for name in cell.split(",")]


ROOMS = rooms()
OPEN_TO_ALL = {"errors", "files", "contract"}
MAY_TRAIN = {"network", "training", "learners", "graph", "estimators"}

MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def imported(path: Path) -> set[str]:
    """Dotted names of everything a module imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_module_has_its_room_in_the_design() -> None:
    assert ROOMS[:3] == ["errors", "files", "contract"]
    assert {room_of(path) for path in MODULES} <= set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_up_the_table_only(path: Path) -> None:
    room = room_of(path)
    for name in imported(path):
        if not name.startswith("tenfold."):
            continue
        other = name.split(".")[1]
        allowed = other in OPEN_TO_ALL or other == room
        assert allowed or ROOMS.index(other) < ROOMS.index(room), f"{room} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_keras_and_jax_stay_in_their_rooms(path: Path) -> None:
    heavy = {name for name in imported(path) if name.split(".")[0] in ("keras", "jax")}
    assert not heavy or room_of(path) in MAY_TRAIN


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_that_runs_code_is_loaded(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {
        "pickle",
        "joblib",
        "yaml",
        "dill",
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_ray_stays_in_its_room(path: Path) -> None:
    assert "ray" not in {name.split(".")[0] for name in imported(path)} or path.stem == "cluster"


def loaded_by(program: str) -> set[str]:
    program += "\nimport sys; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in printed.split()}


def test_importing_tenfold_loads_no_training_library() -> None:
    loaded = loaded_by("import tenfold")
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
    assert not loaded_by(program) & {"keras", "jax", "sklearn", "matplotlib"}


def test_serving_loads_no_training_library(small_run: tenfold.Run) -> None:
    program = (
        "import tenfold.cli, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import numpy as np, service\n"
        f"gate = service.gate_of(tenfold.open({str(small_run.path)!r}))\n"
        "x = np.zeros((40, 40), np.uint8); x[8:32, 18:22] = 255\n"
        "assert service.predict(gate, service.png(x), 'image/png').status == 200\n"
        "assert service.predict(gate, service.images(x[None, :28, :28])).status == 200\n"
        "for page in ('/', '/docs', '/metrics'):\n"
        "    assert service.ask(gate, 'GET', page).status == 200\n"
    )
    loaded = loaded_by(program)
    assert {"fastapi", "uvicorn", "onnxruntime"} <= loaded
    assert not loaded & {"keras", "jax", "sklearn", "matplotlib"}


def test_reporting_loads_neither_keras_nor_jax(small_run: tenfold.Run, tmp_path: Path) -> None:
    program = (
        "import tenfold\nfrom pathlib import Path\nfrom tenfold import report\n"
        f"run = tenfold.open({str(small_run.path)!r})\n"
        f"report.draw_confusion(run.evaluation, Path({str(tmp_path / 'm.png')!r}))\n"
        "from tenfold.evidence import rewrite_report\n"
        f"import shutil; shutil.copytree(run.path, {str(tmp_path / 'run')!r})\n"
        f"rewrite_report(tenfold.open({str(tmp_path / 'run')!r}))\n"
    )
    assert not loaded_by(program) & {"keras", "jax", "sklearn"}


def test_the_public_names() -> None:
    assert tenfold.__all__ == [
        "Dataset", "Evaluation", "Model", "NetworkClassifier", "NetworkRegressor", "Prediction",
        "Predictions", "Run", "Score", "Split", "Sweep", "TenfoldError", "Transcript", "compare",
        "evaluate", "load", "open", "predict", "read", "resume", "split", "sweep", "train",
        "verify",
    ]  # fmt: skip
    for name in tenfold.__all__:
        documented = getattr(tenfold, name).__doc__
        assert documented, name


def test_no_room_grows_past_600_lines_and_no_function_past_60() -> None:
    for path in MODULES:
        text = path.read_text("utf-8")
        assert text.count("\n") <= 600, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                docstring = len((ast.get_docstring(node) or "").splitlines())
                assert length - docstring <= 60, f"{path.name}: {node.name}"
