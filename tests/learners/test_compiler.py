"""The faulty fusions of XLA are off, and where they are on after all nothing is trained."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold import Run
from tenfold.cli import doctor
from tenfold.core.errors import BackendError
from tenfold.core.settings import Settings
from tenfold.learners import Examples, jax_runtime
from tenfold.learners.architectures import dense_network
from tenfold.learners.jax_runtime import PRODUCTS_ALONE, check_compiler
from tenfold.learners.training import DenseTraining
from tests.conftest import Few
from tests.support.errors import refused

OWN = "--xla_cpu_experimental_ynn_fusion_type=individual_dot,reduce"

RELEASE = tuple(int(part) for part in metadata.version("jaxlib").split(".")[:3])
IS_FAULTY = (0, 10, 2) <= RELEASE < (0, 13) and platform.machine() == "x86_64"
on_faulty_jaxlib = pytest.mark.skipif(not IS_FAULTY, reason="a jaxlib without the fault")


def flags_after(monkeypatch: pytest.MonkeyPatch, given: str | None, jaxlib: str) -> str | None:
    """XLA_FLAGS as `configure` leaves them."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given)
    monkeypatch.setattr(metadata, "version", lambda package: {"jaxlib": jaxlib}[package])
    jax_runtime._give_products_alone()
    return os.environ.get("XLA_FLAGS")


@pytest.mark.parametrize("jaxlib", ["0.10.0", "0.10.2", "0.11.2", "0.12.0.1"])
@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, PRODUCTS_ALONE),
        ("", PRODUCTS_ALONE),
        ("--xla_dump_to=/d --xla_a=1", f"{PRODUCTS_ALONE} --xla_dump_to=/d --xla_a=1"),
        (OWN, OWN),
        (f"--xla_a=1 {OWN}", f"--xla_a=1 {OWN}"),
        ("flags.txt", "flags.txt"),  # XLA reads them from there
    ],
)
def test_the_fusions_are_off_and_whatever_the_user_says_stays(
    monkeypatch: pytest.MonkeyPatch, jaxlib: str, given: str | None, left: str
) -> None:
    assert flags_after(monkeypatch, given, jaxlib) == left


@pytest.mark.parametrize("jaxlib", ["0.9.2", "0.13.0", "1.0"])
def test_a_release_that_may_not_know_the_flag_is_not_given_it(
    monkeypatch: pytest.MonkeyPatch, jaxlib: str
) -> None:
    # XLA ends a process whose flags it does not know.
    assert flags_after(monkeypatch, None, jaxlib) is None
    assert flags_after(monkeypatch, "--xla_a=1", jaxlib) == "--xla_a=1"


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The check compiles its sum with the fusion on, as a process does whose user asked for it."""
    if not IS_FAULTY:
        pytest.skip("a jaxlib without the fault")
    on = {jax_runtime.FUSIONS: "LIBRARY_FUSION_TYPE_REDUCE"}
    monkeypatch.setattr(jax_runtime, "QUICK", on)
    check_compiler.cache_clear()
    yield
    check_compiler.cache_clear()


def test_this_compiler_is_right() -> None:
    check_compiler.cache_clear()
    check_compiler()
    assert check_compiler.cache_info().currsize == 1  # once in a process


def test_a_wrong_sum_is_an_error_with_its_facts(faulty: None) -> None:
    for _ in range(2):  # a failure is not remembered as a success
        with pytest.raises(BackendError) as caught:
            check_compiler()
    n = jax_runtime.SIDE**2
    assert str(caught.value) == (
        f"JAX's compiler computes wrong sums on this machine: n_wrong={n}, "
        f"jaxlib={metadata.version('jaxlib')!r}, platform='cpu'. "
        f"Expected {n} exact sums of small integers. "
        f"Set XLA_FLAGS={PRODUCTS_ALONE} before JAX starts, or install another jaxlib."
    )


def test_no_training_begins_with_a_wrong_compiler(faulty: None, few: Few) -> None:
    data = few(20)
    examples = Examples(data.x[:20], data.y[:20])
    with refused("E913"):
        DenseTraining(dense_network((28, 28), [4], 10), examples, None, Settings())


def test_no_run_folder_is_made_and_learners_without_jax_go_on(
    faulty: None, few: Few, tmp_path: Path
) -> None:
    with refused("E913"):
        tenfold.train(few(60), epochs=1, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    run = tenfold.train(few(60), learner="baseline", out=tmp_path / "runs")
    assert run.record.state == "finished"


def test_a_run_to_be_resumed_stays_as_it_was(
    small_run: Run, faulty: None, few: Few, tmp_path: Path
) -> None:
    run = Run.open(shutil.copytree(small_run.path, tmp_path / "run"))
    run.finish("interrupted")
    before = (run.path / "run.json").read_bytes()
    with refused("E913"):
        tenfold.resume(run, few(600, 200))
    assert (run.path / "run.json").read_bytes() == before


def test_the_doctor_says_it(faulty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "sgemm_rate", lambda: 5e10)
    line = next(line for line in doctor.examine() if line.name == "compiler")
    assert line.is_wrong and "wrong sums" in line.text


def test_the_doctor_says_that_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "sgemm_rate", lambda: 5e10)
    monkeypatch.setenv("XLA_FLAGS", OWN)  # too late to be heard: JAX runs already
    assert doctor.Line("compiler", "computes correctly") in doctor.examine()


@on_faulty_jaxlib
def test_a_users_own_choice_of_the_faulty_fusion_ends_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenfold", "train", "--epochs", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"XLA_FLAGS": OWN}
    )
    assert done.returncode == 1 and done.stdout == ""
    said = [line for line in done.stderr.splitlines() if "JAX" in line]
    assert len(said) == 1 and "wrong sums" in said[0] and PRODUCTS_ALONE in said[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@on_faulty_jaxlib
def test_no_sweep_begins_whose_workers_would_compute_wrongly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenfold", "sweep", "--hidden", "8", "--layers", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"XLA_FLAGS": OWN}
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "wrong sums" in done.stderr
    assert not (tmp_path / "runs").exists()


SPY = """
import os, sys

