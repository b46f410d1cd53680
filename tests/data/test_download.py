"""Fetching from a real HTTP server: bad mirrors, broken files, a killed download."""

import gzip
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import tenfold
from tenfold.core.errors import DataError, FetchError, FileError
from tenfold.data import catalog
from tenfold.data.catalog import File, IdxDataset, Part, download
from tenfold.data.catalog.download import fetch
from tenfold.inputs.idx import read_idx, write_idx
from tests.support.errors import refused

Answer = tuple[int, bytes, int]
NAMES = ["train-images", "train-labels", "t10k-images", "t10k-labels"]


@dataclass
class Server:
    """Files by path: status, content, and how many bytes of it are sent before the line breaks."""

    url: str
    files: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.asked.append(self.path)
            status, content, n_sent = serving.files.get(self.path, (404, b"gone", 4))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:n_sent])
            self.wfile.flush()
            if self.path.startswith("/stalls/"):
                serving.gate.wait(60)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        serving = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield serving
        serving.gate.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def contents(tmp_path: Path) -> dict[str, bytes]:
    """The four files of a small dataset, as gzip, by name."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (6, 28, 28), np.uint8),
        np.arange(6, dtype=np.uint8) % 3,
        rng.integers(0, 256, (4, 28, 28), np.uint8),
        np.arange(4, dtype=np.uint8) % 3,
    ]
    found = {}
    for name, array in zip(NAMES, arrays, strict=True):
        write_idx(tmp_path / "source.gz", array)
        found[name] = (tmp_path / "source.gz").read_bytes()
    return found


def entry(contents: dict[str, bytes], *mirrors: str, kind: str = "sha256") -> IdxDataset:
    def file(name: str) -> File:
        content = contents[name]
        if kind == "sha256":
            return File(name, "sha256:" + hashlib.sha256(gzip.decompress(content)).hexdigest())
        return File(name, "md5:" + hashlib.md5(content).hexdigest())

    train, test = Part(file(NAMES[0]), file(NAMES[1]), 6), Part(file(NAMES[2]), file(NAMES[3]), 4)
    return IdxDataset("noise", (28, 28), ("a", "b", "c"), train, test, mirrors)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "noise"


@pytest.fixture
def known(
    monkeypatch: pytest.MonkeyPatch, cache: Path, contents: dict[str, bytes], server: Server
) -> Callable[..., None]:
    """Make `noise` a dataset of the catalog, with these folders of the server as its mirrors."""

    def add(*folders: str, kind: str = "sha256") -> None:
        mirrors = [f"{server.url}/{folder}/" for folder in folders]
        monkeypatch.setitem(catalog.DATASETS, "noise", entry(contents, *mirrors, kind=kind))

    return add


def serve(server: Server, folder: str, contents: dict[str, bytes], status: int = 200) -> None:
    for name, content in contents.items():
        server.files[f"/{folder}/{name}.gz"] = (status, content, len(content))


def test_bad_mirrors_are_passed_over_in_turn(
    server: Server, contents: dict[str, bytes], known: Callable[..., None], cache: Path
) -> None:
    known("forbidden", "page", "truncated", "good")
    serve(server, "forbidden", contents, 403)
    serve(server, "page", dict.fromkeys(NAMES, b"<!DOCTYPE html><html>Please log in</html>"))
    for name, content in contents.items():
        server.files[f"/truncated/{name}.gz"] = (200, content, len(content) // 2)
    serve(server, "good", contents)
    seen: list[tuple[str, int]] = []
    assert fetch("noise", lambda url, n: seen.append((url, n))) == cache
    folders = [path.split("/")[1] for path in server.asked]
    assert folders == ["forbidden", "page", "truncated", "good"] * 4
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{n}.gz" for n in NAMES)
    for name, content in contents.items():
        assert (cache / f"{name}.gz").read_bytes() == content
        assert (f"{server.url}/good/{name}.gz", len(content)) in seen
    data = tenfold.load("noise")
    assert (len(data), data.test_rows.tolist(), data.labels) == (10, [6, 7, 8, 9], ("a", "b", "c"))
    assert data.keys[6] == "t10k-images:0"


def test_when_no_mirror_is_good_one_line_says_why_and_what_to_do_by_hand(
    server: Server, contents: dict[str, bytes], known: Callable[..., None], cache: Path
) -> None:
    known("forbidden", "page", "truncated", "torn", "other", "bomb")
    serve(server, "forbidden", contents, 403)
    serve(server, "page", dict.fromkeys(NAMES, b"<html>"))
    content = contents["train-images"]
    server.files["/truncated/train-images.gz"] = (200, content, len(content) // 2)
    serve(server, "torn", {"train-images": content[:-5]})
    serve(server, "other", {"train-images": contents["t10k-images"]})
    serve(server, "bomb", {"train-images": gzip.compress(bytes([0, 0, 8, 1]) + bytes(1 << 22))})
    with pytest.raises(FetchError) as error:
        fetch("noise")
    text = str(error.value)
    assert "\n" not in text
    url = server.url
    assert "403 Forbidden" in text
    assert f"found='a web page' ({url}/page/train-images.gz)" in text
    assert f"Ended before its end ({url}/truncated/train-images.gz)" in text
    assert f"The gzip file is incomplete ({url}/torn/train-images.gz)" in text
    assert "The file differs from the published one" in text
    assert f"The file is too long: n_bytes='more than 8' ({url}/bomb/" in text
    names = ", ".join(f"{name}.gz" for name in NAMES)
    assert text.endswith(f"Put {names} by hand into {cache}.")
    assert list(cache.iterdir()) == []

    with pytest.raises(DataError) as missing:
        tenfold.load("noise")
    assert str(missing.value) == (
        f"The dataset has not been downloaded: name='noise' ({cache}). Expected {names}. "
        "Run `tenfold data fetch noise`, or put the files there by hand."
    )
    for name in NAMES[:2]:  # by hand: packed or unpacked
        (cache / f"{name}.gz").write_bytes(contents[name])
    for name in NAMES[2:]:
        (cache / name).write_bytes(gzip.decompress(contents[name]))
    assert len(tenfold.load("noise")) == 10
    n_asked = len(server.asked)
    assert fetch("noise") == cache
    assert len(server.asked) == n_asked, "what is there and right is not fetched again"


def test_a_server_that_is_not_there_and_one_that_never_answers_are_passed_over(
    server: Server,
    contents: dict[str, bytes],
    known: Callable[..., None],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known("stalls", "good")
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.2)
    serve(server, "good", contents)
    for name, content in contents.items():
        server.files[f"/stalls/{name}.gz"] = (200, content, 10)
    assert fetch("noise") == cache
    monkeypatch.setitem(catalog.DATASETS, "noise", entry(contents, "http://127.0.0.1:9/"))
    (cache / "train-labels.gz").unlink()
    with pytest.raises(FetchError, match=r"No connection \(http://127.0.0.1:9/train-labels.gz\)"):
        fetch("noise")


def test_a_file_that_is_wrong_is_fetched_again(
    server: Server, contents: dict[str, bytes], known: Callable[..., None], cache: Path
) -> None:
    known("good")
    serve(server, "good", contents)
    cache.mkdir(parents=True)
    (cache / "train-labels").write_bytes(b"<html>")
    (cache / "t10k-labels.gz").write_bytes(contents["train-labels"])
    fetch("noise")
    assert len(tenfold.load("noise")) == 10
    assert not (cache / "train-labels").exists()


def test_a_file_of_which_only_the_md5_is_published(
    server: Server, contents: dict[str, bytes], known: Callable[..., None], cache: Path
) -> None:
    known("good", kind="md5")
    packed_otherwise = gzip.compress(gzip.decompress(contents["train-labels"]), 1, mtime=1)
    serve(server, "good", contents | {"train-labels": packed_otherwise})
    with pytest.raises(FetchError, match="The file was changed: md5='[0-9a-f]{32}'"):
        fetch("noise")
    serve(server, "good", contents)
    fetch("noise")
    assert len(tenfold.load("noise")) == 10
    (cache / "train-labels.gz").write_bytes(packed_otherwise)
    with refused("E404"):
        tenfold.load("noise")


def test_an_endless_answer_is_cut_off(
    server: Server,
    contents: dict[str, bytes],
    known: Callable[..., None],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known("long")
    serve(server, "long", dict.fromkeys(NAMES, bytes(1 << 20)))
    monkeypatch.setattr(download, "MAX_BYTES", 100_000)
    with pytest.raises(FetchError, match=r"More than 100000 bytes \(http"):
        fetch("noise")
    assert list(cache.iterdir()) == []


KILLED = """
import sys
from tenfold.data import catalog
from tenfold.data.catalog import File, IdxDataset, Part, download
file = File("train-images", "sha256:" + "0" * 64)
part = Part(file, file, 6)
catalog.DATASETS["noise"] = IdxDataset("", (28, 28), ("a", "b"), part, part, (sys.argv[1],))
download.fetch("noise", lambda url, n: print(n, flush=True))
"""


def test_a_download_killed_half_way_leaves_nothing_under_the_final_name(
    server: Server, contents: dict[str, bytes], known: Callable[..., None], cache: Path
) -> None:
    content = contents["train-images"]
    server.files["/stalls/train-images.gz"] = (200, content, len(content) // 2)
    command = [sys.executable, "-c", KILLED, f"{server.url}/stalls/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not list(cache.glob("*.tmp.*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        process.kill()
    left = [path.name for path in cache.iterdir()]
    assert len(left) == 1
    assert left[0].startswith("train-images.gz.tmp.")

    known("good")
    serve(server, "good", contents)
    fetch("noise")
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{n}.gz" for n in NAMES)


def test_a_cache_folder_that_cannot_be_made_is_said(
    known: Callable[..., None], tmp_path: Path
) -> None:
    known("good")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FileError, match="Cannot create"):
        fetch("noise")


def test_the_embedded_dataset_needs_no_fetching_and_an_unknown_one_is_refused() -> None:
    assert fetch("mnist") == catalog.FOLDER / "mnist"
    with refused("E401"):
        fetch("mnits")


def test_the_cache_follows_the_platform_or_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    monkeypatch.delenv("TENFOLD_CACHE", raising=False)
    expected = Path(platformdirs.user_cache_dir("tenfold", False)) / "fashion-mnist"
    assert catalog.folder_of("fashion-mnist") == expected
    monkeypatch.setenv("TENFOLD_CACHE", "/somewhere")
    assert catalog.folder_of("fashion-mnist") == Path("/somewhere/fashion-mnist")


def test_nothing_but_fetching_imports_what_touches_the_network() -> None:
    program = (
        "import sys, tenfold, tenfold.cli.main, tenfold.data.catalog.download\n"
        "tenfold.load('mnist')\n"
        "assert not {'pooch', 'requests', 'urllib3'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


DEBIAN = Path("/usr/share/datasets/fashion-mnist")

# MD5 of the .gz files in the makers' README (github.com/zalandoresearch/fashion-mnist).
MAKERS = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
TIMES = {"train": 1504176606, "t10k": 1504176627}
"""Found by trying: 31 August 2017, when the makers packed their files."""


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
@pytest.mark.parametrize("file", list(catalog.FASHION_MNIST), ids=lambda file: file.name)
def test_debians_files_are_the_makers_once_name_and_time_are_back(file: File) -> None:
    packed = (DEBIAN / f"{file.name}.gz").read_bytes()
    seconds = TIMES[file.name.split("-")[0]].to_bytes(4, "little")
    # RFC 1952: method 8, flag 8 for a name, time, no extra flags, Unix, then the name.
    header = b"\x1f\x8b\x08\x08" + seconds + b"\0\3" + file.name.encode() + b"\0"
    assert hashlib.md5(header + packed[10:]).hexdigest() == MAKERS[file.name]
    assert file.read(DEBIAN / f"{file.name}.gz").dtype == np.uint8


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
def test_debians_folder_is_read_by_its_path_and_from_the_cache_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path = tenfold.load(DEBIAN)
    (tmp_path / "fashion-mnist").symlink_to(DEBIAN)
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path))
    by_name = tenfold.load("fashion-mnist")
    assert by_name.labels[9] == "Ankle boot"
    np.testing.assert_array_equal(by_path.x, by_name.x)
    np.testing.assert_array_equal(by_path.y, by_name.y)
    assert np.bincount(by_name.y).tolist() == [7000] * 10
    assert read_idx(DEBIAN / "t10k-labels-idx1-ubyte.gz").shape == (10_000,)
