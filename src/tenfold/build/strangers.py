"""Pictures of what the training does not show, by which novelty learns the difference.

They are letters and signs, curves, and training pictures that were cut and put together. All are
drawn here, so that nothing needs to be collected, and none is a picture of other people's data.

Source: Hendrycks et al. 2019, arXiv:1812.04606, outlier exposure.
"""

import string
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tenfold.core.contract import ImageInput
from tenfold.core.settings import Settings
from tenfold.inputs.pictures import mnist_box
from tenfold.inputs.pictures.augment import augment

Images = NDArray[np.uint8]

SIGNS = string.ascii_letters + "&@#%?$+="

PENS = (0, 2, 4)
"""Pixels by which strokes of a letter 52 pixels high are wider on each side than in the font."""

SHARES = (0.75, 0.125, 0.125)
"""Shares of signs, curves and glued pictures. Signs alone find a few more letters; with curves 75
instead of 46 of 100 pairs of digits in one box are strangers, and 38 instead of 21 half digits."""

BENDING = Settings(shift_px=1, rotate_degrees=12, zoom=0.15, shear=0.3, elastic_px=0.8, thicken=0.7)
"""How much hands differ. Training pictures are bent, too: otherwise the traces of bending would
distinguish strangers, and other people's digits would be strange (cnn: 70% of scikit-learn's digits
instead of 18%)."""


def bent(images: Images, rng: np.random.Generator) -> Images:
    """Distort pictures, uint8 (n, height, width) or (n, height, width, 3), as hands differ."""
    return augment(images, BENDING, rng)


def draw_strangers(
    images: Images,
    y: NDArray[np.int64],
    accepted: ImageInput,
    labels: Sequence[str],
    rng: np.random.Generator,
) -> Images:
    """About as many strangers as training pictures, in their form: uint8 (n, height, width) or (n,
    height, width, 3). `y` are the codes of the labels (n,); letters that are labels are left out.
    """
    n_signs, n_curves, n_glued = (round(len(images) * share) for share in SHARES)
    signs = signs_without(labels)
    signs = signs[rng.integers(len(signs), size=n_signs)]
    drawn = _in_form(np.concatenate([signs, _curves(n_curves, rng)]), accepted, rng)
    drawn = np.concatenate([drawn, _glued(images, y, n_glued, rng)])
    return bent(drawn[rng.permutation(len(drawn))], rng)


def signs_without(labels: Sequence[str]) -> Images:
    """Letters and signs that are no labels, in either case, uint8 (n, 28, 28)."""
    known = {label.casefold() for label in labels}
    return _signs()[[sign.casefold() not in known for sign in SIGNS for _ in PENS]]


@cache
def _signs() -> Images:
    """Each sign with each pen in the MNIST box, uint8 (n, 28, 28), in the font of Pillow."""
    font = ImageFont.load_default(52)
    signs = []
    for sign in SIGNS:
        for pen in PENS:
            canvas = Image.new("L", (112, 112))
            ImageDraw.Draw(canvas).text((30, 22), sign, 255, font, stroke_width=pen)
            signs.append(mnist_box.to_box(np.asarray(canvas, np.float32) / np.float32(255)))
    return np.array(signs)


def _curves(n: int, rng: np.random.Generator) -> Images:
    """One to three Bezier curves each, with pens from a hair to a third of the picture, uint8
    (n, 28, 28)."""
    side = 4 * mnist_box.SIDE_PX
    t = np.linspace(0, 1, 12)[:, None]
    powers = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    curves = np.empty((n, mnist_box.SIDE_PX, mnist_box.SIDE_PX), np.uint8)
    for i in range(n):
        canvas = Image.new("L", (side, side))
        pen, grey = round(4 * np.exp(rng.uniform(0.4, 2.4))), int(rng.integers(100, 256))
        for _ in range(rng.integers(1, 4)):
            points = powers @ rng.uniform(0.15 * side, 0.85 * side, (4, 2))
            line = [(x, y) for x, y in points.tolist()]
            ImageDraw.Draw(canvas).line(line, grey, pen, joint="curve")
        curves[i] = np.asarray(canvas.resize(curves.shape[1:], Image.Resampling.BOX))
    return curves


def _in_form(drawn: Images, accepted: ImageInput, rng: np.random.Generator) -> Images:
    """Drawings, light on dark (n, 28, 28), in the size, colours and polarity of a training."""
    height, width, *channels = accepted.shape
    if (height, width) != drawn.shape[1:]:
        sizes = [mnist_box.resize(one, height, width) for one in drawn]
        drawn = np.rint(sizes).astype(np.uint8)
    share = {"dark": 0.0, "light": 1.0, "any": 0.5}[accepted.surroundings]
    is_inverted = rng.random(len(drawn)) < share
    drawn = np.where(is_inverted[:, None, None], 255 - drawn, drawn)
    return np.repeat(drawn[..., None], 3, axis=-1) if channels else drawn


def _glued(images: Images, y: NDArray[np.int64], n: int, rng: np.random.Generator) -> Images:
    """Pairs of training pictures, each on its side of a line; at most n, as pairs of one label are
    left out."""
    one, other = rng.integers(len(images), size=(2, n))
    is_pair = y[one] != y[other]
    one, other = one[is_pair], other[is_pair]
    height, width, *channels = images.shape[1:]
    row, column = np.mgrid[:height, :width].astype(np.float64)
    angle, off = rng.uniform(0, 2 * np.pi, len(one)), rng.normal(0, 0.1, len(one))
    across = np.multiply.outer(np.cos(angle), row / height - 0.5)
    across += np.multiply.outer(np.sin(angle), column / width - 0.5)
    is_one = (across > off[:, None, None]).reshape(len(one), height, width, *[1] * len(channels))
    glued: Images = np.where(is_one, images[one], images[other])
    return glued