def hook(event, arguments):
    if event == "open" and "{file}" in str(arguments[0]):
        with open({seen!r}, "w") as file:
            file.write(os.environ.get("XLA_FLAGS", "") + "\\n")

if "{module}" in sys.orig_argv:
    sys.addaudithook(hook)
"""
"""What Python runs at the start of a process: it writes down XLA_FLAGS when that process writes its
first results, so after JAX started."""


@on_faulty_jaxlib
@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("tenfold.experiments.sweeps.worker", "history.csv"),
        pytest.param("tenfold.learners.rank", "epoch-1.", marks=pytest.mark.slow),
    ],
)
def test_the_fusions_are_off_in_the_processes_that_share_the_work(
    module: str, file: str, few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    spy = SPY.format(file=file, seen=str(seen), module=module)
    (tmp_path / "sitecustomize.py").write_text(spy)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if module.endswith("worker"):
        tenfold.sweep(few(200), hidden=[4], layers=[1], epochs=1, workers=1, out=tmp_path)
    else:
        tenfold.train(few(200), hidden=[4], epochs=1, processes=2, out=tmp_path)
    assert seen.read_text() == f"{PRODUCTS_ALONE}\n"


STARTED = """
import jax
{first}
from tenfold.learners.jax_runtime import check_compiler
try:
    check_compiler()
    print("right")
except Exception as error:
    print(type(error).__name__)
"""


@on_faulty_jaxlib
@pytest.mark.parametrize(
    ("first", "said"),
    [
        pytest.param("", "right", marks=pytest.mark.slow, id="loaded"),
        pytest.param("jax.devices()", "BackendError", id="started"),
    ],
)
@pytest.mark.slow
def test_a_jax_that_started_before_is_beyond_the_flag_and_is_caught(first: str, said: str) -> None:
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-c", STARTED.format(first=first)]
    done = subprocess.run(command, capture_output=True, text=True, env=plain, check=True)
    assert done.stdout == f"{said}\n"


def test_programs_that_differ_in_an_unused_argument_are_two() -> None:
    jax_runtime.configure()
    import jax

    first = jax.jit(lambda used, unused: used + 1)
    used = np.zeros(3, np.float32)
    programs = [
        jax_runtime.compile_program(first.lower(used, unused))
        for unused in (np.zeros(2, np.float32), np.zeros(5, np.float32), np.zeros(2, np.float32))
    ]
    assert programs[0] is programs[2]
    assert programs[1](used, np.zeros(5, np.float32)).tolist() == [1, 1, 1]
