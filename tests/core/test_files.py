"""Durable files, locks and what the operating system refuses: with real files and processes."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from tenfold.core import files
from tenfold.core.errors import DataError, FileError
from tests.support.program import PIPE, Program, start_python

FIX = "Free some space or choose another folder."


def python(script: str, *arguments: object) -> Program:
    """Start `script` as a Python process of its own."""
    return start_python(script, *arguments, stdin=PIPE)


def finish(process: Program) -> str:
    """Wait for a process and give back what it printed."""
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_durable_file_appears_only_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with files.durable(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_a_reader_sees_the_old_file_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"the old and longer content")
    with files.durable(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"the old and longer content"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [DataError("E100", "Enough"), KeyboardInterrupt("Enough")])
def test_an_error_inside_the_block_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error), match="Enough"), files.durable(path) as file:
        file.write(b"half of the new")
        file.flush()
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_an_error_inside_the_block_makes_no_file_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(DataError), files.durable(tmp_path / "a.bin") as file:
        file.write(b"half")
        raise DataError("E100", "Enough")
    assert names(tmp_path) == []


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    script = """
import os, signal, sys
from pathlib import Path
from tenfold.core import files
with files.durable(Path(sys.argv[1])) as file:
    file.write(b"half of the new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = python(script, path)
    process.communicate(timeout=30)
    assert process.returncode == -9
    assert path.read_bytes() == b"old"


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with files.durable(path) as first, files.durable(path) as second:
        first.write(b"1" * 10)
        second.write(b"2" * 5)
    # The inner block ends first, so the outer one has the last word.
    assert path.read_bytes() == b"1" * 10
    assert names(tmp_path) == ["a.bin"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.bin"
    with pytest.raises(FileError) as error:
        files.write_bytes(path, b"new")
    assert str(error.value) == f"Cannot write: reason='No such file or directory' ({path})."
    assert isinstance(error.value.__cause__, FileNotFoundError)


def test_a_file_where_the_folder_should_be_is_named_and_kept(tmp_path: Path) -> None:
    in_the_way = tmp_path / "runs"
    in_the_way.write_bytes(b"old")
    with pytest.raises(FileError) as error:
        files.write_bytes(in_the_way / "a.bin", b"new")
    assert str(error.value) == f"Cannot write: reason='Not a directory' ({in_the_way / 'a.bin'})."
    assert in_the_way.read_bytes() == b"old"


def test_a_folder_where_the_file_should_be_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.mkdir()
    with pytest.raises(FileError) as error:
        files.write_bytes(path, b"new")
    assert str(error.value) == f"Cannot write: reason='Is a directory' ({path})."
    assert names(tmp_path) == ["a.bin"]
    assert names(path) == []


def test_a_full_disk_is_one_error_with_its_fix_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    script = """
import resource, sys
from pathlib import Path
from tenfold.core import files
from tenfold.core.errors import FileError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files.write_bytes(Path(sys.argv[1]), b"x" * 100_000)
except FileError as error:
    print(error, end="")
"""
    assert finish(python(script, path)) == f"Cannot write: reason='File too large' ({path}). {FIX}"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_way_of_being_full_offers_the_fix(code: int) -> None:
    with pytest.raises(FileError) as error, files.os_errors("write", "a.bin"):
        raise OSError(code, os.strerror(code))
    assert str(error.value) == f"Cannot write: reason={os.strerror(code)!r} (a.bin). {FIX}"


def test_a_refusal_names_what_was_tried_and_keeps_its_cause() -> None:
    cause = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(FileError) as error, files.os_errors("open", "a.bin"):
        raise cause
    assert str(error.value) == "Cannot open: reason='Permission denied' (a.bin)."
    assert error.value.__cause__ is cause


def test_a_refusal_without_a_number_keeps_its_words() -> None:
    with pytest.raises(FileError) as error, files.os_errors("open", "a.bin"):
        raise OSError("not today")
    assert str(error.value) == "Cannot open: reason='not today' (a.bin)."


def test_a_refusal_already_told_is_not_told_twice() -> None:
    inner = FileError("E900", "Cannot read", where="inner.bin", reason="it is gone")
    with pytest.raises(FileError) as error, files.os_errors("write", "outer.bin"):
        raise inner
    assert error.value is inner


def test_other_errors_pass_unchanged() -> None:
    inner = DataError("E100", "The table has no rows")
    with pytest.raises(DataError) as error, files.os_errors("write", "a.bin"):
        raise inner
    assert error.value is inner


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.txt", "Größe\n")
    assert (tmp_path / "a.txt").read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"


def test_json_is_indented_readable_and_ends_with_a_line_break(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"label": "ö", "n": [1]})
    text = path.read_text(encoding="utf-8")
    assert text == '{\n  "label": "ö",\n  "n": [\n    1\n  ]\n}\n'
    assert json.loads(text) == {"label": "ö", "n": [1]}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_is_not_a_number_and_keeps_the_old_file(
    tmp_path: Path, number: float
) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"loss": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"loss": number})
    assert json.loads(path.read_bytes()) == {"loss": 0.5}
    assert names(tmp_path) == ["a.json"]


def test_a_lock_keeps_other_processes_out(tmp_path: Path) -> None:
    folder, counter = tmp_path / "runs", tmp_path / "counter"
    folder.mkdir()
    counter.write_text("0")
    # Without the lock all processes read the same number and most additions are lost.
    script = """
import sys, time
from pathlib import Path
from tenfold.core import files
folder, counter = map(Path, sys.argv[1:])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20):
    with files.locked(folder):
        number = int(counter.read_text())
        time.sleep(0.001)
        counter.write_text(str(number + 1))
"""
    processes = [python(script, folder, counter) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    assert counter.read_text() == "60"
    assert names(folder) == [], "a lock leaves no file behind"


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from tenfold.core import files
with files.locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""
    process = python(script, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    process.kill()
    process.communicate(timeout=30)
    with files.locked(tmp_path):
        assert names(tmp_path) == []


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError), files.locked(tmp_path):
        raise DataError("E100", "Enough")
    script = """
import sys
from pathlib import Path
from tenfold.core import files
with files.locked(Path(sys.argv[1])):
    print("in")
"""
    assert finish(python(script, tmp_path)) == "in\n"


def test_a_missing_folder_cannot_be_locked(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    with pytest.raises(FileError) as error, files.locked(path):
        pass
    assert str(error.value) == f"Cannot lock: reason='No such file or directory' ({path})."


def test_what_fails_while_a_folder_is_locked_is_not_called_a_failure_to_lock(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError) as error, files.locked(tmp_path):
        (tmp_path / "run.json").read_bytes()
    assert "Cannot lock" not in str(error.value)
    assert "run.json" in str(error.value)


def test_sha256_is_the_digest_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert files.sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    content = bytes(range(256)) * 5_000
    path.write_bytes(content)
    assert files.sha256(path) == hashlib.sha256(content).hexdigest()


def test_sha256_of_a_missing_file_or_a_folder_names_it(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    with pytest.raises(FileError) as error:
        files.sha256(path)
    assert str(error.value) == f"Cannot read: reason='No such file or directory' ({path})."
    with pytest.raises(FileError) as error:
        files.sha256(tmp_path)
    assert str(error.value) == f"Cannot read: reason='Is a directory' ({tmp_path})."
