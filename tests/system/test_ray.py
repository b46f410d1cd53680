"""Trials on a real cluster of Ray: two nodes in this computer, of one core each."""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tenfold
from tenfold import Dataset, Run, Sweep
from tenfold.cli.main import app
from tenfold.core.files import within
from tenfold.core.progress import Listener
from tenfold.core.records import TrialResult
from tenfold.experiments.ray import RayCluster, batch_prediction, predict_many, shipped_rows
from tenfold.experiments.ray.connection import connect, keep_token_private
from tenfold.experiments.ray.executor import check_versions, keep
from tenfold.experiments.sweeps import LocalProcesses, SweepInterrupted
from tenfold.experiments.sweeps.executors import Executor
from tenfold.experiments.sweeps.job import Job
from tests.support.errors import refused
from tests.support.sweeps import read_table

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray uses what Ray deprecates
    pytest.mark.filterwarnings("ignore:os.fork"),  # JAX warns of what Ray's own cluster class does
]

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 150 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster with a token: a head without cores and two nodes of one core each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster  # Ray reads those variables when it is imported

        soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}
        head = {**NODE, "num_cpus": 0, "_system_config": soon}
        started = Cluster()
        try:
            for about in (head, NODE, NODE):
                add_node(started, about)
            yield started
        finally:
            started.shutdown()  # type: ignore[no-untyped-call]


def add_node(cluster: Any, about: dict[str, Any]) -> None:
    """Start a node; once more where Ray, which gives it 30 s on any computer, gave up."""
    for is_last in (False, True):
        try:
            cluster.add_node(**about)
            return
        except Exception as error:
            if is_last or "timed out during startup" not in str(error):
                raise


class Counter(Listener):
    """Counts what it sees."""

    def __init__(self) -> None:
        self.rows, self.warnings = list[TrialResult](), list[str]()

    def trial_ended(self, name: str, result: TrialResult) -> None:
        self.rows.append(result)
        self.after(len(self.rows))

    def after(self, n_rows: int) -> None:
        """What happens when so many trials have ended."""

    def warn(self, text: str) -> None:
        self.warnings.append(text)


NETWORKS: dict[str, Any] = {"hidden": [8, 16], "layers": [1], "epochs": 2}
FORESTS: dict[str, Any] = {"learner": "forest", "n_trees": [2, 4]}


def made(
    asked: dict[str, Any], data: Dataset, out: Path, executor: Executor, listener: Listener
) -> Sweep:
    return tenfold.sweep(data, **asked, seeds=3, out=out, workers=executor, listener=listener)


def table(sweep: Sweep) -> list[dict[str, str]]:
    return read_table(sweep.path / "sweep.csv")


