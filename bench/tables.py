"""Large tables, stage by stage, beside pandas, scikit-learn and LightGBM: `make bench-tables`.

    python -m bench.tables [ROWS ...]

Tables of 10,000, 100,000 and 1,000,000 rows with 30 columns and a target are written once. Every
contender runs in a process of its own, with the same file, one after the other. Processor time is
what counts if other programs run; a process's peak memory includes its libraries. Goes on where it
stopped: what stands in bench/results/tables.json is not measured again. Prints the tables of
docs/performance.md.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import ENVIRONMENTS, environment
from tenfold.core.progress import StageClock, peak_mb

RESULTS = Path(__file__).parent / "results" / "tables.json"
PEER = Path(__file__).parent / "peers_tables.py"
ROWS = (10_000, 100_000, 1_000_000)
READERS = ("csv", "parquet")
LEARNERS = ("logistic", "boosting", "network")
PEERS = ("scikit-learn logistic", "scikit-learn boosting", "LightGBM")
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "passive"}
"""On busy cores, OpenMP threads that spin while they wait take minutes for 10,000 rows."""

STAGES = ("load", "train", "export", "evaluate", "report")


def main(rows: list[int]) -> None:
    """Measure what is missing in the results, and print them."""
    python = environment("tables", ["pandas", "pyarrow", "scikit-learn", "lightgbm"])
    if python is None:
        sys.exit("The libraries to compare with could not be installed")
    for n_rows in rows:
        table = ENVIRONMENTS / f"table-{n_rows}.csv"
        if not table.exists():  # in a process of its own: children would count its memory as theirs
            maker = multiprocessing.get_context("spawn").Process(target=_make, args=(table, n_rows))
            maker.start()
            maker.join()
        for what in (*READERS, *LEARNERS, *PEERS):
            found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
            if what in found.get(str(n_rows), {}):
                continue
            load = os.getloadavg()[0]
            ours = [sys.executable, "-m", "bench.tables", "--child", what, str(table)]
            theirs = [str(python), str(PEER), what, str(table)]
            if what in READERS:
                measured = {"tenfold": _last_line(ours), "pandas": _last_line(theirs)}
            else:
                measured = _last_line(theirs if what in PEERS else ours)
            found.setdefault(str(n_rows), {})[what] = {**measured, "load_average": round(load, 1)}
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print("\n".join(lines()))


def _last_line(command: list[str]) -> dict[str, Any]:
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def _make(path: Path, n_rows: int) -> None:
    """Write a CSV file, and a Parquet file with the same rows beside it."""
    import pandas as pd

    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 20)).round(4)
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(20)}
    columns |= {f"n{i}": rng.poisson(20 * (i + 1) ** 2, n_rows) for i in range(4)}
    for i, n_levels in enumerate((3, 8, 30, 200)):
        columns[f"c{i}"] = np.char.add("level ", rng.integers(n_levels, size=n_rows).astype(str))
    columns["day"] = np.datetime64("2020-01-01") + rng.integers(0, 1500, n_rows)
    columns["member"] = np.where(rng.random(n_rows) < 0.3, "yes", "no")
    score = x[:, 0] * x[:, 1] + x[:, 2] + (columns["n0"] - 20) / 13
    score = score + 0.5 * (columns["c0"] == "level 1") + rng.logistic(size=n_rows)
    x[rng.random(n_rows) < 0.05, 5] = np.nan
    frame = pd.DataFrame({**columns, "x5": x[:, 5], "y": np.where(score > 0, "good", "bad")})
    frame.to_parquet(path.with_suffix(".parquet"), index=False)
    frame.to_csv(path, index=False)


class _Clock(StageClock):
    """Measures the processor time of each stage as well."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu_seconds: dict[str, float] = {}
        self._cpu_began = time.process_time()

    def stage(self, name: str) -> None:
        super().stage(name)
        self._cpu_began = time.process_time()

    def pause(self) -> None:
        if self._stage is not None:
            self.cpu_seconds[self._stage] = round(time.process_time() - self._cpu_began, 2)
        super().pause()


def _child(what: str, table: Path) -> dict[str, Any]:
    """What reading a file, or a whole training, costs this process."""
    import tenfold

    clock, facts = _Clock(), dict[str, Any]()
    if what in READERS:
        tenfold.load(table.with_name(f"table-{ROWS[0]}.{what}"), target="y")  # imports
        clock.stage("load")
        tenfold.load(table.with_suffix(f".{what}"), target="y")
        clock.pause()
    else:
        with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as out:
            run = tenfold.train(table, target="y", learner=what, out=out, listener=clock)
        clock.pause()
        facts["note"] = run.record.note
    return {
        "seconds": clock.seconds,
        "cpu_seconds": clock.cpu_seconds,
        "peak_mb": peak_mb(),
        **facts,
    }


def lines() -> list[str]:
    """The results as Markdown."""
    results = json.loads(RESULTS.read_text("utf-8"))
    return [*_of_readers(results), "", *_of_trainings(results)]


def _of_readers(results: dict[str, Any]) -> list[str]:
    shown = ["| file | rows | processor s | pandas | ratio | peak MB | pandas |"]
    shown.append("|---" * 7 + "|")
    for what in READERS:
        for n_rows, found in results.items():
            both = [found[what][who] for who in ("tenfold", "pandas")]
            ours, theirs = (one["cpu_seconds"]["load"] for one in both)
            cells = [what, f"{int(n_rows):,}", f"{ours:.2f}", f"{theirs:.2f}"]
            cells += [f"{ours / theirs:.1f}", *(f"{one['peak_mb']:,.0f}" for one in both)]
            shown.append(f"| {' | '.join(cells)} |")
    return shown


def _of_trainings(results: dict[str, Any]) -> list[str]:
    head = ["processor s of", "rows", *STAGES, "together", "by the clock", "peak MB"]
    shown = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for what in (*LEARNERS, *PEERS):
        for n_rows in [n for n in results if what in results[n]]:
            one = results[n_rows][what]
            cpu = one["cpu_seconds"]
            clock = sum(one["seconds"][name] for name in cpu)
            cells = [f"**`{what}`**" if what in LEARNERS else what, f"{int(n_rows):,}"]
            cells += [f"{cpu[name]:.1f}" if name in cpu else "" for name in STAGES]
            cells += [f"{sum(cpu.values()):.1f}", f"{clock:.0f}", f"{one['peak_mb']:,.0f}"]
            shown.append(f"| {' | '.join(cells)} |")
    return shown


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_child(sys.argv[2], Path(sys.argv[3]))))
    else:
        main([int(text) for text in sys.argv[1:]] or list(ROWS))
