"""The two distributions: what they hold, and how they live beside each other."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
from release.__main__ import TAG
from release.environment import ROOT
from release.test_all import find, supported

import tenfold
from tenfold.cli import main as cli
from tenfold.core.installation import EXTRAS
from tests.support.wheels import Wheel, Wheels


def install(wheel: Wheel, site: Path) -> None:
    """Put the files of a wheel where an installer puts them, over what is there."""
    with zipfile.ZipFile(wheel.path) as archive:
        archive.extractall(site)


def uninstall(wheel: Wheel, site: Path) -> None:
    """Remove the files that a wheel lists, whoever else lists them, as pip does."""
    for name in wheel.files:
        (site / name).unlink(missing_ok=True)
    for folder, _, _ in os.walk(site, topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)


def python(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with this folder before everything that is installed."""
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    own = [sys.executable, *command]
    return subprocess.run(own, capture_output=True, text=True, env=environment)


def projects() -> tuple[dict[str, Any], dict[str, Any]]:
    files = ROOT / "pyproject.toml", ROOT / "release" / "slim.toml"
    full, slim = (tomllib.loads(file.read_text("utf-8"))["project"] for file in files)
    return full, slim


def test_the_two_say_the_same_of_what_they_share() -> None:
    full, slim = projects()
    extras = slim["optional-dependencies"]
    assert {*slim["dependencies"], *extras["train"]} == {*full["dependencies"]}
    assert not {*slim["dependencies"]} & {*extras["train"]}
    assert {*extras["measure"]} <= {*extras["train"]}
    for name, needed in full["optional-dependencies"].items():
        if name != "dev":
            left_out = {one for one in needed if one.startswith("uvloop")}
            assert {*extras[name]} == {*needed} - left_out, name
    for name in ("requires-python", "license", "classifiers", "readme"):
        assert slim[name] == full[name], name
    assert {*EXTRAS.values()} <= {*extras}


def test_the_wheels_run_on_every_system_and_hold_the_same_files(wheels: Wheels) -> None:
    for wheel, name in ((wheels.full, "tenfold"), (wheels.slim, "tenfold-slim")):
        assert wheel.path.name == f"{name.replace('-', '_')}-{tenfold.__version__}{TAG}"
        assert wheel.metadata["Name"] == name
        assert wheel.metadata["Version"] == tenfold.__version__
    mine, its = ({name for name in wheel.files if ".dist-info/" not in name} for wheel in wheels)
    assert mine - its == {"tenfold.py"} and its - mine == {
        "tenfold_slim.py",
        "tenfold_slim.pth",
        "tenfold_slim_leftover/tenfold.py",
    }
    source = ROOT / "src"
    own = {
        path.relative_to(source).as_posix()
        for path in (source / "tenfold").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert mine & its == own


MAX_BACKBONE, MAX_WHEEL = 8e6, 20e6
"""Bytes that the network for photos may take in a wheel, and that a wheel may have."""


def test_the_network_for_photos_makes_the_wheels_at_most_8_mb_larger(wheels: Wheels) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            files = archive.infolist()
        own = [file for file in files if file.filename.startswith("tenfold/learners/backbone/")]
        assert 5e6 < sum(file.compress_size for file in own) < MAX_BACKBONE
        assert sum(file.file_size for file in own) < MAX_BACKBONE
        assert wheel.path.stat().st_size < MAX_WHEEL


@pytest.mark.parametrize("first", ["full", "slim"])
@pytest.mark.parametrize("removed", ["full", "slim"])
def test_both_installed_is_said_and_so_is_what_is_left_of_one(
    first: str, removed: str, wheels: Wheels, tmp_path: Path
) -> None:
    order = wheels if first == "full" else wheels[::-1]
    alone = "import tenfold; from tenfold.core import installation; "
    install(order[0], tmp_path)
    one = python(tmp_path, "-c", f"{alone}print(installation.distribution())")
    assert (one.stdout.strip(), one.stderr) == (order[0].metadata["Name"], "")
    install(order[1], tmp_path)
    both = python(tmp_path, "-c", alone)
    assert both.returncode == 0
    assert "tenfold and tenfold-slim are both installed" in both.stderr
    assert "pip uninstall tenfold tenfold-slim" in both.stderr

    uninstall(getattr(wheels, removed), tmp_path)
    # Without the packages of this environment, where Tenfold's sources are.
    site = f"import site; site.addsitedir({str(tmp_path)!r}); "
    kept = "tenfold" if removed == "slim" else "tenfold-slim"
    ways = ["import tenfold", "import tenfold.core"]
    if removed == "full":
        ways.append("import tenfold_slim; tenfold_slim.main()")
    for way in ways:
        left = python(tmp_path, "-S", "-c", site + way)
        assert left.returncode == 1
        assert left.stderr.endswith(f"pip install --force-reinstall --no-deps {kept}\n")
    install(order[0] if order[0].metadata["Name"] == kept else order[1], tmp_path)
    mended = python(tmp_path, "-S", "-c", f"{site}{alone}print(installation.distribution())")
    assert (mended.stdout.strip(), mended.stderr) == (kept, "")


LOOK = "from tenfold.cli.doctor import installation_lines as look; print(*look(), sep='\\n')"


def test_doctor_says_that_both_are_installed(wheels: Wheels, tmp_path: Path) -> None:
    for wheel in wheels:
        install(wheel, tmp_path)
    said = python(tmp_path, "-W", "ignore", "-c", LOOK).stdout
    assert "are both installed" in said and "is_wrong=True" in said


def test_doctor_counts_files_that_are_gone(wheels: Wheels, tmp_path: Path) -> None:
    install(wheels.slim, tmp_path)
    (tmp_path / "tenfold" / "report" / "report.html.j2").unlink()
    said = python(tmp_path, "-c", LOOK).stdout
    assert "1 are gone, tenfold/report/report.html.j2 first" in said
    assert "pip install --force-reinstall --no-deps tenfold-slim" in said


def test_interpreters_are_found_by_version_and_a_missing_one_is_none() -> None:
    own = "{}.{}".format(*sys.version_info)
    assert own in supported()
    assert find(own) is not None
    assert find("3.99") is None


def test_the_dockerfile_serves_from_what_make_dist_builds(wheels: Wheels) -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    (copied,) = re.findall(r"^COPY dist/(\S+) ", text, re.M)
    assert fnmatch(wheels.slim.path.name, copied) and not fnmatch(wheels.full.path.name, copied)
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.M)
    program, *words = json.loads(entry)
    assert program == "tenfold"
    command = typer.main.get_command(cli.app).commands[words[0]]  # type: ignore[attr-defined]
    command.make_context(words[0], words[1:])
