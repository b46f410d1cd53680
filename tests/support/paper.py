"""Synthetic paper: digits drawn large with any pen on any ground, for the tests of the fit."""

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Cover = NDArray[np.float64]


@dataclass(frozen=True)
class Paper:
    """How a digit is put on paper; sizes are shares of the picture's shorter side."""

    px: tuple[int, int] = (300, 360)
    digit: float = 0.5
    at: tuple[float, float] = (0.5, 0.5)
    pen: float = 0.0  # widening in shares of the digit; negative: thinner
    ground: float = 225
    ink: float = 40
    gradient: float = 0
    shadow: float = 0
    vignette: float = 0
    noise: float = 0
    blur: float = 0
    ruled: float = 0
    squared: float = 0
    specks: int = 0
    light_on_dark: bool = False
    jpeg: int = 0


CONDITIONS = {
    "clean": Paper(),
    "light on dark": Paper(light_on_dark=True),
    "thin pen": Paper(pen=-0.035),
    "thick pen": Paper(pen=0.04),
    "tiny": Paper(px=(500, 700), digit=0.08, at=(0.2, 0.7)),
    "huge": Paper(digit=0.96),
    "gradient": Paper(gradient=110),
    "shadow": Paper(shadow=0.45),
    "vignette": Paper(vignette=0.5),
    "noise": Paper(noise=12),
    "faint": Paper(ink=150, noise=4),
    "blur": Paper(blur=0.02),
    "ruled": Paper(ruled=0.4, noise=2),
    "squared": Paper(squared=0.4, noise=2),
    "dark rules": Paper(ruled=0.75),
    "specks": Paper(specks=12),
    "jpeg": Paper(jpeg=25, noise=4),
    "off centre": Paper(at=(0.1, 0.9), digit=0.3),
    "28 pixels": Paper(px=(28, 28), digit=0.7, ground=255, ink=0),
    "16 pixels": Paper(px=(16, 16), digit=1, ground=255, ink=0, light_on_dark=True),
    "a photo": Paper(
        px=(900, 1200), digit=0.4, gradient=60, vignette=0.4, noise=5, blur=0.008, jpeg=60
    ),
}


def outlined(digit: NDArray[np.uint8], px: int, pen: float = 0.0) -> Cover:
    """An MNIST digit drawn `px` high or wide: coverage 0 to 1, its strokes wider by `pen`."""
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    crop = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    large = ndimage.zoom(np.pad(crop, 2).astype(float), 8, order=3) > 110
    inside = ndimage.distance_transform_edt(large) - ndimage.distance_transform_edt(~large)
    drawn = inside > -pen * 8 * max(crop.shape)
    if pen < 0:  # keep the middle of strokes that are thinner than what is taken off
        ridge = (inside == ndimage.maximum_filter(inside, 5)) & (inside > 0)
        drawn |= ndimage.binary_dilation(ridge, np.ones((3, 3)))
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    drawn = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ratio = px / max(drawn.shape)
    size = tuple(max(1, round(side * ratio)) for side in drawn.shape[::-1])
    shown = Image.fromarray(drawn.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(shown, float)


def on_paper(digit: NDArray[np.uint8], paper: Paper, seed: int = 0) -> NDArray[np.uint8]:
    """A picture of the digit on this paper: uint8 of `paper.px`."""
    height, width = paper.px
    drawn = outlined(digit, round(paper.digit * min(paper.px)), paper.pen)
    cover = np.zeros(paper.px)
    top, left = (
        round((side - part) * share)
        for side, part, share in zip(paper.px, drawn.shape, paper.at, strict=True)
    )
    cover[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return printed(cover, paper, seed)


def printed(cover: Cover, paper: Paper, seed: int = 0) -> NDArray[np.uint8]:
    """The picture of this ink coverage on this paper: uint8 of the coverage's shape."""
    rng = np.random.default_rng(seed)
    height, width = cover.shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    ground = paper.ground - paper.gradient * (0.6 * x + 0.4 * y)
    ground *= 1 - paper.vignette * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    ground *= 1 - paper.shadow * (x + 0.4 * y > 0.7)
    every = 0.13 * min(cover.shape)
    for strength, across in ((max(paper.ruled, paper.squared), False), (paper.squared, True)):
        along = (
            (np.arange(width)[None] + 0.02 * np.arange(height)[:, None])
            if across
            else (np.arange(height)[:, None] + 0.02 * np.arange(width)[None])
        )
        ground *= 1 - strength * np.clip(1.5 - np.abs(along % every - every / 2), 0, 1)
    for _ in range(paper.specks):
        radius = rng.uniform(0.5, 0.012 * min(cover.shape))
        far = np.hypot(
            np.arange(height)[:, None] - rng.uniform(0, height),
            np.arange(width)[None] - rng.uniform(0, width),
        )
        cover = np.maximum(cover, np.clip(radius + 0.5 - far, 0, 1))
    picture = ground * (1 - cover * (1 - paper.ink / paper.ground))
    if paper.blur:
        picture = ndimage.gaussian_filter(picture, paper.blur * paper.digit * min(cover.shape))
    picture += rng.normal(0, paper.noise, cover.shape) if paper.noise else 0
    if paper.light_on_dark:
        picture = 255 - picture
    pixels: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if paper.jpeg:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=paper.jpeg)
        pixels = np.asarray(Image.open(file))
    return pixels


def blank(paper: Paper, seed: int = 0) -> NDArray[np.uint8]:
    """The paper without a digit or specks."""
    return printed(np.zeros(paper.px), replace(paper, specks=0), seed)
