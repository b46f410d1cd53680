"""The `cnn` beside the same layers elsewhere, and beside the libraries' own MNIST examples."""

import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.measure import spread
from bench.speed import SOURCE, Contender, python_of, ratios, take_turns, variables

SCRIPT = Path(__file__).with_name("peers_cnn.py")
N_ROWS = 12_800
PEERS = {
    "tenfold": "**Tenfold**",
    "keras-tensorflow": "Keras `fit` on TensorFlow",
    "keras-jax": "Keras `fit` on JAX",
    "torch": "PyTorch, fp32, channels last",
}
EXAMPLES = {
    "tenfold": "**Tenfold**, `cnn` fast",
    "keras-tensorflow": "Keras' example `mnist_convnet` on TensorFlow",
    "torch": "PyTorch's example `mnist`, rows resident",
}


def epochs(n_rounds: int) -> Iterator[str]:
    """The epoch of every contender, as ratios within a round."""
    names = [name for name in PEERS if python_of(name) is not None]
    running = {name: Contender(name, str(N_ROWS), script=SCRIPT) for name in names}
    take_turns(list(running.values()), n_rounds)
    yield "## Convolutions: an epoch of the same layers"
    yield ""
    yield f"The layers of the `cnn` for 28x28, Adam, batch 128, {N_ROWS:,} rows, nothing bent;"
    yield f"{n_rounds} rounds in turn. `ours` is ours as a share of theirs, median within a round."
    yield ""
    yield "| contender | seconds | ours | peak MB |"
    yield "|---|---|---|---|"
    for name, title in PEERS.items():
        if name not in running:
            yield f"| {title} | missing: could not be installed | | |"
            continue
        one = running[name]
        share = statistics.median(ratios(running["tenfold"], one))
        yield f"| {title} | {spread(one.seconds, 2)} | {share:.2f} | {one.peak_mb:.0f} |"
    yield ""


def time_to_99(n_seeds: int) -> Iterator[str]:
    """Training seconds until 99% of the test rows are right, libraries loaded before."""
    names = [name for name in EXAMPLES if python_of(name) is not None]
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    for seed in range(n_seeds):
        for name in names:
            command = [str(python_of(name)), str(SCRIPT), name, str(SOURCE), "to99", str(seed)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=variables()
            )
            seconds, n_epochs, _ = done.stdout.split()[-3:]
            found[name].append((float(seconds), int(n_epochs)))
    yield "## Convolutions: time to 99% of the test rows"
    yield ""
    yield f"From loaded libraries on, {n_seeds} seeds, measured at the end of each epoch."
    yield ""
    yield "| contender | seconds | epochs | ours |"
    yield "|---|---|---|---|"
    ours = statistics.mean(seconds for seconds, _ in found["tenfold"])
    for name in names:
        times, counts = zip(*found[name], strict=True)
        share = ours / statistics.mean(times)
        row = f"{spread(times)} | {spread(counts, 0)} | {share:.2f}"
        yield f"| {EXAMPLES[name]} | {row} |"
    yield ""
