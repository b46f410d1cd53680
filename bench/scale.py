"""Ray with two nodes of one core beside one, on this computer: `python -m bench.scale`.

16 equal trials, from the first one given out to the last one written, start of the workers
included. Then what a trial costs the driver, and what that means for larger clusters.
"""

import argparse
import json
import math
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import tenfold
from bench.measure import spread
from tenfold.core.progress import Listener
from tenfold.experiments.ray import RayCluster
from tenfold.experiments.sweeps.job import Job

TRIALS = 16
SMALL = 200
"""Trials of `baseline`, which are little but what a trial costs beside its training."""

NODE: dict[str, Any] = {"object_store_memory": 150 << 20, "include_dashboard": False}
ROOT = Path(__file__).parent.parent

CORES, GIGABIT = 8, 1e9 / 8
"""Cores of a projected node, and bytes a second that it sends and receives."""


class Timed(RayCluster):
    """A cluster that knows how long the trials took."""

    seconds = 0.0

    def run(
        self, jobs: Sequence[Job], listener: Listener, go_on: Callable[[], bool] = lambda: True
    ) -> Iterator[Job]:
        start = time.perf_counter()
        yield from super().run(jobs, listener, go_on)
        self.seconds += time.perf_counter() - start


def main() -> None:
    """Print the tables, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each")
    parser.add_argument("--nodes", type=int, help="be the driver of so many nodes")
    parser.add_argument("--small", action="store_true", help="of the small trials")
    options = parser.parse_args()
    if options.nodes:
        print(json.dumps(_measured(options.nodes, options.small)))
        return
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(options.repeat):
        for nodes, measured in found.items():
            measured.append(_process("--nodes", nodes))
    seconds = {nodes: [one["seconds"] for one in many] for nodes, many in found.items()}
    whole = {nodes: [one["whole"] for one in many] for nodes, many in found.items()}
    print(f"| {TRIALS} trials on nodes of one core | one | two | times faster |")
    print("|---|---|---|---|")
    for name, of in (("the trials, s", seconds), ("the whole sweep, s", whole)):
        ratios = [one / two for one, two in zip(of[1], of[2], strict=True)]
        print(f"| {name} | {spread(of[1])} | {spread(of[2])} | {spread(ratios, 2)} |")
    one = found[1][-1]
    small = _process("--nodes", 1, "--small")["seconds"] / SMALL
    print(f"\nA trial brings back {one['bytes'] / 1e3:.0f} kB, the rows are "
          f"{one['rows'] / 1e6:.0f} MB. One after the other, trials of `baseline` take "
          f"{1e3 * small:.0f} ms.\n")  # fmt: skip
    _project(median(seconds[1]) / TRIALS, small, one["rows"], one["bytes"])


def _process(*arguments: object) -> dict[str, float]:
    """What a driver in a process of its own measured."""
    command = [sys.executable, "-m", "bench.scale", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measured(n_nodes: int, small: bool) -> dict[str, float]:
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    for _ in range(n_nodes):
        nodes.add_node(num_cpus=1, **NODE)
    data: Any = "mnist"
    asked: dict[str, Any] = {"hidden": [128], "layers": [1], "seeds": TRIALS}
    if small:
        data = tenfold.load("mnist").take(np.r_[:2000, 60_000:60_400])
        asked = {"learner": "baseline", "seeds": SMALL}
    executor = Timed(nodes.address)
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as out:
        start = time.perf_counter()
        done = tenfold.sweep(data, out=out, workers=executor, **asked)
        whole = time.perf_counter() - start
        assert {row.state for row in done.trials} == {"finished"}
        rows = sum(path.stat().st_size for path in (done.path / "data").iterdir())
        trial = sum(path.stat().st_size for path in done.trials[0].run.iterdir())
    nodes.shutdown()  # type: ignore[no-untyped-call]
    return {"seconds": executor.seconds, "whole": whole, "rows": rows, "bytes": trial}


def _project(trial: float, driver: float, rows: float, result: float) -> None:
    """A sweep of 100 trials for each core, on more nodes than there are here.

    The driver takes for each trial what a whole small one takes, which is too much said; rows go
    from node to node, so those that have them double each time they are sent; results all come in
    through the driver's own wire.
    """
    print(f"| nodes of {CORES} cores | trials of {trial:.1f} s | rows everywhere after | hours, "
          "one core | minutes | share of the cores at work | with trials of 60 s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for nodes in (10, 100, 1000):
        cores, n_trials = CORES * nodes, 100 * CORES * nodes
        spreading = math.ceil(math.log2(nodes + 1)) * rows / GIGABIT
        least = max(driver, result / GIGABIT)
        shares, seconds = [], []
        for each in (trial, 60.0):
            busy = n_trials * each / cores
            took = spreading + max(busy, n_trials * least) + each
            seconds.append(took)
            shares.append(busy / took)
        print(f"| {nodes:,} | {n_trials:,} | {spreading:.1f} s | {n_trials * trial / 3600:,.0f} "
              f"| {seconds[0] / 60:.0f} | {shares[0]:.0%} | {shares[1]:.0%} |")  # fmt: skip


if __name__ == "__main__":
    main()
