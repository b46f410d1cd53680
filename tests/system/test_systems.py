"""The program as on other systems: what they lack is not there, and Windows' rules for files hold.

Tests run on Linux alone. What they prove, and what not, says docs/design/systems.md.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pytest

import tenfold
from tests.support.systems import environment, lacking

PROGRAM = """
import json, sys
from tenfold.cli.main import main

for words in json.loads(sys.argv[1]):
    sys.argv = ["tenfold", *words]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{words}: {ended.code}")
"""

SMALL = ["--hidden", "3", "--epochs", "1", "--batch-size", "30"]
FILE, RUN = "Maße 50% #1.csv", "runs/Maße 50% #1-network-1"

WORDS: list[list[str]] = [
    ["data", "check", FILE, "--target", "größe"],
    ["train", FILE, "--target", "größe", *SMALL],
    ["predict", RUN, FILE, "--csv"],
    ["predict", RUN, FILE, "--out", "answers.csv"],
    ["evaluate", RUN],
    ["report", RUN],
    ["export", RUN, "--to", "onnx"],
    ["verify", RUN],
]

COMPARE = ["compare", FILE, "--learners", "bayes,baseline"]
SWEEP = ["sweep", FILE, "--layers", "1,2", *SMALL]
"""Both are made by two worker processes; those of a sweep of networks need twice the time."""


def call_there(folder: Path, platform: str, *words: Any) -> subprocess.CompletedProcess[bytes]:
    """A Python of its own that is to Tenfold as on another system, in a folder."""
    command = [sys.executable, *map(str, words)]
    there = environment(platform, folder)
    return subprocess.run(command, cwd=folder, env=there, capture_output=True, timeout=300)


class There(NamedTuple):
    """A folder in which the small path, and a sweep or a comparison, were run as on a system."""

    platform: str
    folder: Path
    made: str
    done: subprocess.CompletedProcess[bytes]


@pytest.fixture(
    scope="module",
    params=[
        ("win32", COMPARE),
        pytest.param(("win32", SWEEP), marks=pytest.mark.slow),
        pytest.param(("darwin", SWEEP), marks=pytest.mark.slow),
    ],
    ids=lambda asked: f"{asked[0]}-{asked[1][0]}",
)
def there(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> There:
    platform, last = request.param
    folder = tmp_path_factory.mktemp(platform)
    rows = np.random.default_rng(0).normal(size=(90, 2))
    lines = [f"{a:.4f};{b:.4f};{'groß' if a > 0 else 'klein'}" for a, b in rows.tolist()]
    text = "\r\n".join(["länge;breite;größe", *lines, ""])
    (folder / FILE).write_bytes(b"\xef\xbb\xbf" + text.encode())
    words = [*WORDS, [*last, "--target", "größe", "--workers", "2"]]
    done = call_there(folder, platform, "-c", PROGRAM, json.dumps(words))
    made = {"compare": "comparison", "sweep": "sweep"}[last[0]]
    return There(platform, folder, f"runs/Maße 50% #1-{made}-1", done)


def test_the_small_path_and_a_sweep(there: There) -> None:
    assert there.done.returncode == 0, there.done.stderr.decode()
    printed = there.done.stdout.decode("utf-8")
    assert "groß" in printed and "2 stored predictions repeated" in printed
    run, made = there.folder / RUN, there.folder / there.made
    assert tenfold.verify(run)["examples"] == 2  # here, too
    trials = [tenfold.open(path.parent).record for path in made.rglob("model.onnx")]
    assert len(trials) >= 2 and {trial.state for trial in trials} == {"finished"}
    record = tenfold.open(run).record
    assert (record.peak_mb is None) == (there.platform == "win32")
    assert (run / ".lock").exists() == (there.platform == "win32")
    assert ".lock" not in record.files
    left = [path.name for path in there.folder.rglob("*.tmp.*")]
    assert not left


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service(there: There, workers: int) -> None:
    platform, folder = there.platform, there.folder
    command = [sys.executable, "-m", "tenfold", "serve", RUN, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--workers", str(workers)],
        cwd=folder,
        env=environment(platform, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout and process.stderr
            address = process.stdout.readline().decode().removeprefix("service  ").strip()
            body = json.dumps({"rows": [{"länge": 1, "breite": 2}]}).encode()
            name = quote(Path(RUN).name)  # with what an address holds in other letters alone
            assert ask(f"{address}v1/models/{name}/predict", body)["predictions"]
            # What stands for Ctrl-Break, which Windows alone has.
            process.send_signal(signal.SIGUSR1 if platform == "win32" else signal.SIGTERM)
            assert process.wait(30) == 0
            assert "Traceback" not in process.stderr.read().decode()
        finally:
            process.kill()


def ask(address: str, body: bytes) -> Any:
    """Ask a service, which may not have started yet."""
    request = urllib.request.Request(address, body, {"content-type": "application/json"})
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > end:
                raise
            time.sleep(0.1)


CHECK = """
import json, os, signal, sys
from pathlib import Path

def refused(call, *arguments):
    try:
        call(*arguments)
    except (AttributeError, ImportError, OSError, ValueError) as error:
        return type(error).__name__
    return ""

# As a file of Tenfold would.
code = compile('''
import os, sys, signal, socket
def use(name):
    module, name = name.split(".")
    return getattr(globals()[module], name)
def load():
    import fcntl
def open_folder():
    os.open(".", os.O_RDONLY)
''', str(Path(sys.argv[1], "probe.py")), "exec")
probe = {}
exec(code, probe)
print(json.dumps({
    "platform": probe["use"]("sys.platform"), "here": sys.platform,
    "kill": refused(probe["use"], "signal.SIGKILL"), "wait": refused(probe["use"], "os.wait"),
    "unix": refused(probe["use"], "socket.AF_UNIX"), "fcntl": refused(probe["load"]),
    "folder": refused(probe["open_folder"]),
    "colon": refused(Path("a:b").write_text, "x"), "con": refused(Path("Con.txt").mkdir),
    "used": refused(os.replace, "old.txt", "held.txt"),
}))
"""


def test_what_another_system_lacks_is_not_there(tmp_path: Path) -> None:
    """The tests above prove nothing where the absent is there."""
    source = str(Path(tenfold.__file__).parent)
    for name in ("old.txt", "held.txt"):
        (tmp_path / name).write_text("")
    program = f"held = open('held.txt'){CHECK}"
    found = json.loads(call_there(tmp_path, "win32", "-c", program, source).stdout)
    assert found == {
        "platform": "win32", "here": "linux", "kill": "AttributeError", "wait": "AttributeError",
        "unix": "AttributeError", "fcntl": "ModuleNotFoundError", "folder": "PermissionError",
        "colon": "OSError", "con": "OSError", "used": "PermissionError",
    }  # fmt: skip
    modules, names = lacking("win32")
    assert {"fcntl", "resource", "pwd", "pty"} <= set(modules)
    for name in ("fork", "killpg", "register_at_fork", "sched_getaffinity", "wait", "sysconf"):
        assert name in names["os"]
    assert {"SIGKILL", "SIGHUP"} <= set(names["signal"])
    assert {"AF_UNIX", "SO_REUSEPORT", "MSG_DONTWAIT"} <= set(names["socket"])
    assert "sched_getaffinity" in lacking("darwin")[1]["os"]
