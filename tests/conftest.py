"""Shared parts of the tests: small real digits, and runs made once."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

import tenfold
from tenfold import Dataset, Run
from tenfold.core import files
from tests.support import program
from tests.support.wheels import Wheels, build_wheels

collect_ignore = ["support/elsewhere/sitecustomize.py"]
"""It runs at the start of other interpreters, which are told what they lack: test_systems.py."""

Few = Callable[..., Dataset]
Once = Callable[[str, Callable[[Path], Run]], Run]

FIRST = (
    "test_ray", "test_notebooks", "test_browser", "test_sweeps", "test_checkpoints", "test_cli"
)  # fmt: skip
"""Files that take long: they start first, so that no process waits for the last of them."""

LONG = {
    *FIRST, "test_duplicates", "test_audit", "test_comparison", "test_compiler", "test_convolution",
    "test_data_commands", "test_docs", "test_documentation", "test_doctor", "test_download",
    "test_earlier_runs", "test_sklearn", "test_examples", "test_export", "test_build",
    "test_from_folder", "test_group", "test_load", "test_architectures", "test_novelty",
    "test_report", "test_server", "test_disk_images", "test_label_errors", "test_streams",
    "test_sweep_commands", "test_file_faults", "test_systems",
    "test_table_commands", "test_table_path", "test_tiny", "test_training", "test_transcript",
    "test_train", "test_photos", "test_wheel",
}  # fmt: skip
"""Files that train many networks or start many programs: `make test-fast` leaves them out."""

COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": "",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Settings of JAX: programs compiled by one process of a test session serve all of them. The folder
is new for each session, so that no test meets what another session compiled."""


ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""One thread for NumPy's products: test processes side by side, each with a thread for every core,
wait for each other and take a fifth longer (measured, two processes on two cores)."""

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=300, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="Hypothesis tries more examples, others each time, where a test does not say how "
        "many; XLA compiles in the processes of the tests too as it does for users",
    )


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("thorough" if config.getoption("thorough") else "quick")
    # A shell lets what it starts in its background ignore Ctrl-C, which tests send to themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # the processes of pytest-xdist inherit the environment
        folder = tempfile.mkdtemp(prefix="tenfold-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ.update(COMPILED | {"JAX_COMPILATION_CACHE_DIR": f"{folder}/compiled"})
        os.environ[program.SESSION] = folder
        if not config.getoption("thorough"):
            flags = f"{os.environ.get('XLA_FLAGS', '')} {program.QUICKLY_COMPILED}"
            os.environ["XLA_FLAGS"] = flags.strip()
        for name in ONE_THREAD:
            os.environ.setdefault(name, "1")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    if unknown := LONG - here:
        raise pytest.UsageError(f"tests/conftest.py names files that are not here: {unknown}")
    for item in items:
        if item.path.stem in LONG:
            item.add_marker("long")
    rank = {name: i for i, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(FIRST)))


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return tenfold.load("mnist")


@pytest.fixture(scope="session")
def few(mnist: Dataset) -> Few:
    """The first digits: `few(300, 100)` has 300 training and 100 official test rows."""

    def make(n: int = 400, n_test: int = 100) -> Dataset:
        return mnist.take(np.r_[:n, 60_000 : 60_000 + n_test])

    return make


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a run in one process of a test session for all of them: `once(name, make)`."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def get(name: str, make: Callable[[Path], Run]) -> Run:
        folder, pointer = shared / name, shared / f"{name}.path"
        folder.mkdir(exist_ok=True)
        with files.locked(folder):
            if not pointer.exists():
                pointer.write_text(str(make(folder / "runs").path))
        return tenfold.open(pointer.read_text())

    return get


@pytest.fixture(scope="session")
def small_run(few: Few, once: Once) -> Run:
    """A finished run on a few hundred digits. Tests must leave it as it is."""
    return once("small_run", lambda out: tenfold.train(few(600, 200), epochs=3, out=out))


@pytest.fixture(scope="session")
def small_cnn(few: Few, once: Once) -> Run:
    """A finished run of convolutions on a few hundred digits. Tests must leave it as it is."""

    def make(out: Path) -> Run:
        # 540 rows are 9 steps of 60: one program for all steps.
        settings: dict[str, Any] = {"width": 8, "batch_size": 60, "epochs": 2}
        return tenfold.train(few(600, 100), learner="cnn", out=out, **settings)

    return once("small_cnn", make)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Both distributions, built from this tree."""
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder of its own, so that no test writes into the project."""
    monkeypatch.chdir(tmp_path)
    yield