@pytest.fixture(scope="module")
def local(few: Any, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The sweep of forests made by a process of this computer."""
    out = tmp_path_factory.mktemp("local")
    return made(FORESTS, few(600, 100), out, LocalProcesses(1), Counter())


class Breaks(Counter):
    """Kills a worker when one trial has ended, and removes a node when two have."""

    def __init__(self, nodes: Any) -> None:
        super().__init__()
        self.nodes, self.killed = nodes, False

    def after(self, n_rows: int) -> None:
        if n_rows == 1:
            self.killing = threading.Thread(target=self._kill)
            self.killing.start()
        if n_rows == 2:
            self.nodes.remove_node(next(iter(self.nodes.worker_nodes)), allow_graceful=False)
            import ray

            while sum(node["Alive"] for node in ray.nodes()) == 3:  # type: ignore[no-untyped-call]
                time.sleep(0.05)

    def _kill(self) -> None:
        os.kill(a_busy_worker(), signal.SIGKILL)
        self.killed = True


def a_busy_worker() -> int:
    """The process of a task under way."""
    for _ in range(1000):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(b"ray::_make_there"):
                    return int(path.parent.name)
            except OSError:
                continue
        time.sleep(0.01)
    raise AssertionError("no task under way")


class Stops(Counter):
    """Ctrl-C after two trials."""

    def after(self, n_rows: int) -> None:
        if n_rows == 2:
            raise KeyboardInterrupt


def test_interrupted_and_resumed_the_table_is_equal(
    nodes: Any, local: Sweep, few: Any, tmp_path: Path
) -> None:
    first, listener = Stops(), Counter()
    with RayCluster(nodes.address) as cluster:  # joined once for both
        with pytest.raises(SweepInterrupted) as stopped:
            made(FORESTS, few(600, 100), tmp_path, cluster, first)
        assert stopped.value.n_ended == 2
        sweep = made(FORESTS, few(600, 100), tmp_path, cluster, listener)
    assert sweep.path == stopped.value.path and table(sweep) == table(local)
    assert len(first.rows) + len(listener.rows) == len(sweep.trials) == 6


@pytest.mark.slow
def test_interrupted_resumed_a_worker_and_a_node_lost_the_table_is_equal(
    nodes: Any, few: Any, tmp_path: Path
) -> None:
    local = made(NETWORKS, few(600, 100), tmp_path / "local", LocalProcesses(2), Counter())
    first, listener = Stops(), Breaks(nodes)
    with pytest.raises(SweepInterrupted) as stopped:
        made(NETWORKS, few(600, 100), tmp_path, RayCluster(nodes.address), first)
    assert stopped.value.n_ended == 2
    sweep = made(NETWORKS, few(600, 100), tmp_path, RayCluster(nodes.address), listener)
    listener.killing.join()
    nodes.add_node(**NODE)
    assert listener.killed and any("1 of 3 machines lost" in text for text in listener.warnings)
    assert sweep.path == stopped.value.path and table(sweep) == table(local)
    names = [row.run.name for row in (*first.rows, *listener.rows)]
    assert len(names) == len(set(names)) == len(sweep.trials) == 6
    assert {row.state for row in sweep.trials} == {"finished"}


@pytest.fixture
def pictures(mnist: Dataset) -> Path:
    """A folder of digits as picture files, and one file that is none."""
    folder = Path("pictures")
    for i in range(5):
        (folder / f"part-{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mnist.x[i]).save(folder / f"part-{i % 2}" / f"{i}.png")
    (folder / "broken.png").write_bytes(b"nothing")
    return folder


@pytest.mark.slow
def test_a_folder_is_answered_as_predict_answers_it(
    nodes: Any, small_run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_prediction, "SHARD_FILES", 2)
    command = ["predict", str(small_run.path), str(pictures)]
    plain = CliRunner().invoke(app, [*command, "--csv"])
    asked = [*command, "--cluster", nodes.address, "--out", "answers"]
    many = CliRunner().invoke(app, asked)
    assert (plain.exit_code, many.exit_code) == (1, 1)  # the broken one
    assert "6 answers, 1 inputs" in many.stdout
    assert Path("answers/predictions.csv").read_text("utf-8") == plain.stdout
    shards = sorted(Path("answers/shards").iterdir())
    assert len(shards) == 3
    # Nothing is asked again but what is missing: without a cluster all the others are there.
    done = predict_many("nowhere:1", small_run.path, within(pictures), Path("answers"))
    assert (done.n_found, done.n_answers, done.n_errors) == (3, 6, 1)
    assert done.path.read_text("utf-8") == plain.stdout


def write_files(folder: Path, pixels: bytes) -> Path:
    """A folder of rows, as far as who brings it over looks at it."""
    folder.mkdir()
    for name, content in {"data.json": b"{}", "x.npy": pixels, "y.npy": b""}.items():
        (folder / name).write_bytes(content)
    return folder


def test_rows_are_brought_over_once_part_by_part_and_under_their_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped_rows, "PART_BYTES", 4)
    sent, fetched = list[Any](), list[int]()

    def put(part: Any) -> int:
        sent.append(part)
        return len(sent) - 1

    def get(number: int) -> Any:
        fetched.append(number)
        return sent[number]

    shared = write_files(tmp_path / "shared", b"012345678")
    key, shipped = shipped_rows.key_of(shared), shipped_rows.ship(shared, put)
    assert [len(part) for part in sent] == [4, 4, 1, 2] and shipped[-1] == ("data.json", [3])
    half = tmp_path / "cache" / "rows" / key  # left by a process that died: without its manifest
    half.mkdir(parents=True)
    (half / "x.npy").write_bytes(b"half")
    for _ in range(2):
        assert shipped_rows.rows_here(tmp_path / "not-seen-here", key, shipped, get) == half
    assert fetched == [0, 1, 2, 3] and shipped_rows.key_of(half) == key
    assert (half / "x.npy").read_bytes() == b"012345678" and (half / "y.npy").read_bytes() == b""
    # The driver's own folder is used where it is seen, and only if the same bytes are in it.
    assert shipped_rows.rows_here(shared, key, [], get) == shared
    other = shipped_rows.key_of(write_files(tmp_path / "other", b"876543210"))
    assert other != key
    assert shipped_rows.rows_here(shared, other, shipped, get) == half.with_name(other)


def test_a_trial_is_written_once_and_its_record_last(
    local: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = local.trials[0].run
    made = {path.name: path.read_bytes() for path in sorted(trial.iterdir()) if path.is_file()}
    record = Run.open(trial).record.model_dump(mode="json")
    job = Job(folder=str(tmp_path / "trial"), data="", record=record)
    keep(job, made)
    assert {path.name: path.read_bytes() for path in Path(job.folder).iterdir()} == made
    keep(job, {**made, "model.onnx": b"made a second time"})
    assert (Path(job.folder) / "model.onnx").read_bytes() == made["model.onnx"]
    written = list[str]()
    monkeypatch.setattr("tenfold.core.files.write_bytes", lambda path, _: written.append(path.name))
    keep(replace(job, folder=str(tmp_path / "again")), made)
    assert written[-1] == "run.json" and sorted(written) == sorted(made)


def test_other_versions_are_refused() -> None:
    check_versions({"python": "0", "numpy": np.__version__})
    with refused("E906", "found=.numpy "):
        check_versions({"numpy": "0.1"})


def test_without_ray_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")  # so that both are afterwards as they were
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with refused("E908"):
        connect("local")
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_cluster_that_does_not_start_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def never_ready(**_: Any) -> None:
        raise Exception("The current node timed out during startup.\nMore of it.")  # as Ray does

    monkeypatch.setattr("ray.init", never_ready)
    with refused("E909", "reason='The current node timed out during startup.'"):
        connect("local")


def test_the_token_of_a_cluster_is_the_users_alone(tmp_path: Path) -> None:
    made, old = tmp_path / "made" / "auth_token", tmp_path / "auth_token"
    old.write_text("a token")
    old.chmod(0o644)
    for path in (made, old):
        keep_token_private(path)
        assert path.stat().st_mode & 0o777 == 0o600
    assert made.parent.stat().st_mode & 0o777 == 0o700
    assert (len(made.read_text()), old.read_text()) == (64, "a token")


def test_a_cluster_of_no_cores_is_refused() -> None:
    with refused("E803", "workers=0"):
        RayCluster("local", 0)


def test_a_cluster_answers_into_a_folder(small_run: Run) -> None:
    asked = ["predict", str(small_run.path), "x.png", "--cluster", "local"]
    for more in ([], ["--out", "answers", "--json"], ["--out", "answers", "--show"]):
        assert CliRunner().invoke(app, [*asked, *more]).exit_code == 2


def test_a_folder_is_its_files_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.png", ".hidden", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert within(tmp_path) == [tmp_path / "a.png", tmp_path / "b" / "2.png"]
    assert within(tmp_path / "a.png") == [tmp_path / "a.png"]
    (empty := tmp_path / "empty").mkdir()
    with refused("E901"):
        within(empty)
