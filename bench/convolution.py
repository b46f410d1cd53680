"""The `cnn` beside the same layers elsewhere, and beside the libraries' own MNIST examples."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.measure import spread
from bench.speed import Contender, python_of, ratios, take_turns

SCRIPT = Path(__file__).with_name("peers_cnn.py")
N_ROWS = 12_800
PEERS = {
    "tenfold": "**Tenfold**",
    "keras-tensorflow": "Keras `fit` on TensorFlow",
    "keras-jax": "Keras `fit` on JAX",
    "torch": "PyTorch, fp32, channels last",
}
EXAMPLES = {
    "tenfold": "**Tenfold**, `cnn` fast, `epochs=1, clean_epochs=0`",
    "keras-tensorflow": "Keras' example `mnist_convnet` on TensorFlow",
    "torch": "PyTorch's example `mnist`, rows resident",
}
MOST_EPOCHS = {"tenfold": 1, "keras-tensorflow": 15, "torch": 14}
"""Of the recipe and of the examples."""


def epochs(n_rounds: int) -> Iterator[str]:
    """The epoch of every contender, as ratios within a round."""
    names = [name for name in PEERS if python_of(name) is not None]
    running = {name: Contender(name, str(N_ROWS), script=SCRIPT) for name in names}
    take_turns(list(running.values()), n_rounds)
    yield "## Convolutions: an epoch of the same layers"
    yield ""
    yield f"The layers of the `cnn` for 28x28, with Adam, batches of 128, {N_ROWS:,} rows and no"
    yield f"augmentation, in {n_rounds} rounds of taking turns. `ours` is Tenfold's time as a share"
    yield "of the contender's, as the median over the rounds."
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
    """Training seconds until the mean over seeds is 99% of the test rows, libraries loaded."""
    found = {
        name: _to_99(name, n_seeds, most)
        for name, most in MOST_EPOCHS.items()
        if python_of(name) is not None
    }
    yield "## Convolutions: time to 99% of the test rows"
    yield ""
    yield "The time from imported libraries to the end of the first epoch after which the mean"
    yield f"accuracy of {n_seeds} seeds is 99%. All train on the 60,000 rows, except that Keras'"
    yield "example holds out a tenth. `ours` is Tenfold's mean time as a share of the contender's."
    yield ""
    yield "| contender | seconds | epochs | accuracy, % | ours |"
    yield "|---|---|---|---|---|"
    ours, _, _ = found["tenfold"]
    for name, (seconds, n_epochs, accuracy) in found.items():
        share = statistics.mean(ours) / statistics.mean(seconds)
        reached = "" if accuracy >= 99 else ", not reached"
        row = f"{spread(seconds)} | {n_epochs}{reached} | {accuracy:.2f} | {share:.2f}"
        yield f"| {EXAMPLES[name]} | {row} |"
    yield ""


def _to_99(name: str, n_seeds: int, most: int) -> tuple[list[float], int, float]:
    """Seconds of each seed, epochs and mean accuracy when 99% or the last epoch is reached."""
    running = [Trained(name, seed) for seed in range(n_seeds)]
    n_epochs = accuracy = 0.0
    while accuracy < 99 and n_epochs < most:
        for one in running:  # one at a time: the others wait
            one.epoch()
        n_epochs += 1
        accuracy = statistics.mean(one.accuracy for one in running)
    for one in running:
        one.kill()
    return [sum(one.seconds) for one in running], int(n_epochs), accuracy


class Trained(Contender):
    """A process that trains an epoch when asked, and says what it then has right."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name, str(seed), script=SCRIPT, task="to99")
        self.accuracy = 0.0

    def epoch(self) -> None:
        seconds, accuracy = self.ask().split()[-2:]
        self.seconds.append(float(seconds))
        self.accuracy = float(accuracy)
