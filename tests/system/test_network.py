"""Only `data fetch` uses the network: watched from outside, in processes as users start them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tenfold import Run

ANSWER = "import tenfold, sys, time; tenfold.open(sys.argv[1]).model.labels"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Of a user, whose home folder is empty and who has said nothing about telemetry."""
    home.mkdir()
    mine = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    return mine | {"HOME": str(home)} | more


def written_below(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.is_file()]


def remote_addresses(pid: int) -> set[str]:
    """Where the sockets of a process lead, those of this machine left out."""
    inodes = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(file))
        except FileNotFoundError:  # closed in between
            continue
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, inode = fields[2].partition(":")[0], fields[9]
            is_own = address.strip("0") in ("", "100007F") or address.endswith("0100007F")
            if f"socket:[{inode}]" in inodes and not is_own:
                found.add(f"{table} {fields[2]}")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="watches by /proc")
def test_onnxruntime_keeps_nothing_of_its_users(small_run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", f"{ANSWER}; time.sleep(3)", str(small_run.path)]
    subprocess.run(command, env=environment(home), check=True)
    assert not written_below(home)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="watches by /proc")
def test_what_onnxruntime_would_keep_is_seen(small_run: Run, tmp_path: Path) -> None:
    """The control of the test above, with telemetry on; some builds and machines write nothing."""
    home = tmp_path / "home"
    command = [sys.executable, "-c", f"{ANSWER}; time.sleep(60)", str(small_run.path)]
    with subprocess.Popen(command, env=environment(home, ORT_DISABLE_TELEMETRY="0")) as process:
        while "deviceid" not in written_below(home) and process.poll() is None:
            time.sleep(0.1)
        process.kill()
    assert "deviceid" in written_below(home)


@pytest.mark.skipif(sys.platform != "linux", reason="watches by /proc")
@pytest.mark.parametrize("seconds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_service_connects_to_nobody(small_run: Run, tmp_path: Path, seconds: float) -> None:
    """ONNX Runtime asked for a host 8 s after the start of a service, and every 6 to 8 s."""
    home = tmp_path / "home"
    program = "from tenfold.cli.main import main; main()"
    command = [sys.executable, "-c", program, "serve", str(small_run.path), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(home)
    ) as process:
        assert process.stdout and process.stdout.readline().startswith(b"service")
        addresses, end = set(), time.monotonic() + seconds
        while time.monotonic() < end:
            addresses |= remote_addresses(process.pid)
            time.sleep(0.003)
        process.terminate()
    assert process.returncode == 0
    assert not addresses and not written_below(home)
