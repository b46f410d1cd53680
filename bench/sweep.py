"""A sweep beside scikit-learn's grid search of the same networks: `python -m bench.sweep`.

Both train 784-...-10 networks on the same rows, with the same batch size and number of epochs, two
at a time. scikit-learn is asked in float32, which it computes twice as fast, and in float64, what
`x / 255` gives. Ours also validates each epoch, exports, calibrates and measures every model.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

import tenfold

if __package__ in (None, ""):  # as a script, from any folder
    sys.path.insert(0, str(Path(__file__).parent.parent))
from bench.measure import Process, run_process, spread
from tenfold.core.settings import resolve
from tenfold.experiments.run_data import split_of

HIDDEN, LAYERS, SEEDS, EPOCHS = (32, 64, 128, 256), (1, 2, 3), 2, 10
TENFOLD = [sys.executable, "-m", "tenfold"]


def main() -> None:
    """Print the table, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each")
    parser.add_argument("--peer", choices=("float32", "float64"), help="be scikit-learn")
    parser.add_argument("--many", type=int, help="be so many trials of `baseline`")
    options = parser.parse_args()
    if options.peer:
        _peer(options.peer)
    elif options.many:
        _many(options.many)
    else:
        _print_table(options.repeat)


def _print_table(repeat: int) -> None:
    ours: list[Process] = []
    theirs: dict[str, list[Process]] = {"float32": [], "float64": []}
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as name:
        folder = Path(name)
        for turn in range(repeat):
            out = folder / f"runs-{turn}"
            own: list[str | Path] = [*TENFOLD, *_command(), "--out", out]
            ours.append(run_process(own, folder))
            for dtype, measured in theirs.items():
                command: list[str | Path] = [sys.executable, Path(__file__), "--peer", dtype]
                measured.append(run_process(command, folder))
    print("| 24 networks, 10 epochs, 2 at a time | seconds | of cores | ours beside it | cores |")
    print("|---|---|---|---|---|")
    print(f"| `tenfold {' '.join(_command())}` | {_columns(ours)} | | |")
    for dtype, measured in theirs.items():
        pairs = list(zip(ours, measured, strict=True))
        ratios = spread([a.seconds / b.seconds for a, b in pairs], 2)
        of_cores = spread([a.cpu_seconds / b.cpu_seconds for a, b in pairs], 2)
        title = f"`GridSearchCV(MLPClassifier, n_jobs=2)`, {dtype}"
        print(f"| {title} | {_columns(measured)} | {ratios} | {of_cores} |")


def _columns(measured: list[Process]) -> str:
    seconds = spread([process.seconds for process in measured], 0)
    return f"{seconds} | {spread([process.cpu_seconds for process in measured], 0)}"


def _command() -> list[str]:
    lists = [",".join(map(str, values)) for values in (HIDDEN, LAYERS)]
    return [
        "sweep", "mnist", "--hidden", lists[0], "--layers", lists[1], "--seeds", str(SEEDS),
        "--epochs", str(EPOCHS), "--workers", "2",
    ]  # fmt: skip


def _peer(dtype: str) -> None:
    """The same 24 trainings: the training rows of our split to fit to, its validation rows."""
    warnings.simplefilter("ignore")  # that ten epochs are too few
    data = tenfold.load("mnist")
    split = split_of(data, resolve({}))
    rows = np.concatenate([split.train, split.validation])
    x = (data.x[rows].reshape(len(rows), -1) / 255).astype(dtype)
    n = len(split.train)
    grid: dict[str, list[Any]] = {
        "hidden_layer_sizes": [(width,) * depth for width in HIDDEN for depth in LAYERS],
        "random_state": list(range(SEEDS)),
    }
    GridSearchCV(
        MLPClassifier(batch_size=128, max_iter=EPOCHS, n_iter_no_change=EPOCHS),
        grid, n_jobs=2, refit=False, cv=[(np.arange(n), np.arange(n, len(rows)))],
    ).fit(x, data.y[rows])  # fmt: skip


def _many(n: int) -> None:
    """So many trials of `baseline` on 2,000 rows: what a trial costs beside its training."""
    data = tenfold.load("mnist").take(np.r_[:2000, 60_000:60_400])
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as out:
        start = time.perf_counter()
        done = tenfold.sweep(data, learner="baseline", seeds=n, workers=2, out=out)
        seconds = time.perf_counter() - start
    fits = sum(row.seconds or 0 for row in done.trials)
    print(f"{n} trials of `baseline`: {1e3 * seconds / n:.1f} ms each, "
          f"{1e3 * fits / n:.1f} ms of them fitting")  # fmt: skip


if __name__ == "__main__":
    main()
