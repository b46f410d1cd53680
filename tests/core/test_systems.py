"""What differs between operating systems, each as far as Linux can show it."""

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import filelock  # noqa: F401  # it looks at the system when it is imported
import pytest
import uvloop

from tenfold.core import files, systems
from tests.support.errors import refused


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")


def test_a_folder_is_locked_as_on_windows(tmp_path: Path, windows: None) -> None:
    with files.locked(tmp_path, wait=False):
        assert [path.name for path in tmp_path.iterdir()] == [systems.LOCK]
        with refused("E903"), files.locked(tmp_path, wait=False):
            pass
    with files.locked(tmp_path, wait=False):  # the file of the first one is in nobody's way
        pass


def test_a_name_is_asked_for_again_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: None
) -> None:
    usual, n_refused = os.replace, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal n_refused
        if n_refused < 3:
            n_refused += 1
            raise PermissionError(13, "used by another process", str(target))
        usual(source, target)

    monkeypatch.setattr(os, "replace", replace)
    files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text("utf-8") == "new" and n_refused == 3
    monkeypatch.setattr(systems, "PATIENCE_SECONDS", 0.1)
    n_refused = -1_000
    start = time.monotonic()
    with refused("E902"):
        files.write_text(tmp_path / "a.txt", "newer")
    assert 0.1 <= time.monotonic() - start < 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_elsewhere_a_refusal_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def replace(source: Path, target: Path) -> None:
        asked.append(target)
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(os, "replace", replace)
    with refused("E902"):
        files.write_text(tmp_path / "a.txt", "new")
    assert len(asked) == 1


def test_names_that_every_system_takes() -> None:
    assert files.stem_of("my:rows?.csv") == "my_rows_"
    assert files.stem_of("Maße 2026-01.csv") == "Maße 2026-01"
    assert systems.file_name('a<b>c"d|e*f\\g\x07') == "a_b_c_d_e_f_g_"


def test_memory_as_far_as_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    held, peak, all_of_it = systems.resident_bytes(), systems.peak_bytes(), systems.memory_bytes()
    assert held and peak and all_of_it and 1 << 20 < held < all_of_it and peak < all_of_it
    monkeypatch.setattr(sys, "platform", "darwin")
    assert systems.resident_bytes() is None and systems.peak_bytes() == peak // 1024
    monkeypatch.setattr(sys, "platform", "win32")
    assert (systems.resident_bytes(), systems.peak_bytes(), systems.memory_bytes()) == (None,) * 3


def test_the_event_loop_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for shares_port in (False, True):
        assert systems.event_loop(shares_port=shares_port) is uvloop.new_event_loop
    assert systems.most_connections(shares_port=True) is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "platform", "win32")
    assert systems.event_loop(shares_port=False) is None
    assert systems.event_loop(shares_port=True) is asyncio.SelectorEventLoop
    assert systems.most_connections(shares_port=False) is None
    assert systems.most_connections(shares_port=True) == 480


def test_words_are_quoted_for_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train", "my rows.csv", "--target", "it's"]
    assert systems.quoted(words) == """train 'my rows.csv' --target 'it'"'"'s'"""
    monkeypatch.setattr(sys, "platform", "win32")
    assert systems.quoted(words) == 'train "my rows.csv" --target it\'s'


def test_a_program_is_known_without_its_ending(tmp_path: Path) -> None:
    installed = tmp_path / "tenfold.exe"
    installed.touch()
    assert systems.is_program(tmp_path / "tenfold", installed)
    assert systems.is_program(installed, installed)
    assert not systems.is_program(tmp_path / "other", installed)


def test_text_into_a_pipe_is_utf_8(tmp_path: Path) -> None:
    """As on Windows, where the encoding of a pipe is the user's code page."""
    (tmp_path / "größe.csv").write_text("größe,y\n" + "1,a\n2,b\n" * 30, encoding="utf-8")
    program = """
import sys
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(encoding="cp1252", errors="strict")
from tenfold.cli.main import main
main()
"""
    command = [sys.executable, "-c", program, "data", "show", "größe.csv", "--target", "y"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "größe" in done.stdout.decode("utf-8")
