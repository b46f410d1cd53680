"""Epochs of ours and of peers, each in a process of its own, taking turns."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import environment, spread
from tenfold.data import catalog

SCRIPT = Path(__file__).with_name("peers.py")
SOURCE = Path(catalog.__file__).parent / "mnist"
TENSORFLOW = ("tensorflow-cpu", "scikit-learn", "matplotlib")
TORCH = ("torch==2.13.0+cpu", "keras")  # without +cpu: 3 GB of libraries for GPUs

RATES = (0.001, 0.002, 0.004)
MAX_EPOCHS = 40  # as in peers.py

PEERS = {
    "floor": "arithmetic floor: sgemm of the same shapes, NumPy",
    "tenfold": "**Tenfold**",
    "scan": "a plain `lax.scan` over float32 rows, JAX",
    "keras-jax": "Keras `fit` on JAX",
    "keras-tensorflow": "Keras `fit` on TensorFlow",
    "keras-torch": "Keras `fit` on torch",
    "torch": "PyTorch, eager loop over resident tensors",
    "sklearn": "scikit-learn `MLPClassifier`",
}


def python_of(name: str) -> Path | None:
    """The Python of a contender's environment; None where it cannot be had."""
    if name in ("keras-tensorflow", "sklearn"):
        return environment("tensorflow", TENSORFLOW)
    if name in ("keras-torch", "torch"):
        return environment("torch", TORCH)
    return Path(sys.executable)


def variables() -> dict[str, str]:
    """Every contender with the machine's own kernels and all cores."""
    forced = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "KERAS_BACKEND")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return {k: v for k, v in os.environ.items() if k not in forced} | quiet


class Contender:
    """A warmed-up process that does one epoch when asked."""

    def __init__(
        self, name: str, *arguments: str, script: Path = SCRIPT, task: str = "epochs"
    ) -> None:
        self._name = name
        self.seconds: list[float] = []
        self.peak_mb = 0.0
        self._process = subprocess.Popen(
            [str(python_of(name)), str(script), name, str(SOURCE), task, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=variables(),
        )
        self._line("ready")

    def epoch(self) -> None:
        self.seconds.append(float(self.ask()))

    def ask(self) -> str:
        """What it answers to a line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.peak_mb = float(self._line())
        self._process.wait()

    def _line(self, expected: str | None = None) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (expected and line != expected):
            raise RuntimeError(f"{self._name} ended early: {line!r}")
        return line


def _dense(name: str, n: int = 45_000, width: int = 128) -> Contender:
    return Contender(name, str(n), str(width))


def take_turns(contenders: Sequence[Contender], n_rounds: int) -> None:
    """An epoch of each in turn, so that all see the same neighbours; then they end."""
    for _ in range(n_rounds):
        for contender in contenders:
            contender.epoch()
    for contender in contenders:
        contender.end()


def ratios(of: Contender, to: Contender) -> list[float]:
    return [a / b for a, b in zip(of.seconds, to.seconds, strict=True)]


def epochs(n_rounds: int) -> Iterator[str]:
    """The warm epoch of every contender, as ratios to the floor of the same round."""
    running = {name: _dense(name) for name in PEERS if python_of(name) is not None}
    take_turns(list(running.values()), n_rounds)
    yield "## A warm epoch: 784-128-10, SGD, batch 128, 45,000 rows"
    yield ""
    yield f"Each contender runs in its own process, and they take turns for {n_rounds} rounds."
    yield "`x floor` is the time as a multiple of the arithmetic floor, `x ours` as a multiple of"
    yield "Tenfold's; both are medians of the ratios within a round."
    yield ""
    yield "| contender | ms an epoch | x floor | x ours | peak MB |"
    yield "|---|---|---|---|---|"
    for name, title in PEERS.items():
        if name not in running:
            yield f"| {title} | missing: could not be installed | | | |"
            continue
        one = running[name]
        floor = statistics.median(ratios(one, running["floor"]))
        ours = statistics.median(ratios(one, running["tenfold"]))
        milliseconds = spread([1e3 * s for s in one.seconds], 0)
        yield f"| {title} | {milliseconds} | {floor:.2f} | {ours:.2f} | {one.peak_mb:.0f} |"
    yield ""


def growth(n_rounds: int) -> Iterator[str]:
    """How our epoch grows with rows and with neurons."""
    yield "## Growth"
    yield ""
    yield "| rows | neurons | ms an epoch | x the epoch of 45,000 | x floor | peak MB |"
    yield "|---|---|---|---|---|---|"
    rows = {45_000 * times: _dense("tenfold", 45_000 * times) for times in (1, 2, 4, 8)}
    floors = {n: _dense("floor", n) for n in rows}
    take_turns([*rows.values(), *floors.values()], n_rounds)
    for n, one in rows.items():
        times = statistics.median(ratios(one, rows[45_000]))
        floor = statistics.median(ratios(one, floors[n]))
        yield _growth_row(one, n, 128, f"{times:.2f}", floor)
    for width in (32, 512, 2048):
        one, least = _dense("tenfold", width=width), _dense("floor", width=width)
        take_turns([one, least], max(3, n_rounds // 2))
        yield _growth_row(one, 45_000, width, "", statistics.median(ratios(one, least)))
    yield ""


def _growth_row(one: Contender, n: int, width: int, times: str, floor: float) -> str:
    milliseconds = spread([1e3 * s for s in one.seconds], 0)
    return f"| {n:,} | {width:,} | {milliseconds} | {times} | {floor:.2f} | {one.peak_mb:.0f} |"


def time_to_98(n_rounds: int) -> Iterator[str]:
    """Training seconds until 98% of the validation rows are right, libraries loaded before."""
    names = [name for name in PEERS if name not in ("floor", "scan") and python_of(name)]
    best = {name: min(RATES, key=lambda rate: _to_98(name, rate)) for name in names}
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    for _ in range(n_rounds):
        for name in names:
            found[name].append(_to_98(name, best[name]))
    yield "## Time to 98% of the validation rows"
    yield ""
    yield "A 784-128-10 network with 54,000 training and 6,000 validation rows. The time counts"
    yield "building the network, compilation, epochs and validation, but not importing libraries."
    yield f"Tenfold uses its default recipe. The others use Adam for at most {MAX_EPOCHS} epochs,"
    yield f"with the best learning rate of {', '.join(map(str, RATES))}, found in advance."
    yield ""
    yield "| contender | learning rate | seconds | epochs |"
    yield "|---|---|---|---|"
    for name, runs in found.items():
        rate = "0.01, one cycle" if name == "tenfold" else best[name]
        seconds, n_epochs = spread([s for s, _ in runs]), spread([n for _, n in runs], 0)
        yield f"| {PEERS[name]} | {rate} | {seconds} | {n_epochs} |"
    yield ""


def _to_98(name: str, rate: float) -> tuple[float, int]:
    command = [str(python_of(name)), str(SCRIPT), name, str(SOURCE), "to98", str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables())
    seconds, n_epochs = done.stdout.split()[-2:]
    return float(seconds), int(n_epochs)
