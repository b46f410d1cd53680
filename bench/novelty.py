"""How often a model is unsure: of digits, which it should read, and of what is none.

    python -m bench.novelty [LEARNER [FONTS]]

Trains the learner (network) on MNIST and prints the table of docs/guide/handwriting.md. Letters
are drawn with the fonts that come with matplotlib, in two thicknesses; clothes are shapes with a
texture, for no pictures of clothes come with the package. With a folder of further fonts (such as
those of Debian's fonts-dkg-handwriting and fonts-bwht), their letters and digits are drawn with
pens of four widths and bent as hands differ; LEARNER may also be a model file.
"""

import itertools
import string
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from sklearn.datasets import load_digits

import tenfold
from tenfold import Predictions
from tenfold.core.settings import Settings
from tenfold.inputs.pictures import mnist_box
from tenfold.inputs.pictures.augment import augment

Images = NDArray[np.uint8]
FONTS = [
    path
    for path in sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    if not any(part in path.name for part in ("Siz", "STIXNonUni", "cmex", "cmsy", "Display"))
]
"""Fonts with letters: the others hold signs of mathematics."""

OUTLINES = {
    "shirt": [(30, 10), (45, 15), (55, 15), (70, 10), (98, 35), (85, 50), (72, 38), (72, 95),
              (28, 95), (28, 38), (15, 50), (2, 35)],
    "trousers": [(32, 3), (68, 3), (72, 97), (56, 97), (50, 35), (44, 97), (28, 97)],
    "dress": [(38, 3), (62, 3), (60, 35), (75, 97), (25, 97), (40, 35)],
    "coat": [(35, 5), (65, 5), (90, 30), (95, 90), (80, 90), (75, 40), (75, 97), (25, 97),
             (25, 40), (20, 90), (5, 90), (10, 30)],
    "shoe": [(3, 45), (30, 40), (60, 55), (97, 65), (97, 78), (3, 78)],
    "boot": [(40, 10), (70, 10), (70, 60), (97, 75), (97, 90), (35, 90)],
    "bag": [(10, 40), (30, 38), (35, 15), (65, 15), (70, 38), (90, 40), (95, 90), (5, 90)],
}  # fmt: skip
"""Corners of clothes in hundredths of the picture."""


def glyph(letter: str, font: Path, bold: int) -> Images:
    """A letter, white on black, its strokes `bold` pixels wider on each side."""
    canvas = Image.new("L", (260, 260))
    face = ImageFont.truetype(str(font), 120)
    ImageDraw.Draw(canvas).text((60, 40), letter, 255, face, stroke_width=bold, stroke_fill=255)
    return np.asarray(canvas)


def glyphs(letters: str) -> list[Images]:
    drawn = [glyph(letter, font, bold) for letter in letters for font in FONTS for bold in (0, 4)]
    return [one for one in drawn if one.any()]


HAND = Settings(shift_px=0, rotate_degrees=10, zoom=0.12, shear=0.25, elastic_px=0.9)
"""How much the letters of a hand differ from those of a font."""

AS_DIGITS = "OoIlSsZz"
"""Letters that are written like a digit, which nobody can call strange."""


def by_hand(signs: str, fonts: Path, per_sign: int = 16) -> list[Images]:
    """Each sign by random fonts of a folder, with a random pen, bent."""
    rng, found = np.random.default_rng(2), sorted(fonts.rglob("*.[ot]tf"))
    drawn = []
    for sign in signs:
        for _ in range(per_sign):
            canvas = Image.new("L", (112, 112))
            face = ImageFont.truetype(str(found[rng.integers(len(found))]), 52)
            pen = int(rng.integers(4))
            ImageDraw.Draw(canvas).text((30, 22), sign, 255, face, stroke_width=pen)
            drawn.append(augment(np.asarray(canvas)[None], HAND, rng)[0])
    return [one for one in drawn if (one > 128).any()]


def filling(drawn: Images) -> Images:
    """A drawing that fills 28 x 28 from side to side, as letters of other datasets do."""
    crop = cropped(drawn)
    ratio = 28 / max(crop.shape)
    size = (max(1, round(crop.shape[1] * ratio)), max(1, round(crop.shape[0] * ratio)))
    small = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BOX))
    image = np.zeros((28, 28), np.uint8)
    top, left = (28 - size[1]) // 2, (28 - size[0]) // 2
    image[top : top + size[1], left : left + size[0]] = small
    return image


def cropped(image: Images) -> Images:
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def fitted(pictures: list[Images]) -> Images:
    return np.array([mnist_box.fit(picture).image for picture in pictures])


def boxed(image: Images) -> Images:
    return mnist_box.to_box(image.astype(np.float32) / np.float32(255))


def clothes(rng: np.random.Generator, n: int) -> Iterator[Images]:
    outlines = list(OUTLINES.values())
    for i in range(n):
        corners = np.array(outlines[i % len(outlines)]) + rng.normal(
            0, 2, (len(outlines[i % len(outlines)]), 2)
        )
        canvas = Image.new("L", (112, 112))
        ImageDraw.Draw(canvas).polygon([(1.12 * x, 1.12 * y) for x, y in corners.tolist()], 255)
        cover = np.asarray(canvas.resize((28, 28), Image.Resampling.BOX)) / 255
        texture = ndimage.gaussian_filter(rng.normal(0, 1, (28, 28)), rng.uniform(0.5, 3))
        grey = rng.uniform(60, 240) + texture * rng.uniform(0, 120)
        yield np.clip(cover * grey, 0, 255).astype(np.uint8)


