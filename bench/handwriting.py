"""What the fit to the box is worth: digits on synthetic paper, read with and without it.

    python -m bench.handwriting [N]

Trains the default network, draws N (200) of its validation digits on each kind of paper of
tests/support/paper.py and prints the table of docs/guide/handwriting.md. The test rows stay closed.
"""

import sys
import tempfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import tenfold
from tenfold.data.split import split
from tenfold.inputs.pictures import mnist_box
from tests.support.paper import CONDITIONS, on_paper


def plain(picture: NDArray[np.uint8], light_on_dark: bool) -> NDArray[np.uint8]:
    """A resize, and the inversion where it is due: what most programs do."""
    small = np.asarray(Image.fromarray(picture).resize((28, 28), Image.Resampling.BILINEAR))
    return small if light_on_dark else 255 - small


def main(n: int = 200) -> None:
    data = tenfold.load("mnist")
    with tempfile.TemporaryDirectory() as folder:
        model = tenfold.train("mnist", out=folder).model
    validation = split(data, seed=0, validation_size=0.1).validation
    rows = np.random.default_rng(0).choice(validation, n, replace=False)

    def right(images: list[NDArray[np.uint8]]) -> float:
        return float((model.answer(np.array(images)).outputs[0].argmax(1) == data.y[rows]).mean())

    print(f"as in MNIST: {right(list(data.x[rows])):.3f} of {n}")
    print("| paper | plain resize | fit |\n|---|---|---|")
    for name, paper in CONDITIONS.items():
        pictures = [on_paper(data.x[row], paper, int(row)) for row in rows]
        before = right([plain(picture, paper.light_on_dark) for picture in pictures])
        after = right([mnist_box.fit(picture).image for picture in pictures])
        print(f"| {name} | {before:.3f} | {after:.3f} |", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
