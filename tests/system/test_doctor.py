"""`tenfold doctor`: on this installation, and on one where something is missing."""

import subprocess
import sys
from importlib import metadata

import pytest

import tenfold
from tenfold.cli import doctor
from tenfold.cli.doctor import Requirement, checks_json, examine, requirements
from tenfold.core.errors import BackendError
from tenfold.learners.jax_runtime import devices
from tests.support.errors import refused


@pytest.mark.slow
def test_the_program_shows_one_screen_and_loads_jax() -> None:
    program = "import sys\nfrom tenfold import cli\ntry:\n cli.app(['doctor'])\nfinally:\n "
    program += "print('jax' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *lines, loaded = done.stdout.splitlines()
    assert loaded == "True False"
    assert len(lines) <= 23 and not any(line.startswith("MISSING") for line in lines)
    for fact in (tenfold.__version__, "GFLOP/s", "cpu", f"numpy {metadata.version('numpy')}"):
        assert fact in done.stdout


def test_requirements_are_those_of_the_metadata() -> None:
    found = requirements()
    assert Requirement("onnxruntime", (1, 24, 1), None) in found
    assert Requirement("pyarrow", (20,), "parquet") in found
    assert all(one.is_met for one in found if one.extra is None)


def test_what_is_missing_or_too_old_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "no-such-package>=2",
        "numpy>=99.1,!=100",
        "rich",
        "another-one>=1.5; extra == 'serve'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda package: lines)
    monkeypatch.setattr(doctor, "sgemm_rate", lambda: 5e10)

    def devices() -> list[str]:
        raise BackendError("E901", "JAX cannot start", reason="no driver")

    monkeypatch.setattr(doctor, "devices", devices)
    seen = examine()
    wrong = {line.text for line in seen if line.is_wrong}
    assert wrong == {
        "JAX cannot start: reason='no driver'.",
        'no-such-package>=2 not here: pip install "no-such-package>=2"',
        f'numpy>=99.1, {metadata.version("numpy")} here: pip install "numpy>=99.1"',
    }
    checks = checks_json(seen)
    assert {check["text"] for check in checks if not check["ok"]} == wrong
    assert all(check["name"] for check in checks) and "  " not in str(checks)
    extra = next(line for line in seen if line.name == "[serve]")
    assert extra.text == "another-one>=1.5 not here: pip install 'tenfold[serve]'"
    assert any(line.text == f"rich {metadata.version('rich')}" for line in seen)


def test_a_gpu_is_named_and_a_jax_that_fails_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import jax

    monkeypatch.setattr(doctor, "devices", lambda: ["cuda NVIDIA L4", "cuda NVIDIA L4"])
    monkeypatch.setattr(doctor, "sgemm_rate", lambda: 5e10)
    assert doctor.Line("JAX", "2 x cuda NVIDIA L4") in examine()

    def broken() -> list[object]:
        raise RuntimeError("Unable to initialize backend 'cuda'\nmore")

    monkeypatch.setattr(jax, "devices", broken)
    with refused("E914", 'reason="Unable to initialize'):
        devices()


def test_the_cache_line_says_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "sgemm_rate", lambda: 5e10)
    line = next(line for line in examine() if line.name == "cache")
    assert line.text.startswith(f"{tmp_path}: no dataset yet; tenfold data fetch fashion-mnist")