def scribbles(rng: np.random.Generator, n: int) -> Iterator[Images]:
    for _ in range(n):
        path = np.cumsum(rng.normal(0, 25, (rng.integers(8, 30), 2)), axis=0) + 100
        canvas = Image.new("L", (200, 200))
        points = [(x, y) for x, y in np.clip(path, 10, 190).tolist()]
        ImageDraw.Draw(canvas).line(points, 255, int(rng.integers(5, 15)))
        yield np.asarray(canvas)


def pairs(digits: Images) -> Iterator[Images]:
    """Two digits beside each other in one box."""
    for one, other in zip(digits[::2], digits[1::2], strict=True):
        a, b = cropped(one), cropped(other)
        both = np.zeros((max(len(a), len(b)), a.shape[1] + b.shape[1] + 2), np.uint8)
        both[: len(a), : a.shape[1]], both[: len(b), -b.shape[1] :] = a, b
        yield boxed(both)


def halves(digits: Images) -> Iterator[Images]:
    """One half of each digit, on its own."""
    for i, digit in enumerate(digits):
        rows = slice(0, 14) if i % 4 == 0 else slice(14, 28) if i % 4 == 1 else slice(0, 28)
        columns = slice(0, 14) if i % 4 == 2 else slice(14, 28) if i % 4 == 3 else slice(0, 28)
        if digit[rows, columns].any():
            yield boxed(digit[rows, columns])


def strange(mnist: tenfold.Dataset) -> Iterator[tuple[str, Images]]:
    """What is no digit, by name."""
    rng, test = np.random.default_rng(0), mnist.images[mnist.test_rows]
    letters = glyphs("ABCDEFGHIJ")
    yield "letters A to J, filling 28 x 28", np.array([filling(one) for one in letters])
    yield "letters A to J, fitted", fitted(letters)
    yield "other capitals, fitted", fitted(glyphs("KLMNPQRSTUVWXYZ"))
    yield "clothes", np.array(list(clothes(rng, 700)))
    yield "scribbles, fitted", fitted(list(scribbles(rng, 300)))
    yield "noise, uniform", rng.integers(0, 256, (500, 28, 28)).astype(np.uint8)
    share = rng.uniform(0.05, 0.5, (500, 1, 1))
    yield "noise, black and white", 255 * (rng.random((500, 28, 28)) < share).astype(np.uint8)
    greys = np.arange(0, 256, 5, dtype=np.uint8)
    yield "blanks", np.repeat(greys, 28 * 28).reshape(-1, 28, 28)
    yield "two digits", np.array(list(pairs(test[:1000])))
    yield "half digits", np.array(list(halves(test[:500])))


def known(mnist: tenfold.Dataset) -> Iterator[tuple[str, Images, NDArray[np.int64]]]:
    """Digits by name, with their answers."""
    test = mnist.test_rows
    yield "MNIST, test part", mnist.images[test], mnist.y[test]
    yield (
        "the first 2,000 of it, fitted",
        fitted(list(mnist.images[test[:2000]])),
        mnist.y[test[:2000]],
    )
    scans = load_digits()
    large = [
        Image.fromarray((one * 15.9).astype(np.uint8)).resize((80, 80), Image.Resampling.BICUBIC)
        for one in scans.images
    ]
    boxes = np.array([boxed(np.asarray(one)) for one in large])
    yield "scikit-learn's digits (8 x 8)", boxes, scans.target
    yield (
        "printed digits",
        fitted(glyphs("0123456789")),
        np.repeat(np.arange(10), 2 * len(FONTS)),
    )


def of_hands(fonts: Path) -> Iterator[tuple[str, Images]]:
    """Letters and digits of the fonts of a folder, by name."""
    letters = [letter for letter in string.ascii_letters if letter not in AS_DIGITS]
    yield "letters by hand, all", fitted(by_hand(string.ascii_letters, fonts))
    yield f"letters by hand, without {AS_DIGITS}", fitted(by_hand("".join(letters), fonts))
    yield "digits by hand", fitted(by_hand(string.digits, fonts, 30))


def main(learner: str = "network", fonts: str | None = None) -> None:
    mnist = tenfold.load("mnist")
    with tempfile.TemporaryDirectory() as folder:
        if Path(learner).exists():
            model = tenfold.Model.open(learner)
        else:
            model = tenfold.train(mnist, learner=learner, out=folder).model

    def asked(images: Images) -> Predictions:
        answers = model.predict(images)
        assert isinstance(answers, Predictions)
        return answers

    print("| digits | n | right | unsure | right where sure |\n|---|---|---|---|---|")
    for name, images, y in known(mnist):
        answers = asked(images)
        right, sure = answers.codes == y, ~answers.unsure
        shares = (right.mean(), 1 - sure.mean(), right[sure].mean())
        print(f"| {name} | {len(y):,} | {' | '.join(f'{share:.3f}' for share in shares)} |")
    print("\n| no digits | n | unsure |\n|---|---|---|")
    for name, images in itertools.chain(strange(mnist), of_hands(Path(fonts)) if fonts else ()):
        print(f"| {name} | {len(images):,} | {asked(images).unsure.mean():.3f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
