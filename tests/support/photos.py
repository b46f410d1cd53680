"""Pictures in the manner of photos, drawn by chance: larger than a model sees them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

import tenfold
from tenfold import Run
from tests.conftest import Once

SHAPES = ("disc", "stripes", "squares")


def photo(label: str, seed: int, px: tuple[int, int] = (150, 120)) -> Image.Image:
    """A shape in some colour before a ground of another one, slightly blurred; px is (w, h)."""
    rng = np.random.default_rng(seed)
    width, height = px
    ground, ink = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
    image = Image.new("RGB", px, ground)
    draw = ImageDraw.Draw(image)
    if label == "disc":
        r = int(rng.integers(height // 5, height // 3))
        x, y = width // 2 + int(rng.integers(-9, 10)), height // 2 + int(rng.integers(-9, 10))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    elif label == "stripes":
        step = int(rng.integers(12, 20))
        for x in range(0, width, step):
            draw.rectangle((x, 0, x + step // 2, height), fill=ink)
    else:
        for _ in range(12):
            x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
            draw.rectangle((x, y, x + 14, y + 14), fill=ink)
    return image.filter(ImageFilter.GaussianBlur(1))


def photo_folder(
    root: Path,
    n: int = 24,
    labels: tuple[str, ...] = SHAPES,
    first: int = 0,
    px: tuple[int, int] = (150, 120),
) -> Path:
    """A folder with `n` photos of each label."""
    for k, label in enumerate(labels):
        (root / label).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + n):
            photo(label, 1000 * k + i, px).save(root / label / f"{i}.jpg")
    return root


def photo_run(once: Once, folder: Path) -> Run:
    """A finished run of `transfer` on such a folder. Tests must leave it as it is."""
    return once(
        "photo_run", lambda out: tenfold.train(folder, learner="transfer", test_size=0.2, out=out)
    )


def noise(seed: int, px: int = 120) -> NDArray[np.uint8]:
    """A picture of another thing."""
    return np.random.default_rng(seed).integers(0, 256, (px, px, 3), np.uint8)
