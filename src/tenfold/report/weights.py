"""The weights of a network's first layer as a picture."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_NEURONS, TILE_PX, GAP_PX = 32, 56, 4
"""Number of neurons that are drawn, the longer side of each, and the gap between them."""


def weights_picture(
    kernel: NDArray[np.float32], shape: tuple[int, ...] | None
) -> NDArray[np.uint8]:
    """Draw the incoming weights of neurons, positive ones in blue and negative ones in orange,
    relative to the largest weight of each neuron.

    Args:
      kernel: (inputs, neurons) of a dense layer, or (height, width, channels, neurons) of a
        convolution.
      shape: The shape of the pictures of a dense layer. None: its weights are drawn in one row
        each.

    Returns:
      uint8 (height, width, 3).
    """
    kernel = kernel[..., :MAX_NEURONS]
    if kernel.ndim == 2 and shape is not None and kernel.shape[0] == int(np.prod(shape)):
        kernel = kernel.reshape(*shape, -1)
    if kernel.ndim == 2:
        rows = np.stack([neuron / _largest(neuron) for neuron in kernel.T])
        return _coloured(rows).repeat(8, axis=0).repeat(8, axis=1)
    if kernel.ndim == 4:
        kernel = kernel.mean(axis=2)
    tiles = [tile_of(_coloured(tile / _largest(tile))) for tile in np.moveaxis(kernel, -1, 0)]
    height, width = tiles[0].shape[:2]
    across = min(len(tiles), 8)
    down = -(-len(tiles) // across)
    sheet = np.full((down * (height + GAP_PX), across * (width + GAP_PX), 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // across * (height + GAP_PX), i % across * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _largest(weights: NDArray[np.float32]) -> float:
    return max(1e-12, float(np.abs(weights).max()))


def _coloured(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values from -1 to 1 on white: positive ones towards blue, negative ones towards orange."""
    strength = np.abs(values)[..., None]
    end = np.where(values[..., None] > 0, [29, 91, 184], [178, 58, 8])
    colours: NDArray[np.uint8] = np.round(255 + strength * (end - 255)).astype(np.uint8)
    return colours


def tile_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge small pictures by a whole factor, and thin large ones, so that sides are at most
    `TILE_PX`."""
    longer = max(image.shape[:2])
    if longer > TILE_PX:
        step = -(-longer // TILE_PX)
        return image[::step, ::step]
    factor = TILE_PX // longer
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def png_address(image: NDArray[np.uint8]) -> str:
    """A picture as a data address."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
