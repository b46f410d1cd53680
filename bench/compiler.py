"""What XLA's fusions on a CPU do to our epochs, and how long the check of the compiler takes.

    python -m bench.compiler [ROUNDS]

An epoch of the dense network and one of the convolutions, compiled with each choice of fusions in
one process, in turn.
"""

import functools
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

from bench.measure import spread
from tenfold import load
from tenfold.core.records import Epoch
from tenfold.core.settings import resolve
from tenfold.learners.architectures import architecture_of
from tenfold.learners.jax_runtime import FUSIONS
from tenfold.learners.job import Examples
from tenfold.learners.training import Training, dense, training_of
from tenfold.learners.training import convolution as convolutions

KINDS = ("INDIVIDUAL_DOT", "INDIVIDUAL_CONVOLUTION", "REDUCE")
CHOICES = {
    "XLA's own: products, convolutions, reductions": KINDS,
    "products, convolutions": KINDS[:2],
    "**products (Tenfold's)**": KINDS[:1],
    "none": (),
}
DENSE_ROWS, CONVOLUTION_ROWS = 45_000, 3_840

CHECK = """
import time, jax
from tenfold.learners.jax_runtime import configure
from tenfold.learners.jax_runtime import check_compiler
configure()
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
start = time.perf_counter()
check_compiler()
print(time.perf_counter() - start)
"""


def main() -> None:
    """Print the tables."""
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    dense_title = f"784-128-10, SGD, batch 128, {DENSE_ROWS:,} rows"
    for title, make in (
        (dense_title, dense_training),
        (f"the `cnn`, batch 128, {CONVOLUTION_ROWS:,} rows", convolution_training),
    ):
        running = {name: started(make(), kinds) for name, kinds in CHOICES.items()}
        seconds = {name: list[float]() for name in running}
        for _ in range(n_rounds):
            for name, epochs in running.items():
                seconds[name].append(next(epochs).seconds)
        first = next(iter(seconds.values()))
        print(f"| {title} | ms an epoch | x XLA's own |\n|---|---|---|")
        for name, own in seconds.items():
            share = statistics.median(a / b for a, b in zip(own, first, strict=True))
            print(f"| {name} | {spread([1e3 * s for s in own], 0)} | {share:.2f} |", flush=True)
        print()
    python = [sys.executable, "-c", CHECK]
    checks = [
        1e3 * float(subprocess.run(python, capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"The check, once in a process: {spread(checks, 0)} ms")


def started(training: Training, kinds: tuple[str, ...]) -> Iterator[Epoch]:
    """Its epochs after the first one, in which it is compiled with these fusions alone."""
    options = {FUSIONS: ",".join(f"LIBRARY_FUSION_TYPE_{kind}" for kind in kinds)}

    def compiled(lowered: Any, device: str = "") -> Any:
        return lowered.compile(compiler_options=options)

    epochs = iter(training)
    with (
        mock.patch.object(dense, "compile_program", compiled),
        mock.patch.object(convolutions, "compile_program", compiled),
    ):
        next(epochs)
    return epochs


@functools.cache
def rows(n: int) -> Examples:
    data = load("mnist")
    return Examples(data.x[:n], data.y[:n])


def dense_training() -> Training:
    settings = resolve({"recipe": "tutorial", "epochs": 10_000})
    return training_of(architecture_of(settings, (28, 28), 10), rows(DENSE_ROWS), None, settings)


def convolution_training() -> Training:
    still = {name: 0 for name in ("shift_px", "rotate_degrees", "zoom", "shear", "elastic_px")}
    settings = resolve({"learner": "cnn", "epochs": 10_000, "batch_size": 128, **still})
    architecture = architecture_of(settings, (28, 28), 10)
    return training_of(architecture, rows(CONVOLUTION_ROWS), None, settings)


if __name__ == "__main__":
    main()
