"""The runs behind a service: a folder of them, and those whose folder is replaced while it runs."""

import asyncio
import json
import shutil
import threading
import time
from pathlib import Path

import pytest

import tenfold
from tenfold import Run
from tenfold.serve.limits import Limits
from tenfold.serve.served_runs import RunWatcher, build, find_runs
from tests.conftest import Few
from tests.support.errors import refused
from tests.support.service import JSON, POLICY, Told, ask, connect, images, one_answer, request
from tests.support.service import service as started


def copy(run: Run, target: Path) -> Path:
    shutil.copytree(run.path, target)
    return target


def set_state(path: Path, state: str) -> None:
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(record | {"state": state}))


@pytest.fixture(scope="module")
def other_run(few: Few, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tenfold.train(few(300, 100), learner="baseline", out=tmp_path_factory.mktemp("other"))


@pytest.fixture
def folder(small_run: Run, tmp_path: Path) -> Path:
    """Two finished runs, one that failed, and a file."""
    for name in ("b", "a", "failed"):
        copy(small_run, tmp_path / "runs" / name)
    set_state(tmp_path / "runs" / "failed", "failed")
    (tmp_path / "runs" / "notes.txt").write_text("x")
    return tmp_path / "runs"


def test_the_finished_runs_of_a_folder_are_served(folder: Path) -> None:
    runs = find_runs([folder])
    assert [run.path.name for run in runs] == ["a", "b"]
    assert [run.path for run in find_runs([folder / "b"])] == [folder / "b"]
    guard = build(runs, Limits(), POLICY, lists_runs=True)
    guard.open()
    page = ask(guard, "GET", "/").body.decode()
    assert 'href="/models/a"' in page and "/v1/models/b/predict" in page and "failed" not in page
    assert "http" not in page
    with refused("E708"):
        find_runs([folder / "none"])
    for name in ("a", "b"):
        set_state(folder / name, "stopped")
    with refused("E718", "n_runs=3"):
        find_runs([folder])


def test_a_run_that_is_replaced_answers_from_then_on(
    folder: Path, other_run: Run, few: Few
) -> None:
    runs = find_runs([folder])
    guard = build(runs, Limits(), POLICY)
    guard.open()
    watcher = RunWatcher(guard, [folder])
    body = images(few(2).images[:2])

    def model_of(name: str) -> str:
        reply = ask(guard, "POST", f"/v1/models/{name}/predict", body, kind=JSON)
        return str(reply.json["model"])

    before = model_of("a")
    shutil.rmtree(folder / "a")
    asyncio.run(watcher.look())  # for a moment there is none
    assert model_of("a") == before
    shutil.copytree(other_run.path, folder / "a", ignore=shutil.ignore_patterns("model.onnx"))
    asyncio.run(watcher.look())  # it is there by half
    assert model_of("a") == before
    (folder / "a" / "model.onnx").write_bytes(b"no model")
    asyncio.run(watcher.look())
    assert model_of("a") == before and ask(guard, "GET", "/health/ready").status == 200
    shutil.copy(other_run.path / "model.onnx", folder / "a")
    asyncio.run(watcher.look())
    assert model_of("a") == other_run.model.sha256 != before
    assert ask(guard, "GET", "/v1/models/a").json["model"] == other_run.model.sha256
    assert model_of("b") == before
    copy(other_run, folder / "c")
    asyncio.run(watcher.look())  # and one that has come
    assert model_of("c") == other_run.model.sha256
    guard.close()


def test_no_request_fails_while_a_run_is_replaced(
    small_run: Run, other_run: Run, few: Few, tmp_path: Path
) -> None:
    """As the page on deploying says: a link that is made to point to another run."""
    link = tmp_path / "current"
    link.symlink_to(small_run.path)
    body = request(images(few(1).images[:1]), path="/v1/models/current/predict")
    seen: list[Told] = []
    ends = threading.Event()

    def client() -> None:
        with connect(running) as connection:
            while not ends.is_set():
                connection.sendall(body)
                head, _, content = one_answer(connection).partition(b"\r\n\r\n")
                seen.append(Told(int(head[9:12]), {}, content))

    with started(link, log=tmp_path / "log") as running:
        thread = threading.Thread(target=client)
        thread.start()
        while not seen:
            time.sleep(0.01)
        (tmp_path / "next").symlink_to(other_run.path)
        (tmp_path / "next").replace(link)
        until = time.monotonic() + 30
        while seen[-1].json["model"] != other_run.model.sha256:
            assert seen[-1].status == 200 and time.monotonic() < until
            time.sleep(0.01)
        ends.set()
        thread.join()
        assert {told.status for told in seen} == {200}
        assert {told.json["model"] for told in seen} == {
            small_run.model.sha256,
            other_run.model.sha256,
        }
        time.sleep(0.2)
        assert any(line.get("loaded") == "current" for line in running.lines())
