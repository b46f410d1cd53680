"""Data augmentation: in each epoch, pictures are shifted, rotated, scaled, sheared, elastically
distorted, or their strokes are thickened or thinned.

It is fast because the pictures of a block are distorted in the same way. They share the map that
says where each pixel comes from, and are stored side by side, so that each look-up copies the
pixels of all of them at once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.settings import Settings

BLOCK = 16
"""Number of pictures that share a map."""

AT_ONCE = 64 * BLOCK

WAVES = 5
"""Knots along each side of the random field of the elastic distortion (Simard, Steinkraus and Platt
2003, Best Practices for Convolutional Neural Networks, section 2)."""

SIDE = 28
"""Settings in pixels refer to a picture with this side. Shifts of larger pictures are
proportionally larger."""


def has_distortions(settings: Settings) -> bool:
    """Whether pictures are distorted, and not only shifted by whole pixels."""
    return any(
        (
            settings.rotate_degrees,
            settings.zoom,
            settings.shear,
            settings.elastic_px,
            settings.thicken,
            settings.contrast,
        )
    )


def augment(
    images: NDArray[Any], settings: Settings, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Distort pictures, uint8 (n, height, width) or (n, height, width, 3), within the settings.

    Pictures that are next to each other share a map, so that they should be shuffled before. Pixels
    from outside a picture repeat its edge.
    """
    if len(images) > AT_ONCE:  # small arrays stay in the processor's cache, and memory is reused
        starts = range(0, len(images), AT_ONCE)
        return np.concatenate([augment(images[i : i + AT_ONCE], settings, rng) for i in starts])
    n, height, width = images.shape[:3]
    flat = images.reshape(n, height * width, -1)
    n_maps = -(-n // BLOCK)
    corners, shares = _draw_maps(n_maps, height, width, settings, rng)
    strokes = rng.uniform(-settings.thicken, settings.thicken, n_maps).astype(np.float32)
    faint = rng.uniform(1 - settings.contrast, 1, n_maps).astype(np.float32)
    out = np.empty(flat.shape, np.uint8)
    for i in range(n_maps):
        block = flat[i * BLOCK : (i + 1) * BLOCK]
        # Pixels come first, so that every look-up copies neighbours in memory.
        pixels = np.ascontiguousarray(block.transpose(1, 0, 2)).astype(np.float32)
        warped = _warp(pixels.reshape(len(pixels), -1), corners[:, i], shares[:, i])
        if settings.thicken:
            warped = _thicken(warped.reshape(height, width, -1), strokes[i]).reshape(warped.shape)
        warped *= faint[i]
        warped += 0.5
        out[i * BLOCK : (i + 1) * BLOCK] = warped.reshape(pixels.shape).transpose(1, 0, 2)
    return out.reshape(images.shape)


def _warp(
    pixels: NDArray[np.float32], corners: NDArray[np.intp], shares: NDArray[np.float32]
) -> NDArray[np.float32]:
    warped: NDArray[np.float32] = np.take(pixels, corners[0], axis=0)
    warped *= shares[0][:, None]
    other = np.empty_like(warped)
    for corner, share in zip(corners[1:], shares[1:], strict=True):
        np.take(pixels, corner, axis=0, out=other)
        other *= share[:, None]
        warped += other
    return warped


def _thicken(pixels: NDArray[np.float32], amount: np.float32) -> NDArray[np.float32]:
    """Change each pixel of light strokes on dark, (height, width, n), by the share `amount` towards
    the brightest of its four neighbours or, if `amount` is negative, towards the darkest."""
    choose = np.maximum if amount > 0 else np.minimum
    best = pixels.copy()
    choose(best[1:], pixels[:-1], out=best[1:])
    choose(best[:-1], pixels[1:], out=best[:-1])
    choose(best[:, 1:], pixels[:, :-1], out=best[:, 1:])
    choose(best[:, :-1], pixels[:, 1:], out=best[:, :-1])
    best -= pixels
    best *= abs(amount)
    best += pixels
    return best


def _draw_maps(
    n_maps: int, height: int, width: int, settings: Settings, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each pixel of each map, the flat positions of the four pixels around its source, and
    their weights: (4, n_maps, height * width)."""
    y, x = _sources(n_maps, height, width, settings, rng)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.floor(y), np.floor(x)
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    top, left = top.astype(np.intp), left.astype(np.intp)
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    rows, columns = (top, top, below, below), (left, beside, left, beside)
    corners = np.stack([r * width + c for r, c in zip(rows, columns, strict=True)])
    up, back = 1 - down, 1 - right
    return corners, np.stack([up * back, up * right, down * back, down * right])


def _sources(
    n_maps: int, height: int, width: int, settings: Settings, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The source row and column of each pixel of each map, (n_maps, height * width)."""

    def within(limit: float, *shape: int) -> NDArray[np.float64]:
        return rng.uniform(-limit, limit, (n_maps, *shape))

    angle = np.deg2rad(within(settings.rotate_degrees))
    zoom_y, zoom_x = 1 + within(settings.zoom, 2).T
    shear = within(settings.shear)
    move = within(settings.shift_px * min(height, width) / SIDE, 2)
    rows, columns = (side.ravel() for side in np.mgrid[:height, :width])
    v, u = rows - (height - 1) / 2, columns - (width - 1) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    y = np.outer(zoom_y * cos, v) + np.outer(zoom_y * sin, u) + (height - 1) / 2 + move[:, :1]
    x = np.outer(zoom_x * (shear * cos - sin), v) + np.outer(zoom_x * (cos + shear * sin), u)
    x += (width - 1) / 2 + move[:, 1:]
    if settings.elastic_px:
        knots = rng.normal(0, settings.elastic_px, (n_maps, 2, WAVES, WAVES))
        knots *= min(height, width) / SIDE
        field = _smooth(height) @ knots @ _smooth(width).T
        wave = field.reshape(n_maps, 2, -1)
        y, x = y + wave[:, 0], x + wave[:, 1]
    return y, x


def _smooth(side: int) -> NDArray[np.float64]:
    """Weights of `WAVES` knots at each pixel along a side, (side, WAVES). They make a smooth curve,
    Gaussian in the distance, and their squares sum to 1 so that the deviation of the knots is
    kept."""
    distance = np.linspace(0, WAVES - 1, side)[:, None] - np.arange(WAVES)
    weights = np.exp(-(distance**2) / (2 * 0.7**2))
    return np.asarray(weights / np.sqrt((weights**2).sum(axis=1, keepdims=True)))
